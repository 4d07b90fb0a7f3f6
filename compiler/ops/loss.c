/* What the losses share that compare element by element, and the words of their arguments. */
#include "ops/loss.h"
#include <math.h>

const char *const loss_reductions[] = {"mean", "sum", NULL};
const char *const loss_bases[] = {"e", "2", NULL};

double loss_base(const Node *n)
{
    return attr_is(n, "log_base", "2") ? 1 / M_LN2 : 1;
}

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

/* What each term counts. */
static double share_of(const Node *n, Shape s)
{
    if (attr_is(n, "reduction", "sum")) return 1;
    if (attr_is(n, "reduction", "batchmean")) return 1.0 / (double)s.dim[0];
    return 1.0 / (double)shape_count(s);
}

static Node *scaled(Graph *g, Node *x, double k)
{
    return k == 1 ? x : g_scale(g, x, k);
}

Node *loss_reduce(Graph *g, const Node *n, Node *terms)
{
    Node *sum = terms->shape.rank ? g_sum(g, terms, (1u << terms->shape.rank) - 1) : terms;
    return scaled(g, sum, share_of(n, terms->shape));
}

Node *loss_share(Graph *g, const Node *n, Node *terms, Node *dy)
{
    return g_mul(g, terms, scaled(g, dy, share_of(n, terms->shape)));
}
