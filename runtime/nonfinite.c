/* Where a NaN or an infinity comes from.
 *
 * In: a run whose loss or weights are not finite any more. Out: a message that names the step, the kernel, its layers and
 * their line.
 * Rule: training is the same bits whenever it is run, so nothing is kept for this while it goes well: it is run again
 * from the newest checkpoint, with a copy of the state before each step, and the step that spoils it a third time, kernel
 * by kernel. Not here: what is checked in every step (train.c) and before every checkpoint (resume.c). */
#include "ckpt.h"
#include "err.h"
#include "model.h"
#include "progress.h"
#include "train.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Found {
    const RtStep *step;   /* NULL: none */
    const RtTensor *what; /* its value */
    bool nan;
} Found;

/* Element (i0, i1, ...) in row-major order -> where it lies. */
static int64_t place(const RtLayout *l, int64_t i)
{
    int64_t at = l->base;
    for (int a = l->rank - 1; a >= 0; a--) {
        int64_t k = i % l->dim[a];
        at += k / l->block[a] * l->outer[a] + k % l->block[a] * l->inner[a];
        i /= l->dim[a];
    }
    return at;
}

/* 0: finite, 1: infinite, 2: NaN. */
static int kind_of(const void *storage, uint32_t dtype, int64_t at)
{
    if (dtype == RT_F32) {
        float x = ((const float *)storage)[at];
        return isnan(x) ? 2 : isinf(x) ? 1 : 0;
    }
    uint16_t x = ((const uint16_t *)storage)[at], exponent = dtype == RT_F16 ? 0x7c00 : 0x7f80;
    if ((x & exponent) != exponent) return 0;
    return x & (uint16_t)(0x7fff & ~exponent) ? 2 : 1;
}

static bool look(void *to, RtExec *e, const RtStep *s)
{
    Found *f = to;
    const RtTensor *t = RT_AT(rt_exec_model(e), RtTensor, s->writes);
    for (uint32_t i = 0; i < s->nwrites && !f->step; i++, t++) {
        size_t bytes = (size_t)t->layout.count * (t->dtype == RT_F32 ? 4 : 2);
        int64_t n = 1;
        for (int a = 0; a < t->layout.rank; a++) n *= t->layout.dim[a];
        char *storage = rt_alloc(bytes, 1, "a value");
        rt_exec_peek(e, t->arena, t->offset, storage, bytes);
        for (int64_t k = 0; k < n && !f->step; k++) {
            int kind = kind_of(storage, t->dtype, place(&t->layout, k));
            if (kind) *f = (Found){s, t, kind == 2};
        }
        free(storage);
    }
    return !f->step;
}

static bool spoilt(RtTrain *t, double *loss)
{
    rt_feed_fetch(&t->train);
    *loss = rt_feed_loss(&t->train);
    return !isfinite(*loss) || rt_ckpt_nonfinite(t->s->state);
}

/* Runs the rest of the epoch up to the step that spoils it, at most step `last`; then that one kernel by kernel. */
static bool run_again(RtTrain *t, int64_t last, double *loss, Found *f)
{
    RtError e;
    size_t size = t->s->model->state_size;
    char *before = rt_alloc(size, 1, "a copy of the state");
    RtLoader *l = rt_train_loader(t);
    bool bad = false;
    while (!bad && t->step < last && rt_feed_next(&t->train, l, &t->at[0], &e) == 1) {
        memcpy(before, rt_state_all(t->s->state), size);
        rt_train_begin_step(t);
        bad = spoilt(t, loss);
        t->batch++;
    }
    rt_loader_stop(l);
    if (bad) {
        memcpy(rt_state_all(t->s->state), before, size);
        rt_exec_run_steps(t->train.exec, look, f);
        const char *state = f->step ? NULL : rt_ckpt_nonfinite(t->s->state);
        if (state) f->what = rt_model_state(t->s->model, state);
    }
    free(before);
    return bad;
}

static char *text_of(const RtTrain *t, const Found *f)
{
    const RtModel *m = t->s->model;
    if (!f->what) return rt_strdup("");
    if (!f->step) return rt_format("; first: '%s' after its update", rt_esc(RT_STR(m, f->what->name)));
    const char *layers = RT_STR(m, f->step->layers);
    return rt_format("; first: %s in '%s'%s", f->nan ? "a NaN" : "an infinity", rt_esc(layers),
                     strchr(layers, '\'') ? " (x' is the gradient of x)" : "");
}

void rt_train_nonfinite(RtTrain *t, double loss)
{
    Found f = {0};
    int64_t step = t->step, good = t->saved_step;
    char what[64] = "a weight is not finite";
    rt_progress_line("step %lld: %s; going back to step %lld to find where it began", (long long)step,
                     isnan(loss) || isinf(loss) ? "a value is not finite" : what, (long long)(good < 0 ? 0 : good));
    rt_train_rewind(t);
    while (t->step < step && !run_again(t, step, &loss, &f) && t->batch == t->batches) t->epoch++, t->batch = 0;
    if (!isfinite(loss)) snprintf(what, sizeof what, "loss is %s", isnan(loss) ? "NaN" : "infinite");
    char *where = text_of(t, &f),
         *kept = good < 0 ? rt_strdup("nothing was saved") : rt_format("last good: step %lld", (long long)good), *line = NULL;
    uint32_t number = f.step ? f.step->line : f.what ? f.what->line : 0;
    line = number ? rt_format("%s:%u: ", RT_STR(t->s->model, t->s->model->spec_file), number) : rt_strdup("");
    rt_fail(RT_EXIT_NONFINITE, "N001", "%sstep %lld: %s%s; %s\na smaller --lr may help", line, (long long)t->step, what, where,
            kept);
}
