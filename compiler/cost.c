/* What a group must do and what it is called: for --explain-fusion, the schedule and the program's
 * step table. */
#include "schedule.h"
#include <string.h>

static double contraction_flops(const Node *n)
{
    double sum = 0;
    Contract c;
    for (int phase = 0; phase < CON_MAX_PHASES && n->op->contract(n, phase, &c); phase++) {
        double p = 2;
        for (int i = 0; i < c.naxes; i++) p *= (double)c.axis[i].extent;
        sum += p;
    }
    return sum;
}

static double node_flops(const Node *n)
{
    switch (n->op->nest) {
    case NEST_CONTRACT:
        return contraction_flops(n);
    case NEST_WINDOW: {
        Window w = n->op->window(n);
        return w.adaptive ? (double)shape_count(n->in[0]->shape)
                          : (double)shape_count(n->shape) * (double)(w.kernel[0] * w.kernel[1]);
    }
    case NEST_REDUCE:
        return (double)shape_count(n->in[0]->shape);
    case NEST_GATHER:
    case NEST_COPY:
        return 0;
    default:
        return (double)shape_count(n->shape);
    }
}

double node_bytes(const Schedule *s, const Node *n)
{
    return (double)shape_count(n->shape) * ltype_size(s->type[n->id]);
}

/* Computed in the group, or read by it for its own sake. */
static bool is_own(const Schedule *s, const Group *g, const Node *n)
{
    bool in = false;
    for (int i = 0; i < g->in.n; i++) in |= g->in.v[i] == n;
    return in || s->groups->of[n->id] == g;
}

/* Sums that a contraction has made are not of what lies in memory. */
static bool is_read(const Schedule *s, const GroupSchedule *gs, const Node *in)
{
    const Group *r = gs->group;
    bool after = false; /* by what follows the sums */
    for (int i = 0; gs->summed_by && i < r->node.n; i++)
        for (int k = 0; k < r->node.v[i]->nin; k++)
            after |= r->node.v[i]->in[k] == in && s->groups->stage[r->node.v[i]->id] > STAGE_ANCHOR;
    return !gs->summed_by || after;
}

void group_cost(const Schedule *s, const Group *g, double *flops, double *bytes)
{
    const GroupSchedule *gs = &s->group[g->id];
    *flops = *bytes = 0;
    if (gs->joined) return;
    for (int i = 0; i < g->node.n; i++) *flops += node_flops(g->node.v[i]);
    for (int i = 0; i < g->in.n; i++) *bytes += is_read(s, gs, g->in.v[i]) * node_bytes(s, g->in.v[i]);
    for (int i = 0; i < g->out.n; i++) *bytes += node_bytes(s, g->out.v[i]);
    for (int i = 0; gs->sums && i < gs->sums->in.n; i++)
        *bytes += is_own(s, g, gs->sums->in.v[i]) ? 0 : node_bytes(s, gs->sums->in.v[i]);
}

int groups_at_work(const Schedule *s)
{
    int n = 0;
    for (int i = 0; i < s->groups->group.n; i++) n += !s->group[i].joined;
    return n;
}

static const char *label(const Node *n)
{
    return n->name && *n->name ? n->name : op_name(n->op);
}

/* Does an earlier node of the group stand for the same layer in the same direction? */
static bool is_named(const Group *g, int i)
{
    const Node *n = g->node.v[i];
    for (int k = 0; k < i; k++)
        if (g->node.v[k]->is_grad == n->is_grad && !strcmp(label(g->node.v[k]), label(n)))
            return true;
    return false;
}

const char *group_layers(Arena *a, const Group *g)
{
    enum { MOST = 200 };
    Buf b = {0};
    for (int i = 0; i < g->node.n && b.n < MOST; i++) {
        const Node *n = g->node.v[i];
        if (!is_named(g, i))
            buf_printf(&b, "%s%s%s", b.n ? "+" : "", label(n), n->is_grad ? "'" : "");
    }
    char *s = arena_strdup(a, b.s ? b.s : "");
    buf_free(&b);
    return s;
}

int group_line(const Group *g)
{
    for (int i = 0; i < g->node.n; i++)
        if (g->node.v[i]->loc.line) return g->node.v[i]->loc.line;
    return 0;
}
