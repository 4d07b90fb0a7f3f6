/* Maximum: the larger of two tensors (broadcasting). Only where no gradient flows: divisors of
 * losses. */
#include "ops/common.h"
#include <math.h>

static Expr *body(Body *c, const Node *n, Expr *const *in)
{
    (void)n;
    return x_bin(c->b, B_MAX, in[0], in[1]);
}

static void ref(const Node *n, const double *const *in, double *out)
{
    ref_binary(n, in, out, fmax);
}

static const Sample samples[] = {{"f[2,3,7,5] f[3]", ""}, {"f[5] f[]", ""}, {0}};

const OpDef op_maximum = {.name = "Maximum",
                          .doc = "the larger of a and b",
                          .nin = 2,
                          .nest = NEST_POINTWISE,
                          .shape = shape_pair,
                          .body = body,
                          .ref = ref,
                          .samples = samples,
                          .tol = {0, 0}};
