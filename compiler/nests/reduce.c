/* Sums and maxima over all axes but the channels (BatchNorm statistics, bias gradients), over the
 * plane (global pooling), or over everything (losses); with the elementwise work in front of them
 * and behind them in the same kernels.
 *
 * Two kernels when the schedule cuts the batch: chunks leave float32 partial sums in the workspace,
 * then a small kernel adds them up in float64 and runs what follows. The cut depends on shapes
 * only, so that the result has the same bits for any number of threads. */
#include "nests/nest.h"
#include <math.h>

typedef struct Red {
    Nest n;
    const Group *g;
    Layout own;
    const Layout *dom; /* of the domain: own */
    const Node *anchor[GROUP_MOST_ANCHORS];
    int nanchor;
    unsigned axes;
    int64_t lanes;           /* BLOCK when channels are blocked, else 1 */
    int channels;            /* the axis whose elements are lanes */
    bool sum_lanes;          /* channels are summed, too */
    bool plain;              /* the last axis is taken as blocks of lanes and a rest */
    LBuf *acc;               /* [nanchor][lanes] */
    NestLoop kept[MAX_RANK]; /* axes (or blocks) that are not summed */
    int kept_axis[MAX_RANK], nkept;
} Red;

static const Layout *domain_layout(const Nest *n, const Group *g)
{
    for (int i = 0; i < g->node.n; i++)
        for (int k = 0; k < g->node.v[i]->nin; k++)
            if (shape_eq(g->node.v[i]->in[k]->shape, g->domain))
                return nest_layout(n, g->node.v[i]->in[k]);
    return nest_layout(n, g->anchor->in[0]);
}

static int64_t blocks(const Layout *l, int a)
{
    return (l->dim[a] + l->block[a] - 1) / l->block[a];
}

static void red_begin(Red *r, Arena *a, Loops *out, const Group *g, const char *nest)
{
    *r = (Red){.g = g};
    nest_begin(&r->n, a, out, g, nest);
    r->own = *domain_layout(&r->n, g);
    r->dom = &r->own;
    if (schedule_flat(r->n.sched, g)) { /* as blocks of lanes, all of them full */
        r->own.dim[0] = r->own.count;
        r->own.block[0] = BLOCK;
    }
    r->axes = g->anchor->op->reduce(g->anchor).axes;
    for (int i = 0; i < g->node.n; i++) {
        if (nest_stage(&r->n, g->node.v[i]) != STAGE_ANCHOR) continue;
        bug_if(r->nanchor == GROUP_MOST_ANCHORS, "%d sums in one kernel", r->nanchor + 1);
        r->anchor[r->nanchor++] = g->node.v[i];
    }
    r->channels = r->dom->rank >= 2;
    bool weights = false; /* their layouts cut another axis as well: element by element then */
    for (int i = 0; i < r->dom->rank; i++)
        weights = weights || (i != r->channels && r->dom->block[i] > 1);
    for (int i = 0; weights && i < r->dom->rank; i++) r->own.block[i] = 1;
    bool blocked = r->dom->rank >= 1 && r->dom->block[r->channels] > 1;
    r->plain = r->n.gs->red_plain;
    if (r->plain) {
        r->channels = r->dom->rank - 1;
        r->own.block[r->channels] = BLOCK;
    }
    r->lanes = blocked || r->plain ? BLOCK : 1;
    r->sum_lanes = r->plain || (blocked && (r->axes >> r->channels & 1));
    for (int i = 0; i < r->dom->rank; i++)
        if (!(r->axes >> i & 1)) {
            r->kept_axis[r->nkept] = i;
            r->kept[r->nkept++] = (NestLoop){"k", blocks(r->dom, i), false, NULL};
        }
}

static Expr *identity(Red *r, int k, LType t)
{
    bool max = r->anchor[k]->op->reduce(r->anchor[k]).kind == REDUCE_MAX;
    return t == LT_F64 ? x_f64(r->n.b, max ? -INFINITY : 0) : x_f32(r->n.b, max ? -INFINITY : 0);
}

static Expr *combine(Red *r, int k, Expr *x, Expr *y)
{
    bool max = r->anchor[k]->op->reduce(r->anchor[k]).kind == REDUCE_MAX;
    return max ? x_bin(r->n.b, B_MAX, x, y) : x_add(r->n.b, x, y);
}

static Expr *acc_at(Red *r, int k, Expr *v)
{
    return x_addi(r->n.b, v, k * r->lanes);
}

static void clear_acc(Red *r)
{
    LB *b = r->n.b;
    r->acc = lb_alloc(b, BUF_REGISTER, LT_F32, r->nanchor * r->lanes);
    for (int k = 0; k < r->nanchor; k++) {
        int opened;
        Expr *v = nest_lanes(&r->n, r->lanes, &opened);
        lb_store(b, r->acc, acc_at(r, k, v), identity(r, k, LT_F32));
        nest_close(&r->n, opened);
    }
}

