/* LogSigmoid: log(sigmoid(x)) = -softplus(-x), which does not overflow. */
#include "ops/common.h"
#include <math.h>

static Node *expand(Graph *g, const Node *n)
{
    return g_op(g, "Neg", 1, g_op(g, "Softplus", 1, g_op(g, "Neg", 1, n->in[0])));
}

static double eval(double x)
{
    return x < 0 ? x - log1p(exp(x)) : -log1p(exp(-x));
}

static void ref(const Node *n, const double *const *in, double *out)
{
    ref_unary(n, in[0], out, eval);
}

static const Sample samples[] = {{"f[2,3,7,5]", ""}, {"g[1,117]", ""}, {"f[]", ""}, {0}};

const OpDef op_log_sigmoid = {.name = "LogSigmoid",
                              .doc = "log(sigmoid(x))",
                              .nin = 1,
                              .nest = NEST_EXPAND,
                              .use = OP_LAYER,
                              .shape = shape_as_first,
                              .expand = expand,
                              .ref = ref,
                              .samples = samples,
                              .tol = {1e-6, 1e-4}};
