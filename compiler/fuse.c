/* Fusion: graph nodes -> groups, in one pass over the topological order.
 *
 * In: a simplified graph. Out: groups whose inner values never reach memory. Each rule below looks
 * at one node and one group of a producer, and either says yes or names the reason why not, which
 * --explain-fusion prints. Rule of the house: a rule is a row of `rules`; what a group may hold is
 * said only here, how it is executed only in the nests. A join must never make a cycle between
 * groups (depends_on). */
#include "graph/layout.h"
#include "groups.h"
#include "stages.h"
#include <stdlib.h>
#include <string.h>

typedef struct Fuse {
    Arena *a;
    const Graph *g;
    Groups *out;
    bool enable;
    const char *disabled;
    bool *prep; /* by node id */
    int *mark;  /* by node id: visited in walk number */
    int walk;
} Fuse;

bool node_is_leaf(const Node *n)
{
    return op_is(n, "Input") || op_is(n, "State") || op_is(n, "Scalar") || op_is(n, "Const");
}

static bool is_root(const Node *n)
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
static bool is_wanted(const Fuse *f, const Node *n)
{
    for (int i = 0; i < f->g->output.n; i++)
        if (f->g->output.v[i].node == n) return true;
    for (int i = n->id + 1; i < f->g->node.n; i++)
        if (is_root(f->g->node.v[i]))
            for (int k = 0; k < f->g->node.v[i]->nin; k++)
                if (f->g->node.v[i]->in[k] == n) return true;
    return false;
}

static bool has_group(const Fuse *f, const Node *n)
{
    if (node_is_leaf(n) || is_root(n)) return false;
    return !f->enable || !is_scalar_work(n) || is_wanted(f, n);
}

/* Does `n` depend, through groups as wholes, on anything that group g computes? */
static bool depends_on(Fuse *f, const Node *n, const Group *g)
{
    if (f->mark[n->id] == f->walk) return false;
    f->mark[n->id] = f->walk;
    Group *own = f->out->of[n->id];
    if (own == g) return true;
    if (own)
        for (int i = 0; i < own->node.n; i++)
            for (int k = 0; k < own->node.v[i]->nin; k++)
                if (f->out->of[own->node.v[i]->in[k]->id] != own &&
                    depends_on(f, own->node.v[i]->in[k], g))
                    return true;
    for (int i = 0; !own && i < n->nin; i++)
        if (depends_on(f, n->in[i], g)) return true;
    return false;
}

/* Would adding n to g make a cycle: an input of n, outside of g, that needs g's results? */
static bool makes_cycle(Fuse *f, const Node *n, const Group *g)
{
    f->walk++;
    for (int i = 0; i < n->nin; i++)
        if (f->out->of[n->in[i]->id] != g && depends_on(f, n->in[i], g)) return true;
    return false;
}

static void put(Fuse *f, Group *g, Node *n, Stage stage)
{
    vec_push(f->a, &g->node, n);
    f->out->of[n->id] = g;
    f->out->stage[n->id] = stage;
}

static unsigned reduced_axes(const Node *n)
{
    return n->op->reduce(n).axes;
}

static bool is_row_reduce(const Node *n)
{
    return n->op->nest == NEST_REDUCE && n->in[0]->shape.rank >= 2 && reduced_axes(n) == 2u;
}

static Group *new_group(Fuse *f, Node *n)
{
    Group *g = NEW(f->a, Group);
    g->id = f->out->group.n;
    g->nest = n->op->nest;
    g->prep = f->prep[n->id];
    g->row = is_row_reduce(n);
    g->tail = n->shape;
    g->domain = n->op->nest == NEST_REDUCE ? n->in[0]->shape : n->shape;
    if (g->row) g->tail = g->domain;
    if (n->op->nest != NEST_POINTWISE) g->anchor = n;
    vec_push(f->a, &f->out->group, g);
    put(f, g, n, g->anchor ? STAGE_ANCHOR : STAGE_PRE);
    return g;
}

/* ---- the rules. Each returns NULL and joins, or the reason why not ---- */

/* Is shape s that of one value per row of [N,C,..]: [N,1,..]? */
static bool is_row_shape(Shape s, Shape domain)
{
    if (s.rank != domain.rank || s.rank < 2 || s.dim[1] != 1) return false;
    s.dim[1] = domain.dim[1];
    return shape_eq(s, domain);
}

