/* Arguments that are one number or a few: a transform's degrees=30 or degrees=(-10, 30). Private to
 * spec/. */
#ifndef SPEC_NUMBERS_H
#define SPEC_NUMBERS_H
#include "ops/op.h"
#include "spec/expr.h"

typedef enum NumbersFault {
    NUMBERS_FINE,
    NUMBERS_KIND, /* no numbers, or not as many: the caller says what is wanted */
    NUMBERS_SAID  /* anything else: it has been reported */
} NumbersFault;

NumbersFault numbers_set(Arena *a, const AttrDef *d, const Val *v, AttrVal *out);
const char *numbers_wanted(Arena *a, const AttrDef *d); /* "1 or 2 whole numbers" */
const char *numbers_text(Arena *a, const AttrVal *v);   /* "0.5", "(1,2)" */
#endif
