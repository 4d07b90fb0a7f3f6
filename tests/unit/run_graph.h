/* Runs a graph the way a built program does: fuse, schedule, plan, lower, then every kernel in
 * order, by the loop interpreter or as compiled code. For tests that compare with the reference. */
#ifndef RUN_GRAPH_H
#define RUN_GRAPH_H
#include "ref.h"
#include "stages.h"

typedef struct RunMode {
    const char *machine; /* "native", "x86-64-v3"; compiled code must be able to run here */
    bool fused, compiled, reuse;
} RunMode;

/* g has been simplified; env has run it by the reference: inputs, states and scalars are taken from
 * there.
 * -> the outputs in their order, then the new value of every Assign in node order; row-major
 * doubles, in a. Storage without a halo begins as NaN, so that a read of something that was not
 * written shows. */
double **run_graph(Arena *a, const Graph *g, const RefEnv *env, const RunMode *mode);
#endif
