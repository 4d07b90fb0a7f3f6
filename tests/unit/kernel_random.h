/* Random legal kernels over fixed arguments, for comparing two ways to run them. */
#ifndef KERNEL_RANDOM_H
#define KERNEL_RANDOM_H
#include "loop/loop.h"

enum { RANDOM_COUNT = 4096, RANDOM_ARGS = 8 };
/* Arguments: f32, i32, u8, f64 read; f32, i32, u8, f64 written; RANDOM_COUNT elements each. i32
 * elements lie in [0, RANDOM_COUNT). Only operations whose results are fixed to the bit are used.
 */
Func *kernel_random(Arena *a, const char *name, unsigned seed);
#endif
