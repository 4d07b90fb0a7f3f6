/* A block: its warps take turns, each running until a barrier; a barrier opens when all threads it waits for are there. */
#include "ptx_shadow.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned threads_of(uint32_t mask)
{
    return (unsigned)__builtin_popcount(mask);
}

/* Threads of the block that have not exited. */
static unsigned living(const Block *b)
{
    unsigned n = 0;
    for (int i = 0; i < b->nwarps; i++) n += threads_of(b->warp[i].live);
    return n;
}

/* All threads of a block meet at one instruction, or the kernel's control flow is not what its author thinks. */
static void check_same_place(Block *b, unsigned barrier)
{
    Warp *first = NULL;
    for (int i = 0; i < b->nwarps; i++) {
        Warp *w = &b->warp[i];
        if (w->state != WARP_AT_BARRIER || w->barrier != barrier || w->barrier_threads) continue;
        if (!first) first = w;
        if (w->barrier_pc == first->barrier_pc) continue;
        ptx_fault(w, first_lane(w->live), "threads of the block wait at different barriers; others at PTX line %u",
                  w->module->code.v[first->barrier_pc].line);
    }
}

static void give_votes(Block *b, Warp *w)
{
    const Inst *in = &w->module->code.v[w->barrier_pc];
    const Barrier *r = &b->barrier[w->barrier];
    if (in->kind) barrier_result(w, in, r->votes[0], r->votes[1]);
}

/* Opens the barrier if it is complete. */
static bool open_barrier(Block *b, unsigned id)
{
    Barrier *r = &b->barrier[id];
    unsigned need = 0, waiting = 0;
    uint32_t held = 0;
    for (int i = 0; i < b->nwarps; i++) {
        Warp *w = &b->warp[i];
        if (w->state != WARP_AT_BARRIER || w->barrier != id) continue;
        waiting++;
        need = w->barrier_threads ? w->barrier_threads : living(b);
    }
    if (!waiting || r->arrived < need) return false;
    check_same_place(b, id);
    for (int i = 0; i < b->nwarps; i++) {
        Warp *w = &b->warp[i];
        if (w->state != WARP_AT_BARRIER || w->barrier != id) continue;
        give_votes(b, w);
        w->state = WARP_READY;
        held |= 1u << i;
    }
    shadow_barrier(b, r->when, held);
    *r = (Barrier){0};
    return true;
}

static bool open_barriers(Block *b)
{
    bool any = false;
    for (unsigned id = 0; id < BARRIERS; id++) any |= open_barrier(b, id);
    return any;
}

/* Nobody can go on and somebody waits. */
static void stuck(Block *b)
{
    for (int i = 0; i < b->nwarps; i++) {
        Warp *w = &b->warp[i];
        if (w->state != WARP_AT_BARRIER) continue;
        w->pc = w->barrier_pc + 1;
        ptx_fault(w, first_lane(w->live), "barrier %u waits for ever: %u of the block's %u threads are there",
                  w->barrier, b->barrier[w->barrier].arrived, living(b));
    }
}

static void run_warps(Block *b)
{
    for (;;) {
        bool left = false, ran = false;
        for (int i = 0; i < b->nwarps; i++) {
            Warp *w = &b->warp[i];
            if (w->state == WARP_READY) {
                warp_run(w);
                ran = true;
            }
            left |= w->state != WARP_DONE;
        }
        if (!left) return;
        if (!open_barriers(b) && !ran) stuck(b);
    }
}

static void fill_word(Warp *w, Special s, uint32_t v)
{
    uint32_t *r = WORD(w, w->module->special[s]);
    for (int l = 0; l < LANES; l++) r[l] = v;
}

static void set_position(Warp *w)
{
    const Block *b = w->block;
    for (int i = 0; i < 3; i++) fill_word(w, (Special)(SPECIAL_CTAID_X + i), b->id[i]);
}

static void begin_warp(Warp *w)
{
    const Body *k = &w->block->launch->kernel->body;
    memcpy(w->reg, w->image, w->file_bytes);
    if (w->local_size) memset(w->local, 0xff, w->local_size * LANES);
    set_position(w);
    w->active = w->live = w->present;
    w->pc = k->first;
    w->began = w->count.instructions;
    w->ngroups = 0;
    w->carry = 0;
    w->copy.n = 0;
    memset(w->committed, 0, sizeof w->committed);
    w->state = WARP_READY;
}

void block_run(Block *b)
{
    if (setjmp(b->failed)) return;
    memset(b->barrier, 0, sizeof b->barrier);
    memset(b->shared, 0xff, b->shared_size);
    b->recent = (Range){0};
    shadow_begin(b);
    for (int i = 0; i < b->nwarps; i++) begin_warp(&b->warp[i]);
    run_warps(b);
}
