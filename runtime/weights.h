/* Weight files of any format: safetensors and the three forms of torch.save.
 *
 * The one header of the runtime's library that the compiler's command line includes as well:
 * `sinter weights` is rt_weights_main. */
#ifndef RUNTIME_WEIGHTS_H
#define RUNTIME_WEIGHTS_H
#include "safetensors.h"

/* Told apart by the first bytes, never by the name. Exits 4 when the file is bad. */
RtSt *rt_weights_open(const char *path);
/* NULL: e says why. */
RtSt *rt_weights_read(const char *path, RtError *e);

/* ls|diff|convert|verify and their arguments; returns the exit code. */
int rt_weights_main(int argc, char **argv);
#endif
