/* Writes the objects to a temporary folder, links them with `cc -shared` and opens the result. */
#include "kernel_load.h"
#include "support/diag.h"
#include "support/file.h"
#include <dlfcn.h>
#include <stdlib.h>

KernelFn *kernels_load(Func *const *f, int n, const Machine *m)
{
    Arena *a = arena_new();
    CodegenOptions o = {.threads = 1};
    Object *obj;
    char *err, *dir = file_temp_dir(a), *so = arena_printf(a, "%s/k.so", dir);
    int nobj = backend_llvm.compile(f, n, NULL, 0, m, &o, &obj, NULL, NULL), argc = 0;
    char **argv = NEWN(a, char *, nobj + 6);
    argv[argc++] = "cc";
    argv[argc++] = "-shared";
    argv[argc++] = "-o";
    argv[argc++] = so;
    for (int i = 0; i < nobj; i++) {
        char *path = arena_printf(a, "%s/%d.o", dir, i);
        if (!file_write_atomic(path, obj[i].data, obj[i].size, 0600)) fatal(EXIT_WRITE, "%s", path);
        free(obj[i].data);
        argv[argc++] = path;
    }
    free(obj);
    if (file_run(a, argv, &err)) fatal(EXIT_TOOL, "linking kernels: %s", err);
    void *lib = dlopen(so, RTLD_NOW | RTLD_LOCAL);
    if (!lib) fatal(EXIT_TOOL, "%s", dlerror());
    KernelFn *table = dlsym(lib, "rt_kernels");
    if (!table) fatal(EXIT_TOOL, "%s", dlerror());
    file_remove_tree(dir);
    arena_free(a);
    return table;
}
