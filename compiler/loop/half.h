/* The two 16-bit float formats, by integer operations: what LT_F16 (IEEE 754 binary16: 5 bits of exponent, 10 of
 * fraction) and LT_BF16 (the upper half of a binary32: 8 and 7) mean. Software twins of the hardware's conversions,
 * for folding, the interpreter and tests. */
#ifndef LOOP_HALF_H
#define LOOP_HALF_H
#include "loop/loop.h"

float half_to_f32(LType t, uint16_t h);   /* exact; subnormals, infinities and signed zeros too */
uint16_t half_from_f32(LType t, float x); /* to nearest, ties to even; too large: infinity; NaN stays NaN */
#endif
