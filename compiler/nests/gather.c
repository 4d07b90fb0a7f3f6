/* Elements from computed places of the inputs (Concat, slices): the operator says where each one
 * comes from. */
#include "nests/nest.h"

static void gather_element(Nest *n, void *arg)
{
    const Node *v = arg;
    Body body = nest_body(n);
    nest_set(n, v, lb_let(n->b, v->op->gather(&body, v), "g"));
    nest_store_outs(n, STAGE_ANCHOR, STAGE_LAST);
}

void nest_gather(Arena *a, Loops *out, const Group *g)
{
    Nest n;
    nest_begin(&n, a, out, g, "gather");
    int64_t tasks = nest_each(&n, g->anchor->shape, nest_layout(&n, g->anchor), gather_element,
                              (void *)g->anchor);
    nest_end(&n, tasks);
}
