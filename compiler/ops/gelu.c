/* GELU: x times the share of a normal distribution below x; exact by erf, or approximated by tanh,
 * as PyTorch's `approximate` says. */
#include "ops/common.h"
#include <math.h>

static const double sqrt_half = 0.70710678118654752, sqrt_2_over_pi = 0.79788456080286536,
                    inverse_sqrt_2_pi = 0.39894228040143268, cubic = 0.044715;

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    dx[0] = g_op_attr(g, "GELUGrad", n->attr, 2, n->in[0], dy);
    return true;
}

/* ---- scalar bodies ---- */
static Expr *times(LB *b, Expr *x, double k)
{
    return x_mul(b, x, x_f32(b, k));
}

static Expr *plus(LB *b, Expr *x, double k)
{
    return x_add(b, x, x_f32(b, k));
}

/* tanh(sqrt(2/pi) (x + cubic x^3)), which is close to erf(x / sqrt(2)) */
static Expr *near_erf(LB *b, Expr *x)
{
    Expr *inner = plus(b, times(b, x_mul(b, x, x), cubic), 1);
    return x_call(b, F_TANH, times(b, x_mul(b, x, inner), sqrt_2_over_pi));
}

/* The share below x: (1 + erf(x / sqrt(2))) / 2 */
static Expr *share(LB *b, const Node *n, Expr *x)
{
    Expr *t = attr_is(n, "approximate", "tanh") ? near_erf(b, x)
                                                : x_call(b, F_ERF, times(b, x, sqrt_half));
    return times(b, plus(b, t, 1), 0.5);
}

/* Its slope: the normal density, or what the approximation's derivative makes of it. */
static Expr *density(LB *b, const Node *n, Expr *x)
{
    Expr *square = x_mul(b, x, x);
    if (!attr_is(n, "approximate", "tanh"))
        return times(b, x_call(b, F_EXP, times(b, square, -0.5)), inverse_sqrt_2_pi);
    Expr *t = near_erf(b, x), *one = x_f32(b, 1);
    Expr *inner = times(b, plus(b, times(b, square, 3 * cubic), 1), 0.5 * sqrt_2_over_pi);
    return x_mul(b, x_sub(b, one, x_mul(b, t, t)), inner);
}

static Expr *body(Body *c, const Node *n, Expr *const *in)
{
    return x_mul(c->b, in[0], share(c->b, n, in[0]));
}

static Expr *grad_body(Body *c, const Node *n, Expr *const *in)
{
    LB *b = c->b;
    Expr *slope = x_add(b, share(b, n, in[0]), x_mul(b, in[0], density(b, n, in[0])));
    return x_mul(b, in[1], slope);
}

/* ---- references ---- */
static double exact(double x)
{
    return 0.5 * x * erfc(-x * M_SQRT1_2);
}

static double approximate(double x)
{
    return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + cubic * pow(x, 3))));
}

static double exact_slope(double x)
{
    return 0.5 * erfc(-x * M_SQRT1_2) + x * exp(-x * x / 2) / sqrt(2 * M_PI);
}

static double approximate_slope(double x)
{
    double u = sqrt(2 / M_PI) * (x + cubic * pow(x, 3)), c = cosh(u);
    return 0.5 * (1 + tanh(u)) + 0.5 * x * sqrt(2 / M_PI) * (1 + 3 * cubic * x * x) / (c * c);
}

static void ref(const Node *n, const double *const *in, double *out)
{
    ref_unary(n, in[0], out, attr_is(n, "approximate", "tanh") ? approximate : exact);
}

static void grad_ref(const Node *n, const double *const *in, double *out)
{
    int64_t count = shape_count(n->shape);
    ref_unary(n, in[0], out, attr_is(n, "approximate", "tanh") ? approximate_slope : exact_slope);
    for (int64_t i = 0; i < count; i++) out[i] *= in[1][i];
}

static const char *const forms[] = {"none", "tanh", NULL};
static const AttrDef attrs[] = {{.name = "approximate", .kind = ATTR_CHOICE, .words = forms}, {0}};

static const Sample samples[] = {{"f[2,3,7,5]", ""},
                                 {"g[1,117]", ""},
                                 {"f[2,3,7,5]", "approximate=tanh"},
                                 {"g[1,117]", "approximate=tanh"},
                                 {"g[]", ""},
                                 {0}};
static const Sample grad_samples[] = {
    {"f[2,3,7,5] f[2,3,7,5]", ""}, {"g[1,117] f[1,117]", "approximate=tanh"}, {0}};

const OpDef op_gelu = {.name = "GELU",
                       .doc = "x * (1 + erf(x / sqrt(2))) / 2, or its approximation by tanh",
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

const OpDef op_gelu_grad = {.name = "GELUGrad",
                            .doc = "dy times GELU's slope at x",
                            .nin = 2,
                            .attrs = attrs,
                            .nest = NEST_POINTWISE,
                            .shape = shape_all_equal,
                            .body = grad_body,
                            .ref = grad_ref,
                            .samples = grad_samples,
                            .tol = {1e-6, 0}};
