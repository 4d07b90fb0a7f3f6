/* t-SNE: points of many dimensions as points of two or three, neighbours beside neighbours.
 *
 * in:  x [n][d], finite; out: [n][dims], centred
 * rule: the same numbers for any number of threads */
#ifndef RUNTIME_TSNE_H
#define RUNTIME_TSNE_H
#include "thread.h"

typedef struct RtTsne {
    int dims;          /* 2 or 3 */
    double perplexity; /* 5..50 usually; at most (n-1)/3, which is taken instead of more */
    int iterations;    /* 1000 */
    uint64_t seed;     /* of where points begin */
    RtPool *pool;      /* NULL: the caller's thread alone */
    double divergence; /* out: of what was reached, in nats */
} RtTsne;

/* False: out of memory, a number is not finite, or fewer than 4 points. */
bool rt_tsne_run(RtTsne *t, const float *x, int64_t n, int64_t d, float *out);
bool rt_tsne(const float *x, int64_t n, int64_t d, int dims, double perplexity, int iterations,
             uint64_t seed, float *out);

/* p [n][n]: row i is how likely i takes each of the others for its neighbour; every row has the perplexity. */
bool rt_tsne_neighbours(const float *x, int64_t n, int64_t d, double perplexity, RtPool *pool,
                        float *p);
#endif
