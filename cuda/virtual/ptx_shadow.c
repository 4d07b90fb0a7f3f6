#include "ptx_shadow.h"
#include <stdlib.h>
#include <string.h>

enum { MOST_WARPS = 32, MOST_SYNCS = 8, SEVERAL = 0xffff };
typedef enum CellState { CELL_PLAIN, CELL_ATOMIC, CELL_FLYING } CellState;

typedef struct Cell { /* of one granule; times are 0 before the first access */
    uint32_t written, read;
    uint32_t write_line, read_line;
    uint32_t readers;   /* lanes of read_warp, since the last store */
    uint16_t writer;    /* thread of the block */
    uint16_t read_warp; /* SEVERAL: of more than one warp */
    uint8_t state;      /* of the last store */
} Cell;

typedef struct Sync { /* the last bar.warp.sync with this mask */
    uint32_t members, time;
} Sync;

typedef struct Shadow {
    unsigned shift;       /* log2 of the granule */
    uint32_t time, start; /* now; when the block began: what is older is another block's */
    Cell *shared;
    Cell **global;                        /* by range of the launch; NULL: not touched yet */
    uint32_t met[MOST_WARPS][MOST_WARPS]; /* what warp i did before this time, warp j comes after */
    Sync sync[MOST_WARPS][MOST_SYNCS];
    bool fenced; /* the block has done a fence or an atomic: it may know what others did */
} Shadow;

/* ---- life ---- */

static void *cells(const Shadow *s, uint64_t bytes)
{
    return calloc((size_t)(bytes >> s->shift) + 1, sizeof(Cell));
}

bool shadow_new(Block *b)
{
    Shadow *s = b->shadow = calloc(1, sizeof *s);
    if (!s) return false;
    while (1u << s->shift < b->launch->granule) s->shift++;
    s->time = 1;
    s->shared = cells(s, b->shared_size);
    s->global = calloc((size_t)b->launch->nranges + 1, sizeof *s->global);
    return s->shared && s->global;
}

void shadow_free(Block *b)
{
    Shadow *s = b->shadow;
    if (!s) return;
    for (int i = 0; s->global && i < b->launch->nranges; i++) free(s->global[i]);
    free(s->global);
    free(s->shared);
    free(s);
    b->shadow = NULL;
}

void shadow_begin(Block *b)
{
    Shadow *s = b->shadow;
    if (!s) return;
    s->start = ++s->time;
    s->fenced = false;
    memset(s->met, 0, sizeof s->met);
    memset(s->sync, 0, sizeof s->sync);
}

/* ---- time ---- */

void shadow_sync(Warp *w, uint32_t members)
{
    Shadow *s = w->block->shadow;
    if (!s) return;
    Sync *v = s->sync[w->index], *oldest = v;
    for (int i = 0; i < MOST_SYNCS; i++) {
        if (v[i].members == members) {
            oldest = &v[i];
            break;
        }
        if (v[i].time < oldest->time) oldest = &v[i];
    }
    *oldest = (Sync){members, ++s->time};
}

uint32_t shadow_arrive(Warp *w)
{
    Shadow *s = w->block->shadow;
    return s ? ++s->time : 0;
}

void shadow_barrier(Block *b, const uint32_t *arrived, uint32_t waiting)
{
    Shadow *s = b->shadow;
    if (!s) return;
    s->time++; /* all that the waiting warps did lies before it, whenever each of them came */
    for (int j = 0; j < b->nwarps; j++)
        for (int i = 0; i < b->nwarps; i++) {
            uint32_t when = waiting >> i & 1 ? s->time : arrived[i];
            if (waiting >> j & 1 && when > s->met[i][j]) s->met[i][j] = when;
        }
}

void shadow_fence(Warp *w)
{
    if (w->block->shadow) w->block->shadow->fenced = true;
}

