/* Numbers for the report that are no scores: brightness of images, classes of masks, times of kernels.
 *
 * In: images of the splits, the programs. Out: "brightness", "pixels" and "programs" of report.json.
 * Rule: at most 1000 images and 200 masks of a split are looked at, evenly spread; a program is timed for at most a third of a
 * second. */
#include "../err.h"
#include "../model.h"
#include "../stats.h"
#include "chart.h"
#include "collect.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_IMAGES = 1000, MOST_MASKS = 200, LEAST_RUNS = 3, MOST_RUNS = 20 };

/* ---- brightness ---- */

static double brightness(const RtCollect *x, const float *chw)
{
    size_t plane = (size_t)x->h * (size_t)x->w;
    double sum = 0;
    for (size_t k = 0; k < plane * (size_t)x->c; k++)
        sum += (double)chw[k] * x->config.std[k / plane] + x->config.mean[k / plane];
    return fmin(fmax(255 * sum / (double)(plane * (size_t)x->c), 0), 255);
}

static void write_density(RtJson *j, double *v, int n)
{
    int bin[RT_DENSITY] = {0};
    if (!n) {
        rt_json_str(j, NULL, NULL);
        return;
    }
    for (int i = 0; i < n; i++) {
        int k = (int)(v[i] * RT_DENSITY / 255);
        bin[k < RT_DENSITY ? k : RT_DENSITY - 1]++;
    }
    rt_sort(v, n);
    rt_json_object(j, NULL);
    rt_json_int(j, "items", n);
    rt_json_array(j, "bins");
    for (int i = 0; i < RT_DENSITY; i++) rt_json_int(j, NULL, bin[i]);
    rt_json_end_array(j);
    rt_json_array(j, "quartiles");
    for (int i = 1; i < 4; i++) rt_json_num(j, NULL, round(100 * rt_quantile(v, n, i / 4.0)) / 100);
    rt_json_end_array(j);
    rt_json_end_object(j);
}

static void split_brightness(const RtCollect *x, const char *key, enum RtSplit split)
{
    RtData *d = x->t->data;
    int64_t items = rt_data_count(d, split), n = items < MOST_IMAGES ? items : MOST_IMAGES;
    int classes = rt_data_nclasses(d);
    float *chw = rt_alloc((size_t)x->feed->input_size, sizeof *chw, "an image");
    double *v = rt_alloc((size_t)n + 1, 2 * sizeof *v, "brightness");
    int32_t *label = rt_alloc((size_t)n + 1, sizeof *label, "brightness");
    for (int64_t i = 0; i < n; i++) {
        RtError e;
        int64_t index = i * items / n;
        if (!rt_data_batch(d, split, &index, 1, false, 0, 0, chw, &label[i], &e)) rt_fail(e.exit, e.id, "%s", e.text);
        v[i] = brightness(x, chw);
    }
    rt_json_array(x->j, key);
    for (int k = 0; k < classes && n; k++) {
        int count = 0;
        for (int64_t i = 0; i < n; i++)
            if (label[i] == k) v[n + 1 + count++] = v[i];
        write_density(x->j, v + n + 1, count);
    }
    rt_json_end_array(x->j);
    free(chw);
    free(v);
    free(label);
}

void rt_collect_brightness(const RtCollect *x)
{
    if (!x->c || rt_data_label_size(x->t->data) > 1 || !rt_data_nclasses(x->t->data)) return;
    rt_json_object(x->j, "brightness");
    split_brightness(x, "train", RT_SPLIT_TRAIN);
    split_brightness(x, "val", RT_SPLIT_VAL);
    rt_json_end_object(x->j);
}

/* ---- classes of masks ---- */

