/* Winograd's algorithm, a block of tiles at a time, so that nothing transformed leaves the core's cache:
 *
 *   V[xi][tile][c] = (B^T d B) of every tile's n x n inputs, 16 channels a vector
 *   M[xi][tile][k] = sum over c of V[xi][tile][c] * U[xi][k][c]    n*n matrix products, for a group of channels k
 *   Y = A^T M A, m x m results of each tile, which the group's epilogue takes from registers
 *
 * U are the transformed weights (winograd_weights.c). Tiles are numbered through all images; those that reach over the edge
 * read the halo and store only what exists. Where there are few tiles, tasks share a block, each with channels k of its own;
 * and V, if it is much, which a kernel before them makes, or one for each half of them. U is four times the weights' size
 * (m = 4): where it would come from memory, a task transforms its weights itself, of `depth` channels c and `cols` blocks of k
 * at a time, and adds up M; where L1 would have to pass them on to L2, of some rows xi at a time, each of which is used before
 * the next. Where there are so few tiles that all sums of a row are registers, U is not stored at all. Sources: winograd.h;
 * blocking as in Z. Jia et al., Optimizing N-Dimensional, Winograd-Based Convolution for Manycore CPUs, 2018. */
#include "nests/wino.h"

typedef struct Block {
    Wino w;
    LBuf *u, *m;
    Expr *first; /* its first tile */
    Expr *at;    /* where its transformed inputs begin */
    Expr *kb;    /* first channel block of the group at work */
    Expr *part_kb; /* and of the part */
    Expr *c;     /* first of the channels c whose products are at work */
    int row;     /* first row of the n x n products that are at work, */
    int rows;    /* and how many rows these are */
} Block;

/* ---- V ---- */

static int64_t inputs_plane(const Winograd *q)
{
    return winograd_plane(q->block * q->stride);
}

static int64_t results_plane(const Winograd *q)
{
    return winograd_plane(q->block * q->group * BLOCK);
}

/* Of block number `block`: shared ones, or their copy, lie in the workspace, behind weights that are not kept and behind phases. */
static void begin_block(Block *k, Expr *block, Expr *copy)
{
    LB *b = k->w.c.n.b;
    const Winograd *q = k->w.w;
    int64_t size = q->n * q->n * inputs_plane(q);
    k->first = lb_let(b, x_muli(b, block, q->block), "f");
    k->at = q->shared ? x_muli(b, x_add(b, x_muli(b, block, q->copies), copy), size) : x_i64(b, 0);
    k->w.v = q->shared ? nest_workspace(&k->w.c.n, wino_inputs_at(&k->w), LT_F32, winograd_inputs(q))
                       : lb_alloc(b, BUF_LOCAL, LT_F32, size);
}

/* Of the tiles of the block, 16 channels. The last block may have places for more tiles than there are: they take the last
 * one's inputs once more. */