static const char *row_join(Fuse *f, Node *n, Group *g)
{
    bool pointwise = n->op->nest == NEST_POINTWISE;
    if (!pointwise && !is_row_reduce(n)) return "it does not work on one row at a time";
    if (!shape_eq(n->shape, g->domain) && !is_row_shape(n->shape, g->domain))
        return "its rows have another shape";
    if (!pointwise && !shape_eq(n->in[0]->shape, g->domain)) return "its rows have another shape";
    put(f, g, n, pointwise ? STAGE_PRE : STAGE_ANCHOR);
    return NULL;
}

/* Softmax and losses: reductions over the channels of one row, and everything elementwise between
 * them. */
static const char *rule_row(Fuse *f, Node *n, Group *g)
{
    if (g->row) return row_join(f, n, g);
    if (!is_row_reduce(n)) return "";
    if (g->nest != NEST_POINTWISE || !shape_eq(g->domain, n->in[0]->shape))
        return "a sum over channels needs whole rows, which its producer's kernel does not hold";
    g->nest = NEST_REDUCE;
    g->row = true;
    g->anchor = n;
    put(f, g, n, STAGE_ANCHOR);
    return NULL;
}

/* Elementwise over the domain of a reduction, from values that are not reduced yet. */
static bool joins_domain(const Fuse *f, const Node *n, const Group *g)
{
    if (g->nest != NEST_REDUCE || !shape_eq(n->shape, g->domain)) return false;
    for (int i = 0; i < n->nin; i++)
        if (f->out->of[n->in[i]->id] == g && f->out->stage[n->in[i]->id] != STAGE_PRE) return false;
    return true;
}

/* Do only sums read n, directly or behind more elementwise work? */
static bool only_sums_read(const Fuse *f, const Node *n)
{
    bool read = false;
    if (is_wanted(f, n)) return false;
    for (int i = n->id + 1; i < f->g->node.n; i++) {
        const Node *u = f->g->node.v[i];
        for (int k = 0; k < u->nin; k++) {
            if (u->in[k] != n) continue;
            read = true;
            bool sum = u->op->nest == NEST_REDUCE && !is_row_reduce(u);
            if (!sum && !(u->op->nest == NEST_POINTWISE && only_sums_read(f, u))) return false;
        }
    }
    return read;
}

/* Would n only be a second copy of what is stored anyway? It is arithmetic of one tensor with
 * vectors, that tensor has other readers in memory, and n's own readers are elementwise: they can
 * do it themselves. */
static bool is_second_copy(const Fuse *f, const Node *n)
{
    const Node *p = op_only_tensor(n);
    bool stored = p && is_wanted(f, p);
    if (!p || is_wanted(f, n)) return false;
    for (int i = p->id + 1; i < f->g->node.n; i++) {
        const Node *u = f->g->node.v[i];
        bool elementwise = u->op->nest == NEST_POINTWISE;
        for (int k = 0; k < u->nin; k++) {
            if (u->in[k] == n && !elementwise) return false;
            if (u->in[k] == p && u != n && (!elementwise || only_sums_read(f, u))) stored = true;
        }
    }
    return stored;
}

/* Elementwise behind anything that produces the same shape: registers to registers. */
static const char *rule_epilogue(Fuse *f, Node *n, Group *g)
{
    if (n->op->nest != NEST_POINTWISE) return "";
    if (g->row) return "";
    if (g->nest == NEST_COPY) return "its producer rearranges memory";
    if (joins_domain(f, n, g)) {
        put(f, g, n, STAGE_PRE);
        return NULL;
    }
    if (!shape_eq(n->shape, g->tail)) return "its elements are not those of its producer's kernel";
    if (g->nest != NEST_POINTWISE && g->nest != NEST_REDUCE) {
        if (only_sums_read(f, n)) return "only sums read it: they compute it where they sum";
        if (is_second_copy(f, n))
            return "it would be a second copy of a tensor that is stored anyway";
    }
    /* in a reduction, elementwise values of the domain are not yet reduced, and the results come
     * only after the last element: a node must not mix both */
    Stage stage = g->nest == NEST_POINTWISE ? STAGE_PRE : g->pool ? STAGE_LAST : STAGE_POST;
    for (int i = 0; i < n->nin; i++) {
        if (f->out->of[n->in[i]->id] != g) continue;
        Stage s = f->out->stage[n->in[i]->id];
        if (stage == STAGE_LAST && s < STAGE_POOL)
            return "it needs the values before pooling again";
        if (stage == STAGE_POST && s == STAGE_PRE) return "it needs the reduction's input again";
    }
    put(f, g, n, stage);
    return NULL;
}

