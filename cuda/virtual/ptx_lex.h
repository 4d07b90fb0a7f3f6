/* PTX text -> words. A word is a name (with its dots: `%tid.x`, `ld.global.nc.f32`, `.reg`), a number as it is written,
 * or one punctuation character; the end is an empty word. Comments and blanks are skipped, lines are counted. */
#ifndef CUDA_VIRTUAL_PTX_LEX_H
#define CUDA_VIRTUAL_PTX_LEX_H
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Lex {
    const char *text, *next; /* after the current word */
    const char *word;
    int len, line;
    jmp_buf *failed; /* where scan_fail goes */
    char *message;   /* malloc'ed, after scan_fail */
} Lex;

void scan_begin(Lex *x, const char *text);
void scan_next(Lex *x);
bool scan_is(const Lex *x, const char *word);
bool scan_take(Lex *x, const char *word);   /* goes on when the word is this one */
void scan_expect(Lex *x, const char *word); /* fails when it is not */
bool scan_is_name(const Lex *x);
bool scan_is_number(const Lex *x);
/* Integers of all bases, 0fXXXXXXXX and 0dXXXXXXXXXXXXXXXX as their bits; a leading minus is a word of its own. */
uint64_t scan_number(Lex *x, int *float_bits); /* float_bits: 0, 32 or 64 */
void scan_skip_line(Lex *x);
_Noreturn void scan_fail(Lex *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#endif
