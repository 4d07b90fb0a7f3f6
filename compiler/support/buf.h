/* Buf: a growing text buffer (malloc-backed; always NUL-terminated). */
#ifndef SUPPORT_BUF_H
#define SUPPORT_BUF_H
#include <stddef.h>

typedef struct Buf {
    char *s;
    size_t n, cap;
} Buf;

void buf_putc(Buf *b, char c);
void buf_puts(Buf *b, const char *s);
void buf_write(Buf *b, const void *p, size_t n);
void buf_printf(Buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_free(Buf *b);
#endif