static void transform_inputs(Block *k, Expr *c)
{
    Wino *w = &k->w;
    LB *b = w->c.n.b;
    int64_t plane = inputs_plane(w->w);
    Expr *t = lb_for_n(b, FOR_SERIAL, w->w->block, "t");
    Expr *number = x_bin(b, B_MIN, x_add(b, k->first, t), x_i64(b, w->tiles - 1));
    wino_prefetch(w, x_addi(b, x_add(b, k->first, t), WINO_AHEAD), x_i64(b, w->tiles), c, 0, w->c.abuf, w->x.n);
    TilePlace p = wino_place(w, lb_let(b, number, "t"));
    Transform x = {.matrix = w->x.bt, .rows = w->x.n, .cols = w->x.n, .from = w->c.abuf, .to = w->v, .lanes = w->w->vector};
    x.x = wino_address(w, &p, 0, c);
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

/* Channels c whose products are summed at a time. */
static int64_t depth_of(const Wino *w)
{
    return w->w->depth ? w->w->depth : w->channels;
}

static int64_t panels_plane(const Winograd *q)
{
    return winograd_plane(q->cols * q->depth * BLOCK);
}

/* Weights that come from memory are prefetched: hardware does that within a page, and panels are short. */
static bool streamed(const Wino *w)
{
    const Machine *m = w->c.n.sched->machine;
    return w->w->weights * (int64_t)sizeof(float) > m->l2;
}

/* Of a product of stored weights, the g-th of its group and number t of `down` that share its panels: its part of the next
 * ones, which are the group's next, or those of the next product. */
static void prefetch_panels(Block *k, Product *p, Expr *g, Expr *t, int64_t down)
{
    const Wino *w = &k->w;
    LB *b = w->c.n.b;
    int64_t last = w->w->group / p->cols - 1, lines = p->cols * w->channels;
    int64_t far = (w->kblocks - last * p->cols) * w->channels;
    if (!streamed(w)) return;
    Expr *step = x_i64(b, far * BLOCK); /* a constant, but where groups are a part of several columns */
    if (far != lines && last) step = x_select(b, x_cmp(b, C_LT, g, x_i64(b, last)), x_i64(b, lines * BLOCK), step);
    p->nextbuf = k->u;
    p->lines = (lines + down - 1) / down;
    p->next = lb_let(b, x_add(b, x_add(b, p->u, step), x_muli(b, t, p->lines * BLOCK)), "p");
}

/* Of the task's product number i of `count`, whose weights it transformed: its share of the weights that come next, those
 * of the same channels k and the next c, or of the next group of k. */
static void prefetch_weights(Block *k, Product *p, Expr *i, int64_t count)
{
    Wino *w = &k->w;
    LB *b = w->c.n.b;
    const Winograd *q = w->w;
    int64_t run = BLOCK * w->x.r * w->x.r; /* lines that lie together, of blocks of channels k and c */
    int64_t lines = q->depth / BLOCK * run;
    p->lines = (lines * q->group + count - 1) / count;
    Expr *c = lb_let(b, x_addi(b, k->c, q->depth), "c"), *same = x_cmp(b, C_LT, c, x_i64(b, w->channels));
    Expr *line = lb_let(b, x_muli(b, i, p->lines), "i");
    Expr *kb = x_add(b, x_select(b, same, k->kb, x_addi(b, k->kb, q->group)), x_divi(b, line, lines));
    Expr *in = lb_let(b, x_modi(b, line, lines), "l");
    c = x_add(b, x_select(b, same, c, x_i64(b, 0)), x_muli(b, x_divi(b, in, run), BLOCK));
    Expr *at = wino_weights_at(w, lb_let(b, kb, "k"), lb_let(b, c, "c"));
    p->nextbuf = nest_buf(&w->c.n, w->c.n.group->anchor->in[1]);
    p->next = lb_let(b, x_add(b, at, x_muli(b, x_modi(b, in, run), BLOCK)), "p");
}

/* Of the product number xi `rows` tiles, which begin at the t-th times q->rows, and the g-th columns of the group. */
static void product_rows(Block *k, Expr *xi, Expr *g, Expr *t, int rows)
{
    Wino *w = &k->w;
    LB *b = w->c.n.b;
    const Winograd *q = w->w;
    Product p = {.ubuf = k->u, .vbuf = w->v, .mbuf = k->m, .rows = rows, .cols = q->cols, .steps = depth_of(w)};
    Expr *tile = x_muli(b, t, q->rows), *block = x_muli(b, g, q->cols);
    if (q->depth)
        p.u = x_muli(b, x_addi(b, xi, -k->row * q->n), panels_plane(q));
    else
        p.u = x_muli(b, x_add(b, x_muli(b, xi, w->kblocks), x_add(b, k->kb, block)), w->channels * BLOCK);
    p.u = lb_let(b, p.u, "u");
    Expr *v = x_add(b, x_muli(b, xi, inputs_plane(q)), x_muli(b, tile, q->stride));
    Expr *m = x_muli(b, x_add(b, x_muli(b, tile, q->group), block), BLOCK);
    p.v = lb_let(b, x_add(b, x_add(b, k->at, k->c), v), "v");
    p.m = lb_let(b, x_add(b, x_muli(b, xi, results_plane(q)), m), "m");
    p.u_step = p.m_col = BLOCK;
    p.v_step = 1;
    p.u_col = p.steps * BLOCK;
    p.v_row = q->stride;
    p.m_row = q->group * BLOCK;
    p.add = p.steps < w->channels;
    int64_t across = q->group / q->cols, down = (q->block + q->rows - 1) / q->rows;
    if (q->depth) {
        /* rows at work by columns by products */
        Expr *before = x_add(b, x_i64(b, k->row * q->n * across), x_muli(b, g, k->rows * q->n));
        Expr *i = x_add(b, before, x_addi(b, xi, -k->row * q->n));
        prefetch_weights(k, &p, x_add(b, x_muli(b, i, down), t), q->n * q->n * across * down);
    } else {
        prefetch_panels(k, &p, g, t, down);
    }
    wino_product(&w->c.n, &p);
}

/* Of the product number xi all tiles and the g-th columns. */
static void product_tiles(Block *k, Expr *xi, Expr *g)
{
    const Winograd *q = k->w.w;
    LB *b = k->w.c.n.b;
    int64_t whole = q->block / q->rows, rest = q->block % q->rows;
    product_rows(k, xi, g, lb_for_n(b, FOR_SERIAL, whole, "t"), q->rows);
    lb_end(b);
    if (rest) product_rows(k, xi, g, x_i64(b, whole), (int)rest);
}

/* Products of stored weights, in the order in which these lie. */
static void stored_products(Block *k)
{
    const Winograd *q = k->w.w;
    LB *b = k->w.c.n.b;
    Expr *xi = lb_for_n(b, FOR_SERIAL, q->n * q->n, "xi");
    product_tiles(k, xi, lb_for_n(b, FOR_SERIAL, q->group / q->cols, "g"));
    nest_close(&k->w.c.n, 2);
}

typedef struct RowWeights {
    Block *k;
    Expr *kb; /* channels k */
} RowWeights;

/* U of the row at work, of channel c + s: n vectors. */
static void make_row(void *of, Expr *s, LBuf *to)
{
    RowWeights *x = of;
    Wino *w = &x->k->w;
    LB *b = w->c.n.b;
    WinoWeights which = {.kb = x->kb, .c = lb_let(b, x_add(b, x->k->c, s), "c"), .first = x->k->row, .some = 1};
    wino_weights(w, &which, to, x_i64(b, 0), (int64_t[]){0, BLOCK});
}

/* Products of a row whose weights are transformed where they are multiplied, all its n columns at once. */
static void row_products(Block *k)
{
    Wino *w = &k->w;
    LB *b = w->c.n.b;
    const Winograd *q = w->w;
    Expr *g = lb_for_n(b, FOR_SERIAL, q->group, "g");
    RowWeights x = {.k = k, .kb = lb_let(b, x_add(b, k->kb, g), "k")};
    Product p = {.vbuf = w->v, .mbuf = k->m, .rows = q->rows, .cols = q->n, .steps = q->depth, .make = make_row, .of = &x};
    int64_t first = k->row * q->n;
    p.v = lb_let(b, x_add(b, x_add(b, k->at, k->c), x_i64(b, first * inputs_plane(q))), "v");
    p.m = lb_let(b, x_addi(b, x_muli(b, g, BLOCK), first * results_plane(q)), "m");
    p.v_step = 1;
    p.v_row = q->stride;
    p.v_col = inputs_plane(q);
    p.m_row = q->group * BLOCK;
    p.m_col = results_plane(q);
    p.add = p.steps < w->channels;
    prefetch_weights(k, &p, x_addi(b, g, k->row * q->group), q->n * q->group);
    wino_product(&w->c.n, &p);
    lb_end(b);
}

/* U of the group's g-th columns, the channels c and the rows at work. */
static void transform_weights(Block *k, Expr *g)
{
    Wino *w = &k->w;
    LB *b = w->c.n.b;
    const Winograd *q = w->w;
    int64_t ys[] = {w->x.n * panels_plane(q), panels_plane(q)};
    Expr *first = lb_let(b, x_add(b, k->kb, x_muli(b, g, q->cols)), "k");
    Expr *j = lb_for_n(b, FOR_SERIAL, q->cols, "j"), *c = lb_for_n(b, FOR_SERIAL, q->depth, "c");
    Expr *y = lb_let(b, x_muli(b, x_add(b, x_muli(b, j, q->depth), c), BLOCK), "u");
    WinoWeights which = {.kb = x_add(b, first, j), .first = k->row, .some = k->rows};
    which.c = lb_let(b, x_add(b, k->c, c), "c");
    wino_weights(w, &which, k->u, y, ys);
    nest_close(&w->c.n, 2);
}

/* Products of the rows at work, whose weights the task transforms itself, those of some columns before the next. */
static void own_products(Block *k)
{
    const Winograd *q = k->w.w;
    LB *b = k->w.c.n.b;
    Expr *g = lb_for_n(b, FOR_SERIAL, q->group / q->cols, "g");
    transform_weights(k, g);
    Expr *xi = lb_for_n(b, FOR_SERIAL, k->rows * q->n, "xi");
    if (k->row) xi = lb_let(b, x_addi(b, xi, k->row * q->n), "xi");
    product_tiles(k, xi, g);
    nest_close(&k->w.c.n, 2);
}

/* M of a group of channels k. */
static void group_products(Block *k)
{
    const Wino *w = &k->w;
    LB *b = w->c.n.b;
    int64_t depth = depth_of(w);
    if (depth < w->channels) wino_clear(&k->w.c.n, k->m, w->w->n * w->w->n * results_plane(w->w));
    Expr *c = lb_for_n(b, FOR_SERIAL, w->channels / depth, "c");
    k->c = lb_let(b, x_muli(b, c, depth), "c");
    k->rows = w->w->depth ? w->w->rows_at_once : w->w->n;
    for (k->row = 0; k->row < w->w->n; k->row += k->rows) {
        if (w->w->in_registers)
            row_products(k);
        else if (w->w->depth)
            own_products(k);
        else
            stored_products(k);
    }
    lb_end(b);
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
    int64_t size[2], m = w->w->m, plane = results_plane(w->w);
    Expr *left = x_sub(b, x_i64(b, w->tiles), k->first);
    bool even = w->tiles % w->w->block == 0;
    Expr *count = even ? x_i64(b, w->w->block) : x_bin(b, B_MIN, left, x_i64(b, w->w->block));
    Expr *t = lb_for(b, FOR_SERIAL, count, "t");
    TilePlace p = wino_place(w, x_add(b, k->first, t));
    Expr *j = lb_for_n(b, FOR_SERIAL, w->w->group, "j");
    enum { MOST_KEPT = 16 }; /* results in registers; vectors of a block that take turns need a place in memory, too */
    bool kept = w->c.n.sched->machine->lanes >= BLOCK && m * m <= MOST_KEPT;
    LBuf *all = lb_alloc(b, kept ? BUF_REGISTER : BUF_LOCAL, LT_F32, m * m * BLOCK);
    Transform x = {.matrix = w->x.at, .rows = w->x.m, .cols = w->x.n, .from = k->m, .to = all};
    x.x = lb_let(b, x_muli(b, x_add(b, x_muli(b, t, w->w->group), j), BLOCK), "m");
    x.y = x_i64(b, 0);
    x.xs[0] = w->x.n * plane;
    x.xs[1] = plane;
    x.ys[0] = m * BLOCK;
    x.ys[1] = BLOCK;
    wino_transform(&w->c.n, &x);
    stand_at(w, &p, x_add(b, kb, j));
    SumsRun run = con_begin_run(&w->c, 1);
    sized_epilogue(w, all, &p, 0, size);
    con_end_run(&w->c, run, x_muli(b, x_add(b, x_sub(b, kb, k->part_kb), j), BLOCK));
    nest_close(&w->c.n, 2);
}

/* ---- a task ---- */

static int64_t blocks_of_part(const Winograd *q)
{
    return q->groups / q->parts * q->group;
}

/* Output channels of this part, a group at a time. */
static void all_channels(Block *k, Expr *part)
{
    const Winograd *q = k->w.w;
    LB *b = k->w.c.n.b;
    int64_t groups = q->groups / q->parts;
    k->part_kb = lb_let(b, x_muli(b, part, groups * q->group), "p");
    Expr *g = lb_for_n(b, FOR_SERIAL, groups, "g");
    k->kb = lb_let(b, x_add(b, k->part_kb, x_muli(b, g, q->group)), "k");
    group_products(k);
    transform_results(k, k->kb);
    lb_end(b);
}

/* Sums over channels of the part's results, for whom these are summed (contract_sums.c). */
static void store_sums(Block *k, Expr *block)
{
    const Winograd *q = k->w.w;
    LB *b = k->w.c.n.b;
    if (!k->w.c.n.sums) return;
    Expr *j = lb_for_n(b, FOR_SERIAL, blocks_of_part(q), "j");
    con_store_block(&k->w.c, j, x_add(b, k->part_kb, j), block);
    lb_end(b);
}

static LBuf *inputs_buffer(Wino *w)
{
    return w->w->few_channels ? wino_phases_buffer(w) : nest_buf(&w->c.n, w->c.n.group->anchor->in[0]);
}

/* The kernel of inputs that parts share. */
static void shared_inputs(Arena *a, Loops *out, const Group *g)
{
    Block k = {.first = NULL};
    wino_begin(&k.w, a, out, g, "winograd pack inputs");
    k.w.c.abuf = inputs_buffer(&k.w);
    const Winograd *q = k.w.w;
    NestLoop l[] = {{"b", q->blocks, q->blocks > 1, NULL}, {"h", q->copies, q->copies > 1, NULL}, {"c", channel_blocks(&k.w), true, NULL}};
    int opened = nest_open(&k.w.c.n, l, 3);
    begin_block(&k, l[0].var, l[1].var);
    transform_inputs(&k, l[2].var);
    nest_close(&k.w.c.n, opened);
    nest_end(&k.w.c.n, q->blocks * q->copies * channel_blocks(&k.w));
}

static void whole_block(Arena *a, Loops *out, const Group *g)
{
    Block k = {.first = NULL};
    wino_begin(&k.w, a, out, g, "winograd");
    LB *b = k.w.c.n.b;
    const Winograd *q = k.w.w;
    k.w.c.abuf = inputs_buffer(&k.w);
    if (!q->depth) k.u = wino_weights_buffer(&k.w);
    NestLoop l[] = {{"b", q->blocks, q->blocks > 1, NULL}, {"p", q->parts, q->parts > 1, NULL}};
    int opened = nest_open(&k.w.c.n, l, 2);
    begin_block(&k, l[0].var, x_divi(b, l[1].var, q->parts / q->copies));
    if (q->depth && !q->in_registers) k.u = lb_alloc(b, BUF_LOCAL, LT_F32, q->rows_at_once * q->n * panels_plane(q));
    k.m = lb_alloc(b, BUF_LOCAL, LT_F32, q->n * q->n * results_plane(q));
    if (!q->shared) {
        transform_inputs(&k, lb_for_n(b, FOR_SERIAL, channel_blocks(&k.w), "c")); /* outside: tiles lie side by side */
        lb_end(b);
    }
    con_begin_blocks(&k.w.c, blocks_of_part(q));
    all_channels(&k, l[1].var);
    store_sums(&k, l[0].var);
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
    if (!w->prepared && !w->depth) nest_winograd_weights(a, out, g);
    if (w->few_channels) nest_winograd_phases(a, out, g);
    if (w->shared) shared_inputs(a, out, g);
    whole_block(a, out, g);
}
