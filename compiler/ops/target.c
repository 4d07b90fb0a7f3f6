/* What losses read from integer targets: OneHot, Valid (there is a label), ToFloat. No gradient
 * flows to them. A negative class means "no label here", and so may one other number. */
#include "ops/common.h"

/* ---- OneHot: [N,1,..] of i32 -> [N,classes,..] of 0 and 1 ---- */
static bool onehot_shape(Node *n)
{
    if (!shape_want_rank(n, 0, 2, 4)) return false;
    bug_if(n->in[0]->shape.dim[1] != 1, "OneHot of %s", shape_text(n->in[0]->shape).s);
    n->shape = n->in[0]->shape;
    n->shape.dim[1] = n->attr[0].i[0];
    n->dtype = DT_F32;
    return true;
}

static Expr *onehot_body(Body *c, const Node *n, Expr *const *in)
{
    (void)n;
    Expr *hit = x_cmp(c->b, C_EQ, x_cast(c->b, LT_I64, in[0]), c->coord(c, 1));
    return x_select(c->b, hit, x_f32(c->b, 1), x_f32(c->b, 0));
}

static void onehot_ref(const Node *n, const double *const *in, double *out)
{
    int64_t count = shape_count(n->shape), at[MAX_RANK];
    for (int64_t i = 0; i < count; i++) {
        ref_coords(n->shape, i, at);
        out[i] = in[0][ref_at(n->shape, i, n->in[0]->shape)] == (double)at[1];
    }
}

static const AttrDef onehot_attrs[] = {
    {.name = "classes", .kind = ATTR_INT, .required = true, .min = 1, .max = 1 << 20}, {0}};
static const Sample onehot_samples[] = {
    {"i10[8,1]", "classes=10"}, {"i5[2,1,7,3]", "classes=5"}, {0}};

const OpDef op_onehot = {.name = "OneHot",
                         .doc = "1 at the class of the target, else 0",
                         .nin = 1,
                         .attrs = onehot_attrs,
                         .nest = NEST_POINTWISE,
                         .shape = onehot_shape,
                         .body = onehot_body,
                         .ref = onehot_ref,
                         .samples = onehot_samples,
                         .tol = {0, 0}};

/* ---- Valid: 1 where the target has a label ---- */
static Expr *valid_body(Body *c, const Node *n, Expr *const *in)
{
    LB *b = c->b;
    int64_t ignore = n->attr[0].i[0];
    Expr *none = x_f32(b, 0), *one = x_f32(b, 1);
    if (ignore >= 0) one = x_select(b, x_cmp(b, C_NE, in[0], x_i32(b, ignore)), one, none);
    return x_select(b, x_cmp(b, C_GE, in[0], x_i32(b, 0)), one, none);
}

static void valid_ref(const Node *n, const double *const *in, double *out)
{
    for (int64_t i = 0; i < shape_count(n->shape); i++)
        out[i] = in[0][i] >= 0 && in[0][i] != (double)n->attr[0].i[0];
}

static const AttrDef valid_attrs[] = {
    {.name = "ignore", .kind = ATTR_INT, .def = -1, .min = -1, .max = 2147483647}, {0}};
static const Sample samples[] = {{"i10[8,1]", ""}, {"i5[2,1,7,3]", ""}, {0}};
static const Sample valid_samples[] = {
    {"i10[8,1]", ""}, {"i5[2,1,7,3]", ""}, {"i5[2,1,7,3]", "ignore=3"}, {0}};

const OpDef op_valid = {.name = "Valid",
                        .doc = "1 where there is a class, else 0",
                        .nin = 1,
                        .attrs = valid_attrs,
                        .nest = NEST_POINTWISE,
                        .shape = shape_as_first,
                        .body = valid_body,
                        .ref = valid_ref,
                        .samples = valid_samples,
                        .tol = {0, 0}};

/* ---- ToFloat ---- */
static Expr *float_body(Body *c, const Node *n, Expr *const *in)
{
    (void)n;
    return body_i2f(c, in[0]);
}

static double same(double x)
{
    return x;
}

static void float_ref(const Node *n, const double *const *in, double *out)
{
    ref_unary(n, in[0], out, same);
}

const OpDef op_to_float = {.name = "ToFloat",
                           .doc = "integers as floats",
                           .nin = 1,
                           .nest = NEST_POINTWISE,
                           .shape = shape_as_first,
                           .body = float_body,
                           .ref = float_ref,
                           .samples = samples,
                           .tol = {0, 0}};
