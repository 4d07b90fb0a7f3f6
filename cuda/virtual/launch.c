/* Launches: what the driver checks when a kernel is launched, and running it. */
#include "internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t param_slot(const PtxKernel *k, int i)
{
    return (ptx_param_size(k, i) + PARAM_ALIGN - 1) / PARAM_ALIGN * PARAM_ALIGN;
}

/* Parameters are copied when the launch is queued, as the documentation says. */
static void pack(Launch *l, void **params)
{
    const PtxKernel *k = l->function->kernel;
    for (int i = 0; i < ptx_param_count(k); i++) l->param_bytes += param_slot(k, i);
    unsigned char *at = l->params = must_alloc(1, l->param_bytes);
    for (int i = 0; i < ptx_param_count(k); at += param_slot(k, i++))
        memcpy(at, params[i], ptx_param_size(k, i));
}

static CUresult check_geometry(const Function *f, const unsigned grid[3], const unsigned block[3],
                               unsigned shared)
{
    static const unsigned max_grid[3] = {0x7fffffff, 65535, 65535}, max_block[3] = {1024, 1024, 64};
    for (int i = 0; i < 3; i++)
        if (!grid[i] || grid[i] > max_grid[i] || !block[i] || block[i] > max_block[i])
            return CUDA_ERROR_INVALID_VALUE;
    unsigned threads = block[0] * block[1] * block[2];
    if (threads > MAX_THREADS) return CUDA_ERROR_INVALID_VALUE;
    if (threads > ptx_max_threads(f->kernel)) return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
    if (ptx_static_shared(f->kernel) > SHARED_DEFAULT || shared > (unsigned)f->max_dynamic)
        return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

CUresult cuLaunchKernel(CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                        unsigned by, unsigned bz, unsigned shared, CUstream stream, void **params,
                        void **extra)
{
    GUARDED Guard g = enter(IN_CONTEXT);
    if (g.error) return g.error;
    Function *f = object_find(function, KIND_FUNCTION, g.context);
    Stream *s = stream_get(g.context, stream);
    if (!f || !s) return CUDA_ERROR_INVALID_HANDLE;
    if (extra) return CUDA_ERROR_NOT_SUPPORTED;
    if (!params && ptx_param_count(f->kernel)) return CUDA_ERROR_INVALID_VALUE;
    Op op = {
        .kind = OP_LAUNCH,
        .launch = {.function = f, .grid = {gx, gy, gz}, .block = {bx, by, bz}, .shared = shared}};
    CUresult e = check_geometry(f, op.launch.grid, op.launch.block, shared);
    if (e) return e;
    pack(&op.launch, params);
    return stream_submit(g.context, s, op, NULL, NULL);
}

CUresult cuLaunchHostFunc(CUstream stream, void (*function)(void *data), void *data)
{
    GUARDED Guard g = enter(IN_CONTEXT);
    if (g.error) return g.error;
    Stream *s = stream_get(g.context, stream);
    if (!s) return CUDA_ERROR_INVALID_HANDLE;
    if (!function) return CUDA_ERROR_INVALID_VALUE;
    return stream_submit(g.context, s, (Op){.kind = OP_HOST, .host = function, .data = data}, NULL, NULL);
}

/* Registers are not known here; threads, blocks and shared memory are what limits. */
CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction function, int threads,
                                                     size_t shared)
{
    GUARDED Guard g = enter(IN_CONTEXT);
    if (g.error) return g.error;
    Function *f = object_find(function, KIND_FUNCTION, g.context);
    if (!f) return CUDA_ERROR_INVALID_HANDLE;
    if (!blocks || threads < 1 || threads > MAX_THREADS) return CUDA_ERROR_INVALID_VALUE;
    size_t each = ptx_static_shared(f->kernel) + shared + SHARED_RESERVED;
    int by_threads = device.chip->threads_sm / ((threads + 31) / 32 * 32),
        by_shared = (int)(device.chip->shared_sm / each);
    *blocks = by_threads < by_shared ? by_threads : by_shared;
    if (*blocks > device.chip->blocks_sm) *blocks = device.chip->blocks_sm;
    return CUDA_SUCCESS;
}

/* ---- running ---- */

/* The kind of the interpreter's fault, by its words; instructions have words of their own. */
static CUresult error_of(const char *fault)
{
    const char *what = strstr(fault, "`: ");
    if (what) fault = what;
    return strstr(fault, "aligned")        ? CUDA_ERROR_MISALIGNED_ADDRESS
           : strstr(fault, "memory")       ? CUDA_ERROR_ILLEGAL_ADDRESS
           : strstr(fault, "does not end") ? CUDA_ERROR_LAUNCH_TIMEOUT
                                           : CUDA_ERROR_LAUNCH_FAILED;
}

static void fail(Context *c, const Launch *l)
{
    char what[200];
    snprintf(what, sizeof what, "%s: launch %ld fails, as SINTER_VIRTUAL_FAULT asks",
             l->function->name, device.launch_at);
    context_fail(c, CUDA_ERROR_LAUNCH_FAILED, what);
}

static void run(Context *c, const Launch *l)
{
    const PtxKernel *k = l->function->kernel;
    void **params = must_alloc((size_t)ptx_param_count(k), sizeof *params);
    unsigned char *at = l->params;
    for (int i = 0; i < ptx_param_count(k); at += param_slot(k, i++)) params[i] = at;
    PtxLaunch run = {.kernel = k,
                     .shared = l->shared,
                     .params = params,
                     .check_races = device.check_races,
                     .budget = device.budget,
                     .threads = device.threads};
    memcpy(run.grid, l->grid, sizeof run.grid);
    memcpy(run.block, l->block, sizeof run.block);
    char *fault = ptx_run(&run, c->space, profile_of(l->function->name));
    if (fault) context_fail(c, error_of(fault), fault);
    free(fault);
    free(params);
}

void launch_run(Context *c, const Launch *l)
{
    if (!object_find(l->function, KIND_FUNCTION, c))
        context_fail(c, CUDA_ERROR_ILLEGAL_ADDRESS,
                     "a graph launches a kernel whose module was unloaded");
    else if (++device.launches == device.launch_at)
        fail(c, l);
    else
        run(c, l);
}
