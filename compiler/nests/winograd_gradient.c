/* The gradient of a 3x3 convolution by its weights, F(3 x 3, m x m) summed over all tiles of all images:
 *
 *   V[xi][tile][c] = B^T x B of every tile's n x n inputs      U[xi][tile][k] = G dy G^T of its m x m results' gradients
 *   P[xi][c][k] = sum over tiles of V[xi][tile][c] * U[xi][tile][k]       dW = A^T P A
 *
 * A task takes a group of channels c, one of channels k and a chunk of the tiles, a block of them at a time: V, U and P
 * stay in the core's cache, and what other groups of channels need of V and U they transform again. Where there are
 * several chunks, a second kernel adds their dW. Tiles that reach over the edge read zeros from dy's halo. The order of
 * all sums is fixed by the shapes. Source: winograd.h, with the roles of filter and result exchanged. */
#include "nests/wino.h"

typedef struct Sum {
    Wino w;
    LBuf *u, *p;
    Expr *cb, *kb;       /* first blocks of channels */
    Expr *first, *count; /* tiles of this block */
} Sum;

static int64_t sums_plane(const Winograd *q)
{
    return winograd_plane(q->cgroup * BLOCK * q->group * BLOCK);
}

/* ---- V and U ---- */

static void transform_operand(Sum *s, int number)
{
    Wino *w = &s->w;
    LB *b = w->c.n.b;
    const Winograd *q = w->w;
    int64_t stride = number ? q->kstride : q->stride;
    Expr *c = lb_for_n(b, FOR_SERIAL, number ? q->group : q->cgroup, "c"); /* outside: tiles lie side by side */
    Expr *t = lb_for(b, FOR_SERIAL, s->count, "t");
    TilePlace p = wino_place(w, lb_let(b, x_add(b, s->first, t), "t"));
    Transform x = {.from = nest_buf(&w->c.n, w->c.n.group->anchor->in[number]), .to = number ? s->u : w->v};
    x.matrix = number ? w->x.g : w->x.bt;
    x.rows = w->x.n;
    x.cols = number ? w->x.r : w->x.n;
    Expr *block = x_add(b, number ? s->kb : s->cb, c);
    wino_prefetch(w, x_addi(b, x_add(b, s->first, t), WINO_AHEAD), x_i64(b, w->tiles), block, number, x.from, x.cols);
    x.x = wino_address(w, &p, number, block);
    x.y = lb_let(b, x_add(b, x_muli(b, t, stride), x_muli(b, c, BLOCK)), "v");
    wino_strides(w, number, x.xs);
    x.ys[1] = winograd_plane(q->block * stride);
    x.ys[0] = w->x.n * x.ys[1];
    wino_transform(&w->c.n, &x);
    nest_close(&w->c.n, 2);
}

/* ---- P ---- */

/* Of product xi: rows r.. of the channels c, vectors g.. of the channels k. */
static void add_rows(Sum *s, Expr *xi, Expr *g, Expr *r, int rows)
{
    const Winograd *q = s->w.w;
    LB *b = s->w.c.n.b;
    Product p = {.ubuf = s->u, .vbuf = s->w.v, .mbuf = s->p, .rows = rows, .cols = q->cols, .add = true};
    p.v = lb_let(b, x_add(b, x_muli(b, xi, winograd_plane(q->block * q->stride)), r), "v");
    p.u = lb_let(b, x_add(b, x_muli(b, xi, winograd_plane(q->block * q->kstride)), x_muli(b, g, BLOCK)), "u");
    Expr *m = x_muli(b, x_add(b, x_muli(b, r, q->group), g), BLOCK);
    p.m = lb_let(b, x_add(b, x_muli(b, xi, sums_plane(q)), m), "m");
    p.steps = q->block;
    p.count = s->w.tiles % q->block ? s->count : NULL;
    p.v_step = q->stride;
    p.u_step = q->kstride;
    p.u_col = p.m_col = BLOCK;
    p.v_row = 1;
    p.m_row = q->group * BLOCK;
    wino_product(&s->w.c.n, &p);
}

static void add_products(Sum *s)
{
    const Winograd *q = s->w.w;
    LB *b = s->w.c.n.b;
    int64_t height = q->cgroup * BLOCK, whole = height / q->rows, rest = height % q->rows;
    Expr *xi = lb_for_n(b, FOR_SERIAL, q->n * q->n, "xi");
    Expr *g = x_muli(b, lb_for_n(b, FOR_SERIAL, q->group / q->cols, "g"), q->cols);
    Expr *r = lb_for_n(b, FOR_SERIAL, whole, "r");
    add_rows(s, xi, g, x_muli(b, r, q->rows), q->rows);
    lb_end(b);
    if (rest) add_rows(s, xi, g, x_i64(b, whole * q->rows), (int)rest);
    nest_close(&s->w.c.n, 2);
}

