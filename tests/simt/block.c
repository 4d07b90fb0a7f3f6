/* The threads of one block: whose turn it is, and who waits for whom.
 *
 * A thread runs until it waits. It waits for the whole block (simt_syncthreads) or for lanes of its warp (simt_syncwarp,
 * simt_collective); whoever comes last makes the others ready. The next one is drawn at random from those that are. When
 * nobody is ready and not everybody is over, threads have parted where they should have come together. */
#include "internal.h"
#include "support/diag.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

SimtBlock simt_block;
const SimtPlace *simt_place;

static struct {
    void (*kernel)(void *const *);
    void *const *params;
    void *host; /* its stack pointer */
    char *stacks;
    char said[1024], suspected[1024];
    SimtVerdict suspicion; /* of the block that runs */
} run;

const char *const simt_verdict_names[] = {
#define X(name, text) text,
    SIMT_VERDICTS(X)
#undef X
};

const char *simt_said(void)
{
    return run.said;
}

uint64_t simt_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

const char *simt_thread_name(int id)
{
    static char text[2][64];
    static int turn;
    SimtDim t = simt_block.fiber[id].place.thread;
    turn ^= 1;
    snprintf(text[turn], sizeof text[turn], "thread (%u,%u,%u)", t.x, t.y, t.z);
    return text[turn];
}

int simt_stack_owner(const void *p)
{
    size_t at = (size_t)((const char *)p - run.stacks);
    return at < (size_t)SIMT_MOST_THREADS * SIMT_STACK ? (int)(at / SIMT_STACK) : -1;
}

/* ---- turns ---- */

static void enter(SimtFiber *f)
{
    void **from = simt_block.now ? &simt_block.now->stack_pointer : &run.host;
    if (simt_block.now == f) return;
    simt_block.now = f;
    simt_place = f ? &f->place : NULL;
    simt_fiber_switch(from, f ? f->stack_pointer : run.host);
}

static void make_ready(SimtFiber *f)
{
    f->state = SIMT_READY;
    simt_block.ready[simt_block.nready++] = f->id;
}

static void describe(char *text, SimtVerdict v, const void *site, const char *fmt, va_list ap)
{
    const SimtFiber *f = simt_block.now;
    const char *line = simt_site_name(site);
    int n = snprintf(text, sizeof run.said, "%s: ", simt_verdict_names[v]);
    if (f)
        n += snprintf(text + n, sizeof run.said - (size_t)n, "%s of block (%u,%u,%u)%s%s ", simt_thread_name(f->id),
                      f->place.block.x, f->place.block.y, f->place.block.z, *line ? " at " : "", line);
    vsnprintf(text + n, sizeof run.said - (size_t)n, fmt, ap);
}

static void confirm_suspicion(void)
{
    if (simt_block.verdict != SIMT_OK || run.suspicion == SIMT_OK) return;
    simt_block.verdict = run.suspicion;
    memcpy(run.said, run.suspected, sizeof run.said);
}

void simt_fault(SimtVerdict v, const void *site, const char *fmt, ...)
{
    va_list ap;
    confirm_suspicion(); /* what was loaded may have led here */
    if (simt_block.verdict == SIMT_OK) {
        va_start(ap, fmt);
        describe(run.said, v, site, fmt, ap);
        va_end(ap);
        simt_block.verdict = v;
    }
    if (simt_block.now) enter(NULL);
}

void simt_suspect(SimtVerdict v, const void *site, const char *fmt, ...)
{
    va_list ap;
    if (run.suspicion != SIMT_OK) return;
    run.suspicion = v;
    va_start(ap, fmt);
    describe(run.suspected, v, site, fmt, ap);
    va_end(ap);
}

void simt_acquit(void)
{
    run.suspicion = SIMT_OK;
}

/* Nobody can go on: the one that has waited for the lowest thread says so. */
static void tell_divergence(void)
{
    const SimtBlock *b = &simt_block;
    for (int i = 0; i < b->threads; i++) {
        SimtFiber *f = &b->fiber[i];
        if (f->state != SIMT_AT_BARRIER && f->state != SIMT_AT_WARP) continue;
        int first = f->state == SIMT_AT_WARP ? i / SIMT_WARP * SIMT_WARP : 0, k = first;
        while (k < b->threads) {
            const SimtFiber *g = &b->fiber[k];
            bool named = f->state == SIMT_AT_BARRIER || (k - first < SIMT_WARP && f->mask >> (k - first) & 1);
            if (named && (g->state != f->state || g->mask != f->mask || g->combine != f->combine)) break;
            k++;
        }
        simt_block.now = f;
        const SimtFiber *g = k < b->threads ? &b->fiber[k] : NULL;
        simt_fault(SIMT_DIVERGENT, f->site, "waits %s for %s, which %s%s",
                   f->state == SIMT_AT_BARRIER ? "with its block" : f->combine ? "in a warp's operation" : "with its warp",
                   g ? simt_thread_name(k) : "a thread that there is not",
                   !g || g->state == SIMT_OVER ? "has ended" : "waits elsewhere, at ",
                   !g || g->state == SIMT_OVER ? "" : simt_site_name(g->site));
        return;
    }
}

/* Gives the turn away; comes back when the running thread has been made ready and drawn. */
static void next(void)
{
    SimtBlock *b = &simt_block;
    if (!b->nready) {
        if (b->over < b->threads) tell_divergence();
        enter(NULL);
        return;
    }
    int at = (int)(simt_random(&b->random) % (uint64_t)b->nready);
    SimtFiber *f = &b->fiber[b->ready[at]];
    b->ready[at] = b->ready[--b->nready];
    enter(f);
}

