/* Kernels from templates, and modules of kernels of both kinds. */
#ifndef NVRTC_SKELETON_H
#define NVRTC_SKELETON_H
#include "backend.h"

/* What all kernels call (cuda/prelude.cuh); needs no header. */
void cuda_prelude(Buf *out);
/* Every kernel, from its template if it has a skeleton. Behind the prelude: the source of one NVRTC program. */
void cuda_kernels(Buf *out, Func *const *f, int n);
Geometry cuda_launch(const Func *f);
#endif
