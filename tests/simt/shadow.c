/* What has been done to every four bytes that a kernel may touch, and whether the next access may follow it.
 *
 * A record is a thread, the bytes it touched and a time. Times order accesses as CUDA does: `epoch` counts the barriers
 * of blocks, and every thread keeps a vector clock of the lanes of its warp, joined at each simt_syncwarp. Of two accesses
 * to the same bytes, by different threads, at least one a store, the later must be ordered behind the earlier; nothing
 * orders blocks. A cell keeps four records; what is ordered before a newcomer makes way first, then chance decides.
 * The scheme is that of ThreadSanitizer and FastTrack (Flanagan, Freund 2009).
 *
 * Beside that: accesses outside of all regions; shared bytes that nobody has stored to since the block began; shared
 * bytes that an asynchronous copy will write. */
#include "internal.h"
#include "support/diag.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECORDS = 4, GRANULE = 4, MOST_REGIONS = 80 };

typedef struct Record {
    uint32_t epoch, clock; /* epoch 0: none */
    uint16_t thread;
    uint8_t bytes;  /* of the four, as bits */
    uint8_t access; /* SimtAccess */
    uint32_t site;  /* from the module's beginning */
} Record;

typedef struct Cell {
    Record record[RECORDS];
    uint32_t block;         /* the epoch in which the block began that `written` and `flying` are of */
    uint8_t written, flying; /* bytes, as bits */
    bool stored;
} Cell;

typedef struct Watched {
    SimtRegion at;
    char *base; /* at.p, rounded down to a granule */
    Cell *cell;
    bool shared;
} Watched;

static struct {
    bool active;
    Watched region[MOST_REGIONS];
    int n, last;
    SimtRegion quiet;
    uint32_t epoch, launch, block;
    uint32_t clock[SIMT_MOST_THREADS][SIMT_WARP];
    uint64_t random;
} s;

/* ---- launches, blocks, barriers ---- */

static void watch(const SimtRegion *r, bool shared)
{
    bug_if(s.n == MOST_REGIONS, "too many arguments");
    Watched *w = &s.region[s.n++];
    *w = (Watched){.at = *r, .base = r->p - (uintptr_t)r->p % GRANULE, .shared = shared};
    w->cell = calloc(r->bytes / GRANULE + 2, sizeof(Cell));
    if (!w->cell) fatal(EXIT_MEMORY, "out of memory");
}

void simt_shadow_begin(const SimtRegion *args, int nargs, const SimtRegion *shared, int nshared, SimtRegion quiet)
{
    s.active = true;
    s.n = s.last = 0;
    s.quiet = quiet;
    s.launch = ++s.epoch;
    s.random = 1;
    for (int i = 0; i < nshared; i++) watch(&shared[i], true);
    for (int i = 0; i < nargs; i++) watch(&args[i], false);
}

void simt_shadow_end(void)
{
    for (int i = 0; i < s.n; i++) free(s.region[i].cell);
    s.n = 0;
    s.active = false;
}

bool simt_shadow_active(void)
{
    return s.active;
}

void simt_shadow_block(void)
{
    if (!s.active) return;
    s.block = ++s.epoch;
    memset(s.clock, 0, sizeof *s.clock * (size_t)simt_block.threads);
    for (int i = 0; i < simt_block.threads; i++) s.clock[i][i % SIMT_WARP] = 1;
}

void simt_shadow_barrier(void)
{
    if (s.active) s.epoch++;
}

void simt_shadow_warp(int warp, unsigned mask)
{
    uint32_t all[SIMT_WARP] = {0}, (*clock)[SIMT_WARP] = &s.clock[warp * SIMT_WARP];
    if (!s.active) return;
    for (int i = 0; i < SIMT_WARP; i++)
        for (int k = 0; k < SIMT_WARP && mask >> i & 1; k++)
            if (clock[i][k] > all[k]) all[k] = clock[i][k];
    for (int i = 0; i < SIMT_WARP; i++) {
        if (!(mask >> i & 1)) continue;
        memcpy(clock[i], all, sizeof all);
        clock[i][i]++;
    }
}

