/* Buf: a growing text buffer. Running out of memory is fatal, as in the arena. */
#include "support/buf.h"
#include "support/diag.h"
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for n more bytes and the NUL. */
static void reserve(Buf *b, size_t n)
{
    if (n > SIZE_MAX / 4) fatal(EXIT_MEMORY, "cannot allocate %zu bytes", n);
    if (b->n + n + 1 <= b->cap) return;
    size_t cap = b->cap ? b->cap : 256;
    while (cap < b->n + n + 1) cap *= 2;
    char *s = realloc(b->s, cap);
    if (!s) fatal(EXIT_MEMORY, "cannot allocate %zu bytes", cap);
    b->s = s;
    b->cap = cap;
}

void buf_write(Buf *b, const void *p, size_t n)
{
    reserve(b, n);
    if (n) memcpy(b->s + b->n, p, n);
    b->n += n;
    b->s[b->n] = 0;
}

void buf_putc(Buf *b, char c)
{
    buf_write(b, &c, 1);
}

void buf_puts(Buf *b, const char *s)
{
    buf_write(b, s, strlen(s));
}

void buf_printf(Buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    bug_if(n < 0, "bad format '%s'", fmt);
    reserve(b, (size_t)n);
    vsnprintf(b->s + b->n, (size_t)n + 1, fmt, again);
    b->n += (size_t)n;
    va_end(again);
    va_end(ap);
}

void buf_free(Buf *b)
{
    free(b->s);
    *b = (Buf){0};
}
