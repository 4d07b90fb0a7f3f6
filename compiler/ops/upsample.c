/* Upsample (and Interpolate, its other name): the plane at another size, from the nearest place or
 * bilinearly.
 *
 * Output i lies at (a i + b) / den of the input, in whole numbers, so that weights are exact:
 *   align_corners   i (in - 1) / (out - 1)
 *   otherwise       (i + 1/2) s - 1/2 with s = in / out, or 1 / scale_factor where that gives no whole
 *                   size, as PyTorch has it
 * Bilinear weights are 1 - |distance|. Nearest is floor(i s); PyTorch computes that in float32, which
 * can differ where i s is whole: then, and only then, it is computed so here. */
#include "ops/common.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE, SCALE, MODE, ALIGN, PLANE };

typedef struct Line {
    int64_t in, out;
    int64_t a, b, den;
    bool nearest, single; /* single: nearest as float32 gives it */
    float s;
} Line;

static int64_t gcd(int64_t x, int64_t y)
{
    return y ? gcd(y, x % y) : x;
}

/* a / den = m / 2^k, which is exactly s */
static void dyadic(float s, int64_t *m, int64_t *unit)
{
    int k = 0;
    while (s != floorf(s) && k < 40) {
        s *= 2;
        k++;
    }
    *m = (int64_t)s;
    *unit = (int64_t)1 << k;
}

static int64_t single_source(const Line *l, int64_t i)
{
    int64_t p = (int64_t)((float)i * l->s);
    return p < l->in - 1 ? p : l->in - 1;
}

static void set_nearest(Line *l)
{
    l->b = 0;
    for (int64_t i = 0; i < l->out; i++)
        if (single_source(l, i) != i * l->in / l->out) l->single = true;
}

static Line line_of(const Node *n, int d, Shape in, Shape out)
{
    double scale = d ? n->attr[SCALE].f2 : n->attr[SCALE].f;
    Line l = {.in = in.dim[2 + d], .out = out.dim[2 + d], .nearest = attr_is(n, "mode", "nearest")};
    int64_t common = gcd(l.in, l.out), m = l.in / common, unit = l.out / common;
    l.s = scale > 0 ? (float)(1 / scale) : (float)l.in / (float)l.out;
    if (scale > 0 && scale * (double)l.in != (double)l.out && !l.nearest) dyadic(l.s, &m, &unit);
    l.a = 2 * m;
    l.b = m - unit;
    l.den = 2 * unit;
    if (n->attr[ALIGN].i[0]) {
        l.a = l.out > 1 ? l.in - 1 : 0;
        l.b = 0;
        l.den = l.out > 1 ? l.out - 1 : 1;
    }
    if (l.nearest) set_nearest(&l);
    return l;
}

/* ---- shape ---- */
static bool bad(const Node *n, int attr, const char *why)
{
    diag_error(attr_loc(n, attr), "H009", "%s '%s': %s", n->op->name, n->name, why);
    return false;
}

static bool shape(Node *n)
{
    if (!shape_want_rank(n, 0, 4, 4)) return false;
    const AttrVal *size = &n->attr[SIZE], *scale = &n->attr[SCALE];
    bool sized = size->i[0] > 0, scaled = scale->f > 0;
    if (sized == scaled) return bad(n, SIZE, "needs either size or scale_factor");
    if (n->attr[ALIGN].i[0] && attr_is(n, "mode", "nearest"))
        return bad(n, ALIGN, "align_corners is for mode=bilinear");
    n->shape = n->in[0]->shape;
    n->dtype = DT_F32;
    for (int d = 0; d < 2; d++) {
        double by = d ? scale->f2 : scale->f;
        n->shape.dim[2 + d] = sized ? size->i[d] : (int64_t)floor((double)n->shape.dim[2 + d] * by);
        if (n->shape.dim[2 + d] < 1 || n->shape.dim[2 + d] > 65536)
            return bad(n, SCALE, "the output size must be 1..65536");
    }
    return true;
}

