/* The rules of simplify, each a pattern and what takes its place; the table with their order is at
 * the end. All of them keep the meaning exactly, up to the rounding of the arithmetic that they
 * move. */
#include "simplify.h"
#include <math.h>
#include <string.h>

static bool is_const(const Node *n, double v)
{
    return op_is(n, "Const") && n->attr[0].f == v;
}

static bool is_copy(const Node *n)
{
    return n->op->nest == NEST_COPY;
}

static Node *reshape(Graph *g, Node *x, Shape s)
{
    AttrVal attr[MAX_ATTR] = {0};
    if (shape_eq(x->shape, s)) return x;
    attr[0].i[0] = s.rank;
    memcpy(attr[0].i + 1, s.dim, sizeof(int64_t) * (size_t)s.rank);
    return g_op_attr(g, "Reshape", attr, 1, x);
}

/* n's operator on other inputs. */
static Node *again(Rewrite *r, const Node *n, Node *const *in)
{
    return graph_add(r->g, n->op, in, n->nin, n->attr);
}

/* ---- expand ---- */
static Node *expand(Rewrite *r, Node *n)
{
    return n->op->expand ? n->op->expand(r->g, n) : NULL;
}

/* ---- copies (Flatten, Reshape) ---- */
static Node *merge_copies(Rewrite *r, Node *n)
{
    if (!is_copy(n)) return NULL;
    if (shape_eq(n->shape, n->in[0]->shape)) return n->in[0];
    if (is_copy(n->in[0])) return reshape(r->g, n->in[0]->in[0], n->shape);
    return NULL;
}

/* Operators whose value depends on more than the elements at the same row-major place. */
static bool is_placed(const Node *n)
{
    return op_is(n, "OneHot") || op_is(n, "Broadcast");
}

/* f(copy(a), copy(b), scalar) -> copy(f(a, b, scalar)) where a and b have one shape. */
static Node *sink_copies(Rewrite *r, Node *n)
{
    Node *in[8], *first = NULL;
    if (n->op->nest != NEST_POINTWISE || n->nin > 8 || is_placed(n)) return NULL;
    for (int i = 0; i < n->nin; i++) {
        in[i] = n->in[i];
        if (in[i]->shape.rank == 0) continue;
        if (!is_copy(in[i]) || !shape_eq(in[i]->shape, n->shape)) return NULL;
        in[i] = in[i]->in[0];
        if (first && !shape_eq(first->shape, in[i]->shape)) return NULL;
        first = in[i];
    }
    return first ? reshape(r->g, again(r, n, in), n->shape) : NULL;
}

/* Part i of a Pack of gradients must have the dims that its parameter's kernels index: they decide
 * how both lie in memory. */
static bool is_packed_as(const Graph *g, const Node *pack, int i, Shape s)
{
    for (int k = 0; k < g->state.n; k++) {
        const State *all = g->state.v[k];
        if (!all->part || all->kind != STATE_PARAM || all->npart != pack->nin) continue;
        const State *p = all->part[i];
        return shape_eq(s, p->view.rank ? p->view : p->shape);
    }
    return true;
}

static Node *pack_copies(Rewrite *r, Node *n)
{
    bool found = false;
    if (!op_is(n, "Pack")) return NULL;
    Node **in = NEWN(r->g->arena, Node *, n->nin);
    for (int i = 0; i < n->nin; i++) {
        bool drop = is_copy(n->in[i]) && is_packed_as(r->g, n, i, n->in[i]->in[0]->shape);
        in[i] = drop ? n->in[i]->in[0] : n->in[i];
        found = found || drop;
    }
    return found ? again(r, n, in) : NULL;
}

/* ---- Linear without the Flatten before it: the state is seen as [O,C,H,W] ---- */
static bool is_flattened(const Node *x)
{
    return is_copy(x) && x->shape.rank == 2 && x->in[0]->shape.rank == 4 &&
           x->in[0]->shape.dim[0] == x->shape.dim[0];
}

/* Every reader of the state must be a Linear on a flattened image of this shape, or a LinearDgrad.
 */
static bool may_view(const Graph *g, const State *s, Shape image)
{
    for (int i = 0; i < g->node.n; i++) {
        const Node *n = g->node.v[i];
        for (int k = 0; k < n->nin; k++) {
            if (!op_is(n->in[k], "State") || n->in[k]->state != s) continue;
            if (op_is(n, "LinearDgrad") && k == 1) continue;
            if (!op_is(n, "Linear") || k != 1 || !is_flattened(n->in[0])) return false;
            Shape x = n->in[0]->in[0]->shape;
            if (memcmp(x.dim + 1, image.dim + 1, 3 * sizeof *x.dim) != 0) return false;
        }
    }
    return true;
}

