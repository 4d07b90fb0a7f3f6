/* Linear and its gradients: y[n, k] = sum over the features of x[n, ..] * w[k, ..].
 * x is [N,I] with w [O,I]; or, once simplify has removed the Flatten before the layer, x [N,C,H,W]
 * with w seen as [O,C,H,W] (State.view): the same numbers, indexed in the layout that x has anyway.
 */
#include "ops/common.h"
#include <math.h>
#include <string.h>

enum { IN_FEATURES, OUT_FEATURES, BIAS };
static const char *const feature_name[] = {"c", "kh", "kw"};

static bool shape(Node *n)
{
    Shape x = n->in[0]->shape, w = n->in[1]->shape;
    bool fits = x.rank == w.rank && (x.rank == 2 || x.rank == 4);
    for (int d = 1; fits && d < x.rank; d++) fits = x.dim[d] == w.dim[d];
    bug_if(!fits, "Linear of %s with %s", shape_text(x).s, shape_text(w).s);
    n->shape = shape_make(2, x.dim[0], w.dim[0]);
    n->dtype = DT_F32;
    return true;
}

static bool wrong_width(const Layer *l, Shape x)
{
    const AttrVal *in = &l->attr[IN_FEATURES];
    diag_error(in->loc.file ? in->loc : l->loc, "H006",
               "Linear '%s' declares in_features=%lld, but its input has %lld", l->path,
               (long long)in->i[0], (long long)x.dim[1]);
    diag_under("expected %lld (shape here: %s)", (long long)x.dim[1], shape_text(x).s);
    diag_help("write `_`");
    return false;
}

static bool check(Layer *l)
{
    Shape x = l->in[0]->shape;
    if (x.rank != 2) {
        diag_error(l->loc, "H006", "Linear '%s': got %s; it takes [N,features]", l->path,
                   shape_text(x).s);
        diag_help(
            "add a Flatten layer or a global pool (AdaptiveAvgPool2d(1), then Flatten) before it");
        return false;
    }
    if (l->attr[IN_FEATURES].infer) l->attr[IN_FEATURES].i[0] = x.dim[1];
    return l->attr[IN_FEATURES].i[0] == x.dim[1] || wrong_width(l, x);
}

static Node *layer(Layer *l)
{
    if (!check(l)) return NULL;
    int64_t in = l->attr[IN_FEATURES].i[0], out = l->attr[OUT_FEATURES].i[0];
    double bound = 1.0 / sqrt((double)in);
    Init init = {INIT_UNIFORM, -bound, bound};
    Node *w = layer_read(l, layer_state(l, "weight", STATE_PARAM, shape_make(2, out, in), init));
    Node *y = g_op_attr(l->g, "Linear", l->attr, 2, l->in[0], w);
    if (!y || !l->attr[BIAS].i[0]) return y;
    State *bias = layer_state(l, "bias", STATE_PARAM, shape_make(1, out), init);
    return layer_node(l, "Add", y, layer_read(l, bias));
}

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    if (dx[0]) dx[0] = g_op(g, "LinearDgrad", 2, dy, n->in[1]);
    if (dx[1]) dx[1] = g_op(g, "LinearWgrad", 2, n->in[0], dy);
    return true;
}

static bool contract(const Node *n, int phase, Contract *c)
{
    if (phase > 0) return false;
    Shape x = n->in[0]->shape;
    *c = (Contract){.a.view = x, .b.view = n->in[1]->shape, .out.view = n->shape};
    c->naxes = x.rank + 1;
    c->axis[0].name = "n";
    c->axis[0].extent = x.dim[0];
    c->axis[1].name = "k";
    c->axis[1].extent = n->shape.dim[1];
    c->a.coef[0][0] = c->b.coef[0][1] = c->out.coef[0][0] = c->out.coef[1][1] = 1;
    for (int d = 1; d < x.rank; d++) {
        c->axis[d + 1].name = feature_name[d - 1];
        c->axis[d + 1].extent = x.dim[d];
        c->a.coef[d][d + 1] = c->b.coef[d][d + 1] = 1;
    }
    return true;
}

static void ref(const Node *n, const double *const *in, double *out)
{
    int64_t batch = n->shape.dim[0], k_end = n->shape.dim[1];
    int64_t features = shape_count(n->in[0]->shape) / batch;
    for (int64_t i = 0; i < batch * k_end; i++) {
        const double *x = in[0] + i / k_end * features, *w = in[1] + i % k_end * features;
        out[i] = 0;
        for (int64_t f = 0; f < features; f++) out[i] += x[f] * w[f];
    }
}

static const AttrDef attrs[] = {
    {.name = "in_features",
     .kind = ATTR_INT,
     .required = true,
     .min = 1,
     .max = 1 << 24,
     .infer = true},
    {.name = "out_features", .kind = ATTR_INT, .required = true, .min = 1, .max = 1 << 20},
    {.name = "bias", .kind = ATTR_BOOL, .def = 1},
    {0}};

static const Sample samples[] = {{"f[5,17] f[20,17]", ""},
                                 {"f[1,3] f[1,3]", ""},
                                 {"f[2,3,7,5] f[17,3,7,5]", ""},
                                 {"f[3,20,1,1] f[5,20,1,1]", ""},
                                 {"f[19,37] f[1,37]", ""},
                                 {"f[50,300] f[1,300]", ""},
                                 {"f[3,37] f[3,37]", ""},
                                 {0}};

const OpDef op_linear = {.name = "Linear",
                         .doc = "fully connected layer",
                         .nin = 2,
                         .attrs = attrs,
                         .nest = NEST_CONTRACT,
                         .use = OP_LAYER,
                         .shape = shape,
                         .layer = layer,
                         .grad = grad,
                         .contract = contract,
                         .ref = ref,
                         .samples = samples,
                         .tol = {1e-5, 1e-4}};

