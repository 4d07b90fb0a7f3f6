/* Runs the kernels of a program on a CUDA device, through the driver: what `make gpu-check` does to operators and
 * descriptions. The device is the driver's first one; with GPU_CHECK=virtual, that of sinter's own driver. */
#ifndef GPU_RUN_H
#define GPU_RUN_H
#include "loops.h"

bool gpu_wanted(void); /* is GPU_CHECK set? Then tests run on the device, and nowhere else */
/* All launches in order. arena: host memory of the plan's sizes, which goes to the device before and comes back after.
 * Exits with 5 when there is no device, or it fails. */
void gpu_run(const Loops *l, char *const *arena);
#endif
