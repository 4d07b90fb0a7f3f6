/* Hardtanh: x between min_val and max_val, which stand for what is outside. ReLU6 is the one
 * between 0 and 6. The gradient looks at the output: none flows at the bounds, as in PyTorch. */
#include "ops/common.h"

enum { MIN_VAL, MAX_VAL };

static bool shape(Node *n)
{
    double lo = n->attr[MIN_VAL].f, hi = n->attr[MAX_VAL].f;
    if (lo < hi) return shape_as_first(n);
    diag_error(attr_loc(n, MAX_VAL), "S016", "Hardtanh '%s': max_val %g must be above min_val %g",
               n->name, hi, lo);
    return false;
}

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    dx[0] = g_op_attr(g, "HardtanhGrad", n->attr, 2, n, dy);
    return true;
}

static Expr *body(Body *c, const Node *n, Expr *const *in)
{
    LB *b = c->b;
    Expr *above = x_bin(b, B_MAX, x_f32(b, n->attr[MIN_VAL].f), in[0]);
    return x_bin(b, B_MIN, x_f32(b, n->attr[MAX_VAL].f), above);
}

static void ref(const Node *n, const double *const *in, double *out)
{
    double lo = n->attr[MIN_VAL].f, hi = n->attr[MAX_VAL].f;
    for (int64_t i = 0; i < shape_count(n->shape); i++)
        out[i] = in[0][i] < lo ? lo : in[0][i] > hi ? hi : in[0][i];
}

static const AttrDef attrs[] = {
    {.name = "min_val", .kind = ATTR_FLOAT, .def = -1, .min = -1e30, .max = 1e30},
    {.name = "max_val", .kind = ATTR_FLOAT, .def = 1, .min = -1e30, .max = 1e30},
    {.name = "inplace", .kind = ATTR_BOOL},
    {0}};

static const Sample samples[] = {
    {"g[2,3,7,5]", ""}, {"g[1,17]", "min_val=-0.5 max_val=0.625"}, {"g[]", ""}, {0}};

const OpDef op_hardtanh = {.name = "Hardtanh",
                           .doc = "x between min_val and max_val",
                           .nin = 1,
                           .attrs = attrs,
                           .nest = NEST_POINTWISE,
                           .use = OP_LAYER,
                           .shape = shape,
                           .grad = grad,
                           .body = body,
                           .ref = ref,
                           .samples = samples,
                           .tol = {1e-6, 1e-4}};

/* ---- its gradient, from the output y ---- */
static Expr *grad_body(Body *c, const Node *n, Expr *const *in)
{
    LB *b = c->b;
    Expr *none = x_f32(b, 0), *above = x_cmp(b, C_GT, in[0], x_f32(b, n->attr[MIN_VAL].f));
    Expr *below = x_cmp(b, C_LT, in[0], x_f32(b, n->attr[MAX_VAL].f));
    return x_select(b, above, x_select(b, below, in[1], none), none);
}

static void grad_ref(const Node *n, const double *const *in, double *out)
{
    for (int64_t i = 0; i < shape_count(n->shape); i++) {
        bool inside = in[0][i] > n->attr[MIN_VAL].f && in[0][i] < n->attr[MAX_VAL].f;
        out[i] = inside ? in[1][i] : 0;
    }
}

static const Sample grad_samples[] = {
    {"f[2,3,7,5] f[2,3,7,5]", ""}, {"g[1,17] f[1,17]", "min_val=0 max_val=0.5"}, {0}};

const OpDef op_hardtanh_grad = {.name = "HardtanhGrad",
                                .doc = "dy where min_val < y < max_val, else 0",
                                .nin = 2,
                                .attrs = attrs,
                                .nest = NEST_POINTWISE,
                                .shape = shape_all_equal,
                                .body = grad_body,
                                .output_mask = true,
                                .ref = grad_ref,
                                .samples = grad_samples,
                                .tol = {1e-6, 0}};

/* ---- ReLU6 ---- */
static Node *relu6(Layer *l)
{
    return g_clip(l->g, l->in[0], 0, 6);
}

static const AttrDef relu6_attrs[] = {{.name = "inplace", .kind = ATTR_BOOL}, {0}};

const OpDef op_relu6 = {.name = "ReLU6",
                        .doc = "x between 0 and 6",
                        .nin = 1,
                        .attrs = relu6_attrs,
                        .nest = NEST_EXPAND,
                        .use = OP_LAYER,
                        .layer = relu6};
