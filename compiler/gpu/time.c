/* The time of one launch, predicted. In: a board's ceilings, counts of the kernel. Out: seconds and the ceiling that it
 * meets. Rule: each resource is as busy as its count over its ceiling says, all of them at once; blocks are shared out
 * evenly, so that the last wave, or a grid smaller than the board, leaves multiprocessors idle. Not modelled: latency
 * that too few warps leave open, values that a cache still holds, the shape of accesses. */
#include "gpu/gpu.h"
#include <math.h>

/* An issue slot a cycle in each of four schedulers: NVIDIA's architecture white papers. */
enum { SCHEDULERS = 4 };
/* From the start of a kernel without work to the start of the next one in a CUDA graph. An assumption: NVIDIA's
 * "Getting Started with CUDA Graphs" has 3.4 us a kernel of 2.9 us; to that 0.5 us we add a first access to memory. */
static const double launch = 1.5e-6;

static double peak(const Gpu *g, GpuUnit u)
{
    return u == UNIT_FP16 ? g->fp16 : u == UNIT_TF32 ? g->tf32 : g->fp32;
}

GpuTime gpu_time(const Gpu *g, const GpuWork *w)
{
    double cycles = g->processors * g->clock;
    double t[] = {[BOUND_FLOP] = w->flops / peak(g, w->unit),
                  [BOUND_BYTES] = w->bytes / g->bandwidth,
                  [BOUND_PHASES] = w->phases / cycles,
                  [BOUND_SLOTS] = w->slots / (SCHEDULERS * cycles)};
    GpuTime out = {.bound = BOUND_FLOP};
    for (int i = 0; i < BOUND_LAUNCH; i++)
        if (t[i] > t[out.bound]) out.bound = (GpuBound)i;
    double share = w->blocks / g->processors;
    out.waves = w->blocks > 0 ? ceil(share) / share : 1;
    out.seconds = t[out.bound] * out.waves + launch;
    if (t[out.bound] * out.waves < launch) out.bound = BOUND_LAUNCH;
    return out;
}

const char *gpu_bound_name(GpuBound b)
{
    static const char *const names[] = {"FLOP", "memory", "shared/L1", "issue", "launch"};
    return names[b];
}
