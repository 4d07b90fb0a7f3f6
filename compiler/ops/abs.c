/* Abs: only inside of losses, which have gradient rules of their own. */
#include "ops/common.h"
#include <math.h>

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

                      .body = body,
                      .ref = ref,
                      .samples = samples,
                      .tol = {1e-6, 1e-4}};
