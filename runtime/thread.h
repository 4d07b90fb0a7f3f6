/* The pool: persistent threads that run a list of steps together.
 *
 * Every thread walks the whole list. The tasks of a step are divided into one contiguous range a
 * thread; a thread takes its own range in pieces and then helps itself to the other ranges. A step
 * is over when its tasks are done, not when every thread has been there: a thread that lost its
 * core delays only the piece it holds. */
#ifndef RUNTIME_THREAD_H
#define RUNTIME_THREAD_H
#include "abi.h"
#include <stdbool.h>

typedef struct RtPool RtPool;
typedef struct RtWork RtWork; /* a list of steps, ready to run as often as wanted */

typedef struct RtTaskStep {
    RtKernel kernel;
    void *const *args;
    int64_t ntasks;
    bool nowait; /* the next step may begin before this one is over */
} RtTaskStep;

/* threads >= 1, the caller counts as one. Says so (E004) and goes on when fewer can be started. */
RtPool *rt_pool_new(int threads);
void rt_pool_free(RtPool *p);
int rt_pool_threads(const RtPool *p);
int rt_cpus(void); /* CPUs that this process may use */

/* Copies the steps; the argument arrays must live on. */
RtWork *rt_work_new(RtPool *p, const RtTaskStep *steps, int n);
void rt_work_free(RtWork *w);
/* Runs every step; returns when all is done. ns (may be NULL): nanoseconds of each step are added
 * there, and every step is waited for. One caller at a time. */
void rt_work_run(RtWork *w, double *ns);

double rt_now(void); /* seconds on a clock that only goes forward */

/* Denormal numbers count as zero, in the calling thread. The pool calls it in each of its threads
 * and in the caller's: a denormal costs some CPUs a hundred cycles, and all threads must round
 * alike so that results do not depend on who ran a task. */
void rt_float_mode(void);
#endif
