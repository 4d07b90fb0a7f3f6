/* Loop IR as CUDA C. */
#ifndef NVRTC_EMIT_H
#define NVRTC_EMIT_H
#include "loop/loop.h"

enum { CUDA_LANES = 16, CUDA_TASKS = 8 }; /* threads of a block: CUDA_LANES x CUDA_TASKS */

/* Appends one __global__ function f->name(args...), whose block runs CUDA_TASKS tasks and whose grid has
 * ceil(f->ntasks / CUDA_TASKS) blocks. Needs no header. */
void cuda_emit(Buf *out, const Func *f);
#endif
