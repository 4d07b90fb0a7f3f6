/* Contractions are summed in double; bodies, windows, resamplings and gathers become a loop
 * function, which is interpreted. */
#include "naive.h"
#include <stdlib.h>
#include <string.h>

/* ---- contractions ---- */
typedef struct Sum {
    const Node *n;
    const double *a, *b;
    double *out;
    unsigned char *reached; /* per element of out: how often an element of Out began */
    const char *why;
} Sum;

/* -> index of the place, -1 outside */
static int64_t place(const ConIndex *x, const int64_t *axis, int naxes)
{
    int64_t i = 0;
    for (int d = 0; d < x->view.rank; d++) {
        int64_t at = x->off[d];
        for (int a = 0; a < naxes; a++) at += x->coef[d][a] * axis[a];
        if (at < 0 || at >= x->view.dim[d]) return -1;
        i = i * x->view.dim[d] + at;
    }
    return i;
}

static bool in_out(const Contract *c, int axis)
{
    for (int d = 0; d < c->out.view.rank; d++)
        if (c->out.coef[d][axis]) return true;
    return false;
}

static void sum_term(Sum *s, const Contract *c, const int64_t *axis)
{
    int64_t a = place(&c->a, axis, c->naxes), b = place(&c->b, axis, c->naxes);
    int64_t o = place(&c->out, axis, c->naxes);
    if (b < 0)
        s->why = "B outside of its tensor";
    else if (o < 0)
        s->why = "Out outside of its tensor";
    else if (a >= 0)
        s->out[o] += s->a[a] * s->b[b];
}

static void phase(Sum *s, const Contract *c, int depth, int64_t *axis, bool summed)
{
    if (s->why) return;
    if (depth == c->naxes && !summed) {
        int64_t o = place(&c->out, axis, c->naxes);
        if (o < 0)
            s->why = "Out outside of its tensor";
        else
            s->reached[o]++;
    }
    if (depth == c->naxes) {
        if (summed) sum_term(s, c, axis);
        return;
    }
    bool skip = !summed && !in_out(c, depth);
    for (axis[depth] = 0; axis[depth] < (skip ? 1 : c->axis[depth].extent); axis[depth]++)
        phase(s, c, depth + 1, axis, summed);
}

static void contract(Sum *s)
{
    const OpDef *op = s->n->op;
    Contract c;
    int p = 0;
    int64_t axis[CON_MAX_AXES];
    for (; !s->why && op->contract(s->n, p, &c); p++) {
        bool shapes = shape_count(c.a.view) == shape_count(s->n->in[0]->shape) &&
                      shape_count(c.b.view) == shape_count(s->n->in[1]->shape) &&
                      shape_count(c.out.view) == shape_count(s->n->shape);
        if (!shapes) s->why = "a view has another element count";
        if (c.naxes > CON_MAX_AXES) s->why = "too many axes";
        phase(s, &c, 0, axis, false);
        phase(s, &c, 0, axis, true);
    }
    if (p == 0 || p > CON_MAX_PHASES) s->why = "number of phases";
    for (int64_t i = 0; !s->why && i < shape_count(s->n->shape); i++)
        if (s->reached[i] != 1) s->why = "an element of Out is not reached exactly once";
}

/* ---- loop functions ---- */
typedef struct Nest {
    Body body;
    LB lb;
    const Node *n;
    LBuf *in[8], *out;
    Expr *at;          /* row-major index of the output element */
    Expr *c[MAX_RANK]; /* its coordinates */
} Nest;

static LType ltype(DType t)
{
    return t == DT_F32 ? LT_F32 : t == DT_I32 ? LT_I32 : LT_U8;
}

static void coords(Nest *s, Expr *i, Shape shape, Expr **c)
{
    for (int d = shape.rank - 1; d >= 0; d--) {
        c[d] = lb_let(&s->lb, x_modi(&s->lb, i, shape.dim[d]), "c");
        i = x_divi(&s->lb, i, shape.dim[d]);
    }
}

static Expr *row_major(Nest *s, Shape shape, Expr *const *c)
{
    Expr *i = x_i64(&s->lb, 0);
    for (int d = 0; d < shape.rank; d++) i = x_add(&s->lb, x_muli(&s->lb, i, shape.dim[d]), c[d]);
    return i;
}

