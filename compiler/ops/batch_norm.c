/* BatchNorm2d and BatchNorm1d. In training a composite of (x, weight, bias, running_mean); in
 * evaluation, and where the layer is frozen, it is x * scale + shift, both computed from state
 * alone, which simplify folds into a convolution.
 *
 * Statistics in one pass over x, shifted by the running mean m so that nothing cancels once it has
 * settled: d = x - m,  mean = m + E[d],  var = E[d^2] - E[d]^2  (biased; the running variance is
 * unbiased). Where there are few values (a pooled branch over a small batch) their spread may be far below their
 * distance from m, and E[d^2] - E[d]^2 would have no digits left: a second pass, which costs little there, takes
 * var = E[(x - mean)^2]. The gradient builds the same nodes again; CSE finds them. */
#include "ops/common.h"
#include <math.h>

enum { FEATURES, EPS, MOMENTUM, AFFINE, TRACK };
enum { FEW_VALUES = 1024 }; /* per channel: two passes */

static unsigned batch_axes(Shape x)
{
    return ((1u << x.rank) - 1) & ~2u;
}

static double per_channel(Shape x)
{
    return (double)(shape_count(x) / x.dim[1]);
}

static bool shape(Node *n)
{
    if (!shape_want_rank(n, 0, 2, 4)) return false;
    if (per_channel(n->in[0]->shape) >= 2) return shape_as_first(n);
    diag_error(n->loc, "H011",
               "%s '%s': 1 value per channel at batch %lld; training needs at least 2", n->op->name,
               n->name, (long long)n->in[0]->shape.dim[0]);
    diag_under("shape here: %s", shape_text(n->in[0]->shape).s);
    diag_help("use a larger batch_size");
    return false;
}

typedef struct Stats {
    Node *mean, *var, *rstd; /* [C] */
} Stats;

static Stats statistics(Graph *g, Node *x, Node *running_mean, double eps)
{
    unsigned axes = batch_axes(x->shape);
    double k = 1.0 / per_channel(x->shape);
    Node *d = g_sub(g, x, running_mean);
    Node *mean_d = g_scale(g, g_sum(g, d, axes), k);
    Stats s = {.mean = g_add(g, running_mean, mean_d)};
    bool few = per_channel(x->shape) <= FEW_VALUES;
    if (few) d = g_sub(g, x, s.mean);
    Node *mean_dd = g_scale(g, g_sum(g, g_mul(g, d, d), axes), k);
    s.var = few ? mean_dd : g_op(g, "ReLU", 1, g_sub(g, mean_dd, g_mul(g, mean_d, mean_d)));
    Node *std = g_op(g, "Sqrt", 1, g_add(g, s.var, g_const(g, eps)));
    s.rstd = g_div(g, g_const(g, 1), std);
    return s;
}

static Node *expand(Graph *g, const Node *n)
{
    Node *x = n->in[0];
    Stats s = statistics(g, x, n->in[3], n->attr[EPS].f);
    Node *centred = g_sub(g, x, s.mean);
    return g_add(g, g_mul(g, centred, g_mul(g, n->in[1], s.rstd)), n->in[2]);
}

/* dx = weight * rstd * (dy - E[dy] - xhat * E[dy * xhat]) */
static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    Node *x = n->in[0];
    Stats s = statistics(g, x, n->in[3], n->attr[EPS].f);
    unsigned axes = batch_axes(x->shape);
    double k = 1.0 / per_channel(x->shape);
    Node *xhat = g_mul(g, g_sub(g, x, s.mean), s.rstd);
    Node *sum = g_sum(g, dy, axes), *sum_xhat = g_sum(g, g_mul(g, dy, xhat), axes);
    if (dx[0]) {
        Node *off = g_mul(g, xhat, g_scale(g, sum_xhat, k));
        Node *rest = g_sub(g, g_sub(g, dy, g_scale(g, sum, k)), off);
        dx[0] = g_mul(g, rest, g_mul(g, n->in[1], s.rstd));
    }
    if (dx[1]) dx[1] = sum_xhat;
    if (dx[2]) dx[2] = sum;
    dx[3] = NULL; /* the running mean only shifts the sums */
    return true;
}

/* ---- the layer ---- */
static bool check(Layer *l, int rank)
{
    Shape x = l->in[0]->shape;
    AttrVal *f = &l->attr[FEATURES];
    if (x.rank != rank) {
        diag_error(l->loc, "H001", "%s '%s': input has the shape %s, expected %s", l->op->name,
                   l->path, shape_text(x).s, rank == 4 ? "[N,C,H,W]" : "[N,C]");
        return false;
    }
    if (f->infer) f->i[0] = x.dim[1];
    if (f->i[0] == x.dim[1]) return true;
    diag_error(f->loc.file ? f->loc : l->loc, "H006",
               "%s '%s' declares num_features=%lld, but its input has %lld channels", l->op->name,
               l->path, (long long)f->i[0], (long long)x.dim[1]);
    diag_under("expected %lld (shape here: %s)", (long long)x.dim[1], shape_text(x).s);
    diag_help("write `_`");
    return false;
}

typedef struct Params {
    Node *weight, *bias, *mean, *var; /* mean, var: NULL if they are not tracked */
    State *mean_state, *var_state, *batches;
} Params;

static Node *parameter(Layer *l, const char *name, Shape c, double init)
{
    if (!l->attr[AFFINE].i[0]) return g_const(l->g, init);
    return layer_read(l, layer_state(l, name, STATE_PARAM, c, (Init){INIT_CONST, init, 0}));
}

