/* Contractions into few channels from many: no axis of the result lies along what is read, but what is summed does, in
 * both operands. The lanes of their sums are added at the end (nests/contract_dot.c).
 *
 * In: a contraction whose phases have their loops. Out: Dot, or NULL where a vector axis serves better, or none of the
 * summed axes lies in lanes. Rule: on CPUs; results lie side by side along one dim, of which all phases together make
 * every element, each phase those that are `step` apart. */
#include "schedule.h"

/* The only dim of an operand that the axis moves along; -1: none, or several. */
static int dim_of(const ConIndex *ix, int axis)
{
    int found = -1;
    for (int d = 0; d < ix->view.rank; d++) {
        if (!ix->coef[d][axis]) continue;
        if (found >= 0) return -1;
        found = d;
    }
    return found;
}

/* Are the lanes of the axis those of the operand's blocks, wherever the other axes are? */
static bool lies_in_lanes(const Contract *c, const ConIndex *ix, const Layout *l, int axis)
{
    int d = dim_of(ix, axis);
    if (d < 0 || l->block[d] != BLOCK || l->inner[d] != 1 || ix->coef[d][axis] != 1 || ix->off[d] % BLOCK) return false;
    for (int a = 0; a < c->naxes; a++)
        if (a != axis && c->axis[a].extent > 1 && ix->coef[d][a] % BLOCK) return false;
    return true;
}

/* Does the loop over lanes take them one by one from memory? */
static bool gathers(const ConSchedule *s)
{
    for (int k = 0; k < s->nloop; k++) {
        const ConLoop *l = &s->loop[k];
        if (l->role == ROLE_LANE && (l->sa > 1 || l->sb > 1)) return true;
    }
    return s->general;
}

static int summed_in_lanes(const Schedule *s, const Node *n, const Contract *c)
{
    for (int a = 0; a < c->naxes; a++)
        if (dim_of(&c->out, a) < 0 && c->axis[a].extent > 1 &&
            lies_in_lanes(c, &c->a, &s->value[n->in[0]->id], a) &&
            lies_in_lanes(c, &c->b, &s->value[n->in[1]->id], a))
            return a;
    return -1;
}

/* The dim along which everything that is stored has its neighbours, and the axis that moves along it. */
static bool find_row(const Schedule *s, const Group *g, const Contract *c, Dot *dot)
{
    for (dot->dim = c->out.view.rank - 1; dot->dim >= 0; dot->dim--) {
        bool plain = true;
        for (int i = 0; i < g->out.n && plain; i++) {
            const Layout *l = &s->value[g->out.v[i]->id];
            plain = dot->dim < l->rank && l->block[dot->dim] == 1 && l->outer[dot->dim] == 1;
        }
        int moves = 0;
        for (int a = 0; a < c->naxes && plain; a++) {
            if (!c->out.coef[dot->dim][a] || c->axis[a].extent == 1) continue;
            dot->row = a;
            moves++;
        }
        if (moves) return moves == 1 && dim_of(&c->out, dot->row) == dot->dim;
    }
    return false;
}

/* Phases differ in offsets and extents only, and none reaches further than the first. */
static bool like_the_first(const Contract *first, const Contract *c, const Dot *dot)
{
    if (c->naxes != first->naxes || c->out.coef[dot->dim][dot->row] != dot->step) return false;
    for (int a = 0; a < c->naxes; a++)
        if (dim_of(&c->out, a) >= 0 && c->axis[a].extent > first->axis[a].extent) return false;
    for (int d = 0; d < MAX_RANK; d++)
        if ((dot->shared ? &c->b : &c->a)->coef[d][dot->row]) return false;
    return c->out.off[dot->dim] >= 0 && c->out.off[dot->dim] < dot->step;
}

const Dot *schedule_dot(Arena *a, const Schedule *s, const GroupSchedule *gs)
{
    const Group *g = gs->group;
    const Contract *first = &gs->con[0].con;
    Dot dot = {.lanes = s->machine->lanes < BLOCK ? s->machine->lanes : BLOCK};
    bool worse = false;
    for (int p = 0; p < gs->nphase; p++) worse |= gathers(&gs->con[p]);
    if (!worse || s->machine->processors || g->pool || gs->split > 1 || gs->pack_b) return NULL;
    dot.sum = summed_in_lanes(s, g->anchor, first);
    if (dot.sum < 0 || !find_row(s, g, first, &dot)) return NULL;
    dot.shared = dim_of(&first->a, dot.row) >= 0;
    dot.step = first->out.coef[dot.dim][dot.row];
    if (dot.step < 1 || dot.step > dot.lanes) return NULL;
    for (int p = 0; p < gs->nphase; p++)
        if (!like_the_first(first, &gs->con[p].con, &dot)) return NULL;
    dot.chunk = dot.lanes - dot.lanes % dot.step;
    Dot *found = NEW(a, Dot);
    *found = dot;
    return found;
}
