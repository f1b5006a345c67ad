// What shows between the lips, for a batch of faces, as patches: plates of tongue and teeth in a
// dark cavity; kernels/plain/plates.py is the same in NumPy.
#include "rim.cuh"

// Laid out as kernels.gpu.PLATE.
struct Plate {
    const float4* rgba;  // (height, width), 0 to 255, colours multiplied by alpha
    int width, height;
    float place[6];  // rows of the matrix that takes (x, y, 1) of the picture to the plate
};

// Laid out as kernels.gpu.MOUTH.
struct Mouth {
    const Plate* plates;  // from the back to the front
    const float2* rim;
    unsigned char* rgb;    // (height, width, 3) to be written
    unsigned char* alpha;  // (height, width) to be written
    int plate_count, rim_count;
    int x, y, width, height;  // in the picture
    float deep_px;  // how far from the lips all light arrives
    float light;
    float tint[3];  // colours are divided by it
    int unused;
};

__device__ constexpr float CAVITY[3] = {46.0f, 17.0f, 16.0f};
// The CPU's path counts whole pixels from the first that is dark, at most 3 % short, and blurs the
// light: its kinks become round over so many pixels on either side.
constexpr float STEP = 0.96f, FIRST_PX = 1.0f, ROUND_PX = 1.9f;

// What of a plate is at a whole place, nothing beyond its edges.
__device__ inline float4 texel(const Plate& plate, int x, int y) {
    if (x < 0 || x >= plate.width || y < 0 || y >= plate.height) {
        return make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    }
    return plate.rgba[y * plate.width + x];
}

__device__ inline void lay(const Plate& plate, float x, float y, float (&rgb)[3]) {
    const float* m = plate.place;
    const float across = m[0] * x + m[1] * y + m[2], down = m[3] * x + m[4] * y + m[5];
    // Written so that places that are no number lie outside.
    const bool inside = across > -1.0f && across < static_cast<float>(plate.width) &&
                        down > -1.0f && down < static_cast<float>(plate.height);
    if (!inside) return;
    const float left = floorf(across), top = floorf(down);
    const int column = static_cast<int>(left), row = static_cast<int>(top);
    Taps taps = {};
    taps.right = across - left;
    taps.down = down - top;
    const float4 a = texel(plate, column, row), b = texel(plate, column + 1, row);
    const float4 c = texel(plate, column, row + 1), d = texel(plate, column + 1, row + 1);
    const float kept = 1.0f - bilinear(a.w, b.w, c.w, d.w, taps) / 255.0f;
    rgb[0] = rgb[0] * kept + bilinear(a.x, b.x, c.x, d.x, taps);
    rgb[1] = rgb[1] * kept + bilinear(a.y, b.y, c.y, d.y, taps);
    rgb[2] = rgb[2] * kept + bilinear(a.z, b.z, c.z, d.z, taps);
}

// 0 below 0, itself above, round between.
__device__ inline float ramp(float value) {
    const float risen = clamped(value + ROUND_PX, 0.0f, 2.0f * ROUND_PX);
    return risen * risen / (4.0f * ROUND_PX) + fmaxf(value - ROUND_PX, 0.0f);
}

// How much light arrives, from 0 at the lips to 1.
__device__ inline float depth(const Distances& found, float deep_px) {
    const float nearest = fminf(found.upper, found.lower), soft = 2.0f * ROUND_PX;
    const float lacking = fmaxf(soft - fabsf(found.upper - found.lower), 0.0f);
    const float inside_px = (found.inside ? nearest : -nearest) - lacking * lacking / (4.0f * soft);
    const float away = inside_px * STEP + FIRST_PX;
    return (ramp(away) - ramp(away - deep_px)) / deep_px;
}

extern "C" __global__ void plates(const Mouth* mouths) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x;
    const int row = blockIdx.y * blockDim.y + threadIdx.y;
    const Mouth mouth = mouths[blockIdx.z];
    if (column >= mouth.width || row >= mouth.height) return;
    const float x = static_cast<float>(mouth.x + column), y = static_cast<float>(mouth.y + row);
    float rgb[3] = {CAVITY[0], CAVITY[1], CAVITY[2]};
    for (int i = 0; i < mouth.plate_count; ++i) lay(mouth.plates[i], x, y, rgb);
    const Rim rim = {mouth.rim, mouth.rim_count};
    const Distances found = distances(rim, x, y);
    const float shade = (0.45f + 0.55f * depth(found, mouth.deep_px)) * mouth.light;
    const int place = row * mouth.width + column;
    for (int i = 0; i < 3; ++i) {
        const float lit = clamped(CAVITY[i] + (rgb[i] - CAVITY[i]) * shade, 0.0f, 255.0f);
        const float whole = static_cast<float>(static_cast<int>(lit));
        mouth.rgb[3 * place + i] = static_cast<int>(fminf(whole / mouth.tint[i], 255.0f));
    }
    mouth.alpha[place] = rounded(coverage(found));
}
