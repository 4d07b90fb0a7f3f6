/* Winograd's algorithm, a block of tiles at a time, so that nothing transformed leaves the core's cache:
 *
 *   V[xi][tile][c] = (B^T d B) of every tile's n x n inputs, 16 channels a vector
 *   M[xi][tile][k] = sum over c of V[xi][tile][c] * U[xi][k][c]    n*n matrix products, for a group of channels k
 *   Y = A^T M A, m x m results of each tile, which the group's epilogue takes from registers
 *
 * U are the transformed weights (winograd_weights.c). Tiles are numbered through all images; those that reach over
 * the edge read the halo and store only what exists. Where there are few tiles, tasks share a block, each with channels k of
 * its own; and V, if it is much, which a kernel before them makes. Sources: winograd.h; blocking as in Z. Jia et al., Optimizing
 * N-Dimensional, Winograd-Based Convolution for Manycore CPUs, 2018. */
#include "nests/wino.h"

typedef struct Block {
    Wino w;
    LBuf *u, *m;
    Expr *first; /* its first tile */
    Expr *at;    /* where its transformed inputs begin */
} Block;

/* ---- V ---- */

/* Of block number `block`: shared ones lie in the workspace, behind weights that are not kept. */
static void begin_block(Block *k, Expr *block)
{
    LB *b = k->w.c.n.b;
    const Winograd *q = k->w.w;
    int64_t size = q->n * q->n * q->block * q->stride;
    k->first = lb_let(b, x_muli(b, block, q->block), "f");
    k->at = q->shared ? x_muli(b, block, size) : x_i64(b, 0);
    k->w.v = q->shared ? nest_workspace(&k->w.c.n, q->prepared ? 0 : q->weights * (int64_t)sizeof(float), LT_F32, q->blocks * size)
                       : lb_alloc(b, BUF_LOCAL, LT_F32, size);
}

/* Of the tiles of the block, 16 channels. The last block may have places for more tiles than there are: they take the last one's inputs once more. */
static void transform_inputs(Block *k, Expr *c)
{
    Wino *w = &k->w;
    LB *b = w->c.n.b;
    const ConLoop *l = w->c.s->loop;
    int64_t plane = w->w->block * w->w->stride;
    Expr *t = lb_for_n(b, FOR_SERIAL, w->w->block, "t");
    Expr *number = x_bin(b, B_MIN, x_add(b, k->first, t), x_i64(b, w->tiles - 1));
    TilePlace p = wino_place(w, lb_let(b, number, "t"));
    Expr *at = lb_let(b, wino_address(w, &p, 0), "a");
    Transform x = {.matrix = w->x.bt, .rows = w->x.n, .cols = w->x.n, .from = w->c.abuf, .to = w->v};
    x.x = lb_let(b, x_add(b, at, x_muli(b, c, l[wino_loop(w, w->w->c, PART_BLK)].sa)), "a");
    x.y = lb_let(b, x_add(b, k->at, x_add(b, x_muli(b, t, w->w->stride), x_muli(b, c, BLOCK))), "v");
    wino_strides(w, 0, x.xs);
    x.ys[0] = w->x.n * plane;
    x.ys[1] = plane;
    wino_transform(&w->c.n, &x);
    nest_close(&w->c.n, 1);
}

static int64_t channel_blocks(const Wino *w)
{
    return (w->channels + BLOCK - 1) / BLOCK;
}

/* ---- M ---- */

/* Weights that come from memory: hardware prefetches within a page, and panels are short. */
static bool streamed(const Wino *w)
{
    const Machine *m = w->c.n.sched->machine;
    return w->w->weights * (int64_t)sizeof(float) > m->l2;
}

