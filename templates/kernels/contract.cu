/* Contractions on shared-memory tiles: Out[m, n] = sum over k of A[m, k] * B[k, n], as an implicit GEMM on blocked layouts
 * (16 channels of a pixel side by side). Convolution, Linear and their gradients are this kernel with other strides.
 *
 * A complete file: what is defined in front of it specialises it. The compiler defines everything.
 *   rows     m is a group of UNIT0*UNIT1 rows (a window of pooling; 16 channels; else one) and a place in it; groups
 *            count through GROUPS0 x GROUPS1 x GROUPS2 (images and pixels; taps and channels). Strides in A: GA, UA.
 *   columns  blocks of 16; BLOCKS of them, NB apart in B.
 *   k        blocks of 16. A_COLUMNS 0: the lanes of A (channels that are summed); blocks count through K0 x K1 x K2,
 *            strides in A and B: KA, KB; lanes of B are KB_LANE apart. A_COLUMNS 1: K0 x K1 x K2 are the single
 *            elements (images and pixels), A's lanes are rows.
 *   z        BATCH problems side by side (channel groups); SPLIT chunks of the reduction, CHUNK of K0 each.
 * A block of threads makes a BM x BN tile, a warp WM x WN of it. STAGES buffers of STEP k-blocks are filled by
 * asynchronous copies. Zero halos make tests of taps needless; rows and columns beyond the end are read at the last
 * valid place and not stored. Shared memory is permuted so that neither copies nor loads meet in a bank.
 * Then the accumulators go through shared memory to `tail`, the only generated text: 4 threads per 16 columns, so that
 * stores are vectors. SUMS things are summed over the rows on the way: a thread always meets the same columns and adds
 * to sums of its own; those of the threads are added up in a fixed order and go to TILE_SUMS[sum][tile][column], as tile
 * FIRST_TILE + blockIdx of SUM_TILES.
 * tf32: operands are cut to the 11 bits that tensor cores take; who stored them has rounded them (schedule_storage.c).
 * Rounding them where they are loaded costs more issue slots than there are: of a warp's 64x32, 16 products of a half
 * k-block have 24 operands, and NVRTC needs two instructions for a cvt.rna.tf32.f32, one for the addition that does the
 * same. Counted on sm_80, sm_90a and sm_120: 2.4 to 3.8 slots for an HMMA as it is, 3.0 more with cvt.rna, 1.5 more with
 * the addition; the budget is 4, in gradients of weights 5. */
#include "prelude.cuh"

/* MATH: what multiplies. fp32 units; or matrix units, on these types. */
#define MATH_SIMT 0
#define MATH_TF32 1
#define MATH_F16 2
#define MATH_BF16 3

#ifndef KERNEL /* as it stands: C = A * B of one tile, all blocked by 16 */
#define KERNEL contract
#define SPACE contract_space
#define PARAMETERS const float *__restrict__ a0, const float *__restrict__ a1, float *__restrict__ a2
#define ARGUMENTS a0, a1, a2
#define A a0
#define B a1
#define MATH MATH_SIMT
#define BM 64
#define BN 64
#define WM 32
#define WN 32
#define STAGES 3
#define STEP 1
#define A_COLUMNS 0
#define BASE_A 0
#define BASE_B 0
#define GROUPS0 64
#define GROUPS1 1
#define GROUPS2 1
#define GA0 64
#define GA1 0
#define GA2 0
#define UNIT0 1
#define UNIT1 1
#define UA0 0
#define UA1 0
#define BLOCKS 4
#define NB 1024
#define K0 4
#define K1 1
#define K2 1
#define KA0 16
#define KA1 0
#define KA2 0
#define KB0 256
#define KB1 0
#define KB2 0
#define KB_LANE 16
#define BATCH 1
#define BATCH_A 0
#define BATCH_B 0
#define SPLIT 1
#define CHUNK 4
#define SUMS 0
namespace SPACE {
DEVICE void tail(PARAMETERS, const float *sum, const int *place, const int *tile, int task)
{
    int lane = threadIdx.x % 4 * 4, group = task / (BN / 16), block = task % (BN / 16);
    float4 *to = (float4 *)&a2[(place[4 * group] * BLOCKS + tile[0] + block) * 16 + lane];
    *to = *(const float4 *)&sum[group * (BN + 8) + block * 16 + lane];
}
}
#endif

