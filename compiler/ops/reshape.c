/* Flatten, Unflatten and Reshape: the same elements in the same row-major order under another shape.
 * As a layer Reshape names all dims but the batch, Unflatten those that one dim becomes; -1 stands
 * for what is left. */
#include "ops/common.h"
#include <string.h>

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    dx[0] = g_reshape(g, dy, n->in[0]->shape);
    return true;
}

static void ref(const Node *n, const double *const *in, double *out)
{
    memcpy(out, in[0], sizeof *out * (size_t)shape_count(n->shape));
}

/* ---- Flatten ---- */
static bool flatten_shape(Node *n)
{
    Shape in = n->in[0]->shape, out = {0};
    int64_t first = n->attr[0].i[0], last = n->attr[1].i[0];
    if (last < 0) last += in.rank;
    if (first < 0) first += in.rank;
    if (first < 0 || last >= in.rank || first > last) {
        diag_error(attr_loc(n, 0), "H001", "Flatten '%s': no dims %lld to %lld in %s", n->name,
                   (long long)first, (long long)last, shape_text(in).s);
        return false;
    }
    for (int d = 0; d < in.rank; d++) {
        if (d > first && d <= last)
            out.dim[out.rank - 1] *= in.dim[d];
        else
            out.dim[out.rank++] = in.dim[d];
    }
    n->shape = out;
    n->dtype = n->in[0]->dtype;
    return true;
}

static const AttrDef flatten_attrs[] = {
    {.name = "start_dim", .kind = ATTR_INT, .def = 1, .min = 1, .max = MAX_RANK - 1},
    {.name = "end_dim", .kind = ATTR_INT, .def = -1, .min = -1, .max = MAX_RANK - 1},
    {0}};

static const Sample flatten_samples[] = {
    {"f[2,3,7,5]", ""}, {"f[1,17,1,1]", ""}, {"f[5,20]", ""}, {"f[2,3,7,5]", "start_dim=2"}, {0}};

const OpDef op_flatten = {.name = "Flatten",
                          .doc = "[N,C,H,W] as [N,C*H*W]",
                          .nin = 1,
                          .attrs = flatten_attrs,
                          .nest = NEST_COPY,
                          .use = OP_LAYER,
                          .shape = flatten_shape,
                          .grad = grad,
                          .ref = ref,
                          .samples = flatten_samples,
                          .tol = {0, 1e-5}};

/* ---- Reshape ---- */
static bool reshape_shape(Node *n)
{
    Shape to = {.rank = (int)n->attr[0].i[0]};
    for (int d = 0; d < to.rank; d++) to.dim[d] = n->attr[0].i[d + 1];
    bug_if(shape_count(to) != shape_count(n->in[0]->shape), "Reshape of %s to %s",
           shape_text(n->in[0]->shape).s, shape_text(to).s);
    n->shape = to;
    n->dtype = n->in[0]->dtype;
    return true;
}

/* Sets the dim that is -1; do the dims hold `count` elements then? */
static bool fill_hole(Shape *s, int64_t count)
{
    int64_t *hole = NULL;
    for (int d = 0; d < s->rank; d++) {
        if (s->dim[d] == -1 && !hole) {
            hole = &s->dim[d];
            continue;
        }
        if (s->dim[d] < 1 || count % s->dim[d]) return false;
        count /= s->dim[d];
    }
    if (hole) *hole = count;
    return hole || count == 1;
}

/* x with dims first .. last replaced by those of attribute `at`. */
static Node *reshaped(Layer *l, int at, int first, int last)
{
    const AttrVal *v = &l->attr[at];
    Shape x = l->in[0]->shape, to = {0}, by = {.rank = (int)v->i[0]};
    int64_t count = 1;
    memcpy(by.dim, v->i + 1, sizeof(int64_t) * (size_t)by.rank);
    for (int d = first; d <= last; d++) count *= x.dim[d];
    if (x.rank + first - last - 1 + by.rank > MAX_RANK || !fill_hole(&by, count)) {
        diag_error(v->loc.file ? v->loc : l->loc, "H001",
                   "%s '%s': %s does not hold the elements of %s", l->op->name, l->path,
                   shape_text(by).s, shape_text(x).s);
        return NULL;
    }
    for (int d = 0; d < first; d++) to.dim[to.rank++] = x.dim[d];
    for (int d = 0; d < by.rank; d++) to.dim[to.rank++] = by.dim[d];
    for (int d = last + 1; d < x.rank; d++) to.dim[to.rank++] = x.dim[d];
    return g_reshape(l->g, l->in[0], to);
}

static Node *reshape_layer(Layer *l)
{
    return reshaped(l, 0, 1, l->in[0]->shape.rank - 1);
}

static Node *unflatten_layer(Layer *l)
{
    int64_t dim = l->attr[0].i[0], rank = l->in[0]->shape.rank;
    if (dim < 0) dim += rank;
    if (dim >= 1 && dim < rank) return reshaped(l, 1, (int)dim, (int)dim);
    diag_error(l->attr[0].loc.file ? l->attr[0].loc : l->loc, "H001",
               "Unflatten '%s': no dim %lld in %s", l->path, (long long)l->attr[0].i[0],
               shape_text(l->in[0]->shape).s);
    return NULL;
}

static const AttrDef reshape_attrs[] = {
    {.name = "shape", .kind = ATTR_SHAPE, .required = true, .min = -1, .max = 1 << 30}, {0}};
static const AttrDef unflatten_attrs[] = {
    {.name = "dim", .kind = ATTR_INT, .required = true, .min = -MAX_RANK, .max = MAX_RANK - 1},
    {.name = "unflattened_size", .kind = ATTR_SHAPE, .required = true, .min = -1, .max = 1 << 30},
    {0}};

static const Sample reshape_samples[] = {
    {"f[2,105]", "shape=[2,3,7,5]"}, {"f[17]", "shape=[17,1,1,1]"}, {0}};

const OpDef op_reshape = {.name = "Reshape",
                          .doc = "the same elements under another shape (all dims but the batch)",
                          .nin = 1,
                          .attrs = reshape_attrs,
                          .nest = NEST_COPY,
                          .use = OP_LAYER,
                          .shape = reshape_shape,
                          .layer = reshape_layer,
                          .grad = grad,
                          .ref = ref,
                          .samples = reshape_samples,
                          .tol = {0, 1e-5}};

const OpDef op_unflatten = {.name = "Unflatten",
                            .doc = "one dim as several",
                            .nin = 1,
                            .attrs = unflatten_attrs,
                            .nest = NEST_EXPAND,
                            .use = OP_LAYER,
                            .layer = unflatten_layer};
