// Rows of float32 from wherever they lie to a network's memory and back, and a mean of two.

// Laid out as kernels.gpu.ROW.
struct Row {
    const float* from;
    float* into;
    int count;
    int unused;
};

extern "C" __global__ void rows_copy(const Row* rows) {
    const Row row = rows[blockIdx.y];
    const int step = gridDim.x * blockDim.x, vectors = row.count / 4;
    const int first = blockIdx.x * blockDim.x + threadIdx.x;
    // A network's memory and what kernels make begin at 16 bytes; rows of odd lengths need not.
    const bool whole = (reinterpret_cast<size_t>(row.from) | reinterpret_cast<size_t>(row.into)) % 16 == 0;
    int done = 0;
    if (whole) {
        const float4* from = reinterpret_cast<const float4*>(row.from);
        float4* into = reinterpret_cast<float4*>(row.into);
        for (int i = first; i < vectors; i += step) into[i] = from[i];
        done = 4 * vectors;
    }
    for (int i = done + first; i < row.count; i += step) row.into[i] = row.from[i];
}

// of_from times the first plus of_into times the second, into the second.
extern "C" __global__ void rows_mix(const Row* rows, float of_from, float of_into) {
    const Row row = rows[blockIdx.y];
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < row.count; i += gridDim.x * blockDim.x) {
        row.into[i] = row.from[i] * of_from + row.into[i] * of_into;
    }
}
