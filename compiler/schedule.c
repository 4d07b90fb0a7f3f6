/* Schedule: layouts of all values, and per group the algorithm with its sizes.
 *
 * In: groups, a machine. Out: Schedule, pure data. Layouts follow from shapes (graph/layout.h);
 * weights, their gradients and what is computed from them elementwise take the weights' layout;
 * flat tensors (all parameters end to end) are taken as they lie; and whoever is read outside of
 * its bounds by a contraction gets a zero halo, so that no kernel needs code for edges. */
#include "schedule.h"
#include "stages.h"
#include <math.h>
#include <string.h>

typedef enum Kind { KIND_VALUE, KIND_WEIGHT, KIND_FLAT } Kind;

static Shape state_view(const State *s)
{
    return s->view.rank ? s->view : s->shape;
}

static int64_t aligned_count(int64_t n)
{
    return (n + BLOCK - 1) / BLOCK * BLOCK;
}

static Layout state_layout(const Schedule *s, const State *st)
{
    if (!st->part) return layout_weight(state_view(st));
    int64_t n = 0;
    for (int i = 0; i < st->npart; i++) n += aligned_count(s->state[st->part[i]->id].count);
    return layout_flat(n);
}

/* Do all inputs of n's own shape have kind k (and is there one)? */
static bool inputs_have(const Node *n, const Kind *kind, Kind k)
{
    bool any = false;
    for (int i = 0; i < n->nin; i++) {
        if (!shape_eq(n->in[i]->shape, n->shape)) continue;
        if (kind[n->in[i]->id] != k) return false;
        any = true;
    }
    return any;
}

static void find_kinds(const Graph *g, Kind *kind)
{
    for (int i = 0; i < g->node.n; i++) {
        const Node *n = g->node.v[i];
        if (n->state && op_is(n, "State")) kind[i] = n->state->part ? KIND_FLAT : KIND_WEIGHT;
        if (op_is(n, "Pack")) kind[i] = KIND_FLAT;
        if (n->op->nest != NEST_POINTWISE) continue;
        if (inputs_have(n, kind, KIND_WEIGHT)) kind[i] = KIND_WEIGHT;
        for (int k = 0; k < n->nin; k++)
            if (kind[n->in[k]->id] == KIND_FLAT) kind[i] = KIND_FLAT;
    }
    for (int i = g->node.n - 1; i >= 0; i--) { /* gradients of weights: from the Pack backwards */
        const Node *n = g->node.v[i];
        bool pack = op_is(n, "Pack");
        bool weight = kind[i] == KIND_WEIGHT && n->op->nest == NEST_POINTWISE;
        for (int k = 0; k < n->nin && (pack || weight); k++) {
            const Node *in = n->in[k];
            bool broadcast = in->shape.rank >= 2 && in->shape.rank == n->shape.rank;
            if ((pack || broadcast) && kind[in->id] == KIND_VALUE && !op_is(in, "Input"))
                kind[in->id] = KIND_WEIGHT;
        }
    }
    for (int i = 0; i < g->node.n; i++) { /* and what is computed from those */
        const Node *n = g->node.v[i];
        bool value = kind[i] == KIND_VALUE && n->op->nest == NEST_POINTWISE;
        if (value && inputs_have(n, kind, KIND_WEIGHT)) kind[i] = KIND_WEIGHT;
    }
}

static Layout flat_like(const Schedule *s, const Node *n, const Kind *kind)
{
    if (op_is(n, "Pack")) {
        int64_t total = 0;
        for (int k = 0; k < n->nin; k++) total += aligned_count(s->value[n->in[k]->id].count);
        return layout_flat(total);
    }
    for (int k = 0; k < n->nin; k++)
        if (kind[n->in[k]->id] == KIND_FLAT) return s->value[n->in[k]->id];
    bug_if(true, "flat node %%%d without a flat input", n->id);
    return layout_flat(0);
}

