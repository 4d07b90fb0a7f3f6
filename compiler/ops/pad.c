/* ZeroPad2d, ReflectionPad2d, ReplicationPad2d and their gradients: resampling with weights 0 and 1.
 * An output row i comes from the row i - before of the input, or where there is none from nowhere,
 * from the row mirrored at the edge, or from the edge. The gradient of a row sums the range of
 * outputs in which all those lie that came from it. */
#include "ops/common.h"
#include <string.h>

enum { PADDING, SIZE }; /* padding: left, right, top, bottom */

typedef struct Span {
    int64_t in, out, before, after;
    char mode; /* z, m (mirror), e (edge) */
} Span;

static Span span_of(const Node *n, int dim, Shape in, Shape out)
{
    const int64_t *pad = n->attr[PADDING].i + (dim ? 0 : 2);
    return (Span){.in = in.dim[2 + dim],
                  .out = out.dim[2 + dim],
                  .before = pad[0],
                  .after = pad[1],
                  .mode = strstr(n->op->name, "Refl")   ? 'm'
                          : strstr(n->op->name, "Repl") ? 'e'
                                                        : 'z'};
}

/* ---- forward ---- */
static bool shape(Node *n)
{
    if (!shape_want_rank(n, 0, 4, 4)) return false;
    const int64_t *pad = n->attr[PADDING].i;
    Shape x = n->in[0]->shape;
    Span h = span_of(n, 0, x, x);
    int64_t rows = pad[2] > pad[3] ? pad[2] : pad[3], columns = pad[0] > pad[1] ? pad[0] : pad[1];
    if (h.mode == 'm' && (rows >= x.dim[2] || columns >= x.dim[3])) {
        diag_error(attr_loc(n, PADDING), "H014",
                   "%s '%s': padding must be less than the input %lldx%lld", n->op->name, n->name,
                   (long long)x.dim[2], (long long)x.dim[3]);
        return false;
    }
    n->shape =
        shape_make(4, x.dim[0], x.dim[1], x.dim[2] + pad[2] + pad[3], x.dim[3] + pad[0] + pad[1]);
    n->dtype = DT_F32;
    return true;
}

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    const char *op = arena_printf(g->arena, "%sGrad", n->op->name);
    dx[0] = g_like(g, op, n, n->in[0]->shape, 1, dy);
    return dx[0];
}

static Expr *clamp(LB *b, Expr *x, int64_t low, int64_t high)
{
    return x_bin(b, B_MIN, x_bin(b, B_MAX, x, x_i64(b, low)), x_i64(b, high));
}

/* The place that output i comes from; of a ZeroPad2d the nearest one. */
static Expr *source(LB *b, const Span *s, Expr *i)
{
    Expr *p = x_addi(b, i, -s->before);
    if (s->mode != 'm') return clamp(b, p, 0, s->in - 1);
    Expr *low = x_bin(b, B_MAX, p, x_sub(b, x_i64(b, 0), p)); /* |p| */
    return x_bin(b, B_MIN, low, x_sub(b, x_i64(b, 2 * (s->in - 1)), low));
}

static void range(Body *c, const Node *n, int dim, Expr *i, Expr **lo, Expr **count)
{
    Span s = span_of(n, dim, n->in[0]->shape, n->shape);
    *lo = source(c->b, &s, i);
    *count = x_i64(c->b, 1);
}

static Expr *one_if(LB *b, Expr *condition, Expr *x)
{
    return x_select(b, condition, x, x_f32(b, 0));
}

static Expr *weight(Body *c, const Node *n, int dim, Expr *i, Expr *k)
{
    LB *b = c->b;
    Span s = span_of(n, dim, n->in[0]->shape, n->shape);
    if (s.mode != 'z') return x_f32(b, 1);
    return one_if(b, x_cmp(b, C_EQ, k, x_addi(b, i, -s.before)), x_f32(b, 1));
}

/* ---- gradient: i is a place of the input, k one of the output ---- */
static bool grad_shape(Node *n)
{
    Shape dy = n->in[0]->shape;
    const int64_t *size = n->attr[SIZE].i;
    n->shape = shape_make(4, dy.dim[0], dy.dim[1], size[0], size[1]);
    n->dtype = DT_F32;
    return true;
}

static void grad_range(Body *c, const Node *n, int dim, Expr *i, Expr **lo, Expr **count)
{
    LB *b = c->b;
    Span s = span_of(n, dim, n->shape, n->in[0]->shape);
    Expr *own = x_addi(b, i, s.before), *first = own, *last = own;
    Expr *at_start = x_cmp(b, C_EQ, i, x_i64(b, 0));
    Expr *at_end = x_cmp(b, C_EQ, i, x_i64(b, s.in - 1));
    if (s.mode == 'e') {
        first = x_select(b, at_start, x_i64(b, 0), own);
        last = x_select(b, at_end, x_i64(b, s.out - 1), own);
    }
    if (s.mode == 'm') { /* i <= before: its image at before - i; same at the end */
        Expr *left = x_cmp(b, C_LE, i, x_i64(b, s.before));
        Expr *right = x_cmp(b, C_GE, i, x_i64(b, s.in - 1 - s.after));
        first = x_select(b, left, x_sub(b, x_i64(b, s.before), i), own);
        last = x_select(b, right, x_sub(b, x_i64(b, 2 * (s.in - 1) + s.before), i), own);
    }
    *lo = first;
    *count = x_addi(b, x_sub(b, last, first), 1);
    if (s.mode == 'z' || s.before + s.after == 0) *count = x_i64(b, 1);
}

