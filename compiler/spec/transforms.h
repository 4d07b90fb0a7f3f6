/* The transforms of the language, for `sinter ops`. */
#ifndef SPEC_TRANSFORMS_H
#define SPEC_TRANSFORMS_H
#include "support/arena.h"

/* "RandomCrop(size, padding=0, ...)"; NULL behind the last. */
const char *transforms_signature(Arena *a, int i);
#endif
