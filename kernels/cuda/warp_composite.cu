// Coarse backward flow to finished pixels, for a batch of sessions; kernels/plain/warp_composite.py
// is the same in NumPy. One pass: enlarge and join the flow, sample the portrait, lay patches over,
// lay it all over what is behind the person.
#include "i420.cuh"
#include "parting.cuh"

// Laid out as kernels.gpu.PATCH.
struct Patch {
    const unsigned char* rgb;    // (height, width, 3)
    const unsigned char* alpha;  // (height, width); null: 255 everywhere
    int x, y, width, height;
};

// Laid out as kernels.gpu.PICTURE.
struct Picture {
    const unsigned* source;  // (source_height, source_width) RGBA, for its 4-byte loads
    const float2* flows;     // (3, plane): joined, upper, lower
    const Line* lines;
    const Patch* patches;
    const unsigned* behind;  // (side_px, side_px) RGBX; null: nothing is, alpha cuts nothing out
    unsigned char* out;
    unsigned char* alpha;  // (side_px, side_px) to be written, too; null: not asked for
    int source_width, source_height;
    float scale;  // source pixels a picture's pixel
    int line_count, patch_count;
    int x, y;  // the picture's pixel that comes out first
    int side_px;
};

struct Lattice {
    int side, plane;
    float to_lattice;
};

// A hard edge: a mean of both flows would sample what lies between the rims.
constexpr float EDGE_PX = 0.05f;

// The line in whose window a pixel is; the last, where windows overlap.
__device__ inline const Line* line_at(const Picture& picture, int x, int y) {
    for (int i = picture.line_count - 1; i >= 0; --i) {
        if (holds(picture.lines[i].window, x, y)) return picture.lines + i;
    }
    return nullptr;
}

__device__ inline Taps lattice_taps(const Lattice& lattice, float x, float y) {
    return taps_around(
        (x + 0.5f) * lattice.to_lattice - 0.5f, (y + 0.5f) * lattice.to_lattice - 0.5f,
        lattice.side, lattice.side
    );
}

__device__ inline float2 joined_flow(
    const Picture& picture, const Lattice& lattice, const Line& line, float x, float y
) {
    const Taps taps = lattice_taps(lattice, x, y);
    const float2 over = sample(picture.flows + lattice.plane, taps);
    const float2 under = sample(picture.flows + 2 * lattice.plane, taps);
    return mixed(over, under, share_below(line, x, y, EDGE_PX));
}

__device__ inline int laid_over(int under, int over, int alpha) {
    return (under * (255 - alpha) + over * alpha + 127) / 255;
}

// The share that alpha leaves of one, and what it leaves of the other, each rounded as OpenCV does.
__device__ inline int laid_between(int front, int alpha, int behind) {
    return (front * alpha + 127) / 255 + (behind * (255 - alpha) + 127) / 255;
}

// A row of the background, in one load.
template <int WIDE>
__device__ inline void load_behind(const Picture& picture, int x, int y, unsigned* into) {
    const unsigned* from = picture.behind + static_cast<size_t>(y) * picture.side_px + x;
    if constexpr (WIDE == 2) {
        const uint2 pair = *reinterpret_cast<const uint2*>(from);
        into[0] = pair.x;
        into[1] = pair.y;
    } else {
        into[0] = *from;
    }
}

