#include "ptx_lex.h"
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void scan_fail(Lex *x, const char *fmt, ...)
{
    char what[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    if (asprintf(&x->message, "PTX line %d: %s", x->line, what) < 0) x->message = NULL;
    longjmp(*x->failed, 1);
}

static const char *skip_comment(Lex *x, const char *p)
{
    if (p[1] == '/') return p + strcspn(p, "\n");
    for (p += 2; *p && !(p[0] == '*' && p[1] == '/'); p++) x->line += *p == '\n';
    return *p ? p + 2 : p;
}

static const char *skip_blanks(Lex *x)
{
    const char *p = x->next;
    for (;;) {
        if (*p == '\n') x->line++;
        if (isspace((unsigned char)*p))
            p++;
        else if (p[0] == '/' && (p[1] == '/' || p[1] == '*'))
            p = skip_comment(x, p);
        else
            return p;
    }
}

static bool name_char(const char *p)
{
    return isalnum((unsigned char)*p) || *p == '_' || *p == '$' || *p == '.' || *p == '%';
}

void scan_next(Lex *x)
{
    const char *p = x->word = skip_blanks(x);
    if (*p == '"') {
        p += 1 + strcspn(p + 1, "\"\n");
        if (*p == '"') p++;
    } else if (name_char(p)) {
        for (; name_char(p) || (p[0] == ':' && p[1] == ':'); p++)
            if (*p == ':') p++;
    } else if (*p) {
        p++;
    }
    x->len = (int)(p - x->word);
    x->next = p;
}

void scan_begin(Lex *x, const char *text)
{
    x->text = x->next = text;
    x->line = 1;
    scan_next(x);
}

bool scan_is(const Lex *x, const char *word)
{
    return strlen(word) == (size_t)x->len && memcmp(word, x->word, (size_t)x->len) == 0;
}

bool scan_take(Lex *x, const char *word)
{
    bool is = scan_is(x, word);
    if (is) scan_next(x);
    return is;
}

void scan_expect(Lex *x, const char *word)
{
    if (!scan_take(x, word)) scan_fail(x, "'%s' expected before '%.*s'", word, x->len, x->word);
}

bool scan_is_number(const Lex *x)
{
    return x->len && isdigit((unsigned char)*x->word);
}

bool scan_is_name(const Lex *x)
{
    return x->len && name_char(x->word) && !scan_is_number(x);
}

uint64_t scan_number(Lex *x, int *float_bits)
{
    char *end, kind = x->len > 2 ? (char)tolower((unsigned char)x->word[1]) : 0;
    if (!scan_is_number(x)) scan_fail(x, "a number expected before '%.*s'", x->len, x->word);
    *float_bits = *x->word != '0' ? 0 : kind == 'f' ? 32 : kind == 'd' ? 64 : 0;
    uint64_t v = *float_bits                      ? strtoull(x->word + 2, &end, 16)
                 : *x->word == '0' && kind == 'b' ? strtoull(x->word + 2, &end, 2)
                                                  : strtoull(x->word, &end, 0);
    if (*end == 'U') end++;
    if (end != x->word + x->len) scan_fail(x, "'%.*s' is not a number", x->len, x->word);
    scan_next(x);
    return v;
}

void scan_skip_line(Lex *x)
{
    x->next = x->word + strcspn(x->word, "\n");
    scan_next(x);
}
