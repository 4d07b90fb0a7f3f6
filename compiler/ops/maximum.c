/* Maximum: the larger of two tensors (broadcasting). Where both are equal each gets half of the
 * gradient, as in PyTorch. */
#include "ops/common.h"
#include <math.h>

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    Node *side = g_op(g, "Sign", 1, g_sub(g, n->in[0], n->in[1]));
    Node *half = g_scale(g, dy, 0.5), *part = g_mul(g, half, side);
    if (dx[0]) dx[0] = g_to_shape(g, g_add(g, half, part), n->in[0]->shape);
    if (dx[1]) dx[1] = g_to_shape(g, g_sub(g, half, part), n->in[1]->shape);
    return true;
}

static Expr *body(Body *c, const Node *n, Expr *const *in)
{
    (void)n;
    return x_bin(c->b, B_MAX, in[0], in[1]);
}

static void ref(const Node *n, const double *const *in, double *out)
{
    ref_binary(n, in, out, fmax);
}

static const Sample samples[] = {{"f[2,3,7,5] f[3]", ""}, {"f[5] f[]", ""}, {0}};

const OpDef op_maximum = {.name = "Maximum",
                          .doc = "the larger of a and b",
                          .nin = 2,
                          .nest = NEST_POINTWISE,
                          .shape = shape_pair,
                          .grad = grad,
                          .body = body,
                          .ref = ref,
                          .samples = samples,
                          .tol = {0, 1e-4}};
