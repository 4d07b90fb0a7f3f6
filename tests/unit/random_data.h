/* Random numbers for a graph's inputs and states, the reference run on them, and the comparison of
 * results. */
#ifndef RANDOM_DATA_H
#define RANDOM_DATA_H
#include "ref.h"
#include "support/vec.h"

typedef enum DataKind { DATA_TRAINING, DATA_INFERENCE, DATA_WHOLE } DataKind;

typedef struct Data {
    DataKind kind; /* DATA_WHOLE: small whole numbers */
    uint64_t seed;
    int nudge;   /* not 0: every number a little beside itself, in one of many ways */
    bool single; /* every result of the reference rounded to single precision */
} Data;

uint64_t data_key(uint64_t seed, const char *s);           /* a number made from a text */
RefEnv *data_run(Arena *a, const Graph *g, const Data *d); /* the caller frees it */

typedef struct Result {
    const char *name;
    const double *x;
    int64_t n;
} Result;
typedef VEC(Result) Results;

/* The outputs, then the new states by name. run: as run_graph gives them; NULL: the reference's. */
Results results_of(Arena *a, const Graph *g, const RefEnv *env, double **run);
/* The largest relative L2 distance, and whose; exact: 0, or infinite. */
double results_distance(const Results *x, const Results *want, bool exact, const char **where);
#endif
