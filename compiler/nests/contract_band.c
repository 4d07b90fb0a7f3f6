/* Windows of few rows behind a contraction, channel by channel (fuse_band.c): a task goes down its band of the plane, and
 * for every row of windows
 *
 *   ring[row mod R][column][channel]    takes the rows of the contraction that these windows are the first to read, as the
 *                                       epilogue leaves them; what lies beyond the plane is what changes no result: 0, or
 *                                       -infinity for a maximum
 *   y[row][column][channel]             is made of the R rows of the ring, R those of a window, and stored
 *
 * The ring is as wide as windows reach, and holds the tile's channels. */
#include "nests/contract.h"
#include <math.h>

typedef struct Band {
    const Node *pool;
    Window w;
    int row, column;        /* loops */
    int64_t cols;           /* vectors of channels */
    int64_t width;          /* of the ring, in columns of the plane */
    int64_t row_floats;
    LBuf *ring;
    double beyond; /* the plane */
} Band;

static Band band_of(const Con *c)
{
    const Node *pool = c->n.group->pool;
    Band d = {.pool = pool, .w = pool->op->window(pool), .cols = 1, .ring = c->ring};
    for (int k = 0; k < c->s->nloop; k++) {
        const ConLoop *l = &c->s->loop[k];
        if (l->band) d.row = k;
        if (l->role == ROLE_ROW && c->s->con.out.coef[3][l->axis]) d.column = k;
        if (l->role == ROLE_BLK) d.cols = c->size[k];
    }
    int64_t reach = (pool->shape.dim[3] - 1) * d.w.stride[1] + d.w.kernel[1], width = d.w.pad[1] + pool->in[0]->shape.dim[3];
    d.width = reach > width ? reach : width;
    d.row_floats = d.width * d.cols * BLOCK;
    d.beyond = pool->op->nest == NEST_CONTRACT ? 0 : -INFINITY;
    return d;
}

/* Of vector j, lane v, at a column of the ring's row that begins at `row`. */
static Expr *place(Con *c, const Band *d, Expr *row, Expr *column, Expr *j, Expr *v)
{
    LB *b = c->n.b;
    Expr *vector = x_add(b, x_muli(b, column, d->cols), j);
    return x_add(b, x_add(b, row, x_muli(b, vector, BLOCK)), v);
}

static int open_vectors(Con *c, const Band *d, Expr **j, Expr **v)
{
    int64_t n = d->cols;
    *j = n > 1 ? lb_for_n(c->n.b, FOR_UNROLL, n, "j") : x_i64(c->n.b, 0);
    *v = lb_for_n(c->n.b, FOR_VECTOR, BLOCK, "v");
    return 1 + (n > 1);
}

/* `count` columns of the ring's row from `first` on. */
static void clear(Con *c, const Band *d, Expr *row, int64_t first, int64_t count)
{
    LB *b = c->n.b;
    Expr *j, *v;
    if (count <= 0) return;
    Expr *x = lb_for_n(b, FOR_SERIAL, count, "x");
    int opened = open_vectors(c, d, &j, &v);
    lb_store(b, d->ring, place(c, d, row, x_addi(b, x, first), j, v), x_f32(b, d->beyond));
    nest_close(&c->n, opened + 1);
}

/* What lies left and right of the plane, in all rows. */
static void clear_edges(Con *c, const Band *d)
{
    LB *b = c->n.b;
    int64_t plane = d->pool->in[0]->shape.dim[3], right = d->w.pad[1] + plane;
    if (!d->w.pad[1] && right >= d->width) return;
    Expr *row = x_muli(b, lb_for_n(b, FOR_SERIAL, d->w.kernel[0], "r"), d->row_floats);
    clear(c, d, row, 0, d->w.pad[1]);
    clear(c, d, row, right, d->width - right);
    lb_end(b);
}

/* Where the ring has row number `row` of the padded plane. */
static Expr *slot(Con *c, const Band *d, Expr *row)
{
    LB *b = c->n.b;
    return lb_let(b, x_muli(b, x_modi(b, row, d->w.kernel[0]), d->row_floats), "s");
}

void con_band_epilogue(Con *c)
{
    LB *b = c->n.b;
    Band d = band_of(c);
    Expr *r[CON_MAX_LOOPS], *j, *v;
    int opened = con_open_rows(c, r);
    opened += con_open_cols(c, &j, &v);
    con_set_anchor(c, r, j, v);
    Expr *x = nest_value(&c->n, d.pool->in[0]);
    Expr *column = x_addi(b, x_add(b, c->start[d.column], r[d.column]), d.w.pad[1]);
    lb_store(b, d.ring, place(c, &d, c->ring_row, column, j, v), x);
    nest_close(&c->n, opened);
}

