/* Concat: tensors joined along the channels (dim 1), as torch.cat. Slice, some of a tensor's
 * channels, is its gradient. An element comes from the one input in whose range its channel lies;
 * the others are read at their nearest channel and not taken. */
#include "ops/common.h"

enum { DIM, CHANNELS = 1, MOST_INPUTS = 8 };

static Loc place(const Node *n)
{
    return attr_loc(n, DIM);
}

static bool fits(const Node *n, int i)
{
    Shape x = n->in[0]->shape, y = n->in[i]->shape;
    bool same = x.rank == y.rank;
    for (int d = 0; same && d < x.rank; d++) same = d == CHANNELS || x.dim[d] == y.dim[d];
    if (same) return true;
    diag_error(n->loc, "H005", "Concat '%s': %s vs %s", n->name, shape_text(x).s, shape_text(y).s);
    diag_help("the inputs may differ in their channels only");
    return false;
}

static bool shape(Node *n)
{
    int64_t dim = n->attr[DIM].i[0];
    if (n->nin > MOST_INPUTS) {
        diag_error(n->loc, "S024", "Concat '%s' takes at most %d inputs, got %d", n->name,
                   MOST_INPUTS, n->nin);
        return false;
    }
    if (!shape_want_rank(n, 0, 2, 4)) return false;
    if (dim != CHANNELS && dim != CHANNELS - n->in[0]->shape.rank) {
        diag_error(place(n), "H001", "Concat '%s': dim=%lld of %s; only the channels (dim=1)",
                   n->name, (long long)dim, shape_text(n->in[0]->shape).s);
        return false;
    }
    shape_as_first(n);
    for (int i = 1; i < n->nin; i++) {
        if (!fits(n, i)) return false;
        n->shape.dim[CHANNELS] += n->in[i]->shape.dim[CHANNELS];
    }
    return true;
}

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    int64_t start = 0;
    for (int i = 0; i < n->nin; i++) {
        int64_t channels = n->in[i]->shape.dim[CHANNELS];
        AttrVal attr[MAX_ATTR] = {{.i = {start}}, {.i = {channels}}};
        if (dx[i]) dx[i] = g_op_attr(g, "Slice", attr, 1, dy);
        start += channels;
    }
    return true;
}

static Expr *gather(Body *c, const Node *n)
{
    LB *b = c->b;
    Expr *at = c->coord(c, CHANNELS), *x = c->shifted(c, 0, CHANNELS, 0);
    int64_t start = n->in[0]->shape.dim[CHANNELS];
    for (int k = 1; k < n->nin; k++) {
        Expr *y = c->shifted(c, k, CHANNELS, -start);
        x = x_select(b, x_cmp(b, C_GE, at, x_i64(b, start)), y, x);
        start += n->in[k]->shape.dim[CHANNELS];
    }
    return x;
}

static int64_t joins(const Node *n, int k)
{
    int64_t start = 0;
    for (int i = 0; i < k; i++) start += n->in[i]->shape.dim[CHANNELS];
    return start;
}

static void ref(const Node *n, const double *const *in, double *out)
{
    int64_t c[MAX_RANK];
    for (int64_t i = 0; i < shape_count(n->shape); i++) {
        int k = 0;
        ref_coords(n->shape, i, c);
        for (; c[CHANNELS] >= n->in[k]->shape.dim[CHANNELS]; k++)
            c[CHANNELS] -= n->in[k]->shape.dim[CHANNELS];
        out[i] = in[k][ref_index(n->in[k]->shape, c)];
    }
}

static const AttrDef attrs[] = {
    {.name = "dim", .kind = ATTR_INT, .def = 1, .min = -MAX_RANK, .max = MAX_RANK - 1}, {0}};

static const Sample samples[] = {
    {"f[2,3,7,5] f[2,4,7,5]", ""},
    {"f[1,17,5,3] f[1,3,5,3] f[1,20,5,3]", ""},
    {"f[2,16,5,3] f[2,32,5,3]", "dim=-3"},
    {"f[2,32,4,4] f[2,16,4,4] f[2,48,4,4]", ""},
    {"f[5,17] f[5,3]", ""},
    {"f[2,3,1,1]", ""},
    {"f[1,1,3,2] f[1,2,3,2] f[1,3,3,2] f[1,1,3,2] f[1,5,3,2] f[1,1,3,2] f[1,1,3,2] f[1,9,3,2]", ""},
    {0}};

const OpDef op_concat = {
    .name = "Concat",
    .doc = "tensors joined along the channels; a layer with inputs (from: [x, y])",
    .nin = -1,
    .attrs = attrs,
    .nest = NEST_GATHER,
    .use = OP_LAYER,
    .shape = shape,
    .grad = grad,
    .gather = gather,
    .joins = joins,
    .ref = ref,
    .samples = samples,
    .tol = {0, 1e-5}};

/* ---- Slice: channels start .. start + channels ---- */
enum { START, COUNT };

static bool slice_shape(Node *n)
{
    shape_as_first(n);
    bug_if(n->attr[START].i[0] + n->attr[COUNT].i[0] > n->shape.dim[CHANNELS], "Slice of %s",
           shape_text(n->shape).s);
    n->shape.dim[CHANNELS] = n->attr[COUNT].i[0];
    return true;
}

static Expr *slice_gather(Body *c, const Node *n)
{
    return c->shifted(c, 0, CHANNELS, n->attr[START].i[0]);
}

static void slice_ref(const Node *n, const double *const *in, double *out)
{
    int64_t c[MAX_RANK];
    for (int64_t i = 0; i < shape_count(n->shape); i++) {
        ref_coords(n->shape, i, c);
        c[CHANNELS] += n->attr[START].i[0];
        out[i] = in[0][ref_index(n->in[0]->shape, c)];
    }
}

static const AttrDef slice_attrs[] = {
    {.name = "start", .kind = ATTR_INT, .max = 1 << 20},
    {.name = "channels", .kind = ATTR_INT, .required = true, .min = 1, .max = 1 << 20},
    {0}};

static const Sample slice_samples[] = {{"f[2,7,7,5]", "start=3 channels=4"},
                                       {"f[1,40,5,3]", "start=17 channels=20"},
                                       {"f[2,48,5,3]", "start=16 channels=32"},
                                       {"f[5,20]", "start=17 channels=3"},
                                       {0}};

const OpDef op_slice = {.name = "Slice",
                        .doc = "some of the channels",
                        .nin = 1,
                        .attrs = slice_attrs,
                        .nest = NEST_GATHER,
                        .shape = slice_shape,
                        .gather = slice_gather,
                        .ref = slice_ref,
                        .samples = slice_samples,
                        .tol = {0, 0}};
