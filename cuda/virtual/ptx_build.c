/* Instructions from opcodes and operands: by the rows of ptx_ops.def, by builders for the rest. What neither knows is an
 * error. */
#include "ptx_handlers.h"
#include "ptx_ops.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* ---- rows by their text ---- */

enum { ROW_BUCKETS = 4096 };
static const OpRow *row_table[ROW_BUCKETS];
static pthread_once_t rows_once = PTHREAD_ONCE_INIT;

static uint32_t hash_row(const char *s)
{
    uint32_t h = 2166136261u;
    while (*s) h = (h ^ (unsigned char)*s++) * 16777619u;
    return h ^ h >> 15;
}

static void index_rows(void)
{
    const OpRow *row = ptx_ops_any;
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))
        row = ptx_ops_avx2;
#endif
    for (; row->text; row++) {
        uint32_t h = hash_row(row->text);
        while (row_table[h % ROW_BUCKETS]) h++;
        row_table[h % ROW_BUCKETS] = row;
    }
}

static const OpRow *find_row(const char *text)
{
    pthread_once(&rows_once, index_rows);
    for (uint32_t h = hash_row(text); row_table[h % ROW_BUCKETS]; h++)
        if (!strcmp(row_table[h % ROW_BUCKETS]->text, text)) return row_table[h % ROW_BUCKETS];
    return NULL;
}

InstFn row_fn(const char *text)
{
    return find_row(text)->fn;
}

/* ---- pieces of an instruction ---- */

static void refer(Parse *p, uint32_t inst, int which, uint32_t *field, uint32_t vreg, bool def)
{
    *list_add(&p->m->pool, &p->body->ref) = (Ref){inst, vreg, field, (uint8_t)which, def};
}

Inst *inst_new(Parse *p, InstFn fn)
{
    Inst *in = list_add(&p->m->pool, &p->m->code);
    in->fn = fn;
    in->line = (uint32_t)p->line;
    in->flip = p->flip ? ~0u : 0;
    refer(p, (uint32_t)(in - p->m->code.v), 4, NULL, p->guard, false);
    return in;
}

void inst_vreg(Parse *p, Inst *in, int which, uint32_t vreg, bool def)
{
    refer(p, (uint32_t)(in - p->m->code.v), which, NULL, vreg, def);
}

static uint32_t operand_vreg(Parse *p, const Operand *o, RegClass class)
{
    static const char *const names[] = {"a predicate", "a register of at most 32 bits", "a register of 64 bits"};
    if (o->kind == OPERAND_SINK) return vreg_new(p, class);
    if (o->kind == OPERAND_IMM && class == REG_PRED) return vreg_constant(p, class, o->value ? ~0u : 0); /* of all lanes */
    if (o->kind == OPERAND_IMM) return vreg_constant(p, class, o->value);
    if (o->kind == OPERAND_REG && o->class == class && (!o->negated || class == REG_PRED)) return o->vreg;
    scan_fail(&p->lex, "%s: %s expected", p->op, names[class]);
}

void inst_reg(Parse *p, Inst *in, int which, const Operand *o, RegClass class, bool def)
{
    inst_vreg(p, in, which, operand_vreg(p, o, class), def);
}

void inst_more(Parse *p, Inst *in, int first, const Operand *o, RegClass class, bool def)
{
    uint32_t *more = (uint32_t *)in->more;
    int n = o->kind == OPERAND_VECTOR ? o->n : 1;
    for (int i = 0; i < n; i++) {
        const Operand *e = o->kind == OPERAND_VECTOR ? &o->element[i] : o;
        refer(p, (uint32_t)(in - p->m->code.v), 0, &more[first + i], operand_vreg(p, e, class), def);
    }
}

Special local_base(const Parse *p)
{
    return p->body->entry ? SPECIAL_LOCAL_BASE : SPECIAL_FUNCTION_BASE;
}

/* [base + displacement] into a and imm. */
void inst_address(Parse *p, Inst *in, const Operand *o)
{
    if (o->kind != OPERAND_ADDRESS) scan_fail(&p->lex, "%s: an address expected", p->op);
    const Operand *e = o->element;
    const Symbol *s = e->symbol;
    int64_t at = o->offset;
    uint32_t base;
    if (e->kind == OPERAND_REG && e->class != REG_PRED)
        base = e->vreg;
    else if (e->kind == OPERAND_IMM)
        base = vreg_constant(p, REG_LONG, e->value);
    else if (e->kind != OPERAND_SYMBOL)
        scan_fail(&p->lex, "%s: an address expected", p->op);
    else if (s->kind == SYM_DYNAMIC)
        base = vreg_special(p, SPECIAL_DYNAMIC_LONG);
    else if (s->kind == SYM_PARAM || s->kind == SYM_LOCAL)
        base = vreg_special(p, s->kind == SYM_PARAM ? SPECIAL_PARAM_BASE : local_base(p)), at += s->at;
    else
        base = vreg_constant(p, REG_LONG, (uint64_t)s->at);
    in->imm = at;
    in->base = p->body->reg.v[base].class;
    inst_vreg(p, in, 1, base, false);
}

/* A second address, of global memory: into b, its displacement into d. */
void inst_source(Parse *p, Inst *in, const Operand *o)
{
    if (o->kind != OPERAND_ADDRESS || o->element->kind != OPERAND_REG || o->element->class != REG_LONG)
        scan_fail(&p->lex, "%s: a register with an address of global memory expected", p->op);
    if (o->offset != (int32_t)o->offset) scan_fail(&p->lex, "%s: displacement %lld", p->op, (long long)o->offset);
    in->d = (uint32_t)(int32_t)o->offset;
    inst_vreg(p, in, 2, o->element->vreg, false);
}