/* Row number `row` of the padded plane, into the ring. */
static void make_row(Con *c, const Band *d, Expr *row, void (*tiles)(Con *, int))
{
    LB *b = c->n.b;
    int64_t rows = d->pool->in[0]->shape.dim[2], reach = (d->pool->shape.dim[2] - 1) * d->w.stride[0] + d->w.kernel[0];
    bool beyond = d->w.pad[0] > 0 || reach > rows;
    c->ring_row = slot(c, d, row);
    Expr *y = lb_let(b, x_addi(b, row, -d->w.pad[0]), "h");
    if (beyond) lb_if(b, x_bin(b, B_AND, x_cmp(b, C_GE, y, x_i64(b, 0)), x_cmp(b, C_LT, y, x_i64(b, rows))));
    c->tile[d->row] = c->start[d->row] = y;
    c->size[d->row] = 1;
    tiles(c, d->row + 1);
    if (!beyond) return;
    lb_else(b);
    clear(c, d, c->ring_row, d->w.pad[1], d->pool->in[0]->shape.dim[3]);
    lb_end(b);
}

/* ---- windows ---- */

/* Side by side, of one vector of channels. */
typedef struct Windows {
    Band d;
    Expr *y, *first; /* their row; the first one's column */
    Expr *j;         /* the vector */
    Expr **slot;     /* by row of the window: where it lies */
    LBuf *acc;
    LBuf *weights;   /* of a depthwise convolution, those of a row of the window; NULL: there are none */
    int64_t count;
} Windows;

static bool depthwise(const Band *d)
{
    return d->pool->op->nest == NEST_CONTRACT;
}

/* As many as registers hold beside what all share: a column, and a row of weights. */
static int64_t most_windows(const Con *c, const Band *d)
{
    enum { MOST = 14 };
    const Machine *m = c->n.sched->machine;
    int64_t v = (BLOCK + m->lanes - 1) / m->lanes, shared = depthwise(d) ? d->w.kernel[1] + 1 : 2, n = m->vregs / v - shared;
    return n < 1 ? 1 : n > MOST ? MOST : n;
}

static Coord window_coord(Con *c, const Windows *q, Expr *t, Expr *v)
{
    LB *b = c->n.b;
    Expr *r[CON_MAX_LOOPS];
    for (int k = 0; k < c->s->nloop; k++) r[k] = x_i64(b, 0);
    Coord at = con_coord(c, r, q->j, v);
    at.idx[2] = q->y;
    at.idx[3] = x_add(b, q->first, t);
    return at;
}

/* Row kh of a depthwise convolution's weights, into registers: all windows take the same. */
static void load_weights(Con *c, const Windows *q, int64_t kh)
{
    LB *b = c->n.b;
    Expr *kw = lb_for_n(b, FOR_UNROLL, q->d.w.kernel[1], "k"), *v = lb_for_n(b, FOR_VECTOR, BLOCK, "v");
    Coord at = window_coord(c, q, x_i64(b, 0), v);
    Coord w = {.rank = 4, .idx = {at.idx[1], x_i64(b, 0), x_i64(b, kh), kw}, .blk = {at.blk[1]}, .lane = {at.lane[1]}};
    lb_store(b, q->weights, x_add(b, x_muli(b, kw, BLOCK), v), nest_load(&c->n, q->d.pool->in[1], &w));
    nest_close(&c->n, 2);
}

/* Window t takes x at its tap (kh, kw); at the first one it begins. */
static void take_tap(Con *c, const Windows *q, int64_t t, Expr *v, Expr *x, int64_t kh, int64_t kw)
{
    LB *b = c->n.b;
    const Node *pool = q->d.pool;
    Expr *state[1], *at = x_addi(b, v, t * BLOCK);
    bool begin = kh + kw == 0;
    if (q->weights) {
        Expr *w = x_load(b, q->weights, x_addi(b, v, kw * BLOCK));
        state[0] = x_fma(b, x, w, begin ? x_f32(b, 0) : x_load(b, q->acc, at));
    } else {
        Body body = nest_body(&c->n);
        if (begin)
            pool->op->winit(&body, pool, state);
        else
            state[0] = lb_let(b, x_load(b, q->acc, at), "s");
        pool->op->wstep(&body, pool, state, x, x_i32(b, (int)(kh * q->d.w.kernel[1] + kw)));
    }
    lb_store(b, q->acc, at, state[0]);
}