static void place_axis(const Red *r, Coord *at, int axis, Expr *i)
{
    if (r->dom->block[axis] > 1)
        at->blk[axis] = i;
    else
        at->idx[axis] = i;
}

/* One vector of elements: computes, stores what others need, adds. Lanes past the last channel
 * count as zero when channels are summed. */
static void add_elements(Red *r, Coord *at, int64_t lanes)
{
    Nest *n = &r->n;
    LB *b = n->b;
    int opened;
    Expr *v = nest_lanes(n, lanes, &opened);
    if (r->lanes > 1) at->lane[r->channels] = v;
    nest_point(n, r->g->domain, at);
    nest_store_outs(n, STAGE_PRE, STAGE_PRE);
    for (int k = 0; k < r->nanchor; k++) {
        Expr *x = nest_value(n, r->anchor[k]->in[0]);
        if (r->sum_lanes && !r->plain && r->dom->dim[r->channels] % BLOCK) {
            Expr *c = x_add(b, x_muli(b, at->blk[r->channels], BLOCK), v);
            x = x_select(b, x_cmp(b, C_LT, c, x_i64(b, r->dom->dim[r->channels])), x,
                         identity(r, k, LT_F32));
        }
        Expr *i = acc_at(r, k, v);
        lb_store(b, r->acc, i, combine(r, k, x_load(b, r->acc, i), x));
    }
    nest_close(n, opened);
}

/* Adds the accumulators of a run to those around it. */
static void add_run(Red *r, LBuf *around)
{
    LB *b = r->n.b;
    for (int k = 0; k < r->nanchor; k++) {
        int opened;
        Expr *v = nest_lanes(&r->n, r->lanes, &opened), *i = acc_at(r, k, v);
        lb_store(b, around, i, combine(r, k, x_load(b, around, i), x_load(b, r->acc, i)));
        nest_close(&r->n, opened);
    }
    r->acc = around;
}

/* All of the last axis: blocks of lanes, then what is left. */
static void add_plain(Red *r, Coord *at)
{
    LB *b = r->n.b;
    int64_t extent = r->dom->dim[r->channels], whole = extent / BLOCK;
    Expr *i = whole > 1 ? lb_for_n(b, FOR_SERIAL, whole, "r") : x_i64(b, 0);
    place_axis(r, at, r->channels, i);
    add_elements(r, at, BLOCK);
    nest_close(&r->n, whole > 1);
    place_axis(r, at, r->channels, x_i64(b, whole));
    if (extent % BLOCK) add_elements(r, at, extent % BLOCK);
}

/* What of axis `a` the chunk sums: *extent elements from the returned one on. */
static Expr *part_of_axis(Red *r, int a, Expr *chunk, Expr **extent)
{
    LB *b = r->n.b;
    const GroupSchedule *gs = r->n.gs;
    *extent = x_i64(b, blocks(r->dom, a));
    if (!chunk || (a != 0 && (a != 2 || gs->red_rows == 1))) return x_i64(b, 0);
    int64_t length = a == 0 ? gs->red_chunk : gs->red_row_chunk;
    Expr *which = a == 0 ? x_divi(b, chunk, gs->red_rows) : x_modi(b, chunk, gs->red_rows);
    Expr *first = lb_let(b, x_muli(b, which, length), "f");
    *extent = x_bin(b, B_MIN, x_i64(b, length), x_sub(b, *extent, first));
    return first;
}

/* Loops over the summed axes; axes 0 and 2 only over this chunk. The innermost loop has accumulators of
 * its own: in one long chain of float32 additions, thousands of equal terms (the zeros behind a
 * ReLU, less a mean) would all be rounded to the same side. */
static void sum_chunk(Red *r, Expr *chunk)
{
    Nest *n = &r->n;
    LB *b = n->b;
    Coord at = {.rank = r->dom->rank};
    LBuf *around = NULL;
    int opened = 0;
    for (int i = 0; i < r->nkept; i++) place_axis(r, &at, r->kept_axis[i], r->kept[i].var);
    for (int a = 0; a < r->dom->rank; a++) {
        if (!(r->axes >> a & 1)) continue;
        Expr *extent, *first = part_of_axis(r, a, chunk, &extent);
        if (r->axes >> a == 1 && opened > 0) { /* the last */
            around = r->acc;
            clear_acc(r);
        }
        if (r->plain && a == r->channels) {
            add_plain(r, &at);
            break;
        }
        Expr *i = lb_for(b, FOR_SERIAL, extent, "r");
        place_axis(r, &at, a, x_add(b, i, first));
        opened++;
    }
    if (!r->plain) add_elements(r, &at, r->lanes);
    if (around && r->plain) {
        add_run(r, around);
    } else if (around) {
        nest_close(n, 1);
        add_run(r, around);
        opened--;
    }
    nest_close(n, opened);
}

