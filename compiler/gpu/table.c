/* The table of GPUs. Limits: NVIDIA, CUDA C++ Programming Guide, "Compute Capabilities", and the allocation units of
 * the toolkit's cuda_occupancy.h. Ceilings: NVIDIA A100 Tensor Core GPU Architecture (white paper, table 1) and the
 * A100 80GB data sheet (SXM4); NVIDIA H100 Tensor Core GPU Architecture (white paper, table 2, SXM5). */
#include "gpu/gpu.h"
#include <stdlib.h>
#include <string.h>

enum { KIB = 1024 };

/* clang-format off: columns */
const GpuArch gpu_archs[] = {
    /* name    warps blocks registers a thread  unit  shared    a block    unit  reserve */
    {"sm_80",   64,   32,   65536,    255,      256,  164 * KIB, 163 * KIB, 128,  KIB},
    {"sm_90",   64,   32,   65536,    255,      256,  228 * KIB, 227 * KIB, 128,  KIB},
    {"sm_90a",  64,   32,   65536,    255,      256,  228 * KIB, 227 * KIB, 128,  KIB},
    {"sm_120",  48,   24,   65536,    255,      256,  100 * KIB,  99 * KIB, 128,  KIB},
    {0}};

const Gpu gpus[] = {
    /* name       arch     SMs  clock    bytes/s   fp32    tf32    fp16 */
    {"A100-40G", "sm_80",  108, 1.41e9, 1.555e12, 19.5e12, 156e12, 312e12},
    {"A100-80G", "sm_80",  108, 1.41e9, 2.039e12, 19.5e12, 156e12, 312e12},
    {"H100-SXM", "sm_90",  132, 1.83e9, 3.35e12,  66.9e12, 494e12, 989e12},
    {0}};
/* clang-format on */

const GpuArch *gpu_arch_find(const char *name)
{
    for (const GpuArch *a = gpu_archs; a->name; a++)
        if (!strcmp(a->name, name)) return a;
    return NULL;
}

static int number(const char *arch)
{
    return atoi(arch + strlen("sm_"));
}

bool gpu_runs(const Gpu *g, const char *arch)
{
    return gpu_is(g, arch) || (number(arch) < number(g->arch) && arch[strlen(arch) - 1] != 'a');
}

bool gpu_is(const Gpu *g, const char *arch)
{
    return number(arch) == number(g->arch);
}

const Gpu *gpu_board(const char *arch)
{
    for (const Gpu *g = gpus; g->name; g++)
        if (gpu_is(g, arch)) return g;
    return NULL;
}