/* The blocks of tiles of one chunk; the last one may have fewer of both. */
static void all_tiles(Sum *s, Expr *chunk)
{
    const Winograd *q = s->w.w;
    LB *b = s->w.c.n.b;
    Expr *from = x_muli(b, chunk, q->chunk), *left = x_sub(b, x_i64(b, q->blocks), from);
    bool even = q->blocks % q->chunk == 0;
    Expr *t = lb_for(b, FOR_SERIAL, even ? x_i64(b, q->chunk) : x_bin(b, B_MIN, left, x_i64(b, q->chunk)), "b");
    s->first = lb_let(b, x_muli(b, x_add(b, from, t), q->block), "f");
    Expr *tiles = x_sub(b, x_i64(b, s->w.tiles), s->first);
    s->count = s->w.tiles % q->block ? lb_let(b, x_bin(b, B_MIN, tiles, x_i64(b, q->block)), "n") : x_i64(b, q->block);
    for (int operand = 0; operand < 2; operand++) transform_operand(s, operand);
    add_products(s);
    lb_end(b);
}

/* ---- dW ---- */

static void stand_at(Sum *s, Expr *c, Expr *lane, Expr *g)
{
    Wino *w = &s->w;
    LB *b = w->c.n.b;
    w->c.start[wino_loop(w, w->w->k, PART_BLK)] = x_add(b, s->kb, g);
    w->c.start[wino_loop(w, w->w->c, PART_BLK)] = x_add(b, s->cb, c);
    w->c.start[wino_loop(w, w->w->c, PART_LANE)] = lane;
    for (int d = 0; d < 2; d++) {
        w->c.start[w->tap[d]] = x_i64(b, 0);
        w->c.size[w->tap[d]] = w->w->r;
    }
}

/* Lanes of block c of the task's that are channels. */
static Expr *lanes_of(const Sum *s, Expr *c)
{
    LB *b = s->w.c.n.b;
    if (s->w.channels % BLOCK == 0) return x_i64(b, BLOCK);
    Expr *left = x_sub(b, x_i64(b, s->w.channels), x_muli(b, x_add(b, s->cb, c), BLOCK));
    return x_bin(b, B_MIN, left, x_i64(b, BLOCK));
}

static void transform_results(Sum *s)
{
    Wino *w = &s->w;
    const Winograd *q = w->w;
    LB *b = w->c.n.b;
    int64_t plane = sums_plane(q);
    Expr *c = lb_for_n(b, FOR_SERIAL, q->cgroup, "c");
    Expr *lane = lb_for(b, FOR_SERIAL, lanes_of(s, c), "l");
    Expr *g = lb_for_n(b, FOR_SERIAL, q->group, "g");
    w->c.acc = lb_alloc(b, BUF_REGISTER, LT_F32, (int64_t)q->r * q->r * BLOCK);
    Transform x = {.matrix = w->x.at, .rows = w->x.m, .cols = w->x.n, .from = s->p, .to = w->c.acc};
    Expr *row = x_add(b, x_muli(b, c, BLOCK), lane);
    x.x = lb_let(b, x_muli(b, x_add(b, x_muli(b, row, q->group), g), BLOCK), "p");
    x.y = x_i64(b, 0);
    x.xs[0] = w->x.n * plane;
    x.xs[1] = plane;
    x.ys[0] = q->r * BLOCK;
    x.ys[1] = BLOCK;
    wino_transform(&w->c.n, &x);
    stand_at(s, c, lane, g);
    if (w->c.chunk)
        con_store_partial(&w->c, con_address(&w->c, 2));
    else
        con_epilogue(&w->c);
    nest_close(&w->c.n, 3);
}

void nest_winograd_gradient(Arena *a, Loops *out, const Group *g)
{
    Sum s = {.u = NULL};
    wino_begin(&s.w, a, out, g, "winograd");
    Nest *n = &s.w.c.n;
    LB *b = n->b;
    const Winograd *q = s.w.w;
    int64_t blocks = (s.w.channels + BLOCK - 1) / BLOCK / q->cgroup;
    NestLoop l[] = {{"s", q->chunks, q->chunks > 1, NULL}, {"c", blocks, blocks > 1, NULL}, {"p", q->parts, q->parts > 1, NULL}};
    int opened = nest_open(n, l, 3);
    if (q->chunks > 1) s.w.c.chunk = l[0].var;
    s.cb = lb_let(b, x_muli(b, l[1].var, q->cgroup), "c");
    s.kb = lb_let(b, x_muli(b, l[2].var, q->group), "k");
    s.w.v = lb_alloc(b, BUF_LOCAL, LT_F32, q->n * q->n * winograd_plane(q->block * q->stride));
    s.u = lb_alloc(b, BUF_LOCAL, LT_F32, q->n * q->n * winograd_plane(q->block * q->kstride));
    s.p = lb_alloc(b, BUF_LOCAL, LT_F32, q->n * q->n * sums_plane(q));
    wino_clear(n, s.p, q->n * q->n * sums_plane(q));
    all_tiles(&s, l[0].var);
    transform_results(&s);
    nest_close(n, opened);
    nest_end(n, q->chunks * blocks * q->parts);
    if (q->chunks > 1) con_combine(a, out, g);
}