namespace SPACE {

#if MATH == MATH_F16 || MATH == MATH_BF16
typedef unsigned short Element;
#else
typedef float Element;
#endif

enum {
    WARPS_N = BN / WN,
    THREADS = BM / WM * WARPS_N * 32,
    RESIDENT = MATH == MATH_SIMT ? 384 / THREADS : 1, /* blocks at a time: 12 warps hide what each waits for */
    PIECE = 16 / sizeof(Element), /* elements that are copied at a time */
    PIECES = 16 / PIECE,          /* of a row of 16 */
    ROW_BYTES = 16 * sizeof(Element),
    A_BYTES = BM * ROW_BYTES,
    STEP_BYTES = (BM + BN) * ROW_BYTES,
    STAGE_BYTES = STEP * STEP_BYTES,
    PAIRS = MATH == MATH_TF32 && A_COLUMNS, /* a thread loads two rows at once, and stores them so */
    SUM_ROW = BN + (PAIRS ? 4 : 8), /* floats: rows that are stored at a time lie in different banks */
    SUM_BYTES = WM * SUM_ROW * 4,
    SLOTS = THREADS / 4, /* tasks at a time */
    SLOT_ROW = SLOTS * 16,
    TAIL_BYTES = SUM_BYTES + SUMS * SLOT_ROW * 4,
    PLACES_AT = STAGES * STAGE_BYTES > TAIL_BYTES ? STAGES * STAGE_BYTES : TAIL_BYTES,
    UNIT = UNIT0 * UNIT1,
    TILE_GROUPS = BM / UNIT,
    GROUPS = GROUPS0 * GROUPS1 * GROUPS2,
    TILES_N = (BLOCKS * 16 + BN - 1) / BN,
    A_COPIES = BM * PIECES / THREADS,
    B_COPIES = BN * PIECES / THREADS,
    HALVES = MATH == MATH_TF32 ? 2 : 1, /* products of a k-block */
    COPY_AT = HALVES == 1 ? STEP / 2 : 0, /* at which products of a stage a later one is copied: the fewest slots */
    COPY_ROWS = THREADS / PIECES, /* rows of 16 that the block copies at a time */
};
static_assert(A_COPIES * COPY_ROWS == BM && B_COPIES * COPY_ROWS == BN && COPY_ROWS % 16 == 0, "threads and tile");
static_assert(SLOTS % (BN / 16) == 0, "a thread of the tail has always the same columns");
static_assert(BM % UNIT == 0 && WM % UNIT == 0 && WM % 16 == 0 && WN % 16 == 0, "tile");

/* ---- where things lie in shared memory ---- */

/* Row r of A, k along the row: 8 rows at the same piece lie in different banks. */
DEVICE int row_piece(int r, int piece)
{
    return r * ROW_BYTES + (piece ^ (PIECES == 4 ? r >> 1 & 3 : r >> 2 & 1)) * 16;
}

/* Row r (block r / 16, k = r % 16) of B, 16 columns along the row. Four k in a row at the same columns lie in different
 * banks; where vectors of columns are read (fp32 units), neighbouring blocks at the same k as well. */
DEVICE int column_piece(int r, int piece)
{
    if (PIECES == 2) return row_piece(r, piece);
    return (MATH == MATH_SIMT ? r ^ (r >> 4 & 1) : r) * 64 + (piece ^ (r & 2)) * 16;
}

/* ---- rows of A ---- */

struct Group {
    int i[3];
};

DEVICE Group group_of(int g)
{
    return {{g / (GROUPS1 * GROUPS2), g / GROUPS2 % GROUPS1, g % GROUPS2}};
}

DEVICE int row_offset(int group, int row)
{
    Group g = group_of(group < GROUPS ? group : GROUPS - 1);
    return g.i[0] * GA0 + g.i[1] * GA1 + g.i[2] * GA2 + row / UNIT1 * UA0 + row % UNIT1 * UA1;
}

/* ---- the reduction, in order ---- */

/* Block by block, STEP of them at a time where that divides the innermost count; the same for all threads. */
struct BlockWalk {
    enum { STRIDE = K2 % STEP ? 1 : STEP };
    int a, b, i1, i2, left; /* left: blocks */

