// The window that a network is shown, and the window that its picture makes, for a batch of
// sessions; kernels/plain/look.py is the same in NumPy. Four launches: where it may paint, blurred
// along rows; then along columns, brought to the network's size; and back again.

// Laid out as kernels.gpu.LOOK.
struct Look {
    const unsigned char* window;  // (height, width, 3)
    const float2* hull;           // convex, in the window's pixels
    const float* taps;            // (2 * reach + 1) of the blur
    float* rows;                  // (height, width), blurred along rows
    float* may;                   // (height, width), blurred: where it may paint
    float* guide;                 // (3, seen_height, seen_width)
    float* region;                // (seen_height, seen_width)
    const float* made;            // (3, seen_height, seen_width), what the network gave
    unsigned char* out;           // (height, width, 3)
    int hull_count, reach;
    float rim_px;
    float gains[3];
};

struct Size {
    int width, height;
};

// Distance to a segment, squared.
__device__ inline float apart(float2 from, float2 to, float x, float y) {
    const float along_x = to.x - from.x, along_y = to.y - from.y;
    const float beside_x = x - from.x, beside_y = y - from.y;
    const float length = along_x * along_x + along_y * along_y;
    float share = 0.0f;
    if (length > 0.0f) share = (beside_x * along_x + beside_y * along_y) / length;
    share = fminf(fmaxf(share, 0.0f), 1.0f);
    const float off_x = beside_x - share * along_x, off_y = beside_y - share * along_y;
    return off_x * off_x + off_y * off_y;
}

// 1 within the outline and a rim around it, 0 beyond, over a pixel; OpenCV fills the pixels that an
// outline touches, half a pixel more.
__device__ inline float within(const Look& look, float x, float y) {
    float nearest = 3.0e38f;
    bool left = false, right = false;
    for (int i = 0; i < look.hull_count; ++i) {
        const float2 from = look.hull[i];
        const float2 to = look.hull[i + 1 < look.hull_count ? i + 1 : 0];
        nearest = fminf(nearest, apart(from, to, x, y));
        const float side = (to.x - from.x) * (y - from.y) - (to.y - from.y) * (x - from.x);
        left = left || side > 0.0f;
        right = right || side < 0.0f;
    }
    const float outside = left && right ? sqrtf(nearest) : -sqrtf(nearest);
    return fminf(fmaxf(look.rim_px + 1.0f - outside, 0.0f), 1.0f);
}

__device__ inline int mirrored(int at, int count) {
    if (at < 0) at = -at;
    if (at >= count) at = 2 * count - 2 - at;
    return at < 0 ? 0 : at >= count ? count - 1 : at;
}

extern "C" __global__ void look_within(const Look* looks, int width, int height) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x;
    const int y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    const Look& look = looks[blockIdx.z];
    look.may[y * width + x] = within(look, static_cast<float>(x), static_cast<float>(y));
}

// From `may` to `rows`, along rows, or back along columns.
template <bool DOWN>
__device__ inline void blurred(const Look& look, Size size, int x, int y) {
    const float* given = DOWN ? look.rows : look.may;
    float sum = 0.0f;
    for (int i = -look.reach; i <= look.reach; ++i) {
        const int column = DOWN ? x : mirrored(x + i, size.width);
        const int row = DOWN ? mirrored(y + i, size.height) : y;
        sum = sum + look.taps[i + look.reach] * given[row * size.width + column];
    }
    (DOWN ? look.may : look.rows)[y * size.width + x] = sum;
}

extern "C" __global__ void look_blur_rows(const Look* looks, int width, int height) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x;
    const int y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x < width && y < height) blurred<false>(looks[blockIdx.z], {width, height}, x, y);
}

extern "C" __global__ void look_blur_columns(const Look* looks, int width, int height) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x;
    const int y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x < width && y < height) blurred<true>(looks[blockIdx.z], {width, height}, x, y);
}

// What of the pixels along an axis makes one at another size.
struct Span {
    int first, last;
    float begin, end;  // where it covers pixels
    float right;       // share of the last where it is between two; negative where it covers
};

