/* Arithmetic of one lane that C has no operator for. Static inline: the lane loops are vectorised with it inside. */
#ifndef CUDA_VIRTUAL_PTX_NUMBER_H
#define CUDA_VIRTUAL_PTX_NUMBER_H
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

static inline uint32_t float_bits(float x)
{
    union {
        float f;
        uint32_t u;
    } v = {x};
    return v.u;
}

static inline float bits_float(uint32_t x)
{
    union {
        uint32_t u;
        float f;
    } v = {x};
    return v.f;
}

static inline uint64_t double_bits(double x)
{
    union {
        double f;
        uint64_t u;
    } v = {x};
    return v.u;
}

static inline double bits_double(uint64_t x)
{
    union {
        uint64_t u;
        double f;
    } v = {x};
    return v.f;
}

/* ---- float16, bfloat16, tf32 ---- */

static inline float half_float(uint32_t h)
{
    uint32_t low = (h & 0x7fffu) << 13, sign = (h & 0x8000u) << 16;
    float scaled = bits_float(low) * 0x1p112f; /* denormals too */
    uint32_t inf = low | 0x7f800000u;          /* and NaN */
    return bits_float((low >= 0x0f800000u ? inf : float_bits(scaled)) | sign);
}

/* To the nearest, ties to even. */
static inline uint32_t float_half(float x)
{
    uint32_t u = float_bits(x), sign = u >> 16 & 0x8000u, a = u & 0x7fffffffu;
    uint32_t normal = (a + 0xfffu + (a >> 13 & 1) - 0x38000000u) >> 13;
    uint32_t small = float_bits(bits_float(a) + 0.5f) - 0x3f000000u; /* the sum rounds at 2^-24 */
    uint32_t r = a < 0x38800000u ? small : a >= 0x477ff000u ? 0x7c00u : normal;
    return (a > 0x7f800000u ? 0x7fffu : r) | sign;
}

static inline float brain_float(uint32_t h)
{
    return bits_float(h << 16);
}

static inline uint32_t float_brain(float x)
{
    uint32_t u = float_bits(x), r = (u + 0x7fffu + (u >> 16 & 1)) >> 16;
    return (u & 0x7fffffffu) > 0x7f800000u ? 0x7fffu : r;
}

/* A double as the float that keeps what a later rounding to fewer bits needs: to odd. */
static inline float odd_float(double x)
{
    float f = (float)x;
    uint32_t u = float_bits(f);
    bool exact = (double)f == x, over = fabs((double)f) > fabs(x);
    return exact || x != x || (u & 0x7f800000u) == 0x7f800000u ? f : bits_float(over ? (u - 1) | 1 : u | 1);
}

static inline uint32_t tf32_away(uint32_t u) /* to the nearest, ties away from zero */
{
    return (u & 0x7f800000u) == 0x7f800000u ? u : (u + 0x1000u) & 0xffffe000u;
}

static inline uint32_t tf32_even(uint32_t u)
{
    return (u & 0x7f800000u) == 0x7f800000u ? u : (u + 0xfffu + (u >> 13 & 1)) & 0xffffe000u;
}

/* ---- float32 ---- */

static inline float flush(float x)
{
    return fabsf(x) < FLT_MIN ? copysignf(0, x) : x;
}

static inline float saturate(float x) /* NaN becomes 0 */
{
    return x > 0 ? x < 1 ? x : 1 : 0;
}

static inline float positive(float x)
{
    return x != x ? x : x > 0 ? x : 0;
}

/* If one is NaN, the other; -0 is less than 0. */
static inline float least(float a, float b)
{
    float less = a < b ? a : b < a ? b : bits_float(float_bits(a) | float_bits(b));
    return a != a ? b : b != b ? a : less;
}

static inline float most(float a, float b)
{
    float more = a > b ? a : b > a ? b : bits_float(float_bits(a) & float_bits(b));
    return a != a ? b : b != b ? a : more;
}

static inline double least64(double a, double b)
{
    return a != a ? b : b != b ? a : a < b || (a == b && signbit(a)) ? a : b;
}

static inline double most64(double a, double b)
{
    return a != a ? b : b != b ? a : a > b || (a == b && signbit(b)) ? a : b;
}

typedef enum Rounding { ROUND_ZERO, ROUND_DOWN, ROUND_UP } Rounding;

/* The exact value is x + error, |error| less than an ulp of x. */
static inline float round_to(double x, double error, Rounding mode)
{
    float f = (float)x;
    double above = (double)f - x; /* exact where it matters: its sign */
    bool high = above > 0 || (above == 0 && error < 0), low = above < 0 || (above == 0 && error > 0);
    if (x != x || isinf(x)) return f;
    if (mode == ROUND_ZERO) mode = x < 0 || (x == 0 && error < 0) ? ROUND_UP : ROUND_DOWN;
    if (mode == ROUND_DOWN) return high ? nextafterf(f, -INFINITY) : f;
    return low ? nextafterf(f, INFINITY) : f;
}

/* a + b and what rounding lost (Knuth's TwoSum). */
static inline double two_sum(double a, double b, double *error)
{
    double s = a + b, t = s - a;
    *error = (a - (s - t)) + (b - t);
    return s;
}

static inline float sum_to(float a, float b, Rounding mode)
{
    double error, s = two_sum(a, b, &error);
    if (s == 0 && mode == ROUND_DOWN && (signbit(a) || signbit(b))) return -0.0f;
    return round_to(s, error, mode);
}

static inline float fma_to(float a, float b, float c, Rounding mode)
{
    double error, product = (double)a * b, s = two_sum(product, c, &error);
    if (s == 0 && mode == ROUND_DOWN && (signbit(product) || signbit(c))) return -0.0f;
    return round_to(s, error, mode);
}

