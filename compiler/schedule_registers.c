/* The tile of accumulators of a contraction: rows x cols, and which rows of the output they are. In: its loops. Out: their
 * tiles. Rule: cycles are counted (FMA ports, loads, FMA latency) over all full and partial tiles of the output, under the
 * number of registers. */
#include "schedule.h"
#include <string.h>

enum { WORTH = 4 /* tasks whose latency one hides that has many sums in flight */ };
enum { MOST_COLS = 4 };

typedef struct TileCost {
    const Machine *m;
    double steps;     /* length of the reduction */
    int regs_per_col; /* machine vectors that one column of lane_extent floats takes */
    bool row_vectors; /* rows load vectors too (depthwise) */
} TileCost;

static double max2(double a, double b)
{
    return a > b ? a : b;
}

static double tile_cycles(const TileCost *t, int64_t rows, int64_t cols)
{
    double v = (double)(cols * t->regs_per_col), r = (double)rows;
    double fma = r * v / t->m->fma_ports;
    double loads = (v + (t->row_vectors ? r * v : r)) / t->m->load_ports;
    double step = max2(max2(fma, loads), t->m->fma_latency);
    return t->steps * (step + 0.5) + 1.5 * r * v + 10; /* loop control; epilogue */
}

typedef struct TileSearch {
    TileCost cost;
    ConLoop *loop[CON_MAX_LOOPS]; /* ROW loops, outermost first */
    int nrow;
    const ConLoop *batch; /* the row loop over images, or NULL */
    ConLoop *blk;         /* BLK loop of the vector axis; NULL: one column */
    int64_t plane;        /* rows of one image: tiles span images only when this is small */
    double outer;         /* times that all tiles are passed: tasks beside theirs */
    double enough;        /* tasks below which the machine idles; 0: tiles do not mind */
    int64_t window[2];    /* tile sizes of the last two rows must be multiples of these (pooling) */
    int64_t best_tile[CON_MAX_LOOPS], best_cols;
    double best;
} TileSearch;

/* Sum of the cycles of all tiles, full and partial, of rows k.. for tiles of `rows` rows so far. */
static double all_tiles(const TileSearch *s, const int64_t *tile, int k, int64_t rows, int64_t cols)
{
    if (k < s->nrow) {
        int64_t e = s->loop[k]->extent, t = tile[k];
        double sum = (double)(e / t) * all_tiles(s, tile, k + 1, rows * t, cols);
        if (e % t) sum += all_tiles(s, tile, k + 1, rows * (e % t), cols);
        return sum;
    }
    int64_t blks = s->blk ? s->blk->extent : 1;
    double sum = (double)(blks / cols) * tile_cycles(&s->cost, rows, cols);
    if (blks % cols) sum += tile_cycles(&s->cost, rows, blks % cols);
    return sum;
}

/* Tasks that the tiles make. */
static double tile_tasks(const TileSearch *s, const int64_t *tile, int64_t cols)
{
    double n = s->outer;
    for (int k = 0; k < s->nrow; k++) n *= (double)((s->loop[k]->extent + tile[k] - 1) / tile[k]);
    return s->blk ? n * (double)((s->blk->extent + cols - 1) / cols) : n;
}

static void try_tiles(TileSearch *s, int64_t *tile, int k, int64_t rows, int64_t cols, int64_t most)
{
    if (k < 0) {
        double c = all_tiles(s, tile, 0, 1, cols), tasks = tile_tasks(s, tile, cols);
        if (tasks < s->enough) c *= s->enough / tasks;
        /* of equals take the one found first: columns first, then long runs of the innermost rows
         */
        if (c < s->best * 0.999) {
            s->best = c;
            s->best_cols = cols;
            memcpy(s->best_tile, tile, sizeof(int64_t) * CON_MAX_LOOPS);
        }
        return;
    }
    int from_end = s->nrow - 1 - k;
    int64_t multiple = from_end < 2 ? s->window[1 - from_end] : 1;
    int64_t top = s->loop[k]->extent < most / rows ? s->loop[k]->extent : most / rows;
    if (s->loop[k] == s->batch && s->plane > most) top = 1; /* its images would lie far apart */
    for (int64_t t = top; t >= 1; t--) {
        if (t % multiple) continue;
        tile[k] = t;
        try_tiles(s, tile, k - 1, rows * t, cols, most);
    }
}

