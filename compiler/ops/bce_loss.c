/* BCEWithLogitsLoss: the mean of -p*t*log(s) - (1-t)*log(1-s) with s = sigmoid(x) and a weight p of
 * the positive targets (1 unless pos_weight says otherwise; one, or one per channel). In the form
 * that never overflows: (1-t)*x + (1 + (p-1)*t) * (max(-x,0) + log(1 + exp(-|x|))), which for p = 1
 * is max(x,0) - x*t + log(..). The gradient is then (s - t) / count. */
#include "ops/loss.h"
#include <math.h>

enum { REDUCTION, POS_WEIGHT, LOG_BASE };

static bool shape(Node *n)
{
    int count = n->attr[POS_WEIGHT].nlist;
    Shape x = n->in[0]->shape;
    if (!loss_shape(n)) return false;
    if (count <= 1 || (x.rank >= 2 && x.dim[1] == count)) return true;
    diag_error(attr_loc(n, POS_WEIGHT), "H007",
               "BCEWithLogitsLoss '%s': %d weights for the channels of %s", n->name, count,
               shape_text(x).s);
    return false;
}

/* 1 + (p - 1) * t; NULL for p = 1 */
static Node *positive(Graph *g, const Node *n, Node *t)
{
    const AttrVal *w = &n->attr[POS_WEIGHT];
    if (!w->nlist) return NULL;
    AttrVal values[MAX_ATTR] = {*w};
    Node *p = w->nlist == 1 ? g_const(g, w->list[0]) : g_op_attr(g, "Constants", values, 0);
    Node *one = g_const(g, 1);
    return g_add(g, g_mul(g, t, g_sub(g, p, one)), one);
}

/* log(1 + exp(-|x|)) */
static Node *tail_of(Graph *g, Node *x)
{
    Node *small = g_op(g, "Exp", 1, g_op(g, "Neg", 1, g_op(g, "Abs", 1, x)));
    return g_op(g, "Log", 1, g_add(g, small, g_const(g, 1)));
}

static Node *in_base(Graph *g, const Node *n, Node *x)
{
    return loss_base(n) == 1 ? x : g_scale(g, x, loss_base(n));
}

static Node *expand(Graph *g, const Node *n)
{
    Node *x = n->in[0], *t = loss_target(g, n), *p = positive(g, n, t), *tail = tail_of(g, x);
    if (p) {
        Node *below = g_op(g, "ReLU", 1, g_op(g, "Neg", 1, x));
        Node *line = g_sub(g, x, g_mul(g, x, t));
        return in_base(g, n, loss_reduce(g, n, g_add(g, line, g_mul(g, p, g_add(g, below, tail)))));
    }
    Node *line = g_sub(g, g_op(g, "ReLU", 1, x), g_mul(g, x, t));
    return in_base(g, n, loss_reduce(g, n, g_add(g, line, tail)));
}

/* dx = (1 - t) - (1 + (p-1) t) (1 - s); dt = -x + (p-1) * softplus(-x) */
static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    Node *x = n->in[0], *t = loss_target(g, n), *p = positive(g, n, t), *one = g_const(g, 1);
    dy = in_base(g, n, dy);
    if (dx[0]) {
        Node *s = g_op(g, "Sigmoid", 1, x), *slope = g_sub(g, s, t);
        if (p) slope = g_sub(g, g_sub(g, one, t), g_mul(g, p, g_sub(g, one, s)));
        dx[0] = loss_share(g, n, slope, dy);
    }
    if (!dx[1]) return true;
    Node *slope = g_op(g, "Neg", 1, x);
    if (p) {
        Node *soft = g_add(g, g_op(g, "ReLU", 1, slope), tail_of(g, x));
        Node *weight = positive(g, n, one); /* p at t = 1 */
        slope = g_add(g, slope, g_mul(g, soft, g_sub(g, weight, one)));
    }
    dx[1] = n->in[1]->dtype == DT_F32 ? loss_share(g, n, slope, dy) : NULL;
    return true;
}

static void ref(const Node *n, const double *const *in, double *out)
{
    Shape s = n->in[0]->shape;
    const AttrVal *w = &n->attr[POS_WEIGHT];
    int64_t count = shape_count(s), c[MAX_RANK];
    *out = 0;
    for (int64_t i = 0; i < count; i++) {
        double x = in[0][i], t = in[1][i];
        double log_s = x < 0 ? x - log1p(exp(x)) : -log1p(exp(-x));
        ref_coords(s, i, c);
        double p = w->nlist ? (float)w->list[w->nlist == 1 ? 0 : c[1]] : 1;
        *out -= p * t * log_s + (1 - t) * (log_s - x);
    }
    *out *= loss_base(n);
    if (attr_is(n, "reduction", "mean")) *out /= (double)count;
}

