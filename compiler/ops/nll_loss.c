/* NLLLoss: mean over the labelled places of -prediction[target], each weighted by its class; the
 * prediction is a LogSoftmax. */
#include "ops/loss.h"
#include <stdlib.h>

static Node *expand(Graph *g, const Node *n)
{
    Labels l = labels_of(g, n);
    Node *total = g_sum(g, g_mul(g, l.share, n->in[0]), (1u << n->in[0]->shape.rank) - 1);
    return g_scale(g, l.count ? g_div(g, total, l.count) : total, -loss_base(n));
}

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    dx[1] = NULL;
    if (!dx[0]) return true;
    Labels l = labels_of(g, n);
    dy = g_scale(g, dy, -loss_base(n));
    dx[0] = g_mul(g, l.share, l.count ? g_div(g, dy, l.count) : dy);
    return true;
}

static void ref(const Node *n, const double *const *in, double *out)
{
    Shape s = n->in[0]->shape;
    int64_t classes = s.dim[1], plane = shape_count(s) / (s.dim[0] * classes);
    double loss = 0, count = 0, *share = malloc(sizeof *share * (size_t)classes);
    for (int64_t i = 0; i < s.dim[0] * plane; i++) {
        const double *x = in[0] + i / plane * classes * plane + i % plane;
        count += labels_ref(n, in[1], i, share);
        for (int64_t c = 0; c < classes; c++) loss -= share[c] * x[c * plane];
    }
    free(share);
    if (attr_is(n, "reduction", "sum")) count = 1;
    *out = count > 0 ? loss_base(n) * loss / count : 0;
}

static const AttrDef attrs[] = {
    {.name = "weight", .kind = ATTR_FLOATS, .none = true, .min = 0, .max = 1e6},
    {.name = "ignore_index", .kind = ATTR_INT, .def = -100, .min = -2147483647, .max = 2147483647},
    {.name = "reduction", .kind = ATTR_CHOICE, .words = loss_reductions},
    {.name = "log_base", .kind = ATTR_CHOICE, .words = loss_bases},
    {0}};

static const Sample samples[] = {{"f[5,10] i10[5,1]", ""},
                                 {"f[2,17,7,3] i17[2,1,7,3]", "ignore_index=4"},
                                 {"f[2,3,5,3] i4[2,1,5,3]", "weight=[0.5,2,1] ignore_index=3"},
                                 {"f[5,10] i10[5,1]", "reduction=sum log_base=2"},
                                 {0}};

const OpDef op_nll_loss = {.name = "NLLLoss",
                           .doc = "mean of -output[class], for an output of logarithms",
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
