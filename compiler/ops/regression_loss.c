/* What MSELoss and BCEWithLogitsLoss share. */
#include "ops/regression_loss.h"

bool loss_shape(Node *n)
{
    if (shape_eq(n->in[0]->shape, n->in[1]->shape)) return shape_scalar(n);
    diag_error(n->loc, "H005", "%s '%s': output %s vs target %s", n->op->name, n->name,
               shape_text(n->in[0]->shape).s, shape_text(n->in[1]->shape).s);
    diag_help("this loss compares element by element; for class numbers use CrossEntropyLoss");
    return false;
}

Node *loss_target(Graph *g, const Node *n)
{
    return n->in[1]->dtype == DT_F32 ? n->in[1] : g_op(g, "ToFloat", 1, n->in[1]);
}

Node *loss_mean(Graph *g, Node *x)
{
    Node *sum = x->shape.rank ? g_sum(g, x, (1u << x->shape.rank) - 1) : x;
    return g_scale(g, sum, 1.0 / (double)shape_count(x->shape));
}

Node *loss_share(Graph *g, Node *terms, Node *dy)
{
    return g_mul(g, terms, g_scale(g, dy, 1.0 / (double)shape_count(terms->shape)));
}
