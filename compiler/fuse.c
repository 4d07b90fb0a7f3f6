/* Fusion: graph nodes -> groups, in one pass over the topological order.
 *
 * In: a simplified graph. Out: groups whose inner values never reach memory. Each rule of
 * fuse_rules.c looks at one node and one group of a producer, and either says yes or names the
 * reason why not, which --explain-fusion prints. A join must never make a cycle between groups
 * (fuse_depends). */
#include "fuse.h"
#include <stdlib.h>
#include <string.h>

bool node_is_leaf(const Node *n)
{
    return op_is(n, "Input") || op_is(n, "State") || op_is(n, "Scalar") || op_is(n, "Const");
}

bool fuse_is_root(const Node *n)
{
    return op_is(n, "Assign") || op_is(n, "Pack");
}

/* Arithmetic on run-time scalars (a learning rate over a bias correction): recomputed wherever it
 * is used. */
static bool is_scalar_work(const Node *n)
{
    if (n->op->nest != NEST_POINTWISE || n->shape.rank > 0) return false;
    for (int i = 0; i < n->nin; i++)
        if (!op_is(n->in[i], "Scalar") && !op_is(n->in[i], "Const") && !is_scalar_work(n->in[i]))
            return false;
    return true;
}

/* Stored for its own sake: an output, or a state's new value. */
bool fuse_wanted(const Fuse *f, const Node *n)
{
    for (int i = 0; i < f->g->output.n; i++)
        if (f->g->output.v[i].node == n) return true;
    for (int i = n->id + 1; i < f->g->node.n; i++)
        if (fuse_is_root(f->g->node.v[i]))
            for (int k = 0; k < f->g->node.v[i]->nin; k++)
                if (f->g->node.v[i]->in[k] == n) return true;
    return false;
}

static bool has_group(const Fuse *f, const Node *n)
{
    if (node_is_leaf(n) || fuse_is_root(n)) return false;
    return !f->enable || !is_scalar_work(n) || fuse_wanted(f, n);
}

/* Does `n` depend, through groups as wholes, on anything that group g computes? */
bool fuse_depends(Fuse *f, const Node *n, const Group *g)
{
    if (f->mark[n->id] == f->walk) return false;
    f->mark[n->id] = f->walk;
    Group *own = f->out->of[n->id];
    if (own == g) return true;
    if (own)
        for (int i = 0; i < own->node.n; i++)
            for (int k = 0; k < own->node.v[i]->nin; k++)
                if (f->out->of[own->node.v[i]->in[k]->id] != own &&
                    fuse_depends(f, own->node.v[i]->in[k], g))
                    return true;
    for (int i = 0; !own && i < n->nin; i++)
        if (fuse_depends(f, n->in[i], g)) return true;
    return false;
}

/* Would adding n to g make a cycle: an input of n, outside of g, that needs g's results? */
static bool makes_cycle(Fuse *f, const Node *n, const Group *g)
{
    f->walk++;
    for (int i = 0; i < n->nin; i++)
        if (f->out->of[n->in[i]->id] != g && fuse_depends(f, n->in[i], g)) return true;
    return false;
}

void fuse_put(Fuse *f, Group *g, Node *n, Stage stage)
{
    vec_push(f->a, &g->node, n);
    f->out->of[n->id] = g;
    f->out->stage[n->id] = stage;
}

unsigned fuse_axes(const Node *n)
{
    return n->op->reduce(n).axes;
}

bool fuse_is_row(const Node *n)
{
    return n->op->nest == NEST_REDUCE && n->in[0]->shape.rank >= 2 && fuse_axes(n) == 2u;
}

static Group *new_group(Fuse *f, Node *n)
{
    Group *g = NEW(f->a, Group);
    g->id = f->out->group.n;
    g->nest = n->op->nest;
    g->prep = f->prep[n->id];
    g->row = fuse_is_row(n);
    g->tail = n->shape;
    g->domain = n->op->nest == NEST_REDUCE ? n->in[0]->shape : n->shape;
    if (g->row) g->tail = g->domain;
    if (n->op->nest != NEST_POINTWISE) g->anchor = n;
    vec_push(f->a, &f->out->group, g);
    fuse_put(f, g, n, g->anchor ? STAGE_ANCHOR : STAGE_PRE);
    return g;
}

