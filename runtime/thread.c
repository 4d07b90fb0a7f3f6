/* The pool of threads.
 *
 * In: lists of steps. Out: every task run exactly once, in step order where a step has to be waited
 * for. Rule: nothing is allocated, and nothing but atomics and futexes is used, while a list runs.
 *
 * A range is cut into at most PIECES pieces. slot[step][thread] counts the pieces taken and holds
 * the number of the run that they were taken in (run << 8 | count), so that a slot left by an
 * earlier run reads as fresh, a thread that slept through the end of a run can take nothing any
 * more, and nothing needs to be reset. done[step] counts finished tasks for ever: the step of run r
 * is over at r * ntasks. Waiters look for SPIN_NS (a futex costs tens of microseconds), then sleep
 * on `tick`; who completes something wakes them if there are any. Not here: what a task does,
 * buffers (exec.c). */
#include "thread.h"
#include "err.h"
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

enum { PIECES = 16, SPIN_NS = 50000, LOOKS = 64, MAX_THREADS = 1024 };

typedef struct Cell { /* a counter with a cache line of its own */
    _Alignas(64) _Atomic uint64_t v;
} Cell;

struct RtWork {
    RtPool *pool;
    int n;
    RtTaskStep *step;
    Cell *slot; /* [n][threads] */
    Cell *done; /* [n] */
    _Atomic uint64_t run;
    _Atomic bool each; /* wait for every step (profile) */
};

typedef struct Worker {
    RtPool *pool;
    int id;
    pthread_t thread;
    _Atomic uint64_t seen; /* the last epoch that this worker is through with */
} Worker;

struct RtPool {
    int threads, spin_ns;
    Worker *worker;
    _Atomic(RtWork *) work;
    _Alignas(64) _Atomic uint64_t epoch; /* counts runs; a change calls the workers */
    _Alignas(64) _Atomic uint32_t tick;
    _Atomic int sleepers;
    _Atomic bool quit;
};

double rt_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void rt_float_mode(void)
{
#if defined(__x86_64__)
    _mm_setcsr(_mm_getcsr() | 0x8040u); /* flush to zero, denormals are zero */
#elif defined(__aarch64__)
    uint64_t r;
    __asm__ volatile("mrs %0, fpcr" : "=r"(r));
    __asm__ volatile("msr fpcr, %0" ::"r"(r | 1u << 24));
#endif
}

