/* RMSprop: v = alpha * v + (1 - alpha) * g^2;  w -= lr * g / (sqrt(v) + eps). Centered: the square of
 * a moving mean of g is taken from v. With momentum: buf = momentum * buf + g / (..);
 * w -= lr * buf. */
#include "ops/optimizer.h"

enum { LR, ALPHA, EPS, WEIGHT_DECAY, MOMENTUM, CENTERED };

/* decay * old + share * now, which is also the state's next value. */
static Node *moving(Layer *l, const char *suffix, double decay, double share, Node *now)
{
    Graph *g = l->g;
    State *s = optimizer_moment(l, suffix);
    Node *kept = g_scale(g, layer_read(l, s), decay);
    Node *next = g_add(g, kept, share == 1 ? now : g_scale(g, now, share));
    graph_assign(g, s, next);
    return next;
}

static Node *layer(Layer *l)
{
    Graph *g = l->g;
    const AttrVal *v = l->attr;
    double alpha = v[ALPHA].f;
    Node *w = l->in[0], *d = optimizer_decay(g, l->in[1], w, v[WEIGHT_DECAY].f);
    Node *square = moving(l, "square_avg", alpha, 1 - alpha, g_mul(g, d, d));
    if (v[CENTERED].i[0]) {
        Node *mean = moving(l, "grad_avg", alpha, 1 - alpha, d);
        square = g_op(g, "ReLU", 1, g_sub(g, square, g_mul(g, mean, mean)));
    }
    Node *step = g_div(g, d, g_add(g, g_op(g, "Sqrt", 1, square), g_const(g, v[EPS].f)));
    if (v[MOMENTUM].f > 0) step = moving(l, "momentum_buffer", v[MOMENTUM].f, 1, step);
    return optimizer_assign(l, g_sub(g, w, g_mul(g, step, g_scalar(g, "lr"))));
}

static const AttrDef attrs[] = {
    {.name = "lr", .kind = ATTR_FLOAT, .def = 0.01, .min = 0, .max = 1e6},
    {.name = "alpha", .kind = ATTR_FLOAT, .def = 0.99, .min = 0, .max = 1},
    {.name = "eps", .kind = ATTR_FLOAT, .def = 1e-8, .min = 0, .max = 1},
    {.name = "weight_decay", .kind = ATTR_FLOAT, .min = 0, .max = 1e6},
    {.name = "momentum", .kind = ATTR_FLOAT, .min = 0, .max = 1},
    {.name = "centered", .kind = ATTR_BOOL},
    {0}};

const OpDef op_rmsprop = {.name = "RMSprop",
                          .doc = "gradients over the root of their moving mean square",
                          .nin = 2,
                          .attrs = attrs,
                          .nest = NEST_EXPAND,
                          .use = OP_OPTIMIZER,
                          .layer = layer};
