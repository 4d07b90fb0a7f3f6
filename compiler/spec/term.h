/* The tree of an expression: between expr.c (which makes it) and value.c (which evaluates it). */
#ifndef SPEC_TERM_H
#define SPEC_TERM_H
#include "spec/expr.h"

typedef enum TermKind { TERM_VALUE, TERM_NAME, TERM_OP, TERM_IF, TERM_LIST } TermKind;
typedef enum TermOp {
    OP_NONE_,
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_MOD,
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_GT,
    OP_LE,
    OP_GE,
    OP_AND,
    OP_OR,
    OP_NOT,
    OP_NEG,
    OP_POS,
    OP_INDEX
} TermOp;

struct Term {
    TermKind kind;
    TermOp op;
    const char *op_text;
    Val val;               /* TERM_VALUE; TERM_NAME: val.s is the name */
    const Term *a, *b, *c; /* operands; IF: value, condition, otherwise */
    VEC(const Term *) list;
    Loc loc;
};
#endif
