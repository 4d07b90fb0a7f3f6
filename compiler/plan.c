/* Plan: run order, and a place for every stored value.
 *
 * In: Schedule. Out: Plan. Rules:
 *  - a group that overwrites state runs after every reader of the old state; where that would be a
 * cycle, the new value gets a place of its own and is copied at the end of the step (Plan.copy);
 *  - gradients lie inside the Pack that joins them, in the order of the parameters; values within others
 *    (schedule_views.c) have the place of the whole, which lives as long as any of them;
 *  - state is laid out by (kind, order) only, so that all programs of one executable agree on it;
 *  - values with a zero halo share storage only with values of the same geometry, for whom the halo
 * stays zero (it is zeroed once, when the slab is allocated); all others share by lifetime, largest
 * first, best fit;
 *  - inputs and outputs are never shared. */
#include "plan.h"
#include "stages.h"
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64 };

static int64_t aligned(int64_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

static int64_t state_bytes(const Schedule *s, const State *st)
{
    return aligned(s->state[st->id].count * dtype_size(st->dtype));
}

static int64_t value_bytes(const Schedule *s, const Node *n)
{
    return aligned(s->value[n->id].count * ltype_size(s->type[n->id]));
}

/* ---- state ---- */

static void place_state(Plan *p, const Graph *g, StateKind kind, bool frozen)
{
    for (int i = 0; i < g->state.n; i++) {
        const State *s = g->state.v[i];
        if (s->part || s->kind != kind || s->frozen != frozen) continue;
        Place *at = &p->state[s->id];
        *at = (Place){.arena = PLAN_STATE, .offset = p->size[PLAN_STATE]};
        at->bytes = state_bytes(p->schedule, s);
        p->size[PLAN_STATE] += at->bytes;
    }
}

static void place_state_groups(Plan *p, const Graph *g)
{
    for (int i = 0; i < g->state.n; i++) {
        const State *s = g->state.v[i];
        if (!s->part) continue;
        Place *at = &p->state[s->id];
        *at = p->state[s->part[0]->id];
        at->bytes = 0;
        for (int k = 0; k < s->npart; k++) {
            const Place *part = &p->state[s->part[k]->id];
            bug_if(part->offset != at->offset + at->bytes,
                   "state group '%s' is not laid end to end", s->name);
            at->bytes += part->bytes;
        }
    }
}

/* ---- order ---- */

static bool covers(const State *a, const State *b)
{
    if (a == b) return true;
    for (int i = 0; i < a->npart; i++)
        if (a->part[i] == b) return true;
    for (int i = 0; i < b->npart; i++)
        if (b->part[i] == a) return true;
    return false;
}

static bool reads_state(const Group *g, const State *s)
{
    for (int i = 0; i < g->in.n; i++)
        if (op_is(g->in.v[i], "State") && covers(g->in.v[i]->state, s)) return true;
    return false;
}

typedef struct Orderer {
    Arena *a;
    Plan *p;
    const Groups *gs;
    bool *copied; /* by node id of the Assign */
    char *done;   /* by group id */
} Orderer;

static bool direct(const Orderer *o, const Node *assign)
{
    return op_is(assign, "Assign") && !o->copied[assign->id];
}

/* What g reads is there, but for what `self` computes. */
static bool inputs_done(const Orderer *o, const Group *g, const Group *self)
{
    for (int i = 0; i < g->in.n; i++) {
        const Node *in = g->in.v[i];
        for (int k = 0; k < (op_is(in, "Pack") ? in->nin : 1); k++) {
            const Group *q = o->gs->of[op_is(in, "Pack") ? in->in[k]->id : in->id];
            if (q && q != self && !o->done[q->id]) return false;
        }
    }
    return true;
}

/* Everything group g must wait for has run. */
static bool ready(const Orderer *o, const Group *g)
{
    const Graph *graph = o->gs->graph;
    const Group *sums = o->p->schedule->group[g->id].sums;
    if (!inputs_done(o, g, NULL) || (sums && !inputs_done(o, sums, g))) return false;
    for (int i = 0; i < graph->node.n; i++) {
        const Node *as = graph->node.v[i];
        if (!direct(o, as) || o->gs->of[as->in[0]->id] != g) continue;
        for (int k = 0; k < o->gs->group.n; k++)
            if (k != g->id && !o->done[k] && reads_state(o->gs->group.v[k], as->state))
                return false;
    }
    return true;
}

/* Nothing is ready: some state is overwritten by what its readers feed. Copy such states instead, the smallest first. */
static void break_cycle(Orderer *o)
{
    const Graph *g = o->gs->graph;
    int least = -1;
    for (int i = 0; i < g->node.n; i++) {
        const Node *as = g->node.v[i];
        const Group *w = op_is(as, "Assign") ? o->gs->of[as->in[0]->id] : NULL;
        if (!w || o->done[w->id] || o->copied[i]) continue;
        if (least < 0 || shape_count(as->shape) < shape_count(g->node.v[least]->shape)) least = i;
    }
    bug_if(least < 0, "the groups form a cycle");
    o->copied[least] = true;
}

static void order_groups(Orderer *o)
{
    int left = o->gs->group.n;
    for (int prep = 1; prep >= 0; prep--) {
        for (bool progress = true; progress;) {
            progress = false;
            for (int i = 0; i < o->gs->group.n; i++) {
                Group *g = o->gs->group.v[i];
                if (o->done[i] || g->prep != (prep == 1) || !ready(o, g)) continue;
                o->done[i] = 1;
                vec_push(o->a, &o->p->order, g);
                left--;
                progress = true;
            }
            if (!progress && prep == 0 && left > 0) {
                break_cycle(o);
                progress = true;
            }
        }
        if (prep == 1) o->p->nprep = o->p->order.n;
    }
}

static bool written_twice(const Graph *g, const Node *assign)
{
    for (int i = 0; i < assign->id; i++)
        if (op_is(g->node.v[i], "Assign") && g->node.v[i]->in[0] == assign->in[0]) return true;
    return false;
}

/* Does a sum or a window of the group read elements of the state? It may want them after they have
 * been overwritten; elementwise work reads an element where it writes it. */
static bool sums_over(const Group *g, const State *s)
{
    for (int i = 0; i < g->node.n; i++) {
        const Node *n = g->node.v[i];
        for (int k = 0; k < n->nin && n->op->nest != NEST_POINTWISE; k++)
            if (op_is(n->in[k], "State") && covers(n->in[k]->state, s)) return true;
    }
    return false;
}

static void find_copies(Orderer *o)
{
    const Graph *g = o->gs->graph;
    const Schedule *s = o->p->schedule;
    for (int i = 0; i < g->node.n; i++) {
        const Node *n = g->node.v[i];
        if (!op_is(n, "Assign")) continue;
        const Group *own = o->gs->of[n->in[0]->id];
        o->copied[i] = !own || written_twice(g, n) || sums_over(own, n->state) ||
                       !layout_same(&s->value[n->in[0]->id], &s->state[n->state->id]);
    }
}

/* ---- lifetimes ---- */

static void touch(Place *at, int pos)
{
    if (at->first < 0 || pos < at->first) at->first = pos;
    if (pos > at->last) at->last = pos;
}

/* Is n read by the group for what it keeps alone? */
static bool only_kept(const Plan *p, const Group *g, const Node *n)
{
    const Winograd *w = p->schedule->group[g->id].winograd;
    if (!w || !w->prepared || g->anchor->in[1] != n) return false;
    for (int i = 0; i < g->node.n; i++)
        for (int k = 0; k < g->node.v[i]->nin; k++)
            if (g->node.v[i]->in[k] == n && (g->node.v[i] != g->anchor || k != 1)) return false;
    return true;
}

/* What groups keep is made where its weights are, if they are prepared, too: these are no longer needed then. */
static void find_made(Plan *p, const Groups *gs)
{
    int *at = p->made;
    for (int i = 0; i < gs->group.n; i++) at[i] = -1;
    for (int pos = p->nprep; pos < p->order.n; pos++) {
        const Group *g = p->order.v[pos], *from = g->nest == NEST_CONTRACT ? gs->of[g->anchor->in[1]->id] : NULL;
        for (int k = 0; k < p->nprep && from && only_kept(p, g, g->anchor->in[1]); k++)
            if (p->order.v[k] == from) at[g->id] = k;
    }
}

static void find_lifetimes(Plan *p, const Groups *gs)
{
    for (int pos = 0; pos < p->order.n; pos++) {
        const Group *g = p->order.v[pos];
        for (int i = 0; i < g->out.n; i++) touch(&p->value[g->out.v[i]->id], pos);
        for (int i = 0; i < g->in.n; i++) {
            bool kept = p->made[g->id] >= 0 && g->in.v[i] == g->anchor->in[1];
            touch(&p->value[g->in.v[i]->id], kept ? p->made[g->id] : pos);
        }
    }
    for (int i = 0; i < gs->graph->node.n; i++) {
        const Node *whole = p->schedule->within[i];
        if (!whole) continue;
        touch(&p->value[whole->id], p->value[i].first);
        touch(&p->value[whole->id], p->value[i].last);
    }
    for (int i = 0; i < gs->graph->output.n; i++)
        p->value[gs->graph->output.v[i].node->id].pinned = true;
    for (int i = 0; i < p->copy.n; i++) p->value[p->copy.v[i]->in[0]->id].pinned = true;
    for (int i = 0; i < gs->graph->node.n; i++)
        if (op_is(gs->graph->node.v[i], "Input")) p->value[i].pinned = true;
}

/* ---- places ---- */

/* Values whose place is part of another's: state written in place, gradients inside their Pack. */
static bool place_inside(Orderer *o, const Node *n)
{
    Plan *p = o->p;
    const Graph *g = o->gs->graph;
    Place *at = &p->value[n->id];
    for (int i = 0; i < g->node.n; i++) {
        const Node *u = g->node.v[i];
        if (direct(o, u) && u->in[0] == n) {
            int first = at->first, last = at->last;
            *at = p->state[u->state->id];
            at->first = first, at->last = last;
            return true;
        }
        if (!op_is(u, "Pack")) continue;
        int64_t offset = p->value[u->id].offset;
        for (int k = 0; k < u->nin; k++) {
            int64_t bytes = value_bytes(p->schedule, u->in[k]);
            if (u->in[k] == n) {
                *at = (Place){.arena = PLAN_SLAB, .offset = offset, .bytes = bytes, .pinned = true};
                return true;
            }
            offset += bytes;
        }
    }
    return false;
}

typedef struct Item { /* something that wants a piece of the slab */
    Place *at;
    const Layout *halo; /* not NULL: geometry class */
    LType type;
} Item;

typedef struct Slots { /* storage of values with halos */
    VEC(Item) v;       /* the last tenant of every slot */
} Slots;

static void place_halo(Plan *p, Arena *a, Slots *s, Item it, bool reuse)
{
    for (int i = 0; i < s->v.n && reuse && !it.at->pinned; i++) {
        Item *slot = &s->v.v[i];
        if (slot->at->pinned || slot->type != it.type || !layout_same(slot->halo, it.halo))
            continue;
        if (slot->at->last >= it.at->first) continue;
        it.at->offset = slot->at->offset;
        *slot = it;
        return;
    }
    it.at->offset = p->size[PLAN_SLAB];
    p->size[PLAN_SLAB] += it.at->bytes;
    vec_push(a, &s->v, it);
}

static bool lifetimes_meet(const Place *a, const Place *b)
{
    return a->pinned || b->pinned || (a->first <= b->last && b->first <= a->last);
}

static int by_size(const void *x, const void *y)
{
    const Item *a = x, *b = y;
    if (a->at->bytes != b->at->bytes) return a->at->bytes < b->at->bytes ? 1 : -1;
    return a->at->first - b->at->first;
}

/* Lowest gap between already placed items whose lives meet this one's. */
static int64_t best_gap(const Item *done, int n, const Place *at, int64_t from)
{
    int64_t best = -1, best_size = INT64_MAX;
    for (int i = -1; i < n; i++) {
        int64_t start = i < 0 ? from : done[i].at->offset + done[i].at->bytes;
        if (i >= 0 && !lifetimes_meet(done[i].at, at)) continue;
        int64_t room = INT64_MAX;
        bool free_here = true;
        for (int k = 0; k < n && free_here; k++) {
            const Place *o = done[k].at;
            if (!lifetimes_meet(o, at)) continue;
            if (o->offset <= start && start < o->offset + o->bytes) free_here = false;
            if (o->offset > start && o->offset - start < room) room = o->offset - start;
        }
        if (free_here && room >= at->bytes && room < best_size) {
            best = start;
            best_size = room;
        }
        if (free_here && room == INT64_MAX && best < 0) best = start;
    }
    return best;
}

static void place_items(Plan *p, PlanArena arena, Item *item, int n, bool reuse)
{
    int64_t from = p->size[arena], top = from;
    if (n) qsort(item, (size_t)n, sizeof *item, by_size);
    for (int i = 0; i < n; i++) {
        Place *at = item[i].at;
        at->offset = reuse ? best_gap(item, i, at, from) : top;
        if (at->offset + at->bytes > top) top = at->offset + at->bytes;
    }
    p->size[arena] = top;
}

static void place_kept(Plan *p, const Group *g)
{
    Place *at = &p->kept[g->id];
    at->bytes = aligned(p->schedule->group[g->id].kept);
    at->arena = PLAN_PREP;
    at->offset = p->size[PLAN_PREP];
    p->size[PLAN_PREP] += at->bytes;
}

static void place_values(Orderer *o, bool reuse)
{
    Plan *p = o->p;
    const Graph *g = o->gs->graph;
    Slots slots = {0};
    VEC(Item) items = {0}, prepared = {0};
    for (int i = 0; i < g->node.n; i++) {
        const Node *n = g->node.v[i];
        Place *at = &p->value[i];
        const Layout *l = &p->schedule->value[i];
        const Group *own = o->gs->of[i];
        if (op_is(n, "State")) {
            *at = p->state[n->state->id];
            continue;
        }
        bool stored =
            op_is(n, "Input") || op_is(n, "Pack") || (own && at->first >= 0) || at->pinned;
        if (!stored || op_is(n, "Scalar") || op_is(n, "Const") || p->schedule->within[i]) continue;
        at->bytes = value_bytes(p->schedule, n);
        at->arena = own && own->prep ? PLAN_PREP : PLAN_SLAB;
        if (op_is(n, "Pack")) at->pinned = true;
        if (at->arena == PLAN_PREP && at->last < p->nprep && !at->pinned) { /* no run reads it */
            vec_push(o->a, &prepared, ((Item){at, NULL, p->schedule->type[i]}));
        } else if (at->arena == PLAN_PREP) {
            at->offset = p->size[PLAN_PREP];
            p->size[PLAN_PREP] += at->bytes;
        } else if (layout_has_halo(l))
            place_halo(p, o->a, &slots, (Item){at, l, p->schedule->type[i]}, reuse);
        else if (op_is(n, "Pack")) {
            at->offset = p->size[PLAN_SLAB];
            p->size[PLAN_SLAB] += at->bytes;
        }
    }
    for (int i = 0; i < g->node.n; i++) {
        Place *at = &p->value[i];
        const Layout *l = &p->schedule->value[i];
        bool free_item = at->bytes && at->arena == PLAN_SLAB && !layout_has_halo(l);
        if (free_item && !op_is(g->node.v[i], "Pack") && !place_inside(o, g->node.v[i]))
            vec_push(o->a, &items, ((Item){at, NULL, p->schedule->type[i]}));
    }
    place_items(p, PLAN_PREP, prepared.v, prepared.n, reuse);
    for (int pos = 0; pos < p->order.n; pos++) {
        const Group *gr = p->order.v[pos];
        Place *at = &p->workspace[gr->id];
        at->bytes = aligned(p->schedule->group[gr->id].workspace);
        at->first = at->last = pos;
        at->arena = PLAN_SLAB;
        const Group *from = p->schedule->group[gr->id].summed_by; /* writes the partial sums */
        for (int k = 0; k < pos && from; k++)
            if (p->order.v[k] == from) at->first = k;
        if (at->bytes) vec_push(o->a, &items, ((Item){at, NULL, LT_F32}));
        place_kept(p, gr);
    }
    place_items(p, PLAN_SLAB, items.v, items.n, reuse);
    for (int i = 0; i < g->node.n; i++)
        if (p->schedule->within[i]) p->value[i] = p->value[p->schedule->within[i]->id];
}

static void place_scalars(Arena *a, Plan *p, const Graph *g)
{
    for (int i = 0; i < g->node.n; i++) {
        const Node *n = g->node.v[i];
        if (!op_is(n, "Scalar")) continue;
        int k = 0;
        while (k < p->scalar.n && strcmp(p->scalar.v[k], n->name) != 0) k++;
        if (k == p->scalar.n) vec_push(a, &p->scalar, n->name);
        p->value[i] = (Place){
            .arena = PLAN_SCALAR, .offset = (int64_t)ALIGN * k, .bytes = ALIGN, .pinned = true};
    }
    p->size[PLAN_SCALAR] = (int64_t)ALIGN * p->scalar.n;
}

Plan *plan(Arena *a, const Schedule *s, bool reuse)
{
    const Groups *gs = s->groups;
    const Graph *g = gs->graph;
    Plan *p = NEW(a, Plan);
    p->schedule = s;
    p->value = NEWN(a, Place, g->node.n + 1);
    p->workspace = NEWN(a, Place, gs->group.n + 1);
    p->kept = NEWN(a, Place, gs->group.n + 1);
    p->made = NEWN(a, int, gs->group.n + 1);
    p->state = NEWN(a, Place, g->state.n + 1);
    for (int i = 0; i < g->node.n; i++) p->value[i].first = p->value[i].last = -1;

    place_state(p, g, STATE_PARAM, false);
    place_state(p, g, STATE_PARAM, true);
    place_state(p, g, STATE_BUFFER, false);
    place_state(p, g, STATE_MOMENT, false);
    place_state_groups(p, g);

    Orderer o = {.a = a, .p = p, .gs = gs};
    o.copied = NEWN(a, bool, g->node.n + 1);
    o.done = NEWN(a, char, gs->group.n + 1);
    find_copies(&o);
    order_groups(&o);
    for (int i = 0; i < g->node.n; i++)
        if (o.copied[i]) vec_push(a, &p->copy, g->node.v[i]);
    find_made(p, gs);
    find_lifetimes(p, gs);
    place_values(&o, reuse);
    place_scalars(a, p, g);
    return p;
}

/* ---- check and text ---- */

static bool overlap(const Place *a, const Place *b)
{
    return a->arena == b->arena && a->offset < b->offset + b->bytes &&
           b->offset < a->offset + a->bytes;
}

/* Two parts of one value begin at different channels. */
static bool may_share(const Plan *p, const Graph *g, int i, int k)
{
    const Schedule *s = p->schedule;
    const Node *a = g->node.v[i], *b = g->node.v[k];
    if (op_is(a, "Pack") || op_is(b, "Pack")) return true; /* gradients lie inside */
    if (s->within[i] && s->within[i] == s->within[k]) return s->value[i].base != s->value[k].base;
    return s->within[i] == b || s->within[k] == a;
}

/* The parts of a Pack lie inside it, in order: the optimizer reads it as one tensor. */
static void verify_pack(const Plan *p, const Node *pack)
{
    int64_t offset = p->value[pack->id].offset;
    for (int k = 0; k < pack->nin; k++) {
        const Place *at = &p->value[pack->in[k]->id];
        bug_if(at->arena != PLAN_SLAB || at->offset != offset,
               "part %d of %%%d, %%%d, does not lie in its place", k, pack->id, pack->in[k]->id);
        offset += at->bytes;
    }
}

/* Copies come last: what they copy must not have been overwritten. */
static void verify_copy(const Graph *g, const Node *copy)
{
    for (int i = 0; i < g->node.n && op_is(copy->in[0], "State"); i++)
        bug_if(op_is(g->node.v[i], "Assign") && covers(g->node.v[i]->state, copy->in[0]->state),
               "'%s' keeps the old '%s', which is overwritten", copy->state->name,
               copy->in[0]->state->name);
}

void plan_verify(const Plan *p)
{
    const Graph *g = p->schedule->groups->graph;
    for (int i = 0; i < p->copy.n; i++) verify_copy(g, p->copy.v[i]);
    for (int i = 0; i < g->node.n; i++)
        if (op_is(g->node.v[i], "Pack")) verify_pack(p, g->node.v[i]);
    for (int i = 0; i < g->node.n; i++) {
        const Place *a = &p->value[i];
        if (!a->bytes || (a->arena != PLAN_SLAB && a->arena != PLAN_PREP)) continue;
        bug_if(a->offset % ALIGN || a->offset + a->bytes > p->size[a->arena],
               "%%%d lies outside of its arena", i);
        for (int k = 0; k < i; k++)
            bug_if(p->value[k].bytes && overlap(a, &p->value[k]) &&
                       lifetimes_meet(a, &p->value[k]) && !may_share(p, g, i, k),
                   "%%%d and %%%d share storage while both are live", k, i);
        for (int k = 0; k < p->order.n; k++) {
            const Place *w = &p->workspace[p->order.v[k]->id];
            bug_if(w->bytes && overlap(a, w) && lifetimes_meet(a, w),
                   "%%%d shares storage with a workspace", i);
        }
    }
}

void plan_print(Buf *b, const Plan *p)
{
    static const char *const arena_names[] = {"state", "prep", "slab", "scalar"};
    const Graph *g = p->schedule->groups->graph;
    Arena *a = arena_new();
    for (int i = 0; i < PLAN_NARENAS; i++)
        buf_printf(b, "%s %lld bytes\n", arena_names[i], (long long)p->size[i]);
    for (int i = 0; i < p->order.n; i++) {
        const Group *gr = p->order.v[i];
        buf_printf(b, "run %d group %d%s  # %s\n", i, gr->id, i < p->nprep ? " prepare" : "",
                   group_layers(a, gr));
        for (int k = 0; k < gr->out.n; k++) {
            const Place *at = &p->value[gr->out.v[k]->id];
            LType t = p->schedule->type[gr->out.v[k]->id];
            buf_printf(b, "  %%%d %s+%lld %lld bytes%s%s live %d..%d%s\n", gr->out.v[k]->id,
                       arena_names[at->arena], (long long)at->offset, (long long)at->bytes,
                       ltype_is_stored(t) ? " " : "", ltype_is_stored(t) ? ltype_name(t) : "",
                       at->first, at->last, at->pinned ? " pinned" : "");
        }
        const Place *w = &p->workspace[gr->id];
        if (w->bytes)
            buf_printf(b, "  workspace slab+%lld %lld bytes\n", (long long)w->offset,
                       (long long)w->bytes);
        const Place *kept = &p->kept[gr->id];
        if (kept->bytes)
            buf_printf(b, "  kept prep+%lld %lld bytes\n", (long long)kept->offset,
                       (long long)kept->bytes);
    }
    for (int i = 0; i < g->state.n; i++)
        buf_printf(b, "state %s state+%lld %lld bytes\n", g->state.v[i]->name,
                   (long long)p->state[i].offset, (long long)p->state[i].bytes);
    arena_free(a);
}
