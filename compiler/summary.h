/* The table of `sinter check --summary`. */
#ifndef SUMMARY_H
#define SUMMARY_H
#include "plan.h"
#include "stages.h"

/* Prints the layers, their outputs, parameters and multiply-adds, and what memory the programs take. train: NULL if
 * the description does not train. */
void summary_print(Arena *a, const Spec *s, int64_t batch, const Plan *train, const Plan *infer);
/* One line: name, parameters, output. */
void summary_line(const Spec *s, const Graph *g);
const char *summary_bytes(Arena *a, int64_t n); /* "1.2 GiB" */
#endif
