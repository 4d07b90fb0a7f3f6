/* Hardsigmoid: a line from 0 at -3 to 1 at 3; Hardswish: x times it. */
#include "ops/common.h"

static Node *line(Graph *g, Node *x)
{
    Node *clipped = g_clip(g, g_add(g, x, g_const(g, 3)), 0, 6);
    return g_scale(g, clipped, 1.0 / 6);
}

static Node *expand(Graph *g, const Node *n)
{
    return line(g, n->in[0]);
}

static Node *swish_expand(Graph *g, const Node *n)
{
    return g_mul(g, n->in[0], line(g, n->in[0]));
}

static double eval(double x)
{
    return x <= -3 ? 0 : x >= 3 ? 1 : x / 6 + 0.5;
}

static double swish_eval(double x)
{
    return x * eval(x);
}

static void ref(const Node *n, const double *const *in, double *out)
{
    ref_unary(n, in[0], out, eval);
}

static void swish_ref(const Node *n, const double *const *in, double *out)
{
    ref_unary(n, in[0], out, swish_eval);
}

static const AttrDef attrs[] = {{.name = "inplace", .kind = ATTR_BOOL}, {0}};

static const Sample samples[] = {{"f[2,3,7,5]", ""}, {"g[1,117]", ""}, {"f[]", ""}, {0}};

const OpDef op_hardsigmoid = {.name = "Hardsigmoid",
                              .doc = "x / 6 + 1 / 2 between 0 and 1",
                              .nin = 1,
                              .attrs = attrs,
                              .nest = NEST_EXPAND,
                              .use = OP_LAYER,
                              .shape = shape_as_first,
                              .expand = expand,
                              .ref = ref,
                              .samples = samples,
                              .tol = {1e-6, 1e-4}};

const OpDef op_hardswish = {.name = "Hardswish",
                            .doc = "x * Hardsigmoid(x)",
                            .nin = 1,
                            .attrs = attrs,
                            .nest = NEST_EXPAND,
                            .use = OP_LAYER,
                            .shape = shape_as_first,
                            .expand = swish_expand,
                            .ref = swish_ref,
                            .samples = samples,
                            .tol = {1e-6, 1e-4}};
