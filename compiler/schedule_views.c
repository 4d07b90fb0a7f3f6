/* Values that lie within another: the parts of a Concat are written where the whole is, by the groups that compute
 * them, and nothing is left to copy.
 *
 * In: layouts with their halos. Out: s->within, the parts' layouts, and which groups have no kernel. Rule: all parts of
 * a Concat or none; a part begins at a block of channels and ends with one; it has no halo that the whole has not, and is
 * nothing that has a place of its own: an input, a state, an output, part of another. */
#include "schedule.h"

enum { CHANNELS = 1 };

/* Does the value have a place of its own for another reason: the user is told of it, or keeps it? */
static bool is_placed(const Graph *g, const Node *n)
{
    for (int i = 0; i < g->output.n; i++)
        if (g->output.v[i].node == n) return true;
    for (int i = 0; i < g->node.n; i++)
        for (int k = 0; k < g->node.v[i]->nin; k++)
            if (g->node.v[i]->in[k] == n && (op_is(g->node.v[i], "Assign") || op_is(g->node.v[i], "Pack"))) return true;
    return false;
}

static bool is_stored(const Group *g, const Node *n)
{
    for (int i = 0; i < g->out.n; i++)
        if (g->out.v[i] == n) return true;
    return false;
}

/* A group that joins its inputs and does nothing else. */
static bool only_joins(const Group *g)
{
    return g && g->anchor && g->node.n == 1 && g->anchor->op->joins && !g->prep;
}

static bool blocks_fit(const Layout *whole, const Layout *part, int64_t start)
{
    if (whole->rank != part->rank || whole->last != part->last || whole->block[CHANNELS] != BLOCK) return false;
    for (int d = 0; d < whole->rank; d++)
        if (whole->block[d] != part->block[d] || part->lo[d] > whole->lo[d] || part->hi[d] > whole->hi[d]) return false;
    return start % BLOCK == 0 && part->dim[CHANNELS] % BLOCK == 0;
}

static bool can_lie_within(const Schedule *s, const Node *whole, const Node *part, int64_t start)
{
    const Group *own = s->groups->of[part->id];
    if (!own || own->prep || !is_stored(own, part) || only_joins(own) || s->within[part->id]) return false;
    return s->type[part->id] == s->type[whole->id] && !is_placed(s->groups->graph, part) &&
           blocks_fit(&s->value[whole->id], &s->value[part->id], start);
}

static bool occurs_twice(const Node *n)
{
    for (int i = 0; i < n->nin; i++)
        for (int k = 0; k < i; k++)
            if (n->in[i] == n->in[k]) return true;
    return false;
}

/* The part's elements in the whole's storage. */
static Layout layout_within(const Layout *whole, const Layout *part, int64_t start)
{
    Layout l = *whole;
    l.dim[CHANNELS] = part->dim[CHANNELS];
    l.base += start / BLOCK * l.outer[CHANNELS];
    return l;
}

static void join(Schedule *s, const Group *g)
{
    const Node *n = g->anchor;
    for (int k = 0; k < n->nin; k++)
        if (occurs_twice(n) || !can_lie_within(s, n, n->in[k], n->op->joins(n, k))) return;
    for (int k = 0; k < n->nin; k++) {
        s->within[n->in[k]->id] = n;
        s->value[n->in[k]->id] = layout_within(&s->value[n->id], &s->value[n->in[k]->id], n->op->joins(n, k));
    }
    s->group[g->id].joined = true;
}

void schedule_views(Schedule *s)
{
    if (s->machine->provider) return; /* a library's tensors have one offset */
    for (int i = 0; i < s->groups->group.n; i++)
        if (only_joins(s->groups->group.v[i])) join(s, s->groups->group.v[i]);
}