static void set_view(Graph *g, State *s, Shape view)
{
    int count = g->node.n;
    s->view = view;
    for (int i = 0; i < count; i++) {
        Node *n = g->node.v[i];
        if (op_is(n, "State") && n->state == s) n->shape = view;
        if (n->nin < 2 || !op_is(n->in[1], "State") || n->in[1]->state != s) continue;
        if (op_is(n, "Linear")) n->in[0] = n->in[0]->in[0];
        if (!op_is(n, "LinearDgrad")) continue;
        Shape flat = n->shape;
        op_infer_shape(n);
        g->cur_loc = n->loc;
        g->cur_name = n->name;
        g->cur_grad = n->is_grad;
        Node *back = reshape(g, n, flat);
        graph_replace(g, n, back);
    }
}

static bool flatten_linear(Graph *g)
{
    Loc loc = g->cur_loc;
    const char *name = g->cur_name;
    bool grad = g->cur_grad, changed = false;
    int count = g->node.n;
    for (int i = 0; i < count; i++) {
        Node *n = g->node.v[i];
        if (!op_is(n, "Linear") || !is_flattened(n->in[0]) || !op_is(n->in[1], "State")) continue;
        State *s = n->in[1]->state;
        Shape view = n->in[0]->in[0]->shape;
        if (s->part || s->keep_shape || s->view.rank || !may_view(g, s, view)) continue;
        view.dim[0] = s->shape.dim[0];
        set_view(g, s, view);
        changed = true;
    }
    g->cur_loc = loc;
    g->cur_name = name;
    g->cur_grad = grad;
    if (changed) graph_sweep(g);
    return changed;
}

/* Its gradient for the weights, which goes to a Pack: the shape there does not matter. */
static Node *flatten_wgrad(Rewrite *r, Node *n)
{
    if (!op_is(n, "LinearWgrad") || !is_flattened(n->in[0])) return NULL;
    Node *w = g_op(r->g, "LinearWgrad", 2, n->in[0]->in[0], n->in[1]);
    return reshape(r->g, w, n->shape);
}

/* ---- arithmetic ---- */
static Node *identity(Rewrite *r, Node *n)
{
    Node *keep = NULL;
    (void)r;
    if (n->nin != 2) return NULL;
    Node *a = n->in[0], *b = n->in[1];
    if (op_is(n, "Mul") || op_is(n, "Div"))
        keep = is_const(b, 1) ? a : op_is(n, "Mul") && is_const(a, 1) ? b : NULL;
    if (op_is(n, "Add") || op_is(n, "Sub"))
        keep = is_const(b, 0) ? a : op_is(n, "Add") && is_const(a, 0) ? b : NULL;
    return keep && keep->dtype == DT_F32 && shape_eq(keep->shape, n->shape) ? keep : NULL;
}

static Node *fold_constants(Rewrite *r, Node *n)
{
    double v, in_value[8];
    const double *in[8];
    if (n->op->nest != NEST_POINTWISE || n->shape.rank || !n->nin || n->nin > 8) return NULL;
    for (int i = 0; i < n->nin; i++) {
        if (!op_is(n->in[i], "Const")) return NULL;
        in_value[i] = n->in[i]->attr[0].f;
        in[i] = &in_value[i];
    }
    n->op->ref(n, in, &v);
    return isfinite(v) ? g_const(r->g, v) : NULL;
}

/* (x * c) * d -> x * (c * d) */
static Node *merge_scales(Rewrite *r, Node *n)
{
    if (!op_is(n, "Mul") || !op_is(n->in[1], "Const") || !op_is(n->in[0], "Mul")) return NULL;
    Node *inner = n->in[0];
    if (!op_is(inner->in[1], "Const") || rewrite_uses(r, inner) != 1) return NULL;
    Node *c = g_const(r->g, inner->in[1]->attr[0].f * n->in[1]->attr[0].f);
    return g_op(r->g, "Mul", 2, inner->in[0], c);
}

/* f(Broadcast(a), b) -> f(a, b) where the shape comes out the same. */
static Node *drop_broadcast(Rewrite *r, Node *n)
{
    bool binary = op_is(n, "Add") || op_is(n, "Sub") || op_is(n, "Mul") || op_is(n, "Div");
    for (int i = 0; binary && i < 2; i++) {
        Node *in[2] = {n->in[0], n->in[1]};
        Shape s;
        if (!op_is(in[i], "Broadcast")) continue;
        in[i] = in[i]->in[0];
        if (shape_broadcast(in[0]->shape, in[1]->shape, &s) && shape_eq(s, n->shape))
            return again(r, n, in);
    }
    return NULL;
}

