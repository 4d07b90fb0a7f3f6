/* The names that CUDA C takes for granted, for C++ on the host; included before the emitted text. No header of the C++
 * library: a kernel compiles in a fraction of the time, and nothing is found that NVRTC would not have. */
#ifndef SIMT_DEVICE_H
#define SIMT_DEVICE_H
#include "primitives.h"

/* Not instrumented, and so never inlined into what is. */
#define SIMT_QUIET __attribute__((no_sanitize("thread")))

#define __global__ __attribute__((noinline))
#define __device__
#define __host__
#define __constant__
#define __shared__ thread_local /* the one word that fits `__shared__ float x[8]` and `extern __shared__ float x[]` */
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))

typedef SimtDim uint3;
typedef SimtDim dim3;
static inline SIMT_QUIET uint3 simt_thread_idx() { return simt_place->thread; }
static inline SIMT_QUIET uint3 simt_block_idx() { return simt_place->block; }
static inline SIMT_QUIET dim3 simt_block_dim() { return simt_place->threads; }
static inline SIMT_QUIET dim3 simt_grid_dim() { return simt_place->blocks; }
#define threadIdx (simt_thread_idx())
#define blockIdx (simt_block_idx())
#define blockDim (simt_block_dim())
#define gridDim (simt_grid_dim())
enum { warpSize = 32 };

#define SIMT_VECTOR(type, name)                                                                                        \
    struct __align__(2 * sizeof(type)) name##2 { type x, y; };                                                         \
    struct __align__(4 * sizeof(type)) name##4 { type x, y, z, w; };                                                   \
    static inline name##2 make_##name##2(type x, type y) { return {x, y}; }                                            \
    static inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }
SIMT_VECTOR(float, float)
SIMT_VECTOR(int, int)
SIMT_VECTOR(unsigned, uint)
#undef SIMT_VECTOR

extern "C" {
float expf(float), logf(float), sqrtf(float), tanhf(float), fabsf(float), floorf(float), erff(float);
float fmaf(float, float, float), fmaxf(float, float), fminf(float, float);
double exp(double), log(double), sqrt(double), tanh(double), fabs(double), floor(double), erf(double);
double fma(double, double, double);
}

static inline float __int_as_float(int x) { return __builtin_bit_cast(float, x); }
static inline float __uint_as_float(unsigned x) { return __builtin_bit_cast(float, x); }
static inline int __float_as_int(float x) { return __builtin_bit_cast(int, x); }
static inline unsigned __float_as_uint(float x) { return __builtin_bit_cast(unsigned, x); }
static inline double __longlong_as_double(long long x) { return __builtin_bit_cast(double, x); }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
template <class T> static inline T min(T x, T y) { return y < x ? y : x; }
template <class T> static inline T max(T x, T y) { return x < y ? y : x; }
template <class T> static inline T __ldg(const T *p) { return *p; }

/* ---- barriers ---- */
#define __syncthreads() simt_syncthreads()
static __forceinline__ void __syncwarp(unsigned mask = 0xffffffffu) { simt_syncwarp(mask); }

/* ---- collectives of a warp ---- */
struct SimtShuffle {
    unsigned long long value;
    int from; /* lane */
};

static SIMT_QUIET void simt_shuffle(void *const *lane, unsigned mask)
{
    unsigned long long value[32];
    for (int i = 0; i < 32; i++)
        if (mask >> i & 1) value[i] = ((SimtShuffle *)lane[i])->value;
    for (int i = 0; i < 32; i++) {
        if (!(mask >> i & 1)) continue;
        SimtShuffle *s = (SimtShuffle *)lane[i];
        if (!(mask >> s->from & 1)) simt_misuse("a shuffle from a lane that takes no part in it");
        else s->value = value[s->from];
    }
}

static inline SIMT_QUIET int simt_lane()
{
    const SimtPlace *p = simt_place;
    return (int)(((p->thread.z * p->threads.y + p->thread.y) * p->threads.x + p->thread.x) % 32);
}

template <class T> static __forceinline__ T simt_shuffle_from(unsigned mask, T x, int from)
{
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "");
    SimtShuffle s = {0, from};
    __builtin_memcpy(&s.value, &x, sizeof x);
    simt_collective(mask, simt_shuffle, &s);
    __builtin_memcpy(&x, &s.value, sizeof x);
    return x;
}

/* Lanes are taken in groups of `width`; who would read past his group reads himself. */
template <class T> static __forceinline__ T __shfl_sync(unsigned mask, T x, int from, int width = 32)
{
    return simt_shuffle_from(mask, x, (simt_lane() & -width) | (from & (width - 1)));
}
template <class T> static __forceinline__ T __shfl_xor_sync(unsigned mask, T x, int bits, int width = 32)
{
    int lane = simt_lane(), from = lane ^ bits;
    return simt_shuffle_from(mask, x, from < (lane & -width) + width ? from : lane);
}
template <class T> static __forceinline__ T __shfl_down_sync(unsigned mask, T x, unsigned by, int width = 32)
{
    int lane = simt_lane(), from = lane + (int)by;
    return simt_shuffle_from(mask, x, from < (lane & -width) + width ? from : lane);
}
template <class T> static __forceinline__ T __shfl_up_sync(unsigned mask, T x, unsigned by, int width = 32)
{
    int lane = simt_lane(), from = lane - (int)by;
    return simt_shuffle_from(mask, x, from >= (lane & -width) ? from : lane);
}

static SIMT_QUIET void simt_ballot(void *const *lane, unsigned mask)
{
    unsigned all = 0;
    for (int i = 0; i < 32; i++)
        if (mask >> i & 1) all |= (*(unsigned *)lane[i] != 0 ? 1u : 0u) << i;
    for (int i = 0; i < 32; i++)
        if (mask >> i & 1) *(unsigned *)lane[i] = all;
}

static __forceinline__ unsigned __ballot_sync(unsigned mask, int yes)
{
    unsigned x = yes != 0;
    simt_collective(mask, simt_ballot, &x);
    return x;
}
static __forceinline__ int __any_sync(unsigned mask, int yes) { return __ballot_sync(mask, yes) != 0; }
static __forceinline__ int __all_sync(unsigned mask, int yes) { return __ballot_sync(mask, yes) == mask; }

/* ---- atomics ---- */
template <class T> static SIMT_QUIET T simt_atomic_add(T *p, T x)
{
    T old = *p;
    *p = old + x;
    return old;
}
template <class T> static __forceinline__ T atomicAdd(T *p, T x)
{
    simt_atomic(p, sizeof *p);
    return simt_atomic_add(p, x);
}

/* ---- what the loader needs: a kernel called with its parameters' addresses, as cuLaunchKernel takes them ---- */
struct SimtCall {
    template <class... A> SIMT_QUIET SimtCall(void (*kernel)(A...), A... a) { kernel(a...); }
};
template <class... A> static SIMT_QUIET void simt_call(void (*kernel)(A...), void *const *p)
{
    int i = 0;
    SimtCall{kernel, *(A *)p[i++]...}; /* in braces: from left to right */
    (void)p, (void)i;
}
#endif
