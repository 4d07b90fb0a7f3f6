/* Sums over the channels of what a contraction computes (statistics of BatchNorm, the two sums of its gradient), taken
 * where it is computed: every tile, or task of loops, leaves a partial sum behind, and what it summed need not be read
 * again for that.
 *
 * In: all groups with their schedules. Out: GroupSchedule.sums of the contraction, summed_by of the reduction. Rule: where
 * columns are blocks of channels, and the reduction's other inputs are there before the contraction runs; a block of tiles
 * of Winograd's algorithm is a tile. On a CPU, only where the reduction reads nothing as large besides: the sums of
 * BatchNorm's gradient would take x apart from its next use (ResNet-18's step: 2 % slower). Sums are of the float32
 * accumulators, before they are stored in 16 bits. Groups stay as fusion made them: the reduction's kernels add up the
 * partials and do what follows. */
#include "schedule.h"

enum { MOST_SUMS = 4, FLOAT_BYTES = 4 };

int schedule_anchors(const Schedule *s, const Group *g)
{
    int n = 0;
    for (int i = 0; i < g->node.n; i++) n += s->groups->stage[g->node.v[i]->id] == STAGE_ANCHOR;
    return n;
}

/* Only sums, over everything but the channels, of values that nobody wants in memory. */
static bool sums_channels(const Schedule *s, const Group *r)
{
    if (r->nest != NEST_REDUCE || r->row || r->domain.rank < 2 || schedule_anchors(s, r) > MOST_SUMS) return false;
    for (int i = 0; i < r->node.n; i++) {
        const Node *n = r->node.v[i];
        if (s->groups->stage[n->id] != STAGE_ANCHOR) continue;
        Reduce how = n->op->reduce(n);
        if (how.kind != REDUCE_SUM || how.axes != (((1u << r->domain.rank) - 1) & ~2u)) return false;
    }
    for (int i = 0; i < r->out.n; i++)
        if (s->groups->stage[r->out.v[i]->id] == STAGE_PRE) return false;
    return true;
}

/* What is computed last of all that the reduction reads. */
static Group *last_producer(const Schedule *s, const Group *r)
{
    Group *last = NULL;
    for (int i = 0; i < r->in.n; i++) {
        Group *g = s->groups->of[r->in.v[i]->id];
        if (g && (!last || g->id > last->id)) last = g;
    }
    return last;
}

/* The loop over blocks of columns; -1: columns are not blocked. */
int schedule_columns(const ConSchedule *c)
{
    for (int k = 0; k < c->nloop; k++)
        if (c->loop[k].role == ROLE_BLK) return k;
    return -1;
}

static bool phase_sums(const ConSchedule *c)
{
    const ConTile *t = &c->tile;
    int k = c->general ? -1 : schedule_columns(c);
    if (k < 0 || c->con.out.coef[1][c->loop[k].axis] != 1 || c->con.axis[c->loop[k].axis].extent < BLOCK) return false;
    return !t->config || (!t->a_columns && t->batch < 0);
}

static int64_t tiles_of(const ConLoop *l)
{
    return (l->extent + l->tile - 1) / l->tile;
}

int64_t schedule_sum_count(const ConSchedule *c)
{
    int64_t n = 1;
    if (c->tile.config) return c->tile.tiles_m;
    for (int k = 0; k < c->nloop; k++)
        if (c->loop[k].parallel && c->loop[k].role != ROLE_BLK) n *= tiles_of(&c->loop[k]);
    return n;
}

static int64_t sum_count(const GroupSchedule *gs)
{
    int64_t n = 0;
    if (gs->winograd) return gs->winograd->blocks;
    for (int i = 0; i < gs->nphase; i++) n += schedule_sum_count(&gs->con[i]);
    return n;
}

/* Does the reduction read nothing as large as what p computes, but that? */
static bool reads_only(const Schedule *s, const Group *p, const Group *r)
{
    for (int i = 0; i < r->in.n; i++)
        if (shape_eq(r->in.v[i]->shape, r->domain) && s->groups->of[r->in.v[i]->id] != p) return false;
    return true;
}

static bool makes_sums(const Schedule *s, const Group *p, const Group *r)
{
    const GroupSchedule *gs = &s->group[p->id];
    if (p->nest != NEST_CONTRACT || p->pool || p->prep != r->prep || gs->library || gs->dot) return false;
    if (gs->winograd && gs->winograd->gradient) return false;
    if (!shape_eq(p->anchor->shape, r->domain) || gs->split > 1 || gs->sums) return false;
    for (int i = 0; i < gs->nphase; i++)
        if (!phase_sums(&gs->con[i])) return false;
    return s->machine->processors || reads_only(s, p, r);
}

static int64_t smallest_root(int64_t n)
{
    int64_t r = 1;
    while (r * r < n) r++;
    return r;
}

/* Few partials are added up at once, many in two steps. */
static void set_partials(const Schedule *s, GroupSchedule *to, const GroupSchedule *from)
{
    enum { FEW = 64 };
    int64_t channels = (to->group->domain.dim[1] + BLOCK - 1) / BLOCK * BLOCK;
    to->red_tiles = sum_count(from);
    to->red_rows = 1;
    to->red_chunk = to->red_tiles > FEW ? smallest_root(to->red_tiles) : 1;
    to->red_split = (to->red_tiles + to->red_chunk - 1) / to->red_chunk;
    to->partials_at = to->red_chunk > 1 ? schedule_anchors(s, to->group) * to->red_tiles * channels * FLOAT_BYTES : 0;
    to->workspace = to->partials_at + schedule_anchors(s, to->group) * to->red_split * channels * FLOAT_BYTES;
}

/* A task of the loops has one tile of columns; and beside a template, which cuts the rows in its own way, all rows of
 * these (nests/contract_sums.c). */
static void one_task_a_column(GroupSchedule *gs)
{
    for (int p = 0; p < gs->nphase; p++) {
        ConSchedule *c = &gs->con[p];
        c->ntasks = 1;
        for (int i = 0; i < c->nloop; i++) {
            ConLoop *l = &c->loop[i];
            if (l->role == ROLE_BLK) l->parallel = tiles_of(l) > 1;
            else if (c->tile.config) l->parallel = false;
            if (l->parallel) c->ntasks *= tiles_of(l);
        }
    }
}

void schedule_sums(Schedule *s)
{
    for (int i = 0; i < s->groups->group.n; i++) {
        Group *r = s->groups->group.v[i], *p = sums_channels(s, r) ? last_producer(s, r) : NULL;
        if (!p || !makes_sums(s, p, r)) continue;
        s->group[p->id].sums = r;
        s->group[i].summed_by = p;
        if (!s->group[p->id].winograd) one_task_a_column(&s->group[p->id]);
        set_partials(s, &s->group[i], &s->group[p->id]);
    }
}
