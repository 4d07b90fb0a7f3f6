/* What a tile of a contraction sums: the reduction runs in registers. For every step it loads `cols` vectors of the operand
 * that rows share; for every row it broadcasts one scalar of the other (or loads vectors of its own) and adds the products.
 * A block whose upper half are no channels sums its lower half alone. Taps that meet nothing but zeros are left out, where
 * many do. In: the tile's place and sizes. Out: its sums. */
#include "nests/contract.h"
#include <stdlib.h>

static const ConLoop *loop_of(const Con *c, ConRole role)
{
    for (int k = 0; k < c->s->nloop; k++)
        if (c->s->loop[k].role == role) return &c->s->loop[k];
    return NULL;
}

/* Strides along columns and lanes in A or B. */
static void vector_strides(const Con *c, bool in_a, int64_t *col, int64_t *lane)
{
    const ConLoop *blk = loop_of(c, ROLE_BLK), *ln = loop_of(c, ROLE_LANE);
    *col = !blk ? 0 : in_a ? blk->sa : blk->sb;
    *lane = in_a ? ln->sa : ln->sb;
}

/* ---- a step ---- */

static Expr *vector_address(Con *c, bool in_a, Expr *base, Expr *j, Expr *v)
{
    int64_t col, lane;
    vector_strides(c, in_a, &col, &lane);
    LB *b = c->n.b;
    return x_add(b, x_add(b, base, x_muli(b, j, col)), x_muli(b, v, lane));
}

/* Vectors of the tile that a step multiplies: `cols` of them from column `first` on, and which of their lanes; into `acc`. */
typedef struct Columns {
    LBuf *acc;
    int first, cols, lanes;
} Columns;

/* All, or those of full blocks and then the lower half of the last: -> how many */
static int columns_of(const Con *c, Columns *of)
{
    int n = 0, full = c->cols - (c->half != NULL);
    if (full) of[n++] = (Columns){c->acc, 0, full, c->lanes};
    if (c->half) of[n++] = (Columns){c->half, full, 1, BLOCK / 2};
    return n;
}

static int open_columns(Con *c, const Columns *of, Expr **j, Expr **v)
{
    LB *b = c->n.b;
    int lanes;
    *j = of->cols > 1 ? lb_for_n(b, FOR_UNROLL, of->cols, "j") : x_i64(b, 0);
    *v = nest_lanes(&c->n, of->lanes, &lanes);
    *j = x_addi(b, *j, of->first);
    return lanes + (of->cols > 1);
}

static Expr *sum_of(Con *c, const Columns *of, Expr *row, Expr *j, Expr *v)
{
    LB *b = c->n.b;
    return of->acc == c->half ? x_add(b, x_muli(b, row, of->lanes), v) : con_acc(c, row, j, v);
}

/* The vectors that all rows share. */
static void load_columns(Con *c, const Columns *of, Expr *base)
{
    LB *b = c->n.b;
    bool sa = c->s->shared_a;
    Expr *j, *v;
    int opened = open_columns(c, of, &j, &v);
    Expr *slot = x_add(b, x_muli(b, j, c->lanes), v);
    lb_store(b, c->vec, slot, nest_load_at(&c->n, sa ? c->abuf : c->bbuf, vector_address(c, sa, base, j, v)));
    nest_close(&c->n, opened);
}

/* A row's sums; scalar: what it multiplies all of them by, NULL: vectors of its own. */
static void multiply_columns(Con *c, const Columns *of, Expr *row, Expr *at, Expr *scalar)
{
    LB *b = c->n.b;
    bool sa = c->s->shared_a;
    Expr *j, *v;
    int opened = open_columns(c, of, &j, &v);
    Expr *x = scalar ? scalar : nest_load_at(&c->n, sa ? c->bbuf : c->abuf, vector_address(c, !sa, at, j, v));
    Expr *y = x_load(b, c->vec, x_add(b, x_muli(b, j, c->lanes), v)), *i = sum_of(c, of, row, j, v);
    lb_store(b, of->acc, i, x_fma(b, x, y, x_load(b, of->acc, i)));
    nest_close(&c->n, opened);
}

/* Of the operand that rows share nothing of: row r's place, from the tile's `at` on. */
static Expr *row_at(Con *c, Expr *const *r, Expr *at)
{
    LB *b = c->n.b;
    for (int k = 0; k < c->s->nloop; k++) {
        const ConLoop *l = &c->s->loop[k];
        if (l->role == ROLE_ROW) at = x_add(b, at, x_muli(b, r[k], c->s->shared_a ? l->sb : l->sa));
    }
    return at;
}

