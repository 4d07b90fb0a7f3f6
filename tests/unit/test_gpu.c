/* Occupancy against the toolkit's own calculator where that is installed, and against numbers by hand; the time model on
 * kernels whose ceiling is plain; what loop IR is counted as. */
/* clang-format off: cmocka wants these before it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include "gpu/gpu.h"
#include "loop/work.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#if __has_include("/usr/local/cuda/include/cuda_occupancy.h")
#include "/usr/local/cuda/include/cuda_occupancy.h"
#define HAVE_CALCULATOR 1
#else
#define HAVE_CALCULATOR 0
#endif

static void by_hand(void **state)
{
    (void)state;
    const GpuArch *a = gpu_arch_find("sm_80");
    Occupancy o = gpu_occupancy(a, &(GpuBlock){.threads = 128, .registers = 32});
    assert_int_equal(o.blocks, 16); /* 64 warps */
    assert_int_equal(o.limit, LIMIT_WARPS);
    assert_float_equal(o.fraction, 1, 0);
    o = gpu_occupancy(a, &(GpuBlock){.threads = 128, .registers = 128});
    assert_int_equal(o.blocks, 4); /* 65536 / (128 * 128) */
    assert_int_equal(o.limit, LIMIT_REGISTERS);
    assert_float_equal(o.fraction, 0.25, 0);
    o = gpu_occupancy(a, &(GpuBlock){.threads = 256, .registers = 64, .shared = 48 << 10});
    assert_int_equal(o.blocks, 3); /* 49 KiB each of 164 */
    assert_int_equal(o.limit, LIMIT_SHARED);
    assert_int_equal(gpu_occupancy(a, &(GpuBlock){.threads = 1024, .registers = 128}).blocks, 0);
    assert_int_equal(gpu_occupancy(a, &(GpuBlock){.threads = 128, .registers = 16, .shared = 164 << 10}).blocks, 0);
    assert_int_equal(gpu_occupancy(a, &(GpuBlock){.threads = 2048, .registers = 16}).blocks, 0);
    assert_null(gpu_arch_find("sm_81"));
}

#if HAVE_CALCULATOR
static int calculator(const GpuArch *a, int major, const GpuBlock *b, int dynamic)
{
    cudaOccDeviceProp p = {.computeMajor = major,
                           .maxThreadsPerBlock = 1024,
                           .maxThreadsPerMultiprocessor = a->warps * 32,
                           .regsPerBlock = a->registers,
                           .regsPerMultiprocessor = a->registers,
                           .warpSize = 32,
                           .sharedMemPerBlock = 48 << 10,
                           .sharedMemPerMultiprocessor = (size_t)a->shared,
                           .numSms = 100,
                           .sharedMemPerBlockOptin = (size_t)a->most_shared,
                           .reservedSharedMemPerBlock = (size_t)a->shared_reserve};
    cudaOccFuncAttributes f = {.maxThreadsPerBlock = 1024,
                               .numRegs = b->registers,
                               .sharedSizeBytes = (size_t)(b->shared - dynamic),
                               .maxDynamicSharedSizeBytes = (size_t)(a->most_shared - b->shared + dynamic),
                               .shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN};
    cudaOccDeviceState s = {.carveoutConfig = SHAREDMEM_CARVEOUT_MAX_SHARED};
    cudaOccResult r;
    assert_int_equal(cudaOccMaxActiveBlocksPerMultiprocessor(&r, &p, &f, &s, b->threads, (size_t)dynamic),
                     CUDA_OCC_SUCCESS);
    return r.activeBlocksPerMultiprocessor;
}

static void check_arch(const GpuArch *a)
{
    static const int shared[] = {0, 1, 1000, 16 << 10, 33 << 10, 48 << 10, 49 << 10, 96 << 10, 99 << 10};
    int major = atoi(a->name + 3) / 10;
    for (int threads = 32; threads <= 1024; threads += threads < 256 ? 32 : 96)
        for (int registers = 8; registers <= 255; registers += 9)
            for (size_t i = 0; i < sizeof shared / sizeof shared[0]; i++) {
                GpuBlock b = {threads, registers, shared[i]};
                int dynamic = shared[i] > 48 << 10 ? shared[i] : shared[i] / 2;
                assert_int_equal(gpu_occupancy(a, &b).blocks, calculator(a, major, &b, dynamic));
            }
}
#endif

