/* Contractions: convolution, Linear and their gradients, as one register-blocked nest.
 *
 * The schedule gives the order of loops, the tile (rows x cols vectors of accumulators) and which
 * operand's vectors the rows share. Inside of a tile the whole reduction runs in registers: for
 * every reduction step:  load `cols` vectors of the shared operand; for every row: broadcast one
 * scalar of the other, cols FMAs then the epilogue (contract_tail.c) turns accumulators into stored
 * values. Tiles that do not divide the output leave partial tiles, which are generated as tiles of
 * their own size: there is no condition inside of a tile. */
#include "nests/contract.h"
#include <stdlib.h>

static int64_t loop_extent(const Con *c, int k)
{
    const ConLoop *l = &c->s->loop[k];
    return l->part == PART_LANE && c->lane_limit[l->axis] ? c->lane_limit[l->axis] : l->extent;
}

Expr *con_address(Con *c, int operand)
{
    LB *b = c->n.b;
    const ConSchedule *s = c->s;
    Expr *x = x_i64(b, operand == 0 ? s->base_a : operand == 1 ? s->base_b : s->base_o);
    for (int k = 0; k < s->nloop; k++) {
        const ConLoop *l = &s->loop[k];
        if (!c->start[k]) continue;
        x = x_add(b, x,
                  x_muli(b, c->start[k],
                         operand == 0   ? l->sa
                         : operand == 1 ? l->sb
                                        : l->so));
    }
    return x;
}

/* ---- registers ---- */

int64_t con_rows(const Con *c)
{
    int64_t n = 1;
    for (int k = 0; k < c->s->nloop; k++)
        if (c->s->loop[k].role == ROLE_ROW) n *= c->size[k];
    return n;
}

/* Opens unrolled loops over the rows of the tile; r[k] = row number along loop k. -> loops opened
 */
int con_open_rows(Con *c, Expr **r)
{
    int opened = 0;
    for (int k = 0; k < c->s->nloop; k++) {
        if (c->s->loop[k].role != ROLE_ROW) continue;
        r[k] = x_i64(c->n.b, 0);
        if (c->size[k] == 1) continue;
        r[k] = lb_for_n(c->n.b, FOR_UNROLL, c->size[k], "m");
        opened++;
    }
    return opened;
}

Expr *con_row_number(Con *c, Expr *const *r)
{
    LB *b = c->n.b;
    Expr *m = x_i64(b, 0);
    for (int k = 0; k < c->s->nloop; k++)
        if (c->s->loop[k].role == ROLE_ROW) m = x_add(b, x_muli(b, m, c->size[k]), r[k]);
    return m;
}

/* Opens the unrolled loop over columns and the vector loop over lanes. -> loops opened */
int con_open_cols(Con *c, Expr **j, Expr **v)
{
    int lanes;
    *j = c->cols > 1 ? lb_for_n(c->n.b, FOR_UNROLL, c->cols, "j") : x_i64(c->n.b, 0);
    *v = nest_lanes(&c->n, c->lanes, &lanes);
    return lanes + (c->cols > 1);
}

Expr *con_acc(Con *c, Expr *row, Expr *j, Expr *v)
{
    LB *b = c->n.b;
    if (c->acc_base)
        return x_add(b, x_add(b, c->acc_base, x_muli(b, row, c->acc_row)), v); /* of a tile in shared memory */
    Expr *i = x_add(b, x_muli(b, row, c->cols), j);
    return x_add(b, x_muli(b, i, c->lanes), v);
}

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

/* ---- the reduction ---- */

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

/* One reduction step at offsets ra, rb from the tile's base. */
static void fma_step(Con *c, Expr *ra, Expr *rb)
{
    LB *b = c->n.b;
    bool sa = c->s->shared_a;
    Expr *r[CON_MAX_LOOPS], *at = sa ? rb : ra;
    Columns of[2];
    int64_t col, lane;
    int n = columns_of(c, of);
    vector_strides(c, !sa, &col, &lane);

    for (int i = 0; i < n; i++) load_columns(c, &of[i], sa ? ra : rb);
    int opened = con_open_rows(c, r);
    for (int k = 0; k < c->s->nloop; k++)
        if (c->s->loop[k].role == ROLE_ROW)
            at = x_add(b, at, x_muli(b, r[k], sa ? c->s->loop[k].sb : c->s->loop[k].sa));
    Expr *row = con_row_number(c, r);
    Expr *scalar = lane ? NULL : lb_let(b, nest_load_at(&c->n, sa ? c->bbuf : c->abuf, at), "x");
    for (int i = 0; i < n; i++) multiply_columns(c, &of[i], row, at, scalar);
    nest_close(&c->n, opened);
}

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
    Expr *r[CON_MAX_LOOPS], *at = sa ? rb : ra;
    int opened = con_open_rows(c, r);
    for (int k = 0; k < c->s->nloop; k++)
        if (c->s->loop[k].role == ROLE_ROW)
            at = x_add(b, at, x_muli(b, r[k], sa ? c->s->loop[k].sb : c->s->loop[k].sa));
    lb_prefetch(b, sa ? c->bbuf : c->abuf, at);
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
    int64_t e = loop_extent(c, k), u = c->s->unroll < e ? c->s->unroll : e, full = e / u;
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

