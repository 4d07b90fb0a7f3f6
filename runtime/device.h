/* A device: where a program's memory lies and where its kernels run. The CPU is one (cpu.c); the others are drivers
 * that a program brings along if it was built for them (parts.def). exec.c knows devices by this alone.
 *
 * Work is ordered: what is sent before a run arrives before it, what is fetched after a run is what the run left.
 * Failures end the program with a message: 5 the device, 6 memory. */
#ifndef RUNTIME_DEVICE_H
#define RUNTIME_DEVICE_H
#include "abi.h"
#include "err.h"
#include "thread.h"
#include <stdbool.h>
#include <stddef.h>

typedef struct RtDevice RtDevice;
typedef struct RtList RtList;       /* of launches, ready to run as often as wanted */
typedef struct RtChannel RtChannel; /* host -> a place on the device, again and again */

typedef struct RtLaunch {
    const RtStep *step;
    void *const *args; /* [step->nargs] addresses on the device; must live on */
} RtLaunch;

struct RtDevice {
    uint32_t kind;    /* RT_CPU..: whose programs it runs */
    const char *name; /* "NVIDIA H100 80GB HBM3" */
    bool host;        /* its memory is the host's: nothing is ever copied */

    void *(*alloc)(RtDevice *d, size_t bytes, const char *what); /* zeroed */
    void (*free)(RtDevice *d, void *p, size_t bytes);
    void (*upload)(RtDevice *d, void *to, const void *from, size_t bytes);
    void (*download)(RtDevice *d, void *to, const void *from, size_t bytes); /* waits */

    /* A channel has more than one buffer, so that one is filled while another is under way. `fill` gives the host's
     * side of the next one, which holds anything (zeros the first time); `send` starts it on its way. */
    RtChannel *(*channel)(RtDevice *d, void *to, size_t bytes);
    void *(*fill)(RtChannel *c);
    void (*send)(RtChannel *c);
    void (*close_channel)(RtChannel *c);

    RtList *(*list)(RtDevice *d, const RtModel *m, const RtLaunch *launch, int n);
    void (*close_list)(RtList *l);
    void (*run)(RtList *l);                 /* may return before it is done */
    void (*profile)(RtList *l, double *ns); /* one launch after the other; adds the nanoseconds of each */
    double (*time)(RtList *l);              /* seconds of a run, by the device's own clock */

    /* Tasks [0, n) of the host's, on all of its threads; returns when they are done. NULL: the caller is the only one. */
    void (*tasks)(RtDevice *d, RtKernel k, void *const *args, int64_t n);

    void (*close)(RtDevice *d);
};

typedef struct RtDriver {
    const char *name; /* "cuda" */
    /* which: what stands behind "cuda:", "" if nothing does. NULL: *e says why there is no such device. */
    RtDevice *(*open)(const RtModel *m, const char *which, RtError *e);
} RtDriver;

/* Kernels on the pool's threads. Both are borrowed. */
RtDevice *rt_cpu_device(RtPool *pool, const RtKernel *kernels);
/* drivers: of this build, ends with NULL.
 * --device: "auto", "cpu", "cuda", "cuda:1", "cuda:virtual". auto says in a line on stderr why it is not a GPU. Exits
 * with 5 when there is no such device, with 2 when there is no such word. */
RtDevice *rt_device_open(const RtModel *m, const RtDriver *const *drivers, const char *word, RtPool *pool,
                         const RtKernel *kernels);
#endif
