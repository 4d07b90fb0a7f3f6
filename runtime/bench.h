/* What bench.c measures and bench_print.c prints. */
#ifndef RUNTIME_BENCH_H
#define RUNTIME_BENCH_H
#include "exec.h"
#include "json.h"
#include <stdbool.h>

enum { RT_LANES = 2 };

typedef struct RtLane { /* one variant of one comparison */
    uint32_t variant;
    const RtProgram *program;
    RtState *state;
    RtExec *exec;
    double *seconds; /* [samples], in the order measured */
    double p50, p90, p99;
    double low, high;    /* 95 % interval of the median */
    uint32_t steps;      /* of a run */
    double flops, bytes; /* of a run, from the steps */
    uint64_t memory;     /* arenas: state, prepared weights, activations */
    double *step_ns;     /* --profile: mean of each step; else NULL */
} RtLane;

typedef struct RtDiff { /* the largest difference between the lanes; tensor NULL: not compared */
    const char *tensor;
    double abs, rel; /* rel: over the largest value of the tensor */
} RtDiff;

typedef struct RtBench { /* one comparison: phase x batch x threads */
    const RtModel *model;
    uint32_t phase, batch;
    int threads, nlanes, samples;
    RtLane lane[RT_LANES];
    double speedup, lo, hi; /* of lane 0 over lane 1 */
    RtDiff diff;
} RtBench;

/* Inference is measured without its loss, as predict runs it. */
static inline bool rt_bench_runs(const RtProgram *p, const RtStep *s)
{
    return p->phase == RT_TRAIN || !s->for_loss;
}

/* Machine and table head, to stdout. peak here and below: FLOP/s that the device can do; 0: not known. */
void rt_bench_head(const RtModel *m, const RtDevice *d, int threads, double peak);
void rt_bench_print(const RtBench *b, double peak);
void rt_bench_json(RtJson *j, const RtBench *b, double peak);

/* ---- bench_compare.c ---- */

typedef struct json_t RtBaseline;               /* a file that --json wrote */
RtBaseline *rt_baseline_open(const char *path); /* exits 4 */
void rt_baseline_close(RtBaseline *base);
/* Prints how the lanes compare; returns how many are slower. */
int rt_baseline_compare(const RtBaseline *base, const RtBench *b, bool text);

const char *rt_variant_name(uint32_t variant);
const char *rt_phase_name(uint32_t phase);
#endif
