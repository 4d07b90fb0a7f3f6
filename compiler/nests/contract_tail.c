/* What becomes of a contraction's accumulators: the epilogue in registers (elementwise nodes,
 * pooling), partial sums of a split reduction, and the general scalar nest for shapes that have no
 * vector axis. */
#include "nests/contract.h"

/* Value of contraction axis `axis` at row r, column j, lane v, as (blk, lane) or idx. */
typedef struct AxisValue {
    Expr *idx, *blk, *lane;
} AxisValue;

static void axis_values(Con *c, Expr *const *r, Expr *j, Expr *v, AxisValue *out)
{
    LB *b = c->n.b;
    for (int a = 0; a < c->s->con.naxes; a++) out[a] = (AxisValue){x_i64(b, 0), NULL, NULL};
    for (int k = 0; k < c->s->nloop; k++) {
        const ConLoop *l = &c->s->loop[k];
        AxisValue *o = &out[l->axis];
        if (l->role == ROLE_RED) continue;
        Expr *x = c->start[k] ? c->start[k] : x_i64(b, 0);
        if (l->role == ROLE_ROW) x = x_add(b, x, c->step[k] ? x_muli(b, r[k], c->step[k]) : r[k]);
        if (l->role == ROLE_BLK) x = x_add(b, x, j);
        if (l->role == ROLE_LANE) x = x_add(b, x, v);
        if (l->part == PART_WHOLE) o->idx = x;
        if (l->part == PART_BLK) o->blk = x;
        if (l->part == PART_LANE) o->lane = x;
        if (l->part != PART_WHOLE) o->idx = NULL;
    }
}

/* Coordinate of Out's dim d: off + sum of coef * axis. A blocked dim takes lanes from its split
 * axis, whole blocks from the others. */
static void out_dim(Con *c, const Layout *l, int d, const AxisValue *val, Coord *at)
{
    LB *b = c->n.b;
    const ConIndex *ix = &c->s->con.out;
    bool blocked = l->block[d] > 1;
    Expr *whole = x_i64(b, blocked ? ix->off[d] / BLOCK : ix->off[d]), *lane = x_i64(b, 0);
    for (int a = 0; a < c->s->con.naxes; a++) {
        int64_t k = ix->coef[d][a];
        if (!k || c->s->con.axis[a].extent == 1) continue;
        Expr *i = val[a].idx ? val[a].idx : x_add(b, x_muli(b, val[a].blk, BLOCK), val[a].lane);
        if (!blocked) {
            whole = x_add(b, whole, x_muli(b, i, k));
        } else if (k % BLOCK == 0) {
            whole = x_add(b, whole, x_muli(b, i, k / BLOCK));
        } else {
            whole = x_add(b, whole, val[a].blk);
            lane = val[a].lane;
        }
    }
    at->idx[d] = blocked ? NULL : whole;
    at->blk[d] = whole;
    at->lane[d] = lane;
}

Coord con_coord(Con *c, Expr *const *r, Expr *j, Expr *v)
{
    AxisValue val[CON_MAX_AXES];
    const Layout *l = nest_layout(&c->n, c->n.group->anchor);
    Coord at = {.rank = l->rank};
    axis_values(c, r, j, v, val);
    for (int d = 0; d < l->rank; d++) out_dim(c, l, d, val, &at);
    return at;
}

void con_set_anchor(Con *c, Expr *const *r, Expr *j, Expr *v)
{
    Coord at = con_coord(c, r, j, v);
    nest_point(&c->n, c->n.group->anchor->shape, &at);
    Expr *x = x_load(c->n.b, c->acc, con_acc(c, con_row_number(c, r), j, v));
    nest_set(&c->n, c->n.group->anchor, lb_let(c->n.b, x, "y"));
}

static void plain_epilogue(Con *c)
{
    Expr *r[CON_MAX_LOOPS], *j, *v;
    int opened = con_open_rows(c, r);
    opened += con_open_cols(c, &j, &v);
    con_set_anchor(c, r, j, v);
    nest_store_outs(&c->n, STAGE_ANCHOR, STAGE_LAST);
    con_add_sums(c, j, v);
    nest_close(&c->n, opened);
}

/* ---- pooling ---- */

enum { MOST_STATE = 4 };

typedef struct Pool {
    const Node *node[GROUP_MOST_ANCHORS];
    Expr *state[GROUP_MOST_ANCHORS][MOST_STATE];
    int n, row[2]; /* row loops along the plane */
    Window w;
} Pool;

/* The row loop that moves along Out's dim d with step 1. */
static int plane_loop(const Con *c, int d)
{
    for (int k = 0; k < c->s->nloop; k++)
        if (c->s->loop[k].role == ROLE_ROW && c->s->con.out.coef[d][c->s->loop[k].axis] == 1)
            return k;
    return -1;
}