/* Row kh of all windows, column by column: each is loaded once, for all windows that it lies in. */
static void take_row(Con *c, const Windows *q, int64_t kh)
{
    LB *b = c->n.b;
    int64_t step = q->d.w.stride[1], kernel = q->d.w.kernel[1];
    if (q->weights) load_weights(c, q, kh);
    for (int64_t i = 0; i < (q->count - 1) * step + kernel; i++) {
        Expr *column = x_addi(b, x_muli(b, q->first, step), i), *v = lb_for_n(b, FOR_VECTOR, BLOCK, "v");
        Expr *x = lb_let(b, x_load(b, q->d.ring, place(c, &q->d, q->slot[kh], column, q->j, v)), "x");
        for (int64_t kw = kernel - 1; kw >= 0; kw--) /* of the first window that it lies in to that of the last */
            if (i >= kw && (i - kw) % step == 0 && (i - kw) / step < q->count) take_tap(c, q, (i - kw) / step, v, x, kh, kw);
        lb_end(b);
    }
}

static void store_windows(Con *c, const Windows *q)
{
    LB *b = c->n.b;
    const Node *pool = q->d.pool;
    Body body = nest_body(&c->n);
    Expr *t = lb_for_n(b, FOR_UNROLL, q->count, "t"), *v = lb_for_n(b, FOR_VECTOR, BLOCK, "v");
    Expr *x = lb_let(b, x_load(b, q->acc, x_add(b, x_muli(b, t, BLOCK), v)), "y");
    Coord at = window_coord(c, q, t, v);
    nest_point(&c->n, pool->shape, &at);
    if (!q->weights) x = lb_let(b, pool->op->wdone(&body, pool, &x, x_f32(b, 1)), "p");
    nest_set(&c->n, pool, x);
    nest_store_outs(&c->n, STAGE_POOL, STAGE_LAST);
    nest_close(&c->n, 2);
}

static void some_windows(Con *c, Windows *q)
{
    LB *b = c->n.b;
    q->acc = lb_alloc(b, BUF_REGISTER, LT_F32, q->count * BLOCK);
    if (depthwise(&q->d)) q->weights = lb_alloc(b, BUF_REGISTER, LT_F32, q->d.w.kernel[1] * BLOCK);
    for (int64_t kh = 0; kh < q->d.w.kernel[0]; kh++) take_row(c, q, kh);
    store_windows(c, q);
}

/* Row y of windows, `count` of them at a time, then those that are left; of one vector of channels after the other. */
static void make_windows(Con *c, const Band *d, Expr *y)
{
    enum { MOST_ROWS = 8 };
    LB *b = c->n.b;
    Expr *slots[MOST_ROWS], *first = lb_let(b, x_muli(b, y, d->w.stride[0]), "r");
    for (int64_t kh = 0; kh < d->w.kernel[0]; kh++) slots[kh] = slot(c, d, x_addi(b, first, kh));
    int64_t all = d->pool->shape.dim[3], most = most_windows(c, d), times = (all + most - 1) / most;
    Windows q = {.d = *d, .y = y, .slot = slots, .count = (all + times - 1) / times};
    int64_t whole = all / q.count, rest = all % q.count;
    q.j = d->cols > 1 ? lb_for_n(b, FOR_SERIAL, d->cols, "j") : x_i64(b, 0);
    Expr *i = whole > 1 ? lb_for_n(b, FOR_SERIAL, whole, "x") : x_i64(b, 0);
    q.first = lb_let(b, x_muli(b, i, q.count), "x");
    some_windows(c, &q);
    if (whole > 1) lb_end(b);
    q.first = x_i64(b, all - rest);
    q.count = rest;
    if (rest) some_windows(c, &q);
    if (d->cols > 1) lb_end(b);
}

void con_band(Con *c, int k, void (*tiles)(Con *, int))
{
    LB *b = c->n.b;
    Band d = band_of(c);
    int64_t all = d.pool->shape.dim[2], rows = c->s->loop[k].tile / d.w.stride[0], again = d.w.kernel[0] - d.w.stride[0];
    if (!c->par[k]) rows = all;
    d.ring = c->ring = lb_alloc(b, BUF_LOCAL, LT_F32, d.w.kernel[0] * d.row_floats);
    clear_edges(c, &d);
    Expr *from = c->par[k] ? lb_let(b, x_muli(b, c->par[k], rows), "f") : x_i64(b, 0);
    Expr *left = x_sub(b, x_i64(b, all), from);
    Expr *i = lb_for(b, FOR_SERIAL, x_bin(b, B_MAX, x_bin(b, B_MIN, left, x_i64(b, rows)), x_i64(b, 0)), "y");
    Expr *y = lb_let(b, x_add(b, from, i), "y"), *first = x_muli(b, y, d.w.stride[0]);
    Expr *known = lb_let(b, x_select(b, x_cmp(b, C_GT, i, x_i64(b, 0)), x_i64(b, again), x_i64(b, 0)), "k");
    Expr *r = lb_for(b, FOR_SERIAL, x_sub(b, x_i64(b, d.w.kernel[0]), known), "r");
    make_row(c, &d, lb_let(b, x_add(b, x_add(b, first, known), r), "r"), tiles);
    lb_end(b);
    make_windows(c, &d, y);
    lb_end(b);
}