// A block of pixels, patches laid over, and all of it over what is behind. The windows of lines
// begin and end at even pixels, so a block of 2x2 is in one or in none. Its pixels are computed
// side by side, without a branch between them: their loads are under way together.
template <int WIDE, int HIGH>
__device__ inline void compose(
    const Picture& picture, const Lattice& lattice, int x, int y, Rgba (&done)[HIGH * WIDE]
) {
    float x_px[WIDE * HIGH], y_px[WIDE * HIGH];
    float2 flow[WIDE * HIGH];
#pragma unroll
    for (int i = 0; i < WIDE * HIGH; ++i) {
        x_px[i] = static_cast<float>(x + i % WIDE);
        y_px[i] = static_cast<float>(y + i / WIDE);
    }
    if (const Line* line = line_at(picture, x, y)) {
        for (int i = 0; i < WIDE * HIGH; ++i) {
            flow[i] = joined_flow(picture, lattice, *line, x_px[i], y_px[i]);
        }
    } else {
#pragma unroll
        for (int i = 0; i < WIDE * HIGH; ++i) {
            flow[i] = sample(picture.flows, lattice_taps(lattice, x_px[i], y_px[i]));
        }
    }
    unsigned far[WIDE * HIGH] = {};
    if (picture.behind != nullptr) {
#pragma unroll
        for (int row = 0; row < HIGH; ++row) {
            load_behind<WIDE>(picture, x, y + row, far + row * WIDE);
        }
    }
#pragma unroll
    for (int i = 0; i < WIDE * HIGH; ++i) {
        done[i] = warped(
            picture.source, picture.source_width, picture.source_height, picture.scale, flow[i],
            x_px[i], y_px[i]
        );
    }
    for (int n = 0; n < picture.patch_count; ++n) {
        const Patch patch = picture.patches[n];
        const int left = x - patch.x, top = y - patch.y;
        if (left <= -WIDE || left >= patch.width || top <= -HIGH || top >= patch.height) continue;
#pragma unroll
        for (int i = 0; i < WIDE * HIGH; ++i) {
            const int column = left + i % WIDE, row = top + i / WIDE;
            if (column < 0 || column >= patch.width || row < 0 || row >= patch.height) continue;
            const int place = row * patch.width + column;
            const int alpha = patch.alpha == nullptr ? 255 : patch.alpha[place];
            const unsigned char* over = patch.rgb + 3 * place;
            done[i].r = laid_over(done[i].r, over[0], alpha);
            done[i].g = laid_over(done[i].g, over[1], alpha);
            done[i].b = laid_over(done[i].b, over[2], alpha);
        }
    }
    if (picture.behind == nullptr) return;
#pragma unroll
    for (int i = 0; i < WIDE * HIGH; ++i) {
        const int alpha = done[i].a;
        done[i].r = laid_between(done[i].r, alpha, far[i] & 0xFF);
        done[i].g = laid_between(done[i].g, alpha, far[i] >> 8 & 0xFF);
        done[i].b = laid_between(done[i].b, alpha, far[i] >> 16 & 0xFF);
    }
}

// A window of each picture as (height, width, 3): what a network is shown.
extern "C" __global__ void warp_composite_rgb(
    const Picture* pictures, int side, int plane, float step_px, int width, int height
) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x;
    const int y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    const Picture picture = pictures[blockIdx.z];
    const Lattice lattice = {side, plane, 1.0f / step_px};
    Rgba done[1];
    compose<1, 1>(picture, lattice, picture.x + x, picture.y + y, done);
    unsigned char* out = picture.out + 3 * (static_cast<size_t>(y) * width + x);
    out[0] = done[0].r;
    out[1] = done[0].g;
    out[2] = done[0].b;
}

// The same as I420, of even sizes: a block of 2x2 pixels a thread, and RGB is never stored.
extern "C" __global__ void warp_composite_i420(
    const Picture* pictures, int side, int plane, float step_px, int width, int height
) {
    const int x = 2 * (blockIdx.x * blockDim.x + threadIdx.x);
    const int y = 2 * (blockIdx.y * blockDim.y + threadIdx.y);
    if (x >= width || y >= height) return;
    const Picture picture = pictures[blockIdx.z];
    const Lattice lattice = {side, plane, 1.0f / step_px};
    Rgba done[4];
    compose<2, 2>(picture, lattice, picture.x + x, picture.y + y, done);
#pragma unroll
    for (int row = 0; row < 2; ++row) {
        const Rgba a = done[2 * row], b = done[2 * row + 1];
        const size_t place = static_cast<size_t>(y + row) * width + x;
        *reinterpret_cast<uchar2*>(picture.out + place) =
            make_uchar2(luma(a.r, a.g, a.b), luma(b.r, b.g, b.b));
        if (picture.alpha != nullptr) {
            *reinterpret_cast<uchar2*>(picture.alpha + place) = make_uchar2(a.a, b.a);
        }
    }
    const size_t area = static_cast<size_t>(width) * height;
    const size_t place = static_cast<size_t>(y / 2) * (width / 2) + x / 2;
    const Rgba first = done[0];
    picture.out[area + place] = chroma_u(first.r, first.g, first.b);
    picture.out[area + area / 4 + place] = chroma_v(first.r, first.g, first.b);
}
