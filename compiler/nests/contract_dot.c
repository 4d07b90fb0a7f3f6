/* Contractions whose results lie across what is summed (schedule_dot.c): every accumulator is a vector along the summed
 * lanes, for `chunk` neighbours of the result at a time. Sums of neighbouring lanes, until a vector of results is left,
 * make the results lie side by side; what follows is done on that vector.
 *
 * The phases of a transposed convolution whose results lie in turns along the row are computed together. */
#include "nests/contract.h"

typedef struct DotNest {
    Nest n;
    const Dot *dot;
    const Contract *con; /* of the phase */
    LBuf *acc, *vec;
    Expr *axis[CON_MAX_AXES]; /* where the nest is; of the summed lanes: their block */
    int64_t count;            /* results of this chunk */
} DotNest;

static bool in_out(const Contract *c, int axis)
{
    for (int d = 0; d < c->out.view.rank; d++)
        if (c->out.coef[d][axis]) return true;
    return false;
}

/* Of an operand where the nest is, at a lane of the block. */
static Expr *dot_load(DotNest *t, int operand, Expr *lane)
{
    LB *b = t->n.b;
    const Node *v = t->n.group->anchor->in[operand];
    const ConIndex *ix = operand ? &t->con->b : &t->con->a;
    const Layout *l = nest_layout(&t->n, v);
    Expr *x = x_i64(b, l->base);
    for (int d = 0; d < l->rank; d++) {
        bool lanes = ix->coef[d][t->dot->sum] != 0;
        Expr *i = x_i64(b, ix->off[d]);
        for (int a = 0; a < t->con->naxes; a++)
            if (ix->coef[d][a] && a != t->dot->sum) i = x_add(b, i, x_muli(b, t->axis[a], ix->coef[d][a]));
        Expr *blk = l->block[d] > 1 ? x_divi(b, i, l->block[d]) : i;
        if (lanes) blk = x_add(b, blk, t->axis[t->dot->sum]);
        x = x_add(b, x, x_muli(b, blk, l->outer[d]));
        if (l->block[d] > 1) x = x_add(b, x, x_muli(b, lanes ? lane : x_modi(b, i, l->block[d]), l->inner[d]));
    }
    return nest_load_at(&t->n, nest_buf(&t->n, v), x);
}

/* The phase's results of the chunk: so many, from the first of them on. */
static int64_t rows_of(const DotNest *t)
{
    int64_t left = t->count - t->con->out.off[t->dot->dim];
    return left > 0 ? (left + t->dot->step - 1) / t->dot->step : 0;
}

/* Products of `width` lanes from `from` on, of all rows. */
static void add_products(DotNest *t, int64_t from, int64_t width)
{
    LB *b = t->n.b;
    int opened;
    Expr *v = nest_lanes(&t->n, width, &opened), *row = t->axis[t->dot->row];
    lb_store(b, t->vec, v, dot_load(t, t->dot->shared, x_addi(b, v, from)));
    nest_close(&t->n, opened);
    int64_t rows = rows_of(t);
    Expr *r = rows > 1 ? lb_for_n(b, FOR_UNROLL, rows, "m") : x_i64(b, 0);
    v = nest_lanes(&t->n, width, &opened);
    t->axis[t->dot->row] = x_add(b, row, r);
    Expr *place = x_addi(b, x_muli(b, r, t->dot->step), t->con->out.off[t->dot->dim]);
    Expr *at = x_add(b, x_muli(b, place, t->dot->lanes), v);
    Expr *x = dot_load(t, !t->dot->shared, x_addi(b, v, from));
    lb_store(b, t->acc, at, x_fma(b, x, x_load(b, t->vec, v), x_load(b, t->acc, at)));
    nest_close(&t->n, opened + (rows > 1));
    t->axis[t->dot->row] = row;
}

static void add_lanes(DotNest *t, Expr *blk, int64_t lanes)
{
    t->axis[t->dot->sum] = blk;
    for (int64_t from = 0; from < lanes; from += t->dot->lanes)
        add_products(t, from, lanes - from < t->dot->lanes ? lanes - from : t->dot->lanes);
}

