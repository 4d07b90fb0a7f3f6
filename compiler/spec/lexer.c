/* The words of an expression: numbers, names, strings, signs, each with its place inside the
 * scalar. In: a scalar. Out: one token after the other. Rule: only the first error of a scalar is
 * reported. Not here: the grammar (expr.c). */
#include "spec/lexer.h"
#include <ctype.h>
#include <string.h>

enum { MAX_NAME = 200, MAX_LENGTH = 8192 };

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
Loc lex_part(Lexer *l, size_t begin, size_t end)
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

Loc lex_here(Lexer *l)
{
    return lex_part(l, l->begin, l->end);
}

const char *lex_text(const Lexer *l)
{
    return arena_strndup(l->arena, l->s + l->begin, l->end - l->begin);
}

/* true if this is the scalar's first error, so that help may follow */
bool lex_fail(Lexer *l, Loc loc, const char *id, const char *text)
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
    if (i - l->begin > MAX_NAME)
        lex_fail(l, lex_here(l), "S045", "a name of more than 200 characters");
}

static void lex_string(Lexer *l)
{
    const char *close = strchr(l->s + l->begin + 1, l->s[l->begin]);
    if (!close) {
        lex_fail(l, lex_part(l, l->begin, l->begin + 1), "S045", "the quote is not closed");
        return;
    }
    l->end = (size_t)(close - l->s) + 1;
    l->kind = TOK_STRING;
}

void lex_next(Lexer *l)
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

bool lex_is(const Lexer *l, const char *text)
{
    size_t n = strlen(text);
    return l->kind != TOK_END && l->kind != TOK_STRING && l->end - l->begin == n &&
           memcmp(l->s + l->begin, text, n) == 0;
}

bool lex_accept(Lexer *l, const char *text)
{
    if (!lex_is(l, text)) return false;
    lex_next(l);
    return true;
}

void lex_unexpected(Lexer *l, const char *wanted)
{
    if (l->kind == TOK_END) {
        size_t n = strlen(l->s);
        lex_fail(l, n ? lex_part(l, n - 1, n) : lex_here(l), "S045",
                 arena_printf(l->arena, "expected %s, but the value ends here", wanted));
        return;
    }
    const char *t = lex_text(l);
    bool first =
        lex_fail(l, lex_here(l), "S045",
                 arena_printf(l->arena, "expected %s, got '%s'", wanted, yaml_show(l->arena, t)));
    if (first && strcmp(t, "/") == 0) diag_help("`//` divides integers, rounding down");
    if (first && strcmp(t, "=") == 0) diag_help("`==` compares");
}

Lexer lex_new(Arena *a, const Yaml *scalar)
{
    Lexer l = {.arena = a, .from = scalar, .s = scalar->text};
    if (strlen(l.s) > MAX_LENGTH)
        lex_fail(&l, scalar->loc, "S045", "an expression of more than 8192 bytes");
    else
        lex_next(&l);
    return l;
}
