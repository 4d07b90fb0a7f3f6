/* Tuning for CPUs: what contractions are computed by, decided by a clock. Rounds: while (measure_next()) gives algorithms,
 * the loops of a schedule by them go to measure_take(). measure_end() times what differs, on this computer, and gives the
 * fastest of each. */
#ifndef MEASURE_H
#define MEASURE_H
#include "loops.h"

typedef struct Measuring Measuring;
Measuring *measure_begin(Arena *a, const Groups *g, const Machine *m, bool use_cache);
const Algorithm *measure_next(Measuring *t); /* by group id; NULL: that was all */
void measure_take(Measuring *t, const Loops *l); /* which must live until the end */
const Algorithm *measure_end(Measuring *t, Buf *out); /* out: what was chosen, as text */
#endif
