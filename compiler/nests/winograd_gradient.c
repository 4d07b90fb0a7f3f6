/* The gradient of a 3x3 convolution by its weights, F(3 x 3, m x m) summed over all tiles of all images:
 *
 *   V[xi][tile][c] = B^T x B of every tile's n x n inputs      U[xi][tile][k] = G dy G^T of its m x m results' gradients
 *   P[xi][c][k] = sum over tiles of V[xi][tile][c] * U[xi][tile][k]       dW = A^T P A
 *
 * Three kernels: V and U go to the workspace; then a task takes 16 channels c and a part of the channels k, and sums a
 * block of tiles at a time in registers. Tiles that reach over the edge read zeros from dy's halo. The order of all sums
 * is fixed by the shapes. Source: winograd.h, with the roles of filter and result exchanged. */
#include "nests/wino.h"

/* ---- V and U ---- */

typedef struct Operand {
    int number; /* 0: A, 1: B */
    int axis;   /* channels */
    int64_t channels, stride, offset; /* offset: floats in the workspace */
} Operand;

static Operand operand_of(const Wino *w, int number)
{
    const Winograd *q = w->w;
    if (number == 0) return (Operand){0, q->c, w->channels, q->stride, 0};
    return (Operand){1, q->k, w->c.s->con.axis[q->k].extent, q->kstride, q->n * q->n * w->tiles * q->stride};
}

static LBuf *transformed(Wino *w, const Operand *o)
{
    int64_t count = w->w->n * w->w->n * w->tiles * o->stride;
    return nest_workspace(&w->c.n, o->offset * (int64_t)sizeof(float), LT_F32, count);
}

static void transform_operand(Arena *a, Loops *out, const Group *g, int number)
{
    Wino w;
    wino_begin(&w, a, out, g, "winograd pack");
    LB *b = w.c.n.b;
    Operand o = operand_of(&w, number);
    const ConLoop *c = &w.c.s->loop[wino_loop(&w, o.axis, PART_BLK)];
    NestLoop l[] = {{"t", w.tiles, false, NULL}, {"c", (o.channels + BLOCK - 1) / BLOCK, false, NULL}};
    int64_t tasks = nest_choose_tasks(&w.c.n, l, 2, w.x.n * w.x.n * BLOCK, 4096);
    int opened = nest_open(&w.c.n, l, 2);
    TilePlace p = wino_place(&w, l[0].var);
    Transform x = {.from = nest_buf(&w.c.n, g->anchor->in[number]), .to = transformed(&w, &o)};
    x.matrix = number ? w.x.g : w.x.bt;
    x.rows = w.x.n;
    x.cols = number ? w.x.r : w.x.n;
    x.x = x_add(b, wino_address(&w, &p, number), x_muli(b, l[1].var, number ? c->sb : c->sa));
    x.x = lb_let(b, x.x, "a");
    x.y = lb_let(b, x_add(b, x_muli(b, l[0].var, o.stride), x_muli(b, l[1].var, BLOCK)), "v");
    wino_strides(&w, number, x.xs);
    x.ys[0] = w.x.n * w.tiles * o.stride;
    x.ys[1] = w.tiles * o.stride;
    wino_transform(&w.c.n, &x);
    nest_close(&w.c.n, opened);
    w.c.n.kernel.nowait = number == 0; /* the other operand's does not read what this one writes */
    nest_end(&w.c.n, tasks);
}

/* ---- P ---- */

typedef struct Sum {
    Wino w;
    LBuf *v, *u, *p;
    Expr *cb, *kb; /* first blocks of channels */
} Sum;

static void clear(Sum *s)
{
    LB *b = s->w.c.n.b;
    const Winograd *q = s->w.w;
    Expr *i = lb_for_n(b, FOR_SERIAL, q->n * q->n * BLOCK * q->group, "i");
    Expr *lane = lb_for_n(b, FOR_VECTOR, BLOCK, "l");
    lb_store(b, s->p, x_add(b, x_muli(b, i, BLOCK), lane), x_f32(b, 0));
    nest_close(&s->w.c.n, 2);
}