int rt_cpus(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

static void pause_cpu(void)
{
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void wake(RtPool *p)
{
    if (atomic_load(&p->sleepers) == 0) return;
    atomic_fetch_add(&p->tick, 1);
    syscall(SYS_futex, &p->tick, FUTEX_WAKE_PRIVATE, MAX_THREADS, NULL, NULL, 0);
}

/* Waits until *v >= least. The order of the two counters matters: a sleeper announces itself before
 * it looks, a finisher counts before it looks for sleepers, so one of them sees the other. */
static void wait_for(RtPool *p, _Atomic uint64_t *v, uint64_t least)
{
    double end = 0;
    for (;;) {
        for (int i = 0; i < LOOKS; i++) {
            if (atomic_load_explicit(v, memory_order_acquire) >= least) return;
            pause_cpu();
        }
        double now = rt_now();
        if (end == 0) end = now + 1e-9 * p->spin_ns;
        if (now >= end) break;
    }
    for (;;) {
        atomic_fetch_add(&p->sleepers, 1);
        uint32_t tick = atomic_load(&p->tick);
        bool ready = atomic_load(v) >= least;
        if (!ready) syscall(SYS_futex, &p->tick, FUTEX_WAIT_PRIVATE, tick, NULL, NULL, 0);
        atomic_fetch_sub(&p->sleepers, 1);
        if (ready) return;
    }
}

/* Takes the next piece of a range: its number, or -1. */
static int take(Cell *slot, uint64_t run, int pieces)
{
    uint64_t old = atomic_load_explicit(&slot->v, memory_order_relaxed);
    for (;;) {
        uint64_t count = old >> 8 == run ? old & 255 : 0;
        if (old >> 8 > run || (int)count >= pieces) return -1;
        if (atomic_compare_exchange_weak_explicit(&slot->v, &old, run << 8 | (count + 1),
                                                  memory_order_acq_rel, memory_order_relaxed)) {
            return (int)count;
        }
    }
}

/* Takes and runs pieces of the range of thread `owner` until none is left; returns how many tasks
 * that were. */
static int64_t run_range(RtWork *w, int s, int owner, uint64_t run)
{
    const RtTaskStep *st = &w->step[s];
    int64_t t = w->pool->threads;
    int64_t lo = (st->ntasks * owner + t - 1) / t, hi = (st->ntasks * (owner + 1) + t - 1) / t;
    if (lo == hi) return 0;
    int64_t size = (hi - lo + PIECES - 1) / PIECES, ran = 0;
    int pieces = (int)((hi - lo + size - 1) / size), i;
    while ((i = take(&w->slot[(int64_t)s * t + owner], run, pieces)) >= 0) {
        int64_t a = lo + i * size, b = a + size < hi ? a + size : hi;
        st->kernel(st->args, a, b);
        ran += b - a;
    }
    return ran;
}

static void run_step(RtWork *w, int s, int self, uint64_t run)
{
    const RtTaskStep *st = &w->step[s];
    uint64_t total = (uint64_t)st->ntasks * run;
    if (atomic_load_explicit(&w->done[s].v, memory_order_acquire) >= total) return;
    int64_t ran = 0;
    for (int i = 0; i < w->pool->threads; i++)
        ran += run_range(w, s, (self + i) % w->pool->threads, run);
    if (ran == 0) return;
    if (atomic_fetch_add(&w->done[s].v, (uint64_t)ran) + (uint64_t)ran == total) wake(w->pool);
}

static void walk(RtWork *w, int self, uint64_t run, double *ns)
{
    bool each = atomic_load_explicit(&w->each, memory_order_relaxed);
    int waited = 0; /* steps before this one are over */
    for (int s = 0; s < w->n; s++) {
        double begin = ns ? rt_now() : 0;
        run_step(w, s, self, run);
        if (w->step[s].nowait && !each && s + 1 < w->n) continue;
        for (; waited <= s; waited++) {
            wait_for(w->pool, &w->done[waited].v, (uint64_t)w->step[waited].ntasks * run);
        }
        if (ns) ns[s] += 1e9 * (rt_now() - begin);
    }
}

static void *worker_main(void *arg)
{
    Worker *me = arg;
    RtPool *p = me->pool;
    rt_float_mode();
    for (uint64_t seen = 0;;) {
        wait_for(p, &p->epoch, seen + 1);
        seen = atomic_load(&p->epoch);
        if (atomic_load(&p->quit)) return NULL;
        /* Any (work, its run) read here was complete when it was stored, even if a newer one
         * follows. */
        RtWork *w = atomic_load(&p->work);
        if (w) walk(w, me->id, atomic_load(&w->run), NULL);
        atomic_store(&me->seen, seen);
    }
}

RtPool *rt_pool_new(int threads)
{
    if (threads > MAX_THREADS) threads = MAX_THREADS;
    RtPool *p = aligned_alloc(64, (sizeof *p + 63) / 64 * 64);
    if (!p) rt_fail(RT_EXIT_MEMORY, "E003", "cannot allocate the thread pool");
    memset(p, 0, sizeof *p);
    p->worker = rt_alloc((size_t)threads, sizeof *p->worker, "threads");
    p->threads = 1;
    p->spin_ns = threads <= rt_cpus()
                     ? SPIN_NS
                     : 0; /* with too few cores, spinning keeps the others from work */
    rt_float_mode();
    int got = 1;
    for (; got < threads; got++) {
        Worker *w = &p->worker[got];
        w->pool = p;
        w->id = got;
        if (pthread_create(&w->thread, NULL, worker_main, w) != 0) {
            rt_warn("E004", "%d of %d threads started; continuing with %d", got, threads, got);
            break;
        }
    }
    p->threads = got;
    return p;
}

static void call(RtPool *p, RtWork *w)
{
    atomic_store(&p->work, w);
    atomic_fetch_add(&p->epoch, 1);
    wake(p);
}

void rt_pool_free(RtPool *p)
{
    if (!p) return;
    atomic_store(&p->quit, true);
    call(p, NULL);
    for (int i = 1; i < p->threads; i++) pthread_join(p->worker[i].thread, NULL);
    free(p->worker);
    free(p);
}

int rt_pool_threads(const RtPool *p)
{
    return p->threads;
}

static Cell *cells(int64_t n)
{
    Cell *c = aligned_alloc(64, sizeof(Cell) * (size_t)(n ? n : 1));
    if (!c) rt_fail(RT_EXIT_MEMORY, "E003", "cannot allocate the step counters");
    memset(c, 0, sizeof(Cell) * (size_t)n);
    return c;
}

RtWork *rt_work_new(RtPool *p, const RtTaskStep *steps, int n)
{
    RtWork *w = rt_alloc(1, sizeof *w, "steps");
    w->pool = p;
    w->n = n;
    w->step = rt_alloc((size_t)n, sizeof *steps, "steps");
    if (n) memcpy(w->step, steps, sizeof *steps * (size_t)n);
    w->slot = cells((int64_t)n * p->threads);
    w->done = cells(n);
    return w;
}

void rt_work_free(RtWork *w)
{
    if (!w) return;
    /* A late worker may still be looking at this list: call all, and wait until each has been
     * through. */
    RtPool *p = w->pool;
    call(p, NULL);
    uint64_t epoch = atomic_load(&p->epoch);
    for (int i = 1; i < p->threads; i++) {
        while (atomic_load(&p->worker[i].seen) < epoch) sched_yield();
    }
    free(w->step);
    free(w->slot);
    free(w->done);
    free(w);
}

void rt_work_run(RtWork *w, double *ns)
{
    uint64_t run = atomic_load_explicit(&w->run, memory_order_relaxed) + 1;
    atomic_store_explicit(&w->each, ns != NULL, memory_order_relaxed);
    atomic_store(&w->run, run);
    if (w->pool->threads > 1) {
        call(w->pool, w);
        walk(w, 0, run, ns);
        return;
    }
    for (int s = 0; s < w->n; s++) { /* alone: no pieces, no counters */
        double begin = ns ? rt_now() : 0;
        w->step[s].kernel(w->step[s].args, 0, w->step[s].ntasks);
        if (ns) ns[s] += 1e9 * (rt_now() - begin);
    }
}
