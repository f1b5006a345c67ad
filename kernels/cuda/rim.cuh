// What a rim encloses: a closed line of points, the upper ones from left to right, then as many
// lower ones from right to left.
#pragma once
#include "sampling.cuh"

struct Rim {
    const float2* points;
    int count;
};

// How far a place is from both halves of a rim, pixels, and whether it is enclosed.
struct Distances {
    float upper, lower;
    bool inside;
};

__device__ inline float squared_distance(float2 from, float2 to, float x, float y) {
    const float along_x = to.x - from.x, along_y = to.y - from.y;
    const float length = along_x * along_x + along_y * along_y;
    const float right = x - from.x, down = y - from.y;
    float share = 0.0f;
    if (length > 0.0f) {
        share = clamped((right * along_x + down * along_y) / length, 0.0f, 1.0f);
    }
    const float away_x = right - share * along_x, away_y = down - share * along_y;
    return away_x * away_x + away_y * away_y;
}

__device__ inline Distances distances(const Rim& rim, float x, float y) {
    const int half = rim.count / 2;
    float least[2] = {3.0e38f, 3.0e38f};
    bool inside = false;
    for (int i = 0; i < rim.count; ++i) {
        const float2 from = rim.points[i], to = rim.points[i + 1 < rim.count ? i + 1 : 0];
        float& nearest = least[i < half ? 0 : 1];
        nearest = fminf(nearest, squared_distance(from, to, x, y));
        if ((from.y > y) != (to.y > y)) {
            const float share = (y - from.y) / (to.y - from.y);
            if (x < (to.x - from.x) * share + from.x) inside = !inside;
        }
    }
    return {sqrtf(least[0]), sqrtf(least[1]), inside};
}

// How much of a pixel a rim covers, 0 to 255, by how far inside its middle is: the means over many
// rims of what kernels/rim.py draws, every half pixel from -COVERED_PX.
constexpr float COVERED_PX = 3.0f;
constexpr int COVERED = 11;
__device__ constexpr float COVERAGE[COVERED] = {
    0.0f, 4.0f, 8.0f, 38.0f, 79.0f, 146.0f, 208.0f, 233.0f, 253.0f, 255.0f, 255.0f
};

__device__ inline float coverage(const Distances& found) {
    const float nearest = fminf(found.upper, found.lower);
    const float at = clamped(
        (found.inside ? nearest : -nearest) * 2.0f + 2.0f * COVERED_PX, 0.0f, COVERED - 1.0f
    );
    const int k = static_cast<int>(fminf(at, COVERED - 2.0f));
    return mixed(COVERAGE[k], COVERAGE[k + 1], at - static_cast<float>(k));
}
