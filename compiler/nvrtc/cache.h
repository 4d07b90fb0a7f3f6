/* cuda_compile by way of the cache. */
#ifndef NVRTC_CACHE_H
#define NVRTC_CACHE_H
#include "nvrtc/cubin.h"

/* As cuda_compile. use false: neither reads nor writes the cache. */
void cuda_compile_cached(const char *source, const char *arch, bool use, Object *cubin, Object *ptx,
                         Buf *log);
#endif
