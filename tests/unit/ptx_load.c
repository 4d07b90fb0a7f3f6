#include "ptx_load.h"
#include "nvrtc/emit.h"
#include "support/diag.h"
#include <stdlib.h>

void ptx_emit(Buf *source, const Loops *l, const char *prefix)
{
    Arena *a = arena_new();
    if (!source->n) cuda_prelude(source);
    for (int i = 0; i < l->kernel.n; i++) {
        Func f = *l->kernel.v[i].func;
        f.name = arena_printf(a, "%s%s", prefix, f.name);
        cuda_emit(source, &f);
    }
    arena_free(a);
}

PtxModule *ptx_compile(const char *source)
{
    Object cubin, ptx;
    Buf log = {0};
    char *error;
    cuda_compile(source, "compute_80", &cubin, &ptx, &log); /* no cubin: that is another program's business */
    PtxModule *m = ptx_load(ptx.data, &error);
    bug_if(!m, "%s", error);
    free(cubin.data);
    free(ptx.data);
    buf_free(&log);
    return m;
}
