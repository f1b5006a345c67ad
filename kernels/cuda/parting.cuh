// Where a face parts: lines of landmarks.
#pragma once
#include "sampling.cuh"

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
