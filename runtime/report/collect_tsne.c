/* t-SNE of a layer's output, where the description asks for it: report.tsne.
 *
 * In: items of the train and of the val split (of test where there is no val). Out: "tsne" of report.json.
 * Rule: items are evenly spread over the split; features that have a plane are averaged over it. The seed is the
 * run's. */
#include "../err.h"
#include "../model.h"
#include "../tsne.h"
#include "collect.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ITEMS = 500, ITERATIONS = 1000 };

typedef struct Features {
    int64_t n, d;
    float *x;       /* [n][d] */
    int32_t *label; /* [n] */
} Features;

static const RtTensor *layer_of(const RtCollect *x, const char **name)
{
    *name = rt_option_str(&x->t->s->opt, "report.tsne.layer", "output");
    const RtTensor *t = rt_exec_tensor(x->feed->exec, *name);
    if (!t) rt_fail(RT_EXIT_BUG, "B001", "the program lacks the layer '%s'", rt_esc(*name));
    return t;
}

/* Means over what lies behind axis 1. */
static void add_rows(Features *f, const float *rows, int n, int64_t plane)
{
    for (int64_t i = 0; i < n * f->d; i++) {
        double sum = 0;
        for (int64_t k = 0; k < plane; k++) sum += (double)rows[i * plane + k];
        f->x[f->n * f->d + i] = (float)(sum / (double)plane);
    }
    f->n += n;
}

static void gather(const RtCollect *x, const char *name, const RtTensor *t, enum RtSplit split, int64_t n, Features *f)
{
    RtFeed *feed = x->feed;
    int64_t items = rt_data_count(x->t->data, split), all = rt_tensor_count(t), plane = 1, index[1];
    for (int a = 2; a < t->rank; a++) plane *= t->dim[a];
    *f = (Features){.d = all / feed->batch / plane};
    f->x = rt_alloc((size_t)(n * f->d), sizeof *f->x, "features");
    f->label = rt_alloc((size_t)n * (size_t)feed->label_size, sizeof *f->label, "labels");
    float *input = rt_alloc((size_t)(feed->batch * feed->input_size), sizeof *input, "a batch"),
          *rows = rt_alloc((size_t)all, sizeof *rows, "features");
    for (int64_t at = 0; at < n; at += feed->batch) {
        int count = (int)(n - at < feed->batch ? n - at : feed->batch);
        RtError e;
        for (int i = 0; i < count; i++) {
            index[0] = (at + i) * items / n;
            if (!rt_data_batch(x->t->data, split, index, 1, false, 0, 0, input + i * feed->input_size, &f->label[at + i], &e))
                rt_fail(e.exit, e.id, "%s", e.text);
        }
        rt_feed_put(feed, input, f->label + at, count);
        rt_feed_run(feed);
        rt_exec_get(feed->exec, name, rows);
        add_rows(f, rows, count, plane);
    }
    free(input);
    free(rows);
}

static void write_points(const RtCollect *x, const char *split, const char *layer, const Features *f, int dims, const float *y)
{
    RtJson *j = x->j;
    rt_json_object(j, NULL);
    rt_json_str(j, "split", split);
    rt_json_str(j, "layer", layer);
    rt_json_array(j, "label");
    for (int64_t i = 0; i < f->n; i++) rt_json_int(j, NULL, f->label[i]);
    rt_json_end_array(j);
    rt_json_array(j, "x");
    for (int a = 0; a < dims; a++) {
        rt_json_array(j, NULL);
        for (int64_t i = 0; i < f->n; i++) rt_json_num(j, NULL, round(1e3 * (double)y[i * dims + a]) / 1e3);
        rt_json_end_array(j);
    }
    rt_json_end_array(j);
    rt_json_end_object(j);
}

static void embed(const RtCollect *x, enum RtSplit split, const char *split_name)
{
    const RtOptions *o = &x->t->s->opt;
    int64_t most = rt_option_int(o, "report.tsne.items", ITEMS), items = rt_data_count(x->t->data, split);
    const char *name, *dims = rt_option_str(o, "report.tsne.dims", "2,3");
    const RtTensor *t = layer_of(x, &name);
    Features f;
    if (items < 4) return;
    gather(x, name, t, split, items < most ? items : most, &f);
    float *y = rt_alloc((size_t)f.n * 3, sizeof *y, "points");
    for (int d = 2; d <= 3; d++) {
        RtTsne tsne = {.dims = d, .perplexity = rt_option_num(o, "report.tsne.perplexity", 30), .iterations = ITERATIONS,
                       .seed = x->t->seed, .pool = x->t->s->pool};
        if (!strchr(dims, '0' + d)) continue;
        if (!rt_tsne_run(&tsne, f.x, f.n, f.d, y)) rt_fail(RT_EXIT_MEMORY, "E003", "cannot allocate the t-SNE");
        write_points(x, split_name, name, &f, d, y);
    }
    free(y);
    free(f.x);
    free(f.label);
}

void rt_collect_tsne(const RtCollect *x)
{
    RtData *d = x->t->data;
    if (!rt_model_option(x->t->s->model, "report.tsne", NULL)) return;
    if (rt_data_label_size(d) > 1 || x->feed->classes == 0) return; /* points have the colours of classes */
    bool val = rt_data_count(d, RT_SPLIT_VAL) > 0;
    rt_json_array(x->j, "tsne");
    embed(x, RT_SPLIT_TRAIN, "train");
    embed(x, val ? RT_SPLIT_VAL : RT_SPLIT_TEST, val ? "val" : "test");
    rt_json_end_array(x->j);
}
