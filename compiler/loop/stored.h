/* The float formats that are stored and not computed in, by integer operations: what LT_F16 (IEEE 754 binary16: 5 bits of
 * exponent, 10 of fraction), LT_BF16 (the upper half of a binary32: 8 and 7) and LT_TF32 (a binary32 whose low 13 bits are
 * 0: 8 and 10) mean. Software twins of the hardware's conversions, for folding, the interpreter and tests. */
#ifndef LOOP_STORED_H
#define LOOP_STORED_H
#include "loop/loop.h"

float stored_to_f32(LType t, uint32_t bits); /* exact; subnormals, infinities and signed zeros too */
/* To nearest, ties to even, of TF32 away from 0; too large: infinity; NaN stays NaN. */
uint32_t stored_from_f32(LType t, float x);
/* The same, in memory. */
float stored_get(LType t, const void *at);
void stored_put(LType t, void *at, float x);
#endif
