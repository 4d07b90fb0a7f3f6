/* Which parts of the runtime a program is linked with. */
#ifndef PARTS_H
#define PARTS_H
#include "support/arena.h"
#include "stages.h"

/* Symbols of the parts that these values ask for; target: of another device than the CPU ("cuda"), or NULL. The list
 * ends with NULL. */
const char *const *parts_wanted(Arena *a, const Setting *option, int n, const char *target);
#endif