// Between the two nearest.
__device__ inline Span between(int at, int from, int to) {
    Span span = {};
    const float scale = static_cast<float>(from) / static_cast<float>(to);
    const float middle = (static_cast<float>(at) + 0.5f) * scale - 0.5f;
    const float place = fminf(fmaxf(middle, 0.0f), static_cast<float>(from - 1));
    span.first = static_cast<int>(place);
    span.last = span.first + 1 < from ? span.first + 1 : span.first;
    span.right = place - static_cast<float>(span.first);
    return span;
}

// Those that it covers where there will be fewer, else the two nearest.
__device__ inline Span spanned(int at, int from, int to) {
    if (from <= to) return between(at, from, to);
    Span span = {};
    const float scale = static_cast<float>(from) / static_cast<float>(to);
    span.begin = static_cast<float>(at) * scale;
    span.end = span.begin + scale;
    span.first = static_cast<int>(span.begin);
    span.last = static_cast<int>(ceilf(span.end)) - 1;
    if (span.last > from - 1) span.last = from - 1;
    span.right = -1.0f;
    return span;
}

__device__ inline float weight(const Span& span, int at) {
    if (span.right >= 0.0f) {
        if (span.last == span.first) return 1.0f;
        return at == span.first ? 1.0f - span.right : span.right;
    }
    const float cell = static_cast<float>(at);
    const float covered = fminf(cell + 1.0f, span.end) - fmaxf(cell, span.begin);
    return covered / (span.end - span.begin);
}

template <class Read>
__device__ inline float resized(const Span& across, const Span& down, Read read) {
    float sum = 0.0f;
    for (int row = down.first; row <= down.last; ++row) {
        float line = 0.0f;
        for (int column = across.first; column <= across.last; ++column) {
            line = line + weight(across, column) * read(column, row);
        }
        sum = sum + weight(down, row) * line;
    }
    return sum;
}

// What the network is shown: the window's colours times the gains, and where it may paint, less
// towards the border.
extern "C" __global__ void look_seen(
    const Look* looks, const float* frame, int width, int height, int seen_width, int seen_height
) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x;
    const int y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= seen_width || y >= seen_height) return;
    const Look& look = looks[blockIdx.z];
    const Span across = spanned(x, width, seen_width), down = spanned(y, height, seen_height);
    const int place = y * seen_width + x, plane = seen_width * seen_height;
    for (int i = 0; i < 3; ++i) {
        const float colour = resized(across, down, [&](int column, int row) {
            return static_cast<float>(look.window[3 * (row * width + column) + i]);
        });
        look.guide[i * plane + place] = fminf(colour * (look.gains[i] / 127.5f) - 1.0f, 1.0f);
    }
    const float may = resized(across, down, [&](int column, int row) {
        return look.may[row * width + column];
    });
    look.region[place] = may * frame[place];
}

// The window plus the change that the network made, in the window's own pixels and light.
extern "C" __global__ void look_painted(
    const Look* looks, int width, int height, int seen_width, int seen_height
) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x;
    const int y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    const Look& look = looks[blockIdx.z];
    const Span across = between(x, seen_width, width), down = between(y, seen_height, height);
    const size_t place = static_cast<size_t>(y) * width + x;
    const bool may = look.may[place] > 0.0f;
    const int plane = seen_width * seen_height;
    for (int i = 0; i < 3; ++i) {
        const float change = resized(across, down, [&](int column, int row) {
            const int at = i * plane + row * seen_width + column;
            return (look.made[at] - look.guide[at]) / look.gains[i] * 127.5f;
        });
        float shown = static_cast<float>(look.window[3 * place + i]);
        const float most = 255.0f / look.gains[i];
        if (may && most < 255.0f) shown = fminf(shown, most);
        const float done = fminf(fmaxf(rintf(shown + change), 0.0f), 255.0f);
        look.out[3 * place + i] = static_cast<unsigned char>(done);
    }
}
