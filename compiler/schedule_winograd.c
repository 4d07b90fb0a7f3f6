/* Winograd's algorithm for contractions that slide a 3x3 window with step 1 over a plane: convolutions and their
 * gradients by data alike, and gradients by weights, all recognised by their indexes alone. A dilated window slides
 * densely over each of the planes that lie d places apart, a window of step 2 over phases that become channels (polyphase
 * decompositions): the large windows of first layers. Their few channels are copied into vectors first, step 2 or not.
 *
 * In: a group, the machine. Out: the Winograd schedule, or NULL where the sum itself is faster. Rule: the choice
 * compares modelled times, a roofline each: multiplications and transforms against the bytes of weights that every block
 * of tiles streams. Not here: the matrices (winograd.h), the loops (nests/winograd.c). */
#include "schedule_winograd.h"
#include <math.h>
#include <string.h>

enum { FLOAT_BYTES = 4, LEAST_TILES = 4, MOST_TILES = 96 };
enum { SCRATCH_BYTES = 3 << 20 }; /* on the stack of a thread */

static bool indexed(const ConIndex *x, int axis)
{
    for (int d = 0; d < x->view.rank; d++)
        if (x->coef[d][axis]) return true;
    return false;
}

/* What axis a is for: true if it is one that the algorithm knows. */
static bool place_axis(const Contract *c, int a, Winograd *w)
{
    const ConIndex *x = &c->a, *b = &c->b, *o = &c->out;
    bool in_b = indexed(b, a), in_out = indexed(o, a), in_a = indexed(x, a);
    bool channel_b = b->coef[0][a] == 1 || b->coef[1][a] == 1;
    for (int d = 0; d < 2; d++) {
        int64_t step = x->coef[2 + d][a], extent = c->axis[a].extent;
        if (o->coef[2 + d][a] == 1 && step == w->step && !in_b) return w->row[d] = a, true;
        bool fits = w->step == 1 ? extent == WINOGRAD_TAPS : step == 1 && extent >= WINOGRAD_LEAST_STRIDED && extent <= WINOGRAD_MOST_STRIDED;
        if (!in_out && b->coef[2 + d][a] == 1 && step && fits) {
            w->backward[d] = step < 0;
            w->dilation[d] = step < 0 ? -step : step;
            return w->tap[d] = a, true;
        }
    }
    if (o->coef[0][a] == 1 && x->coef[0][a] == 1 && !in_b) return w->batch = a, true;
    if (o->coef[1][a] == 1 && !in_a && channel_b) return w->k = a, true;
    return x->coef[1][a] == 1 && !in_out && channel_b ? w->c = a, true : false;
}

/* The same for a gradient by weights: sums over the plane, results at the taps. */
static bool place_gradient_axis(const Contract *c, int a, Winograd *w)
{
    const ConIndex *x = &c->a, *b = &c->b, *o = &c->out;
    bool in_a = indexed(x, a), in_b = indexed(b, a), in_out = indexed(o, a);
    for (int d = 0; d < 2; d++) {
        int64_t step = x->coef[2 + d][a];
        if (step == 1 && b->coef[2 + d][a] == 1 && !in_out) return w->row[d] = a, true;
        if (step > 0 && o->coef[2 + d][a] == 1 && !in_b && c->axis[a].extent == WINOGRAD_TAPS)
            return w->dilation[d] = step, w->tap[d] = a, true;
    }
    if (x->coef[0][a] == 1 && b->coef[0][a] == 1 && !in_out) return w->batch = a, true;
    if (o->coef[0][a] == 1 && b->coef[1][a] == 1 && !in_a) return w->k = a, true;
    return x->coef[1][a] == 1 && o->coef[1][a] == 1 && !in_b ? w->c = a, true : false;
}

static bool find_axes(const Contract *c, Winograd *w)
{
    const ConIndex *plane = w->gradient ? &c->b : &c->out;
    w->batch = w->k = w->c = w->row[0] = w->row[1] = w->tap[0] = w->tap[1] = -1;
    if (c->a.view.rank != 4 || c->b.view.rank != 4 || c->out.view.rank != 4) return false;
    for (int a = 0; a < c->naxes; a++)
        if (!(w->gradient ? place_gradient_axis : place_axis)(c, a, w)) return false;
    for (int d = 0; d < 2; d++) {
        if (w->row[d] < 0 || w->tap[d] < 0 || c->b.off[2 + d] || c->out.off[2 + d]) return false;
        int64_t extent = c->axis[w->row[d]].extent;
        if (plane->view.dim[2 + d] != extent || extent % w->dilation[d]) return false;
    }
    int64_t taps = c->axis[w->tap[0]].extent;
    w->r = w->step == 1 ? WINOGRAD_TAPS : (int)winograd_up(taps, w->step);
    return (w->step == 1 || taps == c->axis[w->tap[1]].extent) && w->batch >= 0 && w->k >= 0 && w->c >= 0;
}