/* Tries every rule on one group. */
static const char *try_group(Fuse *f, Node *n, Group *g)
{
    const char *why = "their loops have nothing in common";
    if (g->prep != f->prep[n->id]) return "one of them runs only once after the weights changed";
    if (makes_cycle(f, n, g)) return "another of its inputs is computed from that kernel's results";
    for (const FuseRule *r = fuse_rules; r->name; r++) {
        if (f->disabled && !strcmp(f->disabled, r->name)) continue;
        const char *w = r->join(f, n, g);
        if (!w) return NULL;
        if (*w) why = w;
    }
    return why;
}

const char fuse_reads_many[] = "it reads every input element many times: its input must be stored";

static const char *intrinsic_reason(const Node *n)
{
    switch (n->op->nest) {
    case NEST_CONTRACT:
        if (fuse_is_depthwise(n)) return NULL; /* rule_band */
        return fuse_reads_many;
    case NEST_WINDOW_T:
        return "it gathers from whole windows: its input must be stored";
    case NEST_RESAMPLE:
        return "it reads rectangles of its input, which must be stored";
    case NEST_GATHER:
    case NEST_COPY:
        return "it rearranges memory";
    default:
        return NULL;
    }
}

/* The sibling rule needs groups that are not producers: those that read the same input. */
static Group *sibling_group(Fuse *f, const Node *n)
{
    for (int i = f->out->group.n - 1; i >= 0; i--) {
        Group *g = f->out->group.v[i];
        if (g->nest != n->op->nest || !g->anchor || g->row) continue;
        for (int k = 0; k < g->node.n; k++)
            for (int j = 0; j < g->node.v[k]->nin; j++)
                if (g->node.v[k]->in[j] == n->in[0]) return g;
    }
    return NULL;
}

static bool comes_first(const Group *a, const Group *b)
{
    bool pa = a->nest == NEST_POINTWISE, pb = b->nest == NEST_POINTWISE;
    return pa != pb ? pb : a->id > b->id;
}

static void place_node(Fuse *f, Node *n)
{
    const char *why = f->enable ? intrinsic_reason(n) : "fusion is off";
    if (!why) {
        Group *tried[8];
        int ntried = 0;
        for (;;) { /* producers, those that do more than elementwise work first; then siblings */
            Group *best = NULL;
            for (int i = 0; i < n->nin; i++) {
                Group *g = f->out->of[n->in[i]->id];
                for (int k = 0; k < ntried && g; k++)
                    if (tried[k] == g) g = NULL;
                if (g && (!best || comes_first(g, best))) best = g;
            }
            if (!best || ntried == 8) break;
            tried[ntried++] = best;
            const char *w = try_group(f, n, best);
            if (!w) {
                fuse_absorb_producers(f, n);
                fuse_merge_sums(f, n);
                return;
            }
            if (!why) why = w;
        }
        Group *s = sibling_group(f, n);
        if (s && !try_group(f, n, s)) return;
    }
    f->out->why[n->id] = why;
    new_group(f, n);
    if (f->enable) fuse_merge_sums(f, n);
}

/* ---- inputs and outputs of finished groups, and their order ---- */

static bool used_outside(const Fuse *f, const Node *n)
{
    const Group *g = f->out->of[n->id];
    if (fuse_wanted(f, n)) return true;
    for (int i = n->id + 1; i < f->g->node.n; i++) {
        const Node *u = f->g->node.v[i];
        for (int k = 0; k < u->nin; k++)
            if (u->in[k] == n && f->out->of[u->id] != g) return true;
    }
    return false;
}

