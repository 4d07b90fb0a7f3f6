/* What is linked on demand (parts.def). */
#ifndef RUNTIME_PARTS_H
#define RUNTIME_PARTS_H
#include "err.h"

/* The part that `key: word` of the description brings along, to be cast to its type. NULL: there is no such part, or
 * this program was built without it; *e (may be NULL) says which key of the description it takes. */
const void *rt_part(const char *key, const char *word, RtError *e);
#endif
