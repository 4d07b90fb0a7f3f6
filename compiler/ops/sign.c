/* Sign: 1, 0 or -1. Nothing flows back through it. */
#include "ops/common.h"

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    (void)g;
    (void)n;
    (void)dy;
    dx[0] = NULL;
    return true;
}

static Expr *body(Body *c, const Node *n, Expr *const *in)
{
    LB *b = c->b;
    (void)n;
    Expr *zero = x_f32(b, 0), *below = x_cmp(b, C_LT, in[0], zero);
    Expr *rest = x_select(b, below, x_f32(b, -1), zero);
    return x_select(b, x_cmp(b, C_GT, in[0], zero), x_f32(b, 1), rest);
}

static double eval(double x)
{
    return (x > 0) - (x < 0);
}

static void ref(const Node *n, const double *const *in, double *out)
{
    ref_unary(n, in[0], out, eval);
}

static const Sample samples[] = {{"g[2,3,7,5]", ""}, {"g[1,17]", ""}, {0}};

const OpDef op_sign = {.name = "Sign",
                       .doc = "1 where x > 0, -1 where x < 0, else 0",
                       .nin = 1,
                       .nest = NEST_POINTWISE,
                       .shape = shape_as_first,
                       .grad = grad,
                       .body = body,
                       .ref = ref,
                       .samples = samples,
                       .tol = {0, 0}};
