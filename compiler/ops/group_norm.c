/* GroupNorm, LayerNorm, InstanceNorm2d: x less its mean over a group of channels of one image,
 * divided by the standard deviation there. The node GroupNorm does this without weights; a layer
 * multiplies and adds them. In two passes over x, so that nothing cancels. LayerNorm is one group of
 * all channels, InstanceNorm2d one for every channel. */
#include "ops/common.h"
#include <math.h>

enum { GROUPS, CHANNELS, EPS, AFFINE };

static bool shape(Node *n)
{
    Shape x = n->in[0]->shape;
    if (!shape_want_rank(n, 0, 2, 4)) return false;
    if (x.dim[1] % n->attr[GROUPS].i[0] == 0) return shape_as_first(n);
    diag_error(attr_loc(n, GROUPS), "H004",
               "%s '%s': num_groups %lld does not divide the %lld channels", n->op->name, n->name,
               (long long)n->attr[GROUPS].i[0], (long long)x.dim[1]);
    return false;
}

/* The mean over each group, at every channel of it: [N,C,1,1], or a shape that broadcasts to x. */
static Node *group_mean(Graph *g, const Node *n, Node *x)
{
    Shape s = x->shape;
    int64_t groups = n->attr[GROUPS].i[0], members = s.dim[1] / groups;
    double share = (double)(s.dim[0] * groups) / (double)shape_count(s);
    Node *sum = s.rank == 4 ? g_sum(g, x, 1u << 2 | 1u << 3) : x;
    if (members == 1) return g_scale(g, sum, share);
    Shape each = sum->shape, rows = shape_make(2, s.dim[0] * groups, members);
    Node *total = g_sum(g, g_reshape(g, sum, rows), 1u << 1);
    total = g_scale(g, total, share);
    if (groups == 1 && s.rank == 2) return total;
    return g_reshape(g, g_broadcast(g, total, rows), each);
}

typedef struct Parts {
    Node *centred, *rstd;
} Parts;

static Parts parts(Graph *g, const Node *n)
{
    Node *x = n->in[0];
    Parts p = {.centred = g_sub(g, x, group_mean(g, n, x))};
    Node *var = group_mean(g, n, g_mul(g, p.centred, p.centred));
    Node *std = g_op(g, "Sqrt", 1, g_add(g, var, g_const(g, n->attr[EPS].f)));
    p.rstd = g_div(g, g_const(g, 1), std);
    return p;
}

static Node *expand(Graph *g, const Node *n)
{
    Parts p = parts(g, n);
    return g_mul(g, p.centred, p.rstd);
}

/* dx = rstd * (dy - E[dy] - y * E[dy * y]) */
static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    Parts p = parts(g, n);
    Node *y = g_mul(g, p.centred, p.rstd);
    Node *along = g_mul(g, y, group_mean(g, n, g_mul(g, dy, y)));
    dx[0] = g_mul(g, g_sub(g, g_sub(g, dy, group_mean(g, n, dy)), along), p.rstd);
    return true;
}

static void ref(const Node *n, const double *const *in, double *out)
{
    Shape s = n->shape;
    int64_t groups = s.dim[0] * n->attr[GROUPS].i[0], size = shape_count(s) / groups;
    for (int64_t k = 0; k < groups; k++) {
        const double *x = in[0] + k * size;
        double mean = 0, var = 0;
        for (int64_t i = 0; i < size; i++) mean += x[i] / (double)size;
        for (int64_t i = 0; i < size; i++) var += (x[i] - mean) * (x[i] - mean) / (double)size;
        for (int64_t i = 0; i < size; i++)
            out[k * size + i] = (x[i] - mean) / sqrt(var + n->attr[EPS].f);
    }
}

/* ---- the layers ---- */
static Node *normalise(Layer *l, Node *x, int64_t groups, double eps)
{
    AttrVal attr[MAX_ATTR] = {{.i = {groups}}, {.i = {x->shape.dim[1]}}, {.f = eps}};
    if (l->op->attrs[GROUPS].kind == ATTR_INT) attr[GROUPS].loc = l->attr[GROUPS].loc;
    return g_op_attr(l->g, "GroupNorm", attr, 1, x);
}

