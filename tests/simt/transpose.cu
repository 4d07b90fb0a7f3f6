/* out[x][y] = in[y][x]: tiles of 32 x 32 through shared memory, whose rows are one element longer than they hold, so that
 * a column lies in 32 banks. Blocks of 32 x 8. */
extern "C" __global__ void __launch_bounds__(256) transpose(float *out, const float *in, int rows, int columns)
{
    __shared__ float tile[32][32 + 1];
    int x = (int)(blockIdx.x * 32 + threadIdx.x), y = (int)(blockIdx.y * 32);
    for (int i = threadIdx.y; i < 32; i += 8)
        tile[i][threadIdx.x] = y + i < rows && x < columns ? in[(y + i) * columns + x] : 0;
    __syncthreads();
    x = (int)(blockIdx.y * 32 + threadIdx.x), y = (int)(blockIdx.x * 32);
    for (int i = threadIdx.y; i < 32; i += 8)
        if (x < rows && y + i < columns) out[(y + i) * rows + x] = tile[threadIdx.x][i];
}