static bool blocked(const Layout *l, int ndims)
{
    for (int d = 0; d < ndims; d++)
        if (l->block[d] != BLOCK) return false;
    return true;
}

/* Channels in vectors on both sides, and weights, or their gradient, in blocks of 16 by 16; or few channels, phases that
 * become channels among them, which are copied into vectors. */
static bool lies_well(const Schedule *s, const Node *n, const Winograd *w)
{
    const Layout *x = &s->value[n->in[0]->id], *b = &s->value[n->in[1]->id], *o = &s->value[n->id];
    if (w->few_channels)
        return x->block[1] == 1 && x->dim[1] * winograd_phases(w) <= BLOCK && o->block[1] == BLOCK && b->block[0] == BLOCK &&
               b->block[1] == 1;
    const Layout *weights = w->gradient ? o : b, *values = w->gradient ? b : o;
    return x->block[1] == BLOCK && values->block[1] == BLOCK && blocked(weights, 2);
}

static bool pools_fit(const Group *g, const Winograd *q, int m)
{
    if (!g->pool) return true;
    Window w = g->pool->op->window(g->pool);
    return m % w.kernel[0] == 0 && m % w.kernel[1] == 0 && q->dilation[0] * q->dilation[1] == 1;
}

/* ---- sizes ---- */

static void cut_plane(WinogradChoice *q, Winograd *w)
{
    for (int d = 0; d < 2; d++)
        w->tiles[d] = w->dilation[d] * winograd_up(q->c->axis[w->row[d]].extent / w->dilation[d], w->m);
    q->tiles = (double)(q->c->axis[w->batch].extent * w->tiles[0] * w->tiles[1]);
}

/* Few blocks: the output channels are shared out too, and each task transforms the input again, or takes what is shared. */
static void choose_parts(const WinogradChoice *q, Winograd *w)
{
    w->parts = 1;
    while (w->blocks * w->parts < q->tasks && w->groups % (w->parts * 2) == 0) w->parts *= 2;
}

/* Is transforming the input for each part more than another kernel costs, of which all threads wait for the last? Of a
 * single block, each half of the threads makes inputs of its own: what all cores have read costs one of them more to write
 * again, and the others to fetch, than to transform. */
static void choose_shared(const WinogradChoice *q, Winograd *w)
{
    const double kernel = 1 << 18; /* a few microseconds */
    double twice = (double)(w->blocks * w->block) * q->channels * q->in * (double)(w->parts - 1);
    w->shared = twice / 2 > kernel;
    w->copies = w->shared && w->blocks == 1 && w->parts % 2 == 0 ? 2 : 1;
}

/* With stored weights, or with `depth` channels of them at a time. */
static void try_depth(WinogradChoice *q, Winograd w, int64_t depth, int rows)
{
    w.depth = depth;
    w.rows_at_once = rows;
    double time = winograd_time(q, &w);
    double stack = (w.shared ? 0 : winograd_inputs_bytes(&w)) + winograd_results_bytes(&w) + winograd_panels_bytes(&w);
    if (stack > SCRATCH_BYTES || time >= q->least) return;
    if (depth) {
        w.weights = 0;
        w.prepared = false;
    }
    q->least = time;
    q->best = w;
}

/* Weights of each task's own, a depth of them at a time: some rows of the products, or one of them in registers, where all
 * sums of a row fit beside its weights and their parts. */
static void try_own_weights(WinogradChoice *q, Winograd w)
{
    enum { MOST_DEPTH = 128, BESIDE = 6 };
    int64_t per_block = winograd_up(BLOCK, q->s->machine->lanes);
    for (int64_t depth = BLOCK; depth <= MOST_DEPTH; depth += BLOCK) {
        if ((int64_t)q->channels % depth) continue;
        for (int rows = w.n; rows >= 1; rows--)
            if (w.n % rows == 0) try_depth(q, w, depth, rows);
        if (w.block * w.n * per_block + BESIDE > q->s->machine->vregs) continue;
        Winograd row = w;
        row.in_registers = true;
        row.rows = (int)w.block;
        row.cols = w.n;
        try_depth(q, row, depth, 1);
    }
}

