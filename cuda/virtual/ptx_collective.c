/* What the lanes of a warp, or the warps of a block, do together: barriers, shuffles, votes, reductions. */
#include "ptx_handlers.h"
#include "ptx_shadow.h"
#include <string.h>

/* ---- barriers of the block ---- */

enum { BAR_SYNC, BAR_POPC, BAR_AND, BAR_OR }; /* Inst.kind */

/* a: number of the barrier, b: how many threads it waits for, or 0; more[0]: the predicate of bar.red */
static void run_barrier(Warp *w, const Inst *in)
{
    if (!warp_meet(w, w->live)) return;
    int lane = first_lane(w->mask);
    uint32_t id = WORD(w, in->a)[lane], threads = WORD(w, in->b)[lane];
    if (id >= BARRIERS) ptx_fault(w, lane, "barrier %u of %u", id, BARRIERS);
    Barrier *r = &w->block->barrier[id];
    r->arrived += (unsigned)__builtin_popcount(w->live);
    r->when[w->index] = shadow_arrive(w);
    if (in->kind) {
        uint32_t p = PRED(w, in->more[0]) ^ (in->wide ? ~0u : 0);
        r->votes[0] += (unsigned)__builtin_popcount(w->live);
        r->votes[1] += (unsigned)__builtin_popcount(p & w->live);
    }
    w->barrier = id;
    w->barrier_threads = threads;
    w->barrier_pc = w->pc - 1;
    w->count.barriers++;
    w->state = WARP_AT_BARRIER;
}

static void run_arrive(Warp *w, const Inst *in)
{
    if (!warp_meet(w, w->live)) return;
    int lane = first_lane(w->mask);
    uint32_t id = WORD(w, in->a)[lane];
    if (id >= BARRIERS) ptx_fault(w, lane, "barrier %u of %u", id, BARRIERS);
    w->block->barrier[id].arrived += (unsigned)__builtin_popcount(w->live);
    w->block->barrier[id].when[w->index] = shadow_arrive(w);
    w->count.barriers++;
}

void barrier_result(Warp *w, const Inst *in, unsigned threads, unsigned yes)
{
    bool truth = in->kind == BAR_AND ? yes == threads : yes > 0;
    if (in->kind != BAR_POPC) {
        PRED(w, in->d) = (PRED(w, in->d) & ~w->live) | (truth ? w->live : 0);
        return;
    }
    for (int l = 0; l < LANES; l++)
        if (w->live >> l & 1) WORD(w, in->d)[l] = yes;
}

/* ---- within a warp ---- */

static void run_warp_sync(Warp *w, const Inst *in)
{
    warp_sync(w, WORD(w, in->a));
}

/* The lanes that the instruction's own mask names, all here? */
static bool meet_members(Warp *w, uint32_t slot)
{
    const uint32_t *m = WORD(w, slot);
    int first = first_lane(w->mask);
    for (int l = 0; l < LANES; l++) {
        if (!(w->mask >> l & 1)) continue;
        if (m[l] != m[first]) ptx_fault(w, l, "lanes give different masks: %#x and %#x", m[first], m[l]);
        if (!(m[l] >> l & 1)) ptx_fault(w, l, "the lane is not in its own mask %#x", m[l]);
    }
    if (m[first] & w->present & ~w->live)
        ptx_fault(w, first, "the mask %#x names lanes that have exited (%#x are left)", m[first], w->live);
    return warp_meet(w, m[first] & w->present);
}

enum { SHFL_UP, SHFL_DOWN, SHFL_BFLY, SHFL_IDX };

/* d = a of another lane; b which, c clamp and segment mask; more[0] members, more[1] predicate (optional). */
static void run_shuffle(Warp *w, const Inst *in)
{
    uint32_t old[LANES], good = 0;
    if (!meet_members(w, in->more[0])) return;
    const uint32_t *b = WORD(w, in->b), *c = WORD(w, in->c);
    memcpy(old, WORD(w, in->a), sizeof old);
    for (int l = 0; l < LANES; l++) {
        if (!(w->mask >> l & 1)) continue;
        int by = (int)(b[l] & 31), clamp = (int)(c[l] & 31), segment = (int)(c[l] >> 8 & 31);
        int high = (l & segment) | (clamp & ~segment), low = l & segment;
        int from = in->kind == SHFL_UP     ? l - by
                   : in->kind == SHFL_DOWN ? l + by
                   : in->kind == SHFL_BFLY ? l ^ by
                                           : low | (by & ~segment);
        bool ok = in->kind == SHFL_UP ? from >= high : from <= high;
        if (!ok) from = l;
        if (!(w->mask >> from & 1)) ptx_fault(w, l, "reads lane %d, which does not take part", from);
        WORD(w, in->d)[l] = old[from];
        good |= ok ? 1u << l : 0;
    }
    if (in->wide) PRED(w, in->more[1]) = (PRED(w, in->more[1]) & ~w->mask) | good;
}

enum { VOTE_ALL, VOTE_ANY, VOTE_UNI, VOTE_BALLOT };

