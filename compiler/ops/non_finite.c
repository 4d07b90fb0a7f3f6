/* NonFinite: 1 where x is infinite or NaN, else 0. */
#include "ops/common.h"
#include <float.h>
#include <math.h>

static Expr *body(Body *c, const Node *n, Expr *const *in)
{
    LB *b = c->b;
    (void)n;
    Expr *fits = x_cmp(b, C_LE, x_call(b, F_ABS, in[0]), x_f32(b, FLT_MAX)); /* false for NaN */
    return x_select(b, fits, x_f32(b, 0), x_f32(b, 1));
}

static double eval(double x)
{
    return isfinite((float)x) ? 0 : 1;
}

static void ref(const Node *n, const double *const *in, double *out)
{
    ref_unary(n, in[0], out, eval);
}

static const Sample samples[] = {{"f[2,3,7,5]", ""}, {"f[20]", ""}, {0}};

const OpDef op_non_finite = {.name = "NonFinite",
                             .doc = "1 where x is infinite or NaN, else 0",
                             .nin = 1,
                             .nest = NEST_POINTWISE,
                             .shape = shape_as_first,
                             .body = body,
                             .ref = ref,
                             .samples = samples,
                             .tol = {0, 0}};