    DEVICE_MEMBER void next()
    {
        a += STRIDE * KA2, b += STRIDE * KB2, left -= STRIDE;
        if (K2 > STRIDE && (i2 += STRIDE) < K2) return;
        i2 = 0, a += KA1 - K2 * KA2, b += KB1 - K2 * KB2;
        if (K1 > 1 && ++i1 < K1) return;
        i1 = 0, a += KA0 - K1 * KA1, b += KB0 - K1 * KB1;
    }
};

/* Element by element: each thread has its own, and goes on by 16. */
struct ElementWalk {
    int a, b, i1, i2, left;

    DEVICE_MEMBER void next()
    {
        enum { S2 = 16 % K2, S1 = 16 / K2 % K1, S0 = 16 / K2 / K1 };
        a += S0 * KA0 + S1 * KA1 + S2 * KA2, b += S0 * KB0 + S1 * KB1 + S2 * KB2;
        left -= 16;
        if (K2 > 1 && (i2 += S2) >= K2) i2 -= K2, i1 += 1, a += KA1 - K2 * KA2, b += KB1 - K2 * KB2;
        if (K1 > 1 && (i1 += S1) >= K1) i1 -= K1, a += KA0 - K1 * KA1, b += KB0 - K1 * KB1;
    }
};
#if A_COLUMNS
typedef ElementWalk Walk;
enum { WALK = 1 };
#else
typedef BlockWalk Walk;
enum { WALK = BlockWalk::STRIDE };
#endif

/* ---- copies ---- */

/* Stages come in without a branch, so that copies and products are one piece of code: what lies beyond the end becomes
 * zero. */
struct Copier {
    enum { ALIKE = A_COLUMNS || PIECES == 2 }; /* A and B lie permuted in the same way */
    const Element *a, *b;
    int a_at[A_COPIES], b_at[B_COPIES]; /* this thread's pieces, of the block at the walk's place */
    int a_to, b_to;                     /* bytes */
    Walk walk;

    DEVICE_MEMBER void stage(unsigned char *to)
    {
        unsigned char *ta = shared_at(to, a_to), *tb = ALIKE ? ta + A_BYTES : shared_at(to, b_to);
#pragma unroll
        for (int j = 0; j < STEP; j += WALK) {
            const Element *pa = element_at(a, walk.a), *pb = element_at(b, walk.b);
#pragma unroll
            for (int q = 0; q < A_COPIES; q++)
                pieces(ta + place(a_to, q, A_COLUMNS) + j * STEP_BYTES, element_at(pa, a_at[q]), KA2);
#pragma unroll
            for (int q = 0; q < B_COPIES; q++)
                pieces(tb + place(b_to, q, true) + j * STEP_BYTES, element_at(pb, b_at[q]), KB2);
            walk.next();
        }
    }

    /* Of the thread's piece q: COPY_ROWS rows further on, each time; odd blocks of columns have their rows exchanged. */
    DEVICE_MEMBER static int place(int first, int q, bool columns)
    {
        const bool exchanged = columns && MATH == MATH_SIMT && COPY_ROWS == 16 && q % 2;
        return q * COPY_ROWS * ROW_BYTES + (exchanged ? ROW_BYTES - 2 * (first & ROW_BYTES) : 0);
    }

