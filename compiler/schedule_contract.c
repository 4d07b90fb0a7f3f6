/* How a contraction is executed: which axis runs along the vector lanes, which outputs form the
 * tile of accumulators, how the reduction is cut. In: the contraction and the layouts. Out:
 * ConSchedule, pure data.
 *
 * The nest is an outer product in registers: rows x cols accumulators, per reduction step `cols`
 * vectors of the shared operand and `rows` scalars of the other one, rows*cols FMAs. How many of
 * each: schedule_registers.c. */
#include "schedule.h"
#include <string.h>

enum { FLOAT_BYTES = 4, MOST_UNROLLED_FMAS = 128 };

typedef struct Operand {
    const ConIndex *ix;
    const Layout *l;
} Operand;

static int64_t axis_extent(const Contract *c, int axis)
{
    return c->axis[axis].extent;
}

/* Can the operand's address be written as a sum of strides times loop variables? Every blocked dim
 * needs its terms in whole blocks, but for at most one axis with coefficient 1. */
static bool is_linear(const Contract *c, Operand o)
{
    for (int d = 0; d < o.l->rank; d++) {
        if (o.l->block[d] == 1) continue;
        int units = 0;
        if (o.ix->off[d] % BLOCK) return false;
        for (int a = 0; a < c->naxes; a++) {
            if (axis_extent(c, a) <= 1 || o.ix->coef[d][a] % BLOCK == 0) continue;
            if (o.ix->coef[d][a] != 1) return false;
            units++;
        }
        if (units > 1) return false;
    }
    return true;
}

/* The axis that runs through the lanes of blocked dim d, or -1. */
static int unit_axis(const Contract *c, Operand o, int d)
{
    for (int a = 0; a < c->naxes; a++)
        if (o.ix->coef[d][a] == 1 && axis_extent(c, a) > 1) return a;
    return -1;
}

static int64_t stride_of(Operand o, int axis, ConPart part)
{
    int64_t s = 0;
    for (int d = 0; d < o.l->rank; d++) {
        int64_t k = o.ix->coef[d][axis];
        if (!k) continue;
        bool unit = o.l->block[d] > 1 && k % BLOCK;
        if (unit) {
            s += part == PART_BLK ? o.l->outer[d] : o.l->inner[d];
            continue;
        }
        int64_t whole = o.l->block[d] > 1 ? k / BLOCK * o.l->outer[d] : k * o.l->outer[d];
        s += part == PART_BLK ? whole * BLOCK : whole;
    }
    return s;
}

static int64_t base_of(Operand o)
{
    int64_t b = o.l->base;
    for (int d = 0; d < o.l->rank; d++)
        b += o.ix->off[d] / (o.l->block[d] > 1 ? BLOCK : 1) * o.l->outer[d];
    return b;
}

static bool uses_axis(const ConIndex *ix, int axis)
{
    for (int d = 0; d < ix->view.rank; d++)
        if (ix->coef[d][axis]) return true;
    return false;
}

static bool is_split(const Contract *c, const Operand *o, int axis)
{
    for (int t = 0; t < 3; t++)
        for (int d = 0; d < o[t].l->rank; d++)
            if (o[t].l->block[d] > 1 && unit_axis(c, o[t], d) == axis) return true;
    return false;
}

/* Lie the elements along unblocked dim d side by side in everything that the group stores? (With a
 * halo, a value need not lie as the contraction's own result would.) */
static bool stored_along(const Schedule *s, const Group *g, int d)
{
    for (int i = 0; i < g->out.n; i++) {
        const Layout *l = &s->value[g->out.v[i]->id];
        if (d >= l->rank || l->block[d] > 1 || l->outer[d] != 1) return false;
    }
    return true;
}

/* The axis along which the results have stride 1: lanes of the innermost blocked dim, else the last
 * dim. */
