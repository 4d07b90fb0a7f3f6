/* Softplus: log(1 + exp(beta x)) / beta; x itself where beta x > threshold, as in PyTorch. */
#include "ops/common.h"
#include <math.h>

/* The slope is 1 above the threshold and Sigmoid(beta x) below. */
static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    Node *z = g_scale(g, n->in[0], attr_float(n, "beta"));
    Node *below = g_mul(g, dy, g_op(g, "Sigmoid", 1, z));
    Node *above = g_sub(g, z, g_const(g, attr_float(n, "threshold")));
    dx[0] = g_add(g, below, g_op(g, "ReLUGrad", 2, above, g_sub(g, dy, below)));
    return true;
}

/* log(1 + e) for e in [0, 1], exact to the last bits for small e as well: what rounding does to
 * 1 + e it does to both the logarithm and the divisor. */
static Expr *log1p_of(LB *b, Expr *e)
{
    Expr *one = x_f32(b, 1), *u = x_add(b, one, e);
    Expr *x = x_div(b, x_mul(b, x_call(b, F_LOG, u), e), x_sub(b, u, one));
    return x_select(b, x_cmp(b, C_EQ, u, one), e, x);
}

/* With z = beta x: log(1 + exp(z)) = max(z, 0) + log(1 + exp(-|z|)), where nothing overflows. */
static Expr *body(Body *c, const Node *n, Expr *const *in)
{
    LB *b = c->b;
    double beta = attr_float(n, "beta");
    Expr *zero = x_f32(b, 0), *z = x_mul(b, in[0], x_f32(b, beta));
    Expr *e = x_call(b, F_EXP, x_sub(b, zero, x_call(b, F_ABS, z)));
    Expr *soft = x_add(b, x_bin(b, B_MAX, zero, z), log1p_of(b, e));
    Expr *linear = x_cmp(b, C_GT, z, x_f32(b, attr_float(n, "threshold")));
    return x_select(b, linear, in[0], x_mul(b, soft, x_f32(b, 1 / beta)));
}

static void ref(const Node *n, const double *const *in, double *out)
{
    double beta = attr_float(n, "beta"), threshold = attr_float(n, "threshold");
    int64_t count = shape_count(n->shape);
    for (int64_t i = 0; i < count; i++) {
        double x = in[0][i];
        out[i] = beta * x > threshold ? x : log1p(exp(beta * x)) / beta;
    }
}

static const AttrDef attrs[] = {
    {.name = "beta", .kind = ATTR_FLOAT, .def = 1, .min = 1e-6, .max = 1e6},
    {.name = "threshold", .kind = ATTR_FLOAT, .def = 20, .min = -1e6, .max = 1e6},
    {0}};

static const Sample samples[] = {{"f[2,3,7,5]", ""},
                                 {"g[2,5,7,8]", ""}, /* reaches the threshold */
                                 {"g[1,17]", "beta=2 threshold=1"},
                                 {"g[]", ""},
                                 {0}};

const OpDef op_softplus = {.name = "Softplus",
                           .doc = "log(1 + exp(beta * x)) / beta",
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