static Expr *grad_weight(Body *c, const Node *n, int dim, Expr *i, Expr *k)
{
    LB *b = c->b;
    Span s = span_of(n, dim, n->shape, n->in[0]->shape);
    if (s.mode != 'm') return x_f32(b, 1);
    return one_if(b, x_cmp(b, C_EQ, source(b, &s, k), i), x_f32(b, 1));
}

/* ---- references ---- */
static int64_t ref_source(const Span *s, int64_t i)
{
    int64_t p = i - s->before;
    if (p < 0) p = s->mode == 'm' ? -p : s->mode == 'e' ? 0 : -1;
    if (p >= s->in) p = s->mode == 'm' ? 2 * (s->in - 1) - p : s->mode == 'e' ? s->in - 1 : -1;
    return p;
}

/* big = padded small; or, transposed, small += big. */
static void run(const Node *n, Shape small, Shape big, double *x, double *y, bool transposed)
{
    int64_t c[MAX_RANK];
    Span s[2] = {span_of(n, 0, small, big), span_of(n, 1, small, big)};
    for (int64_t i = 0; i < shape_count(big); i++) {
        ref_coords(big, i, c);
        for (int d = 0; d < 2; d++) c[2 + d] = ref_source(&s[d], c[2 + d]);
        bool inside = c[2] >= 0 && c[3] >= 0;
        if (!transposed) y[i] = inside ? x[ref_index(small, c)] : 0;
        if (transposed && inside) x[ref_index(small, c)] += y[i];
    }
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

static const AttrDef attrs[] = {
    {.name = "padding", .kind = ATTR_QUAD, .required = true, .max = 65536},
    {.name = "size", .kind = ATTR_PAIR, .hidden = true},
    {0}};

static const Sample samples[] = {{"f[2,3,7,5]", "padding=1"},
                                 {"f[1,17,5,4]", "padding=(1,2,3,0)"},
                                 {"f[2,20,3,2]", "padding=(1,1,2,2)"},
                                 {"f[1,2,4,3]", "padding=0"},
                                 {0}};
static const Sample grad_samples[] = {{"f[2,3,9,7]", "padding=1 size=(7,5)"},
                                      {"f[1,17,8,7]", "padding=(1,2,3,0) size=(5,4)"},
                                      {"f[2,20,7,4]", "padding=(1,1,2,2) size=(3,2)"},
                                      {0}};

const OpDef op_zero_pad2d = {.name = "ZeroPad2d",
                             .doc = "zeros round the plane: (left, right, top, bottom)",
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
                             .tol = {1e-6, 1e-4}};

const OpDef op_zero_pad2d_grad = {.name = "ZeroPad2dGrad",
                                  .doc = "gradient of ZeroPad2d",
                                  .nin = 1,
                                  .attrs = attrs,
                                  .nest = NEST_RESAMPLE,
                                  .shape = grad_shape,
                                  .range = grad_range,
                                  .weight = grad_weight,
                                  .ref = grad_ref,
                                  .samples = grad_samples,
                                  .tol = {1e-6, 0}};

const OpDef op_reflection_pad2d = {.name = "ReflectionPad2d",
                                   .doc = "the plane mirrored at its edges",
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
                                   .tol = {1e-6, 1e-4}};

const OpDef op_reflection_pad2d_grad = {.name = "ReflectionPad2dGrad",
                                        .doc = "gradient of ReflectionPad2d",
                                        .nin = 1,
                                        .attrs = attrs,
                                        .nest = NEST_RESAMPLE,
                                        .shape = grad_shape,
                                        .range = grad_range,
                                        .weight = grad_weight,
                                        .ref = grad_ref,
                                        .samples = grad_samples,
                                        .tol = {1e-6, 0}};

const OpDef op_replication_pad2d = {.name = "ReplicationPad2d",
                                    .doc = "the plane's edges repeated",
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
                                    .tol = {1e-6, 1e-4}};

const OpDef op_replication_pad2d_grad = {.name = "ReplicationPad2dGrad",
                                         .doc = "gradient of ReplicationPad2d",
                                         .nin = 1,
                                         .attrs = attrs,
                                         .nest = NEST_RESAMPLE,
                                         .shape = grad_shape,
                                         .range = grad_range,
                                         .weight = grad_weight,
                                         .ref = grad_ref,
                                         .samples = grad_samples,
                                         .tol = {1e-6, 0}};