static int vector_axis(const Schedule *s, const Group *g, const Contract *c, Operand out,
                       bool *split)
{
    for (int d = 0; d < out.l->rank; d++)
        if (out.l->block[d] > 1 && out.l->inner[d] == 1) {
            *split = true;
            return unit_axis(c, out, d);
        }
    *split = false;
    for (int d = out.l->rank - 1; d >= 0; d--) {
        bool plain = out.l->outer[d] == 1 && out.l->block[d] == 1 && stored_along(s, g, d);
        int a = plain ? unit_axis(c, out, d) : -1;
        if (a >= 0) return a;
    }
    return -1;
}

/* ---- the loops ---- */

typedef struct Roles {
    const Schedule *sched;
    const Group *group;
    const Contract *c;
    Operand o[3]; /* A, B, Out */
    ConSchedule *s;
    int vec; /* vector axis */
    bool vec_split;
} Roles;

static void add_loop(Roles *r, int axis, ConPart part, ConRole role)
{
    int64_t e = axis_extent(r->c, axis);
    ConLoop l = {.axis = axis, .part = part, .role = role, .tile = 1};
    l.extent = part == PART_WHOLE ? e : part == PART_BLK ? (e + BLOCK - 1) / BLOCK : BLOCK;
    if (part == PART_LANE && e < BLOCK) l.extent = e;
    if (part == PART_BLK) l.last = e % BLOCK;
    l.sa = stride_of(r->o[0], axis, part);
    l.sb = stride_of(r->o[1], axis, part);
    l.so = stride_of(r->o[2], axis, part);
    r->s->loop[r->s->nloop++] = l;
}

static int64_t shared_stride(const ConSchedule *s, const ConLoop *l)
{
    return s->shared_a ? l->sa : l->sb;
}

/* Output loops: those that the shared operand does not see become rows. */
static void add_output_loop(Roles *r, int axis, ConPart part)
{
    add_loop(r, axis, part, ROLE_ROW);
    ConLoop *l = &r->s->loop[r->s->nloop - 1];
    if (shared_stride(r->s, l) != 0 || part == PART_BLK) l->role = ROLE_OUTER;
}

static void order_outputs(Roles *r)
{
    /* outer loops first, then the blocks of the vector axis, then rows: a panel of the shared
     * operand stays in cache while all rows pass */
    for (int pass = 0; pass < 2; pass++) {
        for (int a = 0; a < r->c->naxes; a++) {
            if (a == r->vec || !uses_axis(r->o[2].ix, a)) continue;
            bool split = is_split(r->c, r->o, a);
            ConPart part = split ? PART_LANE : PART_WHOLE;
            if (pass == 0 && split) add_output_loop(r, a, PART_BLK);
            int before = r->s->nloop;
            add_output_loop(r, a, part);
            bool row = r->s->loop[before].role == ROLE_ROW;
            if (row != (pass == 1)) r->s->nloop--;
        }
        if (pass == 0 && r->vec_split) add_loop(r, r->vec, PART_BLK, ROLE_BLK);
    }
}

static void order_reduction(Roles *r)
{
    int lane = -1;
    for (int a = 0; a < r->c->naxes; a++) {
        if (uses_axis(r->o[2].ix, a)) continue;
        bool split = is_split(r->c, r->o, a);
        add_loop(r, a, split ? PART_BLK : PART_WHOLE, ROLE_RED);
        if (split) lane = a;
    }
    if (lane >= 0) add_loop(r, lane, PART_LANE, ROLE_RED);
}

/* A plain vector axis (no channel block): vectors along the last dim, of at most BLOCK lanes. */
static void plain_vector(Roles *r)
{
    add_loop(r, r->vec, PART_WHOLE, ROLE_LANE);
    int64_t e = axis_extent(r->c, r->vec);
    for (r->s->lane_extent = BLOCK; r->s->lane_extent > e;) r->s->lane_extent /= 2;
}

double schedule_reduction_length(const ConSchedule *s)
{
    double n = 1;
    for (int a = 0; a < s->con.naxes; a++)
        if (!uses_axis(&s->con.out, a)) n *= (double)axis_extent(&s->con, a);
    return n;
}

