/* Branches, calls and returns. */
#include "ptx_handlers.h"
#include "ptx_shadow.h"
#include <string.h>

/* ---- handlers ---- */

static void run_branch(Warp *w, const Inst *in)
{
    warp_split(w, (uint32_t)in->imm, w->mask);
}

/* Every lane to its own table entry: imm entries in `more`, by word register a. */
static void run_branch_table(Warp *w, const Inst *in)
{
    const uint32_t *index = WORD(w, in->a);
    uint32_t left = w->mask;
    while (left) {
        int lane = first_lane(left);
        uint32_t i = index[lane], same = 0;
        if (i >= (uint32_t)in->imm)
            ptx_fault(w, lane, "entry %u of a table of %u branch targets", i, (uint32_t)in->imm);
        for (int l = 0; l < LANES; l++)
            if (left >> l & 1 && index[l] == i) same |= 1u << l;
        warp_split(w, in->more[i], same);
        left &= ~same;
    }
}

static void run_exit(Warp *w, const Inst *in)
{
    (void)in;
    warp_exit(w, w->mask);
}

static void run_call(Warp *w, const Inst *in)
{
    const Body *f = (const Body *)(uintptr_t)in->imm;
    uint32_t *to = WORD(w, f->reg.v[f->return_to].slot);
    for (int l = 0; l < LANES; l++)
        if (w->mask >> l & 1) to[l] = w->pc;
    warp_split(w, f->first, w->mask);
}

static void run_return(Warp *w, const Inst *in)
{
    const uint32_t *to = WORD(w, in->a);
    uint32_t left = w->mask;
    while (left) {
        uint32_t target = to[first_lane(left)], same = 0;
        for (int l = 0; l < LANES; l++)
            if (left >> l & 1 && to[l] == target) same |= 1u << l;
        warp_split(w, target, same);
        left &= ~same;
    }
}

static void run_fence(Warp *w, const Inst *in)
{
    (void)in;
    shadow_fence(w);
}

static void run_nothing(Warp *w, const Inst *in)
{
    (void)w, (void)in;
}

static void run_trap(Warp *w, const Inst *in)
{
    (void)in;
    ptx_fault(w, first_lane(w->mask), "trap");
}

enum { COPY_FROM_FUNCTION = 1, COPY_TO_FUNCTION = 2 };

/* Within each lane's local memory: from offset imm to offset more[0], more[1] bytes. */
static void run_copy_local(Warp *w, const Inst *in)
{
    for (int l = 0; l < LANES; l++) {
        char *kernel = w->local + (size_t)l * w->local_size, *function = kernel + w->function_local;
        char *from = in->kind & COPY_FROM_FUNCTION ? function : kernel;
        char *to = in->kind & COPY_TO_FUNCTION ? function : kernel;
        if (w->mask >> l & 1) memmove(to + in->more[0], from + in->imm, in->more[1]);
    }
}

/* ---- builders ---- */

static void jump_to_label(Parse *p, uint32_t inst)
{
    if (!scan_is_name(&p->lex)) scan_fail(&p->lex, "a label expected before '%.*s'", p->lex.len, p->lex.word);
    *list_add(&p->scratch, &p->jump) = (Jump){inst, label_of(p, p->lex.word, p->lex.len), NULL};
    scan_next(&p->lex);
}

static void build_bra(Parse *p)
{
    part_take(p, "uni");
    parts_all_known(p);
    Inst *in = inst_new(p, run_branch);
    in->flow = FLOW_JUMP;
    jump_to_label(p, (uint32_t)(in - p->m->code.v));
    scan_expect(&p->lex, ";");
}

/* brx.idx index, table; the table: `name: .branchtargets L1, L2;` in front of it */
static void build_brx(Parse *p)
{
    part_take(p, "uni");
    if (!part_take(p, "idx")) scan_fail(&p->lex, "unknown instruction '%s'", p->op);
    parts_all_known(p);
    uint32_t index;
    const Symbol *s = symbol_find(p, p->lex.word, p->lex.len, &index);
    if (!s || s->class != REG_WORD)
        scan_fail(&p->lex, "brx.idx: a register expected before '%.*s'", p->lex.len, p->lex.word);
    scan_next(&p->lex);
    scan_expect(&p->lex, ",");
    const Label *l = &p->label.v[label_of(p, p->lex.word, p->lex.len)];
    if (!l->table) scan_fail(&p->lex, "no .branchtargets '%.*s'", l->len, l->name);
    Inst *in = inst_new(p, run_branch_table);
    uint32_t *more = pool_alloc(&p->m->pool, sizeof *more * (size_t)l->ntargets), inst = (uint32_t)(in - p->m->code.v);
    in->imm = l->ntargets;
    in->flow = FLOW_TABLE;
    in->more = more;
    inst_vreg(p, in, 1, index, false);
    for (int i = 0; i < l->ntargets; i++) *list_add(&p->scratch, &p->jump) = (Jump){inst, l->table[i], &more[i]};
    scan_next(&p->lex);
    scan_expect(&p->lex, ";");
}