/* ---- a tile ---- */

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

/* Are a tile's sums over channels, and those of a row of tiles, added up apart? A GPU's tasks are short, and its registers few. */
static bool sums_apart(const Con *c)
{
    return c->n.sums && !c->n.sched->machine->processors;
}

static void emit_tile(Con *c)
{
    LB *b = c->n.b;
    c->cols = 1;
    c->lanes = c->s->lane_extent;
    for (int k = 0; k < c->s->nloop; k++) {
        if (c->s->loop[k].role == ROLE_BLK) c->cols = (int)c->size[k];
        if (c->s->loop[k].role == ROLE_LANE && c->s->loop[k].part == PART_WHOLE)
            c->lanes = (int)c->size[k];
    }
    Expr *ra = lb_let(b, con_address(c, 0), "a"), *rb = lb_let(b, con_address(c, 1), "b");
    clear_acc(c);
    if (!empty_sum(c->s)) reduce_from(c, 0, ra, rb);
    join_half(c);
    SumsRun run = {NULL, 0};
    if (sums_apart(c)) run = con_begin_run(c, c->cols);
    if (c->chunk)
        con_store_partial(c, con_address(c, 2));
    else
        con_epilogue(c);
    if (sums_apart(c)) con_end_run(c, run, x_i64(b, 0));
}

/* ---- loops over tiles ---- */

static void emit_loops(Con *c, int k);

/* Tiles [from, from + count) of loop k, `size` elements each of them. */
typedef struct Variant {
    int64_t from, count, size, lanes;
} Variant;

static int variants(const Con *c, int k, Variant *v)
{
    const ConLoop *l = &c->s->loop[k];
    int64_t e = loop_extent(c, k), t = l->tile;
    if (l->role == ROLE_LANE) t = c->s->lane_extent;
    int n = 0;
    if (l->part == PART_BLK && l->last) { /* the last block has fewer lanes */
        int64_t tiles = (e + t - 1) / t;
        if (tiles > 1) v[n++] = (Variant){0, tiles - 1, t, 0};
        v[n++] = (Variant){tiles - 1, 1, e - (tiles - 1) * t, l->last};
        return n;
    }
    if (e / t) v[n++] = (Variant){0, e / t, t, 0};
    int64_t rest = e % t;
    for (int64_t s = l->role == ROLE_LANE ? BLOCK / 2 : rest; rest && s >= 1; s /= 2)
        if (rest >= s) { /* lanes: halves of the vector; rows: one smaller tile */
            v[n++] = (Variant){(e - rest) / (l->role == ROLE_LANE ? 1 : t), 1, s, 0};
            rest -= s;
        }
    return n;
}

static void emit_variant(Con *c, int k, const Variant *v, Expr *tile)
{
    const ConLoop *l = &c->s->loop[k];
    LB *b = c->n.b;
    int64_t unit = l->role == ROLE_LANE ? 1 : l->tile;
    c->tile[k] = tile;
    c->start[k] = x_addi(b, x_muli(b, tile, unit), -l->lap);
    c->size[k] = v->size + l->lap;
    if (l->part == PART_BLK) c->lane_limit[l->axis] = v->lanes;
    emit_loops(c, k + 1);
}

static void emit_serial(Con *c, int k, const Variant *v)
{
    LB *b = c->n.b;
    const ConLoop *l = &c->s->loop[k];
    int64_t scale = l->role == ROLE_LANE ? v->size : 1;
    if (v->count == 1) {
        emit_variant(c, k, v, x_i64(b, v->from));
        return;
    }
    bool apart = sums_apart(c) && c->serial;
    SumsRun run = {NULL, 0};
    if (apart) run = con_begin_run(c, c->sums_row / BLOCK);
    c->serial++;
    Expr *i = lb_for_n(b, FOR_SERIAL, v->count, "t");
    emit_variant(c, k, v, x_addi(b, x_muli(b, i, scale), v->from));
    lb_end(b);
    c->serial--;
    if (apart) con_end_run(c, run, x_i64(b, 0));
}

/* The last block has fewer lanes, and so fewer tiles than there are tasks: the others have nothing to do. */
static void emit_parallel(Con *c, int k, const Variant *v, int n)
{
    LB *b = c->n.b;
    Expr *i = c->par[k];
    const ConLoop *l = &c->s->loop[k];
    int64_t tiles = (l->extent + l->tile - 1) / l->tile;
    bool idle = v[n - 1].from + v[n - 1].count < tiles;
    for (int q = 0; q < n; q++) {
        bool last = q == n - 1;
        if (!last || idle) lb_if(b, x_cmp(b, C_LT, i, x_i64(b, v[q].from + v[q].count)));
        emit_variant(c, k, &v[q], v[q].count == 1 ? x_i64(b, v[q].from) : i);
        if (!last) lb_else(b);
    }
    for (int q = 0; q < n - 1 + idle; q++) lb_end(b);
}

