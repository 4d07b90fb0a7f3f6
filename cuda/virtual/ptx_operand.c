/* Names of a PTX module and the operands made of them. */
#include "ptx_parse.h"
#include <ctype.h>
#include <string.h>

static uint32_t hash_text(const char *s, int len)
{
    uint32_t h = 2166136261u;
    for (int i = 0; i < len; i++) h = (h ^ (unsigned char)s[i]) * 16777619u;
    return h;
}

Symbol *symbol_add(Parse *p, const char *name, int len, SymbolKind kind)
{
    uint32_t h = hash_text(name, len);
    int *bucket = &p->bucket[h % BUCKETS];
    Symbol *s = list_add(&p->scratch, &p->symbol);
    *s = (Symbol){.name = pool_text(&p->scratch, name, (size_t)len), .kind = kind, .next = *bucket, .hash = h};
    *bucket = p->symbol.n - 1;
    return s;
}

void symbols_leave(Parse *p, int keep)
{
    for (; p->symbol.n > keep; p->symbol.n--) {
        Symbol *s = &p->symbol.v[p->symbol.n - 1];
        p->bucket[s->hash % BUCKETS] = s->next;
    }
}

static const Symbol *find_exact(Parse *p, const char *name, int len, bool range)
{
    uint32_t h = hash_text(name, len);
    for (int i = p->bucket[h % BUCKETS]; i >= 0; i = p->symbol.v[i].next) {
        const Symbol *s = &p->symbol.v[i];
        if (s->hash == h && (s->kind == SYM_RANGE) == range && strlen(s->name) == (size_t)len &&
            memcmp(s->name, name, (size_t)len) == 0)
            return s;
    }
    return NULL;
}

/* `%r12` is the register %r12, or number 12 of the range %r<40>. */
const Symbol *symbol_find(Parse *p, const char *name, int len, uint32_t *index)
{
    const Symbol *s = find_exact(p, name, len, false);
    int digits = 0, n = 0;
    if (s) {
        *index = s->index;
        return s;
    }
    while (digits < len && digits < 8 && isdigit((unsigned char)name[len - 1 - digits])) digits++;
    for (int i = len - digits; i < len; i++) n = n * 10 + (name[i] - '0');
    if (!digits || !(s = find_exact(p, name, len - digits, true)) || n >= s->at) return NULL;
    *index = s->index + (uint32_t)n;
    return s;
}

uint32_t vreg_new(Parse *p, RegClass class)
{
    VReg *v = list_add(&p->m->pool, &p->body->reg);
    v->class = (uint8_t) class;
    return (uint32_t)(v - p->body->reg.v);
}

static uint32_t vreg_fixed(Parse *p, RegClass class, bool special, uint64_t value)
{
    uint32_t h = (uint32_t)((value * 0x9e3779b97f4a7c15u) >> 52) ^ (uint32_t)(class * 2 + special);
    uint32_t *known = &p->fixed[h % FIXED]; /* vreg + 1; what has lost its place is made once more */
    if (*known) {
        const VReg *v = &p->body->reg.v[*known - 1];
        if (v->class == class && v->special == special && v->value == value) return *known - 1;
    }
    uint32_t r = vreg_new(p, class);
    p->body->reg.v[r].constant = !special;
    p->body->reg.v[r].special = special;
    p->body->reg.v[r].value = value;
    *known = r + 1;
    return r;
}

uint32_t vreg_constant(Parse *p, RegClass class, uint64_t value)
{
    return vreg_fixed(p, class, false, class == REG_WORD ? (uint32_t)value : value);
}

uint32_t vreg_special(Parse *p, Special s)
{
    static const uint8_t class[] = {
#define X(name, text, class) class,
        PTX_SPECIALS(X)
#undef X
    };
    return vreg_fixed(p, (RegClass) class[s], true, s);
}

/* ---- operands ---- */

