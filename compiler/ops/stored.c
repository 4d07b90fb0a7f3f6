/* Stored: the same numbers, in memory of their own: how contractions get weights in the 16-bit type that they read, while
 * the weights themselves stay f32 (precision.c). */
#include "ops/common.h"

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    (void)g, (void)n;
    dx[0] = dy;
    return true;
}

static Expr *body(Body *c, const Node *n, Expr *const *in)
{
    (void)c, (void)n;
    return in[0];
}

static double eval(double x)
{
    return x;
}

static void ref(const Node *n, const double *const *in, double *out)
{
    ref_unary(n, in[0], out, eval);
}

static const Sample samples[] = {{"f[2,3,7,5]", ""}, {"f[20,17]", ""}, {0}};

const OpDef op_stored = {.name = "Stored",
                         .doc = "the same numbers in memory of their own",
                         .nin = 1,
                         .nest = NEST_POINTWISE,
                         .shape = shape_as_first,
                         .grad = grad,
                         .body = body,
                         .ref = ref,
                         .samples = samples,
                         .tol = {0, 1e-4}};
