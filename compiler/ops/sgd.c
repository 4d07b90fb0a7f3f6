/* SGD: buf = momentum * buf + g;  w -= lr * buf, or with nesterov lr * (g + momentum * buf).
 * PyTorch begins with buf = g, which is the same from a zero buffer as long as there is no
 * dampening. */
#include "ops/optimizer.h"

enum { LR, MOMENTUM, DAMPENING, WEIGHT_DECAY, NESTEROV };

static bool nesterov_without_momentum(const Layer *l)
{
    const AttrVal *nesterov = &l->attr[NESTEROV];
    if (!nesterov->i[0] || l->attr[MOMENTUM].f > 0) return false;
    diag_error(nesterov->loc.file ? nesterov->loc : l->loc, "S016",
               "SGD: nesterov needs a momentum greater than 0");
    return true;
}

static Node *layer(Layer *l)
{
    Graph *g = l->g;
    Node *w = l->in[0], *d = optimizer_decay(g, l->in[1], w, l->attr[WEIGHT_DECAY].f);
    double momentum = l->attr[MOMENTUM].f;
    if (nesterov_without_momentum(l)) return NULL;
    if (momentum > 0) {
        State *s = optimizer_moment(l, "momentum_buffer");
        Node *buf = g_add(g, g_scale(g, layer_read(l, s), momentum), d);
        graph_assign(g, s, buf);
        d = l->attr[NESTEROV].i[0] ? g_add(g, d, g_scale(g, buf, momentum)) : buf;
    }
    return optimizer_assign(l, g_sub(g, w, g_mul(g, d, g_scalar(g, "lr"))));
}

static const AttrDef attrs[] = {
    {.name = "lr", .kind = ATTR_FLOAT, .def = 0.001, .min = 0, .max = 1e6},
    {.name = "momentum", .kind = ATTR_FLOAT, .min = 0, .max = 1},
    {.name = "dampening", .kind = ATTR_FLOAT, .min = 0, .max = 0},
    {.name = "weight_decay", .kind = ATTR_FLOAT, .min = 0, .max = 1e6},
    {.name = "nesterov", .kind = ATTR_BOOL},
    {0}};

const OpDef op_sgd = {.name = "SGD",
                      .doc = "stochastic gradient descent",
                      .nin = 2,
                      .attrs = attrs,
                      .nest = NEST_EXPAND,
                      .use = OP_OPTIMIZER,
                      .layer = layer};
