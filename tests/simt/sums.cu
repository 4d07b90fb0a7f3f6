/* The sum of each row, a block of 128 threads a row: every thread a part, a tree over shared memory, the last 32 by
 * shuffles. And the sum of all, which blocks add to as they end. */
extern "C" __global__ void __launch_bounds__(128) sums(float *sum, float *total, const float *in, int columns)
{
    __shared__ float part[128];
    int t = threadIdx.x;
    const float *row = in + blockIdx.x * columns;
    float x = 0;
    for (int i = t; i < columns; i += 128) x += row[i];
    part[t] = x;
    for (int n = 64; n >= 32; n /= 2) {
        __syncthreads();
        if (t < n) part[t] += part[t + n];
    }
    __syncthreads();
    x = part[t % 32];
    for (int n = 16; n; n /= 2) x += __shfl_xor_sync(0xffffffffu, x, n);
    if (t == 0) sum[blockIdx.x] = x;
    if (t == 0) atomicAdd(total, x);
}