/* Moments lie as their parameters do: the optimizer runs over both end to end. */
static void moments_like_parameters(Schedule *s, const Graph *g)
{
    const State *params = NULL;
    for (int i = 0; i < g->state.n; i++)
        if (g->state.v[i]->part && g->state.v[i]->kind == STATE_PARAM) params = g->state.v[i];
    for (int i = 0; i < g->state.n && params; i++) {
        const State *m = g->state.v[i];
        if (!m->part || m->kind != STATE_MOMENT) continue;
        bug_if(m->npart != params->npart, "'%s' has not one part per parameter", m->name);
        for (int k = 0; k < m->npart; k++) s->state[m->part[k]->id] = s->state[params->part[k]->id];
        s->state[m->id] = s->state[params->id];
    }
}

/* So do gradients, each inside their Pack. */
static void check_packs(const Schedule *s, const Graph *g)
{
    const State *params = NULL;
    for (int i = 0; i < g->state.n; i++)
        if (g->state.v[i]->part && g->state.v[i]->kind == STATE_PARAM) params = g->state.v[i];
    for (int i = 0; i < g->node.n; i++) {
        const Node *n = g->node.v[i];
        for (int k = 0; params && op_is(n, "Pack") && n->nin == params->npart && k < n->nin; k++)
            bug_if(!layout_same(&s->value[n->in[k]->id], &s->state[params->part[k]->id]),
                   "the gradient of '%s' does not lie as it does", params->part[k]->name);
    }
}

/* A maximum over a Pack sees what lies between the elements of its parts. */
static void clean_packs(Schedule *s, const Kind *kind)
{
    const Graph *g = s->groups->graph;
    bool summed = false;
    for (int i = 0; i < g->node.n; i++)
        summed |= g->node.v[i]->op->nest == NEST_REDUCE && kind[g->node.v[i]->in[0]->id] == KIND_FLAT;
    for (int i = 0; i < g->node.n && summed; i++)
        for (int k = 0; op_is(g->node.v[i], "Pack") && k < g->node.v[i]->nin; k++)
            s->clean[g->node.v[i]->in[k]->id] = true;
}

static void choose_layouts(Arena *a, Schedule *s)
{
    const Graph *g = s->groups->graph;
    Kind *kind = NEWN(a, Kind, g->node.n + 1);
    find_kinds(g, kind);
    for (int i = 0; i < g->state.n; i++)
        s->state[g->state.v[i]->id] = state_layout(s, g->state.v[i]);
    moments_like_parameters(s, g);
    for (int i = 0; i < g->node.n; i++) {
        const Node *n = g->node.v[i];
        if (op_is(n, "State"))
            s->value[i] = s->state[n->state->id];
        else if (kind[i] == KIND_FLAT)
            s->value[i] = flat_like(s, n, kind);
        else
            s->value[i] = kind[i] == KIND_WEIGHT ? layout_weight(n->shape)
                          : s->machine->provider ? layout_channels_last(n->shape)
                                                 : layout_value(n->shape);
    }
    check_packs(s, g);
    bool *weight = NEWN(a, bool, g->node.n + 1);
    for (int i = 0; i < g->node.n; i++) weight[i] = kind[i] != KIND_VALUE;
    schedule_storage(a, s, weight);
    clean_packs(s, kind);
}

static void grow_halo(Layout *l, const Contract *c)
{
    for (int d = 0; d < l->rank; d++) {
        int64_t lo = c->a.off[d], hi = c->a.off[d];
        for (int k = 0; k < c->naxes; k++) {
            if (c->axis[k].extent == 0) return; /* nothing is read */
            int64_t far = c->a.coef[d][k] * (c->axis[k].extent - 1);
            if (far < 0) lo += far;
            if (far > 0) hi += far;
        }
        hi -= l->dim[d] - 1;
        bug_if((lo < 0 || hi > 0) && l->block[d] > 1, "a halo on a blocked axis");
        if (-lo > l->lo[d]) l->lo[d] = -lo;
        if (hi > l->hi[d]) l->hi[d] = hi;
    }
}