/* A parameter that the kernels see as [count], reshaped to what broadcasts. */
static Node *parameter(Layer *l, const char *name, Shape shape, Shape as, double init)
{
    State *s = layer_state(l, name, STATE_PARAM, shape, (Init){INIT_CONST, init, 0});
    if (shape.rank > 1) s->view = shape_make(1, shape_count(shape));
    return g_reshape(l->g, layer_read(l, s), as);
}

static Node *affine(Layer *l, Node *y, Shape shape, Shape as, bool bias)
{
    y = g_mul(l->g, y, parameter(l, "weight", shape, as, 1));
    return bias ? g_add(l->g, y, parameter(l, "bias", shape, as, 0)) : y;
}

static bool check_channels(Layer *l, int at, const char *argument)
{
    Shape x = l->in[0]->shape;
    AttrVal *c = &l->attr[at];
    if (x.rank != 2 && x.rank != 4) {
        diag_error(l->loc, "H001", "%s '%s': input has the shape %s, expected [N,C] or [N,C,H,W]",
                   l->op->name, l->path, shape_text(x).s);
        return false;
    }
    if (c->infer) c->i[0] = x.dim[1];
    if (c->i[0] == x.dim[1]) return true;
    diag_error(c->loc.file ? c->loc : l->loc, "H006",
               "%s '%s' declares %s=%lld, but its input has %lld channels", l->op->name, l->path,
               argument, (long long)c->i[0], (long long)x.dim[1]);
    diag_under("expected %lld (shape here: %s)", (long long)x.dim[1], shape_text(x).s);
    diag_help("write `_`");
    return false;
}

static Node *group_layer(Layer *l)
{
    if (!check_channels(l, CHANNELS, "num_channels")) return NULL;
    Shape c = shape_make(1, l->in[0]->shape.dim[1]);
    Node *y = normalise(l, l->in[0], l->attr[GROUPS].i[0], l->attr[EPS].f);
    return y && l->attr[AFFINE].i[0] ? affine(l, y, c, c, true) : y;
}

static const AttrDef attrs[] = {
    {.name = "num_groups", .kind = ATTR_INT, .required = true, .min = 1, .max = 1 << 20},
    {.name = "num_channels",
     .kind = ATTR_INT,
     .required = true,
     .min = 1,
     .max = 1 << 20,
     .infer = true},
    {.name = "eps", .kind = ATTR_FLOAT, .def = 1e-5, .min = 0, .max = 1},
    {.name = "affine", .kind = ATTR_BOOL, .def = 1},
    {0}};

static const Sample samples[] = {{"f[2,6,7,5]", "num_groups=3"},
                                 {"f[2,20,3,5]", "num_groups=20"},
                                 {"f[2,34,3,5]", "num_groups=2 eps=0.01"},
                                 {"f[3,32,4,4]", "num_groups=1"},
                                 {"f[5,18]", "num_groups=3"},
                                 {"f[5,17]", "num_groups=1"},
                                 {0}};

const OpDef op_group_norm = {.name = "GroupNorm",
                             .doc = "normalisation over groups of channels of each image",
                             .nin = 1,
                             .attrs = attrs,
                             .nest = NEST_EXPAND,
                             .use = OP_LAYER,
                             .shape = shape,
                             .layer = group_layer,
                             .expand = expand,
                             .grad = grad,
                             .ref = ref,
                             .samples = samples,
                             .tol = {1e-5, 1e-4}};

/* ---- InstanceNorm2d ---- */
enum { IN_FEATURES, IN_EPS, IN_MOMENTUM, IN_AFFINE, IN_TRACK };

