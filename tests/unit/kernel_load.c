#include "kernel_load.h"
#include <stdlib.h>

const KernelFn *kernels_load(Func *const *f, int n, const Machine *m)
{
    Arena *a = arena_new();
    CodegenOptions o = {.threads = 1};
    Object *obj;
    int nobj = backend_llvm.compile(f, n, NULL, 0, m, &o, &obj, NULL, NULL);
    Loaded l = load_kernels(a, obj, nobj);
    for (int i = 0; i < nobj; i++) free(obj[i].data);
    free(obj);
    arena_free(a);
    return l.kernel;
}
