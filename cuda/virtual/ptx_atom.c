/* Atomics: one lane after the other. Kernels with atomics on global memory run their blocks in order on one host thread,
 * so that sums of floats come out the same every time. */
#include "ptx_handlers.h"
#include "ptx_memory.h"
#include "ptx_number.h"
#include "ptx_shadow.h"
#include <string.h>

typedef enum AtomOp {
    ATOM_ADD,
    ATOM_MIN,
    ATOM_MAX,
    ATOM_AND,
    ATOM_OR,
    ATOM_XOR,
    ATOM_EXCH,
    ATOM_CAS,
    ATOM_INC,
    ATOM_DEC
} AtomOp;
typedef enum AtomType {
    ATOM_U32,
    ATOM_S32,
    ATOM_U64,
    ATOM_S64,
    ATOM_F32,
    ATOM_F64,
    ATOM_F16,
    ATOM_BF16,
    ATOM_F16X2,
    ATOM_BF16X2,
    ATOM_B16
} AtomType;

static uint64_t add(AtomType t, uint64_t x, uint64_t y)
{
    uint32_t p = (uint32_t)x, q = (uint32_t)y;
    switch (t) {
    case ATOM_F32:
        return float_bits(bits_float(p) + bits_float(q));
    case ATOM_F64:
        return double_bits(bits_double(x) + bits_double(y));
    case ATOM_F16:
        return float_half(half_float(p & 0xffff) + half_float(q & 0xffff));
    case ATOM_BF16:
        return float_brain(brain_float(p) + brain_float(q));
    case ATOM_F16X2:
        return add(ATOM_F16, x & 0xffff, y & 0xffff) | add(ATOM_F16, p >> 16, q >> 16) << 16;
    case ATOM_BF16X2:
        return add(ATOM_BF16, x & 0xffff, y & 0xffff) | add(ATOM_BF16, p >> 16, q >> 16) << 16;
    default:
        return x + y;
    }
}

static bool less(AtomType t, uint64_t x, uint64_t y)
{
    return t == ATOM_S32 ? (int32_t)x < (int32_t)y : t == ATOM_S64 ? (int64_t)x < (int64_t)y : x < y;
}

static uint64_t update(AtomOp op, AtomType t, uint64_t old, uint64_t b, uint64_t c)
{
    switch (op) {
    case ATOM_ADD:
        return add(t, old, b);
    case ATOM_MIN:
        return less(t, b, old) ? b : old;
    case ATOM_MAX:
        return less(t, old, b) ? b : old;
    case ATOM_AND:
        return old & b;
    case ATOM_OR:
        return old | b;
    case ATOM_XOR:
        return old ^ b;
    case ATOM_EXCH:
        return b;
    case ATOM_CAS:
        return old == b ? c : old;
    case ATOM_INC:
        return old >= b ? 0 : old + 1;
    default:
        return old == 0 || old > b ? b : old - 1;
    }
}

static uint64_t operand(const Warp *w, const Inst *in, uint32_t slot, int lane)
{
    uint64_t v = in->size == 8 ? LONG(w, slot)[lane] : WORD(w, slot)[lane];
    return in->size == 2 ? v & 0xffff : v;
}

/* kind: AtomOp, wide: AtomType; vec 1: the old value goes to d */
static void run_atom(Warp *w, const Inst *in)
{
    uint64_t at[LANES];
    resolve(w, in, &(Access){w->mask, in->size, true}, at);
    for (int l = 0; l < LANES; l++) {
        if (!(w->mask >> l & 1)) continue;
        uint64_t old = 0, b = operand(w, in, in->b, l), c = in->kind == ATOM_CAS ? operand(w, in, in->c, l) : 0;
        if (w->block->shadow) shadow_atomic(w, l, at[l], in->size);
        memcpy(&old, (const void *)(uintptr_t)at[l], in->size);
        uint64_t v = update((AtomOp)in->kind, (AtomType)in->wide, old, b, c);
        memcpy((void *)(uintptr_t)at[l], &v, in->size);
        if (!in->vec) continue;
        if (in->size == 8)
            LONG(w, in->d)[l] = old;
        else
            WORD(w, in->d)[l] = (uint32_t)old;
    }
}

static const struct {
    const char *name;
    uint8_t type, size;
    const char *ops; /* first letters that do: a add, m min max, l logic, e exch, c cas, i inc dec */
} atom_types[] = {{"u32", ATOM_U32, 4, "ami"}, {"s32", ATOM_S32, 4, "am"},    {"b32", ATOM_U32, 4, "lec"},
                  {"u64", ATOM_U64, 8, "am"},  {"s64", ATOM_S64, 8, "am"},    {"b64", ATOM_U64, 8, "lec"},
                  {"f32", ATOM_F32, 4, "a"},   {"f64", ATOM_F64, 8, "a"},     {"f16", ATOM_F16, 2, "a"},
                  {"bf16", ATOM_BF16, 2, "a"}, {"f16x2", ATOM_F16X2, 4, "a"}, {"bf16x2", ATOM_BF16X2, 4, "a"},
                  {"b16", ATOM_B16, 2, "c"}};

static void take_atom_type(Parse *p, Inst *head)
{
    static const char letters[] = "ammllleciiii";
    for (size_t i = 0; i < sizeof atom_types / sizeof atom_types[0]; i++) {
        if (!part_take(p, atom_types[i].name)) continue;
        if (!strchr(atom_types[i].ops, letters[head->kind])) break;
        head->wide = atom_types[i].type;
        head->size = atom_types[i].size;
        return;
    }
    scan_fail(&p->lex, "unknown instruction '%s'", p->op);
}

static void build_atomic(Parse *p, bool result)
{
    static const char *const ops[] = {"add", "min", "max", "and", "or", "xor", "exch", "cas", "inc", "dec", NULL};
    Inst head = {.space = (uint8_t)take_space(p)};
    int op = part_choice(p, ops);
    if (op < 0) scan_fail(&p->lex, "unknown instruction '%s'", p->op);
    head.kind = (uint8_t)op;
    take_hints(p);
    part_take(p, "noftz");
    take_atom_type(p, &head);
    take_policy(p);
    parts_all_known(p);
    want_operands(p, 2 + result + (op == ATOM_CAS));
    const Operand *o = p->operand + result;
    RegClass class = head.size == 8 ? REG_LONG : REG_WORD;
    Inst *in = inst_new(p, run_atom);
    in->kind = head.kind, in->wide = head.wide, in->size = head.size, in->space = head.space;
    in->vec = result && p->operand[0].kind != OPERAND_SINK;
    if (in->vec) inst_reg(p, in, 0, &p->operand[0], class, true);
    inst_address(p, in, &o[0]);
    inst_reg(p, in, 2, &o[1], class, false);
    if (op == ATOM_CAS) inst_reg(p, in, 3, &o[2], class, false);
    if (head.space != SPACE_SHARED) p->body->ordered = true;
}

static void build_atom(Parse *p)
{
    build_atomic(p, true);
}

static void build_red(Parse *p)
{
    build_atomic(p, false);
}

const Builder build_atoms[] = {{"atom", build_atom}, {"red", build_red}, {NULL, NULL}};
