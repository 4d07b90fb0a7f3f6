/* The CPU as a device: memory of the process, kernels as tasks of the pool. Nothing is copied: a channel is the place
 * it leads to. */
#include "device.h"
#include "err.h"
#include "slab.h"
#include <stdlib.h>
#include <string.h>

typedef struct Cpu {
    RtDevice device;
    RtPool *pool;
    const RtKernel *kernels;
} Cpu;

struct RtList {
    RtWork *work;
};

struct RtChannel {
    void *to;
};

static void *alloc(RtDevice *d, size_t bytes, const char *what)
{
    (void)d;
    return rt_map(bytes, what);
}

static void release(RtDevice *d, void *p, size_t bytes)
{
    (void)d;
    rt_unmap(p, bytes);
}

static void copy(RtDevice *d, void *to, const void *from, size_t bytes)
{
    (void)d;
    memcpy(to, from, bytes);
}

static RtChannel *channel(RtDevice *d, void *to, size_t bytes)
{
    (void)d, (void)bytes;
    RtChannel *c = rt_alloc(1, sizeof *c, "a channel");
    c->to = to;
    return c;
}

static void *fill(RtChannel *c)
{
    return c->to;
}

static void send_nothing(RtChannel *c)
{
    (void)c;
}

static void close_channel(RtChannel *c)
{
    free(c);
}

static RtList *list(RtDevice *d, const RtModel *m, const RtLaunch *launch, int n)
{
    Cpu *c = (Cpu *)d;
    (void)m;
    RtList *l = rt_alloc(1, sizeof *l, "steps");
    RtTaskStep *step = rt_alloc((size_t)n, sizeof *step, "steps");
    for (int i = 0; i < n; i++) {
        const RtStep *s = launch[i].step;
        step[i] = (RtTaskStep){c->kernels[s->kernel], launch[i].args, s->ntasks, s->nowait != 0};
    }
    l->work = rt_work_new(c->pool, step, n);
    free(step);
    return l;
}

static void close_list(RtList *l)
{
    rt_work_free(l->work);
    free(l);
}

static void run(RtList *l)
{
    rt_work_run(l->work, NULL);
}

static void profile(RtList *l, double *ns)
{
    rt_work_run(l->work, ns);
}

static double time_run(RtList *l)
{
    double begin = rt_now();
    rt_work_run(l->work, NULL);
    return rt_now() - begin;
}

static void tasks(RtDevice *d, RtKernel k, void *const *args, int64_t n)
{
    RtTaskStep step = {k, args, n, false};
    RtWork *w = rt_work_new(((Cpu *)d)->pool, &step, 1);
    rt_work_run(w, NULL);
    rt_work_free(w);
}

static void close_cpu(RtDevice *d)
{
    free(d);
}

RtDevice *rt_cpu_device(RtPool *pool, const RtKernel *kernels)
{
    Cpu *c = rt_alloc(1, sizeof *c, "a device");
    c->device = (RtDevice){.kind = RT_CPU,
                           .name = "cpu",
                           .host = true,
                           .alloc = alloc,
                           .free = release,
                           .upload = copy,
                           .download = copy,
                           .channel = channel,
                           .fill = fill,
                           .send = send_nothing,
                           .close_channel = close_channel,
                           .list = list,
                           .close_list = close_list,
                           .run = run,
                           .profile = profile,
                           .time = time_run,
                           .tasks = pool ? tasks : NULL,
                           .close = close_cpu};
    c->pool = pool;
    c->kernels = kernels;
    return &c->device;
}