/* Tiles of a strip (nests/contract_strip.c): the loop along rows of the plane comes last. */
static void strip_tiles(ConSchedule *s, const Group *g)
{
    Window w = g->pool->op->window(g->pool);
    int64_t across = group_strip(g->pool) * w.stride[1];
    int row = -1, column = -1;
    for (int k = 0; k < s->nloop; k++) {
        ConLoop *l = &s->loop[k];
        if (l->role == ROLE_ROW && s->con.out.coef[2][l->axis]) row = k;
        if (l->role == ROLE_ROW && s->con.out.coef[3][l->axis]) column = k;
    }
    bug_if(row < 0 || column != row + 1, "the plane of a strip has no rows and columns");
    ConLoop r = s->loop[row];
    s->loop[row] = s->loop[column];
    s->loop[column] = r;
    s->loop[row].tile = across;
    s->loop[row].lap = 1;
    s->loop[column].tile = w.stride[0];
    s->loop[column].in_order = true;
    s->rows = (int)(w.stride[0] * (across + 1));
    s->loop[schedule_columns(s)].tile = s->cols = STRIP_BLOCKS;
    s->efficiency = (double)across / (double)(across + 1);
}

/* Do unrolled steps along l read elements that other rows read one step before (a window that
 * slides)? They would be kept in registers that the accumulators need. */
static bool slides(const ConSchedule *s, const ConLoop *l)
{
    int64_t step = s->shared_a ? l->sb : l->sa;
    for (int k = 0; k < s->nloop; k++) {
        const ConLoop *r = &s->loop[k];
        if (r->role == ROLE_ROW && r->tile > 1 && step && (s->shared_a ? r->sb : r->sa) == step)
            return true;
    }
    return false;
}

static void choose_unroll(ConSchedule *s, const Machine *m)
{
    const ConLoop *in = &s->loop[s->nloop - 1];
    int fmas = s->rows * s->cols * ((s->lane_extent + m->lanes - 1) / m->lanes);
    int64_t most = MOST_UNROLLED_FMAS / fmas;
    int64_t u = most < 4 ? most : 4;
    if (in->role != ROLE_RED || slides(s, in)) u = 1;
    if (u > 1 && in->extent <= 4 && in->extent <= most) u = in->extent;
    for (s->unroll = 1; s->unroll * 2 <= u; s->unroll *= 2) {
    }
    if (u == in->extent) s->unroll = (int)u;
}

/* Tasks run over the outermost loops until there are enough of them; not over the lanes of a block, of which the last
 * block of an axis has fewer. */
static void choose_tasks(ConSchedule *s, const Machine *m, int64_t tasks)
{
    for (int i = 0; i < s->nloop && tasks < m->tasks; i++) {
        ConLoop *l = &s->loop[i];
        if (l->role == ROLE_RED || l->role == ROLE_LANE || l->part == PART_LANE || l->in_order) continue;
        int64_t n = (l->extent + l->tile - 1) / l->tile;
        if (n > 1) l->parallel = true;
        tasks *= n;
        if (l->band) break; /* what lies inside it is its own */
    }
    s->ntasks = tasks;
}

static void swap_dims01(ConIndex *ix)
{
    ConIndex o = *ix;
    ix->view.dim[0] = o.view.dim[1], ix->view.dim[1] = o.view.dim[0];
    ix->off[0] = o.off[1], ix->off[1] = o.off[0];
    memcpy(ix->coef[0], o.coef[1], sizeof o.coef[0]);
    memcpy(ix->coef[1], o.coef[0], sizeof o.coef[0]);
}

/* The dim of B that the vector axis runs along, if its elements are not one block of lanes there: B
 * is then copied first, with that dim in front (gradients by data: exchanged with the first). -1: B
 * is good as it is. */
static int dim_to_pack(Operand b, int vec)
{
    for (int d = 0; vec >= 0 && d < 2 && d < b.ix->view.rank; d++)
        if (b.ix->coef[d][vec] == 1) return b.l->block[d] > 1 && b.l->inner[d] == 1 ? -1 : d;
    return -1;
}

