/* Softmax over the channels (dim 1): exp(x - max) / sum; dx = y * (dy - sum(dy * y)).
 * LogSoftmax: x - max - log(sum); dx = dy - exp(y) * sum(dy). */
#include "ops/common.h"
#include <math.h>

enum { CHANNELS = 1u << 1 };

static bool shape(Node *n)
{
    if (!shape_want_rank(n, 0, 2, 4)) return false;
    if (n->attr[0].i[0] == 1 || n->attr[0].i[0] == 1 - n->in[0]->shape.rank)
        return shape_as_first(n);
    diag_error(attr_loc(n, 0), "H001", "%s '%s': dim=%lld of %s; only the channels (dim=1)",
               n->op->name, n->name, (long long)n->attr[0].i[0], shape_text(n->in[0]->shape).s);
    return false;
}

static Node *expand(Graph *g, const Node *n)
{
    AttrVal axes[MAX_ATTR] = {{.i = {CHANNELS}}};
    Node *x = n->in[0];
    Node *e = g_op(g, "Exp", 1, g_sub(g, x, g_op_attr(g, "Max", axes, 1, x)));
    return g_div(g, e, g_sum(g, e, CHANNELS));
}

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    Node *mean = g_sum(g, g_mul(g, dy, n), CHANNELS);
    dx[0] = g_mul(g, n, g_sub(g, dy, mean));
    return true;
}

static void ref(const Node *n, const double *const *in, double *out)
{
    Shape s = n->shape;
    int64_t plane = shape_count(s) / (s.dim[0] * s.dim[1]);
    for (int64_t i = 0; i < s.dim[0] * plane; i++) {
        int64_t base = i / plane * s.dim[1] * plane + i % plane;
        double most = -INFINITY, sum = 0;
        for (int64_t c = 0; c < s.dim[1]; c++) most = fmax(most, in[0][base + c * plane]);
        for (int64_t c = 0; c < s.dim[1]; c++) sum += exp(in[0][base + c * plane] - most);
        for (int64_t c = 0; c < s.dim[1]; c++)
            out[base + c * plane] = exp(in[0][base + c * plane] - most) / sum;
    }
}

static const AttrDef attrs[] = {
    {.name = "dim", .kind = ATTR_INT, .def = 1, .min = -MAX_RANK, .max = MAX_RANK - 1}, {0}};

static const Sample samples[] = {
    {"f[5,17]", ""}, {"f[1,3]", "dim=-1"}, {"f[2,5,7,3]", ""}, {"f[2,1]", ""}, {0}};

const OpDef op_softmax = {.name = "Softmax",
                          .doc = "probabilities over the channels",
                          .nin = 1,
                          .attrs = attrs,
                          .nest = NEST_EXPAND,
                          .use = OP_LAYER,
                          .shape = shape,
                          .expand = expand,
                          .grad = grad,
                          .ref = ref,
                          .samples = samples,
                          .tol = {1e-6, 1e-4}};

/* ---- LogSoftmax ---- */
static Node *log_expand(Graph *g, const Node *n)
{
    AttrVal axes[MAX_ATTR] = {{.i = {CHANNELS}}};
    Node *z = g_sub(g, n->in[0], g_op_attr(g, "Max", axes, 1, n->in[0]));
    return g_sub(g, z, g_op(g, "Log", 1, g_sum(g, g_op(g, "Exp", 1, z), CHANNELS)));
}

static bool log_grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    Node *all = g_sum(g, dy, CHANNELS);
    dx[0] = g_sub(g, dy, g_mul(g, g_op(g, "Exp", 1, n), all));
    return true;
}

static void log_ref(const Node *n, const double *const *in, double *out)
{
    ref(n, in, out);
    for (int64_t i = 0; i < shape_count(n->shape); i++) out[i] = log(out[i]);
}

const OpDef op_log_softmax = {.name = "LogSoftmax",
                              .doc = "logarithms of the probabilities over the channels",
                              .nin = 1,
                              .attrs = attrs,
                              .nest = NEST_EXPAND,
                              .use = OP_LAYER,
                              .shape = shape,
                              .expand = log_expand,
                              .grad = log_grad,
                              .ref = log_ref,
                              .samples = samples,
                              .tol = {1e-5, 1e-4}};
