/* Moves that are more than a copy: packed registers, addresses of variables, clocks, windows of memory. */
#include "ptx_handlers.h"
#include <string.h>

/* ---- handlers ---- */

static void run_join(Warp *w, const Inst *in) /* two words, or words of 16 bits: more[i] are parts of d */
{
    for (int l = 0; l < LANES; l++) {
        if (!(w->mask >> l & 1)) continue;
        uint64_t v = 0;
        for (int i = 0; i < in->vec; i++) v |= (uint64_t)WORD(w, in->more[i])[l] << in->size * 8 * i;
        if (in->base == REG_LONG)
            LONG(w, in->d)[l] = v;
        else
            WORD(w, in->d)[l] = (uint32_t)v;
    }
}

static void run_part(Warp *w, const Inst *in)
{
    uint64_t mask = in->size == 4 ? 0xffffffffu : in->size == 2 ? 0xffff : 0xff;
    for (int l = 0; l < LANES; l++) {
        if (!(w->mask >> l & 1)) continue;
        uint64_t v = in->base == REG_LONG ? LONG(w, in->a)[l] : WORD(w, in->a)[l];
        for (int i = 0; i < in->vec; i++) WORD(w, in->more[i])[l] = (uint32_t)(v >> in->size * 8 * i & mask);
    }
}

static void run_clock(Warp *w, const Inst *in) /* instructions of the warp so far */
{
    for (int l = 0; l < LANES; l++) {
        if (!(w->mask >> l & 1)) continue;
        if (in->base == REG_LONG)
            LONG(w, in->d)[l] = w->count.instructions;
        else
            WORD(w, in->d)[l] = (uint32_t)w->count.instructions;
    }
}

/* Generic address of shared memory: from (kind 0) and to (kind 1) the window. */
static void run_cvta_shared(Warp *w, const Inst *in)
{
    uint64_t base = (uint64_t)(uintptr_t)w->block->shared;
    const uint64_t *a = LONG(w, in->a);
    uint64_t *d = LONG(w, in->d);
    for (int l = 0; l < LANES; l++)
        if (w->mask >> l & 1) d[l] = in->kind ? a[l] - base : a[l] + base;
}

/* ---- builders ---- */

static void build_join(Parse *p)
{
    const Operand *o = p->operand;
    int n = o[1].n;
    bool wide = o[0].class == REG_LONG;
    if (n != 2 && n != 4) scan_fail(&p->lex, "%s: 2 or 4 elements, not %d", p->op, n);
    Inst *in = inst_new(p, run_join);
    in->more = pool_alloc(&p->m->pool, sizeof *in->more * (size_t)n);
    in->vec = (uint8_t)n;
    in->base = o[0].class;
    in->size = (uint8_t)((wide ? 8 : p->op[4] == 'b' && p->op[5] == '1' ? 2 : 4) / n);
    inst_reg(p, in, 0, &o[0], (RegClass)o[0].class, true);
    inst_more(p, in, 0, &o[1], REG_WORD, false);
}

static void build_part(Parse *p)
{
    const Operand *o = p->operand;
    int n = o[0].n;
    bool wide = strstr(p->op, "64") != NULL;
    if (n != 2 && n != 4) scan_fail(&p->lex, "%s: 2 or 4 elements, not %d", p->op, n);
    Inst *in = inst_new(p, run_part);
    in->more = pool_alloc(&p->m->pool, sizeof *in->more * (size_t)n);
    in->vec = (uint8_t)n;
    in->base = wide ? REG_LONG : REG_WORD;
    in->size = (uint8_t)((wide ? 8 : 4) / n);
    inst_reg(p, in, 1, &o[1], wide ? REG_LONG : REG_WORD, false);
    inst_more(p, in, 0, &o[0], REG_WORD, true);
}

/* d = address of a variable */
static void build_address(Parse *p)
{
    const Operand *o = p->operand;
    const Symbol *s = o[1].symbol;
    bool wide = o[0].class == REG_LONG, dynamic = s->kind == SYM_DYNAMIC;
    if (s->kind == SYM_FUNC) scan_fail(&p->lex, "%s: addresses of functions are not supported", p->op);
    Inst *in = inst_new(p, row_fn(wide ? "add.u64" : "add.u32"));
    RegClass class = wide ? REG_LONG : REG_WORD;
    uint32_t base = s->kind == SYM_PARAM   ? vreg_special(p, SPECIAL_PARAM_BASE)
                    : s->kind == SYM_LOCAL ? vreg_special(p, local_base(p))
                    : dynamic              ? vreg_special(p, wide ? SPECIAL_DYNAMIC_LONG : SPECIAL_DYNAMIC_WORD)
                                           : vreg_constant(p, class, 0);
    if (p->body->reg.v[base].class != class) scan_fail(&p->lex, "%s: this address has 64 bits", p->op);
    inst_reg(p, in, 0, &o[0], class, true);
    inst_vreg(p, in, 1, base, false);
    inst_vreg(p, in, 2, vreg_constant(p, class, (uint64_t)(s->at + o[1].offset)), false);
}

static bool is_clock(const Parse *p, const Operand *o)
{
    const VReg *v = &p->body->reg.v[o->vreg];
    return o->kind == OPERAND_REG && v->special &&
           (v->value == SPECIAL_CLOCK || v->value == SPECIAL_CLOCK64 || v->value == SPECIAL_GLOBALTIMER);
}

static void build_mov(Parse *p)
{
    want_operands(p, 2);
    if (p->operand[1].kind == OPERAND_VECTOR) {
        build_join(p);
    } else if (p->operand[0].kind == OPERAND_VECTOR) {
        build_part(p);
    } else if (p->operand[1].kind == OPERAND_SYMBOL) {
        build_address(p);
    } else if (is_clock(p, &p->operand[1])) {
        Inst *in = inst_new(p, run_clock);
        in->base = p->operand[0].class;
        inst_reg(p, in, 0, &p->operand[0], (RegClass)in->base, true);
    } else if (!build_row(p, p->op)) {
        scan_fail(&p->lex, "unknown instruction '%s'", p->op);
    }
}

/* Device addresses are host addresses, and generic ones are the same; but for shared memory, which has offsets. */
static void build_cvta(Parse *p)
{
    static const char *const spaces[] = {"shared", "global", "const", "local", "param", NULL};
    bool to = part_take(p, "to");
    int space = part_choice(p, spaces);
    if (space < 0 || !part_take(p, "u64")) scan_fail(&p->lex, "unknown instruction '%s'", p->op);
    parts_all_known(p);
    if (space && p->operand[1].kind != OPERAND_SYMBOL) {
        build_row(p, "mov.u64");
        return;
    }
    if (space) {
        build_address(p);
        return;
    }
    want_operands(p, 2);
    Inst *in = inst_new(p, run_cvta_shared);
    in->kind = to;
    inst_reg(p, in, 0, &p->operand[0], REG_LONG, true);
    inst_reg(p, in, 1, &p->operand[1], REG_LONG, false);
}

const Builder build_move[] = {{"mov", build_mov}, {"cvta", build_cvta}, {NULL, NULL}};