static void run_vote(Warp *w, const Inst *in)
{
    if (!meet_members(w, in->b)) return;
    uint32_t p = (PRED(w, in->a) ^ (in->wide ? ~0u : 0)) & w->mask, m = w->mask;
    bool truth = in->kind == VOTE_ALL ? p == m : in->kind == VOTE_ANY ? p != 0 : p == m || !p;
    if (in->kind != VOTE_BALLOT) {
        PRED(w, in->d) = (PRED(w, in->d) & ~m) | (truth ? m : 0);
        return;
    }
    for (int l = 0; l < LANES; l++)
        if (m >> l & 1) WORD(w, in->d)[l] = p;
}

enum { REDUX_ADD, REDUX_MIN, REDUX_MAX, REDUX_AND, REDUX_OR, REDUX_XOR };

static uint32_t combine(int how, bool is_signed, uint32_t x, uint32_t y)
{
    bool less = is_signed ? (int32_t)x < (int32_t)y : x < y;
    const uint32_t r[] = {x + y, less ? x : y, less ? y : x, x & y, x | y, x ^ y};
    return r[how];
}

static void run_redux(Warp *w, const Inst *in)
{
    if (!meet_members(w, in->b)) return;
    const uint32_t *a = WORD(w, in->a);
    int first = first_lane(w->mask);
    uint32_t r = a[first];
    for (int l = first + 1; l < LANES; l++)
        if (w->mask >> l & 1) r = combine(in->kind, in->wide, r, a[l]);
    for (int l = 0; l < LANES; l++)
        if (w->mask >> l & 1) WORD(w, in->d)[l] = r;
}

/* kind 0: lanes with this lane's value; 1: all lanes if they agree, and a predicate (more[0]) */
static void run_match(Warp *w, const Inst *in)
{
    uint32_t r[LANES], agree = 0;
    if (!meet_members(w, in->b)) return;
    for (int l = 0; l < LANES; l++) {
        r[l] = 0;
        for (int k = 0; k < LANES; k++) {
            bool same =
                in->base == REG_LONG ? LONG(w, in->a)[k] == LONG(w, in->a)[l] : WORD(w, in->a)[k] == WORD(w, in->a)[l];
            if (w->mask >> k & 1 && same) r[l] |= 1u << k;
        }
    }
    for (int l = 0; l < LANES; l++) {
        if (!(w->mask >> l & 1)) continue;
        if (r[l] == w->mask) agree |= 1u << l;
        WORD(w, in->d)[l] = in->kind && r[l] != w->mask ? 0 : r[l];
    }
    if (in->wide) PRED(w, in->more[0]) = (PRED(w, in->more[0]) & ~w->mask) | agree;
}

static void run_activemask(Warp *w, const Inst *in)
{
    for (int l = 0; l < LANES; l++)
        if (w->mask >> l & 1) WORD(w, in->d)[l] = w->mask;
}

/* elect.sync d|p, members: the lowest lane */
static void run_elect(Warp *w, const Inst *in)
{
    if (!meet_members(w, in->a)) return;
    int leader = first_lane(w->mask);
    for (int l = 0; l < LANES; l++)
        if (w->mask >> l & 1) WORD(w, in->d)[l] = (uint32_t)leader;
    PRED(w, in->more[0]) = (PRED(w, in->more[0]) & ~w->mask) | 1u << leader;
}

/* ---- builders ---- */

/* bar{rier}{.cta}.sync id{, threads}; .arrive; .red.popc|and|or d, id{, threads}, predicate; bar.warp.sync members */
static void build_bar(Parse *p)
{
    static const char *const reductions[] = {"popc", "and", "or", NULL};
    const Operand *o = p->operand;
    if (part_take(p, "warp")) {
        part_take(p, "sync");
        parts_all_known(p);
        want_operands(p, 1);
        inst_reg(p, inst_new(p, run_warp_sync), 1, &o[0], REG_WORD, false);
        return;
    }
    part_take(p, "cta");
    part_take(p, "aligned");
    bool arrive = part_take(p, "arrive"), red = part_take(p, "red");
    int how = red ? part_choice(p, reductions) + 1 : 0, last = p->noperands - red;
    if (!arrive && !red && !part_take(p, "sync")) scan_fail(&p->lex, "unknown instruction '%s'", p->op);
    if (red && !part_take(p, how == BAR_POPC ? "u32" : "pred")) scan_fail(&p->lex, "unknown instruction '%s'", p->op);
    parts_all_known(p);
    if (last < red + 1 || last > red + 2) scan_fail(&p->lex, "%s: %d operands", p->op, p->noperands);
    Inst *in = inst_new(p, arrive ? run_arrive : run_barrier);
    in->kind = (uint8_t)how;
    inst_reg(p, in, 1, &o[red], REG_WORD, false);
    if (last > red + 1)
        inst_reg(p, in, 2, &o[red + 1], REG_WORD, false);
    else
        inst_vreg(p, in, 2, vreg_constant(p, REG_WORD, 0), false);
    if (!red) return;
    in->wide = o[last].negated;
    in->more = pool_alloc(&p->m->pool, sizeof *in->more);
    inst_more(p, in, 0, &o[last], REG_PRED, false);
    inst_reg(p, in, 0, &o[0], how == BAR_POPC ? REG_WORD : REG_PRED, true);
}

