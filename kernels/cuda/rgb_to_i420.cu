// A batch of RGB pictures to planar YUV 4:2:0; kernels/plain/rgb_to_i420.py is the same in NumPy.
#include "i420.cuh"

// Any even size: a block of 2x2 pixels a thread.
extern "C" __global__ void rgb_to_i420(
    const unsigned char* rgb, unsigned char* i420, int width, int height
) {
    const int x = 2 * (blockIdx.x * blockDim.x + threadIdx.x);
    const int y = 2 * (blockIdx.y * blockDim.y + threadIdx.y);
    if (x >= width || y >= height) return;
    const size_t area = static_cast<size_t>(width) * height;
    const unsigned char* in = rgb + 3 * area * blockIdx.z;
    unsigned char* out = i420 + (area + area / 2) * blockIdx.z;
    for (int row = y; row < y + 2; ++row) {
        for (int column = x; column < x + 2; ++column) {
            const size_t place = static_cast<size_t>(row) * width + column;
            const unsigned char* p = in + 3 * place;
            out[place] = luma(p[0], p[1], p[2]);
        }
    }
    const unsigned char* p = in + 3 * (static_cast<size_t>(y) * width + x);
    const size_t place = static_cast<size_t>(y / 2) * (width / 2) + x / 2;
    out[area + place] = chroma_u(p[0], p[1], p[2]);
    out[area + area / 4 + place] = chroma_v(p[0], p[1], p[2]);
}

// Widths that are multiples of 8: a block of 8x2 pixels a thread, in words of 4 and 8 bytes.
extern "C" __global__ void rgb_to_i420_wide(
    const unsigned char* rgb, unsigned char* i420, int width, int height
) {
    const int x = 8 * (blockIdx.x * blockDim.x + threadIdx.x);
    const int y = 2 * (blockIdx.y * blockDim.y + threadIdx.y);
    if (x >= width || y >= height) return;
    const size_t area = static_cast<size_t>(width) * height;
    const unsigned char* in = rgb + 3 * area * blockIdx.z;
    unsigned char* out = i420 + (area + area / 2) * blockIdx.z;
    unsigned char u[4], v[4];
    for (int row = 0; row < 2; ++row) {
        const size_t place = static_cast<size_t>(y + row) * width + x;
        const uint2* words = reinterpret_cast<const uint2*>(in + 3 * place);
        uint2 loaded[3] = {words[0], words[1], words[2]};
        const unsigned char* p = reinterpret_cast<const unsigned char*>(loaded);
        unsigned char bright[8];
#pragma unroll
        for (int i = 0; i < 8; ++i) bright[i] = luma(p[3 * i], p[3 * i + 1], p[3 * i + 2]);
        *reinterpret_cast<uint2*>(out + place) = make_uint2(
            bright[0] | bright[1] << 8 | bright[2] << 16 | static_cast<unsigned>(bright[3]) << 24,
            bright[4] | bright[5] << 8 | bright[6] << 16 | static_cast<unsigned>(bright[7]) << 24
        );
        if (row > 0) continue;
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            u[i] = chroma_u(p[6 * i], p[6 * i + 1], p[6 * i + 2]);
            v[i] = chroma_v(p[6 * i], p[6 * i + 1], p[6 * i + 2]);
        }
    }
    const size_t place = static_cast<size_t>(y / 2) * (width / 2) + x / 2;
    *reinterpret_cast<unsigned*>(out + area + place) =
        u[0] | u[1] << 8 | u[2] << 16 | static_cast<unsigned>(u[3]) << 24;
    *reinterpret_cast<unsigned*>(out + area + area / 4 + place) =
        v[0] | v[1] << 8 | v[2] << 16 | static_cast<unsigned>(v[3]) << 24;
}
