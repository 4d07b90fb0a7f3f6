/* Compiles kernels and loads them into this process, for tests. */
#ifndef KERNEL_LOAD_H
#define KERNEL_LOAD_H
#include "backend.h"

typedef void (*KernelFn)(void *const *args, int64_t begin, int64_t end);
/* -> the kernels, in order. They stay loaded until the process ends. m must be able to run here. */
KernelFn *kernels_load(Func *const *f, int n, const Machine *m);
#endif
