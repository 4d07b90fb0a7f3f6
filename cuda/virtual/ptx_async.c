/* cp.async: copies from global to shared memory that land when the thread that issued them waits for them, not before,
 * so that a missing wait shows. */
#include "ptx_handlers.h"
#include "ptx_memory.h"
#include "ptx_shadow.h"
#include <string.h>

/* ---- copies in flight ---- */

static void land(Warp *w, Copy *c, uint32_t lanes)
{
    for (int l = 0; l < LANES; l++) {
        if (!(lanes >> l & 1)) continue;
        char *to = (char *)(uintptr_t)c->to[l];
        memcpy(to, (const void *)(uintptr_t)c->from[l], c->valid[l]);
        memset(to + c->valid[l], 0, c->bytes - c->valid[l]);
        if (w->block->shadow) shadow_land(w, c->to[l], c->bytes);
    }
    c->mask &= ~lanes;
}

static void forget_landed(Warp *w)
{
    int n = 0;
    for (int i = 0; i < w->copy.n; i++)
        if (w->copy.v[i].mask) w->copy.v[n++] = w->copy.v[i];
    w->copy.n = n;
}

/* Lands what the lanes of the mask have issued in groups older than their `pending` newest ones. */
static void wait_for(Warp *w, uint32_t pending, bool all)
{
    for (int i = 0; i < w->copy.n; i++) {
        Copy *c = &w->copy.v[i];
        uint32_t lanes = 0;
        for (int l = 0; l < LANES; l++)
            if (all || (c->group[l] < w->committed[l] && w->committed[l] - c->group[l] > pending)) lanes |= 1u << l;
        lanes &= c->mask & w->mask;
        if (lanes) land(w, c, lanes);
    }
    forget_landed(w);
}

/* ---- handlers ---- */

/* Bytes that each lane reads; the rest up to the copy's size becomes zero. */
static void read_valid(const Warp *w, const Inst *in, Copy *c)
{
    for (int l = 0; l < LANES; l++) {
        uint32_t n = in->size;
        if (in->kind == COPY_SIZE && WORD(w, in->c)[l] < n) n = WORD(w, in->c)[l];
        if (in->kind == COPY_IGNORE && PRED(w, in->c) >> l & 1) n = 0;
        c->valid[l] = (uint8_t)n;
    }
}

/* The source: lanes that read nothing need no valid address. */
static void resolve_source(Warp *w, const Inst *in, Copy *c)
{
    Inst source = {.a = in->b, .imm = (int32_t)in->d, .base = REG_LONG, .space = SPACE_GLOBAL};
    uint32_t reads = 0;
    for (uint32_t left = w->mask, same; left; left &= ~same) {
        unsigned n = c->valid[first_lane(left)];
        same = 0;
        for (int l = 0; l < LANES; l++) same |= c->valid[l] == n ? 1u << l : 0;
        same &= left;
        reads |= n ? same : 0;
    }
    if (reads) resolve(w, &source, &(Access){reads, in->size, false}, c->from);
}

static void run_copy(Warp *w, const Inst *in)
{
    Copy *c = list_add(w->block->pool, &w->copy);
    c->bytes = in->size;
    read_valid(w, in, c);
    resolve(w, in, &(Access){w->mask, in->size, true}, c->to);
    resolve_source(w, in, c);
    memcpy(c->group, w->committed, sizeof c->group);
    c->mask = w->mask;
    for (int l = 0; l < LANES && w->block->shadow; l++) {
        if (!(w->mask >> l & 1)) continue;
        if (c->valid[l]) shadow_load(w, l, c->from[l], c->valid[l]);
        shadow_fly(w, l, c->to[l], c->bytes);
    }
}

static void run_commit(Warp *w, const Inst *in)
{
    (void)in;
    for (int l = 0; l < LANES; l++) w->committed[l] += w->mask >> l & 1;
}

static void run_wait(Warp *w, const Inst *in)
{
    wait_for(w, (uint32_t)in->imm, in->kind);
}

/* ---- builders ---- */

static void build_copy(Parse *p)
{
    static const char *const caches[] = {"ca", "cg", NULL};
    const Operand *o = p->operand;
    if (part_choice(p, caches) < 0 || !(part_take(p, "shared") || part_take(p, "shared::cta")) ||
        !part_take(p, "global"))
        scan_fail(&p->lex, "unknown instruction '%s'", p->op);
    take_hints(p);
    take_policy(p);
    parts_all_known(p);
    int64_t bytes = constant_operand(p, 2);
    if (bytes != 4 && bytes != 8 && bytes != 16) scan_fail(&p->lex, "%s: %lld bytes", p->op, (long long)bytes);
    bool third = p->noperands == 4, ignore = third && o[3].kind == OPERAND_REG && o[3].class == REG_PRED;
    want_operands(p, 3 + third);
    Inst *in = inst_new(p, run_copy);
    in->space = SPACE_SHARED;
    in->size = (uint8_t)bytes;
    in->kind = !third ? COPY_WHOLE : ignore ? COPY_IGNORE : COPY_SIZE;
    inst_address(p, in, &o[0]);
    inst_source(p, in, &o[1]);
    if (third) inst_reg(p, in, 3, &o[3], ignore ? REG_PRED : REG_WORD, false);
}

/* cp.async.ca|cg...; .commit_group; .wait_group N; .wait_all */
static void build_cp(Parse *p)
{
    if (!part_take(p, "async")) scan_fail(&p->lex, "unknown instruction '%s'", p->op);
    bool commit = part_take(p, "commit_group"), group = part_take(p, "wait_group"), all = part_take(p, "wait_all");
    if (!commit && !group && !all) {
        build_copy(p);
        return;
    }
    parts_all_known(p);
    want_operands(p, group);
    Inst *in = inst_new(p, commit ? run_commit : run_wait);
    in->kind = all;
    if (group) in->imm = constant_operand(p, 0);
}

const Builder build_async[] = {{"cp", build_cp}, {NULL, NULL}};
