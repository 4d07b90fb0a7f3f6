/* AvgPool2d and its gradient. The divisor is the number of taps that count: with count_include_pad
 * those in the padding too, but never those beyond it (ceil_mode). */
#include "ops/pool.h"

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    dx[0] = g_like(g, "AvgPoolGrad", n, n->in[0]->shape, 1, dy);
    return dx[0];
}

static void init(Body *c, const Node *n, Expr **state)
{
    (void)n;
    state[0] = x_f32(c->b, 0);
}

static void step(Body *c, const Node *n, Expr **state, Expr *value, Expr *tap)
{
    (void)n;
    (void)tap;
    state[0] = x_add(c->b, state[0], value);
}

static Expr *done(Body *c, const Node *n, Expr **state, Expr *count)
{
    (void)n;
    return x_div(c->b, state[0], count);
}

static Expr *term(Body *c, const Node *n, Expr *const *in, Expr *tap, Expr *count)
{
    (void)n;
    (void)tap;
    return x_div(c->b, in[0], count);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static double divisor(const Window *w, const int64_t in[2], const int64_t o[2])
{
    int64_t count = 1;
    for (int d = 0; d < 2; d++) {
        int64_t from = o[d] * w->stride[d] - w->pad[d];
        int64_t to = least(from + w->kernel[d], in[d] + w->pad[d]);
        if (!w->count_pad && from < 0) from = 0;
        if (!w->count_pad) to = least(to, in[d]);
        count *= to - from;
    }
    return (double)count;
}

/* y = mean of x over windows; or, transposed, x += y / divisor. */
static void run(const Node *n, Shape x, Shape y, double *xs, double *ys, bool transposed)
{
    Window w = pool_window(n);
    int64_t c[MAX_RANK], p[2];
    for (int64_t i = 0; i < shape_count(y); i++) {
        ref_coords(y, i, c);
        double *plane = xs + (c[0] * x.dim[1] + c[1]) * x.dim[2] * x.dim[3];
        double div = divisor(&w, x.dim + 2, c + 2), sum = 0;
        for (int64_t t = 0; t < w.kernel[0] * w.kernel[1]; t++) {
            if (!pool_tap(&w, x.dim + 2, c + 2, t, p)) continue;
            double *at = plane + p[0] * x.dim[3] + p[1];
            if (transposed)
                *at += ys[i] / div;
            else
                sum += *at;
        }
        if (!transposed) ys[i] = sum / div;
    }
}

static void ref(const Node *n, const double *const *in, double *out)
{
    run(n, n->in[0]->shape, n->shape, (double *)in[0], out, false);
}

static void grad_ref(const Node *n, const double *const *in, double *out)
{
    for (int64_t i = 0; i < shape_count(n->shape); i++) out[i] = 0;
    run(n, n->shape, n->in[0]->shape, out, (double *)in[0], true);
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
    {.name = "ceil_mode", .kind = ATTR_BOOL},
    {.name = "count_include_pad", .kind = ATTR_BOOL, .def = 1},
    {.name = "size", .kind = ATTR_PAIR, .hidden = true},
    {0}};

static const Sample samples[] = {
    {"f[2,3,8,6]", "kernel_size=2"},
    {"f[2,3,7,5]", "kernel_size=3 stride=2 padding=1"},
    {"f[2,3,7,5]", "kernel_size=3 stride=2 padding=1 count_include_pad=false"},
    {"f[1,17,7,5]", "kernel_size=2 stride=3"},
    {"f[2,3,8,6]", "kernel_size=3 stride=2 padding=1 ceil_mode=true"},
    {"f[2,5,8,6]", "kernel_size=(4,2) stride=(3,1) ceil_mode=true count_include_pad=false"},
    {0}};

const OpDef op_avg_pool = {.name = "AvgPool2d",
                           .doc = "mean of each window",
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
                           .tol = {1e-6, 1e-4}};

static const Sample grad_samples[] = {
    {"f[2,3,4,3]", "kernel_size=2 size=(8,6)"},
    {"f[2,3,4,3]", "kernel_size=3 stride=2 padding=1 size=(7,5)"},
    {"f[2,3,4,3]", "kernel_size=3 stride=2 padding=1 count_include_pad=false size=(7,5)"},
    {"f[1,17,2,2]", "kernel_size=2 stride=3 size=(7,5)"},
    {"f[2,3,5,4]", "kernel_size=3 stride=2 padding=1 ceil_mode=true size=(8,6)"},
    {0}};

const OpDef op_avg_pool_grad = {.name = "AvgPoolGrad",
                                .doc = "gradient of AvgPool2d",
                                .nin = 1,
                                .attrs = attrs,
                                .nest = NEST_WINDOW_T,
                                .shape = pool_grad_shape,
                                .window = pool_window,
                                .wterm = term,
                                .ref = grad_ref,
                                .samples = grad_samples,
                                .tol = {1e-6, 0}};
