/* Capture: while a stream captures, what is submitted to it becomes a node of a graph instead of running. A node
 * waits for its stream's last node; an event that was recorded in the capture and that another stream waits for
 * draws that stream in. The capture ends in the stream where it began, after every other stream has been joined to
 * it. What is not permitted meanwhile invalidates it (CUDA Driver API, "Stream Management"; Programming Guide,
 * "CUDA Graphs"). */
#include "internal.h"
#include <stdlib.h>
#include <string.h>

static Capture **captures; /* in progress */
static int ncaptures;

void tips_free(Tips *t)
{
    free(t->v);
    *t = (Tips){0};
}

static void tips_add(Tips *t, int node)
{
    for (int i = 0; i < t->n; i++)
        if (t->v[i] == node) return;
    int *grown = realloc(t->v, (size_t)(t->n + 1) * sizeof *grown);
    if (!grown) abort();
    t->v = grown;
    t->v[t->n++] = node;
}

void tips_merge(Tips *to, const Tips *from)
{
    for (int i = 0; i < from->n; i++) tips_add(to, from->v[i]);
}

void nodes_free(Node *v, int n)
{
    for (int i = 0; i < n; i++) {
        op_free(&v[i].op);
        tips_free(&v[i].deps);
    }
    free(v);
}

void capture_unref(Capture *k)
{
    if (!k || --k->refs) return;
    if (k->graph) {
        nodes_free(k->graph->nodes, k->graph->n);
        free(k->graph);
    }
    free(k);
}

CUresult capture_add(Stream *s, Op op)
{
    Graph *x = s->capture->graph;
    if (s->capture->invalid) {
        op_free(&op);
        return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    }
    Node *grown = realloc(x->nodes, (size_t)(x->n + 1) * sizeof *grown);
    if (!grown) abort();
    x->nodes = grown;
    x->nodes[x->n] = (Node){.op = op, .deps = s->tips}; /* takes the tips over */
    s->tips = (Tips){0};
    tips_add(&s->tips, x->n++);
    return CUDA_SUCCESS;
}

static void join(Stream *s, Event *e)
{
    if (!s->capture) e->capture->refs++;
    s->capture = e->capture;
    tips_merge(&s->tips, &e->tips);
}

CUresult capture_wait(Context *c, Stream *s, Event *e)
{
    if (s->capture && s->capture->invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    CUresult error = CUDA_SUCCESS;
    if (!e->capture || (s->capture && e->capture->ended))
        error = CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
    else if (e->capture->ended)
        return CUDA_ERROR_CAPTURED_EVENT;
    else if (s->capture && s->capture != e->capture)
        error = CUDA_ERROR_STREAM_CAPTURE_MERGE;
    else if (s == c->streams[0])
        error = CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
    if (!error) {
        join(s, e);
        return CUDA_SUCCESS;
    }
    if (s->capture) s->capture->invalid = true;
    if (e->capture) e->capture->invalid = true;
    return error;
}

/* ---- what a capture forbids elsewhere ---- */

bool capture_on_legacy(Context *c)
{
    bool found = false;
    for (int i = 1; i < c->nstreams; i++)
        if (c->streams[i]->blocking && c->streams[i]->capture)
            found = c->streams[i]->capture->invalid = true;
    return found;
}

bool capture_invalidate(Context *c)
{
    bool found = false;
    for (int i = 1; i < c->nstreams; i++)
        if (c->streams[i]->capture) found = c->streams[i]->capture->invalid = true;
    return found;
}

bool capture_forbids_unsafe(void)
{
    bool found = false;
    for (int i = 0; i < ncaptures; i++) {
        Capture *k = captures[i];
        bool mine = pthread_equal(k->thread, pthread_self());
        if (k->mode == CU_STREAM_CAPTURE_MODE_GLOBAL ||
            (k->mode == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL && mine))
            found = k->invalid = true;
    }
    return found;
}

/* ---- entry points ---- */

static void begin(Stream *s, CUstreamCaptureMode mode)
{
    Capture *k = must_alloc(1, sizeof *k);
    Capture **grown = realloc(captures, (size_t)(ncaptures + 1) * sizeof *grown);
    if (!grown) abort();
    captures = grown;
    captures[ncaptures++] = k;
    *k = (Capture){.refs = 1, .mode = mode, .thread = pthread_self(), .origin = s};
    k->graph = must_alloc(1, sizeof *k->graph);
    s->capture = k;
}

CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode)
{
    GUARDED Guard g = enter(IN_CONTEXT);
    if (g.error) return g.error;
    Stream *s = stream_get(g.context, stream);
    if (!s) return CUDA_ERROR_INVALID_HANDLE;
    if (mode < CU_STREAM_CAPTURE_MODE_GLOBAL || mode > CU_STREAM_CAPTURE_MODE_RELAXED)
        return CUDA_ERROR_INVALID_VALUE;
    if (s == g.context->streams[0]) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    if (s->capture) return CUDA_ERROR_ILLEGAL_STATE;
    begin(s, mode);
    return CUDA_SUCCESS;
}

