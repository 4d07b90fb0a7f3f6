/* ReLU: max(x, 0); NaN stays NaN. At 0 the gradient is 0, as in PyTorch. */
#include "ops/common.h"

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    dx[0] = g_op(g, "ReLUGrad", 2, n, dy);
    return true;
}

static Expr *body(Body *c, const Node *n, Expr *const *in)
{
    (void)n;
    return x_bin(c->b, B_MAX, x_f32(c->b, 0), in[0]);
}

static double eval(double x)
{
    return x > 0 ? x : 0;
}

static void ref(const Node *n, const double *const *in, double *out)
{
    ref_unary(n, in[0], out, eval);
}

static const AttrDef attrs[] = {{.name = "inplace", .kind = ATTR_BOOL}, {0}};

static const Sample samples[] = {
    {"g[2,3,7,5]", ""}, {"g[1,17]", ""}, {"g[20]", ""}, {"g[]", ""}, {0}};

const OpDef op_relu = {.name = "ReLU",
                       .doc = "max(x, 0)",
                       .nin = 1,
                       .attrs = attrs,
                       .nest = NEST_POINTWISE,
                       .use = OP_LAYER,
                       .shape = shape_as_first,
                       .grad = grad,
                       .body = body,
                       .light = true,
                       .ref = ref,
                       .samples = samples,
                       .tol = {1e-6, 1e-4}};

/* ---- its gradient, from the output y ---- */
static Expr *grad_body(Body *c, const Node *n, Expr *const *in)
{
    (void)n;
    return x_select(c->b, x_cmp(c->b, C_GT, in[0], x_f32(c->b, 0)), in[1], x_f32(c->b, 0));
}

static double grad_eval(double y, double dy)
{
    return y > 0 ? dy : 0;
}

static void grad_ref(const Node *n, const double *const *in, double *out)
{
    ref_binary(n, in, out, grad_eval);
}

static const Sample grad_samples[] = {{"f[2,3,7,5] f[2,3,7,5]", ""}, {"f[5,17] f[5,17]", ""}, {0}};

const OpDef op_relu_grad = {.name = "ReLUGrad",
                            .doc = "dy where y > 0, else 0",
                            .nin = 2,
                            .nest = NEST_POINTWISE,
                            .shape = shape_all_equal,
                            .body = grad_body,
                            .output_mask = true,
                            .ref = grad_ref,
                            .samples = grad_samples,
                            .tol = {1e-6, 0}};