static void by_calculator(void **state)
{
    (void)state;
#if HAVE_CALCULATOR
    for (const GpuArch *a = gpu_archs; a->name; a++) check_arch(a);
#else
    printf("cuda_occupancy.h is not installed (CUDA toolkit)\n");
    skip();
#endif
}

/* ---- time ---- */

static void ceilings(void **state)
{
    (void)state;
    const Gpu *g = &gpus[0]; /* A100-40G */
    GpuWork w = {.bytes = 1.555e9, .flops = 1e9, .blocks = 108e3, .resident = 8};
    GpuTime t = gpu_time(g, &w);
    assert_int_equal(t.bound, BOUND_BYTES);
    assert_float_equal(t.seconds, 1.0015e-3, 1e-7);
    w = (GpuWork){.bytes = 1e6, .flops = 312e9, .blocks = 1080, .unit = UNIT_FP16};
    t = gpu_time(g, &w);
    assert_int_equal(t.bound, BOUND_FLOP);
    assert_float_equal(t.seconds, 1.0015e-3, 1e-7);
    w.unit = UNIT_FP32; /* the same work without tensor cores */
    assert_float_equal(gpu_time(g, &w).seconds, 16e-3, 1e-5);
    w = (GpuWork){.slots = 4 * 108 * 1.41e6, .phases = 108 * 1.40e6, .blocks = 108};
    t = gpu_time(g, &w);
    assert_int_equal(t.bound, BOUND_SLOTS);
    assert_float_equal(t.seconds, 1.0015e-3, 1e-7);
    w.blocks = 54; /* half of the board has nothing to do */
    assert_float_equal(gpu_time(g, &w).seconds, 2.0015e-3, 1e-7);
    w.blocks = 109; /* nearly half of it waits for one block */
    assert_float_equal(gpu_time(g, &w).waves, 216.0 / 109, 1e-9);
    assert_int_equal(gpu_time(g, &(GpuWork){.bytes = 4, .blocks = 1}).bound, BOUND_LAUNCH);
}

/* ---- counts ---- */

/* 10 tasks; each: y[16 task + lane] = fma(x[..], w[0], x[..]) for the lanes, then in a loop of at most 3 turns s[0] += 1. */
static Func *example(Arena *a)
{
    Func *f = func_new(a, "k00", "example");
    LB lb = lb_begin(a, f), *b = &lb;
    LBuf *x = lb_arg(b, LT_F32, 160), *w = lb_arg(b, LT_F32, 1), *y = lb_arg(b, LT_F16, 160), *s = lb_arg(b, LT_F32, 5);
    f->ntasks = 10;
    Expr *v = lb_for_n(b, FOR_VECTOR, 16, "v"), *i = x_add(b, x_muli(b, x_task(b), 16), v), *xi = x_load(b, x, i);
    lb_store(b, y, i, x_cast(b, LT_F16, x_fma(b, xi, x_load(b, w, x_i64(b, 0)), xi)));
    lb_end(b);
    lb_for(b, FOR_SERIAL, x_bin(b, B_MIN, x_sub(b, x_i64(b, 12), x_task(b)), x_i64(b, 3)), "i");
    lb_store(b, s, x_i64(b, 0), x_add(b, x_load(b, s, x_i64(b, 0)), x_f32(b, 1)));
    lb_end(b);
    return f;
}

static void counted(void **state)
{
    (void)state;
    Arena *a = arena_new();
    Work w = func_work(a, example(a));
    assert_float_equal(w.flops, 10 * (16 * 2 + 3), 0);
    assert_float_equal(w.fmas, 10, 0);
    assert_float_equal(w.accesses, 10 * (3 + 2 * 3), 0); /* x is loaded once, though it is used twice */
    assert_float_equal(w.bytes[0], 160 * 4, 0);
    assert_float_equal(w.bytes[1], 4, 0);       /* each task reads it: from memory it comes once */
    assert_float_equal(w.bytes[2], 160 * 2, 0); /* stored in 16 bits */
    assert_float_equal(w.bytes[3], 2 * 5 * 4, 0);
    assert_float_equal(w.moved, 640 + 4 + 320 + 40, 0);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_hand), cmocka_unit_test(by_calculator),
                                       cmocka_unit_test(ceilings), cmocka_unit_test(counted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
