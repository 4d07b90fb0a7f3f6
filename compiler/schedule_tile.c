/* Which contractions run on tiles in the shared memory of a GPU, and on which: rows, columns and reduction of a matrix
 * product are found in the loops that schedule_contract.c made, and a configuration is chosen from a table.
 *
 * In: loops with their strides. Out: ConTile, pure data; config NULL where the loops do not fit (depthwise, channels that
 * are no multiple of 16, a first layer) or are too small to fill a tile. */
#include "schedule.h"
#include "stages.h"
#include <stdlib.h>
#include <string.h>

enum {
    LEAST_WORK = 1 << 20,  /* multiply-adds: below this, starting the kernel is what takes the time */
    LEAST_ROWS = 16
};

/* Chosen by what NVRTC makes of them (registers, no spills) and issue slots for each multiplication: tests hold them
 * to that (tests/unit/test_tensor.c). rate is a guess of what is left of the peak: reuse in shared memory. */
static const TileConfig configs[] = {
    {TILE_SIMT, 128, 128, 32, 64, 3, 1, 100},
    {TILE_SIMT, 128, 64, 32, 64, 3, 1, 90},
    {TILE_SIMT, 64, 64, 32, 64, 3, 1, 80},
    {TILE_TF32, 128, 128, 64, 64, 3, 1, 100},
    {TILE_TF32, 128, 64, 64, 32, 3, 2, 85},
    {TILE_TF32, 64, 64, 64, 32, 3, 2, 75},
    {TILE_F16, 256, 128, 64, 64, 3, 2, 100}, /* and TILE_BF16 */
    {TILE_F16, 128, 128, 64, 64, 4, 2, 97},
    {TILE_F16, 256, 64, 64, 64, 4, 2, 88},
    {TILE_F16, 128, 64, 64, 32, 4, 2, 85},
    {TILE_F16, 64, 64, 64, 32, 4, 2, 75},
};

const TileConfig *tile_configs(int *n)
{
    *n = sizeof configs / sizeof configs[0];
    return configs;
}

static bool is_blocked_lane(const ConLoop *l, int64_t stride)
{
    return l->part == PART_LANE && l->extent == BLOCK && stride == 1;
}

/* Loops of length 1 change nothing; but lanes and what pooling looks for are always taken. */
static bool matters(const ConLoop *l)
{
    return l->extent > 1 || l->part != PART_WHOLE;
}

/* The block of 16 must be full: nothing is known of what lies behind the last channel. */
static bool full_blocks(const ConSchedule *s, int axis)
{
    return s->con.axis[axis].extent % BLOCK == 0;
}

/* ---- roles ---- */

static bool take_column(ConTile *t, const ConSchedule *s, int k)
{
    const ConLoop *l = &s->loop[k];
    if (l->role == ROLE_BLK) t->blk = k;
    if (l->role == ROLE_LANE) t->lane = k;
    if (l->sa) return false; /* depthwise: columns of A differ */
    return l->role == ROLE_BLK || (l->part == PART_LANE && l->sb == 1 && l->so == 1);
}

static bool take_reduction(ConTile *t, const ConSchedule *s, int k)
{
    const ConLoop *l = &s->loop[k];
    if (l->extent == 0) return false;
    if (l->part == PART_LANE) {
        if (!is_blocked_lane(l, l->sa) || !full_blocks(s, l->axis)) return false;
        t->red_lane = k;
        return true;
    }
    if (l->extent == 1) return true;
    if (t->nred == TILE_LOOPS) return false;
    t->red[t->nred++] = k;
    return true;
}

