/* Graphs: instantiated from a capture, launched as one operation of a stream. The nodes of a launch run in an
 * order that only their dependencies restrict: the youngest node that is ready comes first (with
 * SINTER_VIRTUAL_SEED: any), so that a dependency which the capture did not see shows. */
#include "internal.h"
#include <stdlib.h>
#include <string.h>

CUresult cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long flags)
{
    GUARDED Guard g = enter(IN_CONTEXT);
    if (g.error) return g.error;
    Graph *from = object_find(graph, KIND_GRAPH, g.context);
    if (!from || !exec || flags) return CUDA_ERROR_INVALID_VALUE;
    Exec *x = object_new(sizeof *x, KIND_EXEC, g.context);
    x->refs = 1;
    x->n = from->n;
    x->nodes = must_alloc((size_t)x->n, sizeof *x->nodes);
    for (int i = 0; i < x->n; i++) {
        x->nodes[i].op = op_clone(&from->nodes[i].op);
        tips_merge(&x->nodes[i].deps, &from->nodes[i].deps);
    }
    *exec = x;
    return CUDA_SUCCESS;
}

CUresult cuGraphDestroy(CUgraph graph)
{
    GUARDED Guard g = enter(IN_CONTEXT);
    if (g.error) return g.error;
    Graph *x = object_find(graph, KIND_GRAPH, g.context);
    if (!x) return CUDA_ERROR_INVALID_VALUE;
    object_forget(x);
    nodes_free(x->nodes, x->n);
    free(x);
    return CUDA_SUCCESS;
}

void exec_unref(Exec *x)
{
    if (--x->refs) return;
    if (x->last) work_unref(x->last);
    nodes_free(x->nodes, x->n);
    free(x);
}

CUresult cuGraphExecDestroy(CUgraphExec exec)
{
    GUARDED Guard g = enter(IN_CONTEXT);
    if (g.error) return g.error;
    Exec *x = object_find(exec, KIND_EXEC, g.context);
    if (!x) return CUDA_ERROR_INVALID_VALUE;
    object_forget(x);
    exec_unref(x);
    return CUDA_SUCCESS;
}

/* Two launches of one executable graph never run at the same time: the second waits for the first. */
CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream)
{
    GUARDED Guard g = enter(IN_CONTEXT);
    if (g.error) return g.error;
    Exec *x = object_find(exec, KIND_EXEC, g.context);
    Stream *s = stream_get(g.context, stream);
    if (!x) return CUDA_ERROR_INVALID_VALUE;
    if (!s) return CUDA_ERROR_INVALID_HANDLE;
    Work *w = NULL;
    x->refs++;
    CUresult e = stream_submit(g.context, s, (Op){.kind = OP_GRAPH, .exec = x}, x->last, &w);
    if (!w) return e;
    if (x->last) work_unref(x->last);
    x->last = w;
    return e;
}

/* ---- running ---- */

static bool ready(const Exec *x, const bool *done, int i)
{
    if (done[i]) return false;
    for (int d = 0; d < x->nodes[i].deps.n; d++)
        if (!done[x->nodes[i].deps.v[d]]) return false;
    return true;
}

/* Some node is ready until all are done: a node depends on older ones only. */
static int pick(const Exec *x, const bool *done)
{
    static uint64_t state;
    int from = x->n - 1;
    if (device.seed) {
        state =
            (state ^ device.seed) * 6364136223846793005u + 1442695040888963407u; /* Knuth's LCG */
        from = (int)((state >> 33) % (uint64_t)x->n);
    }
    for (int k = 0; k < x->n; k++) {
        int i = (from - k + x->n) % x->n;
        if (ready(x, done, i)) return i;
    }
    return -1;
}

void exec_run(Context *c, Exec *x)
{
    bool *done = must_alloc((size_t)x->n, sizeof *done);
    profile_graph();
    for (int k = 0; k < x->n; k++) {
        int i = pick(x, done);
        op_run(c, &x->nodes[i].op);
        done[i] = true;
    }
    free(done);
}
