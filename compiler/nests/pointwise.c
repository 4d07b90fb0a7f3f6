/* Elementwise groups: every output element from the inputs' elements at the same place, one pass.
 */
#include "nests/nest.h"

enum { LEAST_PER_TASK = 2048, FLAT_CHUNK = 256 /* blocks of BLOCK elements */ };

/* Blocks of a task: FLAT_CHUNK, unless the machine needs more tasks than that makes. */
static int64_t flat_chunk(const Nest *n, int64_t blocks)
{
    int64_t chunk = blocks / n->sched->machine->tasks, least = nest_least(n, FLAT_CHUNK);
    if (chunk < least) chunk = least;
    if (chunk > FLAT_CHUNK) chunk = FLAT_CHUNK;
    return blocks < chunk ? blocks : chunk;
}

/* Flat storage: chunks of whole blocks; a task is a chunk. Padding is computed along. */
static int64_t each_flat(Nest *n, Shape domain, const Layout *l, void (*element)(Nest *, void *),
                         void *arg)
{
    LB *b = n->b;
    int64_t blocks = (l->count + BLOCK - 1) / BLOCK, chunk = flat_chunk(n, blocks);
    int64_t tasks = (blocks + chunk - 1) / chunk;
    bug_if(l->count % BLOCK, "flat storage of %lld elements", (long long)l->count);
    Expr *first = x_muli(b, x_task(b), chunk);
    Expr *left = x_sub(b, x_i64(b, blocks), first);
    Expr *here = blocks % chunk ? x_bin(b, B_MIN, left, x_i64(b, chunk)) : x_i64(b, chunk);
    Expr *i = lb_for(b, FOR_SERIAL, here, "i");
    Expr *base = lb_let(b, x_muli(b, x_add(b, first, i), BLOCK), "e");
    Expr *v = lb_for_n(b, FOR_VECTOR, BLOCK, "v");
    Coord at = {.rank = 1, .idx = {x_add(b, base, v)}};
    nest_point(n, domain, &at);
    element(n, arg);
    nest_close(n, 2);
    return tasks;
}

/* The axis whose elements are neighbours: lanes of the innermost blocked axis, else the last one.
 */
static int lane_axis(const Layout *l)
{
    for (int a = 0; a < l->rank; a++)
        if (l->block[a] > 1) return a;
    return l->rank - 1;
}

typedef struct Each {
    Shape domain;
    const Layout *l;
    int axis; /* of the lanes */
    void (*element)(Nest *, void *);
    void *arg;
} Each;

/* One vector of `lanes` elements that begins at `first` (plain axis) or block `first`. */
static void vector_at(Nest *n, const Each *e, Coord *at, Expr *first, int64_t lanes)
{
    int opened;
    Expr *v = nest_lanes(n, lanes, &opened);
    if (e->l->block[e->axis] > 1) {
        at->blk[e->axis] = first;
        at->lane[e->axis] = v;
    } else {
        at->idx[e->axis] = x_add(n->b, first, v);
    }
    nest_point(n, e->domain, at);
    e->element(n, e->arg);
    nest_close(n, opened);
}

/* A plain axis in vectors of BLOCK, then of halves for what is left. */
static void plain_vectors(Nest *n, const Each *e, Coord *at)
{
    int64_t left = e->l->dim[e->axis], done = 0;
    for (int64_t lanes = BLOCK; lanes >= 1; lanes /= 2) {
        int64_t count = left / lanes;
        if (!count) continue;
        bool loop = count > 1;
        Expr *i = loop ? lb_for_n(n->b, FOR_SERIAL, count, "i") : x_i64(n->b, 0);
        vector_at(n, e, at, x_addi(n->b, x_muli(n->b, i, lanes), done), lanes);
        if (loop) lb_end(n->b);
        done += count * lanes;
        left -= count * lanes;
    }
}

int64_t nest_each(Nest *n, Shape domain, const Layout *l, void (*element)(Nest *n, void *arg),
                  void *arg)
{
    if (layout_is_flat(l)) return each_flat(n, domain, l, element, arg);
    Each e = {domain, l, lane_axis(l), element, arg};
    Coord at = {.rank = l->rank};
    if (l->rank == 0) {
        nest_point(n, domain, &at);
        element(n, arg);
        return 1;
    }
    /* loops over blocks and plain axes; the plain lane axis is cut inside. Lanes of a second
     * blocked axis (weights) are one more loop. */
    NestLoop loop[2 * MAX_RANK];
    int nloop = 0, of[2 * MAX_RANK];
    bool blocked = l->block[e.axis] > 1;
    for (int a = 0; a < l->rank; a++) {
        if (a == e.axis && !blocked) continue;
        of[nloop] = a;
        loop[nloop++] = (NestLoop){"i", (l->dim[a] + l->block[a] - 1) / l->block[a], false, NULL};
    }
    for (int a = 0; a < l->rank; a++) {
        if (a == e.axis || l->block[a] == 1) continue;
        of[nloop] = a + MAX_RANK;
        loop[nloop++] = (NestLoop){"l", l->block[a], false, NULL};
    }
    int64_t tasks =
        nest_choose_tasks(n, loop, nloop, blocked ? BLOCK : l->dim[e.axis], LEAST_PER_TASK);
    int opened = nest_open(n, loop, nloop);
    for (int i = 0; i < nloop; i++) {
        if (of[i] >= MAX_RANK)
            at.lane[of[i] - MAX_RANK] = loop[i].var;
        else if (l->block[of[i]] > 1)
            at.blk[of[i]] = loop[i].var;
        else
            at.idx[of[i]] = loop[i].var;
    }
    if (blocked)
        vector_at(n, &e, &at, at.blk[e.axis], BLOCK);
    else
        plain_vectors(n, &e, &at);
    nest_close(n, opened);
    return tasks;
}

static void store_all(Nest *n, void *arg)
{
    (void)arg;
    nest_store_outs(n, STAGE_PRE, STAGE_LAST);
}

void nest_pointwise(Arena *a, Loops *out, const Group *g)
{
    Nest n;
    nest_begin(&n, a, out, g, "pointwise");
    int64_t tasks = nest_each(&n, g->domain, nest_layout(&n, g->out.v[0]), store_all, NULL);
    nest_end(&n, tasks);
}

static void copy_element(Nest *n, void *arg)
{
    const Node *assign = arg;
    LBuf *to = nest_place(n, &n->plan->state[assign->state->id], 0, nest_ltype(assign->dtype),
                          n->sched->state[assign->state->id].count);
    lb_store(n->b, to, nest_address(n, &n->sched->state[assign->state->id], assign->shape, &n->at),
             nest_load(n, assign->in[0], &n->at));
}

void nest_copy_state(Arena *a, Loops *out, const Node *assign)
{
    Nest n;
    nest_begin(&n, a, out, NULL, "copy");
    int64_t tasks = nest_each(&n, assign->shape, &n.sched->state[assign->state->id], copy_element,
                              (void *)assign);
    nest_end(&n, tasks);
}
