/* Loads and stores: addresses of the lanes, the checks that every access passes, counts. */
#include "ptx_memory.h"
#include "ptx_shadow.h"
#include <string.h>

/* ---- addresses ---- */

static void read_addresses(const Warp *w, const Inst *in, uint64_t *at)
{
    if (in->base == REG_LONG) {
        const uint64_t *a = LONG(w, in->a);
        for (int l = 0; l < LANES; l++) at[l] = a[l] + (uint64_t)in->imm;
    } else {
        const uint32_t *a = WORD(w, in->a);
        for (int l = 0; l < LANES; l++) at[l] = a[l] + (uint64_t)in->imm;
    }
}

static void check_alignment(Warp *w, uint32_t mask, const uint64_t *at, unsigned bytes)
{
    uint64_t low = 0;
    for (int l = 0; l < LANES; l++) low |= mask >> l & 1 ? at[l] : 0;
    if (!(low & (bytes - 1))) return;
    for (int l = 0; l < LANES; l++)
        if (mask >> l & 1 && at[l] & (bytes - 1))
            ptx_fault(w, l, "misaligned: %u bytes past a multiple of %u", (unsigned)(at[l] & (bytes - 1)), bytes);
}

/* ---- global memory ---- */

static _Noreturn void outside(Warp *w, int lane, uint64_t at, unsigned bytes)
{
    const Launch *l = w->block->launch;
    int i = range_find(l->range, l->nranges, at);
    if (i < 0) ptx_fault(w, lane, "%u bytes outside of all memory, at %#llx", bytes, (unsigned long long)at);
    const Range *r = &l->range[i];
    ptx_fault(w, lane, "%u bytes outside of all memory: at offset %llu of an allocation of %llu", bytes,
              (unsigned long long)(at - r->begin), (unsigned long long)(r->end - r->begin));
}

static void check_lane(Warp *w, int lane, uint64_t at, unsigned bytes)
{
    Block *b = w->block;
    const Launch *l = b->launch;
    if (at >= b->recent.begin && at < b->recent.end && b->recent.end - at >= bytes) return;
    int i = range_find(l->range, l->nranges, at);
    if (i < 0 || at >= l->range[i].end || l->range[i].end - at < bytes) outside(w, lane, at, bytes);
    b->recent = l->range[i];
}

void check_global(Warp *w, uint32_t mask, const uint64_t *at, unsigned bytes)
{
    const Range r = w->block->recent;
    uint64_t low = UINT64_MAX, high = 0;
    for (int l = 0; l < LANES; l++) {
        uint64_t in_low = mask >> l & 1 ? at[l] : UINT64_MAX, in_high = mask >> l & 1 ? at[l] : 0;
        low = in_low < low ? in_low : low;
        high = in_high > high ? in_high : high;
    }
    if (low >= r.begin && high < r.end && r.end - high >= bytes) return;
    for (int l = 0; l < LANES; l++)
        if (mask >> l & 1) check_lane(w, l, at[l], bytes);
}

/* ---- counts ---- */

static unsigned distinct(uint64_t *v, int n)
{
    unsigned d = 0;
    for (int i = 0; i < n; i++) {
        unsigned k = 0;
        while (k < d && v[k] != v[i]) k++;
        if (k == d) v[d++] = v[i];
    }
    return d;
}

/* Sectors of 32 bytes that the lanes touch. */
static unsigned count_sectors(uint32_t mask, const uint64_t *at, unsigned bytes)
{
    uint64_t v[2 * LANES];
    unsigned n = 0;
    for (int l = 0; l < LANES; l++) {
        if (!(mask >> l & 1)) continue;
        uint64_t first = at[l] / 32, last = (at[l] + bytes - 1) / 32;
        if (!n || v[n - 1] != first) v[n++] = first;
        if (last != first) v[n++] = last;
    }
    bool rising = true;
    for (unsigned i = 1; i < n; i++) rising &= v[i - 1] < v[i];
    return rising ? n : distinct(v, (int)n);
}

void count_global(Warp *w, uint32_t mask, const uint64_t *at, unsigned bytes, bool store)
{
    PtxProfile *c = &w->count;
    if (!w->block->launch->profiled) return;
    *(store ? &c->store_requests : &c->load_requests) += 1;
    *(store ? &c->store_sectors : &c->load_sectors) += count_sectors(mask, at, bytes);
    *(store ? &c->store_bytes : &c->load_bytes) += bytes * (unsigned)__builtin_popcount(mask);
}

/* Phases that lanes [first, first + n) take: how often the busiest bank of 4 bytes is asked for another word. */
static unsigned count_phases(uint32_t mask, const uint64_t *at, unsigned bytes, int first, int n)
{
    enum { BANKS = 32 };
    uint64_t word[BANKS][LANES];
    unsigned used[BANKS] = {0}, most = 0;
    for (int l = first; l < first + n; l++) {
        if (!(mask >> l & 1)) continue;
        for (uint64_t x = at[l] / 4; x <= (at[l] + bytes - 1) / 4; x++) {
            unsigned bank = x % BANKS, k = 0;
            while (k < used[bank] && word[bank][k] != x) k++;
            if (k == used[bank]) word[bank][used[bank]++] = x;
            if (used[bank] > most) most = used[bank];
        }
    }
    return most;
}