/* One reduction step at offsets ra, rb from the tile's base. */
static void fma_step(Con *c, Expr *ra, Expr *rb)
{
    LB *b = c->n.b;
    bool sa = c->s->shared_a;
    Expr *r[CON_MAX_LOOPS];
    Columns of[2];
    int64_t col, lane;
    int n = columns_of(c, of);
    vector_strides(c, !sa, &col, &lane);

    for (int i = 0; i < n; i++) load_columns(c, &of[i], sa ? ra : rb);
    int opened = con_open_rows(c, r);
    Expr *at = row_at(c, r, sa ? rb : ra), *row = con_row_number(c, r);
    Expr *scalar = lane ? NULL : lb_let(b, nest_load_at(&c->n, sa ? c->bbuf : c->abuf, at), "x");
    for (int i = 0; i < n; i++) multiply_columns(c, &of[i], row, at, scalar);
    nest_close(&c->n, opened);
}

/* ---- loops ---- */

static void reduce_from(Con *c, int k, Expr *ra, Expr *rb);

/* The loop over blocks of the lanes that are summed innermost, if its steps take the tile's scalars, a cache line of lanes
 * a row, from other pages: hardware does not foresee that. -1: there is none. */
static int jumping_loop(const Con *c)
{
    enum { PAGE = 4096 };
    const ConSchedule *s = c->s;
    const ConLoop *lane = &s->loop[s->nloop - 1];
    int64_t along = s->shared_a ? lane->sb : lane->sa;
    if (c->n.sched->machine->processors || lane->part != PART_LANE || along != 1) return -1;
    for (int k = 0; k < s->nloop - 1; k++) {
        const ConLoop *l = &s->loop[k];
        int64_t step = s->shared_a ? l->sb : l->sa;
        if (l->role == ROLE_RED && l->part == PART_BLK && l->axis == lane->axis)
            return step * (int64_t)sizeof(float) >= PAGE ? k : -1;
    }
    return -1;
}

/* The scalars of all rows of the tile, from ra and rb on. */
static void prefetch_rows(Con *c, Expr *ra, Expr *rb)
{
    LB *b = c->n.b;
    bool sa = c->s->shared_a;
    Expr *r[CON_MAX_LOOPS];
    int opened = con_open_rows(c, r);
    lb_prefetch(b, sa ? c->bbuf : c->abuf, row_at(c, r, sa ? rb : ra));
    nest_close(&c->n, opened);
}

static void reduce_loop(Con *c, int k, Expr *first, Expr *count, Expr *ra, Expr *rb, ForKind kind,
                        int64_t step)
{
    LB *b = c->n.b;
    const ConLoop *l = &c->s->loop[k];
    Expr *i = lb_for(b, kind, count, "r");
    i = x_add(b, x_muli(b, i, step), first);
    ra = x_add(b, ra, x_muli(b, i, l->sa));
    rb = x_add(b, rb, x_muli(b, i, l->sb));
    reduce_from(c, k + 1, ra, rb);
    lb_end(b);
}

/* The innermost loop: `unroll` steps at a time, then what is left. */
static void reduce_innermost(Con *c, int k, Expr *ra, Expr *rb)
{
    LB *b = c->n.b;
    const ConLoop *l = &c->s->loop[k];
    int64_t e = con_extent(c, k), u = c->s->unroll < e ? c->s->unroll : e, full = e / u;
    int blk = jumping_loop(c);
    if (blk >= 0) prefetch_rows(c, x_addi(b, ra, c->s->loop[blk].sa), x_addi(b, rb, c->s->loop[blk].sb));
    Expr *i = full > 1 ? lb_for_n(b, FOR_SERIAL, full, "r") : x_i64(b, 0);
    Expr *base = x_muli(b, i, u);
    Expr *a0 = lb_let(b, x_add(b, ra, x_muli(b, base, l->sa)), "a");
    Expr *b0 = lb_let(b, x_add(b, rb, x_muli(b, base, l->sb)), "b");
    Expr *j = u > 1 ? lb_for_n(b, FOR_UNROLL, u, "u") : x_i64(b, 0);
    fma_step(c, x_add(b, a0, x_muli(b, j, l->sa)), x_add(b, b0, x_muli(b, j, l->sb)));
    nest_close(&c->n, (u > 1) + (full > 1));
    for (int64_t rest = full * u; rest < e; rest++)
        fma_step(c, x_addi(b, ra, rest * l->sa), x_addi(b, rb, rest * l->sb));
}

