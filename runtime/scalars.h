/* The run-time numbers that kernels read. A name that the model does not have is passed over. */
#ifndef RUNTIME_SCALARS_H
#define RUNTIME_SCALARS_H
#include "exec.h"
#include "options.h"

void rt_scalars_set(RtState *s, const char *name, double value);
/* A float's value in seven digits, as it was written. */
double rt_scalars_get(const RtState *s, const char *name, double otherwise);
/* lr and seed, from the options. Everything else keeps the description's value. */
void rt_scalars_start(RtState *s, const RtOptions *o);
/* Before optimizer step `step` (the first is 1): step and Adam's bias corrections. */
void rt_scalars_step(RtState *s, const RtOptions *o, int64_t step);
#endif
