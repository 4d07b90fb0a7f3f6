/* Sum and Max over a set of axes (bit a of `axes`: axis a). Shapes: all -> scalar; all but axis 1
 * -> [C]; otherwise the reduced dims become 1. Max is inner to Softmax and CrossEntropyLoss, whose
 * own gradient rules need none of it. */
#include "ops/common.h"
#include <math.h>

static unsigned axes_of(const Node *n)
{
    return (unsigned)n->attr[0].i[0];
}

static bool shape(Node *n)
{
    Shape in = n->in[0]->shape;
    unsigned axes = axes_of(n), all = (1u << in.rank) - 1;
    n->dtype = DT_F32;
    bug_if(!axes || (axes & ~all), "%s over axes %x of %s", n->op->name, axes, shape_text(in).s);
    if (axes == all)
        n->shape = shape_make(0);
    else if (axes == (all & ~2u))
        n->shape = shape_make(1, in.dim[1]);
    else {
        n->shape = in;
        for (int d = 0; d < in.rank; d++)
            if (axes >> d & 1) n->shape.dim[d] = 1;
    }
    return true;
}

static bool sum_grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    dx[0] = g_broadcast(g, dy, n->in[0]->shape);
    return true;
}

static Reduce sum_reduce(const Node *n)
{
    return (Reduce){REDUCE_SUM, axes_of(n)};
}

static Reduce max_reduce(const Node *n)
{
    return (Reduce){REDUCE_MAX, axes_of(n)};
}

/* Which output element the input element at c belongs to. */
static int64_t target(const Node *n, int64_t c[MAX_RANK])
{
    if (n->shape.rank == 0) return 0;
    if (n->shape.rank == 1 && n->in[0]->shape.rank > 1) return c[1];
    for (int d = 0; d < n->shape.rank; d++)
        if (axes_of(n) >> d & 1) c[d] = 0;
    return ref_index(n->shape, c);
}

static void fold(const Node *n, const double *x, double *out, double init, bool sum)
{
    int64_t count = shape_count(n->in[0]->shape), c[MAX_RANK];
    for (int64_t i = 0; i < shape_count(n->shape); i++) out[i] = init;
    for (int64_t i = 0; i < count; i++) {
        ref_coords(n->in[0]->shape, i, c);
        double *o = &out[target(n, c)];
        *o = sum ? *o + x[i] : fmax(*o, x[i]);
    }
}

static void sum_ref(const Node *n, const double *const *in, double *out)
{
    fold(n, in[0], out, 0, true);
}

static void max_ref(const Node *n, const double *const *in, double *out)
{
    fold(n, in[0], out, -INFINITY, false);
}

static const AttrDef attrs[] = {
    {.name = "axes", .kind = ATTR_INT, .required = true, .min = 1, .max = (1 << MAX_RANK) - 1},
    {0}};

static const Sample samples[] = {{"f[2,3,7,5]", "axes=13"}, {"f[2,17,7,5]", "axes=2"},
                                 {"f[2,3,7,5]", "axes=15"}, {"f[3,20,7,5]", "axes=12"},
                                 {"f[5,17]", "axes=1"},     {"f[5,17]", "axes=2"},
                                 {"f[5,17]", "axes=3"},     {"f[20]", "axes=1"},
                                 {"f[1,3,1,1]", "axes=13"}, {"f[2,3,4,37]", "axes=13"},
                                 {"f[5,3,20,41]", "axes=13"}, {"f[5,3,20,41]", "axes=15"},
                                 {"f[2,3,5,16]", "axes=12"}, {0}};

const OpDef op_sum = {.name = "Sum",
                      .doc = "sum over axes",
                      .nin = 1,
                      .attrs = attrs,
                      .nest = NEST_REDUCE,
                      .shape = shape,
                      .grad = sum_grad,
                      .reduce = sum_reduce,
                      .ref = sum_ref,
                      .samples = samples,
                      .tol = {1e-5, 1e-4}};

const OpDef op_max = {.name = "Max",
                      .doc = "maximum over axes",
                      .nin = 1,
                      .attrs = attrs,
                      .nest = NEST_REDUCE,
                      .shape = shape,
                      .reduce = max_reduce,
                      .ref = max_ref,
                      .samples = samples,
                      .tol = {0, 0}};