static const AttrDef attrs[] = {
    {.name = "reduction", .kind = ATTR_CHOICE, .words = loss_reductions},
    {.name = "pos_weight", .kind = ATTR_FLOATS, .none = true, .min = 0, .max = 1e6},
    {.name = "log_base", .kind = ATTR_CHOICE, .words = loss_bases},
    {0}};

static const Sample samples[] = {{"f[5,17] p[5,17]", ""},
                                 {"f[2,3,7,5] f[2,3,7,5]", ""},
                                 {"f[4,1] i2[4,1]", ""},
                                 {"f[5,17] p[5,17]", "reduction=sum log_base=2"},
                                 {"f[2,3,7,5] f[2,3,7,5]", "pos_weight=[0.5,2,3]"},
                                 {"f[4,1] i2[4,1]", "pos_weight=[2.5]"},
                                 {0}};

const OpDef op_bce_loss = {.name = "BCEWithLogitsLoss",
                           .doc = "mean binary cross entropy of sigmoid(output)",
                           .nin = 2,
                           .attrs = attrs,
                           .nest = NEST_EXPAND,
                           .use = OP_LOSS,
                           .shape = shape,
                           .expand = expand,
                           .grad = grad,
                           .ref = ref,
                           .samples = samples,
                           .tol = {1e-5, 1e-4}};

/* ---- BCELoss: of an output that is a probability; logarithms stop at -100, as in PyTorch ---- */
static Node *bounded_log(Graph *g, Node *x)
{
    Node *positive = g_op(g, "Maximum", 2, x, g_const(g, 1e-37));
    Node *log = g_op(g, "Log", 1, positive),
         *is_zero = g_sub(g, g_const(g, 1), g_op(g, "Sign", 1, x));
    return g_sub(g, log, g_scale(g, is_zero, 100 + log10(1e-37) * M_LN10));
}

static Node *prob_expand(Graph *g, const Node *n)
{
    Node *x = n->in[0], *t = loss_target(g, n), *one = g_const(g, 1);
    Node *yes = g_mul(g, t, bounded_log(g, x));
    Node *no = g_mul(g, g_sub(g, one, t), bounded_log(g, g_sub(g, one, x)));
    return in_base(g, n, loss_reduce(g, n, g_op(g, "Neg", 1, g_add(g, yes, no))));
}

/* dx = (x - t) / max(x (1 - x), 1e-12); dt = log(1 - x) - log(x) */
static bool prob_grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    Node *x = n->in[0], *t = loss_target(g, n), *rest = g_sub(g, g_const(g, 1), x);
    dy = in_base(g, n, dy);
    if (dx[0]) {
        Node *slope = g_op(g, "Maximum", 2, g_mul(g, x, rest), g_const(g, 1e-12));
        dx[0] = loss_share(g, n, g_div(g, g_sub(g, x, t), slope), dy);
    }
    if (!dx[1]) return true;
    Node *dif = g_sub(g, bounded_log(g, rest), bounded_log(g, x));
    dx[1] = n->in[1]->dtype == DT_F32 ? loss_share(g, n, dif, dy) : NULL;
    return true;
}

static void prob_ref(const Node *n, const double *const *in, double *out)
{
    int64_t count = shape_count(n->in[0]->shape);
    *out = 0;
    for (int64_t i = 0; i < count; i++) {
        double x = in[0][i], t = in[1][i];
        *out -= t * fmax(log(x), -100) + (1 - t) * fmax(log(1 - x), -100);
    }
    *out *= loss_base(n);
    if (attr_is(n, "reduction", "mean")) *out /= (double)count;
}

static const AttrDef prob_attrs[] = {
    {.name = "reduction", .kind = ATTR_CHOICE, .words = loss_reductions},
    {.name = "log_base", .kind = ATTR_CHOICE, .words = loss_bases},
    {0}};

static const Sample prob_samples[] = {{"u[5,17] u[5,17]", ""},
                                      {"u[2,3,7,5] u[2,3,7,5]", "reduction=sum log_base=2"},
                                      {"u[4,1] i2[4,1]", ""},
                                      {0}};

const OpDef op_bce_prob_loss = {.name = "BCELoss",
                                .doc = "mean binary cross entropy of an output in [0, 1]",
                                .nin = 2,
                                .attrs = prob_attrs,
                                .nest = NEST_EXPAND,
                                .use = OP_LOSS,
                                .shape = loss_shape,
                                .expand = prob_expand,
                                .grad = prob_grad,
                                .ref = prob_ref,
                                .samples = prob_samples,
                                .tol = {1e-5, 1e-4}};