/* ---- order ---- */

static bool is_before(const Record *r, int thread)
{
    if (r->epoch < s.block) return false; /* another block */
    return r->epoch < s.epoch || r->thread == thread ||
           (r->thread / SIMT_WARP == thread / SIMT_WARP && s.clock[thread][r->thread % SIMT_WARP] >= r->clock);
}

/* Does the record say nothing any more? Shared memory begins anew with each block. */
static bool is_stale(const Watched *w, const Record *r)
{
    return r->epoch < (w->shared ? s.block : s.launch);
}

/* How readily a record makes way for `new`: 0 at once. */
static int worth(const Watched *w, const Record *r, const Record *new)
{
    if (is_stale(w, r)) return 0;
    if (!is_before(r, new->thread)) return 4;
    if ((r->bytes & ~new->bytes) || r->access > new->access) return 3;
    return r->thread == new->thread ? 1 : 2;
}

static void remember(const Watched *w, Cell *c, const Record *new)
{
    int least = 5, at = (int)(simt_random(&s.random) % RECORDS), chosen = at;
    for (int i = 0; i < RECORDS; i++) {
        int k = (at + i) % RECORDS, x = worth(w, &c->record[k], new);
        if (x < least) least = x, chosen = k;
    }
    c->record[chosen] = *new;
}

/* ---- names ---- */

static const char *place_name(const Watched *w, const char *p)
{
    static char text[96];
    snprintf(text, sizeof text, "%s+%td", w->at.name, p - w->at.p);
    return text;
}

static const char *verb(SimtAccess a)
{
    return a == SIMT_LOAD ? "loads" : a == SIMT_STORE ? "stores" : "changes";
}

static void tell_race(const Watched *w, const char *p, const Record *r, const Record *new)
{
    static const char *const past[] = {"loaded", "stored", "", "changed"};
    bool other = r->epoch < s.block;
    if (w->shared) simt_acquit();
    const char *line = simt_site_name(s.quiet.p + r->site);
    simt_fault(SIMT_RACE, s.quiet.p + new->site, "%s %s, which %s has %s%s%s; nothing orders the two",
               verb(new->access), place_name(w, p), other ? "another block" : simt_thread_name(r->thread),
               past[r->access], *line ? " at " : "", line);
}

static void tell_bounds(const char *p, size_t bytes, SimtAccess a, const void *site)
{
    const Watched *best = NULL;
    ptrdiff_t nearest = PTRDIFF_MAX;
    for (int i = 0; i < s.n; i++) {
        const SimtRegion *r = &s.region[i].at;
        ptrdiff_t d = p < r->p ? r->p - p : p - (r->p + r->bytes);
        if (d < nearest) nearest = d, best = &s.region[i];
    }
    simt_fault(a == SIMT_LOAD ? SIMT_LOAD_BOUNDS : SIMT_STORE_BOUNDS, site, "%s %zu bytes at %s, which has %zu bytes",
               verb(a), bytes, best ? place_name(best, p) : "an address of its own", best ? best->at.bytes : 0);
}

/* ---- one access ---- */

static Watched *find_region(const char *p, size_t bytes)
{
    for (int i = 0; i < s.n; i++) {
        int k = (s.last + i) % s.n;
        const SimtRegion *r = &s.region[k].at;
        if (p < r->p || p + bytes > r->p + r->bytes) continue;
        s.last = k;
        return &s.region[k];
    }
    return NULL;
}

/* Fits the access a record of the cell? */
static void hold_against(const Watched *w, const Cell *c, const char *p, const Record *new)
{
    for (int i = 0; i < RECORDS; i++) {
        const Record *r = &c->record[i];
        if (!(r->bytes & new->bytes) || is_stale(w, r) || is_before(r, new->thread)) continue;
        if (!((r->access | new->access) & SIMT_STORE)) continue;
        if (r->access == SIMT_ATOMIC && new->access == SIMT_ATOMIC) continue;
        tell_race(w, p, r, new);
    }
}

