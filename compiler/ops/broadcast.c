/* Broadcast: repeats a tensor to a larger shape; the gradient of a sum. Mostly removed by simplify.
 */
#include "ops/common.h"

static bool shape(Node *n)
{
    Shape to = {.rank = (int)n->attr[0].i[0]}, both;
    for (int d = 0; d < to.rank; d++) to.dim[d] = n->attr[0].i[d + 1];
    bool fits = shape_broadcast(n->in[0]->shape, to, &both) && shape_eq(both, to);
    bug_if(!fits, "Broadcast of %s to %s", shape_text(n->in[0]->shape).s, shape_text(to).s);
    n->shape = to;
    n->dtype = DT_F32;
    return true;
}

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    dx[0] = g_to_shape(g, dy, n->in[0]->shape);
    return true;
}

static Expr *body(Body *c, const Node *n, Expr *const *in)
{
    (void)c;
    (void)n;
    return in[0];
}

static double same(double x)
{
    return x;
}

static void ref(const Node *n, const double *const *in, double *out)
{
    ref_unary(n, in[0], out, same);
}

static const AttrDef attrs[] = {{.name = "shape", .kind = ATTR_SHAPE, .required = true}, {0}};

static const Sample samples[] = {{"f[]", "shape=[3,5]"},
                                 {"f[3]", "shape=[2,3,7,5]"},
                                 {"f[2,1,7,5]", "shape=[2,3,7,5]"},
                                 {"f[2,3,1,1]", "shape=[2,3,7,5]"},
                                 {0}};

const OpDef op_broadcast = {.name = "Broadcast",
                            .doc = "a tensor repeated to a larger shape",
                            .nin = 1,
                            .attrs = attrs,
                            .nest = NEST_POINTWISE,
                            .shape = shape,
                            .grad = grad,
                            .body = body,
                            .ref = ref,
                            .samples = samples,
                            .tol = {0, 1e-5}};
