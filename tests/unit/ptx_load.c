#include "ptx_load.h"
#include "nvrtc/skeleton.h"
#include "support/diag.h"
#include <stdlib.h>

void ptx_emit(Buf *source, const Loops *l, const char *prefix)
{
    Arena *a = arena_new();
    if (!source->n) cuda_prelude(source);
    Func **f = NEWN(a, Func *, l->kernel.n + 1);
    for (int i = 0; i < l->kernel.n; i++) {
        f[i] = NEW(a, Func);
        *f[i] = *l->kernel.v[i].func;
        f[i]->name = arena_printf(a, "%s%s", prefix, f[i]->name);
    }
    cuda_kernels(source, f, l->kernel.n);
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