    DEVICE_MEMBER void pieces(unsigned char *to, const Element *from, int stride) const
    {
#pragma unroll
        for (int j = 0; j < WALK; j++) copy_async(to + j * STEP_BYTES, from + j * stride, walk.left > 0 ? 16 : 0);
    }
};

DEVICE Copier copier(const Element *a, const Element *b, int first_group, int first_block, int chunk)
{
    Copier c;
    int t = threadIdx.x, piece = t % PIECES, row = t / PIECES, k = row % 16;
    c.a = a, c.b = b;
#pragma unroll
    for (int q = 0; q < B_COPIES; q++) {
        int n = first_block + (row + q * COPY_ROWS) / 16;
        c.b_at[q] = (n < BLOCKS ? n : BLOCKS - 1) * NB + piece * PIECE + (A_COLUMNS ? 0 : k * KB_LANE);
    }
    c.b_to = A_BYTES + column_piece(row, piece);
#pragma unroll
    for (int q = 0; q < A_COPIES; q++) {
        int r = row + q * COPY_ROWS;
        c.a_at[q] = piece * PIECE + (A_COLUMNS ? row_offset(first_group + r / 16, 0)
                                               : row_offset(first_group + r / UNIT, r % UNIT));
    }
    c.a_to = A_COLUMNS ? column_piece(row, piece) : row_piece(row, piece);
    int first = chunk * CHUNK, count = SPLIT == 1 || K0 - first >= CHUNK ? CHUNK : K0 - first;
    int i2 = A_COLUMNS ? k % K2 : 0, i1 = A_COLUMNS ? k / K2 % K1 : 0, i0 = first + (A_COLUMNS ? k / K2 / K1 : 0);
    c.walk.a = i0 * KA0 + i1 * KA1 + i2 * KA2, c.walk.b = i0 * KB0 + i1 * KB1 + i2 * KB2;
    c.walk.i1 = i1, c.walk.i2 = i2;
    c.walk.left = count * K1 * K2 - (A_COLUMNS ? k : 0);
    return c;
}

/* ---- products of one k-block: a warp's WM x WN. Copies are begun among them: sm_120 issues a NOP between two HMMA that
 * have nothing else between them ---- */

#if MATH == MATH_SIMT
/* Lane (tm, tn) = (l / 8, l % 8) has rows tm, tm+4, .. (of A by columns: four side by side in each block of 16) and
 * columns 4tn .. 4tn+3, +32. Where the unrolled loop counts, only constants are exclusive-ored to addresses. */
struct Tile {
    enum { ROWS = WM / 4, COLUMNS = WN / 8 };
    float c[ROWS][COLUMNS];
    int a_at, b_at; /* bytes: this lane's first piece */

    DEVICE_MEMBER static int row(int i)
    {
        int tm = threadIdx.x % 32 / 8;
        return A_COLUMNS ? i / 4 * 16 + tm * 4 + i % 4 : i * 4 + tm;
    }

    DEVICE_MEMBER void start(int wm, int wn)
    {
        int tm = threadIdx.x % 32 / 8, tn = threadIdx.x % 8;
        a_at = A_COLUMNS ? column_piece(wm * WM, tm) : row_piece(wm * WM + tm, 0);
        b_at = A_BYTES + column_piece(wn * WN + tn / 4 * 16, tn % 4);
#pragma unroll
        for (int i = 0; i < ROWS * COLUMNS; i++) c[i / COLUMNS][i % COLUMNS] = 0;
    }

    DEVICE_MEMBER static float4 piece_at(const unsigned char *p)
    {
        return *(const float4 *)p;
    }

    /* Row k of the block that begins at `first`. */
    DEVICE_MEMBER static int column_row(int first, int k)
    {
        return (first ^ (k % 2 * 64 | (k & 2) * 16)) + k / 2 * 128;
    }

