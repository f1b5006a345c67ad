// CUDA source as plain C++: what the kernels use of CUDA, and a loop instead of a GPU's threads.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#define __global__
#define __device__

struct uchar2 { unsigned char x, y; };
struct alignas(4) uchar4 { unsigned char x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct Dim3 { unsigned x, y, z; };

inline uchar2 make_uchar2(unsigned char x, unsigned char y) { return {x, y}; }
inline uchar4 make_uchar4(unsigned char x, unsigned char y, unsigned char z, unsigned char w) {
    return {x, y, z, w};
}
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

inline float __uint_as_float(std::uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}
inline std::uint32_t __float_as_uint(float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}
inline std::uint32_t __byte_perm(std::uint32_t low, std::uint32_t high, std::uint32_t chosen) {
    const std::uint64_t bytes = static_cast<std::uint64_t>(high) << 32 | low;
    std::uint32_t made = 0;
    for (int i = 0; i < 4; ++i) made |= (bytes >> 8 * (chosen >> 4 * i & 7) & 0xFF) << 8 * i;
    return made;
}

static Dim3 gridDim, blockDim, blockIdx, threadIdx;

template <auto Kernel>
struct Launch;

// Threads one after the other, from the first or from the last: kernels without barriers must not
// care, and both orders differ where one thread reads what another writes.
template <class... Given, void (*Kernel)(Given...)>
struct Launch<Kernel> {
    static void run(const unsigned* sizes, int backward, Given... given) {
        gridDim = {sizes[0], sizes[1], sizes[2]};
        blockDim = {sizes[3], sizes[4], sizes[5]};
        const std::uint64_t threads = 1ull * blockDim.x * blockDim.y * blockDim.z;
        const std::uint64_t all = threads * gridDim.x * gridDim.y * gridDim.z;
        for (std::uint64_t i = 0; i < all; ++i) {
            const std::uint64_t at = backward ? all - 1 - i : i;
            const unsigned block = at / threads, thread = at % threads;
            blockIdx = {block % gridDim.x, block / gridDim.x % gridDim.y,
                        block / gridDim.x / gridDim.y};
            threadIdx = {thread % blockDim.x, thread / blockDim.x % blockDim.y,
                         thread / blockDim.x / blockDim.y};
            Kernel(given...);
        }
    }
};

#define EXPORT(kernel) \
    extern "C" { void* run_##kernel = reinterpret_cast<void*>(&Launch<kernel>::run); }
