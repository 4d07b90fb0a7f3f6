/* The machines that code can be made for.
 * In: a name. Out: what a schedule must know (registers, caches) and what a backend needs (triple,
 * cpu, features). "native" asks LLVM for this computer's features and the system for its caches;
 * the others are fixed, so that the same description gives the same code everywhere. Sources:
 * x86-64 psABI, microarchitecture levels; cache sizes of the others are those of common servers. */
#include "backend.h"
#include "support/diag.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KIB = 1024, MIB = 1024 * 1024 };
/* A CPU's tasks are claimed by a few threads. A task of a GPU is 16 threads, of which a board holds some 200,000 at a
 * time (108 multiprocessors with 2048 on an A100); half of them hide most of the latency. */
enum { CPU_TASKS = 32, GPU_TASKS = 8192 };
/* Zen 3 and 4: AMD's guides. Golden Cove: measured, 45 GB/s. */
enum { L2_STORE = 32, INTEL_L2_STORE = 16 };

static const Machine machines[] = {
    {"x86-64-v2", "x86_64-pc-linux-gnu", "x86-64-v2", "", "sse4.2", 4, 16, 8, 1, 2, 32 * KIB,
     256 * KIB, 8 * MIB, L2_STORE, "cpu", 0, CPU_TASKS, PROVIDER_SINTER},
    {"x86-64-v3", "x86_64-pc-linux-gnu", "x86-64-v3", "", "avx2 fma", 8, 16, 4, 2, 2, 32 * KIB,
     512 * KIB, 16 * MIB, L2_STORE, "cpu", 0, CPU_TASKS, PROVIDER_SINTER},
    {"x86-64-v4", "x86_64-pc-linux-gnu", "x86-64-v4", "",
     "avx2 fma avx512f avx512vl avx512bw avx512dq", 16, 32, 4, 2, 2, 32 * KIB, 1 * MIB, 16 * MIB, INTEL_L2_STORE,
     "cpu", 0, CPU_TASKS, PROVIDER_SINTER},
    {"aarch64", "aarch64-unknown-linux-gnu", "generic", "+neon", "", 4, 32, 4, 2, 2, 64 * KIB, 1 * MIB,
     16 * MIB, L2_STORE, "cpu", 0, CPU_TASKS, PROVIDER_SINTER},
    /* GPUs: a lane is a thread, which keeps its own accumulators; other threads run while one waits. Ports of an A100's
     * multiprocessor, in warps: 64 float32 lanes, 32 of the path to L1. NVIDIA's data sheets */
    {"sm_80", "nvptx64-nvidia-cuda", "sm_80", "", "", 16, 48, 1, 2, 1, 192 * KIB, 1 * MIB, 40 * MIB, L2_STORE,
     "cuda", 108, GPU_TASKS, PROVIDER_SINTER},
    {"sm_90", "nvptx64-nvidia-cuda", "sm_90", "", "", 16, 48, 1, 2, 1, 256 * KIB, 1 * MIB, 50 * MIB, L2_STORE,
     "cuda", 132, GPU_TASKS, PROVIDER_SINTER},
    {"sm_90a", "nvptx64-nvidia-cuda", "sm_90a", "", "", 16, 48, 1, 2, 1, 256 * KIB, 1 * MIB, 50 * MIB, L2_STORE,
     "cuda", 132, GPU_TASKS, PROVIDER_SINTER},
    {"sm_120", "nvptx64-nvidia-cuda", "sm_120", "", "", 16, 48, 1, 2, 1, 128 * KIB, 1 * MIB, 48 * MIB, L2_STORE,
     "cuda", 170, GPU_TASKS, PROVIDER_SINTER},
};

const char *const machine_names[] = {"native",    "x86-64-v2", "x86-64-v3",
                                     "x86-64-v4", "aarch64",   NULL};

const char *const machine_cuda_names[] = {"sm_80", "sm_90", "sm_90a", "sm_120", NULL};

/* Bytes of the data (or unified) cache of a level on the first processor; what sysconf does not
 * know, sysfs may. */
static int64_t cache_size(int level, int sysconf_name, int64_t otherwise)
{
    long n = sysconf(sysconf_name);
    if (n > 0) return n;
    for (int i = 0; i < 8; i++) {
        char path[96], type[32];
        int at;
        long kib;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/level", i);
        FILE *f = fopen(path, "r");
        if (!f) break;
        bool ok = fscanf(f, "%d", &at) == 1 && at == level;
        fclose(f);
        if (!ok) continue;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/type", i);
        f = fopen(path, "r");
        ok = f && fscanf(f, "%31s", type) == 1 && strcmp(type, "Instruction") != 0;
        if (f) fclose(f);
        if (!ok) continue;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", i);
        f = fopen(path, "r");
        ok = f && fscanf(f, "%ldK", &kib) == 1;
        if (f) fclose(f);
        if (ok) return kib * KIB;
    }
    return otherwise;
}

static bool has(const char *features, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = features; (p = strstr(p, name)); p += n)
        if (p > features && p[-1] == '+' && (p[n] == ',' || p[n] == 0)) return true;
    return false;
}

static const Machine *machine_native(Arena *a)
{
    char *triple, *cpu, *features;
    llvm_host(&triple, &cpu, &features);
    Machine *m = NEW(a, Machine);
    *m = machines[0];
    bool arm = !strncmp(triple, "aarch64", 7);
    if (arm) *m = machines[3];
    if (has(features, "avx2") && has(features, "fma")) *m = machines[1];
    if (has(features, "avx512f") && has(features, "avx512vl") && has(features, "avx512bw") &&
        has(features, "avx512dq"))
        *m = machines[2];
    /* Zen 4 splits vectors of 512 bits: an FMA a cycle. AMD, Software Optimization Guide for Family 19h Models 10h-1Fh */
    if (m->lanes == 16 && !strcmp(cpu, "znver4")) m->fma_ports = 1;
    if (!strncmp(cpu, "znver", 5)) m->l2_store = L2_STORE;
    m->name = arena_printf(a, "native (%s)", cpu);
    m->triple = arena_strdup(a, triple);
    m->cpu = arena_strdup(a, cpu);
    m->features = arena_strdup(a, features);
    m->l1 = cache_size(1, _SC_LEVEL1_DCACHE_SIZE, m->l1);
    m->l2 = cache_size(2, _SC_LEVEL2_CACHE_SIZE, m->l2);
    m->l3 = cache_size(3, _SC_LEVEL3_CACHE_SIZE, m->l3);
    free(triple);
    free(cpu);
    free(features);
    return m;
}

const Machine *machine_find(Arena *a, const char *name)
{
    if (!strcmp(name, "native")) return machine_native(a);
    for (size_t i = 0; i < sizeof machines / sizeof machines[0]; i++)
        if (!strcmp(machines[i].name, name)) return &machines[i];
    return NULL;
}
