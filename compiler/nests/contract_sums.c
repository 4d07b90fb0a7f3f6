/* Sums over channels of what a contraction computes (schedule_sums.c): [sum][tile][channel], for the reduction to add up.
 *
 * A task has a row of lanes for each sum, and adds to it: in a template's tail, in shared memory; in loops, in registers; in
 * Winograd's algorithm, whose task is a block of tiles and several blocks of channels, in memory. On a CPU tiles, and rows of
 * tiles, are summed apart first (a run): a plane is too long a chain of float32 additions.
 * A task of loops is what else is called a tile. But where they stand beside a template, whose tiles they do not know, a
 * task has all rows of its columns, leaves their sums as those of the first tile, and zeros as those of the others. */
#include "nests/contract.h"

static int64_t channels_of(const Group *r)
{
    return (r->domain.dim[1] + BLOCK - 1) / BLOCK * BLOCK;
}

LBuf *con_tile_sums(Nest *n)
{
    const Group *r = n->sums;
    int64_t count = schedule_anchors(n->sched, r) * n->sched->group[r->id].red_tiles * channels_of(r);
    return nest_place(n, &n->plan->workspace[r->id], 0, LT_F32, count);
}

int64_t con_first_tile(const Con *c)
{
    int64_t first = 0;
    for (const ConSchedule *s = c->n.gs->con; s < c->s; s++) first += schedule_sum_count(s);
    return first;
}

void con_add_sums(Con *c, Expr *j, Expr *v)
{
    LB *b = c->n.b;
    const Group *r = c->n.sums;
    Expr *at = x_add(b, x_muli(b, j, BLOCK), v);
    for (int i = 0; r && i < r->node.n; i++) {
        if (nest_stage(&c->n, r->node.v[i]) != STAGE_ANCHOR) continue;
        Expr *x = nest_value(&c->n, r->node.v[i]->in[0]);
        lb_store(b, c->sums, at, x_add(b, x_load(b, c->sums, at), x));
        at = x_addi(b, at, c->sums_row);
    }
}

static int count_sums(const Con *c)
{
    return schedule_anchors(c->n.sched, c->n.sums);
}

/* Zeros, of `columns` blocks for each sum. */
static void clear_sums(Con *c, BufScope scope, int64_t columns)
{
    LB *b = c->n.b;
    int64_t n = count_sums(c);
    c->sums_row = columns * BLOCK;
    c->sums = lb_alloc(b, scope, LT_F32, n * c->sums_row);
    Expr *i = lb_for_n(b, scope == BUF_REGISTER ? FOR_UNROLL : FOR_SERIAL, n * columns, "i");
    Expr *v = lb_for_n(b, FOR_VECTOR, BLOCK, "v");
    lb_store(b, c->sums, x_add(b, x_muli(b, i, BLOCK), v), x_f32(b, 0));
    nest_close(&c->n, 2);
}

void con_begin_sums(Con *c)
{
    if (c->n.sums) clear_sums(c, BUF_REGISTER, c->s->loop[schedule_columns(c->s)].tile);
}

void con_begin_blocks(Con *c, int64_t blocks)
{
    if (c->n.sums) clear_sums(c, BUF_LOCAL, blocks);
}

SumsRun con_begin_run(Con *c, int64_t columns)
{
    SumsRun run = {c->sums, c->sums_row};
    if (c->n.sums) clear_sums(c, BUF_REGISTER, columns);
    return run;
}

void con_end_run(Con *c, SumsRun run, Expr *at)
{
    LB *b = c->n.b;
    if (!c->n.sums) return;
    Expr *sum = lb_for_n(b, FOR_UNROLL, count_sums(c), "k"), *j = lb_for_n(b, FOR_UNROLL, c->sums_row / BLOCK, "j");
    Expr *v = lb_for_n(b, FOR_VECTOR, BLOCK, "v"), *column = x_add(b, x_muli(b, j, BLOCK), v);
    Expr *to = x_add(b, x_muli(b, sum, run.row), x_add(b, at, column));
    Expr *x = x_load(b, c->sums, x_add(b, x_muli(b, sum, c->sums_row), column));
    lb_store(b, run.around, to, x_add(b, x_load(b, run.around, to), x));
    nest_close(&c->n, 3);
    c->sums = run.around;
    c->sums_row = run.row;
}

/* Number of the task among those of the same columns. */
static Expr *number_of(const Con *c)
{
    LB *b = c->n.b;
    Expr *x = x_i64(b, 0);
    for (int k = 0; k < c->s->nloop; k++) {
        const ConLoop *l = &c->s->loop[k];
        if (l->parallel && l->role != ROLE_BLK)
            x = x_add(b, x_muli(b, x, (l->extent + l->tile - 1) / l->tile), c->par[k]);
    }
    return x;
}

/* Of a vector of sums, where they are among the task's and among all. */
static void store_sums(Con *c, Expr *sum, Expr *j, Expr *block, Expr *tile)
{
    LB *b = c->n.b;
    int64_t tiles = c->n.sched->group[c->n.sums->id].red_tiles, channels = channels_of(c->n.sums);
    bool beside = c->s->tile.config;
    Expr *v = lb_for_n(b, FOR_VECTOR, BLOCK, "v");
    Expr *row = x_add(b, x_muli(b, sum, tiles), tile);
    Expr *to = x_add(b, x_add(b, x_muli(b, row, channels), x_muli(b, block, BLOCK)), v);
    Expr *from = x_add(b, x_add(b, x_muli(b, sum, c->sums_row), x_muli(b, j, BLOCK)), v);
    Expr *first = x_cmp(b, C_EQ, tile, x_i64(b, con_first_tile(c)));
    Expr *x = x_load(b, c->sums, from);
    lb_store(b, con_tile_sums(&c->n), to, beside ? x_select(b, first, x, x_f32(b, 0)) : x);
    nest_close(&c->n, 1);
}

void con_store_block(Con *c, Expr *j, Expr *block, Expr *tile)
{
    LB *b = c->n.b;
    if (!c->n.sums) return;
    Expr *sum = lb_for_n(b, FOR_UNROLL, count_sums(c), "k");
    store_sums(c, sum, j, block, tile);
    lb_end(b);
}

/* One block of columns: its number among the task's, and among all. */
static void store_block(Con *c, Expr *sum, Expr *j, Expr *block)
{
    LB *b = c->n.b;
    bool beside = c->s->tile.config;
    Expr *tile = beside ? lb_for_n(b, FOR_SERIAL, c->s->tile.tiles_m, "t") : number_of(c);
    store_sums(c, sum, j, block, x_addi(b, tile, con_first_tile(c)));
    nest_close(&c->n, beside);
}

void con_end_sums(Con *c)
{
    LB *b = c->n.b;
    if (!c->n.sums) return;
    int k = schedule_columns(c->s);
    const ConLoop *l = &c->s->loop[k];
    Expr *sum = lb_for_n(b, FOR_UNROLL, count_sums(c), "k");
    Expr *j = lb_for_n(b, FOR_UNROLL, l->tile, "j");
    Expr *first = l->parallel ? x_muli(b, c->par[k], l->tile) : x_i64(b, 0);
    Expr *block = lb_let(b, x_add(b, first, j), "b");
    lb_if(b, x_cmp(b, C_LT, block, x_i64(b, l->extent)));
    store_block(c, sum, j, block);
    nest_close(&c->n, 3);
}
