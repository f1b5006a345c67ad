// Coarse backward flow to finished pixels, for a batch of sessions; kernels/plain/warp_composite.py
// is the same in NumPy. One pass: enlarge and join the flow, sample the portrait, lay patches over.
#include "i420.cuh"
#include "parting.cuh"

// Laid out as kernels.gpu.PATCH.
struct Patch {
    const uchar4* rgba;
    int x, y, width, height;
};

// Laid out as kernels.gpu.PICTURE.
struct Picture {
    const uchar4* source;  // (source_height, source_width) RGBA, for its 4-byte loads
    const float2* flows;   // (3, plane): joined, upper, lower
    const Line* lines;
    const Patch* patches;
    unsigned char* out;
    int source_width, source_height;
    float scale;  // source pixels a picture's pixel
    int line_count, patch_count;
    int x, y;  // the picture's pixel that comes out first
    int unused;
};

struct Lattice {
    int side, plane, step_px;
};

// A hard edge: a mean of both flows would sample what lies between the rims.
constexpr float EDGE_PX = 0.05f;

__device__ inline float2 flow_at(const Picture& picture, const Lattice& lattice, int x, int y) {
    const float step = static_cast<float>(lattice.step_px);
    const float x_px = static_cast<float>(x), y_px = static_cast<float>(y);
    const Taps taps = taps_around(
        (x_px + 0.5f) / step - 0.5f, (y_px + 0.5f) / step - 0.5f, lattice.side, lattice.side
    );
    for (int i = picture.line_count - 1; i >= 0; --i) {
        const Line& line = picture.lines[i];
        if (holds(line.window, x / lattice.step_px, y / lattice.step_px)) {
            const float2 over = sample(picture.flows + lattice.plane, taps);
            const float2 under = sample(picture.flows + 2 * lattice.plane, taps);
            return mixed(over, under, share_below(line, x_px, y_px, EDGE_PX));
        }
    }
    return sample(picture.flows, taps);
}

__device__ inline uchar4 laid_over(uchar4 under, uchar4 over) {
    const int a = over.w, kept = 255 - a;
    under.x = (under.x * kept + over.x * a + 127) / 255;
    under.y = (under.y * kept + over.y * a + 127) / 255;
    under.z = (under.z * kept + over.z * a + 127) / 255;
    return under;
}

__device__ inline unsigned char rounded(float value) {
    return static_cast<unsigned char>(rintf(value));
}

__device__ inline uchar4 warped(const Picture& picture, const Lattice& lattice, int x, int y) {
    const float2 flow = flow_at(picture, lattice, x, y);
    const float scale = picture.scale, middle = (scale - 1.0f) / 2.0f;
    const Taps taps = taps_around(
        flow.x * scale + (static_cast<float>(x) * scale + middle),
        flow.y * scale + (static_cast<float>(y) * scale + middle),
        picture.source_width, picture.source_height
    );
    const uchar4 a = picture.source[taps.at[0]], b = picture.source[taps.at[1]];
    const uchar4 c = picture.source[taps.at[2]], d = picture.source[taps.at[3]];
    return make_uchar4(
        rounded(bilinear(a.x, b.x, c.x, d.x, taps)), rounded(bilinear(a.y, b.y, c.y, d.y, taps)),
        rounded(bilinear(a.z, b.z, c.z, d.z, taps)), 255
    );
}

// A block of pixels, patches laid over. All are warped first: their loads are under way together.
template <int WIDE, int HIGH>
__device__ inline void compose(
    const Picture& picture, const Lattice& lattice, int x, int y, uchar4 (&done)[HIGH][WIDE]
) {
#pragma unroll
    for (int i = 0; i < WIDE * HIGH; ++i) {
        done[i / WIDE][i % WIDE] = warped(picture, lattice, x + i % WIDE, y + i / WIDE);
    }
    for (int n = 0; n < picture.patch_count; ++n) {
        const Patch patch = picture.patches[n];
#pragma unroll
        for (int i = 0; i < WIDE * HIGH; ++i) {
            const int column = x + i % WIDE - patch.x, row = y + i / WIDE - patch.y;
            if (column >= 0 && column < patch.width && row >= 0 && row < patch.height) {
                uchar4& under = done[i / WIDE][i % WIDE];
                under = laid_over(under, patch.rgba[row * patch.width + column]);
            }
        }
    }
}

// A window of each picture as (height, width, 3): what a network is shown.
extern "C" __global__ void warp_composite_rgb(
    const Picture* pictures, int side, int plane, int step_px, int width, int height
) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x;
    const int y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    const Picture picture = pictures[blockIdx.z];
    uchar4 done[1][1];
    compose<1, 1>(picture, {side, plane, step_px}, picture.x + x, picture.y + y, done);
    unsigned char* out = picture.out + 3 * (static_cast<size_t>(y) * width + x);
    out[0] = done[0][0].x;
    out[1] = done[0][0].y;
    out[2] = done[0][0].z;
}

// The same as I420, of even sizes: a block of 2x2 pixels a thread, and RGB is never stored.
extern "C" __global__ void warp_composite_i420(
    const Picture* pictures, int side, int plane, int step_px, int width, int height
) {
    const int x = 2 * (blockIdx.x * blockDim.x + threadIdx.x);
    const int y = 2 * (blockIdx.y * blockDim.y + threadIdx.y);
    if (x >= width || y >= height) return;
    const Picture picture = pictures[blockIdx.z];
    uchar4 done[2][2];
    compose<2, 2>(picture, {side, plane, step_px}, picture.x + x, picture.y + y, done);
#pragma unroll
    for (int row = 0; row < 2; ++row) {
        const uchar4 a = done[row][0], b = done[row][1];
        *reinterpret_cast<uchar2*>(picture.out + static_cast<size_t>(y + row) * width + x) =
            make_uchar2(luma(a.x, a.y, a.z), luma(b.x, b.y, b.z));
    }
    const size_t area = static_cast<size_t>(width) * height;
    const size_t place = static_cast<size_t>(y / 2) * (width / 2) + x / 2;
    const uchar4 first = done[0][0];
    picture.out[area + place] = chroma_u(first.x, first.y, first.z);
    picture.out[area + area / 4 + place] = chroma_v(first.x, first.y, first.z);
}
