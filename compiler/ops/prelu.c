/* PReLU: x where x > 0, else weight * x. The weight is trained: one for all ([]), or one per
 * channel
 * ([C]). */
#include "ops/common.h"

enum { PARAMETERS, INIT };

static bool shape(Node *n)
{
    return shape_pair(n) && shape_as_first(n);
}

/* dx = dy where x > 0, else weight * dy; dweight = sum of dy * min(x, 0) */
static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    Node *x = n->in[0];
    if (dx[0]) dx[0] = g_op(g, "PReLUGrad", 3, x, n->in[1], dy);
    if (dx[1]) {
        Node *below = g_op(g, "ReLU", 1, g_op(g, "Neg", 1, x));
        dx[1] = g_op(g, "Neg", 1, g_to_shape(g, g_mul(g, dy, below), n->in[1]->shape));
    }
    return true;
}

static Expr *scaled_if_negative(Body *c, Expr *const *in, Expr *x)
{
    Expr *positive = x_cmp(c->b, C_GT, in[0], x_f32(c->b, 0));
    return x_select(c->b, positive, x, x_mul(c->b, in[1], x));
}

static Expr *body(Body *c, const Node *n, Expr *const *in)
{
    (void)n;
    return scaled_if_negative(c, in, in[0]);
}

static Expr *grad_body(Body *c, const Node *n, Expr *const *in)
{
    (void)n;
    return scaled_if_negative(c, in, in[2]);
}

static void ref(const Node *n, const double *const *in, double *out)
{
    const double *x = in[n->nin == 3 ? 2 : 0];
    for (int64_t i = 0; i < shape_count(n->shape); i++) {
        double w = in[1][ref_at(n->shape, i, n->in[1]->shape)];
        out[i] = in[0][i] > 0 ? x[i] : w * x[i];
    }
}

/* ---- the layer ---- */
static Node *layer(Layer *l)
{
    Shape x = l->in[0]->shape;
    int64_t count = l->attr[PARAMETERS].i[0];
    if (count != 1 && (x.rank < 2 || x.dim[1] != count)) {
        Loc loc = l->attr[PARAMETERS].loc;
        diag_error(loc.file ? loc : l->loc, "H006",
                   "PReLU '%s' declares num_parameters=%lld, but its input is %s", l->path,
                   (long long)count, shape_text(x).s);
        diag_help("one parameter for all, or one for every channel");
        return NULL;
    }
    State *s = layer_state(l, "weight", STATE_PARAM, shape_make(1, count),
                           (Init){INIT_CONST, l->attr[INIT].f, 0});
    Node *w = layer_read(l, s);
    if (count == 1) w = g_reshape(l->g, w, shape_make(0));
    return layer_node(l, "PReLU", l->in[0], w);
}

static const AttrDef attrs[] = {
    {.name = "num_parameters", .kind = ATTR_INT, .def = 1, .min = 1, .max = 1 << 20},
    {.name = "init", .kind = ATTR_FLOAT, .def = 0.25, .min = -1e6, .max = 1e6},
    {0}};

static const Sample samples[] = {
    {"g[2,3,7,5] f[]", ""}, {"g[2,17,3,5] f[17]", ""}, {"g[5,17] f[17]", ""}, {0}};
static const Sample grad_samples[] = {
    {"g[2,3,7,5] f[] f[2,3,7,5]", ""}, {"g[5,17] f[17] f[5,17]", ""}, {0}};

const OpDef op_prelu = {.name = "PReLU",
                        .doc = "x where x > 0, else weight * x",
                        .nin = 2,
                        .attrs = attrs,
                        .nest = NEST_POINTWISE,
                        .use = OP_LAYER,
                        .shape = shape,
                        .layer = layer,
                        .grad = grad,
                        .body = body,
                        .ref = ref,
                        .samples = samples,
                        .tol = {1e-6, 1e-4}};

const OpDef op_prelu_grad = {.name = "PReLUGrad",
                             .doc = "dy where x > 0, else weight * dy",
                             .nin = 3,
                             .nest = NEST_POINTWISE,
                             .shape = shape,
                             .body = grad_body,
                             .ref = ref,
                             .samples = grad_samples,
                             .tol = {1e-6, 0}};