static Expr *coord(Body *b, int axis)
{
    return ((Nest *)b->owner)->c[axis];
}

static Expr *linear(Body *b)
{
    return ((Nest *)b->owner)->at;
}

/* The element of an input under the broadcasting convention. */
static Expr *load(Nest *s, int k)
{
    Shape in = s->n->in[k]->shape;
    Expr *c[MAX_RANK];
    for (int d = 0; d < in.rank; d++) {
        bool channel = in.rank == 1 && s->n->shape.rank >= 2;
        c[d] = in.dim[d] == 1 ? x_i64(&s->lb, 0) : s->c[channel ? 1 : d];
    }
    return x_load(&s->lb, s->in[k], row_major(s, in, c));
}

static void pointwise(Nest *s)
{
    Expr *in[8];
    for (int k = 0; k < s->n->nin; k++) in[k] = load(s, k);
    lb_store(&s->lb, s->out, s->at, s->n->op->body(&s->body, s->n, in));
}

/* ---- windows: o windows over h places along a dim ---- */
typedef struct Span {
    Expr *from, *to; /* places [from, to) that count; from is where tap 0 lies */
} Span;

static Span span(Nest *s, const Window *w, int d, Expr *o, int64_t size, int64_t count)
{
    LB *b = &s->lb;
    if (w->adaptive) {
        Expr *end = x_addi(b, x_muli(b, x_addi(b, o, 1), size), count - 1);
        return (Span){x_divi(b, x_muli(b, o, size), count), x_divi(b, end, count)};
    }
    int64_t reach = (w->kernel[d] - 1) * w->dilation[d] + 1;
    Expr *from = x_addi(b, x_muli(b, o, w->stride[d]), -w->pad[d]);
    return (Span){from, x_addi(b, from, reach)};
}

static int64_t taps(const Window *w, int d, int64_t size, int64_t count)
{
    return w->adaptive ? (size + count - 1) / count + 1 : w->kernel[d];
}

/* Is the place inside of [low, high) and of the span? */
static Expr *inside(Nest *s, Expr *x, Span sp, int64_t low, int64_t high)
{
    LB *b = &s->lb;
    Expr *one = x_i64(b, 1), *zero = x_i64(b, 0);
    Expr *ok = x_select(b, x_cmp(b, C_GE, x, x_i64(b, low)), one, zero);
    ok = x_select(b, x_cmp(b, C_LT, x, x_i64(b, high)), ok, zero);
    return x_select(b, x_cmp(b, C_LT, x, sp.to), ok, zero);
}

typedef struct Tap {
    Expr *y, *x;  /* place in the plane */
    Expr *hit;    /* bool: inside of the plane */
    Expr *counts; /* f32: 1 if it counts in the divisor */
    int64_t number;
} Tap;

static Tap tap_at(Nest *s, const Window *w, Shape plane, Span sy, Span sx, int64_t ky, int64_t kx)
{
    LB *b = &s->lb;
    int64_t h = plane.dim[2], width = plane.dim[3];
    int64_t py = w->count_pad ? w->pad[0] : 0, px = w->count_pad ? w->pad[1] : 0;
    int64_t dy = w->adaptive ? 1 : w->dilation[0], dx = w->adaptive ? 1 : w->dilation[1];
    Tap t = {.y = x_addi(b, sy.from, ky * dy), .x = x_addi(b, sx.from, kx * dx)};
    Expr *in = x_mul(b, inside(s, t.y, sy, 0, h), inside(s, t.x, sx, 0, width));
    Expr *counted = x_mul(b, inside(s, t.y, sy, -py, h + py), inside(s, t.x, sx, -px, width + px));
    t.hit = x_cmp(b, C_NE, in, x_i64(b, 0));
    t.counts = x_cast(b, LT_F32, counted);
    t.number = ky * w->kernel[1] + kx;
    return t;
}

static Expr *count_taps(Nest *s, const Window *w, Shape plane, Shape windows, Span sy, Span sx)
{
    Expr *count = x_f32(&s->lb, 0);
    for (int64_t ky = 0; ky < taps(w, 0, plane.dim[2], windows.dim[2]); ky++)
        for (int64_t kx = 0; kx < taps(w, 1, plane.dim[3], windows.dim[3]); kx++) {
            Tap t = tap_at(s, w, plane, sy, sx, ky, kx);
            count = lb_let(&s->lb, x_add(&s->lb, count, t.counts), "count");
        }
    return count;
}