/* Rows t0.. of the product number xi, channel blocks g.. of the group that begins at kb. */
static void product_rows(Block *k, Expr *xi, Expr *kb, Expr *g, Expr *t0)
{
    Wino *w = &k->w;
    LB *b = w->c.n.b;
    Product p = {.ubuf = k->u, .vbuf = w->v, .mbuf = k->m, .rows = w->w->rows, .cols = w->w->cols};
    Expr *tile = x_add(b, x_muli(b, xi, w->w->block), t0);
    Expr *panel = x_add(b, x_muli(b, xi, w->kblocks), x_add(b, kb, g));
    p.u = lb_let(b, x_muli(b, panel, w->channels * BLOCK), "u");
    p.v = lb_let(b, x_add(b, k->at, x_muli(b, tile, w->w->stride)), "v");
    p.m = lb_let(b, x_muli(b, x_add(b, x_muli(b, tile, w->w->group), g), BLOCK), "m");
    p.steps = w->channels;
    p.u_step = p.m_col = BLOCK;
    p.v_step = 1;
    p.u_col = w->channels * BLOCK;
    p.v_row = w->w->stride;
    p.m_row = w->w->group * BLOCK;
    if (streamed(w)) p.ahead = p.cols * p.u_col; /* the next panels */
    wino_product(&w->c.n, &p);
}

static void products(Block *k, Expr *kb)
{
    const Winograd *q = k->w.w;
    LB *b = k->w.c.n.b;
    Expr *xi = lb_for_n(b, FOR_SERIAL, q->n * q->n, "xi");
    Expr *g = lb_for_n(b, FOR_SERIAL, q->group / q->cols, "g");
    Expr *t = lb_for_n(b, FOR_SERIAL, q->block / q->rows, "t");
    product_rows(k, xi, kb, x_muli(b, g, q->cols), x_muli(b, t, q->rows));
    nest_close(&k->w.c.n, 3);
}

/* ---- Y ---- */

/* The part of the m x m results that exists, packed: the epilogue's rows. */
static void epilogue_of(Wino *w, LBuf *all, int64_t height, int64_t width)
{
    LB *b = w->c.n.b;
    Con *c = &w->c;
    c->size[w->row[0]] = height;
    c->size[w->row[1]] = width;
    c->acc = all;
    if (width < w->w->m) {
        c->acc = lb_alloc(b, BUF_REGISTER, LT_F32, height * width * BLOCK);
        Expr *lane = lb_for_n(b, FOR_VECTOR, BLOCK, "l");
        for (int64_t i = 0; i < height * width; i++) {
            int64_t from = i / width * w->w->m + i % width;
            Expr *x = x_load(b, all, x_addi(b, lane, from * BLOCK));
            lb_store(b, c->acc, x_addi(b, lane, i * BLOCK), x);
        }
        lb_end(b);
    }
    con_epilogue(c);
}

/* Elements that exist of the last tile along dim d; m: all. */
static int64_t last_size(const Wino *w, int d)
{
    int64_t extent = w->c.s->loop[w->row[d]].extent;
    return extent / w->w->dilation[d] - (w->part[d] - 1) * w->w->m;
}

/* Calls epilogue_of with the size that fits the tile, by a condition along each dim that needs one. */
static void sized_epilogue(Wino *w, LBuf *all, const TilePlace *p, int d, int64_t *size)
{
    LB *b = w->c.n.b;
    if (d == 2) {
        epilogue_of(w, all, size[0], size[1]);
        return;
    }
    int64_t m = w->w->m, last = last_size(w, d);
    bool both = last < m && w->part[d] > 1;
    if (both) lb_if(b, x_cmp(b, C_LT, p->at[d], x_i64(b, w->part[d] - 1)));
    size[d] = both ? m : last;
    sized_epilogue(w, all, p, d + 1, size);
    if (!both) return;
    lb_else(b);
    size[d] = last;
    sized_epilogue(w, all, p, d + 1, size);
    lb_end(b);
}

/* Where the epilogue stands: this tile, this block of channels. */
static void stand_at(Wino *w, const TilePlace *p, Expr *kb)
{
    Con *c = &w->c;
    int k = wino_loop(w, w->w->k, PART_BLK);
    c->tile[w->batch] = c->start[w->batch] = p->image;
    c->tile[k] = c->start[k] = kb;
    for (int d = 0; d < 2; d++) {
        c->tile[w->row[d]] = p->at[d];
        c->start[w->row[d]] = p->first[d];
        c->step[w->row[d]] = w->w->dilation[d];
    }
}

