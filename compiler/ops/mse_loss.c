/* MSELoss: the mean of (x - t)^2. */
#include "ops/loss.h"

static Node *expand(Graph *g, const Node *n)
{
    Node *d = g_sub(g, n->in[0], loss_target(g, n));
    return loss_reduce(g, n, g_mul(g, d, d));
}

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    Node *d = g_sub(g, n->in[0], loss_target(g, n));
    Node *dif = loss_share(g, n, d, g_scale(g, dy, 2));
    if (dx[0]) dx[0] = dif;
    if (dx[1]) dx[1] = n->in[1]->dtype == DT_F32 ? g_op(g, "Neg", 1, dif) : NULL;
    return true;
}

static void ref(const Node *n, const double *const *in, double *out)
{
    int64_t count = shape_count(n->in[0]->shape);
    *out = 0;
    for (int64_t i = 0; i < count; i++) *out += (in[0][i] - in[1][i]) * (in[0][i] - in[1][i]);
    if (attr_is(n, "reduction", "mean")) *out /= (double)count;
}

static const AttrDef attrs[] = {
    {.name = "reduction", .kind = ATTR_CHOICE, .words = loss_reductions}, {0}};

static const Sample samples[] = {{"f[5,17] f[5,17]", ""},
                                 {"f[2,3,7,5] f[2,3,7,5]", ""},
                                 {"f[4,1] i2[4,1]", ""},
                                 {"f[2,3,7,5] f[2,3,7,5]", "reduction=sum"},
                                 {0}};

const OpDef op_mse_loss = {.name = "MSELoss",
                           .doc = "mean of (output - target)^2",
                           .nin = 2,
                           .attrs = attrs,
                           .nest = NEST_EXPAND,
                           .use = OP_LOSS,
                           .shape = loss_shape,
                           .expand = expand,
                           .grad = grad,
                           .ref = ref,
                           .samples = samples,
                           .tol = {1e-5, 1e-4}};
