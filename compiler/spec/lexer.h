/* The tokens of one scalar. Between lexer.c and expr.c. */
#ifndef SPEC_LEXER_H
#define SPEC_LEXER_H
#include "spec/expr.h"

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

Lexer lex_new(Arena *a, const Yaml *scalar); /* at the first token */
void lex_next(Lexer *l);
bool lex_is(const Lexer *l, const char *text);
bool lex_accept(Lexer *l, const char *text); /* and goes on */
const char *lex_text(const Lexer *l);
Loc lex_part(Lexer *l, size_t begin, size_t end); /* bytes of the scalar as a place in the file */
Loc lex_here(Lexer *l);
/* Reports, unless something was reported already, and ends the input. true: reported, help may
 * follow. */
bool lex_fail(Lexer *l, Loc loc, const char *id, const char *text);
void lex_unexpected(Lexer *l, const char *wanted);
#endif
