/* Runs a graph the way a built program does: fuse, schedule, plan, lower, then every kernel in
 * order, by the loop interpreter or as compiled code. For tests that compare with the reference. */
#ifndef RUN_GRAPH_H
#define RUN_GRAPH_H
#include "kernel_load.h"
#include "loops.h"
#include "ref.h"
#include "stages.h"
#include "unit/ptx_load.h"

typedef struct RunMode {
    const char *machine; /* "native", "x86-64-v3"; compiled code must be able to run here */
    bool fused, compiled, reuse;
    bool simt;    /* instead: as CUDA C, on the host */
    bool checked; /* simt: every access is */
    Provider provider; /* of convolutions: what cuDNN would compute is computed naively */
    bool device;  /* instead: on a CUDA device (gpu_run.h) */
    bool ptx;     /* instead: as PTX, interpreted and checked */
    int tile;     /* of a GPU's contractions: schedule_take_tile */
    Algorithm by; /* of all contractions that it may compute */
} RunMode;

/* g has been simplified; env has run it by the reference: inputs, states and scalars are taken from
 * there.
 * -> the outputs in their order, then the new value of every Assign in node order; row-major
 * doubles, in a. Storage without a halo begins as NaN, so that a read of something that was not
 * written shows. */
double **run_graph(Arena *a, const Graph *g, const RefEnv *env, const RunMode *mode);

/* The same in two steps, so that the kernels of many graphs can be compiled by one call.
 * no_rule: a rule of fusion that is left out, or NULL. */
typedef struct Run Run;
Run *run_plan(Arena *a, const Graph *g, const RefEnv *env, const RunMode *mode,
              const char *no_rule);
Run *run_plan_for(Arena *a, const Graph *g, const RefEnv *env, const RunMode *mode,
                  const char *no_rule, const Machine *m); /* m: not the one that mode names */
const Loops *run_loops(const Run *r);
/* fn: the compiled kernels, NULL: the interpreter. backwards: the tasks of a kernel one at a time,
 * the last first; the bits must not differ. Every call begins with fresh memory. */
double **run_execute(Run *r, const KernelFn *fn, bool backwards);
/* By the PTX interpreter: kernel i is called `prefix` and its own name (ptx_emit). NULL: *fault, malloc'ed. */
double **run_ptx(Run *r, const PtxModule *m, const char *prefix, char **fault);
void run_profile(Run *r, PtxProfile *of); /* from now on run_ptx adds what kernel i does to of[i] */
#endif
