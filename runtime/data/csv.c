/* Comma-separated values: see csv.h.
 *
 * rule: a row is one line unless quotes hold a line break; "" in quotes is one quote; spaces belong to fields.
 */
#include "csv.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FILE ((uint64_t)1 << 30)

bool rt_csv_fail(const RtCsv *c, RtError *e, const char *fmt, ...)
{
    char why[384];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    return rt_data_fail(e, RT_EXIT_DATA, "D021", "%s:%" PRId64 ": %s", rt_esc(c->name), c->line, why);
}

bool rt_csv_open(RtCsv *c, const char *path, const char *name, RtError *e)
{
    *c = (RtCsv){.name = name, .line = 1, .next_line = 1};
    RtSource *s = rt_source_open(path, false, e);
    if (!s) return false;
    uint64_t size = rt_source_size(s);
    bool ok = size <= MAX_FILE || rt_data_fail(e, RT_EXIT_DATA, "D021", "'%s': over 1 GiB", rt_esc(name));
    if (ok) c->text = rt_data_alloc(size + 1, 1, "a list of files", e);
    int64_t got = c->text ? rt_source_read(s, c->text, (size_t)size, e) : -1;
    rt_source_close(s);
    c->at = c->text;
    if (got > 2 && !memcmp(c->at, "\xef\xbb\xbf", 3)) c->at += 3; /* a mark that some editors write */
    if (got >= 0 && memchr(c->text, 0, (size_t)got)) {
        for (const char *p = c->text; *p; p++) c->line += *p == '\n';
        got = -1;
        rt_csv_fail(c, e, "a NUL byte");
    }
    if (got >= 0) return true;
    rt_csv_close(c);
    return false;
}

/* One field from c->at; unquotes in place. false: quotes that are not closed, or go on after their end. */
static bool take_field(RtCsv *c, char **field)
{
    char *to = *field = c->at;
    if (*c->at != '"') {
        c->at += strcspn(c->at, ",\r\n");
        return true;
    }
    for (char *p = c->at + 1;; p++) {
        if (!*p) return false;
        c->next_line += *p == '\n';
        if (*p == '"' && *++p != '"') {
            c->at = p;
            bool ends = !*p || strchr(",\r\n", *p);
            if (ends && to < p) *to = 0;
            return ends;
        }
        *to++ = *p;
    }
}

int rt_csv_next(RtCsv *c, RtError *e)
{
    for (; *c->at == '\n' || *c->at == '\r'; c->at++) c->next_line += *c->at == '\n';
    c->line = c->next_line;
    c->n = 0;
    if (!*c->at) return 0;
    for (;;) {
        if (c->n == RT_CSV_FIELDS) return rt_csv_fail(c, e, "more than %d fields", RT_CSV_FIELDS) - 1;
        if (!take_field(c, &c->field[c->n++])) return rt_csv_fail(c, e, "quotes that do not end with the field") - 1;
        char end = *c->at;
        if (end) *c->at++ = 0;
        c->next_line += end == '\n';
        if (end != ',') return 1;
    }
}

int rt_csv_column(const RtCsv *c, const char *name)
{
    for (int i = 0; i < c->n; i++)
        if (!strcmp(c->field[i], name)) return i;
    return -1;
}

int rt_csv_split(const char *word)
{
    static const char *const name[RT_NSPLITS] = {"train", "val", "test"};
    for (int s = 0; s < RT_NSPLITS; s++)
        if (!strcmp(word, name[s])) return s;
    return -1;
}

void rt_csv_close(RtCsv *c)
{
    free(c->text);
    c->text = NULL;
}

void rt_csv_put(FILE *f, const char *s)
{
    if (!strpbrk(s, ",\"\r\n")) {
        fputs(s, f);
        return;
    }
    fputc('"', f);
    for (; *s; s++) {
        if (*s == '"') fputc('"', f);
        fputc(*s, f);
    }
    fputc('"', f);
}