/* ---- equal nodes ---- */
typedef struct Table {
    Node **slot;
    uint64_t mask;
    bool *packed; /* by node id: lies inside a Pack, which has one place for each of its inputs */
} Table;

static void find_packed(const Graph *g, bool *packed)
{
    for (int i = 0; i < g->node.n; i++) {
        const Node *p = g->node.v[i];
        for (int k = 0; op_is(p, "Pack") && k < p->nin; k++) {
            const Node *n = p->in[k];
            for (packed[n->id] = true; is_copy(n); packed[n->id] = true) n = n->in[0];
        }
    }
}

static uint64_t hash_of(const Node *n)
{
    uint64_t h = (uint64_t)(uintptr_t)n->op >> 4;
    for (int k = 0; k < n->nin; k++) h = (h ^ (uint64_t)n->in[k]->id) * 0x9e3779b97f4a7c15u;
    if (n->state) h ^= (uint64_t)n->state->id * 0xff51afd7ed558ccdu;
    return h ^ h >> 32;
}

static bool same_value(const Node *a, const Node *b)
{
    if (a->op != b->op || a->nin != b->nin || a->state != b->state || !op_attrs_eq(a, b))
        return false;
    if (op_is(a, "Scalar") && strcmp(a->name, b->name) != 0) return false;
    return !memcmp(a->in, b->in, sizeof *a->in * (size_t)a->nin);
}

static Node *find_equal(Rewrite *r, Node *n)
{
    Table *t = r->data;
    if (op_is_root(n->op) || op_is(n, "Input") || t->packed[n->id]) return NULL;
    uint64_t i = hash_of(n) & t->mask;
    while (t->slot[i] && !same_value(t->slot[i], n)) i = (i + 1) & t->mask;
    Node *first = t->slot[i];
    if (!first) t->slot[i] = n;
    if (first && first->is_grad &&
        !n->is_grad) { /* what both directions need belongs to the forward one */
        first->is_grad = false;
        first->loc = n->loc;
        first->name = n->name;
    }
    return first;
}

static bool cse(Graph *g)
{
    Arena *tmp = arena_new();
    uint64_t size = 16;
    while (size < 2 * (uint64_t)g->node.n) size *= 2;
    Table t = {NEWN(tmp, Node *, size), size - 1, NEWN(tmp, bool, g->node.n + 1)};
    find_packed(g, t.packed);
    bool changed = rewrite_each(g, find_equal, &t);
    arena_free(tmp);
    return changed;
}

/* ---- an activation's gradient after max pooling: on the small tensor instead of the large one
 * ---- f(y, MaxPoolGrad(dp, index of y)) -> MaxPoolGrad(f(p, dp), index) with p = MaxPool2d(y): f
 * is linear in dy, and at the place an index points to, y is p. */
static bool same_window(const Node *a, const Node *b)
{
    static const char *const pair[] = {"kernel_size", "stride", "padding", "dilation", "ceil_mode"};
    for (int i = 0; i < 5; i++)
        if (memcmp(attr_pair(a, pair[i]), attr_pair(b, pair[i]), 2 * sizeof(int64_t)) != 0)
            return false;
    return true;
}

static Node *find_pool(const Rewrite *r, const Node *y, const Node *index)
{
    for (int i = 0; i < r->count; i++) {
        Node *p = r->g->node.v[i];
        if (op_is(p, "MaxPool2d") && p->in[0] == y && same_window(p, index)) return p;
    }
    return NULL;
}

static Node *pool_mask(Rewrite *r, Node *n)
{
    if (!n->op->output_mask || !op_is(n->in[1], "MaxPoolGrad")) return NULL;
    Node *y = n->in[0], *pool = n->in[1], *index = pool->in[1];
    if (!op_is(index, "MaxPoolIndex") || index->in[0] != y || rewrite_uses(r, pool) != 1)
        return NULL;
    Node *p = same_window(pool, index) ? find_pool(r, y, index) : NULL;
    if (!p) return NULL;
    Node *small = g_op_attr(r->g, n->op->name, n->attr, 2, p, pool->in[0]);
    rewrite_at(r, pool);
    return g_op_attr(r->g, "MaxPoolGrad", pool->attr, 2, small, index);
}

/* The sum of what was scattered is the sum of what there was to scatter: every window's gradient
 * goes to exactly one place. (Sum over a plane or all of it: not over channels alone.) */
