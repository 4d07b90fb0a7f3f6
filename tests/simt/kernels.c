/* Loop IR -> CUDA C -> functions that a test calls as it calls compiled ones. */
#include "internal.h"
#include "nvrtc/skeleton.h"
#include "support/buf.h"
#include "support/diag.h"
#include <dlfcn.h>
#include <string.h>

/* Called by the functions of a module's table. */
void simt_tasks(SimtModule *m, int kernel, void *const *args, long long begin, long long end);
void simt_tasks(SimtModule *m, int kernel, void *const *args, long long begin, long long end)
{
    enum { MOST_ARGS = 64 };
    static uint64_t seed;
    const Func *f = m->func[kernel];
    Geometry g = backend_nvrtc.launch(f);
    SimtArg arg[MOST_ARGS];
    SimtLaunch l = {{g.grid[0], g.grid[1], g.grid[2]}, {g.block[0], g.block[1], g.block[2]}, g.shared, arg, f->nargs, ++seed};
    bug_if(begin != 0 || end != f->ntasks, "%s: a grid runs all tasks, not [%lld, %lld)", f->name, begin, end);
    bug_if(f->nargs > MOST_ARGS, "%s: %d arguments", f->name, f->nargs);
    for (int i = 0; i < f->nargs; i++) {
        const LBuf *u = f->buf.v[i];
        arg[i] = (SimtArg){args[i], (size_t)u->count * (size_t)ltype_size(u->type), true, u->type == LT_F32};
    }
    if (simt_launch(m, kernel, &l) != SIMT_OK) fatal(EXIT_CHECK, "%s: %s", f->name, simt_said());
}

KernelFn *simt_load(Func *const *f, int n, bool checked)
{
    Buf text = {0};
    Arena *a = arena_new();
    const char **name = NEWN(a, const char *, n + 1);
    cuda_kernels(&text, f, n);
    for (int i = 0; i < n; i++) name[i] = f[i]->name;
    SimtModule *m = simt_open(text.s ? text.s : "", name, n, checked);
    Func **kept = NEWN(m->a, Func *, n + 1);
    memcpy(kept, f, sizeof *kept * (size_t)n);
    m->func = kept;
    buf_free(&text);
    arena_free(a);
    return dlsym(m->lib, "simt_table");
}
