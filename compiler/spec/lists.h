/* Lists of calls in the blocks data and metrics. Private to spec/. */
#ifndef SPEC_LISTS_H
#define SPEC_LISTS_H
#include "spec/spec.h"

void lists_read_normalize(Spec *s, const Yaml *data);
void lists_read_transforms(Spec *s, const Yaml *data);
void lists_read_metrics(Spec *s);
#endif