static bool window_is_tiling(const Window *w)
{
    for (int i = 0; i < 2; i++)
        if (w->kernel[i] != w->stride[i] || w->pad[i] || w->dilation[i] != 1) return false;
    return !w->adaptive;
}

static bool same_window(const Node *a, const Node *b)
{
    Window x = a->op->window(a), y = b->op->window(b);
    return memcmp(x.kernel, y.kernel, sizeof x.kernel) == 0 &&
           memcmp(x.stride, y.stride, sizeof x.stride) == 0 &&
           memcmp(x.pad, y.pad, sizeof x.pad) == 0 &&
           memcmp(x.dilation, y.dilation, sizeof x.dilation) == 0 && x.adaptive == y.adaptive;
}

/* Is dim d of an operand indexed by a single axis? */
static bool plain_index(const Contract *c, const ConIndex *ix, int d)
{
    int axes = 0;
    for (int a = 0; a < c->naxes; a++) axes += ix->coef[d][a] != 0 && c->axis[a].extent > 1;
    return axes <= 1;
}

/* Pooling on the accumulators of a contraction, before anything is stored. */
static const char *rule_pool(Fuse *f, Node *n, Group *g)
{
    enum { MOST_TAPS = 4 }; /* accumulators that one pooled value may need at once */
    if (n->op->nest != NEST_WINDOW || g->nest != NEST_CONTRACT) return "";
    Window w = n->op->window(n);
    if (!window_is_tiling(&w)) return "its windows overlap or are padded";
    if (w.kernel[0] * w.kernel[1] > MOST_TAPS)
        return "its windows are larger than the accumulator tile";
    Contract c;
    if (g->anchor->op->contract(g->anchor, 1, &c)) return "the contraction comes in phases";
    g->anchor->op->contract(g->anchor, 0, &c);
    if (n->shape.dim[1] < BLOCK_MIN_CHANNELS) return "there are too few channels for a vector";
    if (!plain_index(&c, &c.a, 1) || !plain_index(&c, &c.out, 1) || !plain_index(&c, &c.b, 0))
        return "channel groups may cut vectors";
    for (int i = 0; i < 2; i++)
        if (n->in[0]->shape.dim[2 + i] % w.kernel[i])
            return "the plane is not a multiple of the window";
    if (g->pool && !(g->pool->in[0] == n->in[0] && same_window(g->pool, n)))
        return "another pooling already ends this kernel";
    if (!g->pool) {
        for (int i = 0; i < g->node.n; i++)
            if (f->out->stage[g->node.v[i]->id] > STAGE_POST)
                return "another pooling already ends this kernel";
        g->pool = n;
        g->tail = n->shape;
    }
    put(f, g, n, STAGE_POOL);
    return NULL;
}

/* Maximum and its place, sums over the same tensor: one pass serves both. */
static const char *rule_sibling(Fuse *f, Node *n, Group *g)
{
    if (n->op->nest != g->nest || !g->anchor || g->row) return "";
    bool window =
        n->op->nest == NEST_WINDOW && n->in[0] == g->anchor->in[0] && same_window(n, g->anchor);
    bool reduce = n->op->nest == NEST_REDUCE && shape_eq(n->in[0]->shape, g->domain) &&
                  reduced_axes(n) == reduced_axes(g->anchor);
    if (!window && !reduce) return "";
    for (int i = 0; i < n->nin; i++) /* sums of sums are not siblings */
        if (f->out->of[n->in[i]->id] == g && f->out->stage[n->in[i]->id] != STAGE_PRE)
            return "it needs the result of that reduction";
    put(f, g, n, STAGE_ANCHOR);
    return NULL;
}

/* Elementwise work in front of a sum: computed where it is summed. */
static const char *rule_prologue(Fuse *f, Node *n, Group *g)
{
    if (n->op->nest != NEST_REDUCE || is_row_reduce(n)) return "";
    if (g->nest != NEST_POINTWISE) return "a sum is not taken inside of its producer's kernel";
    if (!shape_eq(g->domain, n->in[0]->shape)) return "its producer works on another shape";
    if (g->domain.rank < 2) return "its producer works on a vector";
    g->nest = NEST_REDUCE;
    g->anchor = n;
    g->tail = n->shape;
    put(f, g, n, STAGE_ANCHOR);
    return NULL;
}

