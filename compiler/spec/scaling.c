/* Loss scaling, which keeps gradients that are stored in fp16 away from its small end: the loss's gradient is multiplied
 * by a scale, the optimizer divides by it, and a step whose gradients are not all finite is left out.
 *
 * In: `precision: fp16`, or {type: fp16, loss_scale: 1024}. Out: states of the optimizer's kind, so that they are saved
 * and resumed with it, and nodes: on every device, fused, without the host.
 *   loss_scale          grows and shrinks as torch.amp.GradScaler's does by default: 2^16 at first, halved by a step that
 *                       is left out, doubled after 2000 good steps in a row; or it is the given number, always
 *   loss_scale.good     good steps in a row
 *   loss_scale.skipped  steps left out so far
 * A step that is left out still counts where the host counts: for Adam's bias corrections (in PyTorch it does not) and for
 * the schedule of the learning rate.
 * Not here: what is stored in fp16 (schedule_storage.c); bf16, whose exponents are those of fp32, needs none of this. */
#include "spec/spec.h"

static const double first_scale = 65536, backoff = 0.5, growth = 2, growth_interval = 2000;

static State *counter(Graph *g, const char *name, double first)
{
    return graph_state(g, name, STATE_MOMENT, shape_make(0), (Init){INIT_CONST, first, 0});
}

void scaling_begin(const Spec *s, Graph *g)
{
    if (s->precision != PRECISION_FP16) return;
    counter(g, "loss_scale", s->loss_scale ? s->loss_scale : first_scale);
    counter(g, "loss_scale.good", 0);
    counter(g, "loss_scale.skipped", 0);
}

static Node *read(Graph *g, const char *name)
{
    return graph_read(g, graph_find_state(g, name));
}

/* bad: 1 if this step is left out, else 0. */
static void next_scale(const Spec *s, Graph *g, Node *bad, Node *scale)
{
    Node *zero = g_const(g, 0), *good = g_op(g, "Add", 2, read(g, "loss_scale.good"), g_const(g, 1));
    Node *grow = g_op(g, "Maximum", 2, g_op(g, "Sub", 2, good, g_const(g, growth_interval - 1)), zero);
    Node *next = g_op(g, "Where", 3, grow, g_op(g, "Mul", 2, scale, g_const(g, growth)), scale);
    Node *less = g_op(g, "Mul", 2, scale, g_const(g, backoff));
    Node *count = g_op(g, "Where", 3, grow, zero, good);
    Node *skipped = g_op(g, "Add", 2, read(g, "loss_scale.skipped"), bad);
    graph_assign(g, graph_find_state(g, "loss_scale.good"), g_op(g, "Where", 3, bad, zero, count));
    graph_assign(g, graph_find_state(g, "loss_scale.skipped"), skipped);
    if (!s->loss_scale)
        graph_assign(g, graph_find_state(g, "loss_scale"), g_op(g, "Where", 3, bad, less, next));
}

/* The old value of a state: the node that reads it already, if there is one. */
Node *spec_old_value(Graph *g, State *s)
{
    for (int i = 0; i < g->node.n; i++)
        if (op_is(g->node.v[i], "State") && g->node.v[i]->state == s) return g->node.v[i];
    return graph_read(g, s);
}

void scaling_end(const Spec *s, Graph *g, Node *pack, Node *scale, int first)
{
    if (!scale) return;
    int last = g->node.n;
    g->cur_name = "loss_scale";
    Node *bad = g_op(g, "NonFinite", 1, pack);
    AttrVal axes[MAX_ATTR] = {{.i = {1}}};
    bad = g_op_attr(g, "Max", axes, 1, bad);
    for (int i = first; i < last; i++) {
        Node *as = g->node.v[i];
        if (op_is(as, "Assign"))
            as->in[0] = g_op(g, "Where", 3, bad, spec_old_value(g, as->state), as->in[0]);
    }
    next_scale(s, g, bad, scale);
    g->cur_name = "";
    graph_sweep(g);
}