/* Does lane `lane` of w come after what thread t did at `time`? */
static bool is_ordered(const Warp *w, unsigned t, uint32_t time, int lane)
{
    const Shadow *s = w->block->shadow;
    unsigned warp = t / LANES;
    uint32_t both = 1u << t % LANES | 1u << lane;
    if (time < s->start) return s->fenced; /* another block */
    if (time < s->met[warp][w->index]) return true;
    if (warp != w->index) return false;
    if (t % LANES == (unsigned)lane) return true;
    for (int i = 0; i < MOST_SYNCS; i++)
        if ((s->sync[warp][i].members & both) == both && s->sync[warp][i].time > time) return true;
    return false;
}

/* The reader that lane `lane` does not come after, or -1. SEVERAL warps: any of them. */
static int unordered_reader(const Warp *w, const Cell *c, int lane)
{
    const Shadow *s = w->block->shadow;
    if (!c->readers) return -1;
    if (c->read_warp == SEVERAL) {
        for (int i = 0; i < w->block->nwarps; i++)
            if (!is_ordered(w, (unsigned)i * LANES, c->read, lane) && !((unsigned)i == w->index)) return i * LANES;
        return c->read < s->met[w->index][w->index] ? -1 : (int)w->index * LANES;
    }
    for (uint32_t left = c->readers; left; left &= left - 1) {
        unsigned t = c->read_warp * LANES + (unsigned)first_lane(left);
        if (!is_ordered(w, t, c->read, lane)) return (int)t;
    }
    return -1;
}

/* ---- faults ---- */

static _Noreturn void race(Warp *w, int lane, const char *what, int thread, uint32_t line, bool other_block)
{
    const unsigned *n = w->block->launch->in->block;
    unsigned t = (unsigned)thread;
    if (other_block) ptx_fault(w, lane, "race: %s another block (PTX line %u)", what, line);
    ptx_fault(w, lane, "race: %s thread (%u,%u,%u) (PTX line %u), with no barrier between", what, t % n[0],
              t / n[0] % n[1], t / n[0] / n[1], line);
}

/* ---- cells ---- */

static Cell *global_cells(Warp *w, uint64_t at, uint64_t *base)
{
    const Launch *l = w->block->launch;
    Shadow *s = w->block->shadow;
    int i = range_find(l->range, l->nranges, at);
    if (i < 0 || at >= l->range[i].end) return NULL;
    if (!s->global[i]) s->global[i] = cells(s, l->range[i].end - l->range[i].begin);
    if (!s->global[i]) ptx_fault(w, -1, "out of host memory for the check of races");
    *base = l->range[i].begin;
    return s->global[i];
}

/* The first of *n cells; NULL: memory of one thread. */
static Cell *find_cells(Warp *w, uint64_t at, unsigned bytes, unsigned *n, bool *shared)
{
    Block *b = w->block;
    uint64_t base = (uint64_t)(uintptr_t)b->shared;
    *shared = at - base < b->shared_size;
    Cell *c = *shared ? b->shadow->shared : global_cells(w, at, &base);
    unsigned shift = b->shadow->shift;
    *n = (bytes >> shift) + !(bytes >> shift);
    return c ? c + ((at - base) >> shift) : NULL;
}

static uint32_t line_now(const Warp *w)
{
    return w->module->code.v[w->pc - 1].line;
}

static void check_flight(Warp *w, const Cell *c, int lane)
{
    if (c->state == CELL_FLYING && c->written >= w->block->shadow->start)
        ptx_fault(w, lane, "race: the cp.async of PTX line %u to these bytes has not been waited for", c->write_line);
}

static void note_reader(Warp *w, Cell *c, int lane)
{
    Shadow *s = w->block->shadow;
    if (c->readers && c->read == s->time && c->read_warp == w->index) {
        c->readers |= 1u << lane;
        return;
    }
    bool fresh = !c->readers || c->read < s->start || unordered_reader(w, c, lane) < 0;
    bool same = c->read_warp == w->index;
    c->readers = fresh || !same ? 1u << lane : c->readers | 1u << lane;
    c->read_warp = fresh || same ? (uint16_t)w->index : SEVERAL;
    c->read = s->time;
    c->read_line = line_now(w);
}

