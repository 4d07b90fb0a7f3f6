/* PTX text -> PtxModule: directives, declarations, bodies. Operands: ptx_operand.c; instructions: ptx_build.c. */
#include "ptx_handlers.h"
#include <stdlib.h>
#include <string.h>

/* ---- types and declarations ---- */

static const struct {
    const char *name;
    uint8_t bytes; /* 0: a predicate */
} types[] = {{".pred", 0},   {".b8", 1},   {".u8", 1},  {".s8", 1},  {".b16", 2}, {".u16", 2}, {".s16", 2},
             {".f16", 2},    {".bf16", 2}, {".b32", 4}, {".u32", 4}, {".s32", 4}, {".f32", 4}, {".f16x2", 4},
             {".bf16x2", 4}, {".b64", 8},  {".u64", 8}, {".s64", 8}, {".f64", 8}};

static bool take_type(Parse *p, size_t *bytes)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (!scan_take(&p->lex, types[i].name)) continue;
        *bytes = types[i].bytes;
        return true;
    }
    return false;
}

static int64_t number(Parse *p)
{
    int bits;
    return (int64_t)scan_number(&p->lex, &bits);
}

typedef struct Declared {
    const char *name; /* in the text */
    int len;
    size_t element, size, align; /* bytes; size 0: `[]` */
} Declared;

/* [.align N] [.v2] .type [.ptr [.space] [.align N]] name [dimensions] */
static Declared declaration(Parse *p)
{
    Declared d = {.align = 0};
    if (scan_take(&p->lex, ".align")) d.align = (size_t)number(p);
    size_t vec = scan_take(&p->lex, ".v2") ? 2 : scan_take(&p->lex, ".v4") ? 4 : 1;
    if (!take_type(p, &d.element) || !d.element)
        scan_fail(&p->lex, "a type expected before '%.*s'", p->lex.len, p->lex.word);
    if (scan_take(&p->lex, ".ptr")) {
        if (!scan_take(&p->lex, ".global") && !scan_take(&p->lex, ".const")) scan_take(&p->lex, ".shared");
        if (scan_take(&p->lex, ".align")) number(p);
    }
    if (!scan_is_name(&p->lex)) scan_fail(&p->lex, "a name expected before '%.*s'", p->lex.len, p->lex.word);
    d.name = p->lex.word;
    d.len = p->lex.len;
    d.size = d.element * vec;
    scan_next(&p->lex);
    while (scan_take(&p->lex, "[")) {
        d.size *= scan_is(&p->lex, "]") ? 0 : (size_t)number(p);
        scan_expect(&p->lex, "]");
    }
    if (!d.align) d.align = d.element * vec;
    return d;
}

static size_t place(size_t *end, const Declared *d)
{
    size_t at = (*end + d->align - 1) / d->align * d->align;
    *end = at + d->size;
    return at;
}

/* ---- variables of modules ---- */

static uint64_t initial_value(Parse *p)
{
    int bits;
    uint32_t index;
    bool generic = scan_take(&p->lex, "generic"), minus = !generic && scan_take(&p->lex, "-");
    if (generic) scan_expect(&p->lex, "(");
    if (!scan_is_name(&p->lex)) {
        uint64_t v = scan_number(&p->lex, &bits);
        return minus ? -v : v;
    }
    const Symbol *s = symbol_find(p, p->lex.word, p->lex.len, &index);
    if (!s || s->kind != SYM_GLOBAL) scan_fail(&p->lex, "unknown variable '%.*s'", p->lex.len, p->lex.word);
    scan_next(&p->lex);
    uint64_t v = (uint64_t)s->at;
    if (scan_take(&p->lex, "+")) v += scan_number(&p->lex, &bits);
    if (generic) scan_expect(&p->lex, ")");
    return v;
}

static void initial_values(Parse *p, const Declared *d, char *at)
{
    size_t n = 0;
    int depth = 0;
    do {
        while (scan_take(&p->lex, "{")) depth++;
        uint64_t v = initial_value(p);
        if (++n * d->element > d->size) scan_fail(&p->lex, "'%.*s' has more values than elements", d->len, d->name);
        memcpy(at + (n - 1) * d->element, &v, d->element); /* little endian, as the device is */
        while (depth && scan_take(&p->lex, "}")) depth--;
    } while (scan_take(&p->lex, ","));
}

