/* Contractions: convolution, Linear and their gradients, as one register-blocked nest.
 *
 * The schedule gives the order of loops, the tile (rows x cols vectors of accumulators) and which operand's vectors the rows
 * share. A tile's sums are made in registers (contract_reduce.c), then the epilogue (contract_tail.c) turns accumulators into
 * stored values. Tiles that do not divide the output leave partial tiles, which are generated as tiles of their own size:
 * there is no condition inside of a tile. */
#include "nests/contract.h"

int64_t con_extent(const Con *c, int k)
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

/* Opens loops over the rows of the tile; r[k] = row number along loop k. Registers want them unrolled; of sums in memory only the
 * innermost is. -> loops opened */
int con_open_rows(Con *c, Expr **r)
{
    int opened = 0, last = -1;
    for (int k = 0; k < c->s->nloop; k++)
        if (c->s->loop[k].role == ROLE_ROW && c->size[k] > 1) last = k;
    bool memory = c->acc && c->acc->scope == BUF_LOCAL;
    for (int k = 0; k < c->s->nloop; k++) {
        if (c->s->loop[k].role != ROLE_ROW) continue;
        r[k] = x_i64(c->n.b, 0);
        if (c->size[k] == 1) continue;
        r[k] = lb_for_n(c->n.b, memory && k < last ? FOR_SERIAL : FOR_UNROLL, c->size[k], "m");
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

/* ---- a tile ---- */

/* Are a tile's sums over channels, and those of a row of tiles, added up apart? A GPU's tasks are short, and its registers few. */
static bool sums_apart(const Con *c)
{
    return c->n.sums && !c->n.sched->machine->processors;
}

static void emit_tile(Con *c)
{
    c->cols = 1;
    c->lanes = c->s->lane_extent;
    for (int k = 0; k < c->s->nloop; k++) {
        if (c->s->loop[k].role == ROLE_BLK) c->cols = (int)c->size[k];
        if (c->s->loop[k].role == ROLE_LANE && c->s->loop[k].part == PART_WHOLE)
            c->lanes = (int)c->size[k];
    }
    con_sum(c);
    SumsRun run = {NULL, 0};
    if (sums_apart(c)) run = con_begin_run(c, c->cols);
    if (c->chunk)
        con_store_partial(c, con_address(c, 2));
    else
        con_epilogue(c);
    if (sums_apart(c)) con_end_run(c, run, x_i64(c->n.b, 0));
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
    int64_t e = con_extent(c, k), t = l->tile;
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