static void transform_results(Block *k, Expr *kb)
{
    Wino *w = &k->w;
    LB *b = w->c.n.b;
    int64_t size[2], m = w->w->m, plane = w->w->block * w->w->group * BLOCK;
    Expr *left = x_sub(b, x_i64(b, w->tiles), k->first);
    bool even = w->tiles % w->w->block == 0;
    Expr *count = even ? x_i64(b, w->w->block) : x_bin(b, B_MIN, left, x_i64(b, w->w->block));
    Expr *t = lb_for(b, FOR_SERIAL, count, "t");
    TilePlace p = wino_place(w, x_add(b, k->first, t));
    Expr *j = lb_for_n(b, FOR_SERIAL, w->w->group, "j");
    LBuf *all = lb_alloc(b, BUF_REGISTER, LT_F32, m * m * BLOCK);
    Transform x = {.matrix = w->x.at, .rows = w->x.m, .cols = w->x.n, .from = k->m, .to = all};
    x.x = lb_let(b, x_muli(b, x_add(b, x_muli(b, t, w->w->group), j), BLOCK), "m");
    x.y = x_i64(b, 0);
    x.xs[0] = w->x.n * plane;
    x.xs[1] = plane;
    x.ys[0] = m * BLOCK;
    x.ys[1] = BLOCK;
    wino_transform(&w->c.n, &x);
    stand_at(w, &p, x_add(b, kb, j));
    sized_epilogue(w, all, &p, 0, size);
    nest_close(&w->c.n, 2);
}

/* ---- a task ---- */

/* Output channels of this part, a group at a time. */
static void all_channels(Block *k, Expr *part)
{
    const Winograd *q = k->w.w;
    LB *b = k->w.c.n.b;
    int64_t groups = q->groups / q->parts;
    Expr *g = lb_for_n(b, FOR_SERIAL, groups, "g");
    Expr *kb = lb_let(b, x_muli(b, x_add(b, x_muli(b, part, groups), g), q->group), "k");
    products(k, kb);
    transform_results(k, kb);
    lb_end(b);
}

/* The kernel of inputs that parts share. */
static void shared_inputs(Arena *a, Loops *out, const Group *g)
{
    Block k = {.first = NULL};
    wino_begin(&k.w, a, out, g, "winograd pack inputs");
    k.w.c.abuf = nest_buf(&k.w.c.n, g->anchor->in[0]);
    NestLoop l[] = {{"b", k.w.w->blocks, k.w.w->blocks > 1, NULL}, {"c", channel_blocks(&k.w), true, NULL}};
    int opened = nest_open(&k.w.c.n, l, 2);
    begin_block(&k, l[0].var);
    transform_inputs(&k, l[1].var);
    nest_close(&k.w.c.n, opened);
    nest_end(&k.w.c.n, k.w.w->blocks * channel_blocks(&k.w));
}

static void whole_block(Arena *a, Loops *out, const Group *g)
{
    Block k = {.first = NULL};
    wino_begin(&k.w, a, out, g, "winograd");
    LB *b = k.w.c.n.b;
    const Winograd *q = k.w.w;
    k.w.c.abuf = nest_buf(&k.w.c.n, g->anchor->in[0]);
    k.u = wino_weights_buffer(&k.w);
    NestLoop l[] = {{"b", q->blocks, q->blocks > 1, NULL}, {"p", q->parts, q->parts > 1, NULL}};
    int opened = nest_open(&k.w.c.n, l, 2);
    begin_block(&k, l[0].var);
    k.m = lb_alloc(b, BUF_LOCAL, LT_F32, q->n * q->n * q->block * q->group * BLOCK);
    if (!q->shared) {
        transform_inputs(&k, lb_for_n(b, FOR_SERIAL, channel_blocks(&k.w), "c")); /* outside: tiles lie side by side */
        lb_end(b);
    }
    all_channels(&k, l[1].var);
    nest_close(&k.w.c.n, opened);
    nest_end(&k.w.c.n, q->blocks * q->parts);
}

void nest_winograd(Arena *a, Loops *out, const Group *g)
{
    const Winograd *w = out->plan->schedule->group[g->id].winograd;
    if (w->gradient) {
        nest_winograd_gradient(a, out, g);
        return;
    }
    if (!w->prepared) nest_winograd_weights(a, out, g);
    if (w->shared) shared_inputs(a, out, g);
    whole_block(a, out, g);
}