static void global_variable(Parse *p)
{
    Declared d = declaration(p);
    PtxModule *m = p->m;
    Variable *v = list_add(&m->pool, &m->variable);
    *v = (Variable){pool_text(&m->pool, d.name, (size_t)d.len), pool_alloc(&m->pool, d.size + 1), d.size};
    Symbol *s = symbol_add(p, d.name, d.len, SYM_GLOBAL);
    s->at = (int64_t)(intptr_t)v->at;
    s->size = d.size;
    if (scan_take(&p->lex, "=")) initial_values(p, &d, v->at);
    scan_expect(&p->lex, ";");
}

static void shared_variable(Parse *p)
{
    Declared d = declaration(p);
    size_t *end = p->body ? &p->body->shared : &p->m->shared;
    Symbol *s = symbol_add(p, d.name, d.len, d.size ? SYM_SHARED : SYM_DYNAMIC);
    s->at = d.size ? (int64_t)place(end, &d) : 0;
    scan_expect(&p->lex, ";");
}

/* ---- declarations of bodies ---- */

static void local_variable(Parse *p, SymbolKind kind)
{
    Declared d = declaration(p);
    Symbol *s = symbol_add(p, d.name, d.len, kind);
    s->at = (int64_t)place(&p->local, &d);
    s->size = d.size;
    scan_expect(&p->lex, ";");
}

/* .reg .b32 %r<10>, x; */
static void registers(Parse *p)
{
    size_t bytes;
    if (!take_type(p, &bytes)) scan_fail(&p->lex, "'%.*s' is no type of a register", p->lex.len, p->lex.word);
    RegClass class = !bytes ? REG_PRED : bytes == 8 ? REG_LONG : REG_WORD;
    do {
        const char *name = p->lex.word;
        int len = p->lex.len;
        scan_next(&p->lex);
        bool range = scan_take(&p->lex, "<");
        int64_t n = range ? number(p) : 1;
        if (range) scan_expect(&p->lex, ">");
        if (n < 1 || n > 1 << 20) scan_fail(&p->lex, "%lld registers", (long long)n);
        Symbol *s = symbol_add(p, name, len, range ? SYM_RANGE : SYM_REG);
        s->class = (uint8_t) class;
        s->index = (uint32_t)p->body->reg.n;
        s->at = n;
        for (int64_t i = 0; i < n; i++) vreg_new(p, class);
    } while (scan_take(&p->lex, ","));
    scan_expect(&p->lex, ";");
}

/* ---- labels ---- */

int label_of(Parse *p, const char *name, int len)
{
    uint32_t h = 5381;
    for (int i = 0; i < len; i++) h = h * 33 + (unsigned char)name[i];
    int *bucket = &p->label_bucket[h % BUCKETS];
    for (int i = *bucket; i >= 0; i = p->label.v[i].next)
        if (p->label.v[i].len == len && memcmp(p->label.v[i].name, name, (size_t)len) == 0) return i;
    Label *l = list_add(&p->scratch, &p->label);
    *l = (Label){.name = name, .len = len, .target = -1, .line = p->lex.line, .next = *bucket};
    return *bucket = p->label.n - 1;
}

static void resolve_jumps(Parse *p)
{
    for (int i = 0; i < p->jump.n; i++) {
        const Label *l = &p->label.v[p->jump.v[i].label];
        p->lex.line = l->target < 0 ? l->line : p->lex.line;
        if (l->target < 0) scan_fail(&p->lex, "no label '%.*s'", l->len, l->name);
        if (p->jump.v[i].field)
            *p->jump.v[i].field = (uint32_t)l->target;
        else
            p->m->code.v[p->jump.v[i].inst].imm = l->target;
    }
}

/* ---- statements ---- */

