/* Loop IR as CUDA C. */
#ifndef NVRTC_EMIT_H
#define NVRTC_EMIT_H
#include "loop/loop.h"

enum {
    CUDA_LANES = 16, CUDA_TASKS = 8, /* threads of a block: CUDA_LANES x CUDA_TASKS */
    CUDA_TAIL_LANES = 4              /* of a thread of a tail */
};

/* Appends one __global__ function f->name(args...), whose block runs CUDA_TASKS tasks and whose grid has
 * ceil(f->ntasks / CUDA_TASKS) blocks. Needs no header. */
void cuda_emit(Buf *out, const Func *f);
/* "const float *__restrict__ a0, float *__restrict__ a1" */
void cuda_parameters(Buf *out, const Func *f);
/* Appends a device function `tail` for kernels from templates: f's arguments, then the number of the task, which 4
 * threads of a one-dimensional block run together. Vectors of f have 16 lanes, and it has no arrays of its own. */
void cuda_emit_tail(Buf *out, const Func *f);
#endif