typedef struct Rule {
    const char *name, *doc;
    const char *(*join)(Fuse *, Node *,
                        Group *); /* NULL: joined; "": does not apply; else why not */
} Rule;
static const Rule rules[] = {
    {"row", "softmax and losses: reductions along a row and the work between them", rule_row},
    {"epilogue", "elementwise behind its producer", rule_epilogue},
    {"pool", "pooling on accumulators", rule_pool},
    {"prologue", "elementwise in front of a sum", rule_prologue},
    {"sibling", "reductions or windows over the same input", rule_sibling},
};
enum { NRULES = sizeof rules / sizeof rules[0] };
const char *const fuse_rule_names[] = {"row", "epilogue", "pool", "prologue", "sibling", NULL};

/* Tries every rule on one group. */
static const char *try_group(Fuse *f, Node *n, Group *g)
{
    const char *why = "their loops have nothing in common";
    if (g->prep != f->prep[n->id]) return "one of them runs only once after the weights changed";
    if (makes_cycle(f, n, g)) return "another of its inputs is computed from that kernel's results";
    for (int r = 0; r < NRULES; r++) {
        if (f->disabled && !strcmp(f->disabled, rules[r].name)) continue;
        const char *w = rules[r].join(f, n, g);
        if (!w) return NULL;
        if (*w) why = w;
    }
    return why;
}

static const char *intrinsic_reason(const Node *n)
{
    switch (n->op->nest) {
    case NEST_CONTRACT:
        return "it reads every input element many times: its input must be stored";
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
                if (q != g && q != p && depends_on(f, in, to)) return false;
                if (dir && q == g) return false;
                if (!dir && q == p && !reads_in_place(f, g->node.v[i], s)) return false;
            }
    }
    return true;
}

/* n has joined a group: elementwise groups over the same elements that feed it come along. */
static void absorb_producers(Fuse *f, Node *n)
{
    Group *g = f->out->of[n->id];
    if (n->op->nest != NEST_POINTWISE || (f->disabled && !strcmp(f->disabled, "epilogue"))) return;
    for (int i = 0; i < n->nin; i++) {
        Group *p = f->out->of[n->in[i]->id];
        if (!p || p == g || p->nest != NEST_POINTWISE || p->prep != g->prep) continue;
        Stage s = f->out->stage[n->id];
        if (!shape_eq(p->domain, n->shape) || !can_absorb(f, p, g, s)) continue;
        for (int k = 0; k < p->node.n; k++) put(f, g, p->node.v[k], s);
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
                    depends_on(f, from->node.v[i]->in[k], to))
                    return false;
            }
    }
    return true;
}

/* n, a sum, has found its group: other sums over the same axes of the same tensors come along. */
static void merge_sums(Fuse *f, Node *n)
{
    Group *g = f->out->of[n->id];
    if (n->op->nest != NEST_REDUCE || g->row || (f->disabled && !strcmp(f->disabled, "sibling")))
        return;
    for (int i = 0; i < f->out->group.n; i++) {
        Group *p = f->out->group.v[i];
        if (p == g || !p->node.n || p->nest != NEST_REDUCE || p->row || p->prep != g->prep)
            continue;
        if (!shape_eq(p->domain, g->domain) || reduced_axes(p->anchor) != reduced_axes(g->anchor))
            continue;
        if (!share_an_input(p, g) || !independent(f, p, g)) continue;
        for (int k = 0; k < p->node.n; k++)
            put(f, g, p->node.v[k], f->out->stage[p->node.v[k]->id]);
        p->node.n = 0;
        qsort(g->node.v, (size_t)g->node.n, sizeof *g->node.v, by_id);
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
                absorb_producers(f, n);
                merge_sums(f, n);
                return;
            }
            if (!why) why = w;
        }
        Group *s = sibling_group(f, n);
        if (s && !try_group(f, n, s)) return;
    }
    f->out->why[n->id] = why;
    new_group(f, n);
    if (f->enable) merge_sums(f, n);
}

/* ---- inputs and outputs of finished groups, and their order ---- */

static bool used_outside(const Fuse *f, const Node *n)
{
    const Group *g = f->out->of[n->id];
    if (is_wanted(f, n)) return true;
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
        bool p = op_is(n, "State") || op_is(n, "Const") || (n->nin > 0 && !is_root(n));
        for (int k = 0; k < n->nin; k++) p = p && f->prep[n->in[k]->id];
        f->prep[i] = p;
    }
}

Groups *fuse(Arena *a, const Graph *g, bool enable, const char *disabled_rule)
{
    Groups *out = NEW(a, Groups);
    out->graph = g;
    out->of = NEWN(a, Group *, g->node.n + 1);
    out->stage = NEWN(a, Stage, g->node.n + 1);
    out->why = NEWN(a, const char *, g->node.n + 1);
    Fuse f = {.a = a, .g = g, .out = out, .enable = enable, .disabled = disabled_rule};
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
