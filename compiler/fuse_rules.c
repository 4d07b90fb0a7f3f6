/* The rules of fusion: what a group may hold is said only here; how it is executed, only in the nests.
 * A rule is a row of the table at the end. */
#include "fuse.h"
#include "graph/layout.h"
#include <string.h>

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
    if (!pointwise && !fuse_is_row(n)) return "it does not work on one row at a time";
    if (!shape_eq(n->shape, g->domain) && !is_row_shape(n->shape, g->domain))
        return "its rows have another shape";
    if (!pointwise && !shape_eq(n->in[0]->shape, g->domain)) return "its rows have another shape";
    fuse_put(f, g, n, pointwise ? STAGE_PRE : STAGE_ANCHOR);
    return NULL;
}

/* Softmax and losses: reductions over the channels of one row, and everything elementwise between
 * them. */
static const char *rule_row(Fuse *f, Node *n, Group *g)
{
    if (g->row) return row_join(f, n, g);
    if (!fuse_is_row(n)) return "";
    if (g->nest != NEST_POINTWISE || !shape_eq(g->domain, n->in[0]->shape))
        return "a sum over channels needs whole rows, which its producer's kernel does not hold";
    g->nest = NEST_REDUCE;
    g->row = true;
    g->anchor = n;
    fuse_put(f, g, n, STAGE_ANCHOR);
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
    if (fuse_wanted(f, n)) return false;
    for (int i = n->id + 1; i < f->g->node.n; i++) {
        const Node *u = f->g->node.v[i];
        for (int k = 0; k < u->nin; k++) {
            if (u->in[k] != n) continue;
            read = true;
            bool sum = u->op->nest == NEST_REDUCE && !fuse_is_row(u);
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
    bool stored = p && fuse_wanted(f, p);
    if (!p || fuse_wanted(f, n)) return false;
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
        fuse_put(f, g, n, STAGE_PRE);
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
    fuse_put(f, g, n, stage);
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

static const char too_many[] = "its kernel has as many results as it can accumulate";

int fuse_count(const Fuse *f, const Group *g, Stage s)
{
    int n = 0;
    for (int i = 0; i < g->node.n; i++) n += f->out->stage[g->node.v[i]->id] == s;
    return n;
}

/* Do only windows like n's read what the group computes? */
static bool only_windows_read(const Fuse *f, const Node *n, const Group *g)
{
    for (int i = 0; i < g->node.n; i++) {
        const Node *v = g->node.v[i];
        if (fuse_wanted(f, v)) return false;
        for (int k = v->id + 1; k < f->g->node.n; k++) {
            const Node *u = f->g->node.v[k];
            bool alike = v == n->in[0] && u->op->nest == NEST_WINDOW && same_window(u, n);
            for (int j = 0; j < u->nin; j++)
                if (u->in[j] == v && f->out->of[u->id] != g && !alike) return false;
        }
    }
    return true;
}

int64_t group_strip(const Node *pool)
{
    enum { MOST = 4, LEAST = 3 };
    Window w = pool->op->window(pool);
    const Shape *in = &pool->in[0]->shape;
    if (!op_is(pool, "MaxPool2d") || w.adaptive) return 0;
    for (int d = 0; d < 2; d++)
        if (w.kernel[d] != w.stride[d] + 1 || w.pad[d] != 1 || w.dilation[d] != 1 || in->dim[2 + d] % w.stride[d]) return 0;
    for (int64_t q = MOST; q >= LEAST; q--)
        if (pool->shape.dim[3] % q == 0) return q;
    return 0;
}

/* May windows that overlap be followed down the plane? Where what lies before them is dear to store and their input is
 * made of few channels, so that units of 16 x 16 channels have no use; and where there are strips enough for all
 * processors. Beyond the plane's edge nothing can be read but vectors. */
static const char *joins_strip(const Fuse *f, const Node *n, const Group *g)
{
    enum { STRIPS = 8 }; /* of a processor: threads in 16s */
    int64_t q = group_strip(n), most = f->m ? STRIPS * f->m->processors : 0;
    if (!most || !q || g->anchor->in[0]->shape.dim[1] >= BLOCK) return "its windows overlap or are padded";
    if (n->shape.dim[1] % (STRIP_BLOCKS * BLOCK)) return "its windows overlap, and its channels are no whole columns";
    int64_t strips = n->shape.dim[0] * (n->shape.dim[1] / (STRIP_BLOCKS * BLOCK)) * (n->shape.dim[3] / q);
    if (strips < most) return "its windows overlap, and too few strips of them lie side by side";
    for (int i = 0; i < g->node.n; i++)
        for (int k = 0; k < g->node.v[i]->nin; k++) {
            const Node *in = g->node.v[i]->in[k];
            if (g->node.v[i] != g->anchor && f->out->of[in->id] != g && in->shape.rank > 1)
                return "its windows overlap, and what is computed before reads a tensor";
        }
    return only_windows_read(f, n, g) ? NULL : "others read its input, which is stored anyway";
}

/* Accumulators that one pooled value may need at once: registers, or a tile of Winograd's results. */
static bool fits_tile(const Fuse *f, const Group *g, const Window *w)
{
    enum { MOST_TAPS = 4, SIDE = 4 };
    if (w->kernel[0] * w->kernel[1] <= MOST_TAPS) return true;
    return SIDE % w->kernel[0] == 0 && SIDE % w->kernel[1] == 0 && fuse_may_transform(f, g->anchor);
}

/* Pooling on the accumulators of a contraction, before anything is stored. */
static const char *rule_pool(Fuse *f, Node *n, Group *g)
{
    if (n->op->nest != NEST_WINDOW || g->nest != NEST_CONTRACT) return "";
    if (g->band) return "another pooling already ends this kernel";
    Window w = n->op->window(n);
    bool tiling = window_is_tiling(&w);
    const char *why = tiling ? NULL : joins_strip(f, n, g);
    if (why) return why;
    if (tiling && !fits_tile(f, g, &w))
        return "its windows are larger than the accumulator tile";
    Contract c;
    if (g->anchor->op->contract(g->anchor, 1, &c)) return "the contraction comes in phases";
    g->anchor->op->contract(g->anchor, 0, &c);
    if (n->shape.dim[1] < BLOCK_MIN_CHANNELS) return "there are too few channels for a vector";
    if (!plain_index(&c, &c.a, 1) || !plain_index(&c, &c.out, 1) || !plain_index(&c, &c.b, 0))
        return "channel groups may cut vectors";
    for (int i = 0; i < 2; i++)
        if (tiling && n->in[0]->shape.dim[2 + i] % w.kernel[i])
            return "the plane is not a multiple of the window";
    if (g->pool && !(g->pool->in[0] == n->in[0] && same_window(g->pool, n)))
        return "another pooling already ends this kernel";
    if (!g->pool) {
        for (int i = 0; i < g->node.n; i++)
            if (f->out->stage[g->node.v[i]->id] > STAGE_POST)
                return "another pooling already ends this kernel";
        g->pool = n;
        g->strip = !tiling;
        g->tail = n->shape;
    }
    if (fuse_count(f, g, STAGE_POOL) == GROUP_MOST_ANCHORS) return too_many;
    fuse_put(f, g, n, STAGE_POOL);
    return NULL;
}

/* Maximum and its place, sums over the same tensor: one pass serves both. */
static const char *rule_sibling(Fuse *f, Node *n, Group *g)
{
    if (n->op->nest != g->nest || !g->anchor || g->row) return "";
    bool window =
        n->op->nest == NEST_WINDOW && n->in[0] == g->anchor->in[0] && same_window(n, g->anchor);
    bool reduce = n->op->nest == NEST_REDUCE && shape_eq(n->in[0]->shape, g->domain) &&
                  fuse_axes(n) == fuse_axes(g->anchor);
    if (!window && !reduce) return "";
    for (int i = 0; i < n->nin; i++) /* sums of sums are not siblings */
        if (f->out->of[n->in[i]->id] == g && f->out->stage[n->in[i]->id] != STAGE_PRE)
            return "it needs the result of that reduction";
    if (fuse_count(f, g, STAGE_ANCHOR) == GROUP_MOST_ANCHORS) return too_many;
    fuse_put(f, g, n, STAGE_ANCHOR);
    return NULL;
}

/* Works on all gradients end to end. */
static bool works_on_pack(const Group *g)
{
    for (int i = 0; i < g->node.n; i++)
        for (int k = 0; k < g->node.v[i]->nin; k++)
            if (op_is(g->node.v[i]->in[k], "Pack")) return true;
    return false;
}

/* Of windows alike, all or one: the others will join the first, unless that rule is off. */
static bool windows_alone_read(const Fuse *f, const Node *n, const Group *g)
{
    bool join = !f->disabled || strcmp(f->disabled, "sibling") != 0;
    return join ? only_windows_read(f, n, g) : fuse_alone_reads(f, n, g);
}

/* Elementwise work in front of a window: done at every tap, and never stored. */
static const char *window_prologue(Fuse *f, Node *n, Group *g)
{
    Window w = n->op->window(n);
    if (g->nest != NEST_POINTWISE) return "";
    if (!shape_eq(g->domain, n->in[0]->shape)) return "its producer works on another shape";
    if (!windows_alone_read(f, n, g)) return "others read its input, which is stored anyway";
    for (int i = 0; i < g->node.n && !window_is_tiling(&w); i++)
        if (!g->node.v[i]->op->light) return "its windows overlap: its input would be computed several times";
    g->nest = NEST_WINDOW;
    g->anchor = n;
    g->tail = n->shape;
    fuse_put(f, g, n, STAGE_ANCHOR);
    return NULL;
}

/* Elementwise work in front of a sum: computed where it is summed. */
static const char *rule_prologue(Fuse *f, Node *n, Group *g)
{
    if (n->op->nest == NEST_WINDOW) return window_prologue(f, n, g);
    if (n->op->nest != NEST_REDUCE || fuse_is_row(n)) return "";
    if (g->nest != NEST_POINTWISE) return "a sum is not taken inside of its producer's kernel";
    if (!shape_eq(g->domain, n->in[0]->shape)) return "its producer works on another shape";
    if (g->domain.rank < 2 && !works_on_pack(g)) return "its producer works on a vector";
    g->nest = NEST_REDUCE;
    g->anchor = n;
    g->tail = n->shape;
    fuse_put(f, g, n, STAGE_ANCHOR);
    return NULL;
}

/* Do few windows hold an element, all of them whole? (Where places of maxima say what counts, they need not be.) */
static bool few_windows(const Node *n)
{
    enum { MOST = 4 };
    Window w = n->op->window(n);
    int64_t windows = 1;
    if (w.adaptive) return false;
    for (int d = 0; d < 2; d++) {
        int64_t end = (n->in[0]->shape.dim[2 + d] - 1) * w.stride[d] + w.kernel[d];
        bool whole = !w.pad[d] && end <= n->shape.dim[2 + d];
        if (w.dilation[d] != 1 || (!whole && n->nin == 1)) return false;
        windows *= (w.kernel[d] + w.stride[d] - 1) / w.stride[d];
    }
    return windows <= MOST;
}

/* A window's transpose in front of a sum: gathered where it is summed, and not stored for that. */
static const char *rule_gather(Fuse *f, Node *n, Group *g)
{
    bool sum = n->op->nest == NEST_REDUCE && !fuse_is_row(n);
    if (g->nest != NEST_WINDOW_T || g->node.n > 1 || !shape_eq(n->in[0]->shape, g->domain)) return "";
    if (!sum && (n->op->nest != NEST_POINTWISE || !only_sums_read(f, n))) return "";
    if (!only_sums_read(f, g->anchor)) return "it is stored for others, too";
    if (!few_windows(g->anchor)) return "too many windows hold an element";
    f->out->stage[g->anchor->id] = STAGE_PRE;
    g->nest = NEST_POINTWISE;
    g->anchor = NULL;
    if (sum) return rule_prologue(f, n, g);
    fuse_put(f, g, n, STAGE_PRE);
    return NULL;
}

/* One line a rule. */
#define RULES(X)                                                                                   \
    X(row, "softmax and losses: reductions along a row and the work between them")                 \
    X(gather, "a window's transpose in front of a sum")                                            \
    X(epilogue, "elementwise behind its producer")                                                 \
    X(pool, "pooling on accumulators")                                                             \
    X(band, "max pooling, or a depthwise convolution, on few rows")                                \
    X(prologue, "elementwise in front of a sum or a window")                                       \
    X(sibling, "reductions or windows over the same input")
#define AS_RULE(name, doc) {#name, doc, rule_##name},
#define AS_NAME(name, doc) #name,

const FuseRule fuse_rules[] = {RULES(AS_RULE){0}};
const char *const fuse_rule_names[] = {RULES(AS_NAME) NULL};