static bool take_output(ConTile *t, const ConSchedule *s, const Group *g, int k)
{
    const ConLoop *l = &s->loop[k];
    if (l->sb && matters(l)) { /* B differs: problems side by side */
        if (t->batch >= 0 || l->part != PART_WHOLE) return false;
        t->batch = k;
        return true;
    }
    int64_t unit = 1;
    if (l->part == PART_LANE) {
        if (!is_blocked_lane(l, l->sa) || !full_blocks(s, l->axis)) return false;
        t->a_columns = true;
        unit = BLOCK;
    }
    for (int d = 0; g->pool && d < 2; d++)
        if (s->con.out.coef[2 + d][l->axis]) unit = g->pool->op->window(g->pool).kernel[d];
    t->unit[t->nrow] = unit;
    t->row[t->nrow++] = k;
    return l->extent % unit == 0;
}

static bool find_roles(ConTile *t, const ConSchedule *s, const Group *g)
{
    t->red_lane = t->blk = t->lane = t->batch = -1;
    for (int k = 0; k < s->nloop; k++) {
        const ConLoop *l = &s->loop[k];
        bool column = l->role == ROLE_BLK || l->role == ROLE_LANE;
        bool fits = column ? take_column(t, s, k)
                    : l->role == ROLE_RED ? take_reduction(t, s, k)
                                          : take_output(t, s, g, k);
        if (!fits) return false;
    }
    return t->blk >= 0 && t->lane >= 0 && (t->red_lane >= 0) != t->a_columns;
}

/* The template counts through three loops of groups, and two within a group. */
static bool fits_template(const ConTile *t, const ConSchedule *s, const Group *g)
{
    int groups = 0, units = 0;
    int64_t unit = 1;
    for (int i = 0; i < t->nrow; i++) {
        groups += s->loop[t->row[i]].extent / t->unit[i] > 1;
        units += t->unit[i] > 1;
        unit *= t->unit[i];
    }
    if (g->pool && t->a_columns) return false;
    return groups <= TILE_LOOPS && units <= 2 && (unit & (unit - 1)) == 0 && unit <= BLOCK;
}

/* Copies take 16 bytes: whatever is added to an address must keep them aligned. */
static bool is_aligned(const ConTile *t, const ConSchedule *s)
{
    enum { PIECE = 8 }; /* elements, of the smallest type */
    if (s->base_a % PIECE || s->base_b % PIECE) return false;
    for (int k = 0; k < s->nloop; k++) {
        const ConLoop *l = &s->loop[k];
        bool a_lane = k == t->red_lane || (t->a_columns && l->part == PART_LANE && k != t->lane);
        if (l->extent > 1 && ((!a_lane && l->sa % PIECE) || (k != t->lane && l->sb % PIECE))) return false;
    }
    return true;
}

static bool small_offsets(const Schedule *s, const Node *n)
{
    return s->value[n->id].count <= INT32_MAX && s->value[n->in[0]->id].count <= INT32_MAX &&
           s->value[n->in[1]->id].count <= INT32_MAX;
}

/* By what the operands are stored as. false: they differ. Of tf32 one may be f32, an input of the program: it is cut. */
static bool choose_math(ConTile *t, const Schedule *s, const Node *n)
{
    LType a = s->type[n->in[0]->id], b = s->type[n->in[1]->id];
    bool tf32 = s->groups->graph->precision == PRECISION_TF32;
    t->math = a == LT_F16 ? TILE_F16 : a == LT_BF16 ? TILE_BF16 : tf32 ? TILE_TF32 : TILE_SIMT;
    return a == b || t->math == TILE_TF32;
}

/* ---- sizes ---- */

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static int64_t reduction(const ConTile *t, const ConSchedule *s)
{
    int64_t n = t->red_lane >= 0 ? BLOCK : 1;
    for (int i = 0; i < t->nred; i++) n *= s->loop[t->red[i]].extent;
    return n;
}

/* How long the last processor works, in units of multiply-adds at full rate. */
static double tile_time(const ConTile *t, const ConSchedule *s, const TileConfig *c, int processors)
{
    int64_t columns = s->loop[t->blk].extent * BLOCK;
    int64_t tiles = ceil_div(t->rows, c->bm) * ceil_div(columns, c->bn) * t->nz;
    return (double)ceil_div(tiles, processors) * c->bm * c->bn * 100.0 / c->rate;
}

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* Where blocks of channels come in whole steps they are the innermost loop: a step is one address and offsets to it. The
 * others keep the order of the loops, whatever another configuration made of it. */