static Params parameters(Layer *l, Shape c)
{
    Params p = {.weight = parameter(l, "weight", c, 1), .bias = parameter(l, "bias", c, 0)};
    if (!l->attr[TRACK].i[0]) return p;
    p.mean_state = layer_state(l, "running_mean", STATE_BUFFER, c, (Init){INIT_CONST, 0, 0});
    p.var_state = layer_state(l, "running_var", STATE_BUFFER, c, (Init){INIT_CONST, 1, 0});
    p.batches = layer_state(l, "num_batches_tracked", STATE_BUFFER, shape_make(0),
                            (Init){INIT_CONST, 0, 0});
    p.mean = layer_read(l, p.mean_state);
    p.var = layer_read(l, p.var_state);
    return p;
}

/* running = (1 - momentum) * running + momentum * now */
static void update(Layer *l, State *s, Node *old, Node *now)
{
    double m = l->attr[MOMENTUM].f;
    Node *kept = g_scale(l->g, old, 1 - m);
    graph_assign(l->g, s, g_add(l->g, kept, g_scale(l->g, now, m)));
}

static Node *training(Layer *l, const Params *p)
{
    Graph *g = l->g;
    Node *x = l->in[0], *shift = p->mean ? p->mean : g_const(g, 0);
    Node *y = g_op_attr(g, l->op->name, l->attr, 4, x, p->weight, p->bias, shift);
    if (!y || !p->mean) return y;
    Stats s = statistics(g, x, p->mean, l->attr[EPS].f);
    double count = per_channel(x->shape);
    update(l, p->mean_state, p->mean, s.mean);
    update(l, p->var_state, p->var, g_scale(g, s.var, count / (count - 1)));
    Node *batches = layer_read(l, p->batches);
    graph_assign(g, p->batches, g_add(g, batches, g_const(g, 1)));
    return y;
}

static Node *layer(Layer *l, int rank)
{
    if (!check(l, rank)) return NULL;
    Graph *g = l->g;
    Params p = parameters(l, shape_make(1, l->in[0]->shape.dim[1]));
    if ((g->training && !l->frozen) || !p.mean) return training(l, &p);
    Node *std = g_op(g, "Sqrt", 1, g_add(g, p.var, g_const(g, l->attr[EPS].f)));
    Node *scale = g_div(g, p.weight, std);
    Node *shift = g_sub(g, p.bias, g_mul(g, p.mean, scale));
    return g_add(g, g_mul(g, l->in[0], scale), shift);
}

static Node *layer_2d(Layer *l)
{
    return layer(l, 4);
}

static Node *layer_1d(Layer *l)
{
    return layer(l, 2);
}

/* Two passes, unshifted. */
static void ref(const Node *n, const double *const *in, double *out)
{
    Shape s = n->shape;
    int64_t plane = shape_count(s) / (s.dim[0] * s.dim[1]), count = s.dim[0] * plane;
    bool affine = n->in[1]->shape.rank > 0;
    for (int64_t c = 0; c < s.dim[1]; c++) {
        double mean = 0, var = 0, weight = in[1][affine ? c : 0], bias = in[2][affine ? c : 0];
        for (int pass = 0; pass < 3; pass++) {
            for (int64_t i = 0; i < count; i++) {
                int64_t at = (i / plane * s.dim[1] + c) * plane + i % plane;
                double x = in[0][at];
                if (pass == 0) mean += x / (double)count;
                if (pass == 1) var += (x - mean) * (x - mean) / (double)count;
                if (pass == 2) out[at] = (x - mean) / sqrt(var + n->attr[EPS].f) * weight + bias;
            }
        }
    }
}

static const AttrDef attrs[] = {
    {.name = "num_features",
     .kind = ATTR_INT,
     .required = true,
     .min = 1,
     .max = 1 << 20,
     .infer = true},
    {.name = "eps", .kind = ATTR_FLOAT, .def = 1e-5, .min = 0, .max = 1},
    {.name = "momentum", .kind = ATTR_FLOAT, .def = 0.1, .min = 0, .max = 1},
    {.name = "affine", .kind = ATTR_BOOL, .def = 1},
    {.name = "track_running_stats", .kind = ATTR_BOOL, .def = 1},
    {0}};

static const Sample samples[] = {{"f[2,3,7,5] f[3] f[3] f[3]", ""},
                                 {"f[1,17,5,3] p[17] f[17] f[17]", "eps=0.001"},
                                 {"f[3,20,1,1] p[20] f[20] f[20]", ""},
                                 {0}};
static const Sample samples_1d[] = {{"f[5,17] p[17] f[17] f[17]", ""}, {0}};

const OpDef op_batch_norm2d = {.name = "BatchNorm2d",
                               .doc = "batch normalisation of images",
                               .nin = 4,
                               .attrs = attrs,
                               .nest = NEST_EXPAND,
                               .use = OP_LAYER,
                               .shape = shape,
                               .layer = layer_2d,
                               .expand = expand,
                               .grad = grad,
                               .ref = ref,
                               .samples = samples,
                               .tol = {1e-5, 1e-4}};

const OpDef op_batch_norm1d = {.name = "BatchNorm1d",
                               .doc = "batch normalisation of feature vectors",
                               .nin = 4,
                               .attrs = attrs,
                               .nest = NEST_EXPAND,
                               .use = OP_LAYER,
                               .shape = shape,
                               .layer = layer_1d,
                               .expand = expand,
                               .grad = grad,
                               .ref = ref,
                               .samples = samples_1d,
                               .tol = {1e-5, 1e-4}};
