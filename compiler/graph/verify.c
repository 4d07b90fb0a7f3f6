/* Checks of a graph's invariants after a stage; a failure is a bug of that stage. */
#include "graph/graph.h"

static void verify_node(const Graph *g, const Node *n, int i, const char *after)
{
    bug_if(n->id != i, "after %s: node %d has id %d", after, i, n->id);
    for (int k = 0; k < n->nin; k++) {
        const Node *in = n->in[k];
        bug_if(in->id < 0 || in->id >= i || g->node.v[in->id] != in,
               "after %s: %%%d %s: input %d is %%%d, not an earlier node of the graph", after, i,
               op_name(n->op), k, in->id);
    }
    Node again = *n;
    bool ok = op_infer_shape(&again);
    bug_if(!ok || !shape_eq(again.shape, n->shape) || again.dtype != n->dtype,
           "after %s: %%%d %s: the shape rule does not give the stored shape", after, i,
           op_name(n->op));
}

void graph_verify(const Graph *g, const char *after)
{
    for (int i = 0; i < g->node.n; i++) verify_node(g, g->node.v[i], i, after);
    for (int i = 0; i < g->output.n; i++) {
        const Node *n = g->output.v[i].node;
        bug_if(n->id < 0 || n->id >= g->node.n || g->node.v[n->id] != n,
               "after %s: output '%s' is not in the graph", after, g->output.v[i].name);
    }
}