static void order_reduction(ConTile *t, const ConSchedule *s)
{
    qsort(t->red, (size_t)t->nred, sizeof t->red[0], by_number);
    for (int i = 0; i + 1 < t->nred; i++) {
        int k = t->red[i];
        if (s->loop[k].part != PART_BLK || s->loop[k].extent % t->config->step) continue;
        memmove(&t->red[i], &t->red[i + 1], sizeof t->red[0] * (size_t)(t->nred - i - 1));
        t->red[t->nred - 1] = k;
        return;
    }
}

static void choose_config(ConTile *t, const ConSchedule *s, int processors)
{
    TileMath math = t->math == TILE_BF16 ? TILE_F16 : t->math;
    double best = 0;
    for (size_t i = 0; i < sizeof configs / sizeof configs[0]; i++) {
        double time = tile_time(t, s, &configs[i], processors);
        if (configs[i].math != math || (t->config && time >= best)) continue;
        best = time;
        t->config = &configs[i];
    }
    t->standard = t->config;
}

void tile_take(ConSchedule *s, const TileConfig *c)
{
    ConTile *t = &s->tile;
    t->config = c;
    if (!t->a_columns) order_reduction(t, s);
    t->tiles_m = ceil_div(t->rows, c->bm);
    t->tiles_n = ceil_div(s->loop[t->blk].extent * BLOCK, c->bn);
}

void schedule_tiles(const Schedule *s, GroupSchedule *gs)
{
    const Group *g = gs->group;
    if (strcmp(s->machine->backend, "cuda") != 0 || g->strip || !small_offsets(s, g->anchor)) return;
    for (int p = 0; p < gs->nphase; p++) {
        ConSchedule *c = &gs->con[p];
        ConTile t = {.nz = gs->split, .rows = 1};
        if (!choose_math(&t, s, g->anchor) || c->general || !find_roles(&t, c, g) || !fits_template(&t, c, g) ||
            !is_aligned(&t, c))
            continue;
        bool chunks = gs->split > 1; /* of the loop that the template cuts: the outermost of single elements */
        if (chunks && (!t.a_columns || !t.nred || c->loop[t.red[0]].axis != gs->split_axis)) continue;
        for (int i = 0; i < t.nrow; i++) t.rows *= c->loop[t.row[i]].extent;
        if (t.batch >= 0) t.nz *= c->loop[t.batch].extent;
        double work = (double)t.rows * (double)(c->loop[t.blk].extent * BLOCK) * (double)reduction(&t, c);
        if (t.rows < LEAST_ROWS || work * (double)t.nz / (double)gs->split < LEAST_WORK) continue;
        choose_config(&t, c, s->machine->processors);
        c->tile = t;
        tile_take(c, t.config);
    }
}

/* ---- text ---- */

void schedule_print_tile(Buf *b, const ConSchedule *c)
{
    static const char *const math[] = {"simt", "tf32", "f16", "bf16"};
    const ConTile *t = &c->tile;
    if (!t->config) return;
    buf_printf(b, "    tiles %lldx%lldx%lld of %dx%d %s, warps %dx%d, %d stages of %d; rows", (long long)t->tiles_m,
               (long long)t->tiles_n, (long long)t->nz, t->config->bm, t->config->bn, math[t->math],
               t->config->wm, t->config->wn, t->config->stages, t->config->step);
    for (int i = 0; i < t->nrow; i++) {
        buf_printf(b, " %s", c->con.axis[c->loop[t->row[i]].axis].name);
        if (t->unit[i] > 1) buf_printf(b, "/%lld", (long long)t->unit[i]);
    }
    buf_puts(b, ", sum");
    for (int i = 0; i < t->nred; i++) buf_printf(b, " %s", c->con.axis[c->loop[t->red[i]].axis].name);
    buf_putc(b, '\n');
}
