/* A warp: groups of lanes, each at its own instruction.
 *
 * Of the groups that can go on the one with the least pc runs, and stops where another one stands, to go on together:
 * code that compilers emit meets again at the end of a branch this way. Instructions that lanes must reach together park
 * a group until all of them are there; when nobody can go on, that is the fault. */
#include "ptx_shadow.h"
#include <string.h>

enum { SLICE = 1 << 20 };

int first_lane(uint32_t mask)
{
    return mask ? __builtin_ctz(mask) : -1;
}

static void add_group(Warp *w, Group g)
{
    for (int i = 0; i < w->ngroups; i++) {
        Group *o = &w->group[i];
        if (o->pc != g.pc || o->sync || g.sync) continue;
        o->parked = o->parked && g.parked && (o->mask | g.mask) == o->mask; /* more have come: try again */
        o->mask |= g.mask;
        return;
    }
    w->group[w->ngroups++] = g;
}

static void find_limit(Warp *w)
{
    w->limit = UINT32_MAX;
    for (int i = 0; i < w->ngroups; i++)
        if (!w->group[i].parked && w->group[i].pc < w->limit) w->limit = w->group[i].pc;
}

/* The group with the least pc becomes the active one; false: none can go on. */
static bool next_group(Warp *w)
{
    int best = -1;
    if (w->active) add_group(w, (Group){w->pc, w->active, false, 0});
    w->active = 0;
    for (int i = 0; i < w->ngroups; i++)
        if (!w->group[i].parked && (best < 0 || w->group[i].pc < w->group[best].pc)) best = i;
    if (best >= 0) {
        w->pc = w->group[best].pc;
        w->active = w->group[best].mask;
        w->group[best] = w->group[--w->ngroups];
    }
    find_limit(w);
    return best >= 0;
}

void warp_split(Warp *w, uint32_t pc, uint32_t mask)
{
    w->active &= ~mask;
    if (w->active) {
        add_group(w, (Group){pc, mask, false, 0});
        w->limit = 0; /* chosen anew */
    } else {
        w->pc = pc;
        w->active = mask;
    }
}

/* Those who wait may wait for lanes that are gone. */
void warp_exit(Warp *w, uint32_t mask)
{
    w->active &= ~mask;
    w->live &= ~mask;
    for (int i = 0; i < w->ngroups; i++) w->group[i].parked = false, w->group[i].sync = 0;
    w->limit = 0;
}

static void park(Warp *w, uint32_t mask, uint32_t sync)
{
    add_group(w, (Group){w->pc - 1, mask, true, sync});
    w->active &= ~mask;
    w->limit = 0;
    w->count.instructions--; /* it comes again */
}

bool warp_meet(Warp *w, uint32_t need)
{
    if ((w->mask & need) == need) return true;
    park(w, w->mask, 0);
    return false;
}

/* One mask of bar.warp.sync: `here` have it and arrive now. They need not be at one instruction. */
static void sync_lanes(Warp *w, uint32_t members, uint32_t here)
{
    uint32_t there = here;
    for (int i = 0; i < w->ngroups; i++)
        if (w->group[i].sync == members) there |= w->group[i].mask;
    if (members & w->live & ~there) {
        park(w, here, members);
        return;
    }
    shadow_sync(w, members);
    for (int i = 0; i < w->ngroups; i++) {
        Group *g = &w->group[i];
        if (g->sync != members) continue;
        *g = (Group){g->pc + 1, g->mask, false, 0};
        w->count.instructions++;
        w->limit = 0;
    }
}

void warp_sync(Warp *w, const uint32_t *members)
{
    for (uint32_t left = w->mask, same; left; left &= ~same) {
        int lane = first_lane(left);
        uint32_t m = members[lane];
        same = 0;
        for (int l = 0; l < LANES; l++) same |= members[l] == m ? 1u << l : 0;
        same &= left;
        if (same & ~m) ptx_fault(w, first_lane(same & ~m), "the lane is not in its own mask %#x", m);
        sync_lanes(w, m, same);
    }
}

static void nobody(Warp *w)
{
    const Group *g = &w->group[0];
    for (int i = 1; i < w->ngroups; i++)
        if (w->group[i].pc < g->pc) g = &w->group[i];
    w->pc = g->pc + 1; /* the fault is in the instruction that waits */
    ptx_fault(w, first_lane(g->mask), "only lanes %#x of the warp come here together; the others wait elsewhere",
              g->mask);
}

/* A loop that never ends would hold the whole program: it is told by where it is when the budget is spent. */
static uint32_t next_slice(Warp *w)
{
    uint64_t budget = w->block->launch->in->budget, used = w->count.instructions - w->began;
    if (!budget) return SLICE;
    if (used >= budget) {
        w->pc++; /* the fault is in the instruction that comes */
        ptx_fault(w, first_lane(w->live), "its warp has run %llu instructions and does not end",
                  (unsigned long long)used);
    }
    return budget - used < SLICE ? (uint32_t)(budget - used) : SLICE;
}

void warp_run(Warp *w)
{
    const Inst *const code = w->module->code.v;
    w->state = WARP_READY;
    w->slice = next_slice(w);
    find_limit(w);
    while (w->state == WARP_READY) {
        if (!w->active || w->pc >= w->limit) {
            if (!w->live) {
                w->state = WARP_DONE;
                return;
            }
            if (!next_group(w)) nobody(w);
        }
        const Inst *in = &code[w->pc++];
        uint32_t m = w->active & (PRED(w, in->guard) ^ in->flip);
        w->count.instructions++;
        if (!m) continue;
        w->mask = m;
        w->count.flops += in->flops * (unsigned)__builtin_popcount(m);
        in->fn(w, in);
        if (!--w->slice) return;
    }
}