static void want_sync(Parse *p)
{
    if (!part_take(p, "sync")) scan_fail(&p->lex, "'%s' without .sync", p->op);
}

/* shfl.sync.MODE.b32 d{|p}, a, b, c, members */
static void build_shfl(Parse *p)
{
    static const char *const modes[] = {"up", "down", "bfly", "idx", NULL};
    want_sync(p);
    int mode = part_choice(p, modes), q = p->noperands == 6;
    if (mode < 0 || !part_take(p, "b32")) scan_fail(&p->lex, "unknown instruction '%s'", p->op);
    parts_all_known(p);
    want_operands(p, 5 + q);
    const Operand *o = p->operand;
    Inst *in = inst_new(p, run_shuffle);
    in->kind = (uint8_t)mode;
    in->wide = (uint8_t)q;
    in->more = pool_alloc(&p->m->pool, 2 * sizeof *in->more);
    inst_reg(p, in, 0, &o[0], REG_WORD, true);
    for (int i = 1; i < 4; i++) inst_reg(p, in, i, &o[q + i], REG_WORD, false);
    inst_more(p, in, 0, &o[q + 4], REG_WORD, false);
    if (q) inst_more(p, in, 1, &o[1], REG_PRED, true);
}

/* vote.sync.MODE.pred d, {!}a, members; .ballot.b32 */
static void build_vote(Parse *p)
{
    static const char *const modes[] = {"all", "any", "uni", "ballot", NULL};
    want_sync(p);
    int mode = part_choice(p, modes);
    if (mode < 0 || !part_take(p, mode == VOTE_BALLOT ? "b32" : "pred"))
        scan_fail(&p->lex, "unknown instruction '%s'", p->op);
    parts_all_known(p);
    want_operands(p, 3);
    Inst *in = inst_new(p, run_vote);
    in->kind = (uint8_t)mode;
    in->wide = p->operand[1].negated;
    inst_reg(p, in, 0, &p->operand[0], mode == VOTE_BALLOT ? REG_WORD : REG_PRED, true);
    inst_reg(p, in, 1, &p->operand[1], REG_PRED, false);
    inst_reg(p, in, 2, &p->operand[2], REG_WORD, false);
}

static void build_redux(Parse *p)
{
    static const char *const ops[] = {"add", "min", "max", "and", "or", "xor", NULL};
    static const char *const types[] = {"u32", "s32", "b32", NULL};
    want_sync(p);
    int op = part_choice(p, ops), type = part_choice(p, types);
    if (op < 0 || type < 0) scan_fail(&p->lex, "unknown instruction '%s'", p->op);
    parts_all_known(p);
    want_operands(p, 3);
    Inst *in = inst_new(p, run_redux);
    in->kind = (uint8_t)op;
    in->wide = type == 1;
    for (int i = 0; i < 3; i++) inst_reg(p, in, i, &p->operand[i], REG_WORD, i == 0);
}

static void build_match(Parse *p)
{
    bool all = part_take(p, "all");
    if (!all && !part_take(p, "any")) scan_fail(&p->lex, "unknown instruction '%s'", p->op);
    want_sync(p);
    bool wide = part_take(p, "b64");
    if (!wide && !part_take(p, "b32")) scan_fail(&p->lex, "unknown instruction '%s'", p->op);
    parts_all_known(p);
    int q = p->noperands == 4;
    want_operands(p, 3 + q);
    Inst *in = inst_new(p, run_match);
    in->kind = all;
    in->wide = (uint8_t)q;
    in->base = wide ? REG_LONG : REG_WORD;
    in->more = pool_alloc(&p->m->pool, sizeof *in->more);
    inst_reg(p, in, 0, &p->operand[0], REG_WORD, true);
    inst_reg(p, in, 1, &p->operand[1 + q], (RegClass)in->base, false);
    inst_reg(p, in, 2, &p->operand[2 + q], REG_WORD, false);
    if (q) inst_more(p, in, 0, &p->operand[1], REG_PRED, true);
}

static void build_activemask(Parse *p)
{
    part_take(p, "b32");
    parts_all_known(p);
    want_operands(p, 1);
    inst_reg(p, inst_new(p, run_activemask), 0, &p->operand[0], REG_WORD, true);
}

static void build_elect(Parse *p)
{
    want_sync(p);
    parts_all_known(p);
    want_operands(p, 3);
    Inst *in = inst_new(p, run_elect);
    in->more = pool_alloc(&p->m->pool, sizeof *in->more);
    inst_reg(p, in, 0, &p->operand[0], REG_WORD, true);
    inst_more(p, in, 0, &p->operand[1], REG_PRED, true);
    inst_reg(p, in, 1, &p->operand[2], REG_WORD, false);
}

const Builder build_warp[] = {{"bar", build_bar},     {"barrier", build_bar},           {"shfl", build_shfl},
                              {"vote", build_vote},   {"redux", build_redux},           {"match", build_match},
                              {"elect", build_elect}, {"activemask", build_activemask}, {NULL, NULL}};