/* Blocks of `block` tiles, groups of `group` channel blocks. */
static void try_sizes(WinogradChoice *q, Winograd w, int64_t block, int64_t group)
{
    const Machine *m = q->s->machine;
    int per_block = (int)winograd_up(BLOCK, m->lanes);
    w.cols = m->vregs >= 32 && group % 2 == 0 && per_block == 1 ? 2 : 1;
    int v = w.cols * per_block;
    int64_t most = (m->vregs - schedule_registers_beside(v, false)) / v;
    block = winograd_up((int64_t)q->tiles, winograd_up((int64_t)q->tiles, block));
    w.rows = (int)winograd_up(block, winograd_up(block, most));
    w.block = block;
    w.blocks = winograd_up((int64_t)q->tiles, w.block);
    w.group = group;
    w.groups = winograd_up(q->kblocks, group);
    choose_parts(q, &w);
    choose_shared(q, &w);
    try_depth(q, w, 0, w.n);
    if (!w.few_channels) try_own_weights(q, w);
}

static void count_filter(WinogradChoice *q, const WinogradMatrices *x)
{
    WinogradSums sums = winograd_sums(x->g, x->n, x->r);
    int taps = x->r * x->r, put_together = q->s->machine->lanes * q->s->machine->fma_ports; /* an element a cycle */
    for (int rows = 1; rows <= x->n; rows++) {
        if (x->n % rows) continue;
        q->filter[rows] = x->n * sums.nsteps;
        for (int i = 0; i < x->n; i += rows)
            q->filter[rows] += x->r * winograd_steps(&sums, x->r, i, rows) + taps + (q->loaded ? 0 : put_together * taps);
    }
}

static void try_all(WinogradChoice *q, int m)
{
    Winograd w = q->plain;
    WinogradMatrices x = winograd_matrices(m, w.r);
    w.m = m;
    w.n = x.n;
    /* each element is loaded and stored twice beside the arithmetic */
    q->in = 2 * x.n * winograd_sums(x.bt, x.n, x.n).nsteps + 2 * x.n * x.n;
    q->out = (x.n + m) * winograd_sums(x.at, m, x.n).nsteps + 2 * x.n * x.n;
    count_filter(q, &x);
    cut_plane(q, &w);
    /* rows of V begin at different sets of the cache */
    w.stride = w.vector < BLOCK ? w.vector : (winograd_up((int64_t)q->channels, BLOCK) + 1) * BLOCK;
    w.weights = w.n * w.n * q->kblocks * (int64_t)q->channels * BLOCK;
    for (int64_t block = LEAST_TILES; block <= MOST_TILES; block += LEAST_TILES)
        for (int64_t group = q->kblocks; group >= 1; group /= 2)
            if (q->kblocks % group == 0) try_sizes(q, w, block, group);
}

/* ---- gradients by weights ---- */

/* The last of a row of tiles may have less of each; the rest shares. */
static int even_rows(int64_t height, int64_t most)
{
    return (int)winograd_up(height, winograd_up(height, most));
}

/* Tasks of cgroup by group blocks of channels, `block` tiles at a time. */
static void try_gradient_sizes(WinogradChoice *q, Winograd w, int64_t cgroup, int64_t group, int64_t block)
{
    enum { CHUNKS = 16, MOST_PARTIAL_BYTES = 8 << 20 };
    const Machine *m = q->s->machine;
    int per_block = (int)winograd_up(BLOCK, m->lanes);
    w.cgroup = cgroup;
    w.group = group;
    w.parts = w.groups = q->kblocks / group;
    w.stride = (cgroup + 1) * BLOCK; /* not a power of 2: rows lie in different sets of the cache */
    w.kstride = (group + 1) * BLOCK;
    w.cols = m->vregs >= 32 && group % 2 == 0 && per_block == 1 ? 2 : 1;
    int v = w.cols * per_block;
    w.rows = even_rows(cgroup * BLOCK, (m->vregs - schedule_registers_beside(v, false)) / v);
    w.block = block;
    w.blocks = winograd_up((int64_t)q->tiles, block);
    int64_t partial = (int64_t)(q->k * q->channels) * WINOGRAD_TAPS * WINOGRAD_TAPS * FLOAT_BYTES;
    int64_t tasks = winograd_up((int64_t)q->channels, BLOCK) / cgroup * w.parts, chunks = winograd_up(CHUNKS, tasks);
    while (chunks > 1 && chunks * partial > MOST_PARTIAL_BYTES) chunks--;
    w.chunk = winograd_up(w.blocks, chunks);
    w.chunks = winograd_up(w.blocks, w.chunk);
    double time = winograd_gradient_time(q, &w);
    double scratch = winograd_sums_bytes(&w) + winograd_operands_bytes(&w), l2 = (double)m->l2 * 3 / 4;
    if (scratch > (l2 < SCRATCH_BYTES ? l2 : SCRATCH_BYTES) || time >= q->least) return;
    q->least = time;
    q->best = w;
}

