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
    if (!strcmp(rt_option_str(o, "train.target", "label"), "input")) return RT_TARGET_INPUT;
    if (!target) return RT_TARGET_NONE;
    if (target->dtype == RT_I32) return RT_TARGET_CLASS;
    bool mixed = *rt_option_str(o, "data.transforms.batch", "") && target->rank == 2 && target->dim[1] > 1;
    return mixed ? RT_TARGET_SHARES : RT_TARGET_VALUE;
}

/* "CrossEntropyLoss(ignore_index=255)" -> 255; PyTorch's default else. */
static int ignored(const RtModel *m)
{
    static const char key[] = "ignore_index=";
    const char *at = m->loss ? strstr(RT_STR(m, m->loss), key) : NULL;
    return at ? (int)strtol(at + sizeof key - 1, NULL, 10) : -100;
}

static void open_labels(RtFeed *f, const RtTensor *target, const RtTensor *out, const RtOptions *o)
{
    bool mask = !strcmp(rt_option_str(o, "train.target", "label"), "mask");
    f->label_size = 1;
    if (f->target == RT_TARGET_CLASS || f->target == RT_TARGET_VALUE) f->label_size = rt_tensor_count(target) / f->batch;
    if (!mask && f->label_size != 1) {
        rt_fail(RT_EXIT_SPEC, "H007", "the loss wants %lld numbers for an item; class labels give one",
                (long long)f->label_size);
    }
    bool rows = f->target != RT_TARGET_INPUT && (mask ? out->rank == 4 : out->rank == 2);
    int64_t wide = f->output_size / f->label_size;
    f->classes = !rows ? 0 : wide == 1 ? 2 : (int)wide;
    if (f->target == RT_TARGET_SHARES)
        f->shares = rt_alloc((size_t)f->classes, sizeof *f->shares, "labels");
    f->ignore = ignored(rt_exec_model(f->exec));
    f->found = rt_alloc((size_t)f->label_size, sizeof *f->found, "labels");
    if (mask) f->best = rt_alloc((size_t)f->label_size, sizeof *f->best, "labels");
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
    f->output = rt_alloc((size_t)(f->output_size * f->batch), sizeof(float), "outputs");
    open_labels(f, target, out, o);
}

void rt_feed_check(const RtFeed *f, const RtData *d)
{
    bool labels = f->target != RT_TARGET_NONE && f->target != RT_TARGET_INPUT;
    int64_t size = rt_data_label_size(d);
    if (!labels || size == f->label_size) return;
    rt_fail(RT_EXIT_SPEC, "S044", "the data give %s, but the loss compares with %s",
            size > 1 ? "a class for each pixel" : "a class for each image",
            size > 1 ? "labels\nmasks want `target: mask` and an output of the image's size" : "masks");
}

void rt_feed_free(RtFeed *f)
{
    free(f->output);
    free(f->best);
    free(f->found);
    free(f->shares);
}

/* Labels as numbers, for losses that compare values. */
static const float *values_of(RtFeed *f, const int32_t *row, float *value)
{
    for (int64_t k = 0; k < f->label_size; k++) {
        value[k] = (float)row[k];
        if (f->best && (row[k] < 0 || row[k] > 1))
            rt_fail(RT_EXIT_DATA, "D023", "a mask holds %d; this loss knows 0 and 1 and leaves nothing out", row[k]);
    }
    return value;
}

/* Pixels of no class are negative, which the loss always leaves out. row NULL: so are all of them. */
static const int32_t *classes_of(RtFeed *f, const int32_t *row)
{
    for (int64_t k = 0; k < f->label_size; k++) f->found[k] = row && row[k] < f->classes ? row[k] : -1;
    return f->found;
}

/* Row i is `share` of itself and else of the row before it (data.h, rt_loader_share). */
static const float *shares_of(RtFeed *f, const int32_t *row, const int32_t *other, double share)
{
    for (int k = 0; k < f->classes; k++)
        f->shares[k] = (float)((k == *row ? share : 0) + (k == *other ? 1 - share : 0));
    return f->shares;
}

static const float *mixed_value(float *value, int32_t label, int32_t other, double share)
{
    *value = (float)(label * share + other * (1 - share));
    return value;
}

