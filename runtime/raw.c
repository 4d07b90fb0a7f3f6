/* Raw tensors: from a safetensors file into a program, a batch at a time. */
#include "raw.h"
#include "err.h"
#include "model.h"
#include <stdlib.h>
#include <string.h>

void rt_raw_read(RtRaw *r, const char *path, const RtExec *e, const char *name)
{
    RtError err;
    const RtTensor *t = rt_exec_tensor(e, name);
    if (!t) rt_fail(RT_EXIT_USAGE, "C003", "this program takes no '%s'", name);
    RtSt *f = rt_st_open(path);
    const RtStTensor *x = rt_st_find(f, name);
    if (!x) rt_fail(RT_EXIT_DATA, "W007", "'%s': missing '%s'", rt_esc(path), name);
    r->batch = (int)rt_exec_program(e)->batch;
    r->row = rt_tensor_count(t) / r->batch;
    r->rows = x->rank ? x->dim[0] : 0;
    /* Class labels are [N] here and [N,1] there; everything else must agree in every dimension. */
    bool fits = r->rows > 0 && x->count == r->rows * r->row && x->rank <= t->rank + 1;
    for (int a = 1; a < t->rank && a < x->rank; a++) fits = fits && x->dim[a] == t->dim[a];
    if (!fits) {
        rt_fail(RT_EXIT_DATA, "W008",
                "'%s': '%s' is not a number of rows of %lld values, as the model takes them",
                rt_esc(path), name, (long long)r->row);
    }
    r->values = rt_st_values(f, x, t->dtype == RT_F32, &err);
    if (!r->values) rt_fail(err.exit, err.id, "%s", err.text);
    rt_st_free(f);
}

void rt_raw_free(RtRaw *r)
{
    free(r->values);
}

void rt_raw_put(const RtRaw *r, RtExec *e, const char *name, int64_t first, int64_t n)
{
    const char *p = r->values + 4 * first * r->row;
    rt_exec_set_rows(e, name, p, 0, n);
    for (int64_t i = n; i < r->batch; i++) rt_exec_set_rows(e, name, p, i, i + 1);
}