/* Lanes that the hardware serves at once: all for up to 4 bytes each, a half for 8, a quarter for 16. */
void count_shared(Warp *w, uint32_t mask, const uint64_t *at, unsigned bytes)
{
    int n = bytes <= 4 ? LANES : bytes == 8 ? LANES / 2 : LANES / 4;
    bool main = w->module->code.v[w->pc - 1].main;
    if (!w->block->launch->profiled) return;
    for (int first = 0; first < LANES; first += n) {
        unsigned phases = count_phases(mask, at, bytes, first, n);
        if (!phases) continue;
        w->count.shared_requests++;
        w->count.shared_phases += phases;
        w->count.loop_requests += main;
        w->count.loop_phases += main ? phases : 0;
    }
}

/* ---- spaces ---- */

/* Offsets into shared memory become host addresses. */
static void resolve_shared(Warp *w, const Access *x, uint64_t *at)
{
    Block *b = w->block;
    uint64_t most = 0;
    for (int l = 0; l < LANES; l++) most = x->mask >> l & 1 && at[l] > most ? at[l] : most;
    for (int l = 0; l < LANES && (most > b->shared_size || b->shared_size - most < x->bytes); l++)
        if (x->mask >> l & 1 && (at[l] > b->shared_size || b->shared_size - at[l] < x->bytes))
            ptx_fault(w, l, "%u bytes outside of shared memory: at offset %lld of the block's %zu", x->bytes,
                      (long long)at[l], b->shared_size);
    check_alignment(w, x->mask, at, x->bytes);
    count_shared(w, x->mask, at, x->bytes);
    for (int l = 0; l < LANES; l++) at[l] += (uint64_t)(uintptr_t)b->shared;
}

static void resolve_global(Warp *w, const Access *x, uint64_t *at)
{
    check_global(w, x->mask, at, x->bytes);
    check_alignment(w, x->mask, at, x->bytes);
    count_global(w, x->mask, at, x->bytes, x->store);
}

static void resolve_local(Warp *w, const Access *x, uint64_t *at)
{
    for (int l = 0; l < LANES; l++) {
        uint64_t base = (uint64_t)(uintptr_t)(w->local + (size_t)l * w->local_size), off = at[l] - base;
        if (x->mask >> l & 1 && (off > w->local_size || w->local_size - off < x->bytes))
            ptx_fault(w, l, "%u bytes outside of local memory: at offset %lld of the thread's %zu", x->bytes,
                      (long long)off, w->local_size);
    }
    check_alignment(w, x->mask, at, x->bytes);
}

static void resolve_param(Warp *w, const Access *x, uint64_t *at)
{
    const Launch *l = w->block->launch;
    uint64_t base = (uint64_t)(uintptr_t)l->params;
    for (int i = 0; i < LANES; i++)
        if (x->mask >> i & 1 && (at[i] - base > l->params_size || l->params_size - (at[i] - base) < x->bytes))
            ptx_fault(w, i, "%u bytes outside of the kernel's parameters", x->bytes);
    check_alignment(w, x->mask, at, x->bytes);
}

/* Which space a generic address lies in. */
static int space_of(const Warp *w, uint64_t at)
{
    const Block *b = w->block;
    if (at - (uint64_t)(uintptr_t)b->shared < b->shared_size) return SPACE_SHARED;
    if (at - (uint64_t)(uintptr_t)w->local < w->local_size * LANES) return SPACE_LOCAL;
    if (at - (uint64_t)(uintptr_t)b->launch->params < b->launch->params_size) return SPACE_PARAM;
    return SPACE_GLOBAL;
}

static void resolve_space(Warp *w, const Access *x, int space, uint64_t *at)
{
    switch (space) {
    case SPACE_SHARED:
        resolve_shared(w, x, at);
        break;
    case SPACE_LOCAL:
        resolve_local(w, x, at);
        break;
    case SPACE_PARAM:
        resolve_param(w, x, at);
        break;
    default:
        resolve_global(w, x, at);
    }
}

static void resolve_generic(Warp *w, const Access *x, uint64_t *at)
{
    for (uint32_t left = x->mask, same; left; left &= ~same) {
        int space = space_of(w, at[first_lane(left)]);
        uint64_t part[LANES];
        same = 0;
        for (int l = 0; l < LANES; l++) {
            if (left >> l & 1 && space_of(w, at[l]) == space) same |= 1u << l;
            part[l] = at[l] - (space == SPACE_SHARED ? (uint64_t)(uintptr_t)w->block->shared : 0);
        }
        resolve_space(w, &(Access){same, x->bytes, x->store}, space, part);
    }
}

