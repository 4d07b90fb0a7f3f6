/* What build.c and fold.c share: nobody else includes it. */
#ifndef LOOP_FOLD_H
#define LOOP_FOLD_H
#include "loop/loop.h"

Expr *expr_new(LB *b, ExprKind kind, LType type); /* with the next id of b->f */
#endif
