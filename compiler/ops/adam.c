/* Adam and AdamW:
 *   m = beta1 * m + (1 - beta1) * g;  v = beta2 * v + (1 - beta2) * g^2
 *   w -= lr / bc1 * m / (sqrt(v) / sqrt(bc2) + eps)
 * with the run-time scalars bias_correction1 = 1 - beta1^t and bias_correction2 = 1 - beta2^t, t
 * from 1. Adam adds weight_decay * w to g; AdamW first shrinks w by 1 - lr * weight_decay. With amsgrad
 * the largest v so far takes v's place in the second line. */
#include "ops/optimizer.h"

enum { LR, BETAS, EPS, WEIGHT_DECAY, AMSGRAD };

/* beta * old + (1 - beta) * now, which is also the state's next value. */
static Node *moving(Layer *l, const char *suffix, double beta, Node *now)
{
    Graph *g = l->g;
    State *s = optimizer_moment(l, suffix);
    Node *kept = g_scale(g, layer_read(l, s), beta);
    Node *next = g_add(g, kept, g_scale(g, now, 1 - beta));
    graph_assign(g, s, next);
    return next;
}

/* The larger of v and the largest so far. */
static Node *largest(Layer *l, Node *v)
{
    State *s = optimizer_moment(l, "max_exp_avg_sq");
    Node *next = g_op(l->g, "Maximum", 2, layer_read(l, s), v);
    graph_assign(l->g, s, next);
    return next;
}

static Node *build(Layer *l, Node *w, Node *d)
{
    Graph *g = l->g;
    const AttrVal *beta = &l->attr[BETAS];
    Node *m = moving(l, "exp_avg", beta->f, d);
    Node *v = moving(l, "exp_avg_sq", beta->f2, g_mul(g, d, d));
    if (l->attr[AMSGRAD].i[0]) v = largest(l, v);
    Node *bias2 = g_op(g, "Sqrt", 1, g_scalar(g, "bias_correction2"));
    Node *root = g_div(g, g_op(g, "Sqrt", 1, v), bias2);
    Node *denom = g_add(g, root, g_const(g, l->attr[EPS].f));
    Node *lr = g_scalar(g, "lr");
    Node *rate = g_div(g, lr, g_scalar(g, "bias_correction1"));
    return optimizer_assign(l, g_sub(g, w, g_mul(g, g_div(g, m, denom), rate)));
}

static Node *adam(Layer *l)
{
    Node *w = l->in[0];
    return build(l, w, optimizer_decay(l->g, l->in[1], w, l->attr[WEIGHT_DECAY].f));
}

static Node *adamw(Layer *l)
{
    Graph *g = l->g;
    Node *w = l->in[0];
    double decay = l->attr[WEIGHT_DECAY].f;
    if (decay != 0) {
        Node *shrink = g_scale(g, g_scalar(g, "lr"), decay);
        Node *keep = g_sub(g, g_const(g, 1), shrink);
        w = g_mul(g, w, keep);
    }
    return build(l, w, l->in[1]);
}

static const AttrDef adam_attrs[] = {
    {.name = "lr", .kind = ATTR_FLOAT, .def = 0.001, .min = 0, .max = 1e6},
    {.name = "betas", .kind = ATTR_FPAIR, .def = 0.9, .def2 = 0.999, .min = 0, .max = 0.9999999},
    {.name = "eps", .kind = ATTR_FLOAT, .def = 1e-8, .min = 0, .max = 1},
    {.name = "weight_decay", .kind = ATTR_FLOAT, .min = 0, .max = 1e6},
    {.name = "amsgrad", .kind = ATTR_BOOL},
    {0}};

static const AttrDef adamw_attrs[] = {
    {.name = "lr", .kind = ATTR_FLOAT, .def = 0.001, .min = 0, .max = 1e6},
    {.name = "betas", .kind = ATTR_FPAIR, .def = 0.9, .def2 = 0.999, .min = 0, .max = 0.9999999},
    {.name = "eps", .kind = ATTR_FLOAT, .def = 1e-8, .min = 0, .max = 1},
    {.name = "weight_decay", .kind = ATTR_FLOAT, .def = 0.01, .min = 0, .max = 1e6},
    {.name = "amsgrad", .kind = ATTR_BOOL},
    {0}};

const OpDef op_adam = {.name = "Adam",
                       .doc = "adaptive moments; weight_decay is added to the gradient",
                       .nin = 2,
                       .attrs = adam_attrs,
                       .nest = NEST_EXPAND,
                       .use = OP_OPTIMIZER,
                       .layer = adam};

const OpDef op_adamw = {.name = "AdamW",
                        .doc = "adaptive moments; weight_decay shrinks the weights",
                        .nin = 2,
                        .attrs = adamw_attrs,
                        .nest = NEST_EXPAND,
                        .use = OP_OPTIMIZER,
                        .layer = adamw};
