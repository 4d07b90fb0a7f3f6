/* A grid: its blocks in a random order, and for checked modules the copies of the arguments that it works on. */
#include "internal.h"
#include "support/diag.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { MOST_ARGS = 64, GUARD = 64 << 10 };

typedef struct Guarded { /* all buffers, each with GUARD bytes before and behind */
    char *p;
    size_t bytes;
    char *copy[MOST_ARGS];
    void *address[MOST_ARGS]; /* what a parameter of a buffer holds */
    void *param[MOST_ARGS];
} Guarded;

static size_t padded(size_t n)
{
    return (n + 255) / 256 * 256 + GUARD;
}

/* Memory of the tests begins as NaNs of all bits, too, and kernels may compute with it where nobody looks: in the lanes
 * that round a channel count up. Another NaN takes its place, so that what is all bits comes from a local variable. */
static void rename_nans(void *p, size_t bytes)
{
    uint32_t *x = p;
    for (size_t i = 0; i < bytes / sizeof *x; i++)
        if (x[i] == UINT32_MAX) x[i] = 0x7fc0ffee;
}

static void copy_in(Guarded *g, const SimtLaunch *l)
{
    size_t at = GUARD;
    g->bytes = GUARD;
    for (int i = 0; i < l->nargs; i++) g->bytes += l->arg[i].buffer ? padded(l->arg[i].bytes) : 0;
    g->p = mmap(NULL, g->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g->p == MAP_FAILED) fatal(EXIT_MEMORY, "out of memory");
    for (int i = 0; i < l->nargs; i++) {
        if (!l->arg[i].buffer) continue;
        g->copy[i] = g->p + at;
        at += padded(l->arg[i].bytes);
        memcpy(g->copy[i], l->arg[i].p, l->arg[i].bytes);
        if (l->arg[i].real) rename_nans(g->copy[i], l->arg[i].bytes);
    }
}

static void copy_out(Guarded *g, const SimtLaunch *l)
{
    for (int i = 0; i < l->nargs; i++) /* the same buffer may be given twice, if nobody stores to it */
        if (l->arg[i].buffer && memcmp(l->arg[i].p, g->copy[i], l->arg[i].bytes) != 0)
            memcpy(l->arg[i].p, g->copy[i], l->arg[i].bytes);
    munmap(g->p, g->bytes);
}

static void set_params(Guarded *g, const SimtLaunch *l)
{
    bug_if(l->nargs > MOST_ARGS, "%d arguments", l->nargs);
    for (int i = 0; i < l->nargs; i++) {
        g->address[i] = g->p ? (void *)g->copy[i] : l->arg[i].p;
        g->param[i] = l->arg[i].buffer ? (void *)&g->address[i] : l->arg[i].p;
    }
}

/* ---- what is watched ---- */

/* Dynamic shared memory lies somewhere among the static one. */
static int shared_regions(const SimtModule *m, size_t dynamic, SimtRegion *r)
{
    SimtRegion s = m->statics, d = m->dynamic;
    if (!d.p) {
        r[0] = s;
        return 1;
    }
    r[0] = (SimtRegion){d.p, dynamic, d.name};
    r[1] = (SimtRegion){s.p, (size_t)(d.p - s.p), s.name};
    r[2] = (SimtRegion){d.p + d.bytes, (size_t)(s.p + s.bytes - d.p - d.bytes), s.name};
    return 3;
}

static void begin_checks(const SimtModule *m, const SimtLaunch *l, const Guarded *g)
{
    static char names[MOST_ARGS][16];
    SimtRegion shared[3], args[MOST_ARGS];
    int n = 0, nshared = shared_regions(m, l->shared, shared);
    for (int i = 0; i < l->nargs; i++) {
        snprintf(names[i], sizeof names[i], "a%d", i);
        if (l->arg[i].buffer) args[n++] = (SimtRegion){g->copy[i], l->arg[i].bytes, names[i]};
    }
    simt_shadow_begin(args, n, shared, nshared, m->data);
}

/* A result that is a NaN of all bits comes from a local variable that nobody has written. */
static SimtVerdict find_poison(const SimtLaunch *l, const Guarded *g)
{
    static const unsigned char poison[4] = {0xff, 0xff, 0xff, 0xff};
    for (int i = 0; i < l->nargs; i++) {
        if (!l->arg[i].buffer || !l->arg[i].real) continue;
        for (size_t k = 0; k + 4 <= l->arg[i].bytes; k += 4) {
            const char *p = g->copy[i] + k;
            if (memcmp(p, poison, 4) != 0 || !simt_shadow_stored(p)) continue;
            simt_fault(SIMT_UNWRITTEN, NULL, "a%d+%zu has been computed from it", i, k);
            return SIMT_UNWRITTEN;
        }
    }
    return SIMT_OK;
}

/* ---- the grid ---- */

static void shuffle(uint64_t *order, uint64_t n, uint64_t *random)
{
    for (uint64_t i = 0; i < n; i++) order[i] = i;
    for (uint64_t i = n; i > 1; i--) {
        uint64_t k = simt_random(random) % i, t = order[i - 1];
        order[i - 1] = order[k];
        order[k] = t;
    }
}

static SimtVerdict run_grid(SimtModule *m, int kernel, const SimtLaunch *l, void *const *params)
{
    uint64_t x = l->grid[0], y = l->grid[1], n = x * y * l->grid[2], random = l->seed;
    uint64_t *order = calloc(n + 1, sizeof *order);
    SimtVerdict v = SIMT_OK;
    if (!order) fatal(EXIT_MEMORY, "out of memory");
    shuffle(order, n, &random);
    simt_block.random = l->seed;
    for (uint64_t i = 0; i < n && v == SIMT_OK; i++) {
        SimtDim index = {(unsigned)(order[i] % x), (unsigned)(order[i] / x % y), (unsigned)(order[i] / x / y)};
        v = simt_block_run(l, index, m->call[kernel], params);
    }
    free(order);
    return v;
}

SimtVerdict simt_launch(SimtModule *m, int kernel, const SimtLaunch *l)
{
    Guarded g = {0};
    bug_if(l->shared > (m->dynamic.p ? m->dynamic.bytes : 0), "%zu bytes of shared memory", l->shared);
    bug_if(kernel < 0 || kernel >= m->n, "kernel %d of %d", kernel, m->n);
    simt_running = m;
    if (m->checked) copy_in(&g, l);
    set_params(&g, l);
    if (m->checked) begin_checks(m, l, &g);
    SimtVerdict v = run_grid(m, kernel, l, g.param);
    if (!m->checked) return v;
    if (v == SIMT_OK) v = find_poison(l, &g);
    simt_shadow_end();
    copy_out(&g, l);
    return v;
}
