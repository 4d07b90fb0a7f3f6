/* Host twins of the functions that stand round PTX: those of cuda/prelude.cuh, and the conversions that loop IR is
 * printed with. Included after device.h. Fragments: lane l of the warp has g = l / 4 and t = l % 4 (PTX ISA, "Matrix
 * Fragments for mma.m16n8k16" and "ldmatrix"). */
#ifndef SIMT_TWINS_H
#define SIMT_TWINS_H
#include "device.h"

#define DEVICE_MEMBER __forceinline__
#define DEVICE static __forceinline__

template <class T> struct alignas(4 * sizeof(T)) Four {
    T x[4];
};

extern "C" {
double rint(double), ldexp(double, int);
int ilogb(double);
}

/* ---- 16 bits: FRACTION bits of fraction, 15 - FRACTION of exponent ---- */

template <int FRACTION> static SIMT_QUIET float simt_widen(unsigned short h)
{
    constexpr int bias = (1 << (14 - FRACTION)) - 1, top = 2 * bias + 1;
    int e = (h & 0x7fff) >> FRACTION, f = h & ((1 << FRACTION) - 1);
    if (e == top) return __uint_as_float((h & 0x8000u) << 16 | 0x7f800000u | (unsigned)f << (23 - FRACTION));
    float x = (float)ldexp(e ? f + (1 << FRACTION) : f, (e ? e : 1) - bias - FRACTION);
    return h & 0x8000 ? -x : x;
}

/* To the nearest, of two to the even one: counted in units of the last place that x will have. */
template <int FRACTION> static SIMT_QUIET unsigned short simt_narrow(float x)
{
    constexpr int bias = (1 << (14 - FRACTION)) - 1, least = 1 - bias, infinity = (2 * bias + 1) << FRACTION;
    unsigned sign = __float_as_uint(x) >> 16 & 0x8000;
    if (x != x) return 0x7fff;
    double a = fabs((double)x);
    if (a >= 0x1p128) return (unsigned short)(sign | infinity);
    int e = a == 0 || ilogb(a) < least ? least : ilogb(a);
    long long h = ((long long)(e - least) << FRACTION) + (long long)rint(ldexp(a, FRACTION - e));
    return (unsigned short)(sign | (unsigned)(h < infinity ? h : infinity));
}

static __forceinline__ float f32_of_f16(unsigned short h) { return simt_widen<10>(h); }
static __forceinline__ float f32_of_bf16(unsigned short h) { return simt_widen<7>(h); }
static __forceinline__ unsigned short f16_of_f32(float x) { return simt_narrow<10>(x); }
static __forceinline__ unsigned short bf16_of_f32(float x) { return simt_narrow<7>(x); }
static __forceinline__ float f32_of_tf32(float x) { return x; }
static __forceinline__ float tf32_of_f32(float x)
{
    unsigned u = (unsigned)__float_as_int(x);
    return __int_as_float((int)((x == x ? u + 0x1000 : u | 0x400000) & ~0x1fffu));
}

/* ---- copies ---- */
template <class T> static __forceinline__ const T *element_at(const T *first, int i) { return first + i; }
static __forceinline__ unsigned char *shared_at(unsigned char *first, int i) { return first + i; }
static __forceinline__ void copy_async(void *shared, const void *global, int bytes)
{
    simt_copy_async(shared, global, 16, (unsigned)bytes);
}
static __forceinline__ void copy_async(void *shared, const void *global) { simt_copy_async(shared, global, 16, 16); }
static __forceinline__ void copy_commit() { simt_copy_commit(); }
template <int LEFT> static __forceinline__ void copy_wait() { simt_copy_wait(LEFT); }

/* ---- matrices ---- */
struct SimtRows {
    uint4 row; /* the one whose address the lane brought */
    unsigned r[4];
};

static SIMT_QUIET unsigned simt_word(void *const *lane, int i, int word)
{
    return ((const unsigned *)&((const SimtRows *)lane[i])->row)[word];
}

