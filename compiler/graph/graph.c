/* The graph: building, replacing, sweeping. Text is in text.c, checks in verify.c.
 * Rule kept here: after graph_add and graph_sweep an input has a smaller id than its user. */
#include "graph/graph.h"
#include <string.h>

Graph *graph_new(Arena *a)
{
    Graph *g = NEW(a, Graph);
    g->arena = a;
    g->cur_name = "";
    return g;
}

static Node *node_new(Graph *g, const OpDef *op, Node *const *in, int nin, const AttrVal *attr)
{
    Node *n = NEW(g->arena, Node);
    n->id = g->node.n;
    n->op = op;
    n->nin = nin;
    n->in = NEWN(g->arena, Node *, nin ? nin : 1);
    for (int i = 0; i < nin; i++) {
        bug_if(!in[i], "%s: input %d is NULL", op_name(op), i);
        n->in[i] = in[i];
    }
    if (attr) memcpy(n->attr, attr, sizeof n->attr);
    n->name = g->cur_name;
    n->loc = g->cur_loc;
    n->is_grad = g->cur_grad;
    return n;
}

static Node *append(Graph *g, Node *n)
{
    if (!op_infer_shape(n)) return NULL;
    vec_push(g->arena, &g->node, n);
    return n;
}

Node *graph_add(Graph *g, const OpDef *op, Node *const *in, int nin, const AttrVal *attr)
{
    return append(g, node_new(g, op, in, nin, attr));
}

Node *graph_input(Graph *g, const char *name, DType t, Shape s)
{
    Node *n = node_new(g, op_find("Input"), NULL, 0, NULL);
    n->name = arena_strdup(g->arena, name);
    n->dtype = t;
    n->shape = s;
    return append(g, n);
}

Node *graph_scalar(Graph *g, const char *name)
{
    Node *n = node_new(g, op_find("Scalar"), NULL, 0, NULL);
    n->name = arena_strdup(g->arena, name);
    return append(g, n);
}

Node *graph_read(Graph *g, State *s)
{
    Node *n = node_new(g, op_find("State"), NULL, 0, NULL);
    n->state = s;
    return append(g, n);
}

Node *graph_assign(Graph *g, State *s, Node *value)
{
    Node *n = node_new(g, op_find("Assign"), &value, 1, NULL);
    n->state = s;
    return append(g, n);
}

State *graph_state(Graph *g, const char *name, StateKind kind, Shape shape, Init init)
{
    bug_if(graph_find_state(g, name), "state '%s' twice", name);
    State *s = NEW(g->arena, State);
    s->name = arena_strdup(g->arena, name);
    s->kind = kind;
    s->shape = shape;
    s->init = init;
    s->loc = g->cur_loc;
    s->id = g->state.n;
    vec_push(g->arena, &g->state, s);
    return s;
}

State *graph_state_group(Graph *g, const char *name, StateKind kind, State *const *part, int npart)
{
    int64_t count = 0;
    for (int i = 0; i < npart; i++) count += shape_count(part[i]->shape);
    State *s = graph_state(g, name, kind, shape_make(1, count), (Init){0});
    s->part = NEWN(g->arena, State *, npart);
    memcpy(s->part, part, sizeof *part * (size_t)npart);
    s->npart = npart;
    return s;
}

State *graph_find_state(const Graph *g, const char *name)
{
    for (int i = 0; i < g->state.n; i++)
        if (!strcmp(g->state.v[i]->name, name)) return g->state.v[i];
    return NULL;
}

void graph_output(Graph *g, const char *name, Node *n)
{
    bug_if(graph_find_output(g, name), "output '%s' twice", name);
    vec_push(g->arena, &g->output, ((Output){arena_strdup(g->arena, name), n}));
}

Node *graph_find_output(const Graph *g, const char *name)
{
    for (int i = 0; i < g->output.n; i++)
        if (!strcmp(g->output.v[i].name, name)) return g->output.v[i].node;
    return NULL;
}

void graph_replace(Graph *g, Node *from, Node *to)
{
    for (int i = 0; i < g->node.n; i++) {
        Node *n = g->node.v[i];
        for (int k = 0; k < n->nin; k++)
            if (n->in[k] == from && n != to) n->in[k] = to;
    }
    for (int i = 0; i < g->output.n; i++)
        if (g->output.v[i].node == from) g->output.v[i].node = to;
}

/* ---- sweep: depth first from the roots, with an own stack (a chain may be as long as the graph)
 * ---- */
typedef struct Sweep {
    Graph *g;
    Node **list; /* the new order */
    int n;
    Node **stack;
    int *next; /* per stack entry: the input to visit next */
    unsigned char *seen;
} Sweep;

static void visit(Sweep *s, Node *root)
{
    if (s->seen[root->id]) return;
    int top = 0;
    s->seen[root->id] = 1;
    s->stack[0] = root;
    s->next[0] = 0;
    while (top >= 0) {
        Node *n = s->stack[top];
        if (s->next[top] == n->nin) {
            s->list[s->n++] = n;
            top--;
            continue;
        }
        Node *in = n->in[s->next[top]++];
        if (s->seen[in->id]) continue;
        s->seen[in->id] = 1;
        s->stack[++top] = in;
        s->next[top] = 0;
    }
}

/* Marks what reaches a root; then visits the marked in their old order, which keeps untouched parts
 * as they are. */
void graph_sweep(Graph *g)
{
    int count = g->node.n;
    Arena *tmp = arena_new();
    Sweep s = {g,
               NEWN(tmp, Node *, count + 1),
               0,
               NEWN(tmp, Node *, count + 1),
               NEWN(tmp, int, count + 1),
               NEWN(tmp, unsigned char, count + 1)};
    for (int i = 0; i < count; i++)
        bug_if(g->node.v[i]->id != i, "node %d has id %d", i, g->node.v[i]->id);
    for (int i = 0; i < count; i++)
        if (op_is_root(g->node.v[i]->op)) visit(&s, g->node.v[i]);
    for (int i = 0; i < g->output.n; i++) visit(&s, g->output.v[i].node);
    unsigned char *live = s.seen;
    s.seen = NEWN(tmp, unsigned char, count + 1);
    s.n = 0;
    for (int i = 0; i < count; i++)
        if (live[i]) visit(&s, g->node.v[i]);
    g->node.n = s.n;
    for (int i = 0; i < s.n; i++) {
        g->node.v[i] = s.list[i];
        s.list[i]->id = i;
    }
    arena_free(tmp);
}
