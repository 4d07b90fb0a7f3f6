/* CrossEntropyLoss: mean over the labelled places of -log softmax(prediction)[target], each
 * weighted by its class; or of the sum over shares of the classes, which MixUp makes. With a label
 * smoothing s the target is (1 - s) of its class and s spread evenly. Stable: log softmax = z - log
 * sum exp z with z = x - max x. The gradient is (softmax * mass - share) / count; what it shares
 * with the loss CSE finds again. */
#include "ops/loss.h"
#include <math.h>
#include <stdlib.h>

enum { CHANNELS = 1u << 1 };

typedef struct Parts {
    Node *z, *e, *sum;
} Parts;

static Parts parts(Graph *g, Node *x)
{
    AttrVal axes[MAX_ATTR] = {{.i = {CHANNELS}}};
    Parts p;
    p.z = g_sub(g, x, g_op_attr(g, "Max", axes, 1, x));
    p.e = g_op(g, "Exp", 1, p.z);
    p.sum = g_sum(g, p.e, CHANNELS);
    return p;
}

static Node *in_base(Graph *g, const Node *n, Node *x)
{
    return loss_base(n) == 1 ? x : g_scale(g, x, loss_base(n));
}

static Node *expand(Graph *g, const Node *n)
{
    Parts p = parts(g, n->in[0]);
    Labels l = labels_of(g, n);
    Node *log_prob = g_sub(g, p.z, g_op(g, "Log", 1, p.sum));
    Node *total = g_sum(g, g_mul(g, l.share, log_prob), (1u << n->in[0]->shape.rank) - 1);
    return in_base(g, n, g_op(g, "Neg", 1, l.count ? g_div(g, total, l.count) : total));
}

/* By the shares that were given: -log softmax, weighted and smoothed as they were. */
static Node *of_shares(Graph *g, const Node *n, const Parts *p, Node *count, Node *dy)
{
    const AttrVal *weight = &n->attr[0], *smoothing = &n->attr[3];
    Node *d = g_sub(g, g_op(g, "Log", 1, p->sum), p->z);
    if (weight->nlist) {
        AttrVal values[MAX_ATTR] = {*weight};
        d = g_mul(g, d, g_op_attr(g, "Constants", values, 0));
    }
    if (smoothing->f > 0) d = g_scale(g, d, 1 - smoothing->f);
    dy = in_base(g, n, dy);
    return g_mul(g, d, count ? g_div(g, dy, count) : dy);
}

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    Parts p = parts(g, n->in[0]);
    Labels l = labels_of(g, n);
    dx[1] = dx[1] && n->in[1]->dtype == DT_F32 ? of_shares(g, n, &p, l.count, dy) : NULL;
    if (!dx[0]) return true;
    Node *prob = g_mul(g, g_div(g, p.e, p.sum), l.mass);
    dy = in_base(g, n, dy);
    dx[0] = g_mul(g, g_sub(g, prob, l.share), l.count ? g_div(g, dy, l.count) : dy);
    return true;
}

static void ref(const Node *n, const double *const *in, double *out)
{
    Shape s = n->in[0]->shape;
    int64_t classes = s.dim[1], plane = shape_count(s) / (s.dim[0] * classes);
    double loss = 0, count = 0, *share = malloc(sizeof *share * (size_t)classes);
    for (int64_t i = 0; i < s.dim[0] * plane; i++) {
        const double *x = in[0] + i / plane * classes * plane + i % plane;
        double most = -INFINITY, sum = 0;
        count += labels_ref(n, in[1], i, share);
        for (int64_t c = 0; c < classes; c++) most = fmax(most, x[c * plane]);
        for (int64_t c = 0; c < classes; c++) sum += exp(x[c * plane] - most);
        for (int64_t c = 0; c < classes; c++) loss += share[c] * (log(sum) + most - x[c * plane]);
    }
    free(share);
    if (attr_is(n, "reduction", "sum")) count = 1;
    *out = count > 0 ? loss_base(n) * loss / count : 0;
}

static const AttrDef attrs[] = {
    {.name = "weight", .kind = ATTR_FLOATS, .none = true, .min = 0, .max = 1e6},
    {.name = "ignore_index", .kind = ATTR_INT, .def = -100, .min = -2147483647, .max = 2147483647},
    {.name = "reduction", .kind = ATTR_CHOICE, .words = loss_reductions},
    {.name = "label_smoothing", .kind = ATTR_FLOAT, .min = 0, .max = 1},
    {.name = "log_base", .kind = ATTR_CHOICE, .words = loss_bases},
    {0}};

static const Sample samples[] = {
    {"f[5,10] i10[5,1]", ""},
    {"f[1,3] i3[1,1]", ""},
    {"f[2,5,7,3] i5[2,1,7,3]", ""},
    {"f[3,20,1,5] i20[3,1,1,5]", ""},
    {"f[5,3] i3[5,1]", "weight=[0.5,2,1]"},
    {"f[2,5,7,3] i6[2,1,7,3]", "ignore_index=5"},
    {"f[2,5,7,3] i5[2,1,7,3]", "ignore_index=2 weight=[0.5,2,1,0,3]"},
    {"f[5,10] i10[5,1]", "label_smoothing=0.1"},
    {"f[2,3,5,3] i4[2,1,5,3]", "weight=[0.5,2,1] ignore_index=3 label_smoothing=0.2"},
    {"f[5,10] i10[5,1]", "reduction=sum log_base=2"},
    {"f[2,3,5,3] i4[2,1,5,3]", "weight=[0.5,2,1] ignore_index=3 reduction=sum label_smoothing=0.2"},
    {"f[5,10] u[5,10]", ""},
    {"f[2,5,7,3] u[2,5,7,3]", "label_smoothing=0.1"},
    {"f[5,3] u[5,3]", "weight=[0.5,2,1] label_smoothing=0.2"},
    {"f[4,3] u[4,3]", "weight=[0.5,2,1] reduction=sum log_base=2"},
    {0}};

const OpDef op_cross_entropy = {.name = "CrossEntropyLoss",
                                .doc = "mean of -log softmax(output)[class]",
                                .nin = 2,
                                .attrs = attrs,
                                .nest = NEST_EXPAND,
                                .use = OP_LOSS,
                                .shape = labels_shape,
                                .expand = expand,
                                .grad = grad,
                                .ref = ref,
                                .samples = samples,
                                .tol = {1e-5, 1e-4}};
