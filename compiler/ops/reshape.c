/* Flatten and Reshape: the same elements in the same row-major order under another shape. */
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

static const AttrDef reshape_attrs[] = {{.name = "shape", .kind = ATTR_SHAPE, .required = true},
                                        {0}};

static const Sample reshape_samples[] = {
    {"f[2,105]", "shape=[2,3,7,5]"}, {"f[17]", "shape=[17,1,1,1]"}, {0}};

const OpDef op_reshape = {.name = "Reshape",
                          .doc = "the same elements under another shape",
                          .nin = 1,
                          .attrs = reshape_attrs,
                          .nest = NEST_COPY,
                          .shape = reshape_shape,
                          .grad = grad,
                          .ref = ref,
                          .samples = reshape_samples,
                          .tol = {0, 1e-5}};
