/* The parser of expressions and calls: recursive descent over one scalar.
 * In: a scalar. Out: Term or Call, every part of it with its place inside the scalar.
 * Rule: at most one error for a scalar; nesting is bounded, so that the text cannot exhaust the
 * stack. Not here: values (value.c), what a call means (args.c). */
#include "spec/expr.h"
#include "spec/term.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NESTING = 64, MAX_NAME = 200, MAX_TERMS = 200, MAX_LENGTH = 8192 };

typedef enum TokKind { TOK_END, TOK_NUMBER, TOK_NAME, TOK_STRING, TOK_SIGN } TokKind;

typedef struct Lexer {
    Arena *arena;
    const Yaml *from;
    const char *s;
    size_t begin, end; /* the current token */
    TokKind kind;
    int depth, terms;
    bool failed;
    size_t seen; /* characters before byte `seen` have been counted: places come mostly in order */
    int seen_chars;
} Lexer;

static const char *const keywords[] = {"and",  "or",    "not",  "if",   "else", "true", "false",
                                       "True", "False", "None", "null", "_",    NULL};

bool expr_is_name(const char *s)
{
    if (!isalpha((unsigned char)*s) && *s != '_') return false;
    for (const char *c = s; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_') return false;
    for (int i = 0; keywords[i]; i++)
        if (strcmp(s, keywords[i]) == 0) return false;
    return true;
}

/* Bytes [begin, end) of the scalar as a place in the file. */
static Loc part(Lexer *l, size_t begin, size_t end)
{
    Loc loc = l->from->loc;
    if (l->from->inner < 0) return loc;
    if (begin < l->seen) l->seen = 0, l->seen_chars = 0;
    for (; l->seen < begin; l->seen++)
        l->seen_chars += ((unsigned char)l->s[l->seen] & 0xc0) != 0x80;
    loc.col += l->from->inner + l->seen_chars;
    loc.len = 0;
    for (size_t i = begin; i < end; i++) loc.len += ((unsigned char)l->s[i] & 0xc0) != 0x80;
    if (loc.len < 1) loc.len = 1;
    return loc;
}

static Loc here(Lexer *l)
{
    return part(l, l->begin, l->end);
}

static const char *token_text(const Lexer *l)
{
    return arena_strndup(l->arena, l->s + l->begin, l->end - l->begin);
}

/* true if this is the scalar's first error, so that help may follow */
static bool fail(Lexer *l, Loc loc, const char *id, const char *text)
{
    bool first = !l->failed;
    if (first) diag_error(loc, id, "%s", text);
    l->failed = true;
    l->kind = TOK_END;
    return first;
}

static void lex_number(Lexer *l)
{
    size_t i = l->begin;
    for (; isalnum((unsigned char)l->s[i]) || l->s[i] == '.' || l->s[i] == '_'; i++) {
        bool exponent = (l->s[i] == 'e' || l->s[i] == 'E') && i > l->begin;
        if (exponent && (l->s[i + 1] == '-' || l->s[i + 1] == '+')) i++;
    }
    l->end = i;
    l->kind = TOK_NUMBER;
}

static void lex_name(Lexer *l)
{
    size_t i = l->begin;
    while (isalnum((unsigned char)l->s[i]) || l->s[i] == '_' ||
           (l->s[i] == '.' && (isalnum((unsigned char)l->s[i + 1]) || l->s[i + 1] == '_')))
        i++;
    l->end = i;
    l->kind = TOK_NAME;
    if (i - l->begin > MAX_NAME) fail(l, here(l), "S045", "a name of more than 200 characters");
}

static void lex_string(Lexer *l)
{
    const char *close = strchr(l->s + l->begin + 1, l->s[l->begin]);
    if (!close) {
        fail(l, part(l, l->begin, l->begin + 1), "S045", "the quote is not closed");
        return;
    }
    l->end = (size_t)(close - l->s) + 1;
    l->kind = TOK_STRING;
}

static void advance(Lexer *l)
{
    if (l->failed) return;
    l->begin = l->end;
    while (isspace((unsigned char)l->s[l->begin])) l->begin++;
    l->end = l->begin;
    const char *p = l->s + l->begin;
    if (!*p) {
        l->kind = TOK_END;
    } else if (isdigit((unsigned char)*p) || (*p == '.' && isalnum((unsigned char)p[1]))) {
        lex_number(l);
    } else if (isalpha((unsigned char)*p) || *p == '_') {
        lex_name(l);
    } else if (*p == '\'' || *p == '"') {
        lex_string(l);
    } else {
        bool two = strchr("=!<>", *p) && p[1] == '=';
        if ((*p == '/' || *p == '*') && p[1] == *p) two = true;
        l->kind = TOK_SIGN;
        do l->end++;
        while (((unsigned char)l->s[l->end] & 0xc0) == 0x80);
        l->end += two;
    }
}

static bool is(const Lexer *l, const char *text)
{
    size_t n = strlen(text);
    return l->kind != TOK_END && l->kind != TOK_STRING && l->end - l->begin == n &&
           memcmp(l->s + l->begin, text, n) == 0;
}

static bool accept(Lexer *l, const char *text)
{
    if (!is(l, text)) return false;
    advance(l);
    return true;
}

static void unexpected(Lexer *l, const char *wanted)
{
    if (l->kind == TOK_END) {
        size_t n = strlen(l->s);
        fail(l, n ? part(l, n - 1, n) : here(l), "S045",
             arena_printf(l->arena, "expected %s, but the value ends here", wanted));
        return;
    }
    const char *t = token_text(l);
    bool first =
        fail(l, here(l), "S045",
             arena_printf(l->arena, "expected %s, got '%s'", wanted, yaml_show(l->arena, t)));
    if (first && strcmp(t, "/") == 0) diag_help("`//` divides integers, rounding down");
    if (first && strcmp(t, "=") == 0) diag_help("`==` compares");
}

static Term *term_new(Lexer *l, TermKind kind, size_t begin)
{
    Term *t = NEW(l->arena, Term);
    t->kind = kind;
    t->loc = part(l, begin, l->end);
    if (++l->terms > MAX_TERMS) fail(l, t->loc, "S045", "an expression of more than 200 parts");
    return t;
}

static Term *parse_number(Lexer *l)
{
    Term *t = term_new(l, TERM_VALUE, l->begin);
    const char *s = token_text(l);
    size_t n = strlen(s), digits = strspn(s, "0123456789");
    const char *shown = yaml_show(l->arena, s);
    char *end;
    errno = 0;
    if (digits == n && (n == 1 || s[0] != '0')) {
        t->val.kind = VAL_INT;
        t->val.i = strtoll(s, &end, 10);
        if (errno) fail(l, t->loc, "S015", arena_printf(l->arena, "%s is too large", shown));
    } else if (digits == n || strspn(s, "0123456789.eE+-") != n) {
        fail(l, t->loc, strchr(s, 'n') ? "S016" : "S015",
             arena_printf(l->arena, "'%s' is not a number: write it in decimal", shown));
    } else {
        t->val.kind = VAL_FLOAT;
        t->val.f = strtod(s, &end);
        if (*end)
            fail(l, t->loc, "S045", arena_printf(l->arena, "'%s' is not a number", shown));
        else if (!isfinite(t->val.f))
            fail(l, t->loc, "S016", arena_printf(l->arena, "%s is not finite", shown));
    }
    advance(l);
    return t;
}

static Term *parse_name(Lexer *l)
{
    Term *t = term_new(l, TERM_VALUE, l->begin);
    const char *s = token_text(l);
    bool yes = strcmp(s, "true") == 0 || strcmp(s, "True") == 0;
    if (yes || strcmp(s, "false") == 0 || strcmp(s, "False") == 0) {
        t->val.kind = VAL_BOOL;
        t->val.i = yes;
    } else if (strcmp(s, "None") == 0 || strcmp(s, "null") == 0) {
        t->val.kind = VAL_NONE;
    } else if (strcmp(s, "_") == 0) {
        t->val.kind = VAL_INFER;
    } else if (strcmp(s, "if") == 0 || strcmp(s, "else") == 0 || strcmp(s, "and") == 0 ||
               strcmp(s, "or") == 0) {
        unexpected(l, "a value");
    } else {
        t->kind = TERM_NAME;
        t->val.s = s;
    }
    advance(l);
    return t;
}

static const Term *parse_expr(Lexer *l);

/* (a, b) and [a, b] are lists; (a) is a. */
static const Term *parse_group(Lexer *l)
{
    size_t begin = l->begin;
    bool round = is(l, "(");
    const char *close = round ? ")" : "]";
    Term *list = term_new(l, TERM_LIST, begin);
    advance(l);
    bool comma = false;
    while (!l->failed && !is(l, close)) {
        const Term *t = parse_expr(l);
        vec_push(l->arena, &list->list, t);
        if (is(l, close)) break;
        comma = true;
        if (!accept(l, ",")) unexpected(l, round ? "',' or ')'" : "',' or ']'");
    }
    list->loc = part(l, begin, l->end);
    advance(l);
    if (round && !comma && list->list.n == 1) return list->list.v[0];
    return list;
}

static const Term *parse_atom(Lexer *l)
{
    if (l->kind == TOK_NUMBER) return parse_number(l);
    if (l->kind == TOK_NAME) return parse_name(l);
    if (l->kind == TOK_STRING) {
        Term *t = term_new(l, TERM_VALUE, l->begin);
        t->val.kind = VAL_WORD;
        t->val.s = arena_strndup(l->arena, l->s + l->begin + 1, l->end - l->begin - 2);
        advance(l);
        return t;
    }
    if (is(l, "~")) {
        Term *t = term_new(l, TERM_VALUE, l->begin);
        t->val.kind = VAL_NONE;
        advance(l);
        return t;
    }
    if (is(l, "(") || is(l, "[")) return parse_group(l);
    unexpected(l, "a value");
    return term_new(l, TERM_VALUE, l->begin);
}

/* Every recursion of the grammar passes here. */
static bool enter(Lexer *l)
{
    if (++l->depth <= MAX_NESTING) return !l->failed;
    fail(l, here(l), "S045", "an expression nested deeper than 64 levels");
    return false;
}

typedef struct Sign {
    const char *text;
    TermOp op;
} Sign;

static const Term *parse_prefix(Lexer *l, const Sign *signs, const Term *(*below)(Lexer *),
                                const Term *(*self)(Lexer *))
{
    for (const Sign *s = signs; s->text; s++) {
        if (!is(l, s->text)) continue;
        size_t begin = l->begin;
        Term *t = term_new(l, TERM_OP, begin);
        t->op = s->op;
        t->op_text = s->text;
        advance(l);
        t->a = enter(l) ? self(l) : t;
        l->depth--;
        t->loc.len = t->a->loc.col + t->a->loc.len - t->loc.col;
        return t;
    }
    return below(l);
}

static Loc span(Loc a, Loc b)
{
    if (a.line == b.line && b.col + b.len > a.col + a.len) a.len = b.col + b.len - a.col;
    return a;
}

/* below {sign below}; once: at most one sign */
static const Term *parse_infix(Lexer *l, const Sign *signs, const Term *(*below)(Lexer *),
                               bool once)
{
    const Term *left = below(l);
    for (;;) {
        const Sign *s = signs;
        while (s->text && !is(l, s->text)) s++;
        if (!s->text || l->failed) return left;
        Term *t = term_new(l, TERM_OP, l->begin);
        t->op = s->op;
        t->op_text = s->text;
        advance(l);
        t->a = left;
        t->b = below(l);
        t->loc = span(left->loc, t->b->loc);
        left = t;
        if (once) return left;
    }
}

static const Term *parse_sign(Lexer *l)
{
    static const Sign signs[] = {{"-", OP_NEG}, {"+", OP_POS}, {NULL, OP_NONE_}};
    return parse_prefix(l, signs, parse_atom, parse_sign);
}

static const Term *parse_term(Lexer *l)
{
    static const Sign signs[] = {{"*", OP_MUL}, {"//", OP_DIV}, {"%", OP_MOD}, {NULL, OP_NONE_}};
    return parse_infix(l, signs, parse_sign, false);
}

static const Term *parse_sum(Lexer *l)
{
    static const Sign signs[] = {{"+", OP_ADD}, {"-", OP_SUB}, {NULL, OP_NONE_}};
    return parse_infix(l, signs, parse_term, false);
}

static const Term *parse_cmp(Lexer *l)
{
    static const Sign signs[] = {{"==", OP_EQ}, {"!=", OP_NE}, {"<=", OP_LE},   {">=", OP_GE},
                                 {"<", OP_LT},  {">", OP_GT},  {NULL, OP_NONE_}};
    return parse_infix(l, signs, parse_sum, true);
}

static const Term *parse_not(Lexer *l)
{
    static const Sign signs[] = {{"not", OP_NOT}, {NULL, OP_NONE_}};
    return parse_prefix(l, signs, parse_cmp, parse_not);
}

static const Term *parse_and(Lexer *l)
{
    static const Sign signs[] = {{"and", OP_AND}, {NULL, OP_NONE_}};
    return parse_infix(l, signs, parse_not, false);
}

static const Term *parse_or(Lexer *l)
{
    static const Sign signs[] = {{"or", OP_OR}, {NULL, OP_NONE_}};
    return parse_infix(l, signs, parse_and, false);
}

static const Term *parse_expr(Lexer *l)
{
    size_t begin = l->begin;
    if (!enter(l)) return term_new(l, TERM_VALUE, begin);
    const Term *value = parse_or(l);
    if (!l->failed && accept(l, "if")) {
        Term *t = term_new(l, TERM_IF, begin);
        t->a = value;
        t->b = parse_or(l);
        if (!accept(l, "else")) unexpected(l, "'else'");
        t->c = parse_expr(l);
        t->loc = span(value->loc, t->c->loc);
        value = t;
    }
    l->depth--;
    return value;
}

static Lexer lexer_new(Arena *a, const Yaml *scalar)
{
    Lexer l = {.arena = a, .from = scalar, .s = scalar->text};
    if (strlen(l.s) > MAX_LENGTH)
        fail(&l, scalar->loc, "S045", "an expression of more than 8192 bytes");
    else
        advance(&l);
    return l;
}

const Term *expr_parse(Arena *a, const Yaml *scalar)
{
    Lexer l = lexer_new(a, scalar);
    const Term *t = parse_expr(&l);
    if (!l.failed && l.kind != TOK_END) unexpected(&l, "an operator or the end of the value");
    return l.failed ? NULL : t;
}

/* One argument; a name before `=` is its key. */
static void parse_arg(Lexer *l, Call *call)
{
    CallArg arg = {0};
    Lexer look = *l;
    if (look.kind == TOK_NAME) {
        advance(&look);
        if (is(&look, "=")) {
            arg.key = token_text(l);
            arg.key_loc = here(l);
            advance(&look);
            *l = look;
        }
    }
    arg.term = parse_expr(l);
    vec_push(l->arena, &call->arg, arg);
}

const Call *expr_parse_call(Arena *a, const Yaml *scalar, bool bare)
{
    Lexer l = lexer_new(a, scalar);
    Call *call = NEW(a, Call);
    call->loc = scalar->loc;
    if (l.kind != TOK_NAME) {
        unexpected(&l, "a call such as ReLU()");
        return NULL;
    }
    call->name = token_text(&l);
    call->name_loc = here(&l);
    advance(&l);
    if (l.kind == TOK_END && !l.failed) {
        if (bare) return call;
        if (fail(&l, call->name_loc, "S043", "a layer is written as a call"))
            diag_help("write `%s()`", yaml_show(a, call->name));
        return NULL;
    }
    if (!accept(&l, "(")) unexpected(&l, "'('");
    while (!l.failed && !is(&l, ")")) {
        parse_arg(&l, call);
        if (!is(&l, ")") && !accept(&l, ",")) unexpected(&l, "',' or ')'");
    }
    advance(&l);
    if (!l.failed && l.kind != TOK_END) unexpected(&l, "the end of the call");
    return l.failed ? NULL : call;
}
