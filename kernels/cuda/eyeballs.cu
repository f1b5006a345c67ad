// Eyeballs behind their lids, for a batch of faces, as patches; kernels/plain/eyeballs.py is the
// same in NumPy. They follow the head's pose alone, turned around the iris by their gaze.
#include "rim.cuh"

// Laid out as kernels.gpu.EYEBALL.
struct Eyeball {
    const unsigned* source;  // (source_height, source_width) RGBA
    const float4* head;      // (side, side): reach of the pose's four drivers
    const float2* drivers;   // (4)
    const float2* rim;
    unsigned char* rgb;    // (height, width, 3) to be written
    unsigned char* alpha;  // (height, width) to be written
    int source_width, source_height;
    float scale;  // source pixels a picture's pixel
    int rim_count;
    int x, y, width, height;  // in the picture
    float iris_x, iris_y;
    float spread;  // twice the squared width of the bell in which a gaze moves the iris
    float gaze_x, gaze_y;
    float fade;
};

// Displacements of the head, summed where they are asked for: an eye needs few of a lattice's.
struct Head {
    const float4* reach;
    float2 by[4];
    int side;

    __device__ inline float2 moved(int place) const {
        const float4 r = reach[place];
        return make_float2(
            r.x * by[0].x + r.y * by[1].x + r.z * by[2].x + r.w * by[3].x,
            r.x * by[0].y + r.y * by[1].y + r.z * by[2].y + r.w * by[3].y
        );
    }

    __device__ inline float2 operator()(float x, float y) const {
        const Taps taps = taps_around(x, y, side, side);
        const float2 a = moved(taps.at[0]), b = moved(taps.at[1]);
        const float2 c = moved(taps.at[2]), d = moved(taps.at[3]);
        return make_float2(bilinear(a.x, b.x, c.x, d.x, taps), bilinear(a.y, b.y, c.y, d.y, taps));
    }
};

// e to the power of -t, t from 0: to 3e-7, and rounded alike wherever it is computed.
__device__ inline float bell(float t) {
    const float power = clamped(t * -1.44269504f, -126.0f, 0.0f);
    const float whole = floorf(power), part = power - whole;
    float value = 0.00189375f;
    value = value * part + 0.00894959f;
    value = value * part + 0.05586034f;
    value = value * part + 0.24014182f;
    value = value * part + 0.69315449f;
    value = value * part + 0.99999990f;
    return value * __uint_as_float(static_cast<unsigned>(static_cast<int>(whole) + 127) << 23);
}

extern "C" __global__ void eyeballs(const Eyeball* eyes, int side, float step_px, int steps) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x;
    const int row = blockIdx.y * blockDim.y + threadIdx.y;
    const Eyeball eye = eyes[blockIdx.z];
    if (column >= eye.width || row >= eye.height) return;
    const float x = static_cast<float>(eye.x + column), y = static_cast<float>(eye.y + row);
    Head head = {eye.head, {}, side};
    for (int i = 0; i < 4; ++i) head.by[i] = eye.drivers[i];
    const float to_lattice = 1.0f / step_px;
    const float2 way = inverse(
        head, (x + 0.5f) * to_lattice - 0.5f, (y + 0.5f) * to_lattice - 0.5f, to_lattice, steps,
        1.0f
    );
    const float aside = x - eye.iris_x, below = y - eye.iris_y;
    const float near = bell((aside * aside + below * below) / eye.spread);
    const float2 flow =
        make_float2(way.x * step_px - near * eye.gaze_x, way.y * step_px - near * eye.gaze_y);
    const Rgba seen =
        warped(eye.source, eye.source_width, eye.source_height, eye.scale, flow, x, y);
    const Rim rim = {eye.rim, eye.rim_count};
    const int place = row * eye.width + column;
    eye.rgb[3 * place] = seen.r;
    eye.rgb[3 * place + 1] = seen.g;
    eye.rgb[3 * place + 2] = seen.b;
    eye.alpha[place] = rounded(coverage(distances(rim, x, y)) * eye.fade);
}
