/* Tuning: which tiles of contractions are predicted to be fastest on GPUs. Rounds: while (tune_next()) the schedule
 * has other tiles; its loops go to tune_count(). tune_end() gives it the best ones. */
#ifndef TUNE_H
#define TUNE_H
#include "loops.h"

typedef struct Tuning Tuning;
Tuning *tune_begin(Arena *a, const Schedule *s, const char *const *arch, int narch, bool use_cache);
bool tune_next(Tuning *t);
void tune_count(Tuning *t, const Loops *l);
void tune_end(Tuning *t, Buf *out); /* what was chosen, as text */
#endif
