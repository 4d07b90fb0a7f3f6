/* The parser of expressions and calls: recursive descent over one scalar.
 * In: a scalar. Out: Term or Call, every part of it with its place inside the scalar.
 * Rule: at most one error for a scalar; nesting is bounded, so that the text cannot exhaust the
 * stack. Not here: tokens (lexer.c), values (value.c), what a call means (args.c). */
#include "spec/expr.h"
#include "spec/lexer.h"
#include "spec/term.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NESTING = 64, MAX_TERMS = 200 };

static Term *term_new(Lexer *l, TermKind kind, size_t begin)
{
    Term *t = NEW(l->arena, Term);
    t->kind = kind;
    t->loc = lex_part(l, begin, l->end);
    if (++l->terms > MAX_TERMS) lex_fail(l, t->loc, "S045", "an expression of more than 200 parts");
    return t;
}

static Term *parse_number(Lexer *l)
{
    Term *t = term_new(l, TERM_VALUE, l->begin);
    const char *s = lex_text(l);
    size_t n = strlen(s), digits = strspn(s, "0123456789");
    const char *shown = yaml_show(l->arena, s);
    char *end;
    errno = 0;
    if (digits == n && (n == 1 || s[0] != '0')) {
        t->val.kind = VAL_INT;
        t->val.i = strtoll(s, &end, 10);
        if (errno) lex_fail(l, t->loc, "S015", arena_printf(l->arena, "%s is too large", shown));
    } else if (digits == n || strspn(s, "0123456789.eE+-") != n) {
        lex_fail(l, t->loc, strchr(s, 'n') ? "S016" : "S015",
                 arena_printf(l->arena, "'%s' is not a number: write it in decimal", shown));
    } else {
        t->val.kind = VAL_FLOAT;
        t->val.f = strtod(s, &end);
        if (*end)
            lex_fail(l, t->loc, "S045", arena_printf(l->arena, "'%s' is not a number", shown));
        else if (!isfinite(t->val.f))
            lex_fail(l, t->loc, "S016", arena_printf(l->arena, "%s is not finite", shown));
    }
    lex_next(l);
    return t;
}

static Term *parse_name(Lexer *l)
{
    Term *t = term_new(l, TERM_VALUE, l->begin);
    const char *s = lex_text(l);
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
        lex_unexpected(l, "a value");
    } else {
        t->kind = TERM_NAME;
        t->val.s = s;
    }
    lex_next(l);
    return t;
}

static const Term *parse_expr(Lexer *l);

/* (a, b) and [a, b] are lists; (a) is a. */
static const Term *parse_group(Lexer *l)
{
    size_t begin = l->begin;
    bool round = lex_is(l, "(");
    const char *close = round ? ")" : "]";
    Term *list = term_new(l, TERM_LIST, begin);
    lex_next(l);
    bool comma = false;
    while (!l->failed && !lex_is(l, close)) {
        const Term *t = parse_expr(l);
        vec_push(l->arena, &list->list, t);
        if (lex_is(l, close)) break;
        comma = true;
        if (!lex_accept(l, ",")) lex_unexpected(l, round ? "',' or ')'" : "',' or ']'");
    }
    list->loc = lex_part(l, begin, l->end);
    lex_next(l);
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
        lex_next(l);
        return t;
    }
    if (lex_is(l, "~")) {
        Term *t = term_new(l, TERM_VALUE, l->begin);
        t->val.kind = VAL_NONE;
        lex_next(l);
        return t;
    }
    if (lex_is(l, "(") || lex_is(l, "[")) return parse_group(l);
    lex_unexpected(l, "a value");
    return term_new(l, TERM_VALUE, l->begin);
}

static Loc span(Loc a, Loc b)
{
    if (a.line == b.line && b.col + b.len > a.col + a.len) a.len = b.col + b.len - a.col;
    return a;
}

