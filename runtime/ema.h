/* The average of the weights that a program with `ema` keeps among its moments (compiler/spec/steps.c). */
#ifndef RUNTIME_EMA_H
#define RUNTIME_EMA_H
#include "exec.h"

/* Averages and weights change places; a second call puts them back, bit for bit. Programs that derive something from
 * weights must be prepared again. Nothing happens where there are no averages. */
void rt_ema_swap(RtState *s);
/* The sum of the squares of all weights of rank 2 and more that are trained: what the penalty l2 multiplies. */
double rt_weight_norm2(RtState *s);
#endif