static void read_guard(Parse *p)
{
    uint32_t index;
    p->guard = vreg_special(p, SPECIAL_TRUE);
    p->flip = false;
    if (!scan_take(&p->lex, "@")) return;
    p->flip = scan_take(&p->lex, "!");
    const Symbol *s = symbol_find(p, p->lex.word, p->lex.len, &index);
    if (!s || s->class != REG_PRED) scan_fail(&p->lex, "'%.*s' is no predicate", p->lex.len, p->lex.word);
    p->guard = index;
    scan_next(&p->lex);
}

static void split_opcode(Parse *p)
{
    if (p->lex.len >= (int)sizeof p->op) scan_fail(&p->lex, "unknown instruction '%.*s'", p->lex.len, p->lex.word);
    memcpy(p->op, p->lex.word, (size_t)p->lex.len);
    p->op[p->lex.len] = '\0';
    p->line = p->lex.line;
}

/* name: .branchtargets L1, L2; */
static void branch_targets(Parse *p, int label)
{
    PTX_LIST(int) to = {0};
    do {
        *list_add(&p->scratch, &to) = label_of(p, p->lex.word, p->lex.len);
        scan_next(&p->lex);
    } while (scan_take(&p->lex, ","));
    scan_expect(&p->lex, ";");
    p->label.v[label].table = to.v;
    p->label.v[label].ntargets = to.n;
}

static void label(Parse *p, const char *name, int len)
{
    int i = label_of(p, name, len);
    if (scan_take(&p->lex, ".branchtargets")) {
        branch_targets(p, i);
        return;
    }
    if (p->label.v[i].target >= 0) scan_fail(&p->lex, "label '%.*s' stands twice", len, name);
    p->label.v[i].target = p->m->code.n;
}

static void statement(Parse *p)
{
    const char *name = p->lex.word;
    int len = p->lex.len;
    read_guard(p);
    if (p->lex.word == name) {
        Lex before = p->lex;
        scan_next(&p->lex);
        if (scan_take(&p->lex, ":")) {
            label(p, name, len);
            return;
        }
        p->lex = before;
    }
    split_opcode(p);
    scan_next(&p->lex);
    build_instruction(p);
}

/* .pragma "used_bytes_mask N": which bytes of the next load are looked at. The others say nothing to us. */
static void pragma(Parse *p)
{
    static const char used[] = "\"used_bytes_mask ";
    for (scan_next(&p->lex); p->lex.len && !scan_is(&p->lex, ";"); scan_next(&p->lex))
        if (!strncmp(p->lex.word, used, sizeof used - 1))
            p->used_bytes = (uint32_t)strtoul(p->lex.word + sizeof used - 1, NULL, 0);
    scan_expect(&p->lex, ";");
}

/* `.reg .b32`, and `.reg.b32` as hand-written code has it. */
static bool take_directive(Parse *p, const char *name)
{
    int n = (int)strlen(name);
    if (p->lex.len < n || memcmp(p->lex.word, name, (size_t)n) != 0 || (p->lex.len > n && p->lex.word[n] != '.'))
        return false;
    p->lex.next = p->lex.word + n;
    scan_next(&p->lex);
    return true;
}

static void block(Parse *p)
{
    int keep = p->symbol.n;
    scan_expect(&p->lex, "{");
    while (!scan_take(&p->lex, "}")) {
        if (!p->lex.len) scan_fail(&p->lex, "'}' expected before the end");
        if (scan_is(&p->lex, "{"))
            block(p);
        else if (take_directive(p, ".reg"))
            registers(p);
        else if (take_directive(p, ".shared"))
            shared_variable(p);
        else if (take_directive(p, ".local"))
            local_variable(p, SYM_LOCAL);
        else if (take_directive(p, ".param"))
            local_variable(p, SYM_LOCAL);
        else if (scan_is(&p->lex, ".loc"))
            scan_skip_line(&p->lex);
        else if (scan_is(&p->lex, ".pragma"))
            pragma(p);
        else if (*p->lex.word == '.')
            scan_fail(&p->lex, "unknown directive '%.*s'", p->lex.len, p->lex.word);
        else
            statement(p);
    }
    symbols_leave(p, keep);
}

/* ---- kernels and functions ---- */