/* Blocks of summed lanes: full ones, then the last. */
static void add_blocks(DotNest *t)
{
    LB *b = t->n.b;
    int64_t extent = t->con->axis[t->dot->sum].extent, whole = extent / BLOCK;
    if (whole) {
        Expr *blk = whole > 1 ? lb_for_n(b, FOR_SERIAL, whole, "c") : x_i64(b, 0);
        add_lanes(t, blk, BLOCK);
        nest_close(&t->n, whole > 1);
    }
    if (extent % BLOCK) add_lanes(t, x_i64(b, whole), extent % BLOCK);
}

static void add_phase(DotNest *t)
{
    enum { MOST_UNROLLED = 64 };
    LB *b = t->n.b;
    int64_t steps = rows_of(t);
    int opened = 0;
    for (int a = 0; a < t->con->naxes; a++)
        if (a != t->dot->sum && !in_out(t->con, a)) steps *= t->con->axis[a].extent;
    if (!steps) return;
    ForKind kind = steps <= MOST_UNROLLED ? FOR_UNROLL : FOR_SERIAL;
    for (int a = 0; a < t->con->naxes; a++) {
        if (a == t->dot->sum || in_out(t->con, a)) continue;
        bool loop = t->con->axis[a].extent > 1;
        t->axis[a] = loop ? lb_for_n(b, kind, t->con->axis[a].extent, "r") : x_i64(b, 0);
        opened += loop;
    }
    add_blocks(t);
    nest_close(&t->n, opened);
}

/* The lanes of all accumulators, one after the other: neighbours are added until as many are left as a vector has. */
static LBuf *add_neighbours(DotNest *t)
{
    LB *b = t->n.b;
    LBuf *from = t->acc;
    for (int64_t n = t->dot->lanes * t->dot->lanes / 2; n >= t->dot->lanes; n /= 2) {
        int opened;
        LBuf *to = lb_alloc(b, BUF_REGISTER, LT_F32, n);
        Expr *v = nest_lanes(&t->n, n, &opened), *at = x_muli(b, v, 2);
        lb_store(b, to, v, x_add(b, x_load(b, from, at), x_load(b, from, x_addi(b, at, 1))));
        nest_close(&t->n, opened);
        from = to;
    }
    return from;
}

static void dot_epilogue(DotNest *t, Expr *chunk, LBuf *sums)
{
    LB *b = t->n.b;
    const Node *anchor = t->n.group->anchor;
    int opened;
    Coord at = {.rank = t->con->out.view.rank};
    Expr *v = nest_lanes(&t->n, t->count, &opened);
    for (int d = 0; d < at.rank; d++) {
        at.idx[d] = x_i64(b, t->con->out.off[d]);
        for (int a = 0; a < t->con->naxes; a++)
            if (t->con->out.coef[d][a]) at.idx[d] = x_add(b, at.idx[d], x_muli(b, t->axis[a], t->con->out.coef[d][a]));
    }
    at.idx[t->dot->dim] = x_add(b, x_muli(b, chunk, t->dot->chunk), v);
    nest_point(&t->n, anchor->shape, &at);
    nest_set(&t->n, anchor, lb_let(b, x_load(b, sums, v), "y"));
    nest_store_outs(&t->n, STAGE_ANCHOR, STAGE_LAST);
    nest_close(&t->n, opened);
}

/* Do two phases make results of the same rows? */
static bool same_row(const DotNest *t, const Contract *x, const Contract *y)
{
    for (int d = 0; d < x->out.view.rank; d++)
        if (d != t->dot->dim && x->out.off[d] != y->out.off[d]) return false;
    return true;
}

