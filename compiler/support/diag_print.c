/* How a record looks: as clang prints, or as one JSON object on a line.
 * In: a record and the registered sources. Out: text in a Buf.
 * Rule: what comes from a file is untrusted: control characters and characters that change the
 * direction of writing are made visible, long lines are cut to a window round the caret. Columns
 * count characters. */
#include "support/diag_record.h"
#include <stdint.h>
#include <string.h>

enum { MAX_TEXT = 600, WINDOW = 100, WINDOW_BEFORE = 50 };

/* One UTF-8 character at s[0..n) -> its length; *c = -1 for a byte that is none. */
static int decode(const char *s, size_t n, int32_t *c)
{
    const unsigned char *p = (const unsigned char *)s;
    int len = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;
    *c = -1;
    if (len == 0 || p[0] > 0xf4 || (size_t)len > n) return 1;
    int32_t v = len == 1 ? p[0] : p[0] & (0x7f >> len);
    for (int i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) return 1;
        v = v << 6 | (p[i] & 0x3f);
    }
    *c = v;
    return len;
}

/* Characters that a terminal must not see: C0, C1, and those that reorder or hide text. */
static bool is_unsafe(int32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}

void diag_escape(Buf *b, const char *s)
{
    size_t n = strlen(s), at = 0;
    while (at < n && at < MAX_TEXT) {
        int32_t c;
        int len = decode(s + at, n - at, &c);
        if (c < 0 || (is_unsafe(c) && c < 0x80))
            buf_printf(b, "\\x%02x", (unsigned char)s[at]);
        else if (is_unsafe(c))
            buf_printf(b, "\\u{%x}", (unsigned)c);
        else
            buf_write(b, s + at, (size_t)len);
        at += (size_t)len;
    }
    if (at < n) buf_puts(b, "...");
}

/* The text of a line, without its end; false if there is no such line. */
static bool find_line(const DiagSource *src, int line, const char **text, size_t *len)
{
    const char *p = src->text, *end = src->text + src->len;
    for (int k = 1; k < line; k++) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        if (!nl) return false;
        p = nl + 1;
    }
    const char *nl = memchr(p, '\n', (size_t)(end - p));
    *text = p;
    *len = (size_t)((nl ? nl : end) - p);
    if (*len && p[*len - 1] == '\r') *len -= 1;
    return true;
}

static int count_chars(const char *s, size_t n)
{
    int count = 0;
    int32_t c;
    for (size_t at = 0; at < n; count++) at += (size_t)decode(s + at, n - at, &c);
    return count;
}

/* Characters [first, first + count) of the line; each takes one column, so that the caret fits. */
static void put_window(Buf *b, const char *s, size_t n, int first, int count)
{
    int32_t c;
    size_t at = 0;
    for (int k = 0; at < n && k < first + count; k++) {
        int len = decode(s + at, n - at, &c);
        if (k >= first) {
            if (c == '\t')
                buf_putc(b, ' ');
            else if (c < 0 || is_unsafe(c))
                buf_putc(b, '?');
            else
                buf_write(b, s + at, (size_t)len);
        }
        at += (size_t)len;
    }
}

static void put_repeat(Buf *b, char c, int n)
{
    for (int i = 0; i < n; i++) buf_putc(b, c);
}

/* The source line and the caret line. */
static void put_source(Buf *b, Loc loc, const char *under)
{
    const DiagSource *src = diag_find_source(loc.file);
    const char *line;
    size_t len;
    if (!src || !find_line(src, loc.line, &line, &len)) {
        if (under) {
            buf_puts(b, "      = ");
            diag_escape(b, under);
            buf_putc(b, '\n');
        }
        return;
    }
    int chars = count_chars(line, len), first = 0, show = chars;
    if (chars > WINDOW + 6) {
        first = loc.col - 1 > WINDOW_BEFORE ? loc.col - 1 - WINDOW_BEFORE : 0;
        show = chars - first < WINDOW ? chars - first : WINDOW;
    }
    buf_printf(b, "%5d | %s", loc.line, first ? "..." : "");
    put_window(b, line, len, first, show);
    buf_printf(b, "%s\n      | ", first + show < chars ? "..." : "");
    int col = loc.col - 1 - first, carets = loc.len;
    if (carets > show - col) carets = show - col;
    put_repeat(b, ' ', (first ? 3 : 0) + col);
    buf_putc(b, '^');
    put_repeat(b, '~', carets - 1);
    if (under) {
        buf_putc(b, ' ');
        diag_escape(b, under);
    }
    buf_putc(b, '\n');
}