/* list[index] */
static const Term *parse_indexed(Lexer *l)
{
    const Term *t = parse_atom(l);
    while (!l->failed && lex_is(l, "[")) {
        Term *at = term_new(l, TERM_OP, l->begin);
        at->op = OP_INDEX;
        at->op_text = "[ ]";
        lex_next(l);
        at->a = t;
        at->b = parse_expr(l);
        if (!lex_is(l, "]")) lex_unexpected(l, "']'");
        at->loc = span(t->loc, lex_here(l));
        lex_next(l);
        t = at;
    }
    return t;
}

/* Every recursion of the grammar passes here. */
static bool enter(Lexer *l)
{
    if (++l->depth <= MAX_NESTING) return !l->failed;
    lex_fail(l, lex_here(l), "S045", "an expression nested deeper than 64 levels");
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
        if (!lex_is(l, s->text)) continue;
        size_t begin = l->begin;
        Term *t = term_new(l, TERM_OP, begin);
        t->op = s->op;
        t->op_text = s->text;
        lex_next(l);
        t->a = enter(l) ? self(l) : t;
        l->depth--;
        t->loc.len = t->a->loc.col + t->a->loc.len - t->loc.col;
        return t;
    }
    return below(l);
}

/* below {sign below}; once: at most one sign */
static const Term *parse_infix(Lexer *l, const Sign *signs, const Term *(*below)(Lexer *),
                               bool once)
{
    const Term *left = below(l);
    for (;;) {
        const Sign *s = signs;
        while (s->text && !lex_is(l, s->text)) s++;
        if (!s->text || l->failed) return left;
        Term *t = term_new(l, TERM_OP, l->begin);
        t->op = s->op;
        t->op_text = s->text;
        lex_next(l);
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
    return parse_prefix(l, signs, parse_indexed, parse_sign);
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
    if (!l->failed && lex_accept(l, "if")) {
        Term *t = term_new(l, TERM_IF, begin);
        t->a = value;
        t->b = parse_or(l);
        if (!lex_accept(l, "else")) lex_unexpected(l, "'else'");
        t->c = parse_expr(l);
        t->loc = span(value->loc, t->c->loc);
        value = t;
    }
    l->depth--;
    return value;
}

const Term *expr_parse(Arena *a, const Yaml *scalar)
{
    Lexer l = lex_new(a, scalar);
    const Term *t = parse_expr(&l);
    if (!l.failed && l.kind != TOK_END) lex_unexpected(&l, "an operator or the end of the value");
    return l.failed ? NULL : t;
}

Loc expr_loc(const Term *t)
{
    return t->loc;
}

/* One argument; a name before `=` is its key. */
static void parse_arg(Lexer *l, Call *call)
{
    CallArg arg = {0};
    Lexer look = *l;
    if (look.kind == TOK_NAME) {
        lex_next(&look);
        if (lex_is(&look, "=")) {
            arg.key = lex_text(l);
            arg.key_loc = lex_here(l);
            lex_next(&look);
            *l = look;
        }
    }
    arg.term = parse_expr(l);
    vec_push(l->arena, &call->arg, arg);
}

const Call *expr_parse_call(Arena *a, const Yaml *scalar, bool bare)
{
    Lexer l = lex_new(a, scalar);
    Call *call = NEW(a, Call);
    call->loc = scalar->loc;
    if (l.kind != TOK_NAME) {
        lex_unexpected(&l, "a call such as ReLU()");
        return NULL;
    }
    call->name = lex_text(&l);
    call->name_loc = lex_here(&l);
    lex_next(&l);
    if (l.kind == TOK_END && !l.failed) {
        if (bare) return call;
        if (lex_fail(&l, call->name_loc, "S043", "a layer is written as a call"))
            diag_help("write `%s()`", yaml_show(a, call->name));
        return NULL;
    }
    if (!lex_accept(&l, "(")) lex_unexpected(&l, "'('");
    while (!l.failed && !lex_is(&l, ")")) {
        parse_arg(&l, call);
        if (!lex_is(&l, ")") && !lex_accept(&l, ",")) lex_unexpected(&l, "',' or ')'");
    }
    lex_next(&l);
    if (!l.failed && l.kind != TOK_END) lex_unexpected(&l, "the end of the call");
    return l.failed ? NULL : call;
}
