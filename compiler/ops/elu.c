/* ELU: x where x > 0, else alpha * (exp(x) - 1). The gradient is taken from the output, to which
 * alpha is added where it is not positive. */
#include "ops/common.h"
#include <math.h>

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    dx[0] = g_op_attr(g, "ELUGrad", n->attr, 2, n, dy);
    return true;
}

static Expr *body(Body *c, const Node *n, Expr *const *in)
{
    LB *b = c->b;
    Expr *zero = x_f32(b, 0);
    Expr *e = x_sub(b, x_call(b, F_EXP, x_bin(b, B_MIN, zero, in[0])), x_f32(b, 1));
    return x_select(b, x_cmp(b, C_GT, in[0], zero), in[0], x_mul(b, e, x_f32(b, n->attr[0].f)));
}

static void ref(const Node *n, const double *const *in, double *out)
{
    for (int64_t i = 0; i < shape_count(n->shape); i++)
        out[i] = in[0][i] > 0 ? in[0][i] : n->attr[0].f * expm1(in[0][i]);
}

static const AttrDef attrs[] = {
    {.name = "alpha", .kind = ATTR_FLOAT, .def = 1, .min = 0, .max = 1e6},
    {.name = "inplace", .kind = ATTR_BOOL},
    {0}};

static const Sample samples[] = {{"g[2,3,7,5]", ""}, {"f[1,17]", "alpha=0.5"}, {"g[]", ""}, {0}};

const OpDef op_elu = {.name = "ELU",
                      .doc = "x where x > 0, else alpha * (exp(x) - 1)",
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

static Expr *grad_body(Body *c, const Node *n, Expr *const *in)
{
    LB *b = c->b;
    Expr *slope = x_add(b, in[0], x_f32(b, n->attr[0].f));
    Expr *positive = x_cmp(b, C_GT, in[0], x_f32(b, 0));
    return x_mul(b, in[1], x_select(b, positive, x_f32(b, 1), slope));
}

static void grad_ref(const Node *n, const double *const *in, double *out)
{
    for (int64_t i = 0; i < shape_count(n->shape); i++)
        out[i] = in[1][i] * (in[0][i] > 0 ? 1 : in[0][i] + n->attr[0].f);
}

static const Sample grad_samples[] = {
    {"f[2,3,7,5] f[2,3,7,5]", ""}, {"g[1,17] f[1,17]", "alpha=0.5"}, {0}};

const OpDef op_elu_grad = {.name = "ELUGrad",
                           .doc = "dy times ELU's slope, from the output y",
                           .nin = 2,
                           .attrs = attrs,
                           .nest = NEST_POINTWISE,
                           .shape = shape_all_equal,
                           .body = grad_body,
                           .output_mask = true,
                           .ref = grad_ref,
                           .samples = grad_samples,
                           .tol = {1e-6, 0}};