static void find_pools(Con *c, Pool *p)
{
    const Group *g = c->n.group;
    p->w = g->pool->op->window(g->pool);
    for (int d = 0; d < 2; d++) {
        p->row[d] = plane_loop(c, 2 + d);
        bug_if(p->row[d] < 0, "pooling along dim %d, which has no rows", 2 + d);
    }
    for (int i = 0; i < g->node.n; i++) {
        if (nest_stage(&c->n, g->node.v[i]) != STAGE_POOL) continue;
        bug_if(p->n == GROUP_MOST_ANCHORS, "%d poolings behind one contraction", p->n + 1);
        p->node[p->n++] = g->node.v[i];
    }
}

static void pool_tap(Con *c, Pool *p, Expr **r, Expr *j, Expr *v, int64_t tap)
{
    LB *b = c->n.b;
    con_set_anchor(c, r, j, v);
    nest_store_outs(&c->n, STAGE_ANCHOR, STAGE_POST);
    Expr *x = nest_value(&c->n, c->n.group->pool->in[0]);
    Body body = nest_body(&c->n);
    for (int i = 0; i < p->n; i++) {
        if (tap == 0) p->node[i]->op->winit(&body, p->node[i], p->state[i]);
        p->node[i]->op->wstep(&body, p->node[i], p->state[i], x, x_i32(b, tap));
        for (int k = 0; k < p->node[i]->op->wstate; k++)
            p->state[i][k] = lb_let(b, p->state[i][k], "s");
    }
}

/* The pooled element's place: the plane's coordinates divided by the window. */
static void pooled_point(Con *c, Pool *p, Expr *const *q, Expr **r, Expr *j, Expr *v)
{
    LB *b = c->n.b;
    Coord at = con_coord(c, r, j, v);
    for (int d = 0; d < 2; d++) {
        int k = p->row[d];
        Expr *first = x_muli(b, c->tile[k], c->s->loop[k].tile / p->w.kernel[d]);
        at.idx[2 + d] = x_add(b, first, q[d]);
    }
    nest_point(&c->n, c->n.group->pool->shape, &at);
}

static void pool_epilogue(Con *c)
{
    LB *b = c->n.b;
    Pool p = {.n = 0};
    Expr *r[CON_MAX_LOOPS], *q[2], *j, *v;
    int64_t whole[CON_MAX_LOOPS];
    find_pools(c, &p);
    for (int d = 0; d < 2; d++) { /* rows of the plane are opened as windows */
        whole[d] = c->size[p.row[d]];
        c->size[p.row[d]] = 1;
    }
    int opened = con_open_rows(c, r);
    for (int d = 0; d < 2; d++) {
        c->size[p.row[d]] = whole[d];
        int64_t windows = whole[d] / p.w.kernel[d];
        q[d] = windows > 1 ? lb_for_n(b, FOR_UNROLL, windows, "q") : x_i64(b, 0);
        opened += windows > 1;
    }
    opened += con_open_cols(c, &j, &v);
    for (int64_t tap = 0; tap < p.w.kernel[0] * p.w.kernel[1]; tap++) {
        int64_t place[2] = {tap / p.w.kernel[1], tap % p.w.kernel[1]};
        for (int d = 0; d < 2; d++)
            r[p.row[d]] = x_addi(b, x_muli(b, q[d], p.w.kernel[d]), place[d]);
        pool_tap(c, &p, r, j, v, tap);
    }
    pooled_point(c, &p, q, r, j, v);
    Body body = nest_body(&c->n);
    Expr *count = x_f32(b, (double)(p.w.kernel[0] * p.w.kernel[1]));
    for (int i = 0; i < p.n; i++) {
        Expr *x = p.node[i]->op->wdone(&body, p.node[i], p.state[i], count);
        nest_set(&c->n, p.node[i], lb_let(b, x, "p"));
    }
    nest_store_outs(&c->n, STAGE_POOL, STAGE_LAST);
    nest_close(&c->n, opened);
}

void con_epilogue(Con *c)
{
    if (c->n.group->strip)
        con_strip_epilogue(c);
    else if (c->n.group->band)
        con_band_epilogue(c);
    else if (c->n.group->pool)
        pool_epilogue(c);
    else
        plain_epilogue(c);
}

/* ---- split reductions ---- */

static LBuf *partials(Nest *n)
{
    return nest_workspace(n, schedule_partial_offset(n->gs), LT_F32,
                          n->gs->split * nest_layout(n, n->group->anchor)->count);
}