void resolve(Warp *w, const Inst *in, const Access *x, uint64_t *at)
{
    read_addresses(w, in, at);
    if (in->space == SPACE_GENERIC)
        resolve_generic(w, x, at);
    else
        resolve_space(w, x, in->space, at);
}

/* ---- loads and stores ---- */

static inline uint64_t load_value(const char *p, unsigned size, bool is_signed)
{
    uint64_t v = 0;
    memcpy(&v, p, size);
    if (is_signed && size < 8) v = (uint64_t)((int64_t)(v << (64 - 8 * size)) >> (64 - 8 * size));
    return v;
}

static bool one_run(uint32_t mask, const uint64_t *at, unsigned bytes)
{
    uint64_t off = 0;
    for (unsigned l = 0; l < LANES; l++) off |= at[l] ^ (at[0] + l * bytes);
    return mask == ~0u && !off;
}

/* Registers of 32 bits, elements of 32 bits: nearly all there is. */
static void load_words(Warp *w, const Inst *in, const uint64_t *at)
{
    const uint32_t m = w->mask;
    if (in->vec == 1 && one_run(m, at, 4)) {
        memcpy(WORD(w, in->more[0]), (const void *)(uintptr_t)at[0], 4 * LANES);
        return;
    }
    for (unsigned i = 0; i < in->vec; i++) {
        uint32_t *d = WORD(w, in->more[i]);
        for (int l = 0; l < LANES; l++)
            if (m >> l & 1) d[l] = ((const uint32_t *)(uintptr_t)at[l])[i];
    }
}

/* d: mask of the bytes that are used; the compiler widens loads over others. */
static void shadow_loads(Warp *w, const Inst *in, const uint64_t *at)
{
    uint32_t element = (1u << (in->size & 31)) - 1;
    for (int l = 0; l < LANES; l++) {
        if (!(w->mask >> l & 1)) continue;
        for (unsigned i = 0; i < in->vec; i++) {
            if (!(in->d >> i * in->size & element)) continue;
            (in->kind & LOAD_CONSTANT ? shadow_load_constant : shadow_load)(w, l, at[l] + i * in->size, in->size);
        }
    }
}

void run_load(Warp *w, const Inst *in)
{
    uint64_t at[LANES];
    unsigned bytes = (unsigned)in->size * in->vec;
    resolve(w, in, &(Access){w->mask, bytes, false}, at);
    if (w->block->shadow) shadow_loads(w, in, at);
    if (in->size == 4 && in->wide == REG_WORD) {
        load_words(w, in, at);
        return;
    }
    for (int i = 0; i < in->vec; i++) {
        for (int l = 0; l < LANES; l++) {
            if (!(w->mask >> l & 1)) continue;
            uint64_t v = load_value((const char *)(uintptr_t)at[l] + i * in->size, in->size, in->kind & LOAD_SIGNED);
            if (in->wide == REG_LONG)
                LONG(w, in->more[i])[l] = v;
            else
                WORD(w, in->more[i])[l] = (uint32_t)v;
        }
    }
}

static void store_words(Warp *w, const Inst *in, const uint64_t *at)
{
    const uint32_t m = w->mask;
    if (in->vec == 1 && one_run(m, at, 4)) {
        memcpy((void *)(uintptr_t)at[0], WORD(w, in->more[0]), 4 * LANES);
        return;
    }
    for (unsigned i = 0; i < in->vec; i++) {
        const uint32_t *d = WORD(w, in->more[i]);
        for (int l = 0; l < LANES; l++)
            if (m >> l & 1) ((uint32_t *)(uintptr_t)at[l])[i] = d[l];
    }
}

/* One lane after the other, so that two that store to one place are seen. */
static void shadow_stores(Warp *w, const Inst *in, const uint64_t *at, unsigned bytes)
{
    for (int l = 0; l < LANES; l++) {
        char value[64];
        if (!(w->mask >> l & 1)) continue;
        for (int i = 0; i < in->vec; i++) {
            uint64_t v = in->wide == REG_LONG ? LONG(w, in->more[i])[l] : WORD(w, in->more[i])[l];
            memcpy(value + i * in->size, &v, in->size);
        }
        shadow_store(w, l, at[l], bytes, value);
        memcpy((void *)(uintptr_t)at[l], value, bytes);
    }
}

void run_store(Warp *w, const Inst *in)
{
    uint64_t at[LANES];
    unsigned bytes = (unsigned)in->size * in->vec;
    resolve(w, in, &(Access){w->mask, bytes, true}, at);
    if (w->block->shadow) {
        shadow_stores(w, in, at, bytes);
        return;
    }
    if (in->size == 4 && in->wide == REG_WORD) {
        store_words(w, in, at);
        return;
    }
    for (int i = 0; i < in->vec; i++) {
        for (int l = 0; l < LANES; l++) {
            if (!(w->mask >> l & 1)) continue;
            uint64_t v = in->wide == REG_LONG ? LONG(w, in->more[i])[l] : WORD(w, in->more[i])[l];
            memcpy((char *)(uintptr_t)at[l] + i * in->size, &v, in->size);
        }
    }
}