/* A gradient by weights reads B in whole tiles, too. */
static void grow_tiles(Layout *l, const Winograd *w)
{
    for (int d = 0; d < 2; d++) {
        int64_t hi = w->tiles[d] * w->m - l->dim[2 + d];
        if (hi > l->hi[2 + d]) l->hi[2 + d] = hi;
    }
    layout_finish(l);
}

void schedule_halo(Schedule *s, const Group *g)
{
    const Node *n = g->anchor;
    if (!n || n->op->nest != NEST_CONTRACT) return;
    const Winograd *w = s->group[g->id].winograd;
    Layout *l = &s->value[n->in[0]->id];
    Contract c;
    for (int p = 0; p < CON_MAX_PHASES && n->op->contract(n, p, &c); p++) {
        if (w) winograd_widen(w, &c);
        grow_halo(l, &c);
        for (int a = 0; g->strip && a < c.naxes; a++) /* the column left of the first strip */
            for (int d = 0; c.out.coef[3][a] && d < l->rank; d++) c.a.off[d] -= c.a.coef[d][a];
        if (g->strip) grow_halo(l, &c);
    }
    bug_if(layout_has_halo(l) && op_is(n->in[0], "State"), "a halo on a weight");
    layout_finish(l);
    if (w && w->gradient) grow_tiles(&s->value[n->in[1]->id], w);
}

const Layout *schedule_flat(const Schedule *s, const Group *g)
{
    for (int i = 0; i < g->in.n && g->domain.rank == 1; i++) {
        const Layout *l = &s->value[g->in.v[i]->id];
        if (shape_eq(g->in.v[i]->shape, g->domain) && layout_is_flat(l)) return l;
    }
    return NULL;
}

double schedule_idle_share(double tasks, double least)
{
    return fmax(least / tasks, ceil(tasks / 2) * 2 / tasks);
}

/* Chunks of `most` or fewer; -> how many, and their length. */
static int64_t chunks_of(int64_t extent, int64_t most, int64_t *length)
{
    if (most > extent) most = extent;
    *length = (extent + most - 1) / most;
    return (extent + *length - 1) / *length;
}

/* As many partial sums as terms in each: on a machine that wants more tasks than the batch makes. */
static int64_t balanced_chunks(int64_t length)
{
    int64_t n = 1;
    while (n * n < length) n++;
    return n;
}

/* On a CPU: does everything of the domain's shape lie uncut, with the neighbours of a long last axis side by side? */
static bool lies_plain(const Schedule *s, const Group *g)
{
    int last = g->domain.rank - 1;
    bool summed = last >= 1 && (g->anchor->op->reduce(g->anchor).axes >> last & 1);
    if (g->row || !summed || s->machine->processors || g->domain.dim[last] < BLOCK) return false;
    for (int i = 0; i < g->node.n; i++)
        for (int k = -1; k < g->node.v[i]->nin; k++) {
            const Node *v = k < 0 ? g->node.v[i] : g->node.v[i]->in[k];
            const Layout *l = &s->value[v->id];
            if (!shape_eq(v->shape, g->domain)) continue;
            for (int a = 0; a <= last; a++)
                if (l->block[a] > 1) return false;
            if (l->outer[last] != 1) return false;
        }
    return true;
}

/* Sums over the batch: chunks of it, so that there are tasks and short chains of additions; of the rows of images as
 * well where that is not enough. */