static void try_gradient(WinogradChoice *q, int m)
{
    enum { MOST_BLOCK = 64 };
    WinogradMatrices x = winograd_matrices(WINOGRAD_TAPS, m);
    Winograd w = q->plain;
    int64_t cblocks = winograd_up((int64_t)q->channels, BLOCK);
    w.m = m;
    w.r = WINOGRAD_TAPS;
    w.n = x.n;
    w.weights = 0;
    q->in = 2 * x.n * winograd_sums(x.bt, x.n, x.n).nsteps + 2 * x.n * x.n;
    q->out = (x.n + m) * winograd_sums(x.g, x.n, m).nsteps + 2 * x.n * x.n;
    cut_plane(q, &w);
    for (int64_t cgroup = 1; cgroup <= cblocks; cgroup++)
        for (int64_t group = 1; group <= q->kblocks; group++)
            for (int64_t block = LEAST_TILES; block <= MOST_BLOCK; block += LEAST_TILES)
                if (cblocks % cgroup == 0 && q->kblocks % group == 0)
                    try_gradient_sizes(q, w, cgroup, group, block);
}

/* ---- the choice ---- */

static bool constant_weights(const Schedule *s, const Node *b)
{
    const Group *g = s->groups->of[b->id];
    return !s->groups->graph->training && (g ? g->prep : op_is(b, "State"));
}

/* Everything that was asked for beats a time that nobody reaches. */
static double time_to_beat(const WinogradChoice *q, Algorithm by)
{
    return by == BY_MODEL ? 0.9 * winograd_direct_time(q) : INFINITY;
}

/* Does `by` leave the choice to this one? */
static bool may_be(Algorithm by, Algorithm way)
{
    return by == BY_MODEL || by == way;
}

/* n: points, infinity among them; as many inputs along a side of a tile. Of BY_WINOGRAD2 those of a window of 3. */
static int points_of(Algorithm way)
{
    return way == BY_WINOGRAD2 ? 4 : way - BY_WINOGRAD4 + 6;
}

Algorithm schedule_algorithm(const GroupSchedule *gs)
{
    const Winograd *w = gs->winograd;
    if (!w) return BY_SUM;
    return w->n < points_of(BY_WINOGRAD4) ? BY_WINOGRAD2 : (Algorithm)(BY_WINOGRAD4 + w->n - points_of(BY_WINOGRAD4));
}

/* Rows of a tile's results, of a gradient by weights those of their gradients. */
int winograd_rows(const Winograd *w, Algorithm way)
{
    return way == BY_WINOGRAD2 ? 2 : points_of(way) + 1 - (w ? w->r : WINOGRAD_TAPS);
}

/* Tries one algorithm: notes the best time that it could have; keeps it if that is the best of all, and it may be. One of
 * more points must be so much faster as to be worth that it is less exact. */
static void try_algorithm(WinogradChoice *q, GroupSchedule *gs, Algorithm by, Algorithm way)
{
    const double worth = way > BY_WINOGRAD4 ? 0.92 : 1;
    Winograd so_far = q->best;
    double least = q->least, rate = q->s->machine->lanes * q->s->machine->fma_ports;
    q->least = INFINITY;
    if (q->plain.gradient)
        try_gradient(q, winograd_rows(&q->plain, way));
    else
        try_all(q, winograd_rows(&q->plain, way));
    if (q->least < INFINITY) gs->cycles[way] = q->least / rate;
    if (q->least < worth * least && may_be(by, way)) return;
    q->least = least;
    q->best = so_far;
}

