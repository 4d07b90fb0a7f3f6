/* Loop IR -> CUDA C -> PTX, by NVRTC -> a module of the interpreter. For tests; only where cuda_missing() is NULL. */
#ifndef PTX_LOAD_H
#define PTX_LOAD_H
#include "cuda/virtual/ptx.h"
#include "loops.h"
#include "nvrtc/cubin.h"

/* Appends the kernels as CUDA C; the names begin with `prefix`, so that those of many graphs make one program. */
void ptx_emit(Buf *source, const Loops *l, const char *prefix);
PtxModule *ptx_compile(const char *source); /* for sm_80; a module that does not load is a bug */
#endif
