#include "ptx_kernel.h"
#include "support/diag.h"

PtxModule *ptx_module(const char *text)
{
    char *error;
    PtxModule *m = ptx_load(text, &error);
    bug_if(!m, "%s", error);
    return m;
}

char *ptx_launch(const PtxModule *m, const char *name, const PtxRun *r, PtxProfile *profile)
{
    void *param[4];
    const PtxKernel *k = ptx_kernel(m, name);
    bug_if(!k, "no kernel %s", name);
    PtxSpace *s = ptx_space_new();
    PtxLaunch l = {.kernel = k,
                   .grid = {r->blocks ? r->blocks : 1, 1, 1},
                   .block = {r->threads ? r->threads : 32, 1, 1},
                   .shared = r->shared,
                   .params = param,
                   .check_races = r->races,
                   .budget = r->budget,
                   .threads = r->host_threads ? r->host_threads : 1};
    for (int i = 0; i < 4; i++) {
        param[i] = (void *)&r->buffer[i].at;
        if (r->buffer[i].at) ptx_space_add(s, r->buffer[i].at, r->buffer[i].bytes);
    }
    char *fault = ptx_run(&l, s, profile);
    ptx_space_free(s);
    return fault;
}

char *ptx_try(const char *text, const PtxRun *r, PtxProfile *profile)
{
    PtxModule *m = ptx_module(text);
    char *fault = ptx_launch(m, "k", r, profile);
    ptx_unload(m);
    return fault;
}