static void read_special(Parse *p, Operand *o)
{
    static const char *const names[] = {
#define X(name, text, class) text,
        PTX_SPECIALS(X)
#undef X
    };
    for (int i = 0; i < SPECIALS; i++) {
        if (!*names[i] || !scan_is(&p->lex, names[i])) continue;
        o->kind = OPERAND_REG;
        o->vreg = vreg_special(p, (Special)i);
        o->class = p->body->reg.v[o->vreg].class;
        return;
    }
    scan_fail(&p->lex, "unknown name '%.*s'", p->lex.len, p->lex.word);
}

static void read_name(Parse *p, Operand *o)
{
    uint32_t index;
    const Symbol *s;
    if (scan_is(&p->lex, "_")) {
        o->kind = OPERAND_SINK;
    } else if ((s = symbol_find(p, p->lex.word, p->lex.len, &index))) {
        bool reg = s->kind == SYM_REG || s->kind == SYM_RANGE;
        o->kind = reg ? OPERAND_REG : OPERAND_SYMBOL;
        o->vreg = index;
        o->class = s->class;
        o->symbol = s;
    } else if (*p->lex.word == '%') {
        read_special(p, o);
    } else {
        scan_fail(&p->lex, "unknown name '%.*s'", p->lex.len, p->lex.word);
    }
    scan_next(&p->lex);
}

static void read_immediate(Parse *p, Operand *o)
{
    bool minus = scan_take(&p->lex, "-");
    o->kind = OPERAND_IMM;
    o->value = scan_number(&p->lex, &o->float_bits);
    if (minus) o->value = -o->value;
}

static int64_t read_displacement(Parse *p)
{
    int bits;
    if (scan_is(&p->lex, "-")) { /* [%rd1-8] */
        scan_next(&p->lex);
        return -(int64_t)scan_number(&p->lex, &bits);
    }
    if (!scan_take(&p->lex, "+")) return 0;
    bool minus = scan_take(&p->lex, "-");
    int64_t v = (int64_t)scan_number(&p->lex, &bits);
    return minus ? -v : v;
}

static void read_operand(Parse *p, Operand *o);

static void read_list(Parse *p, Operand *o, const char *close)
{
    enum { ROOM = MOST_ELEMENTS };
    o->kind = OPERAND_VECTOR;
    o->element = pool_alloc(&p->scratch, sizeof *o->element * ROOM);
    do {
        if (o->n == ROOM) scan_fail(&p->lex, "more than %d elements", ROOM);
        read_operand(p, &o->element[o->n++]);
    } while (scan_take(&p->lex, ","));
    scan_expect(&p->lex, close);
}

static void read_address(Parse *p, Operand *o)
{
    o->kind = OPERAND_ADDRESS;
    o->element = pool_alloc(&p->scratch, sizeof *o->element);
    o->n = 1;
    if (scan_is_number(&p->lex))
        read_immediate(p, o->element);
    else
        read_name(p, o->element);
    o->offset = read_displacement(p);
    scan_expect(&p->lex, "]");
}

static void read_operand(Parse *p, Operand *o)
{
    memset(o, 0, sizeof *o);
    if (scan_take(&p->lex, "{")) {
        read_list(p, o, "}");
    } else if (scan_take(&p->lex, "[")) {
        read_address(p, o);
    } else if (scan_take(&p->lex, "!")) {
        read_name(p, o);
        o->negated = true;
    } else if (scan_is_number(&p->lex) || scan_is(&p->lex, "-")) {
        read_immediate(p, o);
    } else {
        read_name(p, o);
        if (o->kind == OPERAND_SYMBOL) o->offset = read_displacement(p);
    }
}

/* `d|p` is two operands. */
void parse_operands(Parse *p)
{
    p->noperands = 0;
    if (scan_take(&p->lex, ";")) return;
    do {
        if (p->noperands == MOST_OPERANDS) scan_fail(&p->lex, "more than %d operands", MOST_OPERANDS);
        read_operand(p, &p->operand[p->noperands++]);
    } while (scan_take(&p->lex, ",") || scan_take(&p->lex, "|"));
    scan_expect(&p->lex, ";");
}