static SIMT_QUIET unsigned simt_half(void *const *lane, int i, int column)
{
    return simt_word(lane, i, column / 2) >> column % 2 * 16 & 0xffff;
}

static SIMT_QUIET void simt_deal(void *const *lane, unsigned)
{
    for (int l = 0; l < 32; l++)
        for (int i = 0; i < 4; i++) ((SimtRows *)lane[l])->r[i] = simt_word(lane, 8 * i + l / 4, l % 4);
}

static SIMT_QUIET void simt_deal_transposed(void *const *lane, unsigned)
{
    for (int l = 0; l < 32; l++)
        for (int i = 0; i < 4; i++)
            ((SimtRows *)lane[l])->r[i] = simt_half(lane, 8 * i + l % 4 * 2, l / 4) |
                                          simt_half(lane, 8 * i + l % 4 * 2 + 1, l / 4) << 16;
}

static __forceinline__ void simt_load_matrices(unsigned (&r)[4], const void *row, SimtCombine *deal)
{
    SimtRows x = {*(const uint4 *)row, {}};
    simt_collective(0xffffffffu, deal, &x);
    for (int i = 0; i < 4; i++) r[i] = x.r[i];
}
static __forceinline__ void load_matrices(unsigned (&r)[4], const void *row) { simt_load_matrices(r, row, simt_deal); }
static __forceinline__ void load_transposed(unsigned (&r)[4], const void *row)
{
    simt_load_matrices(r, row, simt_deal_transposed);
}

struct SimtFragments {
    float c[4];
    unsigned a[4], b[2];
};

/* c += a b, a of 16 x K, b of K x 8, sums in double. K = 16: two halves in a word; K = 8: a float, of which tf32 has the
 * upper 19 bits. */
template <int K, int FRACTION> static SIMT_QUIET float simt_element(unsigned word, int k)
{
    if constexpr (K == 8) return __uint_as_float(word & 0xffffe000u);
    else return simt_widen<FRACTION>((unsigned short)(word >> k % 2 * 16));
}

template <int K, int FRACTION> static SIMT_QUIET void simt_multiply(void *const *lane, unsigned)
{
    constexpr int half = K / 2, in_word = K / 8; /* a word holds columns in_word * t ..., or half of them further on */
    float a[16][K], b[K][8];
    for (int l = 0; l < 32; l++)
        for (int w = 0; w < 4; w++)
            for (int k = 0; k < in_word; k++) {
                const SimtFragments *f = (const SimtFragments *)lane[l];
                int column = in_word * (l % 4) + k + w / 2 * half;
                a[l / 4 + w % 2 * 8][column] = simt_element<K, FRACTION>(f->a[w], k);
                if (w % 2 == 0) b[column][l / 4] = simt_element<K, FRACTION>(f->b[w / 2], k);
            }
    for (int l = 0; l < 32; l++)
        for (int i = 0; i < 4; i++) {
            double sum = ((SimtFragments *)lane[l])->c[i];
            for (int k = 0; k < K; k++) sum += (double)a[l / 4 + i / 2 * 8][k] * (double)b[k][l % 4 * 2 + i % 2];
            ((SimtFragments *)lane[l])->c[i] = (float)sum;
        }
}

static __forceinline__ void simt_multiply_with(SimtCombine *f, float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
    SimtFragments x = {{c[0], c[1], c[2], c[3]}, {a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
    simt_collective(0xffffffffu, f, &x);
    for (int i = 0; i < 4; i++) c[i] = x.c[i];
}
static __forceinline__ void multiply_f16(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
    simt_multiply_with(simt_multiply<16, 10>, c, a, b);
}
static __forceinline__ void multiply_bf16(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
    simt_multiply_with(simt_multiply<16, 7>, c, a, b);
}
static __forceinline__ void multiply_tf32(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
    simt_multiply_with(simt_multiply<8, 0>, c, a, b);
}
#endif