/* Coordinates of the reduced value. */
static Coord reduced_coord(Red *r, Expr *v)
{
    Coord at = {.rank = r->g->anchor->shape.rank};
    Expr *zero = x_i64(r->n.b, 0);
    if (at.rank == 1) {
        if (r->lanes > 1 && !r->plain)
            at.blk[0] = r->kept[0].var, at.lane[0] = v;
        else
            at.idx[0] = r->kept[0].var;
    } else {
        for (int i = 0; i < at.rank; i++) at.idx[i] = zero;
        for (int i = 0; i < r->nkept; i++) {
            at.idx[r->kept_axis[i]] = NULL;
            place_axis(r, &at, r->kept_axis[i], r->kept[i].var);
            if (r->dom->block[r->kept_axis[i]] > 1) at.lane[r->kept_axis[i]] = v;
        }
    }
    return at;
}

static void store_reduced(Red *r, Expr *v, Expr **sum)
{
    Coord at = reduced_coord(r, v);
    nest_point(&r->n, r->g->tail, &at);
    for (int k = 0; k < r->nanchor; k++) nest_set(&r->n, r->anchor[k], sum[k]);
    nest_store_outs(&r->n, STAGE_ANCHOR, STAGE_LAST);
}

/* Adds the lanes of f64 sums to one number each, then stores. */
static void finish_lanes(Red *r, LBuf *total)
{
    LB *b = r->n.b;
    Expr *sum[GROUP_MOST_ANCHORS];
    for (int k = 0; k < r->nanchor; k++) {
        Expr *s = identity(r, k, LT_F64);
        for (int64_t i = 0; i < r->lanes; i++)
            s = combine(r, k, s, x_load(b, total, x_i64(b, k * r->lanes + i)));
        sum[k] = lb_let(b, x_cast(b, LT_F32, s), "s");
    }
    store_reduced(r, x_i64(b, 0), sum);
}

static void finish(Red *r, LBuf *total)
{
    LB *b = r->n.b;
    if (r->sum_lanes) {
        finish_lanes(r, total);
        return;
    }
    Expr *sum[GROUP_MOST_ANCHORS];
    int opened;
    Expr *v = nest_lanes(&r->n, r->lanes, &opened);
    for (int k = 0; k < r->nanchor; k++)
        sum[k] = lb_let(b, x_cast(b, LT_F32, x_load(b, total, acc_at(r, k, v))), "s");
    store_reduced(r, v, sum);
    nest_close(&r->n, opened);
}

/* f64 copies of the accumulators, or of the sums of all partials. */
static LBuf *totals(Red *r, LBuf *const *partial, int64_t nchunk, Expr *offset, int64_t per_chunk)
{
    LB *b = r->n.b;
    LBuf *total = lb_alloc(b, BUF_REGISTER, LT_F64, r->nanchor * r->lanes);
    int opened;
    for (int k = 0; k < r->nanchor; k++) {
        Expr *v = nest_lanes(&r->n, r->lanes, &opened);
        Expr *x = partial ? identity(r, k, LT_F64)
                          : x_cast(b, LT_F64, x_load(b, r->acc, acc_at(r, k, v)));
        lb_store(b, total, acc_at(r, k, v), x);
        nest_close(&r->n, opened);
    }
    if (!partial) return total;
    Expr *s = lb_for_n(b, FOR_SERIAL, nchunk, "s");
    for (int k = 0; k < r->nanchor; k++) {
        Expr *v = nest_lanes(&r->n, r->lanes, &opened);
        Expr *at = x_add(b, x_add(b, x_muli(b, s, per_chunk), offset), v);
        Expr *x = x_cast(b, LT_F64, x_load(b, partial[k], at));
        lb_store(b, total, acc_at(r, k, v), combine(r, k, x_load(b, total, acc_at(r, k, v)), x));
        nest_close(&r->n, opened);
    }
    lb_end(b);
    return total;
}

static int64_t per_chunk(const Red *r)
{
    int64_t n = r->lanes;
    for (int i = 0; i < r->nkept; i++) n *= r->kept[i].extent;
    return n;
}

/* Where this task's kept coordinates lie inside of one chunk's partial sums. */
static Expr *kept_offset(Red *r)
{
    Expr *x = x_i64(r->n.b, 0);
    for (int i = 0; i < r->nkept; i++)
        x = x_add(r->n.b, x_muli(r->n.b, x, r->kept[i].extent), r->kept[i].var);
    return x_muli(r->n.b, x, r->lanes);
}

