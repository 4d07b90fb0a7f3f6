/* What stands round the optimizer: gradients that are summed over several steps, and an average of the weights.
 *
 * In: `train.accumulate: N`, `train.ema: 0.999`. Out: states of the optimizer's kind, so that they are saved and resumed
 * with it, and nodes:
 *   KEY.grad_sum   the sum of the gradients' shares, as PyTorch's loops sum backward() of loss / N
 *   KEY.ema        ema + rate * (weights - ema), as torch.optim.swa_utils averages
 * Rule: a step that only sums changes nothing else of the optimizer's: every other value of PARAM and MOMENT keeps what it
 * was. Statistics of BatchNorm move in every step. Run-time scalars: `update`, 1 where the weights change; `grad_share`,
 * 1/N; `ema_rate`, 1 in the first update, which copies, then 1 - decay (runtime/scalars.c).
 * Not here: the optimizer (ops), scaling of the loss (scaling.c). */
#include "spec/spec.h"
#include <string.h>

/* A moment for every part of the weights, zeros at first. */
static State *beside(Graph *g, const Node *weights, const char *suffix)
{
    const State *w = weights->state;
    State **part = NEWN(g->arena, State *, w->npart);
    for (int i = 0; i < w->npart; i++) {
        const char *name = arena_printf(g->arena, "%s.%s", w->part[i]->name, suffix);
        part[i] = graph_state(g, name, STATE_MOMENT, w->part[i]->shape, (Init){INIT_CONST, 0, 0});
    }
    return graph_state_group(g, suffix, STATE_MOMENT, part, w->npart);
}

Node *steps_begin(const Spec *s, Graph *g, const Node *weights, Node *gradients)
{
    if (!s->accumulate) return gradients;
    g->cur_name = "accumulate";
    Node *sum = graph_read(g, beside(g, weights, "grad_sum"));
    Node *total = g_op(g, "Add", 2, sum, g_op(g, "Mul", 2, gradients, g_scalar(g, "grad_share")));
    g->cur_name = "";
    return total;
}

static void average(Graph *g, const Node *weights)
{
    const Node *as = NULL;
    for (int i = 0; i < g->node.n; i++)
        if (op_is(g->node.v[i], "Assign") && g->node.v[i]->state == weights->state) as = g->node.v[i];
    State *ema = beside(g, weights, "ema");
    Node *old = graph_read(g, ema), *off = g_op(g, "Sub", 2, as->in[0], old);
    graph_assign(g, ema, g_op(g, "Add", 2, old, g_op(g, "Mul", 2, off, g_scalar(g, "ema_rate"))));
}

/* Steps in between leave everything as it was, and keep the sum. */
static void hold(Graph *g, Node *total)
{
    Node *update = g_scalar(g, "update");
    int last = g->node.n;
    for (int i = 0; i < last; i++) {
        Node *as = g->node.v[i];
        if (!op_is(as, "Assign") || as->state->kind == STATE_BUFFER) continue;
        Node *old = spec_old_value(g, as->state);
        as->in[0] = g_op(g, "Where", 3, update, as->in[0], old);
    }
    graph_assign(g, graph_find_state(g, "grad_sum"), g_op(g, "Where", 3, update, g_const(g, 0), total));
}

void steps_end(const Spec *s, Graph *g, const Node *weights, Node *total)
{
    if (!s->accumulate && !s->ema) return;
    g->cur_name = "ema";
    if (s->ema) average(g, weights);
    g->cur_name = "accumulate";
    if (s->accumulate) hold(g, total);
    g->cur_name = "";
    graph_sweep(g);
}
