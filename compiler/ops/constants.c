/* Constants: a short vector of numbers from the description (class weights). Its body is a search
 * tree of selects, so that it needs no memory of its own. */
#include "ops/common.h"

static bool shape(Node *n)
{
    n->shape = shape_make(1, (int64_t)n->attr[0].nlist);
    n->dtype = DT_F32;
    return true;
}

static Expr *pick(LB *b, Expr *at, const double *list, int from, int to)
{
    if (to - from == 1) return x_f32(b, list[from]);
    int middle = (from + to) / 2;
    Expr *low = pick(b, at, list, from, middle), *high = pick(b, at, list, middle, to);
    return x_select(b, x_cmp(b, C_LT, at, x_i64(b, middle)), low, high);
}

static Expr *body(Body *c, const Node *n, Expr *const *in)
{
    (void)in;
    return pick(c->b, c->coord(c, 0), n->attr[0].list, 0, n->attr[0].nlist);
}

static void ref(const Node *n, const double *const *in, double *out)
{
    (void)in;
    for (int i = 0; i < n->attr[0].nlist; i++) out[i] = (float)n->attr[0].list[i];
}

static const AttrDef attrs[] = {{.name = "values", .kind = ATTR_FLOATS, .min = -1e30, .max = 1e30},
                                {0}};

static const Sample samples[] = {
    {"", "values=[0.5]"},
    {"", "values=[1,2,3,-4,5]"},
    {"", "values=[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]"},
    {NULL, NULL}};

const OpDef op_constants = {.name = "Constants",
                            .doc = "a vector of numbers",
                            .attrs = attrs,
                            .nest = NEST_POINTWISE,
                            .shape = shape,
                            .body = body,
                            .ref = ref,
                            .samples = samples,
                            .tol = {0, 0}};