static void window(Nest *s)
{
    const OpDef *op = s->n->op;
    LB *b = &s->lb;
    Shape plane = s->n->in[0]->shape, y = s->n->shape;
    Window w = op->window(s->n);
    Span sy = span(s, &w, 0, s->c[2], plane.dim[2], y.dim[2]);
    Span sx = span(s, &w, 1, s->c[3], plane.dim[3], y.dim[3]);
    Expr *state[4];
    op->winit(&s->body, s->n, state);
    for (int64_t ky = 0; ky < taps(&w, 0, plane.dim[2], y.dim[2]); ky++)
        for (int64_t kx = 0; kx < taps(&w, 1, plane.dim[3], y.dim[3]); kx++) {
            Tap t = tap_at(s, &w, plane, sy, sx, ky, kx);
            Expr *at = row_major(s, plane, (Expr *[]){s->c[0], s->c[1], t.y, t.x}), *old[4];
            Expr *v = x_load(b, s->in[0], x_select(b, t.hit, at, x_i64(b, 0)));
            v = lb_let(b, v, "v");
            memcpy(old, state, sizeof old);
            op->wstep(&s->body, s->n, state, v, x_i32(b, t.number));
            for (int i = 0; i < op->wstate; i++)
                state[i] = lb_let(b, x_select(b, t.hit, state[i], old[i]), "s");
        }
    Expr *count = count_taps(s, &w, plane, y, sy, sx);
    lb_store(b, s->out, s->at, op->wdone(&s->body, s->n, state, count));
}

static void window_t(Nest *s)
{
    const OpDef *op = s->n->op;
    LB *b = &s->lb;
    Shape plane = s->n->shape, y = s->n->in[0]->shape;
    Window w = op->window(s->n);
    lb_store(b, s->out, s->at, x_f32(b, 0));
    Expr *oh = lb_for_n(b, FOR_SERIAL, y.dim[2], "oh"),
         *ow = lb_for_n(b, FOR_SERIAL, y.dim[3], "ow");
    Span sy = span(s, &w, 0, oh, plane.dim[2], y.dim[2]);
    Span sx = span(s, &w, 1, ow, plane.dim[3], y.dim[3]);
    Expr *count = count_taps(s, &w, plane, y, sy, sx), *in[4], *none = x_f32(b, 0);
    for (int k = 0; k < s->n->nin; k++)
        in[k] = x_load(b, s->in[k], row_major(s, y, (Expr *[]){s->c[0], s->c[1], oh, ow}));
    for (int64_t ky = 0; ky < taps(&w, 0, plane.dim[2], y.dim[2]); ky++)
        for (int64_t kx = 0; kx < taps(&w, 1, plane.dim[3], y.dim[3]); kx++) {
            Tap t = tap_at(s, &w, plane, sy, sx, ky, kx);
            Expr *term = op->wterm(&s->body, s->n, in, x_i32(b, t.number), count);
            term = x_select(b, x_cmp(b, C_EQ, t.y, s->c[2]), term, none);
            term = x_select(b, x_cmp(b, C_EQ, t.x, s->c[3]), term, none);
            term = x_select(b, t.hit, term, none);
            lb_store(b, s->out, s->at, x_add(b, x_load(b, s->out, s->at), term));
        }
    lb_end(b);
    lb_end(b);
}

/* ---- resampling and gathering ---- */
static void resample(Nest *s)
{
    const OpDef *op = s->n->op;
    LB *b = &s->lb;
    Expr *lo[2], *count[2], *at[2], *weight = x_f32(b, 1);
    for (int d = 0; d < 2; d++) {
        op->range(&s->body, s->n, d, s->c[2 + d], &lo[d], &count[d]);
        lo[d] = lb_let(b, lo[d], "lo");
        count[d] = lb_let(b, count[d], "count");
    }
    lb_store(b, s->out, s->at, x_f32(b, 0));
    for (int d = 0; d < 2; d++) {
        at[d] = lb_let(b, x_add(b, lo[d], lb_for(b, FOR_SERIAL, count[d], "k")), "p");
        weight = x_mul(b, weight, op->weight(&s->body, s->n, d, s->c[2 + d], at[d]));
    }
    Expr *c[] = {s->c[0], s->c[1], at[0], at[1]};
    Expr *x = x_load(b, s->in[0], row_major(s, s->n->in[0]->shape, c));
    lb_store(b, s->out, s->at, x_fma(b, weight, x, x_load(b, s->out, s->at)));
    lb_end(b);
    lb_end(b);
}

