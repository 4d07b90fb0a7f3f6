/* How many blocks of a kernel a multiprocessor holds at a time. In: an architecture, what a block asks for. Out: the
 * number, and what limits it. Source: the rules of NVIDIA's occupancy calculator: registers are handed out to whole
 * warps, in units, from four separate files; shared memory to whole blocks, in units, with a reserve. */
#include "gpu/gpu.h"

enum { WARP = 32, MOST_THREADS = 1024, FILES = 4 /* schedulers of a multiprocessor, each with its registers */ };

static int round_up(int n, int unit)
{
    return (n + unit - 1) / unit * unit;
}

/* A launch is checked as if each file had an equal share of the block's warps. */
static int by_registers(const GpuArch *a, const GpuBlock *b, int warps)
{
    int of_warp = round_up(b->registers * WARP, a->register_unit);
    if (b->registers > a->most_registers || of_warp * round_up(warps, FILES) > a->registers) return 0;
    return of_warp ? a->registers / FILES / of_warp * FILES / warps : a->blocks;
}

static int by_shared(const GpuArch *a, const GpuBlock *b)
{
    if (b->shared > a->most_shared) return 0;
    return a->shared / round_up(b->shared + a->shared_reserve, a->shared_unit);
}

Occupancy gpu_occupancy(const GpuArch *a, const GpuBlock *b)
{
    int warps = (b->threads + WARP - 1) / WARP;
    if (b->threads < 1 || b->threads > MOST_THREADS) return (Occupancy){0};
    int most[] = {[LIMIT_WARPS] = a->warps / warps,
                  [LIMIT_BLOCKS] = a->blocks,
                  [LIMIT_REGISTERS] = by_registers(a, b, warps),
                  [LIMIT_SHARED] = by_shared(a, b)};
    Occupancy o = {.blocks = most[LIMIT_WARPS]};
    for (int i = 0; i < 4; i++)
        if (most[i] < o.blocks) o.blocks = most[i], o.limit = (GpuLimit)i;
    o.fraction = (double)(o.blocks * warps) / a->warps;
    return o;
}

const char *gpu_limit_name(GpuLimit l)
{
    static const char *const names[] = {"warps", "blocks", "registers", "shared memory"};
    return names[l];
}
