/* Feeding programs and reading their answers.
 *
 * In: plain batches. Out: loss, predictions, scores of a split.
 * Rule: sums run in the order of the items, in double, on the caller's thread, so that no number
 * here depends on the number of threads. The loss is a mean over the batch. */
#include "feed.h"
#include "err.h"
#include "model.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static RtTargetKind target_kind(const RtTensor *target, const RtOptions *o)
{
    if (!target) return RT_TARGET_NONE;
    if (!strcmp(rt_option_str(o, "train.target", "label"), "input")) return RT_TARGET_INPUT;
    return target->dtype == RT_I32 ? RT_TARGET_CLASS : RT_TARGET_VALUE;
}

void rt_feed_init(RtFeed *f, RtExec *e, const RtOptions *o)
{
    memset(f, 0, sizeof *f);
    const RtTensor *in = rt_exec_tensor(e, "input"), *out = rt_exec_tensor(e, "output");
    const RtTensor *target = rt_exec_tensor(e, "target");
    if (!in || !out) rt_fail(RT_EXIT_BUG, "B001", "the program lacks 'input' or 'output'");
    f->exec = e;
    f->batch = (int)rt_exec_program(e)->batch;
    f->target = target_kind(target, o);
    f->input_size = rt_tensor_count(in) / f->batch;
    f->output_size = rt_tensor_count(out) / f->batch;
    f->has_loss = rt_exec_tensor(e, "loss") != NULL;
    bool rows = out->rank == 2 && f->target != RT_TARGET_INPUT;
    f->classes = !rows ? 0 : f->output_size == 1 ? 2 : (int)f->output_size;
    f->output = rt_alloc((size_t)(f->output_size * f->batch), sizeof(float), "outputs");
    if (f->target != RT_TARGET_NONE && f->target != RT_TARGET_INPUT &&
        rt_tensor_count(target) != f->batch) {
        rt_fail(RT_EXIT_SPEC, "H007",
                "the loss wants %lld numbers for an item; class labels give one",
                (long long)(rt_tensor_count(target) / f->batch));
    }
}

void rt_feed_free(RtFeed *f)
{
    free(f->output);
}

static void put_labels(RtFeed *f, const int32_t *labels, int n)
{
    for (int i = 0; i < f->batch; i++) {
        int32_t label = labels ? labels[i < n ? i : 0] : 0;
        float value = (float)label;
        const void *row = f->target == RT_TARGET_CLASS ? (const void *)&label : &value;
        rt_exec_set_rows(f->exec, "target", row, i, i + 1);
    }
}

static void put_rows(RtFeed *f, const char *name, const float *input, int n)
{
    rt_exec_set_rows(f->exec, name, input, 0, n);
    for (int i = n; i < f->batch; i++) rt_exec_set_rows(f->exec, name, input, i, i + 1);
}

void rt_feed_put(RtFeed *f, const float *input, const int32_t *labels, int n)
{
    put_rows(f, "input", input, n);
    if (f->target == RT_TARGET_INPUT)
        put_rows(f, "target", input, n);
    else if (f->target != RT_TARGET_NONE)
        put_labels(f, labels, n);
    rt_exec_send(f->exec);
}

int rt_feed_next(RtFeed *f, RtLoader *l, RtBatch *b, RtError *e)
{
    float *input;
    int32_t *labels;
    int got = rt_loader_next(l, &input, &labels, &b->n, e);
    if (got != 1) return got;
    b->input = input;
    memcpy(b->labels, labels, (size_t)b->n * sizeof *labels);
    rt_feed_put(f, input, labels, b->n);
    return 1;
}

void rt_feed_start(RtFeed *f)
{
    rt_exec_run(f->exec);
}

void rt_feed_fetch(RtFeed *f)
{
    rt_exec_get(f->exec, "output", f->output);
}

void rt_feed_run(RtFeed *f)
{
    rt_feed_start(f);
    rt_feed_fetch(f);
}

float rt_feed_loss(const RtFeed *f)
{
    float loss = 0;
    if (f->has_loss) rt_exec_get(f->exec, "loss", &loss);
    return loss;
}

