/* CrossEntropyLoss: mean over the labelled places of -log softmax(prediction)[target].
 * prediction [N,C] or [N,C,H,W], target i32 [N,1] or [N,1,H,W]; a negative target has no label and
 * is left out; with no label at all the loss is 0. Stable: log softmax = z - log sum exp z with z =
 * x - max x. The gradient is (softmax * labelled - onehot) / count; what it shares with the loss
 * CSE finds again. */
#include "ops/common.h"
#include <math.h>

enum { CHANNELS = 1u << 1 };

static bool size_differs(const Node *n, Shape x, Shape t)
{
    bool differs = x.dim[0] != t.dim[0];
    for (int d = 2; d < x.rank; d++) differs = differs || x.dim[d] != t.dim[d];
    if (!differs) return false;
    diag_error(n->loc, "H008", "%s '%s': output %s, target %s", n->op->name, n->name,
               shape_text(x).s, shape_text(t).s);
    diag_help("the output needs the height and width of the target");
    return true;
}

static bool shape(Node *n)
{
    Shape x = n->in[0]->shape, t = n->in[1]->shape;
    if (!shape_want_rank(n, 0, 2, 4)) return false;
    if (t.rank != x.rank || t.dim[1] != 1 || n->in[1]->dtype != DT_I32) {
        diag_error(n->loc, "H007",
                   "%s '%s': output %s, but the targets are %s %s, not class numbers", n->op->name,
                   n->name, shape_text(x).s, dtype_name(n->in[1]->dtype), shape_text(t).s);
        diag_help(x.rank == 4
                      ? "labels need an output [N,classes]: add AdaptiveAvgPool2d(1), Flatten, "
                        "Linear; masks need train.target: mask"
                      : "the target must be one class number per image");
        return false;
    }
    return !size_differs(n, x, t) && shape_scalar(n);
}

typedef struct Parts {
    Node *z, *e, *sum, *onehot, *valid, *count;
} Parts;

static Parts parts(Graph *g, const Node *n)
{
    AttrVal axes[MAX_ATTR] = {{.i = {CHANNELS}}}, classes[MAX_ATTR] = {{.i = {0}}};
    Node *x = n->in[0], *t = n->in[1];
    Parts p;
    p.z = g_sub(g, x, g_op_attr(g, "Max", axes, 1, x));
    p.e = g_op(g, "Exp", 1, p.z);
    p.sum = g_sum(g, p.e, CHANNELS);
    classes[0].i[0] = x->shape.dim[1];
    p.onehot = g_op_attr(g, "OneHot", classes, 1, t);
    p.valid = g_op(g, "Valid", 1, t);
    Node *labels = g_sum(g, p.valid, (1u << t->shape.rank) - 1);
    p.count = g_op(g, "Maximum", 2, labels, g_const(g, 1));
    return p;
}

static Node *expand(Graph *g, const Node *n)
{
    Parts p = parts(g, n);
    Node *log_prob = g_sub(g, p.z, g_op(g, "Log", 1, p.sum));
    Node *total = g_sum(g, g_mul(g, p.onehot, log_prob), (1u << n->in[0]->shape.rank) - 1);
    return g_op(g, "Neg", 1, g_div(g, total, p.count));
}

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    dx[1] = NULL;
    if (!dx[0]) return true;
    Parts p = parts(g, n);
    Node *prob = g_mul(g, g_div(g, p.e, p.sum), p.valid);
    Node *share = g_div(g, dy, p.count);
    dx[0] = g_mul(g, g_sub(g, prob, p.onehot), share);
    return true;
}

static void ref(const Node *n, const double *const *in, double *out)
{
    Shape s = n->in[0]->shape;
    int64_t plane = shape_count(s) / (s.dim[0] * s.dim[1]), count = 0;
    double loss = 0;
    for (int64_t i = 0; i < s.dim[0] * plane; i++) {
        const double *x = in[0] + i / plane * s.dim[1] * plane + i % plane;
        double most = -INFINITY, sum = 0;
        if (in[1][i] < 0) continue;
        for (int64_t c = 0; c < s.dim[1]; c++) most = fmax(most, x[c * plane]);
        for (int64_t c = 0; c < s.dim[1]; c++) sum += exp(x[c * plane] - most);
        loss += log(sum) + most - x[(int64_t)in[1][i] * plane];
        count++;
    }
    *out = count ? loss / (double)count : 0;
}

static const Sample samples[] = {{"f[5,10] i10[5,1]", ""},
                                 {"f[1,3] i3[1,1]", ""},
                                 {"f[2,5,7,3] i5[2,1,7,3]", ""},
                                 {"f[3,20,1,5] i20[3,1,1,5]", ""},
                                 {0}};

const OpDef op_cross_entropy = {.name = "CrossEntropyLoss",
                                .doc = "mean of -log softmax(output)[class]",
                                .nin = 2,
                                .nest = NEST_EXPAND,
                                .use = OP_LOSS,
                                .shape = shape,
                                .expand = expand,
                                .grad = grad,
                                .ref = ref,
                                .samples = samples,
                                .tol = {1e-5, 1e-4}};