static void begin_cell(Cell *c)
{
    if (c->block == s.block) return;
    c->block = s.block;
    c->written = c->flying = 0;
}

static void touch(const Watched *w, const char *p, const Record *new, const void *site)
{
    Cell *c = &w->cell[(p - w->base) / GRANULE];
    if (w->shared) {
        begin_cell(c);
        if (c->flying & new->bytes)
            simt_fault(SIMT_IN_FLIGHT, site, "%s %s, where a copy has not landed", verb(new->access), place_name(w, p));
        if (new->access != SIMT_STORE && (c->written & new->bytes) != new->bytes)
            simt_suspect(SIMT_UNWRITTEN, site, "%s %s", verb(new->access), place_name(w, p));
    }
    hold_against(w, c, p, new);
    if (new->access & SIMT_STORE) c->written |= new->bytes, c->stored = true;
    remember(w, c, new);
}

static Record new_record(SimtAccess a, const void *site)
{
    int t = simt_block.now->id;
    return (Record){s.epoch, s.clock[t][t % SIMT_WARP], (uint16_t)t, 0, (uint8_t)a,
                    (uint32_t)((const char *)site - s.quiet.p)};
}

/* The bytes of [p, p + n) in p's granule, as bits. */
static unsigned granule_bits(const char *p, size_t n)
{
    unsigned first = (uintptr_t)p % GRANULE, bits = n >= GRANULE ? 15u : (1u << n) - 1;
    return bits << first & 15;
}

void simt_shadow_access(const void *at, size_t bytes, SimtAccess a, const void *site)
{
    const char *p = at, *end = p + bytes;
    if (!s.active || !simt_block.now || simt_block.combining || !bytes) return;
    int owner = simt_stack_owner(p);
    if (owner == simt_block.now->id) return;
    if (owner >= 0)
        simt_fault(SIMT_MISUSE, site, "%s a variable of %s's own", verb(a), simt_thread_name(owner));
    const Watched *w = find_region(p, bytes);
    if (!w && p >= s.quiet.p && end <= s.quiet.p + s.quiet.bytes) return;
    if (!w) tell_bounds(p, bytes, a, site);
    Record new = new_record(a, site);
    while (p < end) {
        new.bytes = (uint8_t)granule_bits(p, (size_t)(end - p));
        touch(w, p, &new, site);
        p += GRANULE - (uintptr_t)p % GRANULE;
    }
}

/* ---- asynchronous copies ---- */

static Cell *copied_cell(const char *p, const void *site)
{
    const Watched *w = find_region(p, GRANULE);
    if (!w || !w->shared) simt_fault(SIMT_STORE_BOUNDS, site, "copies to %s", w ? place_name(w, p) : "no shared memory");
    return &w->cell[(p - w->base) / GRANULE];
}

void simt_shadow_depart(const void *at, size_t bytes, const void *site)
{
    const char *p = at;
    if (!s.active) return;
    for (size_t i = 0; i < bytes; i += GRANULE) {
        Cell *c = copied_cell(p + i, site);
        simt_shadow_access(p + i, GRANULE, SIMT_STORE, site);
        c->flying = 15;
    }
}

void simt_shadow_land(const void *at, size_t bytes, const void *site)
{
    const char *p = at;
    if (!s.active) return;
    for (size_t i = 0; i < bytes; i += GRANULE) copied_cell(p + i, site)->flying = 0;
    simt_shadow_access(p, bytes, SIMT_STORE, site);
}

bool simt_shadow_stored(const void *p)
{
    const Watched *w = find_region(p, GRANULE);
    return w && w->cell[((const char *)p - w->base) / GRANULE].stored;
}
