/* CUDA C -> cubin and PTX, by NVRTC, which is looked up at run time: the compiler is built and runs without it. */
#ifndef NVRTC_CUBIN_H
#define NVRTC_CUBIN_H
#include "backend.h"

/* Compiles `source` for one architecture ("sm_80"). cubin and PTX are malloc'ed. What ptxas says of every kernel
 * (registers, spills, shared memory) is appended to log. fatal(EXIT_TOOL) without NVRTC; a source it rejects is a bug
 * of ours and ends with its log. */
void cuda_compile(const char *source, const char *arch, Object *cubin, Object *ptx, Buf *log);
/* All that the result depends on but the source: NVRTC's version and the options. */
void cuda_describe(Buf *out, const char *arch);
unsigned cuda_toolkit(void); /* 13000 of CUDA 13.0, once NVRTC is there */
/* NULL, or why NVRTC cannot be used here. */
const char *cuda_missing(void);
#endif