/* A chunk of the batch: the schedule's split. */
static void reduce_chunk(Con *c, int k, Expr *ra, Expr *rb)
{
    LB *b = c->n.b;
    const GroupSchedule *gs = c->n.gs;
    Expr *first = lb_let(b, x_muli(b, c->chunk, gs->chunk), "n");
    Expr *left = x_sub(b, x_i64(b, c->s->loop[k].extent), first);
    bool even = c->s->loop[k].extent % gs->chunk == 0;
    Expr *count = even ? x_i64(b, gs->chunk) : x_bin(b, B_MIN, left, x_i64(b, gs->chunk));
    reduce_loop(c, k, first, count, ra, rb, FOR_SERIAL, 1);
}

/* ---- taps that meet nothing but zeros ---- */

/* Indexes of A along plane dim d that loop k moves through, without what k adds: from `base` on, `width` of them. */
typedef struct Reach {
    int d;
    int64_t step, width; /* step: of k, not 0 */
    Expr *base;
} Reach;

/* The dim of A that loop k moves along while, of the others, only loops of the tile do; -1: there is none. */
static int reached_dim(const Con *c, int k)
{
    const Contract *con = &c->s->con;
    const ConLoop *l = &c->s->loop[k];
    int found = -1;
    for (int d = 0; d < con->a.view.rank && l->part == PART_WHOLE; d++) {
        if (!con->a.coef[d][l->axis]) continue;
        if (found >= 0) return -1;
        found = d;
    }
    for (int i = 0; i < c->s->nloop && found >= 0; i++) {
        const ConLoop *o = &c->s->loop[i];
        bool moves = con->a.coef[found][o->axis] != 0;
        if (i != k && moves && (o->role == ROLE_RED || o->part != PART_WHOLE)) return -1;
    }
    return found;
}

static Reach reach_of(Con *c, int k)
{
    LB *b = c->n.b;
    const ConIndex *a = &c->s->con.a;
    Reach r = {.d = reached_dim(c, k), .width = 1};
    if (r.d < 0) return r;
    r.step = a->coef[r.d][c->s->loop[k].axis];
    r.base = x_i64(b, a->off[r.d]);
    for (int i = 0; i < c->s->nloop; i++) {
        int64_t coef = a->coef[r.d][c->s->loop[i].axis], far = coef * (c->size[i] - 1);
        if (i == k || !coef) continue;
        if (c->start[i]) r.base = x_add(b, r.base, x_muli(b, c->start[i], coef));
        if (far < 0) r.base = x_addi(b, r.base, far);
        r.width += far < 0 ? -far : far;
    }
    return r;
}

/* Of all places and steps of loop k's axis, so many fall outside of A that looking for them pays. */
static bool worth_skipping(const Con *c, int k, int d)
{
    enum { SHARE = 8 };
    const Contract *con = &c->s->con;
    int axis = c->s->loop[k].axis;
    int64_t taps = con->axis[axis].extent, step = llabs(con->a.coef[d][axis]), dim = con->a.view.dim[d];
    int64_t outside = 0, reach = step * (taps - 1);
    for (int64_t t = 0; t < taps; t++) { /* as many before A as behind it */
        int64_t off = llabs(t * step - reach / 2);
        outside += off < dim ? off : dim;
    }
    return c->n.sched->machine->processors == 0 && step > 1 && outside * SHARE > taps * dim;
}

/* The steps of loop k at which some place of the tile lies in A: others add zeros. */
static bool reduce_inside(Con *c, int k, Expr *ra, Expr *rb)
{
    LB *b = c->n.b;
    int64_t extent = c->s->loop[k].extent;
    Reach r = reach_of(c, k);
    if (r.d < 0 || !worth_skipping(c, k, r.d)) return false;
    int64_t step = llabs(r.step), last = c->s->con.a.view.dim[r.d] - 1;
    /* 0 <= base + width - 1 + step*x and base + step*x <= last; backwards the same with x = extent - 1 - y */
    Expr *base = r.step > 0 ? r.base : x_addi(b, r.base, r.step * (extent - 1));
    Expr *before = x_bin(b, B_MAX, x_sub(b, x_i64(b, 1 - r.width), base), x_i64(b, 0));
    Expr *left = x_bin(b, B_MAX, x_addi(b, x_sub(b, x_i64(b, last), base), step), x_i64(b, 0));
    Expr *lo = lb_let(b, x_divi(b, x_addi(b, before, step - 1), step), "lo");
    Expr *end = x_bin(b, B_MIN, x_divi(b, left, step), x_i64(b, extent));
    Expr *count = lb_let(b, x_bin(b, B_MAX, x_sub(b, end, lo), x_i64(b, 0)), "n");
    Expr *first = r.step > 0 ? lo : x_sub(b, x_sub(b, x_i64(b, extent), lo), count);
    reduce_loop(c, k, first, count, ra, rb, FOR_SERIAL, 1);
    return true;
}