/* Gives the phase its loops; false if it must be executed by the general scalar nest. */
static bool order_loops(Roles *r)
{
    ConSchedule *s = r->s;
    for (int t = 0; t < 3; t++)
        if (!is_linear(r->c, r->o[t])) return false;
    r->vec = vector_axis(r->sched, r->group, r->c, r->o[2], &r->vec_split);
    if (r->vec < 0) return false;
    ConPart lane = r->vec_split || is_split(r->c, r->o, r->vec) ? PART_LANE : PART_WHOLE;
    if (!r->vec_split && lane == PART_LANE) return false; /* plain in Out, blocked elsewhere */
    s->lane_extent = BLOCK;
    s->shared_a = stride_of(r->o[1], r->vec, lane) == 0;
    order_outputs(r);
    if (r->vec_split)
        add_loop(r, r->vec, PART_LANE, ROLE_LANE);
    else
        plain_vector(r);
    order_reduction(r);
    s->base_a = base_of(r->o[0]);
    s->base_b = base_of(r->o[1]);
    s->base_o = base_of(r->o[2]);
    return true;
}

/* One image after the other, rather than one panel of weights after the other over the whole batch:
 * what the tile reads of an image stays in cache. (When tiles span several images, the weights are
 * the larger part.) */
static void batch_first(ConSchedule *s)
{
    for (int i = 0; i < s->nloop; i++) {
        ConLoop l = s->loop[i];
        if (l.role != ROLE_ROW || l.tile != 1 || l.part != PART_WHOLE ||
            !s->con.out.coef[0][l.axis])
            continue;
        memmove(&s->loop[1], &s->loop[0], sizeof l * (size_t)i);
        s->loop[0] = l;
        return;
    }
}

static void check_view(const char *what, const ConIndex *ix, const Layout *l)
{
    bug_if(ix->view.rank != l->rank, "%s: the index has rank %d, the layout %d", what,
           ix->view.rank, l->rank);
    for (int d = 0; d < l->rank; d++)
        bug_if(ix->view.dim[d] != l->dim[d], "%s: dim %d differs", what, d);
}

/* How many chunks the tasks are worth: on a CPU a fixed number; on a GPU so many that each of its processors gets two
 * tiles of the result. */
static int64_t wanted_chunks(const Machine *m, int64_t results)
{
    enum { CPU_CHUNKS = 16, TILE = 128 * 64 };
    if (!m->processors) return CPU_CHUNKS;
    int64_t tiles = (results + TILE - 1) / TILE;
    return (2 * m->processors + tiles - 1) / tiles;
}

/* Long sums over the batch (weight gradients): chunks of it with partial sums, whatever the number
 * of threads. */
static void choose_split(GroupSchedule *gs, const Machine *m, const Layout *out)
{
    enum { LONG_SUM = 1024, MOST_PARTIAL_BYTES = 8 << 20 };
    const ConSchedule *s = &gs->con[0];
    gs->split_axis = -1;
    gs->split = 1;
    if (gs->nphase != 1 || schedule_reduction_length(s) < LONG_SUM) return;
    int axis = -1;
    for (int a = 0; a < s->con.naxes && axis < 0; a++) /* the batch: leads both operands */
        if (s->con.a.coef[0][a] && s->con.b.coef[0][a] && !uses_axis(&s->con.out, a)) axis = a;
    int64_t e = axis < 0 ? 1 : axis_extent(&s->con, axis);
    if (e < 2) return;
    int64_t most = MOST_PARTIAL_BYTES / (out->count * FLOAT_BYTES);
    int64_t chunks = wanted_chunks(m, out->count);
    if (most > chunks) most = chunks;
    if (most < 2) return;
    gs->chunk = (e + most - 1) / most;
    gs->split = (e + gs->chunk - 1) / gs->chunk;
    gs->split_axis = axis;
}

