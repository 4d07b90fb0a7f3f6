/* Tanh. */
#include "ops/common.h"
#include <math.h>

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    dx[0] = g_op(g, "TanhGrad", 2, n, dy);
    return true;
}

static Expr *body(Body *c, const Node *n, Expr *const *in)
{
    (void)n;
    return x_call(c->b, F_TANH, in[0]);
}

static double eval(double x)
{
    return tanh(x);
}

static void ref(const Node *n, const double *const *in, double *out)
{
    ref_unary(n, in[0], out, eval);
}

static const Sample samples[] = {
    {"f[2,3,7,5]", ""}, {"f[1,17]", ""}, {"f[20]", ""}, {"f[]", ""}, {0}};

const OpDef op_tanh = {.name = "Tanh",
                       .doc = "hyperbolic tangent",
                       .nin = 1,
                       .nest = NEST_POINTWISE,
                       .use = OP_LAYER,
                       .shape = shape_as_first,
                       .grad = grad,
                       .body = body,
                       .ref = ref,
                       .samples = samples,
                       .tol = {1e-6, 1e-4}};

/* ---- its gradient, from the output y ---- */
static Expr *grad_body(Body *c, const Node *n, Expr *const *in)
{
    (void)n;
    return x_mul(c->b, in[1], x_sub(c->b, x_f32(c->b, 1), x_mul(c->b, in[0], in[0])));
}

static double grad_eval(double y, double dy)
{
    return dy * (1 - y * y);
}

static void grad_ref(const Node *n, const double *const *in, double *out)
{
    ref_binary(n, in, out, grad_eval);
}

static const Sample grad_samples[] = {{"f[2,3,7,5] f[2,3,7,5]", ""}, {"f[5,17] f[5,17]", ""}, {0}};

const OpDef op_tanh_grad = {.name = "TanhGrad",
                            .doc = "dy * (1 - y * y)",
                            .nin = 2,
                            .nest = NEST_POINTWISE,
                            .shape = shape_all_equal,
                            .body = grad_body,
                            .output_mask = true,
                            .ref = grad_ref,
                            .samples = grad_samples,
                            .tol = {1e-6, 0}};