/* Channels side by side: of few, the shortest vector that holds them. */
static int64_t vector_of(const WinogradChoice *q)
{
    enum { LEAST = 4 };
    int64_t n = BLOCK;
    while (q->plain.few_channels && n > LEAST && n / 2 >= (int64_t)q->channels) n /= 2;
    return n;
}

void schedule_winograd(Arena *a, const Schedule *s, const Group *g, Algorithm by, GroupSchedule *gs)
{
    const Node *n = g->anchor;
    Contract c, second;
    WinogradChoice q = {.s = s, .c = &c};
    if (by == BY_SUM || g->band || s->groups->graph->exact || strcmp(s->machine->backend, "cpu") != 0) return;
    n->op->contract(n, 0, &c);
    if (n->op->contract(n, 1, &second)) return;
    q.plain.dilation[0] = q.plain.dilation[1] = q.plain.step = 1;
    q.plain.gradient = c.out.view.dim[2] == WINOGRAD_TAPS && !find_axes(&c, &q.plain);
    if (!q.plain.gradient && !find_axes(&c, &q.plain)) q.plain.step = 2;
    q.plain.few_channels = !q.plain.gradient && s->value[n->in[0]->id].block[1] == 1;
    if (!find_axes(&c, &q.plain) || !lies_well(s, n, &q.plain)) return;
    q.plain.prepared = constant_weights(s, n->in[1]);
    q.k = (double)c.axis[q.plain.k].extent;
    q.channels = (double)(c.axis[q.plain.c].extent * winograd_phases(&q.plain));
    q.plain.vector = vector_of(&q);
    q.kblocks = winograd_up(c.axis[q.plain.k].extent, BLOCK);
    q.loaded = !q.plain.few_channels && s->value[n->in[1]->id].inner[c.b.coef[0][q.plain.k] ? 0 : 1] == 1;
    q.least = time_to_beat(&q, by);
    gs->cycles[BY_SUM] = winograd_direct_time(&q) / (s->machine->lanes * s->machine->fma_ports);
    q.tasks = gs->cycles[BY_SUM] < SHORT_CYCLES ? LEAST_SHORT_TASKS : LEAST_TASKS;
    for (int way = q.plain.gradient ? BY_WINOGRAD4 : BY_WINOGRAD2; way < NALGORITHMS; way++)
        if (q.plain.gradient || pools_fit(g, &q.plain, winograd_rows(&q.plain, (Algorithm)way)))
            try_algorithm(&q, gs, by, (Algorithm)way);
    if (!q.best.m) return;
    Winograd *out = NEW(a, Winograd);
    *out = q.best;
    gs->winograd = out;
}

int64_t winograd_plane(int64_t floats)
{
    return (winograd_up(floats, BLOCK) | 1) * BLOCK;
}

int64_t winograd_inputs(const Winograd *w)
{
    return w->blocks * w->copies * w->n * w->n * winograd_plane(w->block * w->stride);
}

int64_t winograd_phases(const Winograd *w)
{
    return w->step * w->step;
}

int64_t winograd_phase_rows(const Winograd *w, int dim)
{
    return w->tiles[dim] * w->m + w->r - 1;
}

int64_t winograd_phase_plane(const Winograd *w)
{
    return winograd_phase_rows(w, 0) * winograd_phase_rows(w, 1) * w->vector;
}

int64_t winograd_phase_floats(const Winograd *w, const Contract *c)
{
    return w->few_channels ? c->axis[w->batch].extent * winograd_phase_plane(w) : 0;
}

void winograd_widen(const Winograd *w, Contract *c)
{
    for (int d = 0; d < 2; d++) {
        c->axis[w->row[d]].extent = w->tiles[d] * w->m;
        if (w->step > 1) c->axis[w->tap[d]].extent = w->step * w->r;
    }
}

void winograd_loops(const Winograd *w, ConSchedule *s)
{
    for (int i = 0; i < s->nloop; i++) {
        ConLoop *l = &s->loop[i];
        const int *plane = w->gradient ? w->tap : w->row;
        l->tile = l->axis == plane[0] || l->axis == plane[1] ? (w->gradient ? w->r : w->m) : 1;
        l->parallel = false;
    }
    s->rows = w->gradient ? w->r * w->r : w->m * w->m;
    s->cols = 1;
}
