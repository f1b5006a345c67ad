// From drivers to backward flow on the lattice, for a batch of faces; kernels/plain/guide.py is
// the same in NumPy. Two launches: a field must stand before it can be inverted.
#include "parting.cuh"

// Laid out as kernels.gpu.FACE.
struct Face {
    const float* fields;   // (2, N, plane): reach of each driver, upper field and lower field
    const float* drivers;  // (N, 2)
    const Line* lines;     // the mouth's first, then the eyes'
    float2* forward;       // (2, plane)
    float2* flows;         // (3, plane): joined, upper, lower
    int line_count;
    int unused;
};

// Four points a thread: `plane` is a multiple of 4, so that they are one 16-byte load a driver.
extern "C" __global__ void guide_forward(const Face* faces, int drivers, int plane) {
    const int point = 4 * (blockIdx.x * blockDim.x + threadIdx.x);
    if (point >= plane) return;
    const Face face = faces[blockIdx.z];
    const float* field = face.fields + blockIdx.y * static_cast<size_t>(drivers) * plane + point;
    float x[4] = {}, y[4] = {};
    for (int n = 0; n < drivers; ++n) {
        const float4 reach = *reinterpret_cast<const float4*>(field + static_cast<size_t>(n) * plane);
        const float right = face.drivers[2 * n], down = face.drivers[2 * n + 1];
        x[0] = x[0] + reach.x * right;
        y[0] = y[0] + reach.x * down;
        x[1] = x[1] + reach.y * right;
        y[1] = y[1] + reach.y * down;
        x[2] = x[2] + reach.z * right;
        y[2] = y[2] + reach.z * down;
        x[3] = x[3] + reach.w * right;
        y[3] = y[3] + reach.w * down;
    }
    float4* out = reinterpret_cast<float4*>(face.forward + blockIdx.y * plane + point);
    out[0] = make_float4(x[0], y[0], x[1], y[1]);
    out[1] = make_float4(x[2], y[2], x[3], y[3]);
}

__device__ inline float2 scaled(float2 a, float by) { return make_float2(a.x * by, a.y * by); }

extern "C" __global__ void guide_backward(
    const Face* faces, int side, int plane, float step_px, int steps, int eye_steps, float eye_relax
) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x;
    const int row = blockIdx.y * blockDim.y + threadIdx.y;
    if (column >= side || row >= side) return;
    const Face face = faces[blockIdx.z];
    const Forward rises = {face.forward, side}, falls = {face.forward + plane, side};
    const float x = static_cast<float>(column), y = static_cast<float>(row);
    const float to_lattice = 1.0f / step_px;
    float2 upper = scaled(inverse(rises, x, y, to_lattice, steps, 1.0f), step_px);
    const float2 lower = scaled(inverse(falls, x, y, to_lattice, steps, 1.0f), step_px);

    float2 joined = upper;
    if (face.line_count > 0) {
        const float middle = 0.5f * step_px - 0.5f;
        const float x_px = x * step_px + middle, y_px = y * step_px + middle;
        joined = mixed(upper, lower, share_below(face.lines[0], x_px, y_px, step_px));
    }
    // A falling lid stretches the skin most: there the upper field is solved anew, in short steps.
    for (int i = 0; i < face.line_count; ++i) {
        if (holds(face.lines[i].stretched, column, row)) {
            upper = scaled(inverse(rises, x, y, to_lattice, eye_steps, eye_relax), step_px);
            break;
        }
    }
    const int place = row * side + column;
    face.flows[place] = joined;
    face.flows[plane + place] = upper;
    face.flows[2 * plane + place] = lower;
}
