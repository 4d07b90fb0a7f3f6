/* Lower: groups in run order -> kernels, by calling each group's nest. The only bridge from graph
 * to loop. */
#include "loops.h"
#include "nests/nest.h"
#include "stages.h"
#include <string.h>

static void lower_group(Arena *a, Loops *out, const Group *g)
{
    if (out->plan->schedule->group[g->id].library) {
        nest_library(a, out, g);
        return;
    }
    switch (g->nest) {
    case NEST_POINTWISE:
        nest_pointwise(a, out, g);
        break;
    case NEST_REDUCE:
        (g->row ? nest_row : nest_reduce)(a, out, g);
        break;
    case NEST_CONTRACT:
        nest_contract(a, out, g);
        break;
    case NEST_WINDOW:
        nest_window(a, out, g);
        break;
    case NEST_WINDOW_T:
        nest_window_t(a, out, g);
        break;
    case NEST_RESAMPLE:
        nest_resample(a, out, g);
        break;
    case NEST_GATHER:
        nest_gather(a, out, g);
        break;
    case NEST_COPY:
        nest_copy(a, out, g);
        break;
    default:
        bug_if(true, "group %d has no nest", g->id);
    }
}

/* What the group does is booked on its main kernel: packing, copies and combining come on top. */
static void book_cost(Loops *out, const Group *g, int first)
{
    bool library = out->plan->schedule->group[g->id].library;
    while (first < out->kernel.n - 1 &&
           (library ? !out->kernel.v[first].library : strstr(out->kernel.v[first].nest, " pack") != NULL))
        first++;
    Kernel *k = &out->kernel.v[first];
    group_cost(out->plan->schedule, g, &k->flops, &k->bytes);
}

/* What groups keep between runs is made when the weights change: behind the prepare group at `made`. */
static void prepare_kept(Arena *a, Loops *out, int made)
{
    for (int i = out->plan->nprep; i < out->plan->order.n; i++) {
        const Group *g = out->plan->order.v[i];
        const GroupSchedule *gs = &out->plan->schedule->group[g->id];
        if (out->plan->made[g->id] != made) continue;
        if (gs->library) nest_library_prepare(a, out, g);
        if (gs->winograd && gs->winograd->prepared) nest_winograd_weights(a, out, g);
    }
}

/* By group id: is what it computes needed for anything but the output "loss"? */
static bool *needed_groups(Arena *a, const Groups *gs)
{
    const Graph *g = gs->graph;
    bool *needed = NEWN(a, bool, gs->group.n + 1), *wanted = NEWN(a, bool, g->node.n + 1);
    for (int i = 0; i < g->output.n; i++)
        if (strcmp(g->output.v[i].name, "loss") != 0) wanted[g->output.v[i].node->id] = true;
    for (int i = 0; i < g->node.n; i++)
        if (op_is(g->node.v[i], "Assign") || op_is(g->node.v[i], "Pack"))
            for (int k = 0; k < g->node.v[i]->nin; k++) wanted[g->node.v[i]->in[k]->id] = true;
    for (int i = gs->group.n - 1; i >= 0; i--) {
        const Group *grp = gs->group.v[i];
        for (int k = 0; k < grp->out.n; k++) needed[i] |= wanted[grp->out.v[k]->id];
        for (int k = 0; k < grp->in.n && needed[i]; k++) wanted[grp->in.v[k]->id] = true;
    }
    return needed;
}

Loops *lower(Arena *a, const Plan *p, const Machine *m)
{
    (void)m;
    Loops *out = NEW(a, Loops);
    out->plan = p;
    const bool *needed = needed_groups(a, p->schedule->groups);
    for (int i = 0; i < p->order.n; i++) {
        if (i == p->nprep) prepare_kept(a, out, -1);
        int first = out->kernel.n;
        if (!p->schedule->group[p->order.v[i]->id].joined) lower_group(a, out, p->order.v[i]);
        for (int k = first; k < out->kernel.n; k++) out->kernel.v[k].for_loss = !needed[p->order.v[i]->id];
        if (first < out->kernel.n) book_cost(out, p->order.v[i], first);
        if (i < p->nprep) prepare_kept(a, out, i);
    }
    for (int i = 0; i < p->copy.n; i++) nest_copy_state(a, out, p->copy.v[i]);
    return out;
}

void loops_verify(const Loops *l)
{
    for (int i = 0; i < l->kernel.n; i++)
        if (l->kernel.v[i].func) func_verify(l->kernel.v[i].func, "lower");
}

void loops_print(Buf *b, const Loops *l)
{
    static const char *const arena_names[] = {"state", "prep", "slab", "scalar"};
    for (int i = 0; i < l->kernel.n; i++) {
        const Kernel *k = &l->kernel.v[i];
        if (k->func)
            func_print(b, k->func);
        else
            buf_printf(b, "library %s  # %s\n", k->nest, k->layers);
        for (int j = 0; j < k->arg.n; j++)
            buf_printf(b, "  # a%d = %s+%lld\n", j, arena_names[k->arg.v[j].arena],
                       (long long)k->arg.v[j].offset);
        buf_putc(b, '\n');
    }
}