static Node *sum_of_scatter(Rewrite *r, Node *n)
{
    enum { PLANE = 4 | 8 };
    if (!op_is(n, "Sum") || !op_is(n->in[0], "MaxPoolGrad") ||
        (attr_int(n, "axes") & PLANE) != PLANE)
        return NULL;
    return g_op_attr(r->g, "Sum", n->attr, 1, n->in[0]->in[0]);
}

/* ---- BatchNorm into the convolution or Linear before it (inference) ----
 * The layer is x * scale + shift per channel; scale goes into the weights, shift into the bias. */
static bool is_contraction(const Node *n)
{
    return op_is(n, "Conv2d") || op_is(n, "Linear");
}

static bool is_channels(const Rewrite *r, const Node *n)
{
    return n->shape.rank == 1 && rewrite_prepared(r, n);
}

/* (u + b) * a -> u * a + b * a */
static Node *scale_over_bias(Rewrite *r, Node *n)
{
    if (!op_is(n, "Mul") || !op_is(n->in[0], "Add") || !is_channels(r, n->in[1])) return NULL;
    Node *sum = n->in[0], *a = n->in[1], *u = sum->in[0], *b = sum->in[1];
    if (!is_contraction(u) || !is_channels(r, b) || rewrite_uses(r, sum) != 1 ||
        rewrite_uses(r, u) != 1)
        return NULL;
    Node *scaled = g_op(r->g, "Mul", 2, u, a);
    return g_op(r->g, "Add", 2, scaled, g_op(r->g, "Mul", 2, b, a));
}

/* conv(x, w) * a -> conv(x, w * a) with a along the output channels, axis 0 of w */
static Node *scale_into_weights(Rewrite *r, Node *n)
{
    if (!op_is(n, "Mul") || !is_contraction(n->in[0]) || !is_channels(r, n->in[1])) return NULL;
    Node *u = n->in[0], *a = n->in[1], *w = u->in[1];
    if (rewrite_uses(r, u) != 1 || !rewrite_prepared(r, w)) return NULL;
    Shape rows = {.rank = w->shape.rank};
    for (int d = 0; d < rows.rank; d++) rows.dim[d] = d == 0 ? w->shape.dim[0] : 1;
    Node *scaled = g_op(r->g, "Mul", 2, w, reshape(r->g, a, rows));
    rewrite_at(r, u);
    return g_op_attr(r->g, u->op->name, u->attr, 2, u->in[0], scaled);
}

/* (u + b) + s -> u + (b + s) */
static Node *merge_biases(Rewrite *r, Node *n)
{
    if (!op_is(n, "Add") || !op_is(n->in[0], "Add") || !is_channels(r, n->in[1])) return NULL;
    Node *sum = n->in[0];
    if (!is_channels(r, sum->in[1]) || rewrite_uses(r, sum) != 1) return NULL;
    return g_op(r->g, "Add", 2, sum->in[0], g_op(r->g, "Add", 2, sum->in[1], n->in[1]));
}

const Rule simplify_rules[] = {
    {"expand", "a composition becomes its smaller nodes", 0, false, expand, NULL},
    {"merge-copies", "Reshape of Reshape, Reshape to the same shape", 1, false, merge_copies, NULL},
    {"sink-copies", "pointwise before Reshape instead of after", 1, false, sink_copies, NULL},
    {"flatten-linear", "Linear reads the image, not its Flatten", 1, false, NULL, flatten_linear},
    {"flatten-wgrad", "so does its weights' gradient", 1, false, flatten_wgrad, NULL},
    {"pack-copies", "Pack takes tensors of any shape", 1, false, pack_copies, NULL},
    {"identity", "x * 1, x / 1, x + 0, x - 0", 1, false, identity, NULL},
    {"fold-constants", "arithmetic on constants", 1, false, fold_constants, NULL},
    {"merge-scales", "x * c * d is x * (c * d)", 1, false, merge_scales, NULL},
    {"drop-broadcast", "arithmetic broadcasts by itself", 1, false, drop_broadcast, NULL},
    {"cse", "equal nodes are one node", 1, false, NULL, cse},
    {"pool-mask", "an activation's gradient before that of max pooling", 1, false, pool_mask, NULL},
    {"sum-of-scatter", "sum of a max pooling's gradient", 1, false, sum_of_scatter, NULL},
    {"scale-over-bias", "BatchNorm's scale passes the bias", 1, true, scale_over_bias, NULL},
    {"scale-into-weights", "BatchNorm's scale goes into the weights", 1, true, scale_into_weights,
     NULL},
    {"merge-biases", "BatchNorm's shift goes into the bias", 1, true, merge_biases, NULL},
    {0}};
