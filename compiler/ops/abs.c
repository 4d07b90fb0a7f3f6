/* Abs: absolute value. */
#include "ops/common.h"
#include <math.h>

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    dx[0] = g_mul(g, dy, g_op(g, "Sign", 1, n->in[0]));
    return true;
}

static Expr *body(Body *c, const Node *n, Expr *const *in)
{
    (void)n;
    return x_call(c->b, F_ABS, in[0]);
}

static double eval(double x)
{
    return fabs(x);
}

static void ref(const Node *n, const double *const *in, double *out)
{
    ref_unary(n, in[0], out, eval);
}

static const Sample samples[] = {
    {"g[2,3,7,5]", ""}, {"g[1,17]", ""}, {"g[20]", ""}, {"g[]", ""}, {0}};

const OpDef op_abs = {.name = "Abs",
                      .doc = "absolute value",
                      .nin = 1,
                      .nest = NEST_POINTWISE,
                      .shape = shape_as_first,
                      .grad = grad,
                      .body = body,
                      .ref = ref,
                      .samples = samples,
                      .tol = {1e-6, 1e-4}};
