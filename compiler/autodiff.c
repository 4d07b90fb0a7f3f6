/* Reverse-mode differentiation on the graph. In: a graph with the scalar output "loss". Out: new
 * nodes after the old ones, which carry the place and name of the node they are the gradient of.
 * Rule: nodes are visited from the last to the first, so that a node's gradient is complete when it
 * is visited; several uses are added in that order. What a node's gradient is, its operator knows;
 * without a rule it is the gradient of the operator's expansion. */
#include "stages.h"

typedef struct Walk {
    Graph *g;
    Arena *tmp;
    bool *need; /* per node: does it depend on what we differentiate for? */
    bool *stop; /* per node: is it what we differentiate for? */
    Node **adj; /* per node: the gradient so far */
} Walk;

static void mark_needed(Walk *w, int count, Node *const *wrt, int nwrt)
{
    for (int i = 0; i < nwrt; i++) w->need[wrt[i]->id] = w->stop[wrt[i]->id] = true;
    for (int i = 0; i < count; i++) {
        const Node *n = w->g->node.v[i];
        for (int k = 0; k < n->nin; k++) w->need[i] = w->need[i] || w->need[n->in[k]->id];
    }
}

static void at_node(Graph *g, const Node *n)
{
    g->cur_loc = n->loc;
    g->cur_name = n->name;
    g->cur_grad = true;
}

static void accumulate(Walk *w, Node *in, Node *dx)
{
    Node **sum = &w->adj[in->id];
    bug_if(!shape_eq(dx->shape, in->shape), "gradient of %%%d %s has another shape (from %s)",
           in->id, op_name(in->op), op_name(dx->op));
    at_node(w->g, in);
    *sum = *sum ? g_op(w->g, "Add", 2, *sum, dx) : dx;
}

/* The forward nodes that the expansion builds again, CSE finds. */
static bool expanded_grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    enum { MAX_IN = 8 };
    Node *wrt[MAX_IN], *grad[MAX_IN];
    int at[MAX_IN], nwrt = 0;
    bug_if(!n->op->expand || n->nin > MAX_IN, "%s has no gradient", n->op->name);
    Node *y = n->op->expand(g, n);
    for (int i = 0; i < n->nin; i++) {
        bool first = dx[i] != NULL;
        for (int k = 0; k < nwrt; k++) first = first && wrt[k] != n->in[i];
        dx[i] = NULL;
        if (!first) continue;
        at[nwrt] = i;
        wrt[nwrt++] = n->in[i];
    }
    if (!y || !autodiff_of(g, y, dy, wrt, nwrt, grad)) return false;
    for (int k = 0; k < nwrt; k++) dx[at[k]] = grad[k];
    return true;
}

static bool back(Walk *w, Node *n)
{
    Node **dx = NEWN(w->tmp, Node *, n->nin);
    for (int i = 0; i < n->nin; i++) dx[i] = w->need[n->in[i]->id] ? n : NULL;
    at_node(w->g, n);
    if (!(n->op->grad ? n->op->grad : expanded_grad)(w->g, n, w->adj[n->id], dx)) return false;
    for (int i = 0; i < n->nin; i++)
        if (dx[i] && w->need[n->in[i]->id]) accumulate(w, n->in[i], dx[i]);
    return true;
}

bool autodiff_of(Graph *g, Node *y, Node *dy, Node *const *wrt, int nwrt, Node **grad)
{
    int count = g->node.n;
    bool ok = true;
    Walk w = {.g = g, .tmp = arena_new()};
    Loc loc = g->cur_loc;
    const char *name = g->cur_name;
    bool in_grad = g->cur_grad;
    w.need = NEWN(w.tmp, bool, count);
    w.stop = NEWN(w.tmp, bool, count);
    w.adj = NEWN(w.tmp, Node *, count);
    mark_needed(&w, count, wrt, nwrt);
    w.adj[y->id] = dy;
    for (int i = y->id; ok && i >= 0; i--) {
        Node *n = g->node.v[i];
        if (w.need[i] && w.adj[i] && n->nin && !w.stop[i]) ok = back(&w, n);
    }
    for (int i = 0; i < nwrt; i++) grad[i] = w.adj[wrt[i]->id];
    g->cur_loc = loc;
    g->cur_name = name;
    g->cur_grad = in_grad;
    arena_free(w.tmp);
    return ok;
}

/* ---- the parameters of a description ---- */
typedef struct Params {
    Node **read; /* the State nodes of trained parameters */
    Node **grad;
    int nread;
    State **part; /* those with a gradient, in the order of the states */
    Node **total;
    int npart;
} Params;

static bool is_trained(const State *s)
{
    return s && s->kind == STATE_PARAM && !s->frozen && !s->part;
}

static void find_reads(Graph *g, Params *p)
{
    for (int i = 0; i < g->node.n; i++) {
        Node *n = g->node.v[i];
        if (n->nin == 0 && is_trained(n->state)) p->read[p->nread++] = n;
    }
}

/* The sum over the places where a state is read. */
static void collect(Graph *g, Params *p)
{
    for (int i = 0; i < g->state.n; i++) {
        Node *sum = NULL;
        for (int k = 0; k < p->nread; k++) {
            if (p->read[k]->state != g->state.v[i] || !p->grad[k]) continue;
            sum = sum ? g_op(g, "Add", 2, sum, p->grad[k]) : p->grad[k];
        }
        if (!sum) continue;
        p->part[p->npart] = g->state.v[i];
        p->total[p->npart++] = sum;
    }
}

Node *autodiff(Graph *g, Node **weights)
{
    Arena *a = g->arena;
    Node *loss = graph_find_output(g, "loss"), *pack = NULL;
    bug_if(!loss || loss->shape.rank, "autodiff needs a scalar output 'loss'");
    Params p = {NEWN(a, Node *, g->node.n + 1),   NEWN(a, Node *, g->node.n + 1),  0,
                NEWN(a, State *, g->state.n + 1), NEWN(a, Node *, g->state.n + 1), 0};
    find_reads(g, &p);
    g->cur_grad = true;
    State *scale = graph_find_state(g, "loss_scale");
    Node *seed = scale ? graph_read(g, scale) : g_const(g, 1);
    bool ok = autodiff_of(g, loss, seed, p.read, p.nread, p.grad);
    if (ok) collect(g, &p);
    if (p.npart) pack = graph_add(g, op_find("Pack"), p.total, p.npart, NULL);
    g->cur_grad = false;
    if (!pack) return NULL;
    graph_output(g, "grads", pack);
    graph_sweep(g);
    *weights = graph_read(g, graph_state_group(g, "weights", STATE_PARAM, p.part, p.npart));
    return pack;
}