static void add_unique(Arena *a, Group *g, Node *n)
{
    for (int i = 0; i < g->in.n; i++)
        if (g->in.v[i] == n) return;
    vec_push(a, &g->in, n);
}

static void add_inputs(Fuse *f, Group *g, Node *n)
{
    for (int k = 0; k < n->nin; k++) {
        Node *in = n->in[k];
        if (op_is(in, "Const") || f->out->of[in->id] == g) continue;
        if (!f->out->of[in->id] && is_scalar_work(in))
            add_inputs(f, g, in);
        else
            add_unique(f->a, g, in);
    }
}

static void finish_group(Fuse *f, Group *g)
{
    for (int i = 0; i < g->node.n; i++) {
        Node *n = g->node.v[i];
        add_inputs(f, g, n);
        if (used_outside(f, n)) vec_push(f->a, &g->out, n);
    }
}

/* Depth first over group inputs: producers before consumers. */
static void visit(Fuse *f, Group *g, char *seen, Groups *sorted)
{
    if (seen[g->id]) {
        bug_if(seen[g->id] == 1, "fusion made a cycle at group %d", g->id);
        return;
    }
    seen[g->id] = 1;
    for (int i = 0; i < g->in.n; i++)
        if (f->out->of[g->in.v[i]->id]) visit(f, f->out->of[g->in.v[i]->id], seen, sorted);
    seen[g->id] = 2;
    vec_push(f->a, &sorted->group, g);
}

/* Drops groups that were absorbed; numbers the others in an order that respects dependences. */
static void sort_groups(Fuse *f)
{
    Groups sorted = {0};
    char *seen = NEWN(f->a, char, f->out->group.n + 1);
    for (int i = 0; i < f->out->group.n; i++)
        if (f->out->group.v[i]->node.n) visit(f, f->out->group.v[i], seen, &sorted);
    f->out->group.v = sorted.group.v;
    f->out->group.n = sorted.group.n;
    for (int i = 0; i < f->out->group.n; i++) f->out->group.v[i]->id = i;
}

/* Values of state and constants alone. In a training graph the state changes at every step: none.
 */
static void find_prep(Fuse *f)
{
    for (int i = 0; i < f->g->node.n && !f->g->training; i++) {
        const Node *n = f->g->node.v[i];
        bool p = op_is(n, "State") || op_is(n, "Const") || (n->nin > 0 && !fuse_is_root(n));
        for (int k = 0; k < n->nin; k++) p = p && f->prep[n->in[k]->id];
        f->prep[i] = p;
    }
}

Groups *fuse(Arena *a, const Graph *g, bool enable, const char *disabled_rule, const Machine *m)
{
    Groups *out = NEW(a, Groups);
    out->graph = g;
    out->of = NEWN(a, Group *, g->node.n + 1);
    out->stage = NEWN(a, Stage, g->node.n + 1);
    out->why = NEWN(a, const char *, g->node.n + 1);
    Fuse f = {.a = a, .g = g, .out = out, .enable = enable, .disabled = disabled_rule, .m = m};
    f.prep = NEWN(a, bool, g->node.n + 1);
    f.mark = NEWN(a, int, g->node.n + 1);
    find_prep(&f);
    for (int i = 0; i < g->node.n; i++)
        if (has_group(&f, g->node.v[i])) place_node(&f, g->node.v[i]);
    for (int i = 0; i < out->group.n; i++) finish_group(&f, out->group.v[i]);
    sort_groups(&f);
    return out;
}

void groups_verify(const Groups *gs)
{
    for (int i = 0; i < gs->group.n; i++) {
        const Group *g = gs->group.v[i];
        bug_if(g->nest != NEST_POINTWISE && !g->anchor, "group %d has no anchor", i);
        bug_if(!g->out.n && !g->prep, "group %d stores nothing", i);
        for (int k = 0; k < g->in.n; k++) {
            const Group *p = gs->of[g->in.v[k]->id];
            bug_if(p && p->id >= i, "group %d reads group %d, which comes later", i, p->id);
        }
    }
}