/* Registers that a tile of v vectors a row needs beside its accumulators: the shared vectors and a
 * broadcast. Wide rows need the next step's vectors as well, and a single column of many rows some
 * air: fewer spill (seen in the code that LLVM 19 makes). */
int schedule_registers_beside(int v, bool row_vectors)
{
    int n = v + 1 + row_vectors;
    if (v > 2) n += v;
    if (v == 1) n += 6;
    return n;
}

/* Is the last block's lower half summed alone (nests/contract_reduce.c), in vectors of another width than the others'? Broadcasts
 * of both stay alive for long (seen in the code that LLVM 19 makes). */
static int registers_for_half(const TileSearch *s)
{
    enum { MORE = 8 };
    bool half = s->blk && s->blk->last && s->blk->last <= BLOCK / 2;
    return half && s->cost.m->lanes > BLOCK / 2 ? MORE : 0;
}

static void choose_tiles(TileSearch *s)
{
    int64_t tile[CON_MAX_LOOPS];
    int blks = s->blk ? (int)s->blk->extent : 1;
    s->best = 1e300;
    for (int cols = blks < MOST_COLS ? blks : MOST_COLS; cols >= 1; cols--) {
        int v = cols * s->cost.regs_per_col;
        int beside = schedule_registers_beside(v, s->cost.row_vectors) + registers_for_half(s);
        int64_t most = (s->cost.m->vregs - beside) / v;
        /* a window must fit, even where that costs spills (128-bit vectors) */
        if (cols == 1 && most < s->window[0] * s->window[1]) most = s->window[0] * s->window[1];
        if (most >= s->window[0] * s->window[1]) try_tiles(s, tile, s->nrow - 1, 1, cols, most);
    }
    bug_if(s->best >= 1e300, "no tile fits the registers");
    for (int k = 0; k < s->nrow; k++) s->loop[k]->tile = s->best_tile[k];
    if (s->blk) s->blk->tile = s->best_cols;
}

void schedule_registers(ConSchedule *s, const Machine *m, const Group *g, double times)
{
    TileSearch t = {.window = {1, 1}, .plane = 1, .outer = times};
    int64_t sq = 0;
    for (int i = 0; i < s->nloop; i++) {
        ConLoop *l = &s->loop[i];
        if (g->band && l->role == ROLE_ROW && !s->con.out.coef[3][l->axis]) {
            t.outer *= (double)l->extent; /* rows are single */
            continue;
        }
        if (l->role == ROLE_ROW) t.loop[t.nrow++] = l;
        bool batch = l->role == ROLE_ROW && s->con.out.coef[0][l->axis];
        if (batch) t.batch = l;
        if (l->role == ROLE_ROW && !batch) t.plane *= l->extent;
        if (l->role == ROLE_BLK) t.blk = l;
        if (l->role == ROLE_OUTER && l->part != PART_LANE) t.outer *= (double)l->extent;
        if (l->role == ROLE_LANE) sq = s->shared_a ? l->sb : l->sa;
    }
    if (g->pool && !g->band) {
        Window w = g->pool->op->window(g->pool);
        t.window[0] = w.kernel[0];
        t.window[1] = w.kernel[1];
    }
    if (m->processors) t.enough = (double)m->tasks / WORTH;
    t.cost = (TileCost){.m = m, .steps = schedule_reduction_length(s)};
    t.cost.regs_per_col = (s->lane_extent + m->lanes - 1) / m->lanes;
    t.cost.row_vectors = sq != 0;
    choose_tiles(&t);
    s->rows = 1;
    for (int k = 0; k < t.nrow; k++) s->rows *= (int)t.loop[k]->tile;
    s->cols = t.blk ? (int)t.blk->tile : 1;
    double lanes = (double)t.cost.regs_per_col, ideal = t.cost.steps * lanes / m->fma_ports;
    for (int k = 0; k < t.nrow; k++) ideal *= (double)t.loop[k]->extent;
    if (t.blk) ideal *= (double)t.blk->extent;
    s->efficiency = ideal / t.best;
}