static void read_cell(Warp *w, Cell *c, int lane, bool shared)
{
    const Shadow *s = w->block->shadow;
    bool old = c->written < s->start;
    if (shared && old) ptx_fault(w, lane, "uninitialised: no thread of the block has written these bytes");
    check_flight(w, c, lane);
    if (c->written && !is_ordered(w, c->writer, c->written, lane))
        race(w, lane, "reads what was written by", c->writer, c->write_line, old);
    note_reader(w, c, lane);
}

/* same: the value that is there already; who stores it first does not matter. */
static void write_cell(Warp *w, Cell *c, int lane, bool shared, bool same, CellState state)
{
    Shadow *s = w->block->shadow;
    bool stale = shared && c->written < s->start; /* of another block, which had this memory before */
    if (!stale) check_flight(w, c, lane);
    bool atomics = state == CELL_ATOMIC && c->state == CELL_ATOMIC;
    if (!stale && c->written && !same && !atomics && !is_ordered(w, c->writer, c->written, lane))
        race(w, lane, "overwrites what was written by", c->writer, c->write_line, c->written < s->start);
    if (c->readers && (!shared || c->read >= s->start) && !same) {
        int t = unordered_reader(w, c, lane);
        if (t >= 0) race(w, lane, "overwrites what is read by", t, c->read_line, c->read < s->start);
    }
    *c = (Cell){.written = s->time,
                .write_line = line_now(w),
                .state = (uint8_t)state,
                .writer = (uint16_t)(w->index * LANES + (unsigned)lane)};
}

/* ---- accesses ---- */

void shadow_load(Warp *w, int lane, uint64_t at, unsigned bytes)
{
    unsigned n;
    bool shared;
    Cell *c = find_cells(w, at, bytes, &n, &shared);
    for (unsigned i = 0; c && i < n; i++) read_cell(w, &c[i], lane, shared);
}

void shadow_load_constant(Warp *w, int lane, uint64_t at, unsigned bytes)
{
    unsigned n;
    bool shared;
    Cell *c = find_cells(w, at, bytes, &n, &shared);
    for (unsigned i = 0; c && i < n; i++)
        if (c[i].written) ptx_fault(w, lane, "race: .nc reads what this launch writes (PTX line %u)", c[i].write_line);
}

void shadow_store(Warp *w, int lane, uint64_t at, unsigned bytes, const void *value)
{
    unsigned n;
    bool shared;
    Cell *c = find_cells(w, at, bytes, &n, &shared);
    bool same = c && memcmp((const void *)(uintptr_t)at, value, bytes) == 0;
    for (unsigned i = 0; c && i < n; i++) write_cell(w, &c[i], lane, shared, same, CELL_PLAIN);
}

void shadow_atomic(Warp *w, int lane, uint64_t at, unsigned bytes)
{
    unsigned n;
    bool shared;
    Cell *c = find_cells(w, at, bytes, &n, &shared);
    for (unsigned i = 0; c && i < n; i++) {
        if (shared && c[i].written < w->block->shadow->start)
            ptx_fault(w, lane, "uninitialised: no thread of the block has written these bytes");
        write_cell(w, &c[i], lane, shared, false, CELL_ATOMIC);
    }
    if (!shared) shadow_fence(w);
}

void shadow_fly(Warp *w, int lane, uint64_t at, unsigned bytes)
{
    unsigned n;
    bool shared;
    Cell *c = find_cells(w, at, bytes, &n, &shared);
    for (unsigned i = 0; c && i < n; i++) write_cell(w, &c[i], lane, shared, false, CELL_FLYING);
}

void shadow_land(Warp *w, uint64_t at, unsigned bytes)
{
    unsigned n;
    bool shared;
    Cell *c = find_cells(w, at, bytes, &n, &shared);
    for (unsigned i = 0; c && i < n; i++) {
        c[i].state = CELL_PLAIN;
        c[i].written = w->block->shadow->time;
    }
}
