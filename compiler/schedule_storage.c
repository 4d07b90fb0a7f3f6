/* What every value is stored as: f32, or with `precision: fp16` and `bf16` 16 bits for what is large. With `tf32` the same
 * values are rounded where they are stored, on a GPU: its matrix units cut the low 13 bits of what they multiply, and cut
 * operands shrink what passes, layer by layer; rounding them in the main loop costs issue slots that are not there.
 *
 * In: the graph, its precision. Out: Schedule.type. The rule, mixed precision as P. Micikevicius et al. (Mixed Precision
 * Training, ICLR 2018) have it: 16 bits for what contractions read, for activations and their gradients between
 * contractions; f32 for
 *   - parameters, their gradients, moments: state, and what is laid end to end for the optimizer;
 *   - vectors and scalars: biases, statistics of BatchNorm, results of sums;
 *   - what only sums read (squares on the way to a variance);
 *   - from the last contraction to the loss, and from the loss back to the first contraction;
 *   - inputs and outputs of the program.
 * Not here: arithmetic, which is f32 throughout; layouts (schedule.c). */
#include "schedule.h"
#include <string.h>

typedef struct Storage {
    Arena *a;
    Schedule *s;
    const Graph *g;
    const bool *weight;
    bool *operand; /* by node id: read by a kernel that walks over it (contraction, window, copy, ...) */
    bool *between; /* or by elementwise work on the way to such a kernel */
    bool *keep;    /* must be f32 */
} Storage;

/* Reads its inputs in another order than elementwise work does, and gives an activation. */
static bool walks(const Node *n)
{
    NestKind k = n->op->nest;
    return k != NEST_LEAF && k != NEST_POINTWISE && k != NEST_REDUCE;
}

static void find_uses(Storage *t)
{
    for (int i = t->g->node.n - 1; i >= 0; i--) {
        const Node *n = t->g->node.v[i];
        bool passes = n->op->nest == NEST_POINTWISE && t->between[i];
        for (int k = 0; k < n->nin; k++) {
            t->operand[n->in[k]->id] |= walks(n);
            t->between[n->in[k]->id] |= walks(n) || passes;
        }
    }
}

/* Sums over channels or the batch lead to the loss (or to statistics); sums over the plane pool. */
static bool leads_on(const Node *n)
{
    if (n->op->nest == NEST_POINTWISE) return true;
    return n->op->nest == NEST_REDUCE && (n->op->reduce(n).axes & 3);
}

/* Between the last contraction and the loss, the contraction's own result included. */
static void keep_loss(Storage *t)
{
    bool *on = NEWN(t->a, bool, t->g->node.n + 1);
    for (int i = 0; i < t->g->output.n; i++) {
        const Output *o = &t->g->output.v[i];
        if (o->node->shape.rank == 0) on[o->node->id] = true;
    }
    for (int i = t->g->node.n - 1; i >= 0; i--) {
        const Node *n = t->g->node.v[i];
        t->keep[i] |= on[i];
        for (int k = 0; on[i] && leads_on(n) && k < n->nin; k++) on[n->in[k]->id] = true;
    }
}

/* Between the loss and the first contraction of the way back, but for what that reads. */
static void keep_seed(Storage *t)
{
    for (int i = 0; i < t->g->node.n; i++) {
        const Node *n = t->g->node.v[i];
        bool early = n->is_grad && !walks(n);
        for (int k = 0; k < n->nin; k++)
            early = early && (!n->in[k]->is_grad || t->keep[n->in[k]->id] || n->in[k]->shape.rank == 0);
        t->keep[i] |= early && !t->operand[i];
    }
}

/* What is read or written from outside of the program's kernels, or lies end to end. */
static void keep_ends(Storage *t)
{
    const Graph *g = t->g;
    for (int i = 0; i < g->output.n; i++) t->keep[g->output.v[i].node->id] = true;
    for (int i = 0; i < g->node.n; i++) {
        const Node *n = g->node.v[i];
        for (int k = 0; k < n->nin && (op_is(n, "Pack") || op_is(n, "Assign")); k++)
            t->keep[n->in[k]->id] = true;
        t->keep[i] |= n->op->nest == NEST_LEAF || n->shape.rank < 2;
    }
}

static bool is_large(const Storage *t, const Node *n)
{
    const Group *own = t->s->groups->of[n->id];
    if (n->dtype != DT_F32 || !own || t->keep[n->id]) return false;
    bool small = t->weight[n->id] || own->prep || n->op->nest == NEST_REDUCE;
    return small ? t->operand[n->id] : t->between[n->id];
}

void schedule_storage(Arena *a, Schedule *s, const bool *weight)
{
    static const LType narrow[] = {
        [PRECISION_TF32] = LT_TF32, [PRECISION_FP16] = LT_F16, [PRECISION_BF16] = LT_BF16};
    static const LType plain[] = {[DT_F32] = LT_F32, [DT_I32] = LT_I32, [DT_U8] = LT_U8};
    const Graph *g = s->groups->graph;
    int n = g->node.n;
    Storage t = {a, s, g, weight, NEWN(a, bool, n + 1), NEWN(a, bool, n + 1), NEWN(a, bool, n + 1)};
    for (int i = 0; i < n; i++) s->type[i] = plain[g->node.v[i]->dtype];
    if (!precision_narrows(g, s->machine)) return;
    find_uses(&t);
    keep_ends(&t);
    keep_loss(&t);
    keep_seed(&t);
    for (int i = 0; i < n; i++)
        if (is_large(&t, g->node.v[i])) s->type[i] = narrow[g->precision];
}