    DEVICE_MEMBER void multiply(const unsigned char *block, Copier &copy, unsigned char *to, int at)
    {
        if (at == COPY_AT) copy.stage(to);
#pragma unroll
        for (int k = 0; k < 16; k++) {
            float a[ROWS];
            load_a(a, block, k);
#pragma unroll
            for (int j = 0; j < COLUMNS; j += 4) {
                const float4 b = piece_at(block + column_row(b_at, k) + j / 2 * 16 * ROW_BYTES);
#pragma unroll
                for (int i = 0; i < ROWS; i++) {
                    c[i][j] = fmaf(a[i], b.x, c[i][j]);
                    c[i][j + 1] = fmaf(a[i], b.y, c[i][j + 1]);
                    c[i][j + 2] = fmaf(a[i], b.z, c[i][j + 2]);
                    c[i][j + 3] = fmaf(a[i], b.w, c[i][j + 3]);
                }
            }
        }
    }

    DEVICE_MEMBER void load_a(float (&a)[ROWS], const unsigned char *block, int k) const
    {
#pragma unroll
        for (int i = 0; i < ROWS; i++) {
            int row = (a_at ^ (k / 4 * 16 ^ i % 2 * 32)) + i * 4 * ROW_BYTES;
            int at = A_COLUMNS ? column_row(a_at, k ^ (i / 4 & 1)) + i / 4 * 16 * ROW_BYTES : row; /* odd blocks */
            float4 x = piece_at(block + at);
            int e = A_COLUMNS ? i % 4 : k % 4;
            a[i] = e == 0 ? x.x : e == 1 ? x.y : e == 2 ? x.z : x.w;
        }
    }

    DEVICE_MEMBER void store(float *sum) const
    {
#pragma unroll
        for (int i = 0; i < ROWS; i++)
#pragma unroll
            for (int j = 0; j < COLUMNS; j += 4)
                *(float4 *)(sum + row(i) * SUM_ROW + threadIdx.x % 8 * 4 + j / 4 * 32) =
                    make_float4(c[i][j], c[i][j + 1], c[i][j + 2], c[i][j + 3]);
    }
};
#else
/* Tiles of 16 x 8: mma.sync. PAIRS: its rows g and g + 8 are our rows 2g and 2g + 1, which a thread loads at once. */
struct Tile {
    enum { ROWS = WM / 16, COLUMNS = WN / 8 };
    float c[ROWS][COLUMNS][4];
    int a_at[HALVES], b_at[2]; /* bytes: this lane's part of the first fragments */

    DEVICE_MEMBER void start(int wm, int wn)
    {
        int l = threadIdx.x % 32, g = l / 4, t = l % 4;
#pragma unroll
        for (int i = 0; i < ROWS * COLUMNS * 4; i++) c[i / COLUMNS / 4][i / 4 % COLUMNS][i % 4] = 0;
#if MATH == MATH_TF32
        for (int h = 0; h < 2; h++) {
            a_at[h] = A_COLUMNS ? column_piece(wm * WM + 8 * h + t, g / 2) + g % 2 * 8
                                : row_piece(wm * WM + l % 16, 2 * h + l / 16);
            b_at[h] = A_BYTES + column_piece(wn * WN + 8 * h + t, g / 4) + g % 4 * 4;
        }
#else
        a_at[0] = A_COLUMNS ? column_piece(wm * WM + l % 8 + l / 16 * 8, l / 8 % 2) : row_piece(wm * WM + l % 16, l / 16);
        b_at[0] = A_BYTES + column_piece(wn * WN + l % 16, l / 16);
#endif
    }

#if MATH == MATH_TF32
    DEVICE_MEMBER static unsigned element(const unsigned char *p)
    {
        return *(const unsigned *)p;
    }

