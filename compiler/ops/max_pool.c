/* MaxPool2d; MaxPoolIndex, the number of the tap (row-major in the kernel) that holds the first
 * maximum; MaxPoolGrad, which sends dy back to that place. The index is a byte wherever the kernel
 * allows. */
#include "ops/pool.h"
#include <math.h>

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    Node *x = n->in[0];
    Node *index = g_op_attr(g, "MaxPoolIndex", n->attr, 1, x);
    dx[0] = g_like(g, "MaxPoolGrad", n, x->shape, 2, dy, index);
    return dx[0];
}

static void init(Body *c, const Node *n, Expr **state)
{
    state[0] = x_f32(c->b, -INFINITY);
    if (n->op->wstate > 1) state[1] = x_i32(c->b, 0);
}

static void step(Body *c, const Node *n, Expr **state, Expr *value, Expr *tap)
{
    (void)n;
    (void)tap;
    state[0] = x_bin(c->b, B_MAX, state[0], value);
}

static Expr *done(Body *c, const Node *n, Expr **state, Expr *count)
{
    (void)c;
    (void)n;
    (void)count;
    return state[0];
}

/* Calls f for every window of every plane with the index of the input plane's first element. */
static void each_window(const Node *n, Shape x, Shape y,
                        void (*f)(const Node *n, const Window *w, const int64_t in[2],
                                  const int64_t o[2], int64_t plane, int64_t at, void *data),
                        void *data)
{
    Window w = pool_window(n);
    int64_t c[MAX_RANK], plane = x.dim[2] * x.dim[3];
    for (int64_t i = 0; i < shape_count(y); i++) {
        ref_coords(y, i, c);
        f(n, &w, x.dim + 2, c + 2, (c[0] * x.dim[1] + c[1]) * plane, i, data);
    }
}

typedef struct Ref {
    const double *in[2];
    double *out;
} Ref;

static void ref_window(const Node *n, const Window *w, const int64_t in[2], const int64_t o[2],
                       int64_t plane, int64_t at, void *data)
{
    Ref *r = data;
    int64_t p[2], best = 0;
    double most = -INFINITY;
    for (int64_t t = 0; t < w->kernel[0] * w->kernel[1]; t++) {
        if (!pool_tap(w, in, o, t, p)) continue;
        double x = r->in[0][plane + p[0] * in[1] + p[1]];
        if (x > most) {
            most = x;
            best = t;
        }
    }
    r->out[at] = n->op->wstate > 1 ? (double)best : most;
}

static void ref(const Node *n, const double *const *in, double *out)
{
    each_window(n, n->in[0]->shape, n->shape, ref_window, &(Ref){{in[0]}, out});
}

static const AttrDef attrs[] = {
    {.name = "kernel_size", .kind = ATTR_PAIR, .required = true, .min = 1, .max = 1024},
    {.name = "stride",
     .kind = ATTR_PAIR,
     .min = 1,
     .max = 1024,
     .by_other = true,
     .other = "kernel_size"},
    {.name = "padding", .kind = ATTR_PAIR, .max = 512},
    {.name = "dilation", .kind = ATTR_PAIR, .def = 1, .min = 1, .max = 1024},
    {.name = "ceil_mode", .kind = ATTR_BOOL},
    {.name = "size", .kind = ATTR_PAIR, .hidden = true},
    {0}};

static const Sample samples[] = {{"g[2,3,8,6]", "kernel_size=2"},
                                 {"g[2,3,7,5]", "kernel_size=3 stride=2 padding=1"},
                                 {"g[1,17,7,5]", "kernel_size=2 stride=3"},
                                 {"g[1,5,9,8]", "kernel_size=(3,2) stride=(1,2) dilation=(2,3)"},
                                 {"g[2,3,8,6]", "kernel_size=3 stride=2 ceil_mode=true"},
                                 {"g[2,3,7,5]", "kernel_size=(7,5)"},
                                 {0}};

