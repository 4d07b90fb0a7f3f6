/* L1Loss: the mean of |x - t|. SmoothL1Loss and HuberLoss: a square near 0 and a line beyond a
 * bound; with d = x - t and c = d between -bound and bound both are c * (d - c / 2), the first
 * divided by its bound. Their slope is c. */
#include "ops/loss.h"
#include <math.h>

enum { REDUCTION, BOUND };

static Node *distance(Graph *g, const Node *n)
{
    return g_sub(g, n->in[0], loss_target(g, n));
}

static bool both_ways(Graph *g, const Node *n, Node *dif, Node **dx)
{
    if (dx[0]) dx[0] = dif;
    if (dx[1]) dx[1] = n->in[1]->dtype == DT_F32 ? g_op(g, "Neg", 1, dif) : NULL;
    return true;
}

static const Sample samples[] = {{"f[5,17] f[5,17]", ""},
                                 {"g[2,3,7,5] f[2,3,7,5]", ""},
                                 {"f[4,1] i2[4,1]", ""},
                                 {"f[2,3,7,5] f[2,3,7,5]", "reduction=sum"},
                                 {0}};

/* ---- L1Loss ---- */
static Node *l1_expand(Graph *g, const Node *n)
{
    return loss_reduce(g, n, g_op(g, "Abs", 1, distance(g, n)));
}

static bool l1_grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    Node *sign = g_op(g, "Sign", 1, distance(g, n));
    return both_ways(g, n, loss_share(g, n, sign, dy), dx);
}

static void reduce_ref(const Node *n, double sum, double *out)
{
    *out = attr_is(n, "reduction", "mean") ? sum / (double)shape_count(n->in[0]->shape) : sum;
}

static void l1_ref(const Node *n, const double *const *in, double *out)
{
    double sum = 0;
    for (int64_t i = 0; i < shape_count(n->in[0]->shape); i++) sum += fabs(in[0][i] - in[1][i]);
    reduce_ref(n, sum, out);
}

static const AttrDef l1_attrs[] = {
    {.name = "reduction", .kind = ATTR_CHOICE, .words = loss_reductions}, {0}};

const OpDef op_l1_loss = {.name = "L1Loss",
                          .doc = "mean of |output - target|",
                          .nin = 2,
                          .attrs = l1_attrs,
                          .nest = NEST_EXPAND,
                          .use = OP_LOSS,
                          .shape = loss_shape,
                          .expand = l1_expand,
                          .grad = l1_grad,
                          .ref = l1_ref,
                          .samples = samples,
                          .tol = {1e-5, 1e-4}};

/* ---- SmoothL1Loss, HuberLoss ---- */
static Node *scaled(Graph *g, const Node *n, Node *x)
{
    return op_is(n, "HuberLoss") ? x : g_scale(g, x, 1 / n->attr[BOUND].f);
}

static Node *expand(Graph *g, const Node *n)
{
    double bound = n->attr[BOUND].f;
    if (bound == 0) return l1_expand(g, n);
    Node *d = distance(g, n), *c = g_clip(g, d, -bound, bound);
    Node *terms = g_mul(g, c, g_sub(g, d, g_scale(g, c, 0.5)));
    return loss_reduce(g, n, scaled(g, n, terms));
}

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    double bound = n->attr[BOUND].f;
    if (bound == 0) return l1_grad(g, n, dy, dx);
    Node *c = g_clip(g, distance(g, n), -bound, bound);
    return both_ways(g, n, loss_share(g, n, scaled(g, n, c), dy), dx);
}

static void ref(const Node *n, const double *const *in, double *out)
{
    double sum = 0, bound = n->attr[BOUND].f, unit = op_is(n, "HuberLoss") ? 1 : bound;
    for (int64_t i = 0; i < shape_count(n->in[0]->shape); i++) {
        double d = fabs(in[0][i] - in[1][i]);
        sum += d < bound ? d * d / 2 / unit : (unit == 0 ? d : (d - bound / 2) * bound / unit);
    }
    reduce_ref(n, sum, out);
}

static const AttrDef smooth_attrs[] = {
    {.name = "reduction", .kind = ATTR_CHOICE, .words = loss_reductions},
    {.name = "beta", .kind = ATTR_FLOAT, .def = 1, .min = 0, .max = 1e6},
    {0}};
static const AttrDef huber_attrs[] = {
    {.name = "reduction", .kind = ATTR_CHOICE, .words = loss_reductions},
    {.name = "delta", .kind = ATTR_FLOAT, .def = 1, .min = 1e-6, .max = 1e6},
    {0}};
static const Sample smooth_samples[] = {{"f[5,17] f[5,17]", ""},
                                        {"g[2,3,7,5] f[2,3,7,5]", "beta=0.5"},
                                        {"f[5,17] f[5,17]", "beta=0"},
                                        {"f[4,1] i2[4,1]", "reduction=sum"},
                                        {0}};
static const Sample huber_samples[] = {
    {"f[5,17] f[5,17]", ""}, {"g[2,3,7,5] f[2,3,7,5]", "delta=0.5 reduction=sum"}, {0}};

const OpDef op_smooth_l1_loss = {.name = "SmoothL1Loss",
                                 .doc = "mean of d^2 / (2 beta) up to beta, then |d| - beta / 2",
                                 .nin = 2,
                                 .attrs = smooth_attrs,
                                 .nest = NEST_EXPAND,
                                 .use = OP_LOSS,
                                 .shape = loss_shape,
                                 .expand = expand,
                                 .grad = grad,
                                 .ref = ref,
                                 .samples = smooth_samples,
                                 .tol = {1e-5, 1e-4}};

const OpDef op_huber_loss = {.name = "HuberLoss",
                             .doc = "mean of d^2 / 2 up to delta, then delta * (|d| - delta / 2)",
                             .nin = 2,
                             .attrs = huber_attrs,
                             .nest = NEST_EXPAND,
                             .use = OP_LOSS,
                             .shape = loss_shape,
                             .expand = expand,
                             .grad = grad,
                             .ref = ref,
                             .samples = huber_samples,
                             .tol = {1e-5, 1e-4}};
