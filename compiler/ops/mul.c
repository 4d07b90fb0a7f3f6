/* Mul: product of two tensors (broadcasting). */
#include "ops/common.h"

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    if (dx[0]) dx[0] = g_to_shape(g, g_mul(g, dy, n->in[1]), n->in[0]->shape);
    if (dx[1]) dx[1] = g_to_shape(g, g_mul(g, dy, n->in[0]), n->in[1]->shape);
    return true;
}

static Expr *body(Body *c, const Node *n, Expr *const *in)
{
    (void)n;
    return x_mul(c->b, in[0], in[1]);
}

static double eval(double a, double b)
{
    return a * b;
}

static void ref(const Node *n, const double *const *in, double *out)
{
    ref_binary(n, in, out, eval);
}

static const Sample samples[] = {{"f[2,3,7,5] f[2,3,7,5]", ""},
                                 {"f[2,3,7,5] f[3]", ""},
                                 {"f[1,17,5,3] f[1,1,5,3]", ""},
                                 {"f[2,20,1,1] f[2,20,7,5]", ""},
                                 {"f[5,17] f[17]", ""},
                                 {"f[] f[5,1]", ""},
                                 {0}};

const OpDef op_mul = {.name = "Mul",
                      .doc = "a * b; a layer with two inputs (from: [x, y])",
                      .nin = 2,
                      .nest = NEST_POINTWISE,
                      .use = OP_LAYER,
                      .shape = shape_pair,
                      .grad = grad,
                      .body = body,
                      .light = true,
                      .ref = ref,
                      .samples = samples,
                      .tol = {1e-6, 1e-4}};
