/* The rows that a task of a band computes (Group.band, nests/contract_band.c).
 *
 * In: a contraction's loops with their tile, in which rows of the plane are single. Out: the loop along these rows cut into
 * bands; none of the loops behind it is another output's but the columns'. Rule: enough tasks, and as few as that takes, as
 * bands compute the rows twice in which their windows overlap. */
#include "schedule.h"

void schedule_band(ConSchedule *s, const Group *g)
{
    enum { TASKS = 16 };
    int64_t tasks = 1, bands, rows = g->pool->shape.dim[2], down = g->pool->op->window(g->pool).stride[0];
    int row = -1;
    for (int k = 0; k < s->nloop; k++) {
        const ConLoop *l = &s->loop[k];
        if (l->role == ROLE_ROW && s->con.out.coef[2][l->axis]) row = k;
        if (row < 0) tasks *= (l->extent + l->tile - 1) / l->tile;
        bug_if(row >= 0 && row != k && l->role != ROLE_RED && l->role != ROLE_LANE && !s->con.out.coef[3][l->axis],
               "a band's rows are not outside of its other loops");
    }
    bug_if(row < 0, "a band has no rows");
    bands = (TASKS + tasks - 1) / tasks;
    ConLoop *l = &s->loop[row];
    l->band = true;
    l->tile = (rows + bands - 1) / bands * down;
    if (l->tile > l->extent) l->tile = l->extent;
}