static void split_pixels(const RtCollect *x, const char *key, enum RtSplit split)
{
    RtData *d = x->t->data;
    int64_t items = rt_data_count(d, split), n = items < MOST_MASKS ? items : MOST_MASKS, size = rt_data_label_size(d);
    int classes = rt_data_nclasses(d);
    float *chw = rt_alloc((size_t)x->feed->input_size, sizeof *chw, "an image");
    int32_t *label = rt_alloc((size_t)size, sizeof *label, "a mask");
    int64_t *count = rt_alloc((size_t)classes + 1, sizeof *count, "classes");
    for (int64_t i = 0; i < n; i++) {
        RtError e;
        int64_t index = i * items / n;
        if (!rt_data_batch(d, split, &index, 1, false, 0, 0, chw, label, &e)) rt_fail(e.exit, e.id, "%s", e.text);
        for (int64_t k = 0; k < size; k++)
            if (label[k] >= 0 && label[k] < classes) count[label[k]]++;
    }
    rt_json_array(x->j, key);
    for (int k = 0; k < classes && n; k++) rt_json_int(x->j, NULL, count[k]);
    rt_json_end_array(x->j);
    free(chw);
    free(label);
    free(count);
}

void rt_collect_pixels(const RtCollect *x)
{
    if (rt_data_label_size(x->t->data) == 1) return;
    rt_json_object(x->j, "pixels");
    split_pixels(x, "train", RT_SPLIT_TRAIN);
    split_pixels(x, "val", RT_SPLIT_VAL);
    split_pixels(x, "test", RT_SPLIT_TEST);
    rt_json_end_object(x->j);
}

/* ---- kernels ---- */

static double time_steps(RtExec *e, double *ns, uint32_t n)
{
    int runs = 0;
    double spent = 0;
    while (runs < LEAST_RUNS || (runs < MOST_RUNS && spent < 0.3e9)) {
        rt_exec_run_profile(e, ns);
        runs++;
        spent = 0;
        for (uint32_t i = 0; i < n; i++) spent += ns[i];
    }
    for (uint32_t i = 0; i < n; i++) ns[i] /= runs;
    return spent / runs;
}

static void write_program(const RtCollect *x, RtExec *e, const char *phase)
{
    const RtModel *m = x->t->s->model;
    const RtProgram *p = rt_exec_program(e);
    const RtStep *s = RT_AT(m, RtStep, p->steps);
    RtJson *j = x->j;
    double *ns = rt_alloc((size_t)p->nsteps + 1, sizeof *ns, "a profile");
    time_steps(e, ns, p->nsteps);
    rt_json_object(j, NULL);
    rt_json_str(j, "phase", phase);
    rt_json_int(j, "batch", p->batch);
    rt_json_array(j, "steps");
    for (uint32_t i = 0; i < p->nsteps; i++) {
        char kernel[24];
        snprintf(kernel, sizeof kernel, "%c%02u", s[i].kind == RT_STEP_KERNEL ? 'k' : 'c', s[i].kernel);
        rt_json_object(j, NULL);
        rt_json_str(j, "kernel", kernel);
        rt_json_str(j, "nest", RT_STR(m, s[i].nest));
        rt_json_str(j, "layers", RT_STR(m, s[i].layers));
        rt_json_int(j, "line", s[i].line);
        rt_json_num(j, "us", round(ns[i]) / 1e3);
        rt_json_num(j, "flops", s[i].flops);
        rt_json_num(j, "bytes", s[i].bytes);
        rt_json_end_object(j);
    }
    rt_json_end_array(j);
    rt_json_end_object(j);
    free(ns);
}

void rt_collect_programs(const RtCollect *x)
{
    const RtProgram *p = rt_exec_program(x->feed->exec);
    const RtStep *s = RT_AT(x->t->s->model, RtStep, p->steps);
    double flops = 0;
    for (uint32_t i = 0; i < p->nsteps; i++) flops += s[i].flops;
    rt_json_num(x->j, "flops", flops / p->batch);
    rt_json_array(x->j, "programs");
    write_program(x, x->feed->exec, "inference");
    write_program(x, x->t->train.exec, "training step");
    rt_json_end_array(x->j);
}
