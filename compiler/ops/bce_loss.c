/* BCEWithLogitsLoss: the mean of -t*log(s) - (1-t)*log(1-s) with s = sigmoid(x), in the form that
 * never overflows: max(x,0) - x*t + log(1 + exp(-|x|)). The gradient is (s - t) / count. */
#include "ops/regression_loss.h"
#include <math.h>

static Node *expand(Graph *g, const Node *n)
{
    Node *x = n->in[0];
    Node *small = g_op(g, "Exp", 1, g_op(g, "Neg", 1, g_op(g, "Abs", 1, x)));
    Node *tail = g_op(g, "Log", 1, g_add(g, small, g_const(g, 1)));
    Node *product = g_mul(g, x, loss_target(g, n));
    Node *line = g_sub(g, g_op(g, "ReLU", 1, x), product);
    return loss_mean(g, g_add(g, line, tail));
}

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    Node *x = n->in[0];
    if (dx[0]) {
        Node *t = loss_target(g, n);
        dx[0] = loss_share(g, g_sub(g, g_op(g, "Sigmoid", 1, x), t), dy);
    }
    if (dx[1]) dx[1] = n->in[1]->dtype == DT_F32 ? loss_share(g, g_op(g, "Neg", 1, x), dy) : NULL;
    return true;
}

static void ref(const Node *n, const double *const *in, double *out)
{
    int64_t count = shape_count(n->in[0]->shape);
    *out = 0;
    for (int64_t i = 0; i < count; i++) {
        double x = in[0][i], t = in[1][i];
        double log_s = x < 0 ? x - log1p(exp(x)) : -log1p(exp(-x));
        *out -= (t * log_s + (1 - t) * (log_s - x)) / (double)count;
    }
}

static const Sample samples[] = {
    {"f[5,17] p[5,17]", ""}, {"f[2,3,7,5] f[2,3,7,5]", ""}, {"f[4,1] i2[4,1]", ""}, {0}};

const OpDef op_bce_loss = {.name = "BCEWithLogitsLoss",
                           .doc = "mean binary cross entropy of sigmoid(output)",
                           .nin = 2,
                           .nest = NEST_EXPAND,
                           .use = OP_LOSS,
                           .shape = loss_shape,
                           .expand = expand,
                           .grad = grad,
                           .ref = ref,
                           .samples = samples,
                           .tol = {1e-5, 1e-4}};