static void put_labels(RtFeed *f, const int32_t *labels, int n, double share)
{
    int64_t size = f->label_size;
    float one, *value = f->best ? f->best : &one;
    int32_t none = 0;
    for (int i = 0; i < f->batch; i++) {
        const int32_t *row = labels ? labels + (i < n ? i : 0) * size : f->best ? f->found : &none;
        if (!labels && f->best) memset(f->found, 0, (size_t)size * sizeof *f->found);
        const void *put = row;
        const int32_t *other = labels && n > 1 ? labels + (i % n ? i % n - 1 : n - 1) * size : row;
        if (f->target == RT_TARGET_SHARES)
            put = shares_of(f, row, i < n ? other : row, share);
        else if (f->target == RT_TARGET_VALUE && share < 1 && !f->best)
            put = mixed_value(&one, *row, *other, share);
        else if (f->target == RT_TARGET_VALUE)
            put = values_of(f, row, value);
        else if (f->best)
            put = classes_of(f, i < n ? row : NULL);
        rt_exec_set_rows(f->exec, "target", put, i, i + 1);
    }
}

static void put(RtFeed *f, const float *input, const int32_t *labels, int n, double share)
{
    rt_exec_set_rows(f->exec, "input", input, 0, n);
    for (int i = n; i < f->batch; i++) rt_exec_set_rows(f->exec, "input", input, i, i + 1);
    if (f->target != RT_TARGET_NONE && f->target != RT_TARGET_INPUT) put_labels(f, labels, n, share);
    rt_exec_send(f->exec);
}

void rt_feed_put(RtFeed *f, const float *input, const int32_t *labels, int n)
{
    put(f, input, labels, n, 1);
}

void rt_batch_init(RtBatch *b, const RtFeed *f)
{
    *b = (RtBatch){.labels = rt_alloc((size_t)(f->batch * f->label_size), sizeof *b->labels, "labels")};
    if (f->target == RT_TARGET_INPUT)
        b->copy = rt_alloc((size_t)(f->batch * f->input_size), sizeof *b->copy, "inputs");
}

void rt_batch_free(RtBatch *b)
{
    free(b->labels);
    free(b->copy);
}

