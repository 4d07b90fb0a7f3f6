/* The machine: its name, its vectors, and how many multiply-adds it does.
 *
 * The peak is measured, not looked up: a loop of independent FMAs on registers, in the widest
 * vectors that the CPU has, as tasks of the pool, best of several runs. The functions carry their
 * own target, so that the rest of the runtime stays generic. */
#include "machine.h"
#include "err.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { ROUNDS = 4000, TASKS = 64 };
static const double SECONDS = 0.15; /* long enough to meet a moment when all cores are ours */

const char *rt_machine_cpu(void)
{
    static char name[128];
    FILE *f = fopen("/proc/cpuinfo", "r");
    char line[256];
    snprintf(name, sizeof name, "unknown CPU");
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(name, sizeof name, "%s", rt_esc(colon + 2));
        break;
    }
    if (f) fclose(f);
    return name;
}

/* Every variant: CHAINS independent chains of ROUNDS FMAs, enough to hide the latency on two ports.
 * The result is stored so that the loop stays. */
#if defined(__x86_64__)
enum { CHAINS = 12 };

__attribute__((target("avx512f"))) static void fma_avx512(void *const *args, int64_t begin,
                                                          int64_t end)
{
    for (int64_t t = begin; t < end; t++) {
        __m512 a[CHAINS], x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(0.001f);
        for (int c = 0; c < CHAINS; c++) a[c] = _mm512_set1_ps((float)c);
        for (int r = 0; r < ROUNDS; r++) {
#pragma GCC unroll 12
            for (int c = 0; c < CHAINS; c++) a[c] = _mm512_fmadd_ps(a[c], x, y);
        }
        for (int c = 1; c < CHAINS; c++) a[0] = _mm512_add_ps(a[0], a[c]);
        _mm512_storeu_ps((float *)args[0] + 16 * t, a[0]);
    }
}

__attribute__((target("avx2,fma"))) static void fma_avx2(void *const *args, int64_t begin,
                                                         int64_t end)
{
    for (int64_t t = begin; t < end; t++) {
        __m256 a[CHAINS], x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(0.001f);
        for (int c = 0; c < CHAINS; c++) a[c] = _mm256_set1_ps((float)c);
        for (int r = 0; r < ROUNDS; r++) {
#pragma GCC unroll 12
            for (int c = 0; c < CHAINS; c++) a[c] = _mm256_fmadd_ps(a[c], x, y);
        }
        for (int c = 1; c < CHAINS; c++) a[0] = _mm256_add_ps(a[0], a[c]);
        _mm256_storeu_ps((float *)args[0] + 16 * t, a[0]);
    }
}
#else
enum { CHAINS = 24 };
#endif

typedef float Vec4 __attribute__((vector_size(16)));

static void fma_generic(void *const *args, int64_t begin, int64_t end)
{
    for (int64_t t = begin; t < end; t++) {
        Vec4 a[CHAINS], x = {0.999f, 0.999f, 0.999f, 0.999f}, y = {0.001f, 0.001f, 0.001f, 0.001f};
        for (int c = 0; c < CHAINS; c++) a[c] = x * (float)c;
        for (int r = 0; r < ROUNDS; r++) {
#pragma GCC unroll 24
            for (int c = 0; c < CHAINS; c++) a[c] = a[c] * x + y;
        }
        for (int c = 1; c < CHAINS; c++) a[0] += a[c];
        memcpy((float *)args[0] + 16 * t, &a[0], sizeof a[0]);
    }
}

static RtKernel pick(int *lanes, const char **isa)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) {
        *lanes = 16;
        *isa = "avx512f";
        return fma_avx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        *lanes = 8;
        *isa = "avx2 fma";
        return fma_avx2;
    }
#endif
    *lanes = 4;
    *isa = "128-bit vectors";
    return fma_generic;
}

const char *rt_machine_isa(void)
{
    int lanes;
    const char *isa;
    pick(&lanes, &isa);
    return isa;
}

double rt_machine_peak(RtPool *pool)
{
    int lanes;
    const char *isa;
    static float sink[16 * TASKS];
    void *args[1] = {sink};
    RtTaskStep step = {pick(&lanes, &isa), args, TASKS, false};
    RtWork *w = rt_work_new(pool, &step, 1);
    double best = 1e30;
    for (double end = rt_now() + SECONDS, begin; (begin = rt_now()) < end;) {
        rt_work_run(w, NULL);
        double spent = rt_now() - begin;
        if (spent < best) best = spent;
    }
    rt_work_free(w);
    return 2.0 * CHAINS * ROUNDS * TASKS * lanes / best;
}

void rt_machine_json(RtJson *j, const RtModel *m, const RtDevice *d, int threads)
{
    rt_json_str(j, "device", d->name);
    rt_json_str(j, "cpu", rt_machine_cpu());
    rt_json_str(j, "isa", rt_machine_isa());
    rt_json_int(j, "threads", threads);
    rt_json_str(j, "compiler", RT_STR(m, m->compiler));
    rt_json_str(j, "target", RT_STR(m, m->target));
    rt_json_str(j, "denormals", "zero");
}
