/* Contexts: a device's primary one, which is counted, and those a program creates. What a context owns goes with
 * it. */
#include "internal.h"
#include <stdio.h>
#include <stdlib.h>

static _Thread_local Context *current;
static Context *primary;
static int retained;

Context *context_current(void)
{
    return current;
}

void context_fail(Context *c, CUresult error, const char *what)
{
    if (c->error) return;
    fprintf(stderr, "sinter virtual device: %s\n", what);
    c->error = error;
}

static Context *context_new(void)
{
    Context *c = object_new(sizeof *c, KIND_CONTEXT, NULL);
    c->space = ptx_space_new();
    stream_new(c, true);
    return c;
}

/* Objects of one kind, each by its own destructor. */
static void release_kind(Context *c, Kind kind, void (*release)(void *))
{
    for (void *o; (o = object_any(kind, c));) {
        object_forget(o);
        release(o);
    }
}

static void release_event(void *o)
{
    Event *e = o;
    if (e->work) work_unref(e->work);
    capture_unref(e->capture);
    tips_free(&e->tips);
    free(e);
}

static void release_graph(void *o)
{
    Graph *x = o;
    nodes_free(x->nodes, x->n);
    free(x);
}

static void release_exec(void *o)
{
    exec_unref(o);
}

static void release_module(void *o)
{
    module_release(o);
}

static void release_stream(void *o)
{
    (void)o; /* the context's list holds it */
}

static void context_release(Context *c)
{
    profile_never_run(context_drop_work(c));
    release_kind(c, KIND_EVENT, release_event);
    release_kind(c, KIND_STREAM, release_stream);
    release_kind(c, KIND_GRAPH, release_graph);
    release_kind(c, KIND_EXEC, release_exec);
    release_kind(c, KIND_MODULE, release_module);
    for (int i = 0; i < c->nstreams; i++) {
        capture_unref(c->streams[i]->capture);
        tips_free(&c->streams[i]->tips);
        free(c->streams[i]);
    }
    memory_release_all(c);
    ptx_space_free(c->space);
    object_forget(c);
    free(c->streams);
    free(c->ranges);
    free(c);
}

static void count_work(void *o)
{
    profile_never_run(context_drop_work(o));
}

/* Work that nothing has waited for when the program ends is counted as well. */
__attribute__((destructor(300))) static void count_the_rest(void)
{
    object_each(KIND_CONTEXT, count_work);
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice d)
{
    GUARDED Guard g = enter(INITIALISED);
    if (g.error) return g.error;
    if (!context) return CUDA_ERROR_INVALID_VALUE;
    if (d < 0 || d >= device.count) return CUDA_ERROR_INVALID_DEVICE;
    if (!primary) primary = context_new();
    retained++;
    *context = primary;
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice d)
{
    GUARDED Guard g = enter(INITIALISED);
    if (g.error) return g.error;
    if (d < 0 || d >= device.count) return CUDA_ERROR_INVALID_DEVICE;
    if (!retained) return CUDA_ERROR_INVALID_CONTEXT;
    if (--retained) return CUDA_SUCCESS;
    context_release(primary);
    primary = NULL;
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease(CUdevice d)
{
    return cuDevicePrimaryCtxRelease_v2(d);
}

CUresult cuCtxCreate_v2(CUcontext *context, unsigned flags, CUdevice d)
{
    GUARDED Guard g = enter(INITIALISED);
    (void)flags; /* how the host waits, which is of no matter here */
    if (g.error) return g.error;
    if (!context) return CUDA_ERROR_INVALID_VALUE;
    if (d < 0 || d >= device.count) return CUDA_ERROR_INVALID_DEVICE;
    *context = current = context_new();
    return CUDA_SUCCESS;
}

CUresult cuCtxCreate_v4(CUcontext *context, CUctxCreateParams *params, unsigned flags, CUdevice d)
{
    return params ? CUDA_ERROR_NOT_SUPPORTED : cuCtxCreate_v2(context, flags, d);
}

CUresult cuCtxDestroy_v2(CUcontext context)
{
    GUARDED Guard g = enter(INITIALISED);
    if (g.error) return g.error;
    if (context == primary || !object_find(context, KIND_CONTEXT, NULL))
        return CUDA_ERROR_INVALID_CONTEXT;
    context_release(context);
    if (current == context) current = NULL;
    return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext context)
{
    GUARDED Guard g = enter(INITIALISED);
    if (g.error) return g.error;
    if (context && !object_find(context, KIND_CONTEXT, NULL)) return CUDA_ERROR_INVALID_CONTEXT;
    current = context;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext *context)
{
    GUARDED Guard g = enter(INITIALISED);
    if (g.error) return g.error;
    if (!context) return CUDA_ERROR_INVALID_VALUE;
    *context = current;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice *d)
{
    GUARDED Guard g = enter(IN_CONTEXT);
    if (g.error) return g.error;
    if (!d) return CUDA_ERROR_INVALID_VALUE;
    *d = 0;
    return CUDA_SUCCESS;
}

CUresult cuCtxSynchronize(void)
{
    GUARDED Guard g = enter(IN_CONTEXT);
    if (g.error) return g.error;
    if (capture_invalidate(g.context)) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    return context_wait(g.context);
}
