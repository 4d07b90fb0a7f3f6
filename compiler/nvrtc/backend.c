/* The CUDA backend: kernels -> CUDA C -> one cubin. The model's table has no place in it: the run side reads that
 * from the executable. */
#include "backend.h"
#include "nvrtc/cubin.h"
#include "nvrtc/emit.h"
#include <stdlib.h>
#include <string.h>

static int compile(Func *const *f, int nfunc, const void *blob, size_t blob_size, const Machine *m,
                   const CodegenOptions *o, Object **out, Buf *ir, Buf *as)
{
    Buf source = {0}, log = {0};
    Object ptx;
    (void)blob, (void)blob_size, (void)o;
    cuda_prelude(&source);
    for (int i = 0; i < nfunc; i++) {
        if (i) buf_putc(&source, '\n');
        cuda_emit(&source, f[i]);
    }
    *out = calloc(1, sizeof **out);
    cuda_compile(source.s, m->cpu, *out, &ptx, &log);
    buf_puts(ir, source.s);
    buf_puts(as, ptx.data);
    free(ptx.data);
    buf_free(&source);
    buf_free(&log);
    return 1;
}

static Geometry launch(const Func *f)
{
    unsigned blocks = (unsigned)((f->ntasks + CUDA_TASKS - 1) / CUDA_TASKS);
    return (Geometry){{blocks, 1, 1}, {CUDA_LANES, CUDA_TASKS, 1}, 0};
}

const Backend backend_nvrtc = {.name = "cuda", .compile = compile, .launch = launch};