static bool grad_shape(Node *n)
{
    n->shape = n->in[0]->shape;
    for (int d = 0; d < 2; d++) n->shape.dim[2 + d] = n->attr[PLANE].i[d];
    n->dtype = DT_F32;
    return true;
}

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    AttrVal attr[MAX_ATTR];
    memcpy(attr, n->attr, sizeof attr);
    attr[PLANE] = (AttrVal){.i = {n->in[0]->shape.dim[2], n->in[0]->shape.dim[3]}};
    dx[0] = g_op_attr(g, "UpsampleGrad", attr, 1, dy);
    return dx[0];
}

/* ---- places and weights ---- */
static Expr *least(LB *b, Expr *x, int64_t most)
{
    return x_bin(b, B_MIN, x, x_i64(b, most));
}

static Expr *most(LB *b, Expr *x, int64_t low)
{
    return x_bin(b, B_MAX, x, x_i64(b, low));
}

/* a i + b, within the input */
static Expr *position(LB *b, const Line *l, Expr *i)
{
    Expr *at = x_addi(b, x_muli(b, i, l->a), l->b);
    return least(b, most(b, at, 0), (l->in - 1) * l->den);
}

static Expr *nearest(LB *b, const Line *l, Expr *i)
{
    if (!l->single) return x_divi(b, x_muli(b, i, l->a), l->den);
    Expr *p = x_mul(b, x_cast(b, LT_F32, i), x_f32(b, l->s));
    return least(b, x_cast(b, LT_I64, p), l->in - 1);
}

/* Of input p in output i. */
static Expr *weight_of(LB *b, const Line *l, Expr *i, Expr *p)
{
    if (l->nearest && !l->single) return x_f32(b, 1);
    if (l->nearest)
        return x_select(b, x_cmp(b, C_EQ, nearest(b, l, i), p), x_f32(b, 1), x_f32(b, 0));
    Expr *off = x_sub(b, position(b, l, i), x_muli(b, p, l->den));
    Expr *far = x_bin(b, B_MAX, off, x_sub(b, x_i64(b, 0), off));
    Expr *near = most(b, x_sub(b, x_i64(b, l->den), far), 0);
    return x_mul(b, x_cast(b, LT_F32, near), x_f32(b, 1.0 / (double)l->den));
}

static void range(Body *c, const Node *n, int dim, Expr *i, Expr **lo, Expr **count)
{
    LB *b = c->b;
    Line l = line_of(n, dim, n->in[0]->shape, n->shape);
    bool one = l.nearest || l.in == 1;
    *count = x_i64(b, one ? 1 : 2);
    *lo = l.nearest ? nearest(b, &l, i) : x_divi(b, position(b, &l, i), l.den);
    if (!one) *lo = least(b, *lo, l.in - 2);
}

static Expr *weight(Body *c, const Node *n, int dim, Expr *i, Expr *k)
{
    Line l = line_of(n, dim, n->in[0]->shape, n->shape);
    return weight_of(c->b, &l, i, k);
}

/* ---- gradient: p is a place of the input, the range one of outputs ---- */
static void nearest_range(LB *b, const Line *l, Expr *p, Expr **lo, Expr **end)
{
    int64_t slack = l->single ? 2 : 0;
    Expr *from = x_addi(b, x_muli(b, p, l->out), l->in - 1);
    Expr *to = x_addi(b, from, l->out);
    *lo = most(b, x_addi(b, x_divi(b, from, l->in), -slack), 0);
    *end = least(b, x_addi(b, x_divi(b, to, l->in), slack), l->out);
}

/* Outputs at less than 1 from p: (p-1) den < a i + b < (p+1) den. */
static void linear_range(LB *b, const Line *l, Expr *p, Expr **lo, Expr **end)
{
    if (l->in == 1 || l->a == 0) {
        *lo = x_i64(b, 0);
        *end = x_i64(b, l->out);
        return;
    }
    Expr *from = x_addi(b, x_muli(b, p, l->den), -l->den - l->b);
    Expr *inside = x_addi(b, x_divi(b, most(b, from, 0), l->a), 1);
    Expr *to = x_addi(b, x_muli(b, p, l->den), l->den - l->b + l->a - 1);
    *lo = least(b, x_select(b, x_cmp(b, C_GE, from, x_i64(b, 0)), inside, x_i64(b, 0)), l->out);
    *end = least(b, x_divi(b, most(b, to, 0), l->a), l->out);
}