static void put_head(Buf *b, Loc loc, const char *severity, const char *id, const char *text)
{
    if (loc.file) {
        diag_escape(b, loc.file);
        buf_puts(b, loc.line ? "" : ": ");
        if (loc.line) buf_printf(b, ":%d:%d: ", loc.line, loc.col);
    }
    buf_puts(b, severity);
    if (id) buf_printf(b, "[%s]", id);
    buf_puts(b, ": ");
    diag_escape(b, text);
    buf_putc(b, '\n');
}

void diag_print_text(Buf *b, const DiagRecord *r)
{
    put_head(b, r->loc, r->warning ? "warning" : "error", r->id, r->text);
    if (r->loc.file && r->loc.line) put_source(b, r->loc, r->under);
    for (int i = 0; i < r->help.n; i++) {
        buf_puts(b, "      = help: ");
        diag_escape(b, r->help.v[i]);
        buf_putc(b, '\n');
    }
    for (int i = 0; i < r->note.n; i++) {
        put_head(b, r->note.v[i].loc, "note", NULL, r->note.v[i].text);
        if (r->note.v[i].loc.file && r->note.v[i].loc.line) put_source(b, r->note.v[i].loc, NULL);
    }
}

void diag_json_string(Buf *b, const char *s)
{
    size_t n = strlen(s);
    int32_t c;
    buf_putc(b, '"');
    for (size_t at = 0; at < n;) {
        int len = decode(s + at, n - at, &c);
        if (c < 0)
            buf_puts(b, "\\ufffd");
        else if (c == '"' || c == '\\')
            buf_printf(b, "\\%c", (char)c);
        else if (is_unsafe(c))
            buf_printf(b, "\\u%04x", (unsigned)c);
        else
            buf_write(b, s + at, (size_t)len);
        at += (size_t)len;
    }
    buf_putc(b, '"');
}

static void put_json_place(Buf *b, Loc loc)
{
    if (!loc.file) return;
    buf_puts(b, "\"file\":");
    diag_json_string(b, loc.file);
    if (loc.line)
        buf_printf(b, ",\"line\":%d,\"column\":%d,\"length\":%d", loc.line, loc.col, loc.len);
    buf_putc(b, ',');
}

void diag_print_json(Buf *b, const DiagRecord *r)
{
    buf_putc(b, '{');
    put_json_place(b, r->loc);
    buf_printf(b, "\"severity\":\"%s\"", r->warning ? "warning" : "error");
    if (r->id) {
        buf_puts(b, ",\"id\":");
        diag_json_string(b, r->id);
    }
    buf_puts(b, ",\"message\":");
    diag_json_string(b, r->text);
    if (r->under) {
        buf_puts(b, ",\"under\":");
        diag_json_string(b, r->under);
    }
    buf_puts(b, ",\"help\":[");
    for (int i = 0; i < r->help.n; i++) {
        if (i) buf_putc(b, ',');
        diag_json_string(b, r->help.v[i]);
    }
    buf_puts(b, "],\"notes\":[");
    for (int i = 0; i < r->note.n; i++) {
        buf_puts(b, i ? ",{" : "{");
        put_json_place(b, r->note.v[i].loc);
        buf_puts(b, "\"message\":");
        diag_json_string(b, r->note.v[i].text);
        buf_putc(b, '}');
    }
    buf_puts(b, "]}\n");
}
