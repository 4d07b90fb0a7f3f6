/* Errors of the built program.
 *
 * In: a message with an ID and an exit code. Out: one line on stderr (and help lines), then exit.
 * Rule: bytes below 32, 127 and broken UTF-8 never reach the terminal.
 * Not here: what the IDs mean (the catalogue is in the documentation). */
#include "err.h"
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ESC_MAX = 80, ESC_RING = 8 };

void (*rt_before_message)(void);

/* Length of the valid UTF-8 sequence at s (at most n bytes); 0 if there is none. */
static size_t utf8_len(const unsigned char *s, size_t n)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = s[0] < 0x80       ? 1
                 : s[0] >> 5 == 6  ? 2
                 : s[0] >> 4 == 14 ? 3
                 : s[0] >> 3 == 30 ? 4
                                   : 0;
    if (len == 0 || len > n) return 0;
    if (len == 1) return 1;
    uint32_t c = s[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if (s[i] >> 6 != 2) return 0;
        c = c << 6 | (s[i] & 63u);
    }
    /* U+0080..U+009F are control characters to a terminal. */
    return c < least[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) || c < 0xa0 ? 0 : len;
}

const char *rt_esc_n(const char *s, size_t n)
{
    static _Thread_local char ring[ESC_RING][ESC_MAX + 8];
    static _Thread_local unsigned turn;
    char *out = ring[turn++ % ESC_RING];
    size_t o = 0;
    for (size_t i = 0; i < n;) {
        const unsigned char *p = (const unsigned char *)s + i;
        size_t len = utf8_len(p, n - i);
        bool plain = len > 1 || (len == 1 && *p >= 32 && *p != 127);
        size_t need = plain ? len : 4;
        if (o + need > ESC_MAX) {
            memcpy(out + o, "...", 4);
            return out;
        }
        if (plain)
            memcpy(out + o, p, len);
        else
            snprintf(out + o, 5, "\\x%02x", *p);
        o += need;
        i += plain ? len : 1;
    }
    out[o] = 0;
    return out;
}

const char *rt_esc(const char *s)
{
    return rt_esc_n(s, strlen(s));
}

/* Length of a leading "file: " or "file:12: " without its last ": "; 0: the text has no place. */
static size_t place_len(const char *s)
{
    size_t n = strcspn(s, " '\"");
    if (n < 2 || s[n] != ' ' || s[n - 1] != ':' || s[0] == '-') return 0;
    return n - 1;
}

static void print(const char *kind, const char *id, const char *fmt, va_list ap)
{
    char text[2048];
    vsnprintf(text, sizeof text, fmt, ap);
    if (rt_before_message) rt_before_message();
    fflush(stdout);
    char *line = text, *rest = strchr(text, '\n');
    if (rest) *rest++ = 0;
    size_t place = place_len(line);
    if (place) fprintf(stderr, "%.*s: ", (int)place, line);
    fprintf(stderr, "%s[%s]: %s\n", kind, id, line + (place ? place + 2 : 0));
    while (rest) {
        line = rest;
        rest = strchr(rest, '\n');
        if (rest) *rest++ = 0;
        fprintf(stderr, "  = help: %s\n", line);
    }
}

void rt_fail(int exit_code, const char *id, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    print("error", id, fmt, ap);
    va_end(ap);
    _exit(exit_code); /* not exit: other threads may be at work on what its handlers would take down
                       */
}

void rt_warn(const char *id, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    print("warning", id, fmt, ap);
    va_end(ap);
}

void *rt_alloc(size_t n, size_t size, const char *what)
{
    size_t total;
    void *p = NULL;
    if (!__builtin_mul_overflow(n, size, &total)) p = calloc(1, total ? total : 1);
    if (!p) {
        rt_fail(RT_EXIT_MEMORY, "E003", "cannot allocate %.1f MiB for %s",
                (double)n * (double)size / 1048576, what);
    }
    return p;
}

char *rt_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    return memcpy(rt_alloc(n, 1, "a name"), s, n);
}

char *rt_format(const char *fmt, ...)
{
    va_list ap;
    char *s = NULL;
    va_start(ap, fmt);
    int n = vasprintf(&s, fmt, ap);
    va_end(ap);
    if (n < 0) rt_fail(RT_EXIT_MEMORY, "E003", "cannot allocate a message");
    return s;
}
