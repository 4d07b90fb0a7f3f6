/* Streams: queues of operations, and when each of them runs.
 *
 * An operation waits for the one before it in its stream, for the event that a cuStreamWaitEvent before it names,
 * and for the legacy stream: an operation of the legacy stream comes after all that blocking streams hold when it
 * is queued, and what they are given later comes after it. Nothing else is ordered. What is waited for runs, and
 * what it depends on; the rest stays where it is. With SINTER_VIRTUAL_SEED other operations that are ready run in
 * between, at random. */
#include "internal.h"
#include <stdlib.h>
#include <time.h>

Stream *stream_new(Context *c, bool blocking)
{
    Stream *s = object_new(sizeof *s, KIND_STREAM, c);
    Stream **grown = realloc(c->streams, (size_t)(c->nstreams + 1) * sizeof *grown);
    if (!grown) abort();
    s->blocking = blocking;
    c->streams = grown;
    c->streams[c->nstreams++] = s;
    return s;
}

Stream *stream_get(Context *c, CUstream handle)
{
    return !handle || handle == CU_STREAM_LEGACY ? c->streams[0]
                                                 : object_find(handle, KIND_STREAM, c);
}

/* ---- queueing ---- */

void work_unref(Work *w)
{
    if (--w->refs) return;
    op_free(&w->op);
    free(w->deps);
    free(w);
}

static void depend(Work *w, Work *on)
{
    if (!on || on->done) return;
    Work **grown = realloc(w->deps, (size_t)(w->ndeps + 1) * sizeof *grown);
    if (!grown) abort();
    w->deps = grown;
    w->deps[w->ndeps++] = on;
    on->refs++;
}

static void depend_on_legacy_rules(Context *c, Stream *s, Work *w)
{
    Stream *legacy = c->streams[0];
    if (s == legacy) {
        for (int i = 1; i < c->nstreams; i++)
            if (c->streams[i]->blocking) depend(w, c->streams[i]->tail);
    } else if (s->blocking) {
        depend(w, legacy->tail);
    }
}

static void append(Stream *s, Work *w)
{
    w->refs++;
    if (s->tail)
        s->tail->next = w;
    else
        s->head = w;
    s->tail = w;
}

CUresult stream_submit(Context *c, Stream *s, Op op, Work *after, Work **work)
{
    if (s->capture) return capture_add(s, op);
    if (s == c->streams[0] && capture_on_legacy(c)) {
        op_free(&op);
        return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
    }
    Work *w = must_alloc(1, sizeof *w);
    w->op = op;
    w->stream = s;
    depend(w, after);
    depend_on_legacy_rules(c, s, w);
    append(s, w);
    if (work) {
        *work = w;
        w->refs++;
    }
    return CUDA_SUCCESS;
}

/* ---- running ---- */

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static void finish(Work *w)
{
    Stream *s = w->stream;
    s->head = w->next;
    if (!s->head) s->tail = NULL;
    w->done = true;
    w->time = now_ms();
    for (int i = 0; i < w->ndeps; i++) work_unref(w->deps[i]);
    w->ndeps = 0;
    op_free(&w->op);
    work_unref(w);
}

/* What must be done before the first operation of a stream; NULL: it is ready. */
static Work *obstacle(const Work *w)
{
    for (int i = 0; i < w->ndeps; i++)
        if (!w->deps[i]->done) return w->deps[i];
    return NULL;
}

static void run_head(Context *c, Stream *s)
{
    op_run(c, &s->head->op);
    finish(s->head);
}

static void run_until(Context *c, Work *w);

static void run_something_else(Context *c)
{
    static uint64_t state;
    for (int tries = 0; device.seed && tries < 2; tries++) {
        state =
            (state ^ device.seed) * 6364136223846793005u + 1442695040888963407u; /* Knuth's LCG */
        Stream *s = c->streams[(state >> 33) % (uint64_t)c->nstreams];
        if (s->head && !obstacle(s->head)) run_head(c, s);
    }
}

static void run_until(Context *c, Work *w)
{
    while (!w->done) {
        Work *before = obstacle(w->stream->head);
        if (before) {
            run_until(c, before);
            continue;
        }
        run_something_else(c);
        if (!w->done && !obstacle(w->stream->head)) run_head(c, w->stream);
    }
}

void stream_run_until(Context *c, Work *w)
{
    w->refs++;
    memory_open(c);
    run_until(c, w);
    memory_close(c);
    work_unref(w);
}

CUresult stream_wait(Context *c, Stream *s)
{
    if (s->tail) stream_run_until(c, s->tail);
    return c->error;
}

bool stream_progress(Context *c, Stream *s)
{
    if (!s->head) return false;
    stream_run_until(c, s->head);
    return true;
}

/* The youngest stream first: the opposite of the order in which programs tend to fill them. */
CUresult context_wait(Context *c)
{
    for (int i = c->nstreams - 1; i >= 0; i--) stream_wait(c, c->streams[i]);
    return c->error;
}

int context_drop_work(Context *c)
{
    int n = 0;
    for (int i = 0; i < c->nstreams; i++)
        while (c->streams[i]->head) {
            n += c->streams[i]->head->op.kind != OP_NOTHING;
            finish(c->streams[i]->head);
        }
    return n;
}

/* ---- entry points ---- */

CUresult cuStreamCreate(CUstream *stream, unsigned flags)
{
    GUARDED Guard g = enter(IN_CONTEXT);
    if (g.error) return g.error;
    if (!stream || flags > CU_STREAM_NON_BLOCKING) return CUDA_ERROR_INVALID_VALUE;
    *stream = stream_new(g.context, flags != CU_STREAM_NON_BLOCKING);
    return CUDA_SUCCESS;
}

/* Returns at once; what is queued still runs, when something that depends on it does. */
CUresult cuStreamDestroy_v2(CUstream stream)
{
    GUARDED Guard g = enter(IN_CONTEXT);
    if (g.error) return g.error;
    Stream *s = object_find(stream, KIND_STREAM, g.context);
    if (!s || s == g.context->streams[0]) return CUDA_ERROR_INVALID_HANDLE;
    if (s->capture) s->capture->invalid = true;
    object_forget(s);
    return CUDA_SUCCESS;
}

/* The stream to wait for, which must not be capturing. */
static CUresult waitable(const Guard *g, CUstream handle, Stream **s)
{
    if (g->error) return g->error;
    *s = stream_get(g->context, handle);
    if (!*s) return CUDA_ERROR_INVALID_HANDLE;
    if (*s == g->context->streams[0] && capture_on_legacy(g->context))
        return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
    if (!(*s)->capture) return CUDA_SUCCESS;
    (*s)->capture->invalid = true;
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

CUresult cuStreamSynchronize(CUstream stream)
{
    GUARDED Guard g = enter(IN_CONTEXT);
    Stream *s;
    CUresult e = waitable(&g, stream, &s);
    return e ? e : stream_wait(g.context, s);
}

/* Time passes between two questions: each runs one operation, so that a program may wait by asking. */
CUresult cuStreamQuery(CUstream stream)
{
    GUARDED Guard g = enter(IN_CONTEXT);
    Stream *s;
    CUresult e = waitable(&g, stream, &s);
    if (e) return e;
    if (!stream_progress(g.context, s)) return CUDA_SUCCESS;
    return g.context->error ? g.context->error : CUDA_ERROR_NOT_READY;
}