int rt_feed_class(const RtFeed *f, const float *row)
{
    if (f->output_size == 1) return row[0] > 0;
    int best = 0;
    for (int k = 1; k < f->classes; k++) {
        if (row[k] > row[best]) best = k;
    }
    return best;
}

void rt_feed_probabilities(const RtFeed *f, const float *row, double *p)
{
    if (f->output_size == 1) {
        p[1] = 1 / (1 + exp(-(double)row[0]));
        p[0] = 1 - p[1];
        return;
    }
    double top = row[rt_feed_class(f, row)], sum = 0;
    for (int k = 0; k < f->classes; k++) sum += p[k] = exp(row[k] - top);
    for (int k = 0; k < f->classes; k++) p[k] /= sum;
}

/* The sum of the losses of the n items just run. The mean that the program gives covers the whole
 * batch, and rows from n on repeat row 0; a second run of row 0 alone tells what to take off. */
static double loss_sum(RtFeed *f, const RtBatch *b)
{
    double all = (double)rt_feed_loss(f) * f->batch;
    if (b->n == f->batch) return all;
    rt_feed_put(f, b->input, b->labels, 1); /* the last batch: nothing else was put since */
    rt_exec_run(f->exec);
    return all - (double)rt_feed_loss(f) * (f->batch - b->n);
}

static void count(RtFeed *f, const RtBatch *b, RtScore *s)
{
    for (int i = 0; i < b->n && s->confusion; i++) {
        rt_confusion_add(s->confusion, b->labels[i],
                         rt_feed_class(f, f->output + i * f->output_size));
    }
}

static RtLoader *start(RtFeed *f, RtData *d, enum RtSplit split, int64_t n)
{
    int64_t *order = rt_alloc((size_t)n, sizeof *order, "an order");
    for (int64_t i = 0; i < n; i++) order[i] = i;
    RtLoader *l = rt_loader_start(d, split, order, n, f->batch, false, 0, 0, 2);
    if (!l) rt_fail(RT_EXIT_MEMORY, "E004", "cannot start the loader");
    free(order);
    return l;
}

/* Every batch of the loader; returns the sum of the losses. The next batch comes up while one runs. */
static double score_all(RtFeed *f, RtLoader *l, RtScore *score, void (*progress)(int64_t done))
{
    RtError e;
    double sum = 0;
    RtBatch b[2] = {{.labels = rt_alloc((size_t)f->batch, sizeof(int32_t), "labels")},
                    {.labels = rt_alloc((size_t)f->batch, sizeof(int32_t), "labels")}};
    int now = 0, got = rt_feed_next(f, l, &b[now], &e);
    for (; got == 1; now = !now) {
        rt_feed_start(f);
        got = rt_feed_next(f, l, &b[!now], &e);
        rt_feed_fetch(f);
        count(f, &b[now], score);
        if (f->has_loss) sum += loss_sum(f, &b[now]);
        score->n += b[now].n;
        if (progress) progress(score->n);
    }
    if (got < 0) rt_fail(e.exit, e.id, "%s", e.text);
    free(b[0].labels);
    free(b[1].labels);
    return sum;
}

void rt_score(RtFeed *f, RtData *d, enum RtSplit split, RtScore *score,
              void (*progress)(int64_t done))
{
    memset(score, 0, sizeof *score);
    if (f->classes) score->confusion = rt_confusion_new(f->classes);
    RtLoader *l = start(f, d, split, rt_data_count(d, split));
    double sum = score_all(f, l, score, progress);
    rt_loader_stop(l);
    score->loss = f->has_loss && score->n ? sum / (double)score->n : NAN;
    score->accuracy = NAN;
    RtMetrics m;
    if (score->confusion && rt_metrics(score->confusion, &m)) {
        score->accuracy = m.accuracy;
        rt_metrics_free(&m);
    }
}

void rt_score_free(RtScore *s)
{
    if (s->confusion) rt_confusion_free(s->confusion);
}
