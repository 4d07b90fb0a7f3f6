/* AdaptiveAvgPool2d: output i of n is the mean of the rows [floor(i*H/n), ceil((i+1)*H/n)), same
 * for columns. Where n divides H and W these are plain windows. To 1x1 the layer is a sum over the
 * plane. */
#include "ops/pool.h"

enum { OUTPUT_SIZE, SIZE };

static bool shape(Node *n)
{
    if (!shape_want_rank(n, 0, 4, 4)) return false;
    const int64_t *size = n->attr[OUTPUT_SIZE].i;
    n->shape = shape_make(4, n->in[0]->shape.dim[0], n->in[0]->shape.dim[1], size[0], size[1]);
    n->dtype = DT_F32;
    return true;
}

static Node *layer(Layer *l)
{
    Shape x = l->in[0]->shape;
    const int64_t *size = l->attr[OUTPUT_SIZE].i;
    if (x.rank != 4 || size[0] != 1 || size[1] != 1)
        return g_op_attr(l->g, "AdaptiveAvgPool2d", l->attr, 1, l->in[0]);
    return g_scale(l->g, g_sum(l->g, l->in[0], 1u << 2 | 1u << 3),
                   1.0 / (double)(x.dim[2] * x.dim[3]));
}

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    dx[0] = g_like(g, "AdaptiveAvgPoolGrad", n, n->in[0]->shape, 1, dy);
    return dx[0];
}

static Window between(Shape x, Shape y)
{
    Window w = {.dilation = {1, 1}};
    for (int d = 0; d < 2; d++) {
        w.kernel[d] = w.stride[d] = x.dim[2 + d] / y.dim[2 + d];
        if (x.dim[2 + d] % y.dim[2 + d]) w.adaptive = true;
    }
    return w;
}

static Window window(const Node *n)
{
    return between(n->in[0]->shape, n->shape);
}

static Window grad_window(const Node *n)
{
    return between(n->shape, n->in[0]->shape);
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

/* y = mean of x over windows; or, transposed, x += y / count. */
static void run(Shape x, Shape y, double *xs, double *ys, bool transposed)
{
    int64_t c[MAX_RANK], from[2], to[2];
    for (int64_t i = 0; i < shape_count(y); i++) {
        ref_coords(y, i, c);
        for (int d = 0; d < 2; d++) {
            from[d] = c[2 + d] * x.dim[2 + d] / y.dim[2 + d];
            to[d] = ((c[2 + d] + 1) * x.dim[2 + d] + y.dim[2 + d] - 1) / y.dim[2 + d];
        }
        double *plane = xs + (c[0] * x.dim[1] + c[1]) * x.dim[2] * x.dim[3];
        double count = (double)((to[0] - from[0]) * (to[1] - from[1])), sum = 0;
        for (int64_t h = from[0]; h < to[0]; h++) {
            for (int64_t w = from[1]; w < to[1]; w++) {
                if (transposed)
                    plane[h * x.dim[3] + w] += ys[i] / count;
                else
                    sum += plane[h * x.dim[3] + w];
            }
        }
        if (!transposed) ys[i] = sum / count;
    }
}

static void ref(const Node *n, const double *const *in, double *out)
{
    run(n->in[0]->shape, n->shape, (double *)in[0], out, false);
}

static void grad_ref(const Node *n, const double *const *in, double *out)
{
    for (int64_t i = 0; i < shape_count(n->shape); i++) out[i] = 0;
    run(n->shape, n->in[0]->shape, out, (double *)in[0], true);
}

static const AttrDef attrs[] = {
    {.name = "output_size", .kind = ATTR_PAIR, .required = true, .min = 1, .max = 65536},
    {.name = "size", .kind = ATTR_PAIR, .hidden = true},
    {0}};

static const Sample samples[] = {
    {"f[2,3,8,6]", "output_size=(4,2)"}, {"f[2,3,7,5]", "output_size=1"},
    {"f[1,17,7,5]", "output_size=3"},    {"f[2,3,7,5]", "output_size=(4,7)"},
    {"f[1,3,3,2]", "output_size=(5,3)"}, {0}};

const OpDef op_adaptive_avg_pool = {.name = "AdaptiveAvgPool2d",
                                    .doc = "mean of windows that give a fixed output size",
                                    .nin = 1,
                                    .attrs = attrs,
                                    .nest = NEST_WINDOW,
                                    .use = OP_LAYER,
                                    .shape = shape,
                                    .layer = layer,
                                    .grad = grad,
                                    .window = window,
                                    .wstate = 1,
                                    .winit = init,
                                    .wstep = step,
                                    .wdone = done,
                                    .ref = ref,
                                    .samples = samples,
                                    .tol = {1e-6, 1e-4}};

static const Sample grad_samples[] = {{"f[2,3,4,2]", "output_size=(4,2) size=(8,6)"},
                                      {"f[1,17,3,3]", "output_size=3 size=(7,5)"},
                                      {"f[1,3,5,3]", "output_size=(5,3) size=(3,2)"},
                                      {"f[2,3,4,4]", "output_size=4 size=2"},
                                      {0}};

const OpDef op_adaptive_avg_pool_grad = {.name = "AdaptiveAvgPoolGrad",
                                         .doc = "gradient of AdaptiveAvgPool2d",
                                         .nin = 1,
                                         .attrs = attrs,
                                         .nest = NEST_WINDOW_T,
                                         .shape = pool_grad_shape,
                                         .window = grad_window,
                                         .wterm = term,
                                         .ref = grad_ref,
                                         .samples = grad_samples,
                                         .tol = {1e-6, 0}};
