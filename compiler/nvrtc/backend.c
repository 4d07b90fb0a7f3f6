/* The CUDA backend: kernels -> CUDA C -> one cubin and its PTX. The model's table has no place in them: the run side
 * reads that from the executable. */
#include "backend.h"
#include "nvrtc/cache.h"
#include "nvrtc/skeleton.h"
#include "support/diag.h"
#include <stdlib.h>
#include <string.h>

static int compile(Func *const *f, int nfunc, const void *blob, size_t blob_size, const Machine *m,
                   const CodegenOptions *o, Object **out, Buf *ir, Buf *as)
{
    Buf source = {0}, log = {0};
    (void)blob, (void)blob_size;
    cuda_prelude(&source);
    cuda_kernels(&source, f, nfunc);
    *out = calloc(3, sizeof **out);
    if (!*out) fatal(EXIT_MEMORY, "out of memory");
    cuda_compile_cached(source.s, m->cpu, !o->no_cache, &(*out)[0], &(*out)[1], &log);
    if (ir) buf_puts(ir, source.s);
    if (as) buf_puts(as, (*out)[1].data);
    buf_putc(&log, 0);
    (*out)[2] = (Object){log.s, log.n};
    buf_free(&source);
    return 3;
}

const Backend backend_nvrtc = {.name = "cuda", .compile = compile, .launch = cuda_launch, .toolkit = cuda_toolkit};
