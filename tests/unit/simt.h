/* Runs emitted CUDA C on the host: compiled as C++ with stand-ins for the built-in names, a fiber per lane, that
 * switch where the code says __syncwarp. Lanes between two barriers run in a random order, so that a missing barrier
 * shows. For tests; needs g++. */
#ifndef SIMT_H
#define SIMT_H
#include "kernel_load.h"

/* -> the kernels, in order, as functions of the ABI's type. They stay loaded until the process ends. */
KernelFn *simt_load(Func *const *f, int n);
#endif