static void add_param(Parse *p, Body *b, bool result, size_t *end)
{
    scan_expect(&p->lex, ".param");
    Declared d = declaration(p);
    Param *q = result ? list_add(&p->m->pool, &b->result) : list_add(&p->m->pool, &b->param);
    *q = (Param){pool_text(&p->m->pool, d.name, (size_t)d.len), d.size, place(end, &d)};
}

static void params(Parse *p, Body *b, bool result, size_t *end)
{
    if (!scan_take(&p->lex, "(") || scan_take(&p->lex, ")")) return;
    do {
        add_param(p, b, result, end);
    } while (scan_take(&p->lex, ","));
    scan_expect(&p->lex, ")");
}

static void declare_params(Parse *p, const Body *b)
{
    for (int i = 0; i < b->param.n + b->result.n; i++) {
        const Param *q = i < b->param.n ? &b->param.v[i] : &b->result.v[i - b->param.n];
        Symbol *s = symbol_add(p, q->name, (int)strlen(q->name), b->entry ? SYM_PARAM : SYM_LOCAL);
        s->at = (int64_t)q->offset;
        s->size = q->size;
    }
}

static void begin_body(Parse *p, Body *b)
{
    p->body = b;
    p->label.n = p->jump.n = 0;
    memset(p->label_bucket, -1, sizeof p->label_bucket);
    memset(p->fixed, 0, sizeof p->fixed);
    b->defined = true;
    b->first = (uint32_t)p->m->code.n;
    b->granule = 4;
    if (!b->entry) b->return_to = vreg_new(p, REG_WORD);
    declare_params(p, b);
}

static void end_body(Parse *p)
{
    Body *b = p->body;
    p->line = p->lex.line;
    p->guard = vreg_special(p, SPECIAL_TRUE);
    p->flip = false;
    build_return(p); /* no path falls out of a body */
    resolve_jumps(p);
    b->last = (uint32_t)p->m->code.n;
    p->body = NULL;
}

static void body_text(Parse *p, Body *b, size_t local)
{
    int keep = p->symbol.n;
    p->local = local;
    begin_body(p, b);
    block(p);
    end_body(p);
    b->local = (p->local + 15) / 16 * 16;
    symbols_leave(p, keep);
}

static void limits(Parse *p, Body *b)
{
    b->max_threads = 1024;
    while (!scan_is(&p->lex, "{") && !scan_is(&p->lex, ";") && p->lex.len) {
        bool max = scan_is(&p->lex, ".maxntid") || scan_is(&p->lex, ".reqntid");
        if (!max && !scan_is(&p->lex, ".minnctapersm") && !scan_is(&p->lex, ".maxnreg") &&
            !scan_is(&p->lex, ".noreturn"))
            scan_fail(&p->lex, "unknown directive '%.*s'", p->lex.len, p->lex.word);
        scan_next(&p->lex);
        unsigned n = 1;
        do {
            if (scan_is_number(&p->lex)) n *= (unsigned)number(p);
        } while (scan_take(&p->lex, ","));
        if (max) b->max_threads = n;
    }
}

static void entry(Parse *p)
{
    size_t end = 0;
    PtxKernel *k = pool_alloc(&p->m->pool, sizeof *k);
    k->module = p->m;
    k->body.name = pool_text(&p->m->pool, p->lex.word, (size_t)p->lex.len);
    k->body.entry = true;
    k->body.shared = p->m->shared;
    scan_next(&p->lex);
    params(p, &k->body, false, &end);
    limits(p, &k->body);
    if (scan_take(&p->lex, ";")) return;
    body_text(p, &k->body, 0);
    *list_add(&p->m->pool, &p->m->kernel) = k;
}

static Body *function_named(Parse *p, const char *name, int len)
{
    uint32_t index;
    const Symbol *known = symbol_find(p, name, len, &index);
    if (known && known->kind == SYM_FUNC) return known->func;
    Body *b = pool_alloc(&p->m->pool, sizeof *b);
    b->name = pool_text(&p->m->pool, name, (size_t)len);
    symbol_add(p, name, len, SYM_FUNC)->func = b;
    *list_add(&p->m->pool, &p->m->function) = b;
    return b;
}

