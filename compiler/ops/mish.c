/* Mish: x * tanh(softplus(x)). */
#include "ops/common.h"
#include <math.h>

static Node *expand(Graph *g, const Node *n)
{
    Node *soft = g_op(g, "Softplus", 1, n->in[0]);
    return g_mul(g, n->in[0], g_op(g, "Tanh", 1, soft));
}

static double eval(double x)
{
    return x * tanh(x > 20 ? x : log1p(exp(x)));
}

static void ref(const Node *n, const double *const *in, double *out)
{
    ref_unary(n, in[0], out, eval);
}

static const AttrDef attrs[] = {{.name = "inplace", .kind = ATTR_BOOL}, {0}};

static const Sample samples[] = {{"f[2,3,7,5]", ""}, {"g[1,117]", ""}, {"f[]", ""}, {0}};

const OpDef op_mish = {.name = "Mish",
                       .doc = "x * tanh(softplus(x))",
                       .nin = 1,
                       .attrs = attrs,
                       .nest = NEST_EXPAND,
                       .use = OP_LAYER,
                       .shape = shape_as_first,
                       .expand = expand,
                       .ref = ref,
                       .samples = samples,
                       .tol = {1e-6, 1e-4}};
