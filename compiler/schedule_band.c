/* The rows that a task of a band computes (Group.band, nests/contract_band.c).
 *
 * In: a contraction's loops with their tile, in which rows of the plane are single. Out: the loop along these rows cut into
 * bands; none of the loops behind it is another output's but the columns'. Rule: enough tasks, and as few as that takes, as
 * bands compute the rows twice in which their windows overlap. */
#include "schedule.h"
#include <math.h>

/* What `n` bands cost beside one, as rows are computed twice, and as threads wait for others. */
static double cost_of(int64_t n, double tasks, const Shape *y, const Window *w)
{
    double again = (double)(n * (w->kernel[0] - w->stride[0])) / (double)(y->dim[2] * w->stride[0]);
    return (1 + again) * schedule_idle_share((double)n * tasks, LEAST_TASKS);
}

/* The most bands that cost about as little as any number does: who has a busy neighbour takes fewer. */
static int64_t choose_bands(double tasks, const Shape *y, const Window *w)
{
    enum { MOST = 16 };
    const double about = 1.01;
    double least = INFINITY;
    int64_t best = 1, most = y->dim[2] < MOST ? y->dim[2] : MOST;
    for (int64_t n = 1; n <= most && ((double)n * tasks <= MOST || n == 1); n++) {
        double cost = cost_of(n, tasks, y, w);
        if (cost > least * about) continue;
        best = n;
        if (cost < least) least = cost;
    }
    return best;
}

void schedule_band(ConSchedule *s, const Group *g)
{
    Window w = g->pool->op->window(g->pool);
    int64_t rows = g->pool->shape.dim[2], tasks = 1;
    int row = schedule_rows(s);
    bug_if(row < 0, "a band has no rows");
    for (int k = 0; k < s->nloop; k++) {
        const ConLoop *l = &s->loop[k];
        if (k < row) tasks *= (l->extent + l->tile - 1) / l->tile;
        bug_if(k > row && l->role != ROLE_RED && l->role != ROLE_LANE && !s->con.out.coef[3][l->axis],
               "a band's rows are not outside of its other loops");
    }
    bug_if(s->cols > BAND_BLOCKS, "a band's rows are %d blocks of channels wide", s->cols);
    int64_t bands = choose_bands((double)tasks, &g->pool->shape, &w);
    ConLoop *l = &s->loop[row];
    l->band = true;
    l->tile = (rows + bands - 1) / bands * w.stride[0];
    if (l->tile > l->extent) l->tile = l->extent;
}
