// Where a face parts: lines of landmarks, and bilinear sampling of fields on a lattice.
#pragma once

constexpr int LINE_POINTS = 16;

struct Area {
    int left, top, right, bottom;
};

// Laid out as kernels.gpu.LINE.
struct Line {
    int count;
    Area window;     // pixels in which both fields are joined at full resolution
    Area stretched;  // cells in which the upper field is solved anew, in short steps
    float fade_px;   // how far below the line the lower field fades out; 0: never
    float level_px;  // mean height of the points
    float x[LINE_POINTS], y[LINE_POINTS];
};

__device__ inline bool holds(const Area& area, int x, int y) {
    return x >= area.left && x < area.right && y >= area.top && y < area.bottom;
}

__device__ inline float clamped(float value, float low, float high) {
    return fminf(fmaxf(value, low), high);
}

// 1 below a line, 0 above, softer beyond its ends; fading with the distance where the line does.
__device__ inline float share_below(const Line& line, float x, float y, float soft_px) {
    const int last = line.count - 1;
    float height = line.y[last];
    if (x < line.x[0]) {
        height = line.y[0];
    } else if (x < line.x[last]) {
        int k = 0;
        while (x >= line.x[k + 1]) ++k;
        const float slope = (line.y[k + 1] - line.y[k]) / (line.x[k + 1] - line.x[k]);
        height = slope * (x - line.x[k]) + line.y[k];
    }
    const float beyond = fmaxf(fmaxf(line.x[0] - x, x - line.x[last]), 0.0f);
    float share = clamped((y - height) / (soft_px + 0.8f * beyond) + 0.5f, 0.0f, 1.0f);
    if (line.fade_px > 0.0f) {
        const float beside = clamped(1.0f - beyond / (0.4f * line.fade_px), 0.0f, 1.0f);
        const float under = clamped(1.0f - (y - line.level_px) / line.fade_px, 0.0f, 1.0f);
        const float near = beside * under;
        share = share * (near * near * (3.0f - 2.0f * near));
    }
    return share;
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

__device__ inline float2 sample(const float2* field, float x, float y, int side) {
    return sample(field, taps_around(x, y, side, side));
}

__device__ inline float2 mixed(float2 a, float2 b, float share) {
    return make_float2(mixed(a.x, b.x, share), mixed(a.y, b.y, share));
}
