/* Kernels of a GPU on a device, through the CUDA driver's interface: sinter's virtual device, which needs no GPU, or the
 * driver's first one.
 *
 * In: PTX, a program whose arenas lie in host memory. The device has arenas of its own; the host's are a mirror: what the
 * checks read is fetched first, what they write is pushed. Rule: compile before the device is opened, NVRTC 13.0 crashes
 * in a first compilation behind it. A kernel that fails ends the process: after that a CUDA context answers nothing. */
#include "../cuda/cuda_api.h"
#include "link.h"
#include "verify.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ARGS = 64, NAME = 96 };

struct VerifyDevice {
    const Backend *backend;
    CuModule module;
    Func *const *func;
    CudnnDevice *cudnn; /* NULL until a step needs it */
    char name[NAME];
    bool virtual;
};

/* The virtual device is what the kernels are for, and looks for races. */
static void describe_virtual(Arena *a, const Machine *m)
{
    const char *lib = link_library_path(a, "libsinter_cuda_virtual.so", "SINTER_CUDA_VIRTUAL");
    char *arch = arena_strdup(a, m->cpu);
    if (lib) setenv("SINTER_CUDA_VIRTUAL", lib, 0);
    arch[strcspn(arch, "a")] = 0; /* sm_90a: its capability */
    setenv("SINTER_VIRTUAL_DEVICE", arch, 0);
    setenv("SINTER_VIRTUAL_CHECK", "1", 0);
}

static void must(int result, const char *what)
{
    if (result) fatal(EXIT_TOOL, "CUDA: %s: %s", what, cu_reason(result));
}

VerifyDevice *verify_device_open(Arena *a, const Compiled *c, bool virtual)
{
    VerifyDevice *d = NEW(a, VerifyDevice);
    CuContext context;
    RtError e;
    int device;
    if (virtual) describe_virtual(a, c->machine);
    if (cu_load(virtual, &e)) fatal(EXIT_TOOL, "%.*s", (int)strcspn(e.text, "\n"), e.text);
    must(cu.cuDeviceGet(&device, 0), "the first device");
    must(cu.cuDeviceGetName(d->name, NAME, device), "the device's name");
    must(cu.cuDevicePrimaryCtxRetain(&context, device), "context");
    must(cu.cuCtxSetCurrent(context), "context");
    must(cu.cuModuleLoadDataEx(&d->module, c->ptx.data, 0, NULL, NULL), "the kernels do not load");
    d->backend = backend_find(c->machine->backend);
    d->func = c->func;
    d->virtual = virtual;
    return d;
}

const char *verify_device_name(const VerifyDevice *d)
{
    return d->name;
}

bool verify_device_interprets(const VerifyDevice *d)
{
    return d->virtual;
}

void verify_device_close(VerifyDevice *d)
{
    cudnn_device_free(d->cudnn);
    must(cu.cuModuleUnload(d->module), "kernels");
}

/* ---- memory ---- */

static double gib(size_t bytes)
{
    return (double)bytes / (1 << 30);
}

static _Noreturn void no_memory(const VerifyRun *r)
{
    size_t needed = 0, available = 0, total = 0;
    for (int i = 0; i < PLAN_NARENAS; i++) needed += (size_t)r->plan->size[i];
    if (cu.cuMemGetInfo_v2(&available, &total)) available = total = 0;
    fatal(EXIT_TOOL, "'%s' has no room for the program: %.3f GiB needed, %.3f GiB of %.3f GiB left; a smaller --batch needs less",
          r->device->name, gib(needed), gib(available), gib(total));
}

void verify_device_allocate(VerifyRun *r)
{
    for (int i = 0; i < PLAN_NARENAS; i++) {
        size_t n = (size_t)r->plan->size[i];
        if (!n) continue;
        int result = cu.cuMemAlloc_v2(&r->on_device[i], n);
        if (result == CU_OUT_OF_MEMORY) no_memory(r);
        must(result, "memory");
        verify_device_push(r, (PlanArena)i, 0, (int64_t)n);
    }
}

