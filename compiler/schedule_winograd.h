/* Between schedule_winograd.c (what the algorithm applies to, and the choice of sizes) and schedule_winograd_time.c (how long
 * each would take). */
#ifndef SCHEDULE_WINOGRAD_H
#define SCHEDULE_WINOGRAD_H
#include "schedule.h"
#include "winograd.h"

typedef struct WinogradChoice {
    const Schedule *s;
    const Contract *c;
    double tiles, k, channels; /* of the whole contraction */
    int64_t kblocks;
    int64_t tasks;             /* that it should have at least */
    double in, out; /* operations that transform a tile of one channel */
    double filter[WINOGRAD_MOST + 1]; /* and the weights of a pair of channels, by rows at once, but for stores */
    bool loaded;    /* weights of 16 neighbours k are a vector in memory */
    Winograd plain; /* what is the same with all sizes */
    Winograd best;  /* so far; m = 0: none */
    double least;
} WinogradChoice;

static inline int64_t winograd_up(int64_t a, int64_t b) /* a / b, rounded up */
{
    return (a + b - 1) / b;
}

/* Of one core, in multiply-adds of one of its lanes. */
double winograd_time(const WinogradChoice *q, const Winograd *w);
double winograd_gradient_time(const WinogradChoice *q, const Winograd *w);
double winograd_direct_time(const WinogradChoice *q); /* of the sum as it stands */
/* Bytes of a block's transformed inputs, its products, and the weights that a task transforms itself. */
double winograd_inputs_bytes(const Winograd *w);
double winograd_results_bytes(const Winograd *w);
double winograd_panels_bytes(const Winograd *w);
/* And of a gradient's sums and its two operands. */
double winograd_sums_bytes(const Winograd *w);
double winograd_operands_bytes(const Winograd *w);
#endif
