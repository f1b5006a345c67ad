// BT.601, limited range, in 20-bit fixed point; chroma is that of a block's upper left pixel, as
// OpenCV takes it.
#pragma once

constexpr int SHIFT = 20;
constexpr int HALF = 1 << (SHIFT - 1);

__device__ inline unsigned char luma(int r, int g, int b) {
    return (269484 * r + 528482 * g + 102760 * b + HALF + (16 << SHIFT)) >> SHIFT;
}

__device__ inline unsigned char chroma_u(int r, int g, int b) {
    return (-155188 * r - 305135 * g + 460324 * b + HALF + (128 << SHIFT)) >> SHIFT;
}

__device__ inline unsigned char chroma_v(int r, int g, int b) {
    return (460324 * r - 385875 * g - 74448 * b + HALF + (128 << SHIFT)) >> SHIFT;
}