/* Whether every node is one that the origin's next node would wait for: its tips are all the leaves of the graph. */
static bool all_joined(const Capture *k)
{
    const Graph *x = k->graph;
    bool joined = true, *inner = must_alloc((size_t)x->n, sizeof *inner);
    for (int i = 0; i < x->n; i++)
        for (int d = 0; d < x->nodes[i].deps.n; d++) inner[x->nodes[i].deps.v[d]] = true;
    for (int t = 0; t < k->origin->tips.n; t++) inner[k->origin->tips.v[t]] = true;
    for (int i = 0; i < x->n; i++) joined &= inner[i];
    free(inner);
    return joined;
}

static void end(Context *c, Capture *k)
{
    k->ended = true;
    for (int i = 0; i < ncaptures; i++)
        if (captures[i] == k) captures[i--] = captures[--ncaptures];
    k->refs++;
    for (int i = 0; i < c->nstreams; i++) {
        if (c->streams[i]->capture != k) continue;
        c->streams[i]->capture = NULL;
        tips_free(&c->streams[i]->tips);
        capture_unref(k);
    }
    capture_unref(k);
}

/* The graph becomes an object of its own. */
static Graph *publish(Context *c, Capture *k)
{
    Graph *x = object_new(sizeof *x, KIND_GRAPH, c);
    x->nodes = k->graph->nodes;
    x->n = k->graph->n;
    free(k->graph);
    k->graph = NULL;
    return x;
}

CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph)
{
    GUARDED Guard g = enter(IN_CONTEXT);
    if (g.error) return g.error;
    Stream *s = stream_get(g.context, stream);
    if (!s) return CUDA_ERROR_INVALID_HANDLE;
    if (!graph) return CUDA_ERROR_INVALID_VALUE;
    *graph = NULL;
    Capture *k = s->capture;
    if (!k) return CUDA_ERROR_ILLEGAL_STATE;
    if (k->origin != s) return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
    if (k->mode != CU_STREAM_CAPTURE_MODE_RELAXED && !pthread_equal(k->thread, pthread_self()))
        return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
    CUresult error = k->invalid       ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED
                     : !all_joined(k) ? CUDA_ERROR_STREAM_CAPTURE_UNJOINED
                                      : CUDA_SUCCESS;
    if (!error) *graph = publish(g.context, k);
    end(g.context, k);
    return error;
}

CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus *status)
{
    GUARDED Guard g = enter(IN_CONTEXT);
    if (g.error) return g.error;
    Stream *s = stream_get(g.context, stream);
    if (!s) return CUDA_ERROR_INVALID_HANDLE;
    if (!status) return CUDA_ERROR_INVALID_VALUE;
    if (s == g.context->streams[0] && capture_on_legacy(g.context))
        return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
    *status = !s->capture           ? CU_STREAM_CAPTURE_STATUS_NONE
              : s->capture->invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
                                    : CU_STREAM_CAPTURE_STATUS_ACTIVE;
    return CUDA_SUCCESS;
}