/* ---- LinearDgrad: dx[n, k..] = sum over c of dy[n, c] * w[c, k..] ---- */
static const char *const place_name[] = {"k", "oh", "ow"};

static bool dgrad_shape(Node *n)
{
    Shape dy = n->in[0]->shape;
    n->shape = n->in[1]->shape;
    bug_if(dy.rank != 2 || dy.dim[1] != n->shape.dim[0], "LinearDgrad of %s", shape_text(dy).s);
    n->shape.dim[0] = dy.dim[0];
    n->dtype = DT_F32;
    return true;
}

static bool dgrad_grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    if (dx[0]) dx[0] = g_op(g, "Linear", 2, dy, n->in[1]);
    if (dx[1]) dx[1] = g_op(g, "LinearWgrad", 2, dy, n->in[0]);
    return true;
}

static bool dgrad_contract(const Node *n, int phase, Contract *c)
{
    if (phase > 0) return false;
    *c = (Contract){.a.view = n->in[0]->shape, .b.view = n->in[1]->shape, .out.view = n->shape};
    c->naxes = n->shape.rank + 1;
    c->axis[0].name = "n";
    c->axis[0].extent = n->shape.dim[0];
    c->axis[1].name = "c";
    c->axis[1].extent = n->in[0]->shape.dim[1];
    c->a.coef[0][0] = c->a.coef[1][1] = c->b.coef[0][1] = c->out.coef[0][0] = 1;
    for (int d = 1; d < n->shape.rank; d++) {
        c->axis[d + 1].name = place_name[d - 1];
        c->axis[d + 1].extent = n->shape.dim[d];
        c->b.coef[d][d + 1] = c->out.coef[d][d + 1] = 1;
    }
    return true;
}

static void dgrad_ref(const Node *n, const double *const *in, double *out)
{
    int64_t batch = n->shape.dim[0], k_end = n->in[0]->shape.dim[1];
    int64_t features = shape_count(n->shape) / batch;
    memset(out, 0, sizeof *out * (size_t)(batch * features));
    for (int64_t i = 0; i < batch * k_end; i++)
        for (int64_t f = 0; f < features; f++)
            out[i / k_end * features + f] += in[0][i] * in[1][i % k_end * features + f];
}

static const Sample dgrad_samples[] = {
    {"f[5,20] f[20,17]", ""}, {"f[1,1] f[1,3]", ""}, {"f[2,17] f[17,3,7,5]", ""}, {0}};

const OpDef op_linear_dgrad = {.name = "LinearDgrad",
                               .doc = "gradient of Linear for its input, from dy and w",
                               .nin = 2,
                               .nest = NEST_CONTRACT,
                               .shape = dgrad_shape,
                               .grad = dgrad_grad,
                               .contract = dgrad_contract,
                               .ref = dgrad_ref,
                               .samples = dgrad_samples,
                               .tol = {1e-5, 1e-4}};

/* ---- LinearWgrad: dw[k, c..] = sum over n of x[n, c..] * dy[n, k] ---- */
static bool wgrad_shape(Node *n)
{
    n->shape = n->in[0]->shape;
    n->shape.dim[0] = n->in[1]->shape.dim[1];
    n->dtype = DT_F32;
    bug_if(n->in[0]->shape.dim[0] != n->in[1]->shape.dim[0], "LinearWgrad: batch");
    return true;
}

static bool wgrad_grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    if (dx[0]) dx[0] = g_op(g, "LinearDgrad", 2, n->in[1], dy);
    if (dx[1]) dx[1] = g_op(g, "Linear", 2, n->in[0], dy);
    return true;
}

static bool wgrad_contract(const Node *n, int phase, Contract *c)
{
    if (phase > 0) return false;
    Shape x = n->in[0]->shape;
    *c = (Contract){.a.view = x, .b.view = n->in[1]->shape, .out.view = n->shape};
    c->naxes = x.rank + 1;
    c->axis[0].name = "n";
    c->axis[0].extent = x.dim[0];
    c->axis[1].name = "k";
    c->axis[1].extent = n->shape.dim[0];
    c->a.coef[0][0] = c->b.coef[0][0] = c->b.coef[1][1] = c->out.coef[0][1] = 1;
    for (int d = 1; d < x.rank; d++) {
        c->axis[d + 1].name = feature_name[d - 1];
        c->axis[d + 1].extent = x.dim[d];
        c->a.coef[d][d + 1] = c->out.coef[d][d + 1] = 1;
    }
    return true;
}

static void wgrad_ref(const Node *n, const double *const *in, double *out)
{
    int64_t batch = n->in[0]->shape.dim[0], k_end = n->shape.dim[0];
    int64_t features = shape_count(n->shape) / k_end;
    memset(out, 0, sizeof *out * (size_t)(k_end * features));
    for (int64_t i = 0; i < batch * k_end; i++)
        for (int64_t f = 0; f < features; f++)
            out[i % k_end * features + f] += in[0][i / k_end * features + f] * in[1][i];
}

static const Sample wgrad_samples[] = {
    {"f[5,17] f[5,20]", ""}, {"f[1,3] f[1,1]", ""}, {"f[2,3,7,5] f[2,17]", ""}, {0}};

const OpDef op_linear_wgrad = {.name = "LinearWgrad",
                               .doc = "gradient of Linear for its weights, from x and dy",
                               .nin = 2,
                               .nest = NEST_CONTRACT,
                               .shape = wgrad_shape,
                               .grad = wgrad_grad,
                               .contract = wgrad_contract,
                               .ref = wgrad_ref,
                               .samples = wgrad_samples,
                               .tol = {1e-5, 1e-4}};
