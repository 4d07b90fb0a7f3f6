/* Groups that join: a node that joins a group may draw whole groups after it, elementwise ones that feed it and sums
 * over the same tensors. Nothing may lie between two groups that become one. */
#include "fuse.h"
#include <stdlib.h>
#include <string.h>

static int by_id(const void *x, const void *y)
{
    return (*(Node *const *)x)->id - (*(Node *const *)y)->id;
}

/* May node u of the group read elementwise work of stage s at the same place? The others read the
 * elements of many places (a contraction, a window), or before those of stage s are known. */
static bool reads_in_place(const Fuse *f, const Node *u, Stage s)
{
    Stage own = f->out->stage[u->id];
    bool sums = own == STAGE_ANCHOR && u->op->nest == NEST_REDUCE;
    return own == s || (s == STAGE_PRE && sums);
}

/* May the elementwise group p move into stage s of g? Nothing may lie between them in either
 * direction. */
static bool can_absorb(Fuse *f, const Group *p, const Group *g, Stage s)
{
    for (int dir = 0; dir < 2; dir++) {
        const Group *from = dir ? p : g, *to = dir ? g : p;
        for (int i = 0; i < from->node.n; i++)
            for (int k = 0; k < from->node.v[i]->nin; k++) {
                const Node *in = from->node.v[i]->in[k];
                const Group *q = f->out->of[in->id];
                f->walk++;
                if (q != g && q != p && fuse_depends(f, in, to)) return false;
                if (dir && q == g) return false;
                if (!dir && q == p && !reads_in_place(f, g->node.v[i], s)) return false;
            }
    }
    return true;
}

/* n has joined a group: elementwise groups over the same elements that feed it come along. */
void fuse_absorb_producers(Fuse *f, Node *n)
{
    Group *g = f->out->of[n->id];
    if (n->op->nest != NEST_POINTWISE || (f->disabled && !strcmp(f->disabled, "epilogue"))) return;
    for (int i = 0; i < n->nin; i++) {
        Group *p = f->out->of[n->in[i]->id];
        if (!p || p == g || p->nest != NEST_POINTWISE || p->prep != g->prep) continue;
        Stage s = f->out->stage[n->id];
        if (!shape_eq(p->domain, n->shape) || !can_absorb(f, p, g, s)) continue;
        for (int k = 0; k < p->node.n; k++) fuse_put(f, g, p->node.v[k], s);
        p->node.n = 0;
        qsort(g->node.v, (size_t)g->node.n, sizeof *g->node.v, by_id);
    }
}

static bool share_an_input(const Group *a, const Group *b)
{
    for (int i = 0; i < a->node.n; i++)
        for (int k = 0; k < a->node.v[i]->nin; k++) {
            const Node *in = a->node.v[i]->in[k];
            for (int j = 0; j < b->node.n && in->shape.rank >= 2; j++)
                for (int m = 0; m < b->node.v[j]->nin; m++)
                    if (b->node.v[j]->in[m] == in) return true;
        }
    return false;
}

static bool independent(Fuse *f, const Group *a, const Group *b)
{
    for (int dir = 0; dir < 2; dir++) {
        const Group *from = dir ? a : b, *to = dir ? b : a;
        for (int i = 0; i < from->node.n; i++)
            for (int k = 0; k < from->node.v[i]->nin; k++) {
                f->walk++;
                if (f->out->of[from->node.v[i]->in[k]->id] != from &&
                    fuse_depends(f, from->node.v[i]->in[k], to))
                    return false;
            }
    }
    return true;
}

/* n, a sum, has found its group: other sums over the same axes of the same tensors come along. */
void fuse_merge_sums(Fuse *f, Node *n)
{
    Group *g = f->out->of[n->id];
    if (n->op->nest != NEST_REDUCE || g->row || (f->disabled && !strcmp(f->disabled, "sibling")))
        return;
    for (int i = 0; i < f->out->group.n; i++) {
        Group *p = f->out->group.v[i];
        if (p == g || !p->node.n || p->nest != NEST_REDUCE || p->row || p->prep != g->prep)
            continue;
        if (!shape_eq(p->domain, g->domain) || fuse_axes(p->anchor) != fuse_axes(g->anchor))
            continue;
        if (fuse_count(f, p, STAGE_ANCHOR) + fuse_count(f, g, STAGE_ANCHOR) > GROUP_MOST_ANCHORS)
            continue;
        if (!share_an_input(p, g) || !independent(f, p, g)) continue;
        for (int k = 0; k < p->node.n; k++)
            fuse_put(f, g, p->node.v[k], f->out->stage[p->node.v[k]->id]);
        p->node.n = 0;
        qsort(g->node.v, (size_t)g->node.n, sizeof *g->node.v, by_id);
    }
}
