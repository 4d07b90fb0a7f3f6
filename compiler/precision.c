/* Lower precision, as far as the graph shows it: contractions read weights from copies, so that the schedule can store
 * those in 16 bits, or rounded to tf32 (schedule_storage.c), and the weights in f32. A copy is made once per step, before
 * the first reader; in inference it depends on state alone, and is made once.
 * In: a simplified graph. Out: the same with a node Stored between every weight and the contractions that read it.
 * Not here: loss scaling (spec/scaling.c). */
#include "ops/op.h"
#include "stages.h"

static bool is_weight(const Node *n)
{
    return op_is(n, "State") && n->dtype == DT_F32 && !n->state->part;
}

static Node *copy_of(Graph *g, Node **copy, Node *weight)
{
    Node **c = &copy[weight->id];
    if (*c) return *c;
    g->cur_name = weight->name;
    g->cur_loc = weight->loc;
    return *c = g_op(g, "Stored", 1, weight);
}

bool precision_narrows(const Graph *g, const Machine *m)
{
    return g->precision == PRECISION_TF32 ? m->processors > 0 : g->precision != PRECISION_FP32;
}

void lower_precision(Graph *g, const Machine *m)
{
    if (!precision_narrows(g, m)) return;
    int n = g->node.n;
    Node **copy = NEWN(g->arena, Node *, n + 1);
    for (int i = 0; i < n; i++) {
        Node *u = g->node.v[i];
        for (int k = 0; k < 2 && u->op->nest == NEST_CONTRACT; k++)
            if (is_weight(u->in[k])) u->in[k] = copy_of(g, copy, u->in[k]);
    }
    graph_sweep(g);
}
