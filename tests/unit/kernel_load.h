/* Compiles kernels and loads them into this process, for tests. */
#ifndef KERNEL_LOAD_H
#define KERNEL_LOAD_H
#include "load.h"

typedef LoadedKernel KernelFn;
/* -> the kernels, in order. They stay loaded until the process ends. m must be able to run here. */
const KernelFn *kernels_load(Func *const *f, int n, const Machine *m);
#endif
