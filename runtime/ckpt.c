/* Checkpoints: state tensors to and from safetensors, row-major, under their torch names.
 *
 * In: the state arena, a parsed file. Out: the other one.
 * Rule: a file is checked as a whole before the first weight changes. PyTorch's num_batches_tracked
 * may be missing or be there: nothing depends on it. Not here: what a training run needs besides
 * (resume.c). */
#include "ckpt.h"
#include "err.h"
#include "model.h"
#include "tensor.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool wanted(const RtTensor *t, unsigned roles)
{
    return roles >> t->role & 1;
}

void rt_ckpt_save(const RtState *s, unsigned roles, const char *path, const RtPair *meta, int nmeta,
                  const char *kept)
{
    const RtModel *m = s->model;
    const RtTensor *t = rt_model_states(m);
    RtStTensor *e = rt_alloc(m->nstates, sizeof *e, "a checkpoint");
    int n = 0;
    for (uint32_t i = 0; i < m->nstates; i++, t++) {
        if (!wanted(t, roles)) continue;
        RtStTensor *x = &e[n++];
        x->name = (char *)(uintptr_t)RT_STR(m, t->name);
        strcpy(x->dtype, t->dtype == RT_I32 ? "I32" : "F32");
        x->rank = t->rank;
        memcpy(x->dim, t->dim, sizeof t->dim);
        x->count = rt_tensor_count(t);
        void *plain = rt_alloc((size_t)x->count, 4, "a checkpoint");
        rt_unpack(t, rt_state_at(s, t), plain);
        x->data = plain;
    }
    rt_st_write(path, e, n, meta, nmeta, kept);
    for (int i = 0; i < n; i++) free((void *)(uintptr_t)e[i].data);
    free(e);
}

static void shape_text(char *out, size_t size, int rank, const int64_t *dim)
{
    size_t at = (size_t)snprintf(out, size, "[");
    for (int a = 0; a < rank && at < size; a++) {
        at += (size_t)snprintf(out + at, size - at, "%s%lld", a ? "," : "", (long long)dim[a]);
    }
    if (at < size) snprintf(out + at, size - at, "]");
}

static void check_shape(const RtModel *m, const RtTensor *t, const RtStTensor *x)
{
    if (t->rank == x->rank && !memcmp(t->dim, x->dim, sizeof(int64_t) * t->rank)) return;
    char has[200], wants[200];
    shape_text(has, sizeof has, x->rank, x->dim);
    shape_text(wants, sizeof wants, t->rank, t->dim);
    rt_fail(RT_EXIT_DATA, "W008", "'%s': file %s, model %s", rt_esc(RT_STR(m, t->name)), has,
            wants);
}

static bool optional(const char *name)
{
    size_t n = strlen(name), k = strlen("num_batches_tracked");
    return n >= k && !strcmp(name + n - k, "num_batches_tracked");
}

typedef struct Misfit { /* names on one side only */
    const char *first;
    int n;
} Misfit;

static void note(Misfit *m, const char *name)
{
    if (m->n++ == 0) m->first = name;
}

static char *misfit_text(const Misfit *m, const char *what)
{
    if (m->n == 0) return rt_strdup("");
    if (m->n == 1) return rt_format("%s '%s'", what, rt_esc(m->first));
    return rt_format("%s '%s' (+%d more)", what, rt_esc(m->first), m->n - 1);
}

static void check_names(const RtState *s, unsigned roles, const RtSt *file)
{
    Misfit missing = {0}, extra = {0};
    const RtModel *m = s->model;
    const RtTensor *t = rt_model_states(m);
    for (uint32_t i = 0; i < m->nstates; i++, t++) {
        const char *name = RT_STR(m, t->name);
        if (wanted(t, roles) && !optional(name) && !rt_st_find(file, name)) note(&missing, name);
    }
    for (int i = 0; i < file->n; i++) {
        const char *name = file->tensor[i].name;
        if (!optional(name) && !rt_model_state(m, name)) note(&extra, name);
    }
    if (missing.n + extra.n == 0) return;
    rt_fail(RT_EXIT_DATA, "W007",
            "'%s' does not fit the model: %s%s%s\n--strict=no goes on without them",
            rt_esc(file->name), misfit_text(&missing, "missing"), missing.n && extra.n ? "; " : "",
            misfit_text(&extra, "extra"));
}

/* PyTorch counts batches in I64; the program keeps every state that is no index in f32. */
static void *values(const RtSt *file, const RtStTensor *x, const RtTensor *t, const char *name,
                    RtError *e)
{
    if (t->dtype != RT_F32 || x->dtype[0] != 'I' || !optional(name)) {
        return rt_st_values(file, x, t->dtype == RT_F32, e);
    }
    int32_t *whole = rt_st_values(file, x, false, e);
    if (!whole) return NULL;
    float *out = rt_alloc((size_t)x->count, sizeof *out, "weights");
    for (int64_t i = 0; i < x->count; i++) out[i] = (float)whole[i];
    free(whole);
    return out;
}

void rt_ckpt_load(RtState *s, unsigned roles, const RtSt *file, bool strict)
{
    const RtModel *m = s->model;
    const RtTensor *t = rt_model_states(m);
    if (strict) check_names(s, roles, file);
    void **plain = rt_alloc(m->nstates, sizeof *plain, "weights");
    for (uint32_t i = 0; i < m->nstates; i++) {
        const char *name = RT_STR(m, t[i].name);
        const RtStTensor *x = wanted(&t[i], roles) ? rt_st_find(file, name) : NULL;
        if (!x) continue;
        check_shape(m, &t[i], x);
        RtError e;
        plain[i] = values(file, x, &t[i], name, &e);
        if (!plain[i]) rt_fail(e.exit, e.id, "%s", e.text);
    }
    for (uint32_t i = 0; i < m->nstates; i++) {
        if (plain[i]) rt_pack(&t[i], rt_state_at(s, &t[i]), plain[i]);
        free(plain[i]);
    }
    free(plain);
}

const char *rt_ckpt_nonfinite(const RtState *s)
{
    const RtTensor *t = rt_model_states(s->model);
    for (uint32_t i = 0; i < s->model->nstates; i++, t++) {
        const float *p = rt_state_at(s, t);
        for (int64_t k = 0; t->dtype == RT_F32 && k < t->layout.count; k++) {
            if (!isfinite(p[k])) return RT_STR(s->model, t->name);
        }
    }
    return NULL;
}
