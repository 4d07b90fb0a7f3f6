/* Lists of calls in the blocks data and metrics. Private to spec/. */
#ifndef SPEC_LISTS_H
#define SPEC_LISTS_H
#include "spec/spec.h"

enum { LISTS_MOST = 64 };

typedef struct ListDef {
    const char *name; /* NULL ends a table */
    const AttrDef *attrs;
    bool later; /* known to the language, not done by this version */
} ListDef;

bool lists_is(const Yaml *y, const char *what); /* a list that is not too long? NULL is none */
const ListDef *lists_find(Spec *s, const Use *u, const ListDef *defs, const char *what);

void lists_read_normalize(Spec *s, const Yaml *data);
void lists_read_metrics(Spec *s);
void transforms_read(Spec *s, const Yaml *data);
#endif