static void schedule_phase(const Schedule *s, GroupSchedule *gs, int phase)
{
    const Node *n = gs->group->anchor;
    ConSchedule *cs = &gs->con[phase];
    const Layout *la = &s->value[n->in[0]->id], *lb = &s->value[n->in[1]->id],
                 *lo = &s->value[n->id];
    check_view("A", &cs->con.a, la);
    check_view("B", &cs->con.b, lb);
    check_view("Out", &cs->con.out, lo);
    if (gs->pack_swap) swap_dims01(&cs->con.b);
    if (gs->pack_b) lb = &gs->packed;
    if (phase == 0) choose_split(gs, s->machine, lo);
    Roles r = {.sched = s,
               .group = gs->group,
               .c = &cs->con,
               .o = {{&cs->con.a, la}, {&cs->con.b, lb}, {&cs->con.out, lo}},
               .s = cs};
    if (!order_loops(&r)) {
        if (gs->pack_swap) swap_dims01(&cs->con.b); /* the general nest takes B as it is */
        cs->general = true;
        if (phase == 0) gs->split = 1, gs->split_axis = -1;
        cs->nloop = 0;
        cs->ntasks = uses_axis(&cs->con.out, 0) ? axis_extent(&cs->con, 0) : 1;
        return;
    }
    if (gs->group->strip)
        strip_tiles(cs, gs->group);
    else
        schedule_registers(cs, s->machine, gs->group, (double)gs->split);
    batch_first(cs);
    if (gs->group->band) schedule_band(cs, gs->group);
    choose_unroll(cs, s->machine);
}

void schedule_contract(Arena *a, const Schedule *s, GroupSchedule *gs)
{
    const Node *n = gs->group->anchor;
    Contract c;
    while (gs->nphase < CON_MAX_PHASES && n->op->contract(n, gs->nphase, &c)) gs->nphase++;
    gs->con = NEWN(a, ConSchedule, gs->nphase);
    for (int p = 0; p < gs->nphase; p++) n->op->contract(n, p, &gs->con[p].con);

    if (gs->winograd) {
        schedule_phase(s, gs, 0);
        const Winograd *w = gs->winograd;
        gs->split = w->gradient ? w->chunks : 1; /* sums over tiles are cut in their own way */
        gs->split_axis = -1;
        winograd_loops(w, &gs->con[0]);
        *(w->prepared ? &gs->kept : &gs->workspace) = w->weights * FLOAT_BYTES;
        gs->workspace += winograd_phase_floats(w, &gs->con[0].con) * FLOAT_BYTES;
        if (w->shared) gs->workspace += winograd_inputs(w) * FLOAT_BYTES;
        if (gs->split > 1) gs->workspace += gs->split * s->value[n->id].count * FLOAT_BYTES;
        return;
    }
    const Contract *first = &gs->con[0].con;
    const Layout *lb = &s->value[n->in[1]->id], *lo = &s->value[n->id];
    bool split;
    Operand out = {&first->out, lo}, b = {&first->b, lb};
    int vec = vector_axis(s, gs->group, first, out, &split),
        dim = split && is_linear(first, out) ? dim_to_pack(b, vec) : -1;
    gs->pack_b = dim >= 0;
    gs->pack_swap = dim == 1;
    if (gs->pack_b) {
        Shape t = first->b.view;
        t.dim[0] = first->b.view.dim[dim];
        t.dim[dim] = first->b.view.dim[0];
        gs->packed = layout_weight(t);
        gs->packed_type = s->type[n->in[1]->id];
        gs->workspace = schedule_partial_offset(gs);
    }
    for (int p = 0; p < gs->nphase; p++) schedule_phase(s, gs, p);
    gs->dot = schedule_dot(a, s, gs);
    for (int p = 0; p < gs->nphase && gs->dot; p++) gs->con[p].general = true; /* no loops of the tile's kind */
    if (gs->split > 1) gs->workspace += gs->split * lo->count * FLOAT_BYTES;
    for (int p = 0; p < gs->nphase; p++)
        if (!gs->con[p].general) choose_tasks(&gs->con[p], s->machine, gs->split);
    schedule_tiles(s, gs);
}

int64_t schedule_partial_offset(const GroupSchedule *gs)
{
    return gs->pack_b ? (gs->packed.count * ltype_size(gs->packed_type) + 63) / 64 * 64 : 0;
}
