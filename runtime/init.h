/* First values of the state. */
#ifndef RUNTIME_INIT_H
#define RUNTIME_INIT_H
#include "exec.h"

/* Every state tensor that nobody replaces before it is needed begins as its description says. Once, on a new state. The
 * same (seed, tensor name) always gives the same values, whatever else the model holds. */
void rt_init_state(RtState *s, uint64_t seed);
#endif
