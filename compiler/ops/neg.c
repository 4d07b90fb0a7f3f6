/* Neg: -x. */
#include "ops/common.h"

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    (void)n;
    dx[0] = g_op(g, "Neg", 1, dy);
    return true;
}

static Expr *body(Body *c, const Node *n, Expr *const *in)
{
    (void)n;
    return x_sub(c->b, x_f32(c->b, 0), in[0]);
}

static double eval(double x)
{
    return -x;
}

static void ref(const Node *n, const double *const *in, double *out)
{
    ref_unary(n, in[0], out, eval);
}

static const Sample samples[] = {
    {"f[2,3,7,5]", ""}, {"f[1,17]", ""}, {"f[20]", ""}, {"f[]", ""}, {0}};

const OpDef op_neg = {.name = "Neg",
                      .doc = "-x",
                      .nin = 1,
                      .nest = NEST_POINTWISE,
                      .shape = shape_as_first,
                      .grad = grad,
                      .body = body,
                      .ref = ref,
                      .samples = samples,
                      .tol = {1e-6, 1e-4}};