static Expr *load_at(Body *c, int k, Expr *const *index)
{
    Nest *s = c->owner;
    Shape in = s->n->in[k]->shape;
    Expr *at[MAX_RANK];
    for (int d = 0; d < in.rank; d++) at[d] = index[d] ? index[d] : s->c[d];
    return x_load(&s->lb, s->in[k], row_major(s, in, at));
}

static Expr *shifted(Body *c, int k, int axis, int64_t by)
{
    Nest *s = c->owner;
    Expr *index[MAX_RANK] = {NULL}, *at = x_addi(&s->lb, s->c[axis], by);
    at = x_bin(&s->lb, B_MAX, at, x_i64(&s->lb, 0));
    index[axis] = x_bin(&s->lb, B_MIN, at, x_i64(&s->lb, s->n->in[k]->shape.dim[axis] - 1));
    return load_at(c, k, index);
}

static void gather(Nest *s)
{
    lb_store(&s->lb, s->out, s->at, s->n->op->gather(&s->body, s->n));
}

static void *encode(Arena *a, DType t, const double *x, int64_t count)
{
    void *p = arena_alloc(a, (size_t)(dtype_size(t) * count));
    for (int64_t i = 0; x && i < count; i++) {
        if (t == DT_F32) ((float *)p)[i] = (float)x[i];
        if (t == DT_I32) ((int32_t *)p)[i] = (int32_t)x[i];
        if (t == DT_U8) ((uint8_t *)p)[i] = (uint8_t)x[i];
    }
    return p;
}

static void decode(DType t, const void *p, double *out, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = t == DT_F32   ? (double)((const float *)p)[i]
                 : t == DT_I32 ? (double)((const int32_t *)p)[i]
                               : (double)((const uint8_t *)p)[i];
}

static void interpret(const Node *n, const double *const *in, double *out, void (*build)(Nest *))
{
    Arena *a = arena_new();
    Func *f = func_new(a, "k0", op_name(n->op));
    Nest s = {.n = n, .lb = lb_begin(a, f)};
    int64_t count = shape_count(n->shape);
    void *args[9];
    s.body = (Body){.b = &s.lb,
                    .coord = coord,
                    .linear = linear,
                    .load = load_at,
                    .shifted = shifted,
                    .owner = &s};
    for (int k = 0; k < n->nin; k++) {
        int64_t elements = shape_count(n->in[k]->shape);
        s.in[k] = lb_arg(&s.lb, ltype(n->in[k]->dtype), elements);
        args[k] = encode(a, n->in[k]->dtype, in[k], elements);
    }
    s.out = lb_arg(&s.lb, ltype(n->dtype), count);
    args[n->nin] = encode(a, n->dtype, NULL, count);
    s.at = lb_for_n(&s.lb, FOR_SERIAL, count, "i");
    coords(&s, s.at, n->shape, s.c);
    build(&s);
    lb_end(&s.lb);
    f->ntasks = 1;
    func_interp(f, args, 0, 1);
    decode(n->dtype, args[n->nin], out, count);
    arena_free(a);
}

bool naive_run(const Node *n, const double *const *in, double *out, const char **why)
{
    const OpDef *op = n->op;
    int64_t count = shape_count(n->shape);
    *why = NULL;
    if (op->nest == NEST_CONTRACT) {
        memset(out, 0, sizeof *out * (size_t)count);
        Sum s = {n, in[0], in[1], out, calloc((size_t)count, 1), NULL};
        contract(&s);
        free(s.reached);
        *why = s.why;
        return !s.why;
    }
    if (op->nest == NEST_POINTWISE)
        interpret(n, in, out, pointwise);
    else if (op->nest == NEST_WINDOW)
        interpret(n, in, out, window);
    else if (op->nest == NEST_WINDOW_T)
        interpret(n, in, out, window_t);
    else if (op->nest == NEST_RESAMPLE)
        interpret(n, in, out, resample);
    else if (op->nest == NEST_GATHER)
        interpret(n, in, out, gather);
    else
        return false;
    return true;
}
