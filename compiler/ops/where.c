/* Where: a where c is not 0, else b; c may be NaN, which is not 0. What is not chosen does not matter, NaN included:
 * that is how a step is left out (spec/scaling.c). */
#include "ops/common.h"

static bool shape(Node *n)
{
    Shape pair;
    n->dtype = DT_F32;
    bool fits = shape_broadcast(n->in[1]->shape, n->in[2]->shape, &pair) &&
                shape_broadcast(n->in[0]->shape, pair, &n->shape);
    bug_if(!fits, "Where of %s, %s and %s", shape_text(n->in[0]->shape).s,
           shape_text(n->in[1]->shape).s, shape_text(n->in[2]->shape).s);
    return true;
}

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    Node *zero = g_const(g, 0), *c = n->in[0];
    dx[0] = NULL;
    if (dx[1]) dx[1] = g_to_shape(g, g_op(g, "Where", 3, c, dy, zero), n->in[1]->shape);
    if (dx[2]) dx[2] = g_to_shape(g, g_op(g, "Where", 3, c, zero, dy), n->in[2]->shape);
    return true;
}

static Expr *body(Body *c, const Node *n, Expr *const *in)
{
    (void)n;
    return x_select(c->b, x_cmp(c->b, C_NE, in[0], x_f32(c->b, 0)), in[1], in[2]);
}

static void ref(const Node *n, const double *const *in, double *out)
{
    for (int64_t i = 0; i < shape_count(n->shape); i++) {
        int64_t at[3];
        for (int k = 0; k < 3; k++) at[k] = ref_at(n->shape, i, n->in[k]->shape);
        out[i] = in[0][at[0]] != 0 ? in[1][at[1]] : in[2][at[2]];
    }
}

static const Sample samples[] = {
    {"g[2,3,7,5] f[2,3,7,5] f[3]", ""}, {"g[] f[20] f[20]", ""}, {"g[17] f[] f[17]", ""}, {0}};

const OpDef op_where = {.name = "Where",
                        .doc = "a where c is not 0, else b",
                        .nin = 3,
                        .nest = NEST_POINTWISE,
                        .shape = shape,
                        .grad = grad,
                        .body = body,
                        .ref = ref,
                        .samples = samples,
                        .tol = {0, 1e-4}};