const OpDef op_max_pool = {.name = "MaxPool2d",
                           .doc = "maximum of each window",
                           .nin = 1,
                           .attrs = attrs,
                           .nest = NEST_WINDOW,
                           .use = OP_LAYER,
                           .shape = pool_shape,
                           .grad = grad,
                           .window = pool_window,
                           .wstate = 1,
                           .winit = init,
                           .wstep = step,
                           .wdone = done,
                           .ref = ref,
                           .samples = samples,
                           .tol = {0, 1e-4}};

/* ---- MaxPoolIndex ---- */
static bool index_shape(Node *n)
{
    const int64_t *k = attr_pair(n, "kernel_size");
    bool ok = pool_shape(n);
    n->dtype = k[0] * k[1] <= 255 ? DT_U8 : DT_I32;
    return ok;
}

static void index_step(Body *c, const Node *n, Expr **state, Expr *value, Expr *tap)
{
    (void)n;
    Expr *more = x_cmp(c->b, C_GT, value, state[0]);
    state[0] = x_select(c->b, more, value, state[0]);
    state[1] = x_select(c->b, more, tap, state[1]);
}

static Expr *index_done(Body *c, const Node *n, Expr **state, Expr *count)
{
    (void)count;
    return x_cast(c->b, n->dtype == DT_U8 ? LT_U8 : LT_I32, state[1]);
}

static const Sample index_samples[] = {{"g[2,3,8,6]", "kernel_size=2"},
                                       {"g[2,3,7,5]", "kernel_size=3 stride=2 padding=1"},
                                       {"g[1,2,20,18]", "kernel_size=(17,16)"},
                                       {0}};

const OpDef op_max_pool_index = {.name = "MaxPoolIndex",
                                 .doc = "number of the tap with the first maximum of each window",
                                 .nin = 1,
                                 .attrs = attrs,
                                 .nest = NEST_WINDOW,
                                 .shape = index_shape,
                                 .window = pool_window,
                                 .wstate = 2,
                                 .winit = init,
                                 .wstep = index_step,
                                 .wdone = index_done,
                                 .ref = ref,
                                 .samples = index_samples,
                                 .tol = {0, 0}};

/* ---- MaxPoolGrad: in = {dy, index} ---- */
static Expr *term(Body *c, const Node *n, Expr *const *in, Expr *tap, Expr *count)
{
    (void)n;
    (void)count;
    Expr *index = in[1]->type == LT_I32 ? in[1] : x_cast(c->b, LT_I32, in[1]);
    return x_select(c->b, x_cmp(c->b, C_EQ, index, tap), in[0], x_f32(c->b, 0));
}

static void grad_ref_window(const Node *n, const Window *w, const int64_t in[2], const int64_t o[2],
                            int64_t plane, int64_t at, void *data)
{
    Ref *r = data;
    int64_t p[2];
    (void)n;
    if (pool_tap(w, in, o, (int64_t)r->in[1][at], p))
        r->out[plane + p[0] * in[1] + p[1]] += r->in[0][at];
}

static void grad_ref(const Node *n, const double *const *in, double *out)
{
    for (int64_t i = 0; i < shape_count(n->shape); i++) out[i] = 0;
    each_window(n, n->shape, n->in[0]->shape, grad_ref_window, &(Ref){{in[0], in[1]}, out});
}

static const Sample grad_samples[] = {
    {"f[2,3,4,3] i4[2,3,4,3]", "kernel_size=2 size=(8,6)"},
    {"f[2,3,4,3] i9[2,3,4,3]", "kernel_size=3 stride=2 padding=1 size=(7,5)"},
    {"f[1,17,2,2] i4[1,17,2,2]", "kernel_size=2 stride=3 size=(7,5)"},
    {"f[1,5,5,3] i6[1,5,5,3]", "kernel_size=(3,2) stride=(1,2) dilation=(2,3) size=(9,8)"},
    {0}};

const OpDef op_max_pool_grad = {.name = "MaxPoolGrad",
                                .doc = "gradient of MaxPool2d, from dy and MaxPoolIndex",
                                .nin = 2,
                                .attrs = attrs,
                                .nest = NEST_WINDOW_T,
                                .shape = pool_grad_shape,
                                .window = pool_window,
                                .wterm = term,
                                .ref = grad_ref,
                                .samples = grad_samples,
                                .tol = {1e-6, 0}};