static void dot_chunk(DotNest *t, const Contract *first, Expr *chunk, int64_t count)
{
    LB *b = t->n.b;
    const GroupSchedule *gs = t->n.gs;
    int opened;
    t->count = count;
    t->acc = lb_alloc(b, BUF_REGISTER, LT_F32, t->dot->lanes * t->dot->lanes);
    t->vec = lb_alloc(b, BUF_REGISTER, LT_F32, t->dot->lanes);
    Expr *v = nest_lanes(&t->n, t->dot->lanes * t->dot->lanes, &opened);
    lb_store(b, t->acc, v, x_f32(b, 0));
    nest_close(&t->n, opened);
    for (int p = 0; p < gs->nphase; p++) {
        t->con = &gs->con[p].con;
        if (!same_row(t, first, t->con)) continue;
        t->axis[t->dot->row] = x_muli(b, chunk, t->dot->chunk / t->dot->step);
        add_phase(t);
    }
    t->con = first;
    dot_epilogue(t, chunk, add_neighbours(t));
}

/* A chunk of a row of results, of all phases that make some of it; the last has fewer. */
static void dot_row(DotNest *t, const Contract *first, Expr *chunk)
{
    LB *b = t->n.b;
    int64_t width = first->out.view.dim[t->dot->dim], whole = width / t->dot->chunk, rest = width % t->dot->chunk;
    if (whole && rest) lb_if(b, x_cmp(b, C_LT, chunk, x_i64(b, whole)));
    if (whole) dot_chunk(t, first, chunk, t->dot->chunk);
    if (whole && rest) lb_else(b);
    if (rest) dot_chunk(t, first, x_i64(b, whole), rest);
    if (whole && rest) lb_end(b);
}

/* Phases have as many rows as the first, or fewer. */
static void dot_rows(DotNest *t, const Contract *first, Expr *chunk)
{
    LB *b = t->n.b;
    const Contract *most = &t->n.gs->con[0].con;
    int opened = 0;
    for (int a = 0; a < first->naxes; a++) {
        if (a == t->dot->row || first->axis[a].extent >= most->axis[a].extent || !in_out(first, a)) continue;
        lb_if(b, x_cmp(b, C_LT, t->axis[a], x_i64(b, first->axis[a].extent)));
        opened++;
    }
    dot_row(t, first, chunk);
    nest_close(&t->n, opened);
}

/* Products of a chunk of all phases. */
static int64_t products(const GroupSchedule *gs)
{
    int64_t all = 0;
    for (int p = 0; p < gs->nphase; p++) {
        const Contract *c = &gs->con[p].con;
        int64_t n = gs->dot->chunk / gs->dot->step;
        for (int a = 0; a < c->naxes; a++)
            if (!in_out(c, a)) n *= c->axis[a].extent;
        all += n;
    }
    return all;
}

void nest_contract_dot(Arena *a, Loops *out, const Group *g)
{
    enum { LEAST = 8192 };
    DotNest t = {.count = 0};
    NestLoop loop[CON_MAX_AXES + 1];
    int of[CON_MAX_AXES], n = 0;
    nest_begin(&t.n, a, out, g, "contract dot");
    const GroupSchedule *gs = t.n.gs;
    const Contract *most = &gs->con[0].con;
    t.dot = gs->dot;
    for (int x = 0; x < most->naxes; x++) {
        if (x == t.dot->row || !in_out(most, x)) continue;
        of[n] = x;
        loop[n++] = (NestLoop){"o", most->axis[x].extent, false, NULL};
    }
    int64_t width = most->out.view.dim[t.dot->dim];
    loop[n] = (NestLoop){"w", (width + t.dot->chunk - 1) / t.dot->chunk, false, NULL};
    int64_t tasks = nest_choose_tasks(&t.n, loop, n + 1, products(gs), LEAST);
    int opened = nest_open(&t.n, loop, n + 1);
    for (int i = 0; i < n; i++) t.axis[of[i]] = loop[i].var;
    for (int p = 0; p < gs->nphase; p++) {
        const Contract *c = &gs->con[p].con;
        bool done = false;
        for (int q = 0; q < p; q++) done |= same_row(&t, c, &gs->con[q].con);
        if (!done) dot_rows(&t, c, loop[n].var);
    }
    nest_close(&t.n, opened);
    nest_end(&t.n, tasks);
}
