/* Builders of loads and stores. */
#include "ptx_handlers.h"
#include "ptx_memory.h"
#include <string.h>

int take_space(Parse *p)
{
    static const char *const names[] = {"global", "shared",       "shared::cta", "local", "param",
                                        "const",  "param::entry", "param::func", NULL};
    static const uint8_t spaces[] = {SPACE_GLOBAL, SPACE_SHARED, SPACE_SHARED, SPACE_LOCAL,
                                     SPACE_PARAM,  SPACE_CONST,  SPACE_PARAM,  SPACE_PARAM};
    int i = part_choice(p, names);
    return i < 0 ? SPACE_GENERIC : spaces[i];
}

/* Ordering and caching: the interpreter has neither caches nor reordering. */
void take_hints(Parse *p)
{
    static const char *const hints[] = {"weak",
                                        "volatile",
                                        "relaxed",
                                        "acquire",
                                        "release",
                                        "acq_rel",
                                        "cta",
                                        "cluster",
                                        "gpu",
                                        "sys",
                                        "ca",
                                        "cg",
                                        "cs",
                                        "lu",
                                        "cv",
                                        "wb",
                                        "wt",
                                        "L1::evict_normal",
                                        "L1::evict_unchanged",
                                        "L1::evict_first",
                                        "L1::evict_last",
                                        "L1::no_allocate",
                                        "L2::evict_first",
                                        "L2::evict_last",
                                        "L2::evict_normal",
                                        "L2::64B",
                                        "L2::128B",
                                        "L2::256B",
                                        NULL};
    while (part_choice(p, hints) >= 0) {
    }
}

bool take_policy(Parse *p)
{
    bool policy = part_take(p, "L2::cache_hint");
    if (policy) p->noperands--; /* the policy stands last */
    return policy;
}

/* Type of one element: size and whether small ones extend their sign. */
static void take_element(Parse *p, Inst *in)
{
    static const char *const names[] = {"b8",  "u8",  "s8",    "b16",    "u16", "s16", "f16", "bf16", "b32", "u32",
                                        "s32", "f32", "f16x2", "bf16x2", "b64", "u64", "s64", "f64",  NULL};
    static const uint8_t size[] = {1, 1, 1, 2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4, 8, 8, 8, 8};
    int i = part_choice(p, names);
    if (i < 0) scan_fail(&p->lex, "'%s' has no type", p->op);
    in->size = size[i];
    in->kind = *names[i] == 's' ? LOAD_SIGNED : 0;
}

static void take_vector(Parse *p, Inst *in)
{
    static const char *const names[] = {"v2", "v4", "v8", NULL};
    int i = part_choice(p, names);
    in->vec = i < 0 ? 1 : (uint8_t)(2 << i);
}

/* One space for all parameters that are not the kernel's: each thread's own. */
static void find_param_space(Inst *in, const Operand *address)
{
    const Symbol *s = address->kind == OPERAND_ADDRESS ? address->element->symbol : NULL;
    if (in->space == SPACE_PARAM && s && s->kind == SYM_LOCAL) in->space = SPACE_LOCAL;
    if (in->space == SPACE_CONST) in->space = SPACE_GLOBAL;
}

static void note_granule(Parse *p, const Inst *in)
{
    bool own = in->space == SPACE_LOCAL || in->space == SPACE_PARAM;
    if (!own && in->size < p->body->granule) p->body->granule = in->size;
}

static void build_access(Parse *p, InstFn fn, const Operand *value, const Operand *address, bool load)
{
    Inst head = {0};
    head.space = (uint8_t)take_space(p);
    take_hints(p);
    bool constant = part_take(p, "nc");
    take_vector(p, &head);
    take_element(p, &head);
    if (constant) head.kind |= LOAD_CONSTANT;
    take_policy(p);
    parts_all_known(p);
    want_operands(p, 2);
    int n = value->kind == OPERAND_VECTOR ? value->n : 1;
    if (n != head.vec) scan_fail(&p->lex, "%s: %d elements, not %d", p->op, head.vec, n);
    find_param_space(&head, address);
    note_granule(p, &head);
    const Operand *first = value->kind == OPERAND_VECTOR ? &value->element[0] : value;
    bool wide = first->kind == OPERAND_REG ? first->class == REG_LONG : head.size == 8;
    Inst *in = inst_new(p, fn);
    in->space = head.space;
    in->size = head.size;
    in->vec = head.vec;
    in->kind = head.kind;
    in->wide = wide ? REG_LONG : REG_WORD;
    in->d = p->used_bytes ? p->used_bytes : ~0u;
    p->used_bytes = 0;
    in->more = pool_alloc(&p->m->pool, sizeof *in->more * (size_t)n);
    inst_more(p, in, 0, value, wide ? REG_LONG : REG_WORD, load);
    inst_address(p, in, address);
}

static void build_ld(Parse *p)
{
    build_access(p, run_load, &p->operand[0], &p->operand[1], true);
}

static void build_st(Parse *p)
{
    build_access(p, run_store, &p->operand[1], &p->operand[0], false);
}

const Builder build_memory[] = {{"ld", build_ld}, {"ldu", build_ld}, {"st", build_st}, {NULL, NULL}};
