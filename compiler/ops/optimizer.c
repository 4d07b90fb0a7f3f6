/* What the optimizers share. */
#include "ops/optimizer.h"

State *optimizer_moment(Layer *l, const char *suffix)
{
    Graph *g = l->g;
    const State *w = l->in[0]->state;
    bug_if(!w || !w->part, "%s: the weights are not a group", l->op->name);
    State **part = NEWN(g->arena, State *, w->npart);
    for (int i = 0; i < w->npart; i++) {
        const char *name = arena_printf(g->arena, "%s.%s", w->part[i]->name, suffix);
        part[i] = graph_state(g, name, STATE_MOMENT, w->part[i]->shape, (Init){INIT_CONST, 0, 0});
    }
    return graph_state_group(g, suffix, STATE_MOMENT, part, w->npart);
}

Node *optimizer_decay(Graph *g, Node *gradient, Node *weights, double weight_decay)
{
    if (weight_decay == 0) return gradient;
    return g_add(g, gradient, g_scale(g, weights, weight_decay));
}

Node *optimizer_assign(Layer *l, Node *value)
{
    return graph_assign(l->g, l->in[0]->state, value);
}
