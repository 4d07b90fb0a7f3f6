/* Loop IR as CUDA C. */
#ifndef NVRTC_EMIT_H
#define NVRTC_EMIT_H
#include "loop/loop.h"

enum { CUDA_LANES = 16, CUDA_TASKS = 8 }; /* threads of a block: CUDA_LANES x CUDA_TASKS */

/* What kernels call: conversions between f32 and the 16-bit storage types, without cuda_fp16.h. Once per program, in
 * front of the kernels. */
void cuda_prelude(Buf *out);
/* Appends one __global__ function f->name(args...), whose block runs CUDA_TASKS tasks and whose grid has
 * ceil(f->ntasks / CUDA_TASKS) blocks. Needs no header. */
void cuda_emit(Buf *out, const Func *f);
#endif
