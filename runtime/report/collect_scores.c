/* Splits through the best weights: loss, confusion matrix, and what the model was most wrong about.
 *
 * In: every item as rt_score shows it. Out: "scores" of report.json.
 * Rule: pictures are kept of one split only, test before val. Of equal mistakes the first item stays. */
#include "../err.h"
#include "../image_write.h"
#include "../model.h"
#include "../quality.h"
#include "collect.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TOP = 3, MOST_MISTAKES = 400, PICTURES = 6, PER_CLASS = 3 };

typedef struct Mistake {
    int64_t index;
    int truth, top[TOP];
    double p[TOP];
} Mistake;

typedef struct Kept { /* a picture beside what the model made of it */
    int64_t index;
    double value; /* accuracy of its pixels, or PSNR */
    int32_t *truth, *answer;
    float *rebuilt;
} Kept;

typedef struct Watch {
    const RtCollect *x;
    int per_class;
    bool pictures; /* of this split */
    Mistake *mistake; /* [classes][per_class], the surest first */
    int *n;           /* [classes] */
    double *p;        /* [classes] */
    Kept first[PICTURES], worst[PICTURES];
    int nfirst, nworst;
    double psnr; /* sum of the finite ones */
    int64_t counted;
    float *plain[2];
} Watch;

/* ---- classes ---- */

static void top_of(const RtFeed *f, double *p, Mistake *m)
{
    for (int i = 0; i < TOP; i++) {
        int best = 0;
        for (int k = 1; k < f->classes; k++)
            if (p[k] > p[best]) best = k;
        m->top[i] = i < f->classes ? best : -1;
        m->p[i] = p[best];
        p[best] = -1; /* taken */
    }
}

static void keep_mistake(Watch *w, const RtItem *item)
{
    RtFeed *f = w->x->feed;
    int truth = item->labels[0];
    if (truth < 0 || truth >= f->classes || rt_feed_class(f, item->output) == truth) return;
    Mistake m = {.index = item->index, .truth = truth}, *list = &w->mistake[truth * w->per_class];
    rt_feed_probabilities(f, item->output, w->p);
    top_of(f, w->p, &m);
    int at = w->n[truth];
    while (at && list[at - 1].p[0] < m.p[0]) at--;
    if (at == w->per_class) return;
    int tail = w->n[truth] < w->per_class ? w->n[truth]++ : w->per_class - 1;
    memmove(&list[at + 1], &list[at], sizeof *list * (size_t)(tail - at));
    list[at] = m;
}

/* ---- pictures ---- */

static void fill_kept(const Watch *w, Kept *k, const RtItem *item, double value)
{
    RtFeed *f = w->x->feed;
    size_t n = (size_t)f->label_size;
    k->index = item->index;
    k->value = value;
    if (f->target == RT_TARGET_INPUT) {
        if (!k->rebuilt) k->rebuilt = rt_alloc((size_t)f->output_size, sizeof *k->rebuilt, "a picture");
        memcpy(k->rebuilt, item->output, (size_t)f->output_size * sizeof *k->rebuilt);
        return;
    }
    if (!k->truth) {
        k->truth = rt_alloc(n, sizeof *k->truth, "a mask");
        k->answer = rt_alloc(n, sizeof *k->answer, "a mask");
    }
    memcpy(k->truth, item->labels, n * sizeof *k->truth);
    memcpy(k->answer, rt_feed_classes(f, item->output), n * sizeof *k->answer);
}

static void keep_picture(Watch *w, const RtItem *item, double value)
{
    if (w->nfirst < PICTURES) fill_kept(w, &w->first[w->nfirst++], item, value);
    int at = w->nworst;
    while (at && w->worst[at - 1].value > value) at--;
    if (at == PICTURES) return;
    int tail = w->nworst < PICTURES ? w->nworst++ : PICTURES - 1;
    Kept place = w->worst[tail];
    memmove(&w->worst[at + 1], &w->worst[at], sizeof *w->worst * (size_t)(tail - at));
    w->worst[at] = place;
    fill_kept(w, &w->worst[at], item, value);
}

