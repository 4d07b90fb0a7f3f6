/* out = a b, a of 32 x K, b of K x 32 stored by columns, both of halves: one block of 64 threads on the matrix units. Steps
 * of 32 along K are copied to a ring of STAGES buffers while older ones are multiplied. 16-byte pieces are swizzled, so
 * that the eight rows of a matrix lie in different banks. */
enum { STAGES = 3, STEP = 32, PIECES = STEP / 8 };

static __device__ __forceinline__ int place(int row, int piece)
{
    return (row * PIECES + (piece ^ row / 2 % PIECES)) * 8;
}

static __device__ __forceinline__ void copy_step(unsigned short *to, const unsigned short *from, int k, int step)
{
    for (int i = threadIdx.x; i < 32 * PIECES; i += 64)
        copy_async(to + place(i / PIECES, i % PIECES), from + i / PIECES * k + step * STEP + i % PIECES * 8);
}

extern "C" __global__ void __launch_bounds__(64) stream(float *out, const unsigned short *a, const unsigned short *b, int k)
{
    extern __shared__ __align__(128) unsigned short ring[];
    const int size = 32 * STEP, steps = k / STEP, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    float c[4][4] = {};
    for (int s = 0; s < STAGES - 1; s++) {
        if (s < steps) copy_step(ring + 2 * s * size, a, k, s), copy_step(ring + (2 * s + 1) * size, b, k, s);
        copy_commit();
    }
    for (int s = 0; s < steps; s++) {
        copy_wait<STAGES - 2>();
        __syncthreads();
        int next = s + STAGES - 1, into = next % STAGES * 2 * size;
        if (next < steps) copy_step(ring + into, a, k, next), copy_step(ring + into + size, b, k, next);
        copy_commit();
        const unsigned short *rows = ring + s % STAGES * 2 * size, *columns = rows + size;
        for (int h = 0; h < STEP / 16; h++) {
            unsigned x[4], y[4];
            load_matrices(x, rows + place(16 * warp + lane % 16, 2 * h + lane / 16));
            for (int j = 0; j < 2; j++) {
                load_matrices(y, columns + place(16 * j + lane / 16 * 8 + lane % 8, 2 * h + lane / 8 % 2));
                multiply_f16(c[2 * j], x, {y[0], y[1]});
                multiply_f16(c[2 * j + 1], x, {y[2], y[3]});
            }
        }
    }
    for (int j = 0; j < 4; j++)
        for (int i = 0; i < 4; i++)
            out[(16 * warp + lane / 4 + i / 2 * 8) * 32 + 8 * j + lane % 4 * 2 + i % 2] = c[j][i];
}