int rt_feed_next(RtFeed *f, RtLoader *l, RtBatch *b, RtError *e)
{
    float *input;
    int32_t *labels;
    int got = rt_loader_next(l, &input, &labels, &b->n, e);
    if (got != 1) return got;
    b->input = input;
    memcpy(b->labels, labels, (size_t)(b->n * f->label_size) * sizeof *labels);
    if (b->copy) memcpy(b->copy, input, (size_t)(b->n * f->input_size) * sizeof *input);
    double share = rt_loader_share(l);
    put(f, input, labels, b->n, share);
    for (int i = 0; i < b->n && share < 0.5 && f->label_size == 1; i++)
        b->labels[i] = labels[i ? i - 1 : b->n - 1];
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

bool rt_feed_in_bits(const RtFeed *f)
{
    const RtModel *m = rt_exec_model(f->exec);
    return m->loss && strstr(RT_STR(m, m->loss), "log_base=2");
}

float rt_feed_loss(const RtFeed *f)
{
    float loss = 0;
    if (f->has_loss) rt_exec_get(f->exec, "loss", &loss);
    return loss;
}

/* Class by class, so that memory is read in order. */
const int32_t *rt_feed_classes(RtFeed *f, const float *row)
{
    float one, *best = f->best ? f->best : &one;
    int64_t n = f->label_size;
    bool single = f->output_size == n;
    for (int64_t i = 0; i < n; i++) best[i] = row[i], f->found[i] = single && row[i] > 0;
    for (int k = 1; k < f->classes && !single; k++) {
        row += n;
        for (int64_t i = 0; i < n; i++) {
            if (row[i] > best[i]) best[i] = row[i], f->found[i] = k;
        }
    }
    return f->found;
}

int rt_feed_class(RtFeed *f, const float *row)
{
    return rt_feed_classes(f, row)[0];
}

void rt_feed_pixel(const RtFeed *f, const float *row, int64_t pixel, double *p)
{
    double top = row[pixel], sum = 0;
    if (f->output_size == f->label_size) {
        p[1] = 1 / (1 + exp(-top));
        p[0] = 1 - p[1];
        return;
    }
    row += pixel;
    for (int k = 1; k < f->classes; k++) top = fmax(top, row[k * f->label_size]);
    for (int k = 0; k < f->classes; k++) sum += p[k] = exp(row[k * f->label_size] - top);
    for (int k = 0; k < f->classes; k++) p[k] /= sum;
}

void rt_feed_probabilities(const RtFeed *f, const float *row, double *p)
{
    rt_feed_pixel(f, row, 0, p);
}

void rt_feed_count(RtFeed *f, const float *row, const int32_t *labels, RtConfusion *c, int64_t *counted, int64_t *correct)
{
    if (!f->classes) return;
    const int32_t *found = rt_feed_classes(f, row);
    for (int64_t i = 0; i < f->label_size; i++) {
        if (labels[i] < 0 || labels[i] >= f->classes || labels[i] == f->ignore) continue;
        ++*counted;
        *correct += found[i] == labels[i];
        if (c) rt_confusion_add(c, labels[i], found[i]);
    }
}

/* The sum of the losses of the n items just run. The mean that the program gives covers the whole
 * batch, and rows from n on repeat row 0; a second run of row 0 alone tells what to take off. */
static double loss_sum(RtFeed *f, const RtBatch *b)
{
    double all = (double)rt_feed_loss(f) * f->batch;
    if (b->n == f->batch) return all;
    if (f->best && f->target == RT_TARGET_CLASS) return all / f->batch * b->n; /* masks: the others did not count */
    rt_feed_put(f, b->input, b->labels, 1); /* the last batch: nothing else was put since */
    rt_exec_run(f->exec);
    return all - (double)rt_feed_loss(f) * (f->batch - b->n);
}

static void count(RtFeed *f, const RtBatch *b, RtScore *s, const RtWatch *w)
{
    int64_t counted = 0, correct = 0;
    for (int i = 0; i < b->n; i++) {
        RtItem x = {s->n + i, b->labels + i * f->label_size, f->output + i * f->output_size, NULL};
        if (b->copy) x.input = b->copy + i * f->input_size;
        rt_feed_count(f, x.output, x.labels, s->confusion, &counted, &correct);
        if (w->item) w->item(w->to, &x);
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
static double score_all(RtFeed *f, RtLoader *l, RtScore *score, const RtWatch *w)
{
    RtError e;
    double sum = 0;
    RtBatch b[2];
    for (int i = 0; i < 2; i++) rt_batch_init(&b[i], f);
    int now = 0, got = rt_feed_next(f, l, &b[now], &e);
    for (; got == 1; now = !now) {
        rt_feed_start(f);
        got = rt_feed_next(f, l, &b[!now], &e);
        rt_feed_fetch(f);
        count(f, &b[now], score, w);
        if (f->has_loss) sum += loss_sum(f, &b[now]);
        score->n += b[now].n;
        if (w->progress) w->progress(score->n);
    }
    if (got < 0) rt_fail(e.exit, e.id, "%s", e.text);
    for (int i = 0; i < 2; i++) rt_batch_free(&b[i]);
    return sum;
}

void rt_score(RtFeed *f, RtData *d, enum RtSplit split, RtScore *score, const RtWatch *watch)
{
    memset(score, 0, sizeof *score);
    if (f->classes) score->confusion = rt_confusion_new(f->classes);
    RtLoader *l = start(f, d, split, rt_data_count(d, split));
    double sum = score_all(f, l, score, watch);
    rt_loader_stop(l);
    score->loss = f->has_loss && score->n ? sum / (double)score->n : NAN;
    score->accuracy = score->f1_macro = score->f1_weighted = score->iou = NAN;
    RtMetrics m;
    if (score->confusion && rt_metrics(score->confusion, &m)) {
        score->accuracy = m.accuracy;
        score->f1_macro = m.f1_macro;
        score->f1_weighted = m.f1_weighted;
        score->iou = m.iou_macro;
        rt_metrics_free(&m);
    }
}

void rt_score_free(RtScore *s)
{
    if (s->confusion) rt_confusion_free(s->confusion);
}