static double quality(Watch *w, const RtItem *item)
{
    const RtCollect *x = w->x;
    size_t plane = (size_t)x->h * (size_t)x->w;
    const float *from[] = {item->input, item->output};
    for (int i = 0; i < 2; i++) {
        for (size_t k = 0; k < plane * (size_t)x->c; k++)
            w->plain[i][k] = (float)((double)from[i][k] * x->config.std[k / plane] + x->config.mean[k / plane]);
    }
    return rt_psnr(w->plain[0], w->plain[1], x->c, x->h, x->w);
}

static void on_item(void *to, const RtItem *item)
{
    Watch *w = to;
    RtFeed *f = w->x->feed;
    int64_t counted = 0, correct = 0;
    if (f->target == RT_TARGET_INPUT && w->plain[0]) {
        double value = quality(w, item);
        if (isfinite(value)) w->psnr += value, w->counted++;
        if (w->pictures) keep_picture(w, item, value);
    } else if (f->label_size > 1 && w->pictures) {
        rt_feed_count(f, item->output, item->labels, NULL, &counted, &correct);
        if (counted) keep_picture(w, item, (double)correct / (double)counted);
    } else if (f->label_size == 1 && f->classes && w->pictures)
        keep_mistake(w, item);
}

/* ---- into JSON ---- */

static const char *fetch(const Watch *w, enum RtSplit split, int64_t index, float *chw, int32_t *labels)
{
    RtError e;
    if (!rt_data_batch(w->x->t->data, split, &index, 1, false, 0, 0, chw, labels, &e))
        rt_fail(e.exit, e.id, "%s", e.text);
    return rt_data_item_name(w->x->t->data, split, index);
}

static void write_mistakes(const Watch *w, enum RtSplit split)
{
    const RtFeed *f = w->x->feed;
    RtJson *j = w->x->j;
    float *chw = rt_alloc((size_t)f->input_size, sizeof *chw, "a picture");
    int32_t label[1];
    rt_json_array(j, "misclassified");
    for (int k = 0; k < f->classes * w->per_class; k++) {
        const Mistake *m = &w->mistake[k];
        if (k % w->per_class >= w->n[k / w->per_class]) continue;
        rt_json_object(j, NULL);
        rt_json_str(j, "item", fetch(w, split, m->index, chw, label));
        rt_json_int(j, "truth", m->truth);
        rt_json_array(j, "top");
        for (int i = 0; i < TOP && m->top[i] >= 0; i++) {
            rt_json_array(j, NULL);
            rt_json_int(j, NULL, m->top[i]);
            rt_json_num(j, NULL, round(m->p[i] * 1e4) / 1e4);
            rt_json_end_array(j);
        }
        rt_json_end_array(j);
        rt_collect_plain(w->x, "image", chw);
        rt_json_end_object(j);
    }
    rt_json_end_array(j);
    free(chw);
}

static void write_kept(const Watch *w, enum RtSplit split, const Kept *k, const char *group, const uint8_t *rgb)
{
    const RtFeed *f = w->x->feed;
    RtJson *j = w->x->j;
    float *chw = rt_alloc((size_t)f->input_size, sizeof *chw, "a picture");
    int32_t *labels = rt_alloc((size_t)f->label_size, sizeof *labels, "labels");
    rt_json_object(j, NULL);
    rt_json_str(j, "item", fetch(w, split, k->index, chw, labels));
    rt_json_str(j, "group", group);
    rt_json_num(j, rgb ? "accuracy" : "psnr", k->value);
    rt_collect_plain(w->x, "image", chw);
    if (rgb) {
        rt_collect_mask(w->x, "truth", chw, k->truth, rgb);
        rt_collect_mask(w->x, "answer", chw, k->answer, rgb);
    } else
        rt_collect_plain(w->x, "answer", k->rebuilt);
    rt_json_end_object(j);
    free(chw);
    free(labels);
}