/* .func (results) name (params); or with a body. Both declare; parameters have one place for good. */
static void function(Parse *p)
{
    Body head = {0};
    size_t end = p->m->local; /* parameters and local memory of functions lie one after the other */
    params(p, &head, true, &end);
    Body *b = function_named(p, p->lex.word, p->lex.len);
    scan_next(&p->lex);
    params(p, &head, false, &end);
    limits(p, &head);
    if (!b->max_threads) {
        const char *name = b->name;
        *b = head;
        b->name = name;
        p->m->local = (end + 15) / 16 * 16;
    }
    if (scan_take(&p->lex, ";")) return;
    for (int i = 0; i < b->param.n && i < head.param.n; i++) b->param.v[i].name = head.param.v[i].name;
    for (int i = 0; i < b->result.n && i < head.result.n; i++) b->result.v[i].name = head.result.v[i].name;
    body_text(p, b, p->m->local);
    p->m->local = b->local;
}

/* ---- modules ---- */

static void linkage(Parse *p)
{
    static const char *const words[] = {".visible", ".weak", ".extern", ".common", ".internal"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (scan_take(&p->lex, words[i])) i = (size_t)-1;
}

static void read_target(Parse *p)
{
    if (p->lex.len < 4 || memcmp(p->lex.word, "sm_", 3) != 0)
        scan_fail(&p->lex, "unknown target '%.*s'", p->lex.len, p->lex.word);
    p->m->target = atoi(p->lex.word + 3);
    do {
        scan_next(&p->lex);
    } while (scan_take(&p->lex, ","));
}

static void directive(Parse *p)
{
    linkage(p);
    if (scan_take(&p->lex, ".version"))
        scan_next(&p->lex);
    else if (scan_take(&p->lex, ".target"))
        read_target(p);
    else if (scan_take(&p->lex, ".address_size"))
        scan_expect(&p->lex, "64");
    else if (scan_take(&p->lex, ".entry"))
        entry(p);
    else if (scan_take(&p->lex, ".func"))
        function(p);
    else if (scan_take(&p->lex, ".global") || scan_take(&p->lex, ".const"))
        global_variable(p);
    else if (scan_take(&p->lex, ".shared"))
        shared_variable(p);
    else if (scan_is(&p->lex, ".file"))
        scan_skip_line(&p->lex);
    else
        scan_fail(&p->lex, "unknown directive '%.*s'", p->lex.len, p->lex.word);
}

static void index_lines(PtxModule *m)
{
    const char *p = m->text;
    *list_add(&m->pool, &m->line_at) = 0;
    for (; (p = strchr(p, '\n')); p++) *list_add(&m->pool, &m->line_at) = (uint32_t)(p + 1 - m->text);
}

static void place_all(PtxModule *m)
{
    ptx_place_specials(m);
    for (int i = 0; i < m->function.n; i++) ptx_place_registers(m, m->function.v[i]);
    for (int i = 0; i < m->kernel.n; i++) ptx_place_registers(m, &m->kernel.v[i]->body);
    for (int i = 0; i < m->kernel.n; i++) ptx_mark_loop(m, &m->kernel.v[i]->body);
}

PtxModule *ptx_load(const char *text, char **error)
{
    Parse *p = calloc(1, sizeof *p);
    PtxModule *volatile m = calloc(1, sizeof *m);
    if (!p || !m) {
        free(p);
        free(m);
        *error = strdup("out of memory");
        return NULL;
    }
    p->m = m;
    p->lex.failed = &p->failed;
    memset(p->bucket, -1, sizeof p->bucket);
    m->text = pool_text(&m->pool, text, strlen(text));
    *error = NULL;
    if (!setjmp(p->failed)) {
        index_lines(m);
        scan_begin(&p->lex, m->text);
        while (p->lex.len) directive(p);
        place_all(m);
    } else {
        *error = p->lex.message;
        ptx_unload(m);
        m = NULL;
    }
    pool_free(&p->scratch);
    free(p);
    return m;
}

void ptx_unload(PtxModule *m)
{
    if (!m) return;
    pool_free(&m->pool);
    free(m);
}