static void schedule_reduce(const Schedule *s, GroupSchedule *gs)
{
    enum { LONG_SUM = 2048, MOST_CHUNKS = 16, MOST_FLAT_CHUNKS = 64, PARTIAL_BYTES = 4, ROWS = 2 };
    const Group *g = gs->group;
    const Layout *out = &s->value[g->anchor->id];
    unsigned axes = g->anchor->op->reduce(g->anchor).axes;
    const Layout *flat = schedule_flat(s, g);
    int64_t n = flat ? flat->count / BLOCK : g->domain.rank ? g->domain.dim[0] : 1;
    int64_t length = shape_count(g->domain) /
                     (shape_count(g->anchor->shape) ? shape_count(g->anchor->shape) : 1);
    gs->red_split = gs->red_rows = 1;
    gs->red_chunk = n;
    gs->red_plain = lies_plain(s, g);
    if (g->row || !(axes & 1) || length < LONG_SUM || n < 2) return;
    int64_t most = s->machine->processors ? balanced_chunks(length) : flat ? MOST_FLAT_CHUNKS : MOST_CHUNKS;
    int64_t batch = chunks_of(n, most, &gs->red_chunk);
    if (most > batch && g->domain.rank > ROWS && (axes >> ROWS & 1))
        gs->red_rows = chunks_of(g->domain.dim[ROWS], most / batch, &gs->red_row_chunk);
    gs->red_split = batch * gs->red_rows;
    int anchors = schedule_anchors(s, g);
    /* a partial sum of a scalar keeps its lanes */
    int64_t count = out->rank == 0 ? BLOCK : gs->red_plain ? BLOCK * shape_count(g->anchor->shape) : out->count;
    gs->workspace = anchors * gs->red_split * count * PARTIAL_BYTES;
}

Schedule *schedule(Arena *a, const Groups *gs, const Machine *m)
{
    return schedule_by(a, gs, m, NULL);
}

Schedule *schedule_by(Arena *a, const Groups *gs, const Machine *m, const Algorithm *by)
{
    Schedule *s = NEW(a, Schedule);
    s->groups = gs;
    s->machine = m;
    s->value = NEWN(a, Layout, gs->graph->node.n + 1);
    s->clean = NEWN(a, bool, gs->graph->node.n + 1);
    s->type = NEWN(a, LType, gs->graph->node.n + 1);
    s->within = NEWN(a, const Node *, gs->graph->node.n + 1);
    s->state = NEWN(a, Layout, gs->graph->state.n + 1);
    s->group = NEWN(a, GroupSchedule, gs->group.n + 1);
    choose_layouts(a, s);
    for (int i = 0; i < gs->group.n; i++)
        if (gs->group.v[i]->nest == NEST_CONTRACT)
            schedule_winograd(a, s, gs->group.v[i], by ? by[i] : BY_MODEL, &s->group[i]);
    schedule_libraries(a, s);
    schedule_views(s);
    for (int i = 0; i < gs->group.n; i++) {
        Group *g = gs->group.v[i];
        s->group[i].group = g;
        if (g->nest == NEST_CONTRACT && !s->group[i].library) schedule_contract(a, s, &s->group[i]);
        if (g->nest == NEST_REDUCE) schedule_reduce(s, &s->group[i]);
    }
    schedule_sums(s);
    schedule_order(s);
    return s;
}

/* ---- text ---- */

static const char *const role_names[] = {"outer", "row", "blk", "lane", "red"};
static const char *const part_names[] = {"", ".blk", ".lane"};

static void print_winograd(Buf *b, const Winograd *w)
{
    long long r = w->gradient ? w->r : w->m, taps = w->gradient ? w->m : w->r;
    buf_printf(b, "  Winograd F(%lldx%lld, %lldx%lld): %lld blocks of %lld tiles, %lld times %lld channel blocks", r, r,
               taps, taps, (long long)w->blocks, (long long)w->block, (long long)w->groups,
               (long long)w->group);
    if (w->gradient)
        buf_printf(b, " by %lld in %lld chunks", (long long)w->cgroup, (long long)w->chunks);
    buf_printf(b, " in %lld parts%s; product %dx%dx%d; %s", (long long)w->parts,
               !w->shared ? "" : w->copies > 1 ? " of which halves share inputs" : " that share inputs", w->rows, w->cols, BLOCK,
               w->gradient   ? "both operands transformed"
               : w->depth    ? "weights transformed by each task"
               : w->prepared ? "weights prepared"
                             : "weights transformed at every run");
    if (w->depth) buf_printf(b, ", %lld channels and %d of %d rows at once", (long long)w->depth, w->rows_at_once, w->n);
    if (w->in_registers) buf_printf(b, ", in registers");
    buf_printf(b, "\n");
}

