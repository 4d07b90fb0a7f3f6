/* GPUs as cuDNN describes them, for plans that are made where there is none.
 * Source: NVIDIA's data sheets and architecture white papers (A100 40 GB SXM4, H100 80 GB SXM5, GeForce RTX 5090) for
 * counts, clocks and sizes; CUDA C++ Programming Guide, "Compute Capabilities", for limits. The keys are those that
 * cuDNN 9.8 and later ask for. Ranks of engines may differ on another product of the same architecture. */
#include "cudnn.h"
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

typedef struct Gpu {
    const char *arch, *name;
    int version, sms, blocks, threads; /* blocks and threads of a multiprocessor */
    int64_t shared;                    /* bytes a block may ask for */
    int64_t clock, memory_clock;       /* kHz */
    int64_t l2, memory;                /* bytes */
} Gpu;
#define MIB 1048576LL
static const Gpu gpus[] = {
    {"sm_80", "NVIDIA A100-SXM4-40GB", 800, 108, 32, 2048, 166912, 1410000, 1215000, 40 * MIB, 40960 * MIB},
    {"sm_90", "NVIDIA H100 80GB HBM3", 900, 132, 32, 2048, 232448, 1980000, 2619000, 50 * MIB, 81920 * MIB},
    {"sm_120", "NVIDIA GeForce RTX 5090", 1200, 170, 24, 1536, 101376, 2407000, 14001000, 96 * MIB, 32768 * MIB},
};

static int write_json(const Gpu *g, char *text, size_t size)
{
    return snprintf(
        text, size,
        "{\"cudaDeviceId\":0,\"deviceName\":\"%s\",\"deviceVer\":%d,\"driverVer\":13000,"
        "\"multiProcessorCount\":%d,\"maxCtasPerSM\":%d,\"maxThreadsPerSM\":%d,\"maxThreadsPerBlock\":1024,"
        "\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],\"warpSize\":32,"
        "\"regsPerBlock\":65536,\"maxRegistersPerSM\":65536,\"maxSharedMemoryPerBlock\":49152,"
        "\"maxSharedMemoryPerBlockOptin\":%lld,\"reservedSharedMemoryPerBlock\":1024,"
        "\"smClockRateKHz\":%lld,\"memClockRateKHz\":%lld,\"l2CacheSize\":%lld,\"totalGlobalMem\":%lld,"
        "\"pciDeviceId\":0,\"isTccDriver\":0,\"supportCoopLaunch\":1}",
        g->name, g->version, g->sms, g->blocks, g->threads, (long long)g->shared, (long long)g->clock,
        (long long)g->memory_clock, (long long)g->l2, (long long)g->memory);
}

/* "sm_90a" is a way to compile for sm_90. */
static bool is_arch(const Gpu *g, const char *arch)
{
    size_t n = strlen(g->arch);
    return !strncmp(g->arch, arch, n) && (!arch[n] || !strcmp(arch + n, "a"));
}

int cudnn_device_json(const char *arch, char *text, size_t size)
{
    for (size_t i = 0; i < sizeof gpus / sizeof gpus[0]; i++) {
        if (!is_arch(&gpus[i], arch)) continue;
        int n = write_json(&gpus[i], text, size);
        return n > 0 && (size_t)n < size;
    }
    return 0;
}