static void reduce_from(Con *c, int k, Expr *ra, Expr *rb)
{
    LB *b = c->n.b;
    const ConLoop *l = &c->s->loop[k];
    while (k < c->s->nloop && l->role != ROLE_RED) l = &c->s->loop[++k];
    if (k >= c->s->nloop) {
        fma_step(c, ra, rb);
        return;
    }
    if (c->chunk && l->axis == c->n.gs->split_axis) {
        reduce_chunk(c, k, ra, rb);
        return;
    }
    if (k == c->s->nloop - 1) {
        reduce_innermost(c, k, ra, rb);
        return;
    }
    if (reduce_inside(c, k, ra, rb)) return;
    int64_t whole = l->last ? l->extent - 1 : l->extent; /* full blocks, then the partial one */
    c->lane_limit[l->axis] = 0;
    if (whole == 1)
        reduce_from(c, k + 1, ra, rb);
    else if (whole > 1)
        reduce_loop(c, k, x_i64(b, 0), x_i64(b, whole), ra, rb, FOR_SERIAL, 1);
    if (!l->last) return;
    c->lane_limit[l->axis] = l->last;
    reduce_from(c, k + 1, x_addi(b, ra, whole * l->sa), x_addi(b, rb, whole * l->sb));
    c->lane_limit[l->axis] = 0;
}

static bool empty_sum(const ConSchedule *s)
{
    for (int k = 0; k < s->nloop; k++)
        if (s->loop[k].role == ROLE_RED && s->con.axis[s->loop[k].axis].extent == 0) return true;
    return false;
}

/* ---- sums ---- */

/* Is the last of the tile's vectors a block with no more channels than half of it has lanes? */
static bool half_empty(const Con *c)
{
    int k = schedule_columns(c->s);
    if (k < 0 || c->n.sched->machine->processors) return false;
    int64_t limit = c->lane_limit[c->s->loop[k].axis];
    return limit && limit <= BLOCK / 2;
}

static void clear_acc(Con *c)
{
    LB *b = c->n.b;
    Expr *r[CON_MAX_LOOPS], *j, *v;
    c->acc = lb_alloc(b, BUF_REGISTER, LT_F32, con_rows(c) * c->cols * c->lanes);
    c->vec = lb_alloc(b, BUF_REGISTER, LT_F32, (int64_t)c->cols * c->lanes);
    c->half = half_empty(c) ? lb_alloc(b, BUF_REGISTER, LT_F32, con_rows(c) * BLOCK / 2) : NULL;
    Columns of[2];
    int opened = con_open_rows(c, r), n = columns_of(c, of);
    Expr *row = con_row_number(c, r);
    for (int i = 0; i < n; i++) {
        int inner = open_columns(c, &of[i], &j, &v);
        lb_store(b, of[i].acc, sum_of(c, &of[i], row, j, v), x_f32(b, 0));
        nest_close(&c->n, inner);
    }
    nest_close(&c->n, opened);
}

/* The half that was summed alone becomes a vector like the others. */
static void join_half(Con *c)
{
    LB *b = c->n.b;
    Expr *r[CON_MAX_LOOPS], *j = x_i64(b, c->cols - 1);
    if (!c->half) return;
    int opened = con_open_rows(c, r);
    Expr *row = con_row_number(c, r);
    for (int half = 0; half < 2; half++) {
        Expr *v = lb_for_n(b, FOR_VECTOR, BLOCK / 2, "v");
        Expr *x = half ? x_f32(b, 0) : x_load(b, c->half, x_add(b, x_muli(b, row, BLOCK / 2), v));
        lb_store(b, c->acc, con_acc(c, row, j, x_addi(b, v, half * BLOCK / 2)), x);
        lb_end(b);
    }
    nest_close(&c->n, opened);
}

void con_sum(Con *c)
{
    LB *b = c->n.b;
    Expr *ra = lb_let(b, con_address(c, 0), "a"), *rb = lb_let(b, con_address(c, 1), "b");
    clear_acc(c);
    if (!empty_sum(c->s)) reduce_from(c, 0, ra, rb);
    join_half(c);
}