static LBuf *partial_buf(Red *r, int k)
{
    int64_t count = r->n.gs->red_split * per_chunk(r);
    return nest_workspace(&r->n, r->n.gs->partials_at + k * count * (int64_t)sizeof(float), LT_F32, count);
}

/* Adds up the sums that a contraction's tiles have left (schedule_sums.c), red_chunk of them. */
static void sum_tiles(Red *r, Expr *chunk)
{
    LB *b = r->n.b;
    const GroupSchedule *gs = r->n.gs;
    int64_t per_sum = gs->red_tiles * per_chunk(r);
    LBuf *tiles = nest_workspace(&r->n, 0, LT_F32, r->nanchor * per_sum);
    Expr *first = lb_let(b, x_muli(b, chunk, gs->red_chunk), "f"), *left = x_sub(b, x_i64(b, gs->red_tiles), first);
    Expr *i = lb_for(b, FOR_SERIAL, x_bin(b, B_MIN, x_i64(b, gs->red_chunk), left), "r");
    Expr *at = x_add(b, x_muli(b, x_add(b, first, i), per_chunk(r)), kept_offset(r));
    for (int k = 0; k < r->nanchor; k++) {
        int lanes;
        Expr *v = nest_lanes(&r->n, r->lanes, &lanes), *to = acc_at(r, k, v);
        Expr *x = x_load(b, tiles, x_addi(b, x_add(b, at, v), k * per_sum));
        lb_store(b, r->acc, to, x_add(b, x_load(b, r->acc, to), x));
        nest_close(&r->n, lanes);
    }
    lb_end(b);
}

static void reduce_whole(Red *r)
{
    int64_t inner = shape_count(r->g->domain);
    for (int i = 0; i < r->nkept; i++) inner /= r->kept[i].extent;
    int64_t tasks = nest_choose_tasks(&r->n, r->kept, r->nkept, inner, 1024);
    int opened = nest_open(&r->n, r->kept, r->nkept);
    clear_acc(r);
    sum_chunk(r, NULL);
    finish(r, totals(r, NULL, 0, NULL, 0));
    nest_close(&r->n, opened);
    nest_end(&r->n, tasks);
}

static void reduce_chunks(Red *r)
{
    LB *b = r->n.b;
    NestLoop loop[MAX_RANK + 1] = {{"s", r->n.gs->red_split, true, NULL}};
    for (int i = 0; i < r->nkept; i++) loop[i + 1] = r->kept[i];
    int64_t tasks = r->n.gs->red_split;
    for (int i = 0; i < r->nkept; i++) {
        loop[i + 1].parallel = true;
        tasks *= loop[i + 1].extent;
    }
    int opened = nest_open(&r->n, loop, r->nkept + 1);
    for (int i = 0; i < r->nkept; i++) r->kept[i].var = loop[i + 1].var;
    clear_acc(r);
    (r->n.gs->summed_by ? sum_tiles : sum_chunk)(r, loop[0].var);
    Expr *base = x_add(b, x_muli(b, loop[0].var, per_chunk(r)), kept_offset(r));
    for (int k = 0; k < r->nanchor; k++) {
        int lanes;
        Expr *v = nest_lanes(&r->n, r->lanes, &lanes);
        lb_store(b, partial_buf(r, k), x_add(b, base, v), x_load(b, r->acc, acc_at(r, k, v)));
        nest_close(&r->n, lanes);
    }
    nest_close(&r->n, opened);
    nest_end(&r->n, tasks);
}

static void combine_chunks(Red *r)
{
    LBuf *partial[GROUP_MOST_ANCHORS];
    int64_t tasks = nest_choose_tasks(&r->n, r->kept, r->nkept, r->n.gs->red_split * r->lanes, 256);
    int opened = nest_open(&r->n, r->kept, r->nkept);
    for (int k = 0; k < r->nanchor; k++) partial[k] = partial_buf(r, k);
    finish(r, totals(r, partial, r->n.gs->red_split, kept_offset(r), per_chunk(r)));
    nest_close(&r->n, opened);
    nest_end(&r->n, tasks);
}

void nest_reduce(Arena *a, Loops *out, const Group *g)
{
    Red r;
    red_begin(&r, a, out, g, "reduce");
    bool by_tiles = r.n.gs->summed_by;
    if (r.n.gs->red_split == 1 && !by_tiles) {
        reduce_whole(&r);
        return;
    }
    if (!by_tiles || r.n.gs->red_chunk > 1) reduce_chunks(&r);
    red_begin(&r, a, out, g, "reduce combine");
    combine_chunks(&r);
}