    DEVICE_MEMBER void load_a(unsigned (&a)[4], const unsigned char *block, int i, int h) const
    {
        if (A_COLUMNS) { /* k + 4: 4 rows */
            const unsigned char *p = block + i * 16 * ROW_BYTES + a_at[h];
            const uint2 q = *(const uint2 *)p, r = *(const uint2 *)(p + 4 * ROW_BYTES);
            a[0] = q.x, a[1] = q.y, a[2] = r.x, a[3] = r.y;
            return;
        }
        load_matrices(a, block + i * 16 * ROW_BYTES + a_at[h]);
    }
#else
    DEVICE_MEMBER void load_a(unsigned (&a)[4], const unsigned char *block, int i, int) const
    {
        const unsigned char *p = block + i * 16 * ROW_BYTES + a_at[0];
        if (A_COLUMNS)
            load_transposed(a, p);
        else
            load_matrices(a, p);
    }
#endif

    /* Columns 16j .. 16j+15: two fragments. */
    DEVICE_MEMBER void load_b(unsigned (&b)[2][2], const unsigned char *block, int j, int h) const
    {
        const unsigned char *p = block + j * 16 * ROW_BYTES;
#if MATH == MATH_TF32
        const unsigned char *q = p + b_at[h], *r = p + (b_at[h] ^ 32);
        b[0][0] = element(q), b[0][1] = element(q + 4 * ROW_BYTES);
        b[1][0] = element(r), b[1][1] = element(r + 4 * ROW_BYTES);
#else
        unsigned x[4];
        load_transposed(x, p + b_at[0]);
        b[0][0] = x[0], b[0][1] = x[1], b[1][0] = x[2], b[1][1] = x[3];
#endif
    }

    DEVICE_MEMBER void multiply(const unsigned char *block, Copier &copy, unsigned char *to, int at)
    {
#pragma unroll
        for (int h = 0; h < HALVES; h++) {
            unsigned a[ROWS][4], b[COLUMNS / 2][2][2];
#pragma unroll
            for (int i = 0; i < ROWS; i++) load_a(a[i], block, i, h);
#pragma unroll
            for (int j = 0; j < COLUMNS / 2; j++) load_b(b[j], block, j, h);
            if (at + h == COPY_AT) copy.stage(to);
#pragma unroll
            for (int i = 0; i < ROWS; i++)
#pragma unroll
                for (int j = 0; j < COLUMNS; j++) {
#if MATH == MATH_TF32
                    multiply_tf32(c[i][j], a[i], b[j / 2][j % 2]);
#elif MATH == MATH_F16
                    multiply_f16(c[i][j], a[i], b[j / 2][j % 2]);
#else
                    multiply_bf16(c[i][j], a[i], b[j / 2][j % 2]);
#endif
                }
        }
    }

    DEVICE_MEMBER void store(float *sum) const
    {
        int l = threadIdx.x % 32, g = l / 4, t = l % 4;
#pragma unroll
        for (int i = 0; i < ROWS; i++)
#pragma unroll
            for (int j = 0; j < COLUMNS; j++) {
                float *p = sum + (i * 16 + (PAIRS ? 2 * g : g)) * SUM_ROW + j * 8 + 2 * t;
                *(float2 *)p = make_float2(c[i][j][0], c[i][j][1]);
                *(float2 *)(p + (PAIRS ? 1 : 8) * SUM_ROW) = make_float2(c[i][j][2], c[i][j][3]);
            }
    }
};
#endif

/* ---- the whole ---- */

/* Stages of a chunk. */
DEVICE int stage_count(int chunk)
{
    enum { LENGTH = STEP * (A_COLUMNS ? 16 : 1) };
    int n = SPLIT == 1 || K0 - chunk * CHUNK >= CHUNK ? CHUNK : K0 - chunk * CHUNK;
    return (n * K1 * K2 + LENGTH - 1) / LENGTH;
}

DEVICE void fill_places(int *places, int first_group)
{
    for (int i = threadIdx.x; i < TILE_GROUPS; i += THREADS) {
        Group g = group_of(first_group + i);
        places[4 * i] = g.i[0], places[4 * i + 1] = g.i[1], places[4 * i + 2] = g.i[2];
    }
}

#if SUMS
/* Of this thread, in each row of slots. */
DEVICE void clear_sums(float *slots)
{
#pragma unroll
    for (int k = 0; k < SUMS; k++) *(float4 *)(slots + k * SLOT_ROW + threadIdx.x * 4) = make_float4(0, 0, 0, 0);
}

DEVICE void store_sums(float *to, const float *slots, int tile, int first_block)
{
    for (int i = threadIdx.x; i < SUMS * BN; i += THREADS) {
        int k = i / BN, block = i % BN / 16, lane = i % 16;
        float sum = 0;
        for (int slot = block; slot < SLOTS; slot += BN / 16) sum += slots[k * SLOT_ROW + slot * 16 + lane];
        if (first_block + block < BLOCKS) to[((k * SUM_TILES + tile) * BLOCKS + first_block + block) * 16 + lane] = sum;
    }
}
#endif

}