static void write_pictures(const Watch *w, enum RtSplit split)
{
    RtJson *j = w->x->j;
    bool masks = w->x->feed->target != RT_TARGET_INPUT;
    uint8_t rgb[256 * 3];
    rt_voc_colours(rgb);
    rt_json_array(j, masks ? "masks" : "rebuilt");
    for (int i = 0; i < w->nfirst; i++) write_kept(w, split, &w->first[i], "first", masks ? rgb : NULL);
    for (int i = 0; i < w->nworst; i++) write_kept(w, split, &w->worst[i], "worst", masks ? rgb : NULL);
    rt_json_end_array(j);
    if (!masks) return;
    rt_json_array(j, "colours");
    for (int k = 0; k < w->x->feed->classes && k < 256; k++) {
        rt_json_array(j, NULL);
        for (int c = 0; c < 3; c++) rt_json_int(j, NULL, rgb[3 * k + c]);
        rt_json_end_array(j);
    }
    rt_json_end_array(j);
}

static void write_confusion(RtJson *j, const RtConfusion *c)
{
    rt_json_array(j, "confusion");
    for (int i = 0; i < c->n; i++) {
        rt_json_array(j, NULL);
        for (int k = 0; k < c->n; k++) rt_json_int(j, NULL, (int64_t)c->count[(size_t)i * (size_t)c->n + (size_t)k]);
        rt_json_end_array(j);
    }
    rt_json_end_array(j);
}

static void score(Watch *w, enum RtSplit split)
{
    static const char *const name[RT_NSPLITS] = {"train", "val", "test"};
    RtJson *j = w->x->j;
    RtScore s;
    rt_score(w->x->feed, w->x->t->data, split, &s, &(RtWatch){NULL, on_item, w});
    rt_json_object(j, name[split]);
    rt_json_int(j, "items", s.n);
    rt_json_num(j, "loss", s.loss);
    if (w->counted) rt_json_num(j, "psnr", w->psnr / (double)w->counted);
    if (s.confusion) {
        if (w->x->feed->label_size > 1) rt_json_bool(j, "pixels", true);
        write_confusion(j, s.confusion);
    }
    if (w->pictures && w->x->c && w->mistake && w->x->feed->label_size == 1) write_mistakes(w, split);
    if (w->pictures && w->nfirst && w->x->c) write_pictures(w, split);
    rt_json_end_object(j);
    rt_score_free(&s);
}

static void free_watch(Watch *w)
{
    for (int i = 0; i < PICTURES; i++) {
        Kept *two[] = {&w->first[i], &w->worst[i]};
        for (int k = 0; k < 2; k++) free(two[k]->truth), free(two[k]->answer), free(two[k]->rebuilt);
    }
    free(w->mistake);
    free(w->n);
    free(w->p);
    free(w->plain[0]);
    free(w->plain[1]);
}

static void open_watch(Watch *w, const RtCollect *x, bool pictures)
{
    const RtFeed *f = x->feed;
    int64_t asked = rt_option_int(&x->t->s->opt, "report.misclassified.per_class", PER_CLASS);
    *w = (Watch){.x = x, .per_class = (int)asked, .pictures = pictures};
    while (w->per_class > 1 && w->per_class * f->classes > MOST_MISTAKES) w->per_class--;
    if (f->classes && f->label_size == 1) {
        w->mistake = rt_alloc((size_t)f->classes * (size_t)w->per_class, sizeof *w->mistake, "mistakes");
        w->n = rt_alloc((size_t)f->classes, sizeof *w->n, "mistakes");
        w->p = rt_alloc((size_t)f->classes, sizeof *w->p, "probabilities");
    }
    if (f->target != RT_TARGET_INPUT || f->output_size != f->input_size || !x->c) return;
    for (int i = 0; i < 2; i++) w->plain[i] = rt_alloc((size_t)f->input_size, sizeof *w->plain[i], "a picture");
}

void rt_collect_scores(const RtCollect *x)
{
    static const enum RtSplit order[] = {RT_SPLIT_TEST, RT_SPLIT_VAL};
    bool pictures = true;
    rt_json_object(x->j, "scores");
    for (int i = 0; i < 2; i++) {
        Watch w;
        if (!rt_data_count(x->t->data, order[i])) continue;
        open_watch(&w, x, pictures);
        score(&w, order[i]);
        free_watch(&w);
        pictures = false;
    }
    rt_json_end_object(x->j);
}
