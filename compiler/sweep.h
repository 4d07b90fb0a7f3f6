/* `sinter sweep SPEC --grid KEY=V,V --seeds N`: many runs of one build. */
#ifndef SWEEP_H
#define SWEEP_H
#include <stdbool.h>

enum { SWEEP_KEYS = 8, SWEEP_VALUES = 64, SWEEP_RUNS = 4096 };

typedef struct SweepKey { /* a value of a run, and what it is set to in turn */
    const char *key, *flag; /* "train.lr", "lr" */
    char *value[SWEEP_VALUES];
    int n;
} SweepKey;

typedef struct SweepRun {
    char *dir;
    int at[SWEEP_KEYS]; /* which value of each key */
    int seed;
    int status; /* the program's exit code */
} SweepRun;

typedef struct Sweep {
    const char *spec, *dir;
    SweepKey key[SWEEP_KEYS];
    int nkey, seeds, nrun;
    SweepRun run[SWEEP_RUNS];
} Sweep;

int sweep_main(int argc, char **argv);

/* sweep_table.c: the results of the runs that are done, a line for each point of the grid: means over the seeds and their
 * spread; the same as JSON ("-": to stdout instead). */
void sweep_report(const Sweep *s, const char *json);
#endif