void verify_device_release(VerifyRun *r)
{
    for (int i = 0; i < PLAN_NARENAS; i++)
        if (r->on_device[i]) must(cu.cuMemFree_v2(r->on_device[i]), "memory");
}

void verify_device_push(const VerifyRun *r, PlanArena arena, int64_t offset, int64_t bytes)
{
    CuAddress to = r->on_device[arena] + (CuAddress)offset;
    if (!bytes) return;
    must(cu.cuMemcpyHtoDAsync_v2(to, r->arena[arena] + offset, (size_t)bytes, NULL), "copy to the device");
    must(cu.cuStreamSynchronize(NULL), "copy to the device");
}

void verify_device_fetch(const VerifyRun *r, PlanArena arena, int64_t offset, int64_t bytes)
{
    CuAddress from = r->on_device[arena] + (CuAddress)offset;
    if (!bytes) return;
    must(cu.cuMemcpyDtoHAsync_v2(r->arena[arena] + offset, from, (size_t)bytes, NULL), "copy from the device");
    must(cu.cuStreamSynchronize(NULL), "copy from the device");
}

/* ---- launches ---- */

static int launch(const VerifyDevice *d, const Func *func, CuAddress *arg, int n)
{
    Geometry g = d->backend->launch(func);
    void *param[MOST_ARGS];
    CuFunction f;
    for (int i = 0; i < n; i++) param[i] = &arg[i];
    int result = cu.cuModuleGetFunction(&f, d->module, func->name);
    if (!result && g.shared) result = cu.cuFuncSetAttribute(f, CU_MOST_DYNAMIC_SHARED, (int)g.shared);
    if (result) return result;
    return cu.cuLaunchKernel(f, g.grid[0], g.grid[1], g.grid[2], g.block[0], g.block[1], g.block[2], (unsigned)g.shared,
                             NULL, param, NULL);
}

/* By cuDNN: the operation's tensors that exist, in order, then scratch. */
static void start_plan(VerifyDevice *d, const Kernel *k, const CuAddress *arg)
{
    char why[CUDNN_WHY];
    void *tensor[CUDNN_MOST_TENSORS] = {NULL};
    const Library *lib = k->library;
    CudnnPlan *p = NULL;
    int failed = d->cudnn ? 0 : cudnn_device_current(NULL, &d->cudnn, why);
    for (int t = 0; t < CUDNN_MOST_TENSORS; t++)
        if (lib->tensor[t].value) tensor[t] = (void *)(uintptr_t)*arg++;
    if (!failed)
        failed = lib->plan ? cudnn_plan_read(d->cudnn, lib->plan, &p, why)
                           : cudnn_plan_make(d->cudnn, &lib->conv, lib->scratch, &p, why);
    if (!failed) failed = cudnn_plan_run(d->cudnn, p, tensor, CUDNN_MOST_TENSORS, (void *)(uintptr_t)*arg, why);
    if (failed) fatal(EXIT_TOOL, "%s (%s) on '%s': %s", k->nest, k->layers, d->name, why);
    must(cu.cuStreamSynchronize(NULL), k->nest);
    cudnn_plan_free(p);
}

void verify_device_launch(const VerifyRun *r, int kernel)
{
    const Kernel *k = &r->loops->kernel.v[kernel];
    VerifyDevice *d = r->device;
    CuAddress arg[MOST_ARGS];
    bug_if(k->arg.n > MOST_ARGS, "%d arguments", k->arg.n);
    for (int i = 0; i < k->arg.n; i++) arg[i] = r->on_device[k->arg.v[i].arena] + (CuAddress)k->arg.v[i].offset;
    if (k->library) {
        start_plan(d, k, arg);
        return;
    }
    int result = launch(d, d->func[r->kernel[kernel]], arg, k->arg.n);
    if (!result) result = cu.cuStreamSynchronize(NULL);
    if (result) fatal(EXIT_TOOL, "kernel %d (%s) failed on '%s': %s", kernel, k->layers, d->name, cu_reason(result));
}