static Node *instance_layer(Layer *l)
{
    const AttrVal *track = &l->attr[IN_TRACK];
    if (!check_channels(l, IN_FEATURES, "num_features")) return NULL;
    Shape x = l->in[0]->shape, c = shape_make(1, x.dim[1]);
    if (track->i[0]) {
        diag_error(track->loc, "S041", "track_running_stats is not supported by this version");
        return NULL;
    }
    if (x.rank != 4 || x.dim[2] * x.dim[3] < 2) {
        diag_error(l->loc, "H011", "InstanceNorm2d '%s': 1 value per channel of %s; it needs more",
                   l->path, shape_text(x).s);
        return NULL;
    }
    Node *y = normalise(l, l->in[0], x.dim[1], l->attr[IN_EPS].f);
    return l->attr[IN_AFFINE].i[0] ? affine(l, y, c, c, true) : y;
}

static const AttrDef instance_attrs[] = {
    {.name = "num_features",
     .kind = ATTR_INT,
     .required = true,
     .min = 1,
     .max = 1 << 20,
     .infer = true},
    {.name = "eps", .kind = ATTR_FLOAT, .def = 1e-5, .min = 0, .max = 1},
    {.name = "momentum", .kind = ATTR_FLOAT, .def = 0.1, .min = 0, .max = 1},
    {.name = "affine", .kind = ATTR_BOOL},
    {.name = "track_running_stats", .kind = ATTR_BOOL},
    {0}};

const OpDef op_instance_norm2d = {.name = "InstanceNorm2d",
                                  .doc = "normalisation of each channel of each image",
                                  .nin = 1,
                                  .attrs = instance_attrs,
                                  .nest = NEST_EXPAND,
                                  .use = OP_LAYER,
                                  .layer = instance_layer};

/* ---- LayerNorm ---- */
enum { LN_SHAPE, LN_EPS, LN_AFFINE, LN_BIAS };

static bool is_tail(Shape x, Shape tail)
{
    bool same = tail.rank < x.rank;
    for (int d = 1; same && d <= tail.rank; d++)
        same = x.dim[x.rank - d] == tail.dim[tail.rank - d];
    return same;
}

static Node *layer_layer(Layer *l)
{
    const AttrVal *v = l->attr;
    Node *x = l->in[0];
    Shape s = x->shape, tail = {.rank = (int)v[LN_SHAPE].i[0]};
    for (int d = 0; d < tail.rank; d++) tail.dim[d] = v[LN_SHAPE].i[d + 1];
    if (!is_tail(s, tail)) {
        diag_error(v[LN_SHAPE].loc.file ? v[LN_SHAPE].loc : l->loc, "H006",
                   "LayerNorm '%s' declares normalized_shape=%s, but its input is %s", l->path,
                   shape_text(tail).s, shape_text(s).s);
        diag_help("it must be the last dims of the input, for example all but the batch");
        return NULL;
    }
    Shape as = tail;
    bool whole = tail.rank == 3 && s.rank == 4; /* one group of all channels: no copy is needed */
    if (whole) as = shape_make(4, (int64_t)1, s.dim[1], s.dim[2], s.dim[3]);
    if (!whole) {
        as = shape_make(1, shape_count(tail));
        x = g_reshape(l->g, x, shape_make(2, shape_count(s) / as.dim[0], as.dim[0]));
    }
    Node *y = normalise(l, x, 1, v[LN_EPS].f);
    if (v[LN_AFFINE].i[0]) y = affine(l, y, tail, as, v[LN_BIAS].i[0]);
    return g_reshape(l->g, y, s);
}

static const AttrDef layer_attrs[] = {
    {.name = "normalized_shape", .kind = ATTR_SHAPE, .required = true, .min = 1, .max = 1 << 24},
    {.name = "eps", .kind = ATTR_FLOAT, .def = 1e-5, .min = 0, .max = 1},
    {.name = "elementwise_affine", .kind = ATTR_BOOL, .def = 1},
    {.name = "bias", .kind = ATTR_BOOL, .def = 1},
    {0}};

const OpDef op_layer_norm = {.name = "LayerNorm",
                             .doc = "normalisation over the last dims, [C] or [C,H,W]",
                             .nin = 1,
                             .attrs = layer_attrs,
                             .nest = NEST_EXPAND,
                             .use = OP_LAYER,
                             .layer = layer_layer};
