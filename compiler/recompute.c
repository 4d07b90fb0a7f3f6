/* Recomputation: the last step of simplify, for graphs that will be fused.
 *
 * In: a training graph. Out: the same, where gradients compute cheap forward values again instead
 * of keeping them alive. A value qualifies when it is arithmetic of one tensor with vectors
 * (BatchNorm's normalised input is), and nobody needs it in memory anyway. The gradient's kernel
 * then loads that one tensor, which has the same size, and the value itself is never stored. So does the transpose of a
 * window, whose input is smaller than what it gives.
 * Nothing merges equal nodes after this. */
#include "ops/op.h"
#include "simplify.h"

enum { MOST_DEPTH = 4 };

static bool needed_in_memory(const Graph *g, const Node *n)
{
    for (int i = 0; i < g->output.n; i++)
        if (g->output.v[i].node == n) return true;
    for (int i = n->id + 1; i < g->node.n; i++)
        for (int k = 0; k < g->node.v[i]->nin; k++)
            if (g->node.v[i]->in[k] == n && g->node.v[i]->op->nest != NEST_POINTWISE) return true;
    return false;
}

/* A window's transpose that several read reads less than it gives. */
static bool is_spread(const Rewrite *r, const Node *n)
{
    return n->op->nest == NEST_WINDOW_T && rewrite_uses(r, n) > 1 && !needed_in_memory(r->g, n) &&
           shape_count(n->in[0]->shape) < shape_count(n->shape);
}

static bool is_cheap(const Rewrite *r, const Node *n)
{
    if (n->id < r->count && is_spread(r, n)) return true;
    if (n->id >= r->count || n->op->nest != NEST_POINTWISE) return false;
    if (n->is_grad && rewrite_uses(r, n) < 2) return false; /* it goes where its reader goes */
    return n->nin == 2 && n->shape.rank >= 2 && op_only_tensor(n) && !needed_in_memory(r->g, n);
}

static Node *again(Rewrite *r, Node *n, int depth)
{
    Node *in[2];
    if (n->op->nest == NEST_WINDOW_T) return graph_add(r->g, n->op, n->in, n->nin, n->attr);
    for (int i = 0; i < 2; i++) {
        bool tensor = n->in[i] == op_only_tensor(n);
        in[i] = tensor && depth < MOST_DEPTH && is_cheap(r, n->in[i])
                    ? again(r, n->in[i], depth + 1)
                    : n->in[i];
    }
    return g_op_attr(r->g, op_name(n->op), n->attr, 2, in[0], in[1]);
}

static Node *recompute_inputs(Rewrite *r, Node *u)
{
    enum { MOST_IN = 8 };
    Node *in[MOST_IN];
    bool changed = false;
    if (!u->is_grad || u->op->nest != NEST_POINTWISE || u->shape.rank < 2 || u->nin > MOST_IN)
        return NULL;
    rewrite_at(r, u);
    for (int i = 0; i < u->nin; i++) {
        bool cheap = is_cheap(r, u->in[i]);
        in[i] = cheap ? again(r, u->in[i], 0) : u->in[i];
        changed = changed || cheap;
    }
    return changed ? graph_add(r->g, u->op, in, u->nin, u->attr) : NULL;
}

void recompute(Graph *g)
{
    /* a copy may share what it is made from with other copies: again, until everyone has its own */
    for (int round = 0; g->training && round < MOST_DEPTH; round++)
        if (!rewrite_each(g, recompute_inputs, NULL)) return;
}