static void grad_range(Body *c, const Node *n, int dim, Expr *p, Expr **lo, Expr **count)
{
    enum { UNROLLED = 4 };
    LB *b = c->b;
    Line l = line_of(n, dim, n->shape, n->in[0]->shape);
    Expr *end, *last = x_cmp(b, C_EQ, p, x_i64(b, l.in - 1));
    int64_t width = l.nearest ? l.out / l.in : l.a ? (2 * l.den + l.a - 1) / l.a : l.out;
    bool regular = l.nearest ? !l.single && l.out % l.in == 0 : width <= UNROLLED;
    (l.nearest ? nearest_range : linear_range)(b, &l, p, lo, &end);
    if (l.single || !l.nearest) end = x_select(b, last, x_i64(b, l.out), end);
    *count = most(b, x_sub(b, end, *lo), 0);
    if (!regular || l.in == 1) return;
    if (width > l.out) width = l.out;
    *lo = least(b, *lo, l.out - width); /* more of them have the weight 0 */
    *count = x_i64(b, width);
}

static Expr *grad_weight(Body *c, const Node *n, int dim, Expr *i, Expr *k)
{
    Line l = line_of(n, dim, n->shape, n->in[0]->shape);
    return weight_of(c->b, &l, k, i);
}

/* ---- references ---- */
static double ref_weight(const Line *l, bool align, int64_t i, int64_t p, double scale)
{
    if (l->nearest) return single_source(l, i) == p;
    double s = scale > 0 ? 1 / scale : (double)l->in / (double)l->out;
    double at = ((double)i + 0.5) * s - 0.5;
    if (align) at = l->out > 1 ? (double)i * (double)(l->in - 1) / (double)(l->out - 1) : 0;
    at = fmin(fmax(at, 0), (double)(l->in - 1));
    return fmax(0, 1 - fabs(at - (double)p));
}

/* Of all inputs in all outputs of a dimension, [output][input]. */
static double *ref_weights(const Node *n, int d, Shape small, Shape big)
{
    Line l = line_of(n, d, small, big);
    bool align = n->attr[ALIGN].i[0];
    double *w = malloc(sizeof *w * (size_t)(l.out * l.in)), scale = n->attr[SCALE].f;
    if (!w) fatal(EXIT_MEMORY, "cannot allocate %lld weights", (long long)(l.out * l.in));
    if (d) scale = n->attr[SCALE].f2;
    for (int64_t i = 0; i < l.out * l.in; i++)
        w[i] = ref_weight(&l, align, i / l.in, i % l.in, scale);
    return w;
}

/* One output; the same plane of x. Rows and columns of weight 0, nearly all, are passed over. */
static void run_pixel(const double *rows, const double *columns, Shape small, double *x, double *y,
                      bool transposed)
{
    int64_t w = small.dim[3];
    for (int64_t p = 0; p < small.dim[2]; p++) {
        for (int64_t q = 0; rows[p] != 0 && q < w; q++) {
            double *at = &x[p * w + q], by = rows[p] * columns[q];
            if (by == 0) continue;
            if (transposed)
                *at += by * *y;
            else
                *y += by * *at;
        }
    }
}

static void run(const Node *n, Shape small, Shape big, double *x, double *y, bool transposed)
{
    double *rows = ref_weights(n, 0, small, big), *columns = ref_weights(n, 1, small, big);
    int64_t h = small.dim[2], w = small.dim[3];
    for (int64_t i = 0; i < shape_count(big); i++) {
        int64_t column = i % big.dim[3], row = i / big.dim[3] % big.dim[2];
        int64_t plane = i / big.dim[3] / big.dim[2];
        if (!transposed) y[i] = 0;
        run_pixel(rows + row * h, columns + column * w, small, x + plane * h * w, &y[i],
                  transposed);
    }
    free(rows);
    free(columns);
}

static void ref(const Node *n, const double *const *in, double *out)
{
    run(n, n->in[0]->shape, n->shape, (double *)in[0], out, false);
}