/* For halves: the product is exact; the sum keeps, in its last bit, that it is not. */
static inline double fma_odd(float a, float b, float c)
{
    double error, s = two_sum((double)a * b, c, &error);
    uint64_t u = double_bits(s);
    bool toward = (error > 0) == (s > 0); /* the exact value is further from zero */
    if (error == 0 || error != error || isinf(s)) return s;
    return bits_double(toward ? u | 1 : (u - 1) | 1);
}

static inline double upper_half(double x)
{
    return bits_double(double_bits(x) & 0xffffffff00000000u);
}

/* ---- to integers ---- */
static inline int32_t to_s32(double x)
{
    return x != x ? 0 : x <= INT32_MIN ? INT32_MIN : x >= INT32_MAX ? INT32_MAX : (int32_t)x;
}

static inline uint32_t to_u32(double x)
{
    return !(x > 0) ? 0 : x >= UINT32_MAX ? UINT32_MAX : (uint32_t)x;
}

static inline int64_t to_s64(double x)
{
    return x != x ? 0 : x <= -0x1p63 ? INT64_MIN : x >= 0x1p63 ? INT64_MAX : (int64_t)x;
}

static inline uint64_t to_u64(double x)
{
    return !(x > 0) ? 0 : x >= 0x1p64 ? UINT64_MAX : (uint64_t)x;
}

static inline int32_t to_s16(double x)
{
    int32_t v = to_s32(x);
    return v < INT16_MIN ? INT16_MIN : v > INT16_MAX ? INT16_MAX : v;
}

static inline int32_t to_s8(double x)
{
    int32_t v = to_s32(x);
    return v < INT8_MIN ? INT8_MIN : v > INT8_MAX ? INT8_MAX : v;
}

static inline uint32_t to_u16(double x)
{
    uint32_t v = to_u32(x);
    return v > UINT16_MAX ? UINT16_MAX : v;
}

static inline uint32_t to_u8(double x)
{
    uint32_t v = to_u32(x);
    return v > UINT8_MAX ? UINT8_MAX : v;
}

/* ---- bits ---- */

static inline uint64_t low_bits(uint32_t n)
{
    return n > 63 ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1;
}

/* bfe: `length` bits from `at` on, of their lowest 8 bits each; what lies beyond the top is 0, or the sign. */
static inline uint64_t field_u(uint64_t a, uint32_t at, uint32_t length)
{
    at &= 255, length &= 255;
    return at > 63 ? 0 : (a >> at) & low_bits(length);
}

static inline int64_t field_s(int64_t a, uint32_t at, uint32_t length, uint32_t top)
{
    at &= 255, length &= 255;
    if (!length) return 0;
    uint32_t last = at + length - 1 < top ? at + length - 1 : top;
    int64_t sign = a >> last & 1 ? -1 : 0;
    uint64_t value = at > top ? (uint64_t)sign : (uint64_t)(a >> at);
    return (int64_t)((value & low_bits(length)) | ((uint64_t)sign & ~low_bits(last >= at ? last - at + 1 : 0)));
}

/* bfi: the lowest `length` bits of a go into b, from `at` on. */
static inline uint64_t field_put(uint64_t a, uint64_t b, uint32_t at, uint32_t length)
{
    at &= 255, length &= 255;
    uint64_t mask = at > 63 ? 0 : low_bits(length) << at;
    return at > 63 ? b : (b & ~mask) | (a << at & mask);
}

static inline uint32_t reverse32(uint32_t x)
{
    x = (x >> 1 & 0x55555555u) | (x & 0x55555555u) << 1;
    x = (x >> 2 & 0x33333333u) | (x & 0x33333333u) << 2;
    x = (x >> 4 & 0x0f0f0f0fu) | (x & 0x0f0f0f0fu) << 4;
    return __builtin_bswap32(x);
}

static inline uint32_t top_bit(uint32_t x)
{
    return x ? 31 - (uint32_t)__builtin_clz(x) : ~0u;
}

/* prmt in its default mode: each nibble of the selector picks one of eight bytes, or its sign. */
static inline uint32_t permute(uint32_t a, uint32_t b, uint32_t selector)
{
    uint64_t bytes = (uint64_t)b << 32 | a;
    uint32_t r = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t s = selector >> 4 * i, byte = (uint32_t)(bytes >> 8 * (s & 7)) & 255;
        r |= (s & 8 ? (byte & 128 ? 255u : 0u) : byte) << 8 * i;
    }
    return r;
}

static inline uint32_t logic3(uint32_t a, uint32_t b, uint32_t c, uint32_t table)
{
    uint32_t r = 0;
    r |= table & 1 ? ~a & ~b & ~c : 0;
    r |= table & 2 ? ~a & ~b & c : 0;
    r |= table & 4 ? ~a & b & ~c : 0;
    r |= table & 8 ? ~a & b & c : 0;
    r |= table & 16 ? a & ~b & ~c : 0;
    r |= table & 32 ? a & ~b & c : 0;
    r |= table & 64 ? a & b & ~c : 0;
    return r | (table & 128 ? a & b & c : 0);
}

static inline uint32_t dot4(uint32_t a, uint32_t b, bool a_signed, bool b_signed)
{
    int32_t sum = 0;
    for (int i = 0; i < 32; i += 8) {
        int32_t x = (int32_t)(a >> i & 255), y = (int32_t)(b >> i & 255);
        sum += (a_signed && x > 127 ? x - 256 : x) * (b_signed && y > 127 ? y - 256 : y);
    }
    return (uint32_t)sum;
}
#endif