void con_store_partial(Con *c, Expr *base)
{
    LB *b = c->n.b;
    Expr *r[CON_MAX_LOOPS], *j, *v;
    const ConLoop *l = c->s->loop;
    Expr *at = x_add(b, base, x_muli(b, c->chunk, nest_layout(&c->n, c->n.group->anchor)->count));
    int opened = con_open_rows(c, r);
    for (int k = 0; k < c->s->nloop; k++)
        if (l[k].role == ROLE_ROW) at = x_add(b, at, x_muli(b, r[k], l[k].so));
    Expr *row = con_row_number(c, r);
    opened += con_open_cols(c, &j, &v);
    for (int k = 0; k < c->s->nloop; k++) {
        if (l[k].role == ROLE_BLK) at = x_add(b, at, x_muli(b, j, l[k].so));
        if (l[k].role == ROLE_LANE) at = x_add(b, at, x_muli(b, v, l[k].so));
    }
    lb_store(b, partials(&c->n), at, x_load(b, c->acc, con_acc(c, row, j, v)));
    nest_close(&c->n, opened);
}

static void combine_element(Nest *n, void *arg)
{
    const Layout *l = nest_layout(n, n->group->anchor);
    (void)arg;
    Expr *at = nest_address(n, l, n->group->anchor->shape, &n->at), *sum = NULL;
    for (int64_t s = 0; s < n->gs->split; s++) {
        Expr *x = x_load(n->b, partials(n), x_addi(n->b, at, s * l->count));
        sum = sum ? x_add(n->b, sum, x) : x;
    }
    nest_set(n, n->group->anchor, lb_let(n->b, sum, "y"));
    nest_store_outs(n, STAGE_ANCHOR, STAGE_LAST);
}

void con_combine(Arena *a, Loops *out, const Group *g)
{
    Nest n;
    nest_begin(&n, a, out, g, "contract combine");
    int64_t tasks =
        nest_each(&n, g->anchor->shape, nest_layout(&n, g->anchor), combine_element, NULL);
    nest_end(&n, tasks);
}

/* ---- the general nest ---- */

static Coord general_coord(Con *c, const ConIndex *ix, Expr *const *axis)
{
    LB *b = c->n.b;
    Coord at = {.rank = ix->view.rank};
    for (int d = 0; d < at.rank; d++) {
        at.idx[d] = x_i64(b, ix->off[d]);
        for (int a = 0; a < c->s->con.naxes; a++)
            at.idx[d] = x_add(b, at.idx[d], x_muli(b, axis[a], ix->coef[d][a]));
    }
    return at;
}

static bool in_out(const Con *c, int axis)
{
    for (int d = 0; d < c->s->con.out.view.rank; d++)
        if (c->s->con.out.coef[d][axis]) return true;
    return false;
}

/* Channel indexes outside of an operand never occur; plane indexes outside fall into the halo (of a
 * dim of 1, too: nothing is broadcast here). */
static Expr *general_load(Con *c, const Node *v, const ConIndex *ix, Expr *const *axis)
{
    LB *b = c->n.b;
    const Layout *l = nest_layout(&c->n, v);
    Coord at = general_coord(c, ix, axis);
    Expr *x = x_i64(b, l->base);
    for (int d = 0; d < l->rank; d++) {
        bool blocked = l->block[d] > 1;
        Expr *i = blocked ? x_divi(b, at.idx[d], l->block[d]) : at.idx[d];
        x = x_add(b, x, x_muli(b, i, l->outer[d]));
        if (blocked) x = x_add(b, x, x_muli(b, x_modi(b, at.idx[d], l->block[d]), l->inner[d]));
    }
    return nest_load_at(&c->n, nest_buf(&c->n, v), x);
}

int64_t con_general(Con *c)
{
    LB *b = c->n.b;
    Nest *n = &c->n;
    const Node *v = n->group->anchor;
    Expr *axis[CON_MAX_AXES], *zero = x_i64(b, 0);
    int outer = 0, inner = 0;
    for (int a = 0; a < c->s->con.naxes; a++) {
        if (!in_out(c, a)) continue;
        bool task = a == 0 && c->s->ntasks > 1;
        axis[a] = task ? x_task(b) : lb_for_n(b, FOR_SERIAL, c->s->con.axis[a].extent, "o");
        outer += !task;
    }
    LBuf *acc = lb_alloc(b, BUF_REGISTER, LT_F32, 1);
    lb_store(b, acc, zero, x_f32(b, 0));
    for (int a = 0; a < c->s->con.naxes; a++) {
        if (in_out(c, a)) continue;
        axis[a] = lb_for_n(b, FOR_SERIAL, c->s->con.axis[a].extent, "r");
        inner++;
    }
    Expr *xa = general_load(c, v->in[0], &c->s->con.a, axis);
    Expr *xb = general_load(c, v->in[1], &c->s->con.b, axis);
    lb_store(b, acc, zero, x_fma(b, xa, xb, x_load(b, acc, zero)));
    nest_close(n, inner);
    Coord co = general_coord(c, &c->s->con.out, axis);
    nest_point(n, v->shape, &co);
    nest_set(n, v, lb_let(b, x_load(b, acc, zero), "y"));
    nest_store_outs(n, STAGE_ANCHOR, STAGE_LAST);
    nest_close(n, outer);
    return c->s->ntasks;
}