extern "C" __global__ void __launch_bounds__(SPACE::THREADS, SPACE::RESIDENT) KERNEL(PARAMETERS)
{
    using namespace SPACE;
    extern __shared__ __align__(128) unsigned char shared[];
    const int first_group = (int)(blockIdx.x / TILES_N) * TILE_GROUPS, first_block = blockIdx.x % TILES_N * (BN / 16);
    const int batch = blockIdx.y % BATCH, chunk = blockIdx.y / BATCH, wm = threadIdx.x / 32 / WARPS_N,
              wn = threadIdx.x / 32 % WARPS_N;
    int *places = (int *)(shared + PLACES_AT);
    fill_places(places, first_group);

    Copier copy = copier((const Element *)A + (BASE_A + batch * BATCH_A), (const Element *)B + (BASE_B + batch * BATCH_B),
                         first_group, first_block, chunk);
    const int stages = stage_count(chunk);
#pragma unroll
    for (int s = 0; s < STAGES - 1; s++) {
        copy.stage(shared + s * STAGE_BYTES);
        copy_commit();
    }

    Tile tile;
    tile.start(wm, wn);
    int from = 0, to = (STAGES - 1) * STAGE_BYTES;
#pragma unroll 1
    for (int left = stages; left > 0; left--) {
        copy_wait<STAGES - 2>();
        __syncthreads(); /* this stage has landed, and nobody reads the one before it */
#pragma unroll
        for (int j = 0; j < STEP; j++) tile.multiply(shared + from + j * STEP_BYTES, copy, shared + to, j * HALVES);
        copy_commit();
        to = from;
        from = from == (STAGES - 1) * STAGE_BYTES ? 0 : from + STAGE_BYTES;
    }

    copy_wait<0>(); /* of the zeros beyond the end */
    float *sum = (float *)shared;
    const int where[3] = {first_block, batch, chunk};
#if SUMS
    float *slots = sum + SUM_BYTES / 4, *own = slots + threadIdx.x / 4 * 16;
    __syncthreads(); /* they lie where stages were */
    clear_sums(slots);
#endif
#pragma unroll 1
    for (int pass = 0; pass < BM / WM; pass++) { /* one row of warps after the other */
        __syncthreads();
        if (wm == pass) tile.store(sum + wn * WN);
        __syncthreads();
        const int first = pass * (WM / UNIT);
        for (int task = threadIdx.x / 4; task < WM / UNIT * (BN / 16); task += THREADS / 4) {
            bool valid = first_group + first + task / (BN / 16) < GROUPS && first_block + task % (BN / 16) < BLOCKS;
#if SUMS
            if (valid) tail(ARGUMENTS, sum, places + first * 4, where, own, task);
#else
            if (valid) tail(ARGUMENTS, sum, places + first * 4, where, task);
#endif
        }
    }
#if SUMS
    __syncthreads();
    store_sums(TILE_SUMS, slots, FIRST_TILE + blockIdx.x / TILES_N, first_block);
#endif
}