void build_return(Parse *p)
{
    Inst *in = inst_new(p, p->body->entry ? run_exit : run_return);
    in->flow = FLOW_END;
    if (!p->body->entry) inst_vreg(p, in, 1, p->body->return_to, false);
}

static void build_ret(Parse *p)
{
    part_take(p, "uni");
    parts_all_known(p);
    build_return(p);
    scan_expect(&p->lex, ";");
}

static void build_exit(Parse *p)
{
    parts_all_known(p);
    inst_new(p, run_exit)->flow = FLOW_END;
    scan_expect(&p->lex, ";");
}

static void build_trap(Parse *p)
{
    parts_all_known(p);
    inst_new(p, run_trap);
    scan_expect(&p->lex, ";");
}

/* Whatever its operands: they change nothing here. */
static void build_bare(Parse *p, InstFn fn)
{
    inst_new(p, fn);
    while (p->lex.len && !scan_is(&p->lex, ";")) scan_next(&p->lex);
    scan_expect(&p->lex, ";");
}

static void build_nothing(Parse *p)
{
    build_bare(p, run_nothing);
}

static void build_fence(Parse *p)
{
    build_bare(p, run_fence);
}

/* (a, b): parameters of the caller, each a variable in local memory */
static int call_list(Parse *p, const Symbol **list)
{
    uint32_t index;
    int n = 0;
    scan_expect(&p->lex, "(");
    if (scan_take(&p->lex, ")")) return 0;
    do {
        const Symbol *s = symbol_find(p, p->lex.word, p->lex.len, &index);
        if (!s || s->kind != SYM_LOCAL || n == MOST_ELEMENTS)
            scan_fail(&p->lex, "call: a parameter expected before '%.*s'", p->lex.len, p->lex.word);
        list[n++] = s;
        scan_next(&p->lex);
    } while (scan_take(&p->lex, ","));
    scan_expect(&p->lex, ")");
    return n;
}

static void copy_local(Parse *p, size_t from, size_t to, size_t bytes, int spaces)
{
    Inst *in = inst_new(p, run_copy_local);
    in->kind = (uint8_t)spaces;
    uint32_t *more = pool_alloc(&p->m->pool, 2 * sizeof *more);
    in->imm = (int64_t)from;
    in->more = more;
    more[0] = (uint32_t)to;
    more[1] = (uint32_t)bytes;
}

static const Body *callee(Parse *p)
{
    uint32_t index;
    const Symbol *s = symbol_find(p, p->lex.word, p->lex.len, &index);
    if (!s || s->kind != SYM_FUNC) scan_fail(&p->lex, "call: '%.*s' is no function", p->lex.len, p->lex.word);
    if (s->func == p->body) scan_fail(&p->lex, "call: recursion is not supported");
    scan_next(&p->lex);
    return s->func;
}

/* call.uni (result), name, (parameters): copies the parameters, jumps, and copies the result when it is back. */
static void build_call(Parse *p)
{
    const Symbol *result[MOST_ELEMENTS], *param[MOST_ELEMENTS];
    int here = !p->body->entry; /* the caller's space */
    part_take(p, "uni");
    parts_all_known(p);
    int nresults = scan_is(&p->lex, "(") ? call_list(p, result) : 0;
    if (nresults) scan_expect(&p->lex, ",");
    const Body *f = callee(p);
    int nparams = scan_take(&p->lex, ",") ? call_list(p, param) : 0;
    if (nresults != f->result.n || nparams != f->param.n)
        scan_fail(&p->lex, "call: '%s' takes %d parameters and gives %d", f->name, f->param.n, f->result.n);
    for (int i = 0; i < nparams; i++)
        copy_local(p, (size_t)param[i]->at, f->param.v[i].offset, f->param.v[i].size, here | COPY_TO_FUNCTION);
    Inst *in = inst_new(p, run_call);
    in->imm = (int64_t)(uintptr_t)f;
    for (int i = 0; i < nresults; i++)
        copy_local(p, f->result.v[i].offset, (size_t)result[i]->at, f->result.v[i].size, COPY_FROM_FUNCTION | here * 2);
    scan_expect(&p->lex, ";");
}

/* Everything that reads its own operands. */
const Builder build_control[] = {
    {"bra", build_bra},          {"brx", build_brx},           {"ret", build_ret},           {"exit", build_exit},
    {"trap", build_trap},        {"call", build_call},         {"membar", build_fence},      {"fence", build_fence},
    {"prefetch", build_nothing}, {"prefetchu", build_nothing}, {"nanosleep", build_nothing}, {NULL, NULL}};
