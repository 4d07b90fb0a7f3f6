/* Stands in for the PTX interpreter while the host's side is tested: knows the kernels of test_virtual.c by name. Its
 * symbols are weak, so the interpreter takes their place where it is linked. */
#include "cuda/virtual/ptx.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma weak ptx_load
#pragma weak ptx_unload
#pragma weak ptx_kernel
#pragma weak ptx_variable
#pragma weak ptx_target
#pragma weak ptx_param_count
#pragma weak ptx_param_size
#pragma weak ptx_static_shared
#pragma weak ptx_max_threads
#pragma weak ptx_space_new
#pragma weak ptx_space_free
#pragma weak ptx_space_add
#pragma weak ptx_space_remove
#pragma weak ptx_space_holds
#pragma weak ptx_run

struct PtxKernel {
    const char *name;
    int n;
    size_t size[2];
    unsigned max;
};
struct PtxModule {
    int counter[4];
};
static const PtxKernel known[] = {{"fill", 2, {8, 4}, 1024},
                                  {"add", 2, {8, 8}, 1024},
                                  {"put", 1, {4}, 1024},
                                  {"small", 0, {0}, 64}};
struct PtxSpace {
    struct {
        char *p;
        size_t n;
    } v[100];
    int n;
};

PtxModule *ptx_load(const char *text, char **error)
{
    if (strstr(text, "nonsense")) {
        *error = strdup("line 6: nonsense is not known");
        return NULL;
    }
    return calloc(1, sizeof(PtxModule));
}
void ptx_unload(PtxModule *m)
{
    free(m);
}
const PtxKernel *ptx_kernel(const PtxModule *m, const char *name)
{
    (void)m;
    for (int i = 0; i < 4; i++)
        if (!strcmp(known[i].name, name)) return &known[i];
    return NULL;
}
static PtxModule *last;
void *ptx_variable(const PtxModule *m, const char *name, size_t *bytes)
{
    last = (PtxModule *)m;
    if (strcmp(name, "counter")) return NULL;
    *bytes = 16;
    return (void *)m->counter;
}
int ptx_target(const PtxModule *m)
{
    (void)m;
    return 80;
}
int ptx_param_count(const PtxKernel *k)
{
    return k->n;
}
size_t ptx_param_size(const PtxKernel *k, int i)
{
    return k->size[i];
}
size_t ptx_static_shared(const PtxKernel *k)
{
    (void)k;
    return 0;
}
unsigned ptx_max_threads(const PtxKernel *k)
{
    return k->max;
}
PtxSpace *ptx_space_new(void)
{
    return calloc(1, sizeof(PtxSpace));
}
void ptx_space_free(PtxSpace *s)
{
    free(s);
}
void ptx_space_add(PtxSpace *s, const void *base, size_t bytes)
{
    s->v[s->n].p = (char *)base;
    s->v[s->n++].n = bytes;
}
bool ptx_space_remove(PtxSpace *s, const void *base)
{
    for (int i = 0; i < s->n; i++)
        if (s->v[i].p == base) {
            s->v[i] = s->v[--s->n];
            return true;
        }
    return false;
}
bool ptx_space_holds(const PtxSpace *s, const void *p, size_t bytes)
{
    for (int i = 0; i < s->n; i++)
        if ((char *)p >= s->v[i].p && (char *)p + bytes <= s->v[i].p + s->v[i].n) return true;
    return false;
}
char *ptx_run(const PtxLaunch *l, const PtxSpace *s, PtxProfile *profile)
{
    size_t n = (size_t)l->grid[0] * l->block[0];
    float *p = l->kernel->n ? *(float **)l->params[0] : NULL;
    if (!strcmp(l->kernel->name, "put")) {
        last->counter[1] = *(int *)l->params[0];
        return NULL;
    }
    for (size_t i = 0; i < n && l->kernel->n == 2; i++) {
        if (!ptx_space_holds(s, p + i, 4)) return strdup("fill: outside of all memory");
        if (!strcmp(l->kernel->name, "fill"))
            p[i] = *(float *)l->params[1];
        else
            p[i] += (*(float **)l->params[1])[i];
    }
    if (profile) {
        profile->store_requests += n / 32;
        profile->store_sectors += n / 8;
        profile->store_bytes += n * 4;
    }
    return NULL;
}
