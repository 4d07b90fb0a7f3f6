/* Lists of launches. A list becomes one CUDA graph when it first runs, so that a step costs the host one call; where
 * the driver cannot capture it, launches go one by one.
 *
 * With CUDA_LAUNCH_BLOCKING=1 (NVIDIA's variable) each launch is waited for, and a kernel that fails has a name. */
#include "err.h"
#include "internal.h"
#include <stdlib.h>

typedef struct Item {
    const RtStep *step;
    CuFunction function;
    void **parameters; /* addresses of the arguments */
    CudaPlan *plan;    /* of a step that cuDNN computes */
} Item;

/* What a kind of step needs before it can be started, and its start. */
typedef struct Kind {
    void (*prepare)(Cuda *c, Item *x, const RtLaunch *from);
    int (*launch)(const Cuda *c, const Item *x);
} Kind;

struct RtList {
    Cuda *cuda;
    int n;
    Item *item;
    void **parameters; /* of all items */
    CuGraphExec graph;
    bool tried; /* to capture */
};

static _Noreturn void failed(const Cuda *c, const RtStep *s, int result)
{
    const RtModel *m = c->model;
    const RtRef *name = RT_AT(m, RtRef, m->device_kernels);
    const char *kernel = s->kind == RT_STEP_KERNEL ? RT_STR(m, name[s->kernel]) : RT_STR(m, s->nest);
    rt_fail(RT_EXIT_DEVICE, "G006", "kernel %s (%s, %s:%u) failed on '%s': %s", kernel, RT_STR(m, s->layers), RT_STR(m, m->spec_file), s->line, rt_esc(c->name), cu_reason(result));
}

static void find_function(Cuda *c, Item *x, const RtLaunch *from)
{
    CuFunction f;
    const RtStep *s = from->step;
    const RtRef *name = RT_AT(c->model, RtRef, c->model->device_kernels);
    int result = cu.cuModuleGetFunction(&f, c->module, RT_STR(c->model, name[s->kernel]));
    if (result) failed(c, s, result);
    if (s->shared) result = cu.cuFuncSetAttribute(f, CU_MOST_DYNAMIC_SHARED, (int)s->shared);
    if (result) failed(c, s, result);
    x->function = f;
}

static int launch_kernel(const Cuda *c, const Item *x)
{
    const RtStep *s = x->step;
    return cu.cuLaunchKernel(x->function, s->grid[0], s->grid[1], s->grid[2], s->block[0], s->block[1], s->block[2],
                             s->shared, c->stream, x->parameters, NULL);
}

static void find_plan(Cuda *c, Item *x, const RtLaunch *from)
{
    x->plan = cuda_plan(c, from->step, from->args);
}

static int start_plan(const Cuda *c, const Item *x)
{
    (void)c;
    cuda_plan_start(x->plan);
    return 0;
}

static const Kind kinds[RT_NSTEPS] = {[RT_STEP_KERNEL] = {find_function, launch_kernel},
                                      [RT_STEP_CUDNN] = {find_plan, start_plan}};

RtList *cuda_list(RtDevice *d, const RtModel *m, const RtLaunch *launch, int n)
{
    RtList *l = rt_alloc(1, sizeof *l, "launches");
    size_t total = 0;
    (void)m;
    l->cuda = (Cuda *)d;
    l->n = n;
    l->item = rt_alloc((size_t)n, sizeof *l->item, "launches");
    for (int i = 0; i < n; i++) total += launch[i].step->nargs;
    void **next = l->parameters = rt_alloc(total, sizeof *next, "arguments");
    for (int i = 0; i < n; i++) {
        l->item[i] = (Item){.step = launch[i].step, .parameters = next};
        kinds[launch[i].step->kind].prepare(l->cuda, &l->item[i], &launch[i]);
        for (uint32_t k = 0; k < launch[i].step->nargs; k++) *next++ = (void *)(uintptr_t)&launch[i].args[k];
    }
    return l;
}

void cuda_close_list(RtList *l)
{
    if (l->graph) cu.cuGraphExecDestroy(l->graph);
    for (int i = 0; i < l->n; i++) cuda_plan_free(l->item[i].plan);
    free(l->item);
    free(l->parameters);
    free(l);
}

static int launch(const RtList *l, const Item *x)
{
    return kinds[x->step->kind].launch(l->cuda, x);
}

/* Leaves l->graph NULL where it cannot be done; what is wrong with a launch is said when it is launched. */
static void capture(RtList *l)
{
    CuGraph graph = NULL;
    CuStream stream = l->cuda->stream;
    int result = 0;
    l->tried = true;
    if (l->n < 2 || cu.cuStreamBeginCapture_v2(stream, CU_CAPTURE_THREAD)) return;
    for (int i = 0; i < l->n && !result; i++) result = launch(l, &l->item[i]);
    int ended = cu.cuStreamEndCapture(stream, &graph);
    if (!result && !ended && cu.cuGraphInstantiateWithFlags(&l->graph, graph, 0)) l->graph = NULL;
    if (graph) cu.cuGraphDestroy(graph);
}

static void launch_all(RtList *l)
{
    Cuda *c = l->cuda;
    for (int i = 0; i < l->n; i++) {
        int result = launch(l, &l->item[i]);
        if (!result && c->blocking) result = cu.cuStreamSynchronize(c->stream);
        if (result) failed(c, l->item[i].step, result);
    }
}

void cuda_run(RtList *l)
{
    if (!l->tried && !l->cuda->blocking) capture(l);
    if (!l->graph)
        launch_all(l);
    else
        cu_check(cu.cuGraphLaunch(l->graph, l->cuda->stream), "start a graph of kernels");
}

static double elapsed(Cuda *c)
{
    float ms = 0;
    cu_check(cu.cuEventElapsedTime(&ms, c->begin, c->end), "read the device's clock");
    return 1e-3 * ms;
}

void cuda_profile(RtList *l, double *ns)
{
    Cuda *c = l->cuda;
    for (int i = 0; i < l->n; i++) {
        cu_check(cu.cuEventRecord(c->begin, c->stream), "time a kernel");
        int result = launch(l, &l->item[i]);
        cu_check(cu.cuEventRecord(c->end, c->stream), "time a kernel");
        if (!result) result = cu.cuEventSynchronize(c->end);
        if (result) failed(c, l->item[i].step, result);
        ns[i] += 1e9 * elapsed(c);
    }
}

double cuda_time(RtList *l)
{
    Cuda *c = l->cuda;
    cu_check(cu.cuEventRecord(c->begin, c->stream), "time a run");
    cuda_run(l);
    cu_check(cu.cuEventRecord(c->end, c->stream), "time a run");
    cu_check(cu.cuEventSynchronize(c->end), "run kernels");
    return elapsed(c);
}
