/* LeakyReLU: x where x > 0, else slope * x. Its gradient looks at the output's sign, which is the
 * input's as long as the slope is not negative. */
#include "ops/common.h"

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    dx[0] = g_op_attr(g, "LeakyReLUGrad", n->attr, 2, n, dy);
    return dx[0];
}

static Expr *slope_if_negative(Body *c, const Node *n, Expr *sign, Expr *x)
{
    Expr *scaled = x_mul(c->b, x, x_f32(c->b, n->attr[0].f));
    return x_select(c->b, x_cmp(c->b, C_GT, sign, x_f32(c->b, 0)), x, scaled);
}

static Expr *body(Body *c, const Node *n, Expr *const *in)
{
    return slope_if_negative(c, n, in[0], in[0]);
}

static Expr *grad_body(Body *c, const Node *n, Expr *const *in)
{
    return slope_if_negative(c, n, in[0], in[1]);
}

static void ref(const Node *n, const double *const *in, double *out)
{
    int64_t count = shape_count(n->shape);
    for (int64_t i = 0; i < count; i++) {
        double x = in[n->nin - 1][i];
        out[i] = in[0][i] > 0 ? x : n->attr[0].f * x;
    }
}

static const AttrDef attrs[] = {
    {.name = "negative_slope", .kind = ATTR_FLOAT, .def = 0.01, .min = 0, .max = 1e6},
    {.name = "inplace", .kind = ATTR_BOOL},
    {0}};

static const Sample samples[] = {{"g[2,3,7,5]", ""}, {"g[1,17]", "negative_slope=0.2"}, {0}};
static const Sample grad_samples[] = {
    {"f[2,3,7,5] f[2,3,7,5]", ""}, {"f[1,17] f[1,17]", "negative_slope=0.2"}, {0}};

const OpDef op_leaky_relu = {.name = "LeakyReLU",
                             .doc = "x where x > 0, else negative_slope * x",
                             .nin = 1,
                             .attrs = attrs,
                             .nest = NEST_POINTWISE,
                             .use = OP_LAYER,
                             .shape = shape_as_first,
                             .grad = grad,
                             .body = body,
                             .ref = ref,
                             .samples = samples,
                             .tol = {1e-6, 1e-4}};

const OpDef op_leaky_relu_grad = {.name = "LeakyReLUGrad",
                                  .doc = "dy where y > 0, else negative_slope * dy",
                                  .nin = 2,
                                  .attrs = attrs,
                                  .nest = NEST_POINTWISE,
                                  .shape = shape_all_equal,
                                  .body = grad_body,
                                  .output_mask = true,
                                  .ref = ref,
                                  .samples = grad_samples,
                                  .tol = {1e-6, 0}};
