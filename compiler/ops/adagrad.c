/* Adagrad: s += g^2;  w -= lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps), t = 1, 2, ... */
#include "ops/optimizer.h"

enum { LR, LR_DECAY, WEIGHT_DECAY, INITIAL, EPS };

/* lr / (1 + (t - 1) * lr_decay) */
static Node *rate(Layer *l)
{
    Graph *g = l->g;
    double decay = l->attr[LR_DECAY].f;
    Node *lr = g_scalar(g, "lr");
    if (decay == 0) return lr;
    Node *t = g_op(g, "ToFloat", 1, g_scalar(g, "step"));
    Node *before = g_scale(g, g_sub(g, t, g_const(g, 1)), decay);
    return g_div(g, lr, g_add(g, before, g_const(g, 1)));
}

static Node *layer(Layer *l)
{
    Graph *g = l->g;
    Node *w = l->in[0], *d = optimizer_decay(g, l->in[1], w, l->attr[WEIGHT_DECAY].f);
    State *s = optimizer_moment(l, "sum");
    for (int i = 0; i < s->npart; i++) s->part[i]->init.a = l->attr[INITIAL].f;
    Node *sum = g_add(g, layer_read(l, s), g_mul(g, d, d));
    graph_assign(g, s, sum);
    Node *root = g_add(g, g_op(g, "Sqrt", 1, sum), g_const(g, l->attr[EPS].f));
    return optimizer_assign(l, g_sub(g, w, g_mul(g, g_div(g, d, root), rate(l))));
}

static const AttrDef attrs[] = {
    {.name = "lr", .kind = ATTR_FLOAT, .def = 0.01, .min = 0, .max = 1e6},
    {.name = "lr_decay", .kind = ATTR_FLOAT, .min = 0, .max = 1e6},
    {.name = "weight_decay", .kind = ATTR_FLOAT, .min = 0, .max = 1e6},
    {.name = "initial_accumulator_value", .kind = ATTR_FLOAT, .min = 0, .max = 1e6},
    {.name = "eps", .kind = ATTR_FLOAT, .def = 1e-10, .min = 0, .max = 1},
    {0}};

const OpDef op_adagrad = {.name = "Adagrad",
                          .doc = "gradients over the root of the sum of their squares",
                          .nin = 2,
                          .attrs = attrs,
                          .nest = NEST_EXPAND,
                          .use = OP_OPTIMIZER,
                          .layer = layer};