static void run_thread(void)
{
    run.kernel(run.params);
    simt_block.now->state = SIMT_OVER;
    simt_block.over++;
    next();
}

/* ---- waiting ---- */

void simt_syncthreads(void)
{
    SimtBlock *b = &simt_block;
    SimtFiber *me = b->now;
    me->state = SIMT_AT_BARRIER;
    me->site = __builtin_return_address(0);
    if (++b->at_barrier == b->threads) {
        for (int i = 0; i < b->threads; i++)
            if (simt_shadow_active() && b->fiber[i].site != me->site)
                simt_fault(SIMT_DIVERGENT, me->site, "waits with its block while %s does so at %s",
                           simt_thread_name(i), simt_site_name(b->fiber[i].site));
        b->at_barrier = 0;
        simt_shadow_barrier();
        for (int i = 0; i < b->threads; i++) make_ready(&b->fiber[i]);
    }
    next();
}

/* All lanes of the mask wait for the same: they may go on. */
static void release(int warp, unsigned mask)
{
    SimtBlock *b = &simt_block;
    SimtFiber *f = &b->fiber[warp * SIMT_WARP];
    SimtCombine *combine = b->now->combine;
    void *record[SIMT_WARP];
    for (int i = 0; i < SIMT_WARP; i++) {
        if (!(mask >> i & 1)) continue;
        if (f[i].mask != mask || f[i].combine != combine) return;
        record[i] = f[i].record;
    }
    if (combine) {
        b->combining = true;
        combine(record, mask);
        b->combining = false;
    } else {
        simt_shadow_warp(warp, mask);
    }
    b->waiting[warp] &= ~mask;
    for (int i = 0; i < SIMT_WARP; i++)
        if (mask >> i & 1) make_ready(&f[i]);
}

static void wait_in_warp(unsigned mask, SimtCombine *combine, void *record, const void *site)
{
    SimtBlock *b = &simt_block;
    SimtFiber *me = b->now;
    int warp = me->id / SIMT_WARP, lane = me->id % SIMT_WARP, lanes = b->threads - warp * SIMT_WARP;
    if (!(mask >> lane & 1)) simt_fault(SIMT_DIVERGENT, site, "is not in its own mask, 0x%08x", mask);
    if (lanes < SIMT_WARP && mask >> lanes)
        simt_fault(SIMT_DIVERGENT, site, "names in its mask, 0x%08x, lanes that its warp does not have", mask);
    me->state = SIMT_AT_WARP;
    me->site = site;
    me->mask = mask;
    me->combine = combine;
    me->record = record;
    b->waiting[warp] |= 1u << lane;
    if ((b->waiting[warp] & mask) == mask) release(warp, mask);
    next();
}

void simt_syncwarp(unsigned mask)
{
    wait_in_warp(mask, NULL, NULL, __builtin_return_address(0));
}

void simt_collective(unsigned mask, SimtCombine *combine, void *mine)
{
    wait_in_warp(mask, combine, mine, __builtin_return_address(0));
}

void simt_misuse(const char *what)
{
    simt_fault(SIMT_MISUSE, __builtin_return_address(0), "%s", what);
}

/* ---- a block ---- */

static void first_use(void)
{
    size_t bytes = (size_t)SIMT_MOST_THREADS * SIMT_STACK;
    simt_block.fiber = calloc(SIMT_MOST_THREADS, sizeof *simt_block.fiber);
    run.stacks = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!simt_block.fiber || run.stacks == MAP_FAILED) fatal(EXIT_MEMORY, "out of memory");
}

/* Stacks begin at different places of a page, so that the caches hold the tops of all of them. */
static void start_thread(const SimtLaunch *l, int i, SimtDim index)
{
    enum { SHIFT = 320, SHIFTS = 61 };
    SimtFiber *f = &simt_block.fiber[i];
    unsigned x = l->block[0], y = l->block[1];
    char *stack = run.stacks + (size_t)i * SIMT_STACK;
    *f = (SimtFiber){.id = i};
    f->place = (SimtPlace){{(unsigned)i % x, (unsigned)i / x % y, (unsigned)i / x / y},
                           index,
                           {l->block[0], l->block[1], l->block[2]},
                           {l->grid[0], l->grid[1], l->grid[2]}};
    f->stack_pointer = simt_fiber_new(stack, SIMT_STACK - (size_t)(i % SHIFTS * SHIFT), run_thread);
    make_ready(f);
}

/* After a fault: threads stand in the middle of functions, whose frames AddressSanitizer has marked. */
static void forget_stacks(void)
{
#ifdef __SANITIZE_ADDRESS__
    __asan_unpoison_memory_region(run.stacks, (size_t)SIMT_MOST_THREADS * SIMT_STACK);
#endif
}

SimtVerdict simt_block_run(const SimtLaunch *l, SimtDim index, void (*kernel)(void *const *), void *const *params)
{
    SimtBlock *b = &simt_block;
    uint64_t threads = (uint64_t)l->block[0] * l->block[1] * l->block[2];
    bug_if(!threads || threads > SIMT_MOST_THREADS, "%llu threads in a block", (unsigned long long)threads);
    if (!b->fiber) first_use();
    b->threads = (int)threads;
    b->over = b->at_barrier = b->nready = 0;
    memset(b->waiting, 0, sizeof b->waiting);
    b->combining = false;
    b->verdict = run.suspicion = SIMT_OK;
    run.kernel = kernel;
    run.params = params;
    for (int i = 0; i < b->threads; i++) start_thread(l, i, index);
    simt_shadow_block();
    simt_block.now = NULL;
    next();
    confirm_suspicion();
    if (b->verdict != SIMT_OK) forget_stacks();
    simt_copy_reset();
    return b->verdict;
}
