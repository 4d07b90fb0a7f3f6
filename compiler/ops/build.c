/* Short hands by which layers and gradient rules build graph. */
#include "ops/common.h"
#include <stdarg.h>
#include <string.h>

static const OpDef *must_find(const char *name)
{
    const OpDef *op = op_find(name);
    bug_if(!op, "no operator '%s'", name);
    return op;
}

enum { MAX_IN = 8 };

static Node *add(Graph *g, const char *name, const AttrVal *attr, int nin, va_list ap)
{
    AttrVal def[MAX_ATTR];
    Node *in[MAX_IN];
    const OpDef *op = must_find(name);
    bug_if(nin > MAX_IN, "%s: %d inputs", name, nin);
    for (int i = 0; i < nin; i++) in[i] = va_arg(ap, Node *);
    if (!attr) op_default_attrs(op, def);
    return graph_add(g, op, in, nin, attr ? attr : def);
}

Node *g_op(Graph *g, const char *op, int nin, ...)
{
    va_list ap;
    va_start(ap, nin);
    Node *n = add(g, op, NULL, nin, ap);
    va_end(ap);
    return n;
}

Node *g_op_attr(Graph *g, const char *op, const AttrVal *attr, int nin, ...)
{
    va_list ap;
    va_start(ap, nin);
    Node *n = add(g, op, attr, nin, ap);
    va_end(ap);
    return n;
}

Node *g_like(Graph *g, const char *op, const Node *n, Shape size, int nin, ...)
{
    AttrVal attr[MAX_ATTR];
    memcpy(attr, n->attr, sizeof attr);
    int k = attr_index(must_find(op), "size");
    attr[k] = (AttrVal){0};
    for (int d = 0; d < 2 && size.rank == 4; d++) attr[k].i[d] = size.dim[2 + d];
    va_list ap;
    va_start(ap, nin);
    Node *r = add(g, op, attr, nin, ap);
    va_end(ap);
    return r;
}

Node *g_const(Graph *g, double v)
{
    AttrVal attr[MAX_ATTR] = {0};
    attr[0].f = v;
    return graph_add(g, must_find("Const"), NULL, 0, attr);
}

Node *g_scalar(Graph *g, const char *name)
{
    return graph_scalar(g, name);
}

Node *g_sum(Graph *g, Node *x, unsigned axes)
{
    AttrVal attr[MAX_ATTR] = {0};
    attr[0].i[0] = axes;
    return g_op_attr(g, "Sum", attr, 1, x);
}

static void shape_attr(AttrVal *v, Shape s)
{
    v->i[0] = s.rank;
    memcpy(v->i + 1, s.dim, sizeof(int64_t) * (size_t)s.rank);
}

Node *g_reshape(Graph *g, Node *x, Shape s)
{
    AttrVal attr[MAX_ATTR] = {0};
    if (shape_eq(x->shape, s)) return x;
    shape_attr(&attr[0], s);
    return g_op_attr(g, "Reshape", attr, 1, x);
}

Node *g_broadcast(Graph *g, Node *x, Shape s)
{
    AttrVal attr[MAX_ATTR] = {0};
    if (shape_eq(x->shape, s)) return x;
    shape_attr(&attr[0], s);
    return g_op_attr(g, "Broadcast", attr, 1, x);
}

/* The axes of `from` along which a tensor of shape `to` was repeated. */
static unsigned repeated_axes(Shape from, Shape to)
{
    unsigned axes = 0;
    for (int d = 0; d < from.rank; d++) {
        bool kept = to.rank == from.rank ? to.dim[d] == from.dim[d] : to.rank == 1 ? d == 1 : false;
        if (!kept) axes |= 1u << d;
    }
    return axes;
}

/* The sets of axes that a Sum takes. */
static bool is_summable(Shape s, unsigned axes)
{
    unsigned all = (1u << s.rank) - 1, plane = 1u << 2 | 1u << 3;
    return axes == all || axes == (all & ~2u) || axes == 2u || (s.rank == 4 && axes == plane);
}

/* As a matrix, or as one per index before the axis. */
static Node *sum_axis(Graph *g, Node *x, int axis)
{
    Shape kept = x->shape, s = x->shape;
    int64_t before = 1, after = 1;
    for (int d = 0; d < axis; d++) before *= s.dim[d];
    for (int d = axis + 1; d < s.rank; d++) after *= s.dim[d];
    kept.dim[axis] = 1;
    if (s.dim[axis] == 1) return x;
    s = before == 1  ? shape_make(2, s.dim[axis], after)
        : after == 1 ? shape_make(2, before, s.dim[axis])
                     : shape_make(4, before, s.dim[axis], after, (int64_t)1);
    return g_reshape(g, g_sum(g, g_reshape(g, x, s), before == 1 ? 1u : 2u), kept);
}

Node *g_sum_keep(Graph *g, Node *x, unsigned axes)
{
    Shape kept = x->shape;
    for (int d = 0; d < kept.rank; d++)
        if (axes >> d & 1) kept.dim[d] = 1;
    if (is_summable(x->shape, axes)) return g_reshape(g, g_sum(g, x, axes), kept);
    for (int d = 0; d < kept.rank; d++)
        if (axes >> d & 1) x = sum_axis(g, x, d);
    return x;
}

Node *g_to_shape(Graph *g, Node *dy, Shape s)
{
    if (shape_eq(dy->shape, s)) return dy;
    unsigned axes = repeated_axes(dy->shape, s);
    if (is_summable(dy->shape, axes)) return g_reshape(g, g_sum(g, dy, axes), s);
    return g_reshape(g, g_sum_keep(g, dy, axes), s);
}

Node *g_add(Graph *g, Node *a, Node *b)
{
    return g_op(g, "Add", 2, a, b);
}

Node *g_sub(Graph *g, Node *a, Node *b)
{
    return g_op(g, "Sub", 2, a, b);
}

Node *g_mul(Graph *g, Node *a, Node *b)
{
    return g_op(g, "Mul", 2, a, b);
}

Node *g_div(Graph *g, Node *a, Node *b)
{
    return g_op(g, "Div", 2, a, b);
}

Node *g_scale(Graph *g, Node *x, double k)
{
    return g_mul(g, x, g_const(g, k));
}

Node *g_clip(Graph *g, Node *x, double min, double max)
{
    AttrVal attr[MAX_ATTR] = {{.f = min}, {.f = max}};
    return g_op_attr(g, "Hardtanh", attr, 1, x);
}

/* ---- layers ---- */
State *layer_state(Layer *l, const char *suffix, StateKind kind, Shape shape, Init init)
{
    const char *name = arena_printf(l->g->arena, "%s%s%s", l->path, *l->path ? "." : "", suffix);
    return graph_state(l->g, name, kind, shape, init);
}

Node *layer_read(Layer *l, State *s)
{
    return graph_read(l->g, s);
}

Node *layer_node(Layer *l, const char *op, Node *a, Node *b)
{
    return b ? g_op(l->g, op, 2, a, b) : g_op(l->g, op, 1, a);
}

Node *layer_build(Layer *l)
{
    Graph *g = l->g;
    Loc loc = g->cur_loc;
    const char *name = g->cur_name;
    g->cur_loc = l->loc;
    g->cur_name = l->path;
    Node *n = l->op->layer ? l->op->layer(l) : graph_add(g, l->op, l->in, l->nin, l->attr);
    g->cur_loc = loc;
    g->cur_name = name;
    return n;
}