static void emit_loops(Con *c, int k)
{
    enum { MOST_VARIANTS = 8 };
    Variant v[MOST_VARIANTS];
    while (k < c->s->nloop && c->s->loop[k].role == ROLE_RED) k++;
    if (k >= c->s->nloop) {
        emit_tile(c);
        return;
    }
    if (c->s->loop[k].role == ROLE_LANE &&
        c->s->loop[k].part == PART_LANE) { /* the lanes of a block: no loop */
        c->start[k] = NULL;
        emit_loops(c, k + 1);
        return;
    }
    if (c->s->loop[k].band) {
        con_band(c, k, emit_loops);
        return;
    }
    int n = variants(c, k, v);
    if (c->s->loop[k].in_order) con_begin_strip(c);
    if (c->s->loop[k].parallel)
        emit_parallel(c, k, v, n);
    else
        for (int q = 0; q < n; q++) emit_serial(c, k, &v[q]);
}

static int64_t decode_tasks(Con *c)
{
    NestLoop l[CON_MAX_LOOPS + 2];
    TaskLoop of[CON_MAX_LOOPS + 1];
    int split = c->n.gs->split > 1, n = schedule_task_loops(c->n.gs, c->s, of);
    int64_t tasks = c->n.gs->split;
    if (split) l[0] = (NestLoop){"s", tasks, true, NULL};
    for (int i = 0; i < n; i++) {
        l[split + i] = (NestLoop){"p", of[i].extent, true, NULL};
        tasks *= of[i].extent;
    }
    nest_open(&c->n, l, split + n);
    if (split) c->chunk = l[0].var;
    for (int i = 0; i < n; i++) {
        Expr **par = &c->par[of[i].loop], *x = x_muli(c->n.b, l[split + i].var, of[i].stride);
        *par = *par ? lb_let(c->n.b, x_add(c->n.b, *par, x), "p") : x;
    }
    return tasks;
}

/* Along dim d of an operand, halo included: how many places its index takes. */
static int64_t places_along(const Contract *c, const ConIndex *ix, const Layout *l, int d)
{
    int64_t all = l->dim[d] + l->lo[d] + l->hi[d], n = 1;
    for (int a = 0; a < c->naxes; a++)
        if (ix->coef[d][a]) n *= c->axis[a].extent;
    if (n >= l->dim[d] && l->block[d] > 1) return (all + BLOCK - 1) / BLOCK * BLOCK;
    return n < all ? n : all;
}

/* What is read of an operand: of a strided one, or of one that others read with a halo, not all that is stored. */
static void note_reads(const Con *c, LBuf *u, int operand)
{
    const Group *g = c->n.group;
    const Node *v = g->anchor->in[operand];
    const Layout *l = nest_layout(&c->n, v);
    int64_t n = 1;
    for (int i = 0; i < g->node.n; i++)
        for (int k = 0; k < g->node.v[i]->nin; k++)
            if (g->node.v[i]->in[k] == v && (g->node.v[i] != g->anchor || k != operand)) return;
    for (int d = 0; d < l->rank; d++)
        n *= places_along(&c->s->con, operand ? &c->s->con.b : &c->s->con.a, l, d);
    if (n < u->count) u->touched = n;
}

static void contract_phase(Arena *a, Loops *out, const Group *g, int phase)
{
    Con c = {.s = NULL};
    nest_begin(&c.n, a, out, g, "contract");
    c.s = &c.n.gs->con[phase];
    c.n.kernel.nowait = phase + 1 < c.n.gs->nphase;
    if (c.s->general) {
        nest_end(&c.n, con_general(&c));
        return;
    }
    c.abuf = nest_buf(&c.n, g->anchor->in[0]);
    c.bbuf = c.n.gs->pack_b ? nest_workspace(&c.n, 0, c.n.gs->packed_type, c.n.gs->packed.count)
                            : nest_buf(&c.n, g->anchor->in[1]);
    note_reads(&c, c.abuf, 0);
    if (!c.n.gs->pack_b) note_reads(&c, c.bbuf, 1);
    int64_t tasks = decode_tasks(&c);
    con_begin_sums(&c);
    emit_loops(&c, 0);
    con_end_sums(&c);
    con_skeleton(&c);
    nest_end(&c.n, tasks);
}

void nest_contract(Arena *a, Loops *out, const Group *g)
{
    const GroupSchedule *gs = &out->plan->schedule->group[g->id];
    if (gs->winograd) {
        nest_winograd(a, out, g);
        return;
    }
    if (gs->dot) {
        nest_contract_dot(a, out, g);
        return;
    }
    if (gs->pack_b) nest_pack(a, out, g);
    for (int p = 0; p < gs->nphase; p++) contract_phase(a, out, g, p);
    if (gs->split > 1) con_combine(a, out, g);
}