static void print_contract(Buf *b, const GroupSchedule *gs)
{
    if (gs->winograd) print_winograd(b, gs->winograd);
    for (int p = 0; p < gs->nphase; p++) {
        const ConSchedule *c = &gs->con[p];
        if (gs->dot) {
            buf_printf(b, "  phase %d: lanes of %s are summed, %lld results side by side, every %lld\n", p,
                       c->con.axis[gs->dot->sum].name, (long long)gs->dot->chunk, (long long)gs->dot->step);
            continue;
        }
        if (c->general) {
            buf_printf(b, "  phase %d: general scalar loops\n", p);
            continue;
        }
        buf_printf(b,
                   "  phase %d: tile %dx%dx%d unroll %d tasks %lld%s model %.0f %% of FMA peak, rows "
                   "share %s\n",
                   p, c->rows, c->cols, c->lane_extent, c->unroll, (long long)c->ntasks, gs->rows_first ? " by rows" : "",
                   100 * c->efficiency, c->shared_a ? "A" : "B");
        for (int i = 0; i < c->nloop; i++) {
            const ConLoop *l = &c->loop[i];
            buf_printf(b, "    %-5s %s%s %lld", role_names[l->role], c->con.axis[l->axis].name,
                       part_names[l->part], (long long)l->extent);
            if (l->tile > 1) buf_printf(b, " by %lld", (long long)l->tile);
            buf_printf(b, "  strides %lld %lld %lld%s\n", (long long)l->sa, (long long)l->sb,
                       (long long)l->so, l->parallel ? " parallel" : "");
        }
        schedule_print_tile(b, c);
    }
    if (gs->pack_b) {
        buf_puts(b, "  B packed as ");
        layout_print(b, &gs->packed);
        bool half = ltype_is_stored(gs->packed_type);
        buf_printf(b, "%s%s\n", half ? " " : "", half ? ltype_name(gs->packed_type) : "");
    }
    if (gs->split > 1)
        buf_printf(b, "  %s in %lld chunks of %lld\n", gs->con[0].con.axis[gs->split_axis].name,
                   (long long)gs->split, (long long)gs->chunk);
}

void schedule_print(Buf *b, const Schedule *s)
{
    Arena *a = arena_new();
    buf_printf(b, "machine lanes %d registers %d\n", s->machine->lanes, s->machine->vregs);
    for (int i = 0; i < s->groups->group.n; i++) {
        const Group *g = s->groups->group.v[i];
        buf_printf(b, "group %d  # %s\n", i, group_layers(a, g));
        for (int k = 0; k < g->out.n; k++) {
            buf_printf(b, "  %%%d ", g->out.v[k]->id);
            layout_print(b, &s->value[g->out.v[k]->id]);
            LType t = s->type[g->out.v[k]->id];
            buf_printf(b, "%s%s", ltype_is_stored(t) ? " " : "", ltype_is_stored(t) ? ltype_name(t) : "");
            const Node *whole = s->within[g->out.v[k]->id];
            if (whole) buf_printf(b, " within %%%d", whole->id);
            buf_putc(b, '\n');
        }
        if (s->group[i].joined) buf_puts(b, "  its parts are written in place\n");
        if (g->nest == NEST_CONTRACT) print_contract(b, &s->group[i]);
        if (s->group[i].summed_by)
            buf_printf(b, "  sums of %lld tiles of group %d, %lld at a time\n", (long long)s->group[i].red_tiles,
                       s->group[i].summed_by->id, (long long)s->group[i].red_chunk);
        else if (s->group[i].red_split > 1)
            buf_printf(b, "  batch in %lld chunks of %lld\n", (long long)(s->group[i].red_split / s->group[i].red_rows),
                       (long long)s->group[i].red_chunk);
        if (s->group[i].red_rows > 1)
            buf_printf(b, "  rows in %lld chunks of %lld\n", (long long)s->group[i].red_rows,
                       (long long)s->group[i].red_row_chunk);
    }
    arena_free(a);
}