/* Tiles [first, first + count) of product xi: rows r.. of the channels c, vectors g.. of the channels k. */
static void add_tiles(Sum *s, Expr *first, int64_t count)
{
    const Winograd *q = s->w.w;
    LB *b = s->w.c.n.b;
    Expr *xi = lb_for_n(b, FOR_SERIAL, q->n * q->n, "xi");
    Expr *g = x_muli(b, lb_for_n(b, FOR_SERIAL, q->group / q->cols, "g"), q->cols);
    Expr *r = x_muli(b, lb_for_n(b, FOR_SERIAL, BLOCK / q->rows, "r"), q->rows);
    Expr *tile = x_add(b, x_muli(b, xi, s->w.tiles), first);
    Product p = {.ubuf = s->u, .vbuf = s->v, .mbuf = s->p, .rows = q->rows, .cols = q->cols, .add = true};
    Expr *v = x_add(b, x_muli(b, tile, q->stride), x_add(b, x_muli(b, s->cb, BLOCK), r));
    Expr *u = x_add(b, x_muli(b, tile, q->kstride), x_muli(b, x_add(b, s->kb, g), BLOCK));
    Expr *m = x_add(b, x_muli(b, xi, BLOCK), r);
    p.v = lb_let(b, v, "v");
    p.u = lb_let(b, u, "u");
    p.m = lb_let(b, x_muli(b, x_add(b, x_muli(b, m, q->group), g), BLOCK), "m");
    p.steps = count;
    p.v_step = q->stride;
    p.u_step = q->kstride;
    p.u_col = p.m_col = BLOCK;
    p.v_row = 1;
    p.m_row = q->group * BLOCK;
    wino_product(&s->w.c.n, &p);
    nest_close(&s->w.c.n, 3);
}

static void all_tiles(Sum *s)
{
    const Winograd *q = s->w.w;
    LB *b = s->w.c.n.b;
    int64_t whole = s->w.tiles / q->block, rest = s->w.tiles % q->block;
    Expr *t = lb_for_n(b, FOR_SERIAL, whole, "t");
    add_tiles(s, x_muli(b, t, q->block), q->block);
    lb_end(b);
    if (rest) add_tiles(s, x_i64(b, whole * q->block), rest);
}

/* ---- dW ---- */

static void stand_at(Sum *s, Expr *c, Expr *g)
{
    Wino *w = &s->w;
    LB *b = w->c.n.b;
    int k = wino_loop(w, w->w->k, PART_BLK), block = wino_loop(w, w->w->c, PART_BLK),
        lane = wino_loop(w, w->w->c, PART_LANE);
    w->c.start[k] = x_add(b, s->kb, g);
    w->c.start[block] = s->cb;
    w->c.start[lane] = c;
    for (int d = 0; d < 2; d++) {
        w->c.start[w->tap[d]] = x_i64(b, 0);
        w->c.size[w->tap[d]] = w->w->r;
    }
}

static void transform_results(Sum *s)
{
    Wino *w = &s->w;
    const Winograd *q = w->w;
    LB *b = w->c.n.b;
    int64_t plane = BLOCK * q->group * BLOCK;
    Expr *left = x_sub(b, x_i64(b, w->channels), x_muli(b, s->cb, BLOCK));
    bool even = w->channels % BLOCK == 0;
    Expr *c = lb_for(b, FOR_SERIAL, even ? x_i64(b, BLOCK) : x_bin(b, B_MIN, left, x_i64(b, BLOCK)), "c");
    Expr *g = lb_for_n(b, FOR_SERIAL, q->group, "g");
    w->c.acc = lb_alloc(b, BUF_REGISTER, LT_F32, (int64_t)q->r * q->r * BLOCK);
    Transform x = {.matrix = w->x.at, .rows = w->x.m, .cols = w->x.n, .from = s->p, .to = w->c.acc};
    x.x = lb_let(b, x_muli(b, x_add(b, x_muli(b, c, q->group), g), BLOCK), "p");
    x.y = x_i64(b, 0);
    x.xs[0] = w->x.n * plane;
    x.xs[1] = plane;
    x.ys[0] = q->r * BLOCK;
    x.ys[1] = BLOCK;
    wino_transform(&w->c.n, &x);
    stand_at(s, c, g);
    con_epilogue(&w->c);
    nest_close(&w->c.n, 2);
}

void nest_winograd_gradient(Arena *a, Loops *out, const Group *g)
{
    Sum s = {.v = NULL};
    for (int operand = 0; operand < 2; operand++) transform_operand(a, out, g, operand);
    wino_begin(&s.w, a, out, g, "winograd");
    LB *b = s.w.c.n.b;
    const Winograd *q = s.w.w;
    Operand x = operand_of(&s.w, 0), dy = operand_of(&s.w, 1);
    int64_t blocks = (s.w.channels + BLOCK - 1) / BLOCK;
    s.v = transformed(&s.w, &x);
    s.u = transformed(&s.w, &dy);
    NestLoop l[] = {{"c", blocks, blocks > 1, NULL}, {"p", q->parts, q->parts > 1, NULL}};
    int opened = nest_open(&s.w.c.n, l, 2);
    s.cb = l[0].var;
    s.kb = lb_let(b, x_muli(b, l[1].var, q->group), "k");
    s.p = lb_alloc(b, BUF_LOCAL, LT_F32, q->n * q->n * BLOCK * q->group * BLOCK);
    clear(&s);
    all_tiles(&s);
    transform_results(&s);
    nest_close(&s.w.c.n, opened);
    nest_end(&s.w.c.n, blocks * q->parts);
}