void want_operands(Parse *p, int n)
{
    if (p->noperands != n) scan_fail(&p->lex, "%s: %d operands, not %d", p->op, n, p->noperands);
}

int64_t constant_operand(Parse *p, int i)
{
    if (i >= p->noperands || p->operand[i].kind != OPERAND_IMM)
        scan_fail(&p->lex, "%s: operand %d must be a constant here", p->op, i + 1);
    return (int64_t)p->operand[i].value;
}

/* ---- modifiers ---- */

static void split_parts(Parse *p, char *text, size_t size)
{
    snprintf(text, size, "%s", p->op);
    p->nparts = 0;
    memset(p->used, 0, sizeof p->used);
    for (char *save = NULL, *t = strtok_r(text, ".", &save); t; t = strtok_r(NULL, ".", &save)) {
        if (p->nparts == 16) scan_fail(&p->lex, "unknown instruction '%s'", p->op);
        p->part[p->nparts++] = t;
    }
    p->used[0] = true;
}

bool part_take(Parse *p, const char *name)
{
    for (int i = 1; i < p->nparts; i++)
        if (!p->used[i] && !strcmp(p->part[i], name)) return p->used[i] = true;
    return false;
}

int part_choice(Parse *p, const char *const *names)
{
    for (int i = 0; names[i]; i++)
        if (part_take(p, names[i])) return i;
    return -1;
}

void parts_all_known(Parse *p)
{
    for (int i = 0; i < p->nparts; i++)
        if (!p->used[i]) scan_fail(&p->lex, "unknown modifier '.%s' in '%s'", p->part[i], p->op);
}

/* ---- rows ---- */

static RegClass class_of(char letter)
{
    return letter == 'l' ? REG_LONG : letter == 'w' ? REG_WORD : REG_PRED;
}

static void build_setp(Parse *p, Inst *in, const OpRow *row, int how)
{
    enum { D, A, B, C };
    const Operand *o = p->operand;
    int q = p->noperands == (how ? 5 : 4);
    uint32_t inst = (uint32_t)(in - p->m->code.v);
    want_operands(p, 3 + q + !!how);
    in->kind = (uint8_t)how;
    inst_reg(p, in, D, &o[0], REG_PRED, true);
    if (q) {
        in->more = pool_alloc(&p->m->pool, sizeof *in->more);
        inst_more(p, in, 0, &o[1], REG_PRED, true);
    }
    in = &p->m->code.v[inst];
    inst_reg(p, in, A, &o[1 + q], class_of(row->signature[1]), false);
    inst_reg(p, in, B, &o[2 + q], class_of(row->signature[2]), false);
    if (!how) return;
    in->kind |= o[3 + q].negated ? SETP_NOT : 0;
    inst_reg(p, in, C, &o[3 + q], REG_PRED, false);
}

/* "setp.lt.and.f32" -> "setp.lt.f32" and how the fourth operand is combined. */
static int take_combination(char *text)
{
    static const char *const names[] = {".and.", ".or.", ".xor."};
    if (strncmp(text, "setp.", 5) != 0) return 0;
    for (int i = 0; i < 3; i++) {
        char *at = strstr(text + 5, names[i]);
        if (!at) continue;
        memmove(at, at + strlen(names[i]) - 1, strlen(at + strlen(names[i]) - 1) + 1);
        return i + 1;
    }
    return 0;
}

bool build_row(Parse *p, const char *op)
{
    char text[sizeof p->op];
    snprintf(text, sizeof text, "%s", op);
    int how = take_combination(text), n = 0;
    const OpRow *row = find_row(text);
    if (!row) return false;
    Inst *in = inst_new(p, row->fn);
    in->flops = row->flops;
    if (row->signature[0] == 's') {
        build_setp(p, in, row, how);
        return true;
    }
    while (n < MOST_SIGNATURE && row->signature[n]) n++;
    want_operands(p, n);
    for (int i = 0; i < n && i < 4; i++) {
        if (p->operand[i].negated) scan_fail(&p->lex, "%s: '!' cannot stand here", p->op);
        inst_reg(p, in, i, &p->operand[i], class_of(row->signature[i]), i == 0);
    }
    if (n > 4) {
        in->more = pool_alloc(&p->m->pool, sizeof *in->more);
        inst_more(p, in, 0, &p->operand[4], class_of(row->signature[4]), false);
    }
    return true;
}

/* ---- all ---- */

static bool build_by(Parse *p, const Builder *b)
{
    for (; b->opcode; b++) {
        if (strcmp(b->opcode, p->part[0]) != 0) continue;
        b->build(p);
        return true;
    }
    return false;
}

static bool build_with_operands(Parse *p)
{
    static const Builder *const builders[] = {build_move,  build_memory,   build_warp,
                                              build_async, build_matrices, build_atoms};
    for (size_t i = 0; i < sizeof builders / sizeof builders[0]; i++)
        if (build_by(p, builders[i])) return true;
    return build_row(p, p->op);
}

void build_instruction(Parse *p)
{
    char text[sizeof p->op];
    split_parts(p, text, sizeof text);
    if (build_by(p, build_control)) return;
    parse_operands(p);
    int next = p->lex.line;
    p->lex.line = p->line; /* what is wrong from here on is wrong there */
    if (!build_with_operands(p)) scan_fail(&p->lex, "unknown instruction '%s'", p->op);
    p->lex.line = next;
}