static void grad_ref(const Node *n, const double *const *in, double *out)
{
    memset(out, 0, sizeof *out * (size_t)shape_count(n->shape));
    run(n, n->shape, n->in[0]->shape, out, (double *)in[0], true);
}

static Node *interpolate(Layer *l)
{
    return g_op_attr(l->g, "Upsample", l->attr, 1, l->in[0]);
}

static const char *const modes[] = {"nearest", "bilinear", NULL};
static const AttrDef attrs[] = {
    {.name = "size", .kind = ATTR_PAIR, .none = true, .min = 1, .max = 65536},
    {.name = "scale_factor", .kind = ATTR_FPAIR, .none = true, .min = 1e-4, .max = 1024},
    {.name = "mode", .kind = ATTR_CHOICE, .words = modes},
    {.name = "align_corners", .kind = ATTR_BOOL},
    {.name = "plane", .kind = ATTR_PAIR, .hidden = true},
    {0}};

static const Sample samples[] = {{"f[2,3,4,3]", "scale_factor=2"},
                                 {"f[1,17,3,5]", "size=(7,5)"},
                                 {"f[2,3,7,5]", "size=(3,4)"},
                                 {"f[1,2,5,4]", "scale_factor=(1.5,2.25)"},
                                 {"f[1,2,1,2]", "size=(41,82)"},
                                 {"f[2,3,4,3]", "scale_factor=2 mode=bilinear"},
                                 {"f[1,17,3,5]", "size=(7,5) mode=bilinear"},
                                 {"f[2,3,7,5]", "size=(3,4) mode=bilinear"},
                                 {"f[1,20,3,2]", "scale_factor=8 mode=bilinear"},
                                 {"f[1,2,5,4]", "scale_factor=(1.5,2.3) mode=bilinear"},
                                 {"f[2,3,1,5]", "size=(4,1) mode=bilinear"},
                                 {"f[2,3,10,9]", "size=(2,1) mode=bilinear"},
                                 {"f[2,3,4,3]", "scale_factor=2 mode=bilinear align_corners=1"},
                                 {"f[1,17,3,5]", "size=(7,5) mode=bilinear align_corners=1"},
                                 {"f[2,3,7,5]", "size=(1,4) mode=bilinear align_corners=1"},
                                 {0}};

const OpDef op_upsample = {.name = "Upsample",
                           .doc = "the plane at another size",
                           .nin = 1,
                           .attrs = attrs,
                           .nest = NEST_RESAMPLE,
                           .use = OP_LAYER,
                           .shape = shape,
                           .grad = grad,
                           .range = range,
                           .weight = weight,
                           .ref = ref,
                           .samples = samples,
                           .tol = {1e-5, 1e-4}};

const OpDef op_interpolate = {.name = "Interpolate",
                              .doc = "the plane at another size (the same as Upsample)",
                              .nin = 1,
                              .attrs = attrs,
                              .nest = NEST_EXPAND,
                              .use = OP_LAYER,
                              .layer = interpolate};

static const Sample grad_samples[] = {
    {"f[2,3,8,6]", "scale_factor=2 plane=(4,3)"},
    {"f[1,17,7,5]", "size=(7,5) plane=(3,5)"},
    {"f[1,2,41,82]", "size=(41,82) plane=(1,2)"},
    {"f[2,3,8,6]", "scale_factor=2 mode=bilinear plane=(4,3)"},
    {"f[1,17,7,5]", "size=(7,5) mode=bilinear plane=(3,5)"},
    {"f[2,3,7,5]", "size=(7,5) mode=bilinear align_corners=1 plane=(3,4)"},
    {0}};

const OpDef op_upsample_grad = {.name = "UpsampleGrad",
                                .doc = "gradient of Upsample",
                                .nin = 1,
                                .attrs = attrs,
                                .nest = NEST_RESAMPLE,
                                .shape = grad_shape,
                                .range = grad_range,
                                .weight = grad_weight,
                                .ref = grad_ref,
                                .samples = grad_samples,
                                .tol = {1e-5, 0}};
