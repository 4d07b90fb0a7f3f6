/* KLDivLoss: the mean of t * (log t - x) for an output x of logarithms; 0 where t is 0. batchmean
 * divides by the batch alone. With log_target the target is a logarithm, too. */
#include "ops/loss.h"
#include <math.h>

enum { REDUCTION, LOG_TARGET };
static const double least = 1e-37; /* its logarithm stands for that of 0, times 0 */

static Node *prob(Graph *g, const Node *n)
{
    Node *t = loss_target(g, n);
    return n->attr[LOG_TARGET].i[0] ? g_op(g, "Exp", 1, t) : t;
}

static Node *expand(Graph *g, const Node *n)
{
    Node *p = prob(g, n), *log_p = loss_target(g, n);
    if (!n->attr[LOG_TARGET].i[0])
        log_p = g_op(g, "Log", 1, g_op(g, "Maximum", 2, p, g_const(g, least)));
    return loss_reduce(g, n, g_mul(g, p, g_sub(g, log_p, n->in[0])));
}

/* dx = -p; dt = log t + 1 - x, or p * (t - x + 1) for t = log p */
static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    Node *p = prob(g, n), *one = g_const(g, 1), *x = n->in[0];
    if (dx[0]) dx[0] = loss_share(g, n, g_op(g, "Neg", 1, p), dy);
    if (!dx[1]) return true;
    bool logs = n->attr[LOG_TARGET].i[0], known = n->in[1]->dtype == DT_F32;
    Node *floor = logs ? NULL : g_op(g, "Maximum", 2, p, g_const(g, least));
    Node *log_p = logs ? n->in[1] : g_op(g, "Log", 1, floor);
    Node *slope = g_add(g, g_sub(g, log_p, x), one);
    dx[1] = known ? loss_share(g, n, logs ? g_mul(g, p, slope) : slope, dy) : NULL;
    return true;
}

static void ref(const Node *n, const double *const *in, double *out)
{
    Shape s = n->in[0]->shape;
    bool logs = n->attr[LOG_TARGET].i[0];
    *out = 0;
    for (int64_t i = 0; i < shape_count(s); i++) {
        double t = in[1][i], x = in[0][i];
        *out += logs ? exp(t) * (t - x) : t > 0 ? t * (log(t) - x) : 0;
    }
    if (attr_is(n, "reduction", "mean")) *out /= (double)shape_count(s);
    if (attr_is(n, "reduction", "batchmean")) *out /= (double)s.dim[0];
}

static const char *const reductions[] = {"mean", "sum", "batchmean", NULL};
static const AttrDef attrs[] = {{.name = "reduction", .kind = ATTR_CHOICE, .words = reductions},
                                {.name = "log_target", .kind = ATTR_BOOL},
                                {0}};

static const Sample samples[] = {{"f[5,17] p[5,17]", ""},
                                 {"f[2,3,7,5] p[2,3,7,5]", "reduction=batchmean"},
                                 {"f[5,17] f[5,17]", "log_target=true reduction=sum"},
                                 {"f[5,3] i2[5,3]", "reduction=sum"},
                                 {0}};

const OpDef op_kl_div_loss = {.name = "KLDivLoss",
                              .doc = "mean of target * (log target - output)",
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
