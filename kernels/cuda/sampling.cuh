// Bilinear sampling: of fields on a lattice, which can be inverted, and of pictures of bytes.
#pragma once

__device__ inline float clamped(float value, float low, float high) {
    return fminf(fmaxf(value, low), high);
}

struct Taps {
    int at[4];
    float right, down;
};

// The four cells around a place and its share of the way to the next; edges are repeated, and
// places that are no number count as an edge.
__device__ inline Taps taps_around(float x, float y, int width, int height) {
    x = clamped(x, 0.0f, static_cast<float>(width - 1));
    y = clamped(y, 0.0f, static_cast<float>(height - 1));
    const int left = static_cast<int>(x), top = static_cast<int>(y);
    const int right = left + 1 < width ? left + 1 : left;
    const int bottom = top + 1 < height ? top + 1 : top;
    Taps taps;
    taps.at[0] = top * width + left;
    taps.at[1] = top * width + right;
    taps.at[2] = bottom * width + left;
    taps.at[3] = bottom * width + right;
    taps.right = x - static_cast<float>(left);
    taps.down = y - static_cast<float>(top);
    return taps;
}

__device__ inline float mixed(float a, float b, float share) { return a + (b - a) * share; }

__device__ inline float bilinear(float a, float b, float c, float d, const Taps& taps) {
    return mixed(mixed(a, b, taps.right), mixed(c, d, taps.right), taps.down);
}

__device__ inline float2 sample(const float2* field, const Taps& taps) {
    const float2 a = field[taps.at[0]], b = field[taps.at[1]];
    const float2 c = field[taps.at[2]], d = field[taps.at[3]];
    return make_float2(bilinear(a.x, b.x, c.x, d.x, taps), bilinear(a.y, b.y, c.y, d.y, taps));
}

__device__ inline float2 mixed(float2 a, float2 b, float share) {
    return make_float2(mixed(a.x, b.x, share), mixed(a.y, b.y, share));
}

// Displacements on a square lattice.
struct Forward {
    const float2* at;
    int side;

    __device__ inline float2 operator()(float x, float y) const {
        return sample(at, taps_around(x, y, side, side));
    }
};

// s with s + D(s) = p, by relaxed fixed-point steps, in cells: s - p.
template <class Field>
__device__ inline float2 inverse(
    const Field& forward, float x, float y, float to_lattice, int steps, float relax
) {
    const float kept = 1.0f - relax;
    float at_x = x, at_y = y;
    for (int step = 0; step < steps; ++step) {
        const float2 moved = forward(at_x, at_y);
        at_x = at_x * kept + (x - moved.x * to_lattice) * relax;
        at_y = at_y * kept + (y - moved.y * to_lattice) * relax;
    }
    return make_float2(at_x - x, at_y - y);
}

struct Rgba {
    int r, g, b, a;
};

// Bytes become floats by their bits, 2^23 too large, and floats whole numbers by adding as much:
// exact, rounded to even as rintf rounds, and several times as quick as conversions.
constexpr float LIFT = 8388608.0f;
constexpr unsigned LIFT_BITS = 0x4B000000u;

__device__ inline float lifted(unsigned word, int byte) {
    return __uint_as_float(__byte_perm(word, LIFT_BITS, 0x7540u | byte));
}

__device__ inline int rounded(float value) { return __float_as_uint(value + LIFT) & 0xFF; }

__device__ inline float mixed_lifted(float a, float b, float share) {
    return (a - LIFT) + (b - a) * share;
}

__device__ inline Rgba sample(const unsigned* source, const Taps& taps) {
    const unsigned a = source[taps.at[0]], b = source[taps.at[1]];
    const unsigned c = source[taps.at[2]], d = source[taps.at[3]];
    int found[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const float over = mixed_lifted(lifted(a, i), lifted(b, i), taps.right);
        const float under = mixed_lifted(lifted(c, i), lifted(d, i), taps.right);
        found[i] = rounded(mixed(over, under, taps.down));
    }
    return {found[0], found[1], found[2], found[3]};
}

// A picture's pixel, from where a flow says; the source has `scale` pixels for one of the picture's.
__device__ inline Rgba warped(
    const unsigned* source, int width, int height, float scale, float2 flow, float x, float y
) {
    const float middle = (scale - 1.0f) / 2.0f;
    const Taps taps = taps_around(
        flow.x * scale + (x * scale + middle), flow.y * scale + (y * scale + middle), width, height
    );
    return sample(source, taps);
}
