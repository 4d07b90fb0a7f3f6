/* State tensors to safetensors, row-major, under their torch names.
 *
 * In: the state arena. Out: a file.
 * Not here: loading (ckpt_load.c), what a training run needs besides (resume.c). */
#include "ckpt.h"
#include "err.h"
#include "model.h"
#include "tensor.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool rt_ckpt_is_counter(const char *name)
{
    static const char last[] = "num_batches_tracked";
    size_t n = strlen(name), k = sizeof last - 1;
    return n >= k && !strcmp(name + n - k, last);
}

static const void *plain_values(RtState *s, const RtTensor *t, RtStTensor *x)
{
    void *plain = rt_alloc((size_t)x->count, 4, "a checkpoint");
    rt_unpack(t, rt_state_read(s, t), plain);
    if (t->dtype != RT_F32 || !rt_ckpt_is_counter(x->name)) return plain;
    int64_t *whole = rt_alloc((size_t)x->count, sizeof *whole, "a checkpoint");
    for (int64_t i = 0; i < x->count; i++) whole[i] = (int64_t)((const float *)plain)[i];
    free(plain);
    strcpy(x->dtype, "I64");
    return whole;
}

void rt_ckpt_save(RtState *s, unsigned roles, const char *path, const RtPair *meta, int nmeta,
                  const char *kept)
{
    const RtModel *m = s->model;
    const RtTensor *t = rt_model_states(m);
    RtStTensor *e = rt_alloc(m->nstates, sizeof *e, "a checkpoint");
    int n = 0;
    for (uint32_t i = 0; i < m->nstates; i++, t++) {
        if (!(roles >> t->role & 1)) continue;
        RtStTensor *x = &e[n++];
        x->name = (char *)(uintptr_t)RT_STR(m, t->name);
        strcpy(x->dtype, t->dtype == RT_I32 ? "I32" : "F32");
        x->rank = t->rank;
        memcpy(x->dim, t->dim, sizeof t->dim);
        x->count = rt_tensor_count(t);
        x->data = plain_values(s, t, x);
    }
    rt_st_write(path, e, n, meta, nmeta, kept);
    for (int i = 0; i < n; i++) free((void *)(uintptr_t)e[i].data);
    free(e);
}

/* Where the loss is scaled, a sum of gradients may overflow: that update is left out and the sum thrown away. */
static bool may_overflow(const RtModel *m, const char *name)
{
    size_t n = strlen(name);
    return n > 9 && !strcmp(name + n - 9, ".grad_sum") && rt_model_state(m, "loss_scale");
}

const char *rt_ckpt_nonfinite(RtState *s)
{
    const RtTensor *t = rt_model_states(s->model);
    for (uint32_t i = 0; i < s->model->nstates; i++, t++) {
        if (may_overflow(s->model, RT_STR(s->model, t->name))) continue;
        const float *p = rt_state_read(s, t);
        for (int64_t k = 0; t->dtype == RT_F32 && k < t->layout.count; k++) {
            if (!isfinite(p[k])) return RT_STR(s->model, t->name);
        }
    }
    return NULL;
}
