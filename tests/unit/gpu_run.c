#include "gpu_run.h"
#include "cuda/cuda_api.h"
#include "nvrtc/cubin.h"
#include "nvrtc/skeleton.h"
#include "support/diag.h"
#include <stdlib.h>
#include <string.h>

bool gpu_wanted(void)
{
    return getenv("GPU_CHECK");
}

static void start(void)
{
    static bool started;
    CuContext context;
    RtError e;
    int device;
    if (started) return;
    if (cu_load(!strcmp(getenv("GPU_CHECK"), "virtual"), &e)) fatal(EXIT_TOOL, "%s", e.text);
    cu_check(cu.cuDeviceGet(&device, 0), "first device");
    cu_check(cu.cuDevicePrimaryCtxRetain(&context, device), "context");
    cu_check(cu.cuCtxSetCurrent(context), "context");
    started = true;
}

/* PTX, so that any device later than sm_80 takes it. */
static Object compile(const Loops *l)
{
    Arena *a = arena_new();
    Buf source = {0}, log = {0};
    Object cubin, ptx;
    Func **f = NEWN(a, Func *, l->kernel.n + 1);
    for (int i = 0; i < l->kernel.n; i++) f[i] = l->kernel.v[i].func;
    cuda_prelude(&source);
    cuda_kernels(&source, f, l->kernel.n);
    cuda_compile(source.s, "compute_80", &cubin, &ptx, &log);
    free(cubin.data);
    buf_free(&source);
    buf_free(&log);
    arena_free(a);
    return ptx;
}

static void launch(CuModule m, const Kernel *k, const CuAddress *arena)
{
    enum { MOST_ARGS = 64 };
    CuAddress arg[MOST_ARGS];
    void *param[MOST_ARGS];
    CuFunction f;
    Geometry g = backend_nvrtc.launch(k->func);
    bug_if(k->arg.n > MOST_ARGS, "%d arguments", k->arg.n);
    for (int i = 0; i < k->arg.n; i++) {
        arg[i] = arena[k->arg.v[i].arena] + (CuAddress)k->arg.v[i].offset;
        param[i] = &arg[i];
    }
    cu_check(cu.cuModuleGetFunction(&f, m, k->func->name), k->func->name);
    if (g.shared) cu_check(cu.cuFuncSetAttribute(f, CU_MOST_DYNAMIC_SHARED, (int)g.shared), "shared memory");
    cu_check(cu.cuLaunchKernel(f, g.grid[0], g.grid[1], g.grid[2], g.block[0], g.block[1], g.block[2],
                               (unsigned)g.shared, NULL, param, NULL),
             k->func->name);
    cu_check(cu.cuStreamSynchronize(NULL), k->layers);
}

void gpu_run(const Loops *l, char *const *arena)
{
    CuAddress on_device[PLAN_NARENAS] = {0};
    const int64_t *size = l->plan->size;
    Object ptx = compile(l); /* before the driver starts: NVRTC 13.0 crashes in a first compilation behind it */
    CuModule m;
    start();
    for (int i = 0; i < PLAN_NARENAS; i++) {
        if (!size[i]) continue;
        cu_check(cu.cuMemAlloc_v2(&on_device[i], (size_t)size[i]), "memory");
        cu_check(cu.cuMemcpyHtoDAsync_v2(on_device[i], arena[i], (size_t)size[i], NULL), "copy to the device");
    }
    cu_check(cu.cuModuleLoadDataEx(&m, ptx.data, 0, NULL, NULL), "kernels");
    free(ptx.data);
    for (int i = 0; i < l->kernel.n; i++) launch(m, &l->kernel.v[i], on_device);
    for (int i = 0; i < PLAN_NARENAS; i++) {
        if (!size[i]) continue;
        cu_check(cu.cuMemcpyDtoHAsync_v2(arena[i], on_device[i], (size_t)size[i], NULL), "copy from the device");
        cu_check(cu.cuStreamSynchronize(NULL), "copy from the device");
        cu_check(cu.cuMemFree_v2(on_device[i]), "memory");
    }
    cu_check(cu.cuModuleUnload(m), "kernels");
}
