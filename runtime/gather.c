/* Items to numbers and rows: see gather.h.
 *
 * Pictures are held against each other as they were before the normalisation, 0..1. Pixels' probabilities are counted
 * only where somebody asks for what they give, since there are many.
 */
#include "gather.h"
#include "data/csv.h"
#include "err.h"
#include "file.h"
#include "model.h"
#include "quality.h"
#include "scores.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CSV_TOP = 3 };

struct RtGather {
    RtFeed *feed;
    RtData *data;
    enum RtSplit split;
    const RtOptions *opt;
    const RtTensor *in;
    const char *const *names;
    RtDataConfig config; /* mean and standard deviation */
    RtScores *scores;    /* NULL: not wanted */
    double *p;           /* [classes] */
    float *picture[2];   /* what went in and what came out, 0..1; NULL: no autoencoder */
    double psnr, ssim;   /* sums */
    int64_t n;
    FILE *csv; /* NULL: not wanted */
    char *text;
    size_t size;
};

/* ---- which metrics ---- */

/* The next entry of `metrics` with this name, from *at on: "topk" finds "topk(k=5)", *k = 5. */
static bool next_metric(const char **at, const char *name, int *k)
{
    size_t n = strlen(name);
    for (const char *s = *at; *s; s++) {
        if (strncmp(s, name, n) != 0 || (s[n] && !strchr(",(", s[n])) || (s > *at && s[-1] != ',')) continue;
        const char *eq = s[n] == '(' ? strchr(s, '=') : NULL;
        if (k && eq) *k = atoi(eq + 1);
        *at = s + n;
        return true;
    }
    return false;
}

static bool asks(const RtGather *g, const char *name)
{
    const char *at = rt_option_str(g->opt, "metrics", "");
    return next_metric(&at, name, NULL);
}

static bool wants_scores(const RtGather *g)
{
    static const char *const names[] = {"average_precision", "roc_auc", "calibration", "topk"};
    bool any = g->feed->label_size == 1 || rt_option_str(g->opt, "run.json", NULL) != NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) any = any || asks(g, names[i]);
    return g->feed->classes && any;
}

/* ---- gathering ---- */

static void begin_csv(RtGather *g)
{
    g->csv = open_memstream(&g->text, &g->size);
    if (!g->csv) rt_fail(RT_EXIT_MEMORY, "E003", "cannot allocate predictions.csv");
    fputs("item", g->csv);
    if (g->picture[0])
        fputs(",psnr,ssim\n", g->csv);
    else if (g->feed->label_size > 1)
        fputs(",pixels,accuracy\n", g->csv);
    else
        fputs(",label,prediction,probability,second,second_probability,third,third_probability\n", g->csv);
}

RtGather *rt_gather_new(RtFeed *f, RtSession *s, RtData *d, enum RtSplit split, const char *const *names, bool csv)
{
    RtGather *g = rt_alloc(1, sizeof *g, "predictions");
    *g = (RtGather){.feed = f, .data = d, .split = split, .opt = &s->opt, .names = names};
    g->in = rt_exec_tensor(f->exec, "input");
    rt_session_data_config(s, &g->config);
    if (wants_scores(g)) g->scores = rt_scores_new(f->classes, f->label_size > 1);
    g->p = rt_alloc((size_t)f->classes + 1, sizeof *g->p, "predictions");
    bool same = f->target == RT_TARGET_INPUT && f->output_size == f->input_size && g->in->rank == 4;
    for (int i = 0; i < 2 && same; i++)
        g->picture[i] = rt_alloc((size_t)f->input_size, sizeof *g->picture[i], "pictures");
    if (csv && (f->classes || same)) begin_csv(g);
    return g;
}

void rt_gather_free(RtGather *g)
{
    if (g->csv) fclose(g->csv);
    free((void *)(uintptr_t)g->config.classes);
    free(g->text);
    free(g->picture[0]);
    free(g->picture[1]);
    free(g->p);
    rt_scores_free(g->scores);
    free(g);
}

/* A comma and the text, in quotes where it needs them. */
static void cell(FILE *f, const char *s, bool first)
{
    if (!first) fputc(',', f);
    rt_csv_put(f, s);
}

static void item_cells(RtGather *g, const RtItem *x)
{
    int32_t label = x->labels[0];
    cell(g->csv, label >= 0 && label < g->feed->classes ? g->names[label] : "", false);
    for (int i = 0; i < CSV_TOP; i++) {
        int best = 0;
        for (int k = 1; k < g->feed->classes; k++)
            if (g->p[k] > g->p[best]) best = k;
        bool none = i >= g->feed->classes;
        cell(g->csv, none ? "" : g->names[best], false);
        fprintf(g->csv, none ? "," : ",%.6g", g->p[best]);
        g->p[best] = -1; /* taken */
    }
}

static void pixel_cells(RtGather *g, const RtItem *x)
{
    int64_t counted = 0, correct = 0;
    rt_feed_count(g->feed, x->output, x->labels, NULL, &counted, &correct);
    fprintf(g->csv, ",%lld,", (long long)counted);
    if (counted) fprintf(g->csv, "%.6g", (double)correct / (double)counted);
}

static void add_scores(RtGather *g, const RtItem *x)
{
    for (int64_t i = 0; i < g->feed->label_size; i++) {
        bool out = x->labels[i] == g->feed->ignore;
        if (out && g->feed->label_size > 1) continue;
        rt_feed_pixel(g->feed, x->output, i, g->p);
        if (g->scores && !out) rt_scores_add(g->scores, x->labels[i], g->p);
    }
}

static void plain_picture(const RtGather *g, const float *from, float *to)
{
    int64_t plane = g->in->dim[2] * g->in->dim[3];
    for (int64_t i = 0; i < g->feed->input_size; i++)
        to[i] = (float)(from[i] * g->config.std[i / plane] + g->config.mean[i / plane]);
}

static void add_quality(RtGather *g, const RtItem *x)
{
    int c = (int)g->in->dim[1], h = (int)g->in->dim[2], w = (int)g->in->dim[3];
    plain_picture(g, x->input, g->picture[0]);
    plain_picture(g, x->output, g->picture[1]);
    double psnr = rt_psnr(g->picture[0], g->picture[1], c, h, w), ssim = rt_ssim(g->picture[0], g->picture[1], c, h, w);
    g->psnr += psnr;
    g->ssim += ssim;
    if (g->csv) fprintf(g->csv, isnan(ssim) ? ",%.6g," : ",%.6g,%.6g", psnr, ssim);
}

void rt_gather_item(void *gather, const RtItem *x)
{
    RtGather *g = gather;
    g->n++;
    if (g->csv) cell(g->csv, rt_data_item_name(g->data, g->split, x->index), true);
    if (g->scores) add_scores(g, x);
    if (g->picture[0])
        add_quality(g, x);
    else if (g->csv && g->feed->label_size > 1)
        pixel_cells(g, x);
    else if (g->csv)
        item_cells(g, x);
    if (g->csv) fputc('\n', g->csv);
}

void rt_gather_save_csv(RtGather *g, const char *path)
{
    if (!g->csv) return;
    fclose(g->csv);
    g->csv = NULL;
    rt_file_save(path, g->text, g->size, NULL);
}

/* ---- the results ---- */

static void print_topk(const RtGather *g, FILE *f)
{
    int k;
    const char *at = rt_option_str(g->opt, "metrics", "");
    while (k = 5, next_metric(&at, "topk", &k)) fprintf(f, "top-%d accuracy %.2f%%\n", k, 100 * rt_scores_topk(g->scores, k));
}

static void print_precision(const RtGather *g, const RtScoreNumbers *x, FILE *f)
{
    fprintf(f, "average precision: mean %.4f over the classes that occur\n", x->mean_average_precision);
    for (int k = 0; k < x->classes; k++) {
        fprintf(f, "  %s ", rt_esc(g->names[k]));
        if (isnan(x->average_precision[k]))
            fputs("not in the data, so not in the mean\n", f);
        else
            fprintf(f, "%.4f\n", x->average_precision[k]);
    }
}

static void print_calibration(const RtScoreNumbers *x, FILE *f)
{
    fprintf(f, "calibration: expected error %.4f (%d bins), Brier score %.4f\n  confidence        items  mean conf.  accuracy\n",
            x->ece, RT_CALIBRATION_BINS, x->brier);
    for (int i = 0; i < RT_CALIBRATION_BINS; i++) {
        const RtCalibrationBin *b = &x->bin[i];
        if (b->n)
            fprintf(f, "  %.3f..%.3f %11llu      %.4f    %.4f\n", (double)i / RT_CALIBRATION_BINS,
                    (i + 1.) / RT_CALIBRATION_BINS, (unsigned long long)b->n, b->confidence, b->accuracy);
    }
}

void rt_gather_print(const RtGather *g, FILE *f)
{
    RtScoreNumbers x;
    if (g->picture[0] && g->n) {
        fprintf(f, "PSNR %.3f dB, SSIM %.4f (means over images, range 1)\n", g->psnr / (double)g->n, g->ssim / (double)g->n);
    }
    if (!g->scores) return;
    print_topk(g, f);
    rt_scores_numbers(g->scores, &x);
    if (asks(g, "average_precision")) print_precision(g, &x, f);
    if (asks(g, "roc_auc"))
        fprintf(f, "ROC-AUC, each class against the rest: %.4f macro, %.4f weighted\n", x.roc_auc_macro, x.roc_auc_weighted);
    if (asks(g, "calibration")) print_calibration(&x, f);
    rt_scores_numbers_free(&x);
}

static void numbers(RtJson *j, const char *key, const double *v, int n)
{
    rt_json_array(j, key);
    for (int i = 0; i < n; i++) rt_json_num(j, NULL, v[i]);
    rt_json_end_array(j);
}

static void json_calibration(RtJson *j, const RtScoreNumbers *x)
{
    rt_json_num(j, "ece", x->ece);
    rt_json_num(j, "brier", x->brier);
    rt_json_array(j, "calibration");
    for (int i = 0; i < RT_CALIBRATION_BINS; i++) {
        rt_json_object(j, NULL);
        rt_json_int(j, "items", (int64_t)x->bin[i].n);
        rt_json_num(j, "confidence", x->bin[i].confidence);
        rt_json_num(j, "accuracy", x->bin[i].accuracy);
        rt_json_end_object(j);
    }
    rt_json_end_array(j);
}

void rt_gather_json(const RtGather *g, RtJson *j)
{
    RtScoreNumbers x;
    if (g->picture[0]) {
        rt_json_num(j, "psnr", g->psnr / (double)g->n);
        rt_json_num(j, "ssim", g->ssim / (double)g->n);
    }
    if (!g->scores) return;
    rt_scores_numbers(g->scores, &x);
    rt_json_array(j, "topk"); /* element i: of i + 1 */
    for (int k = 1; k <= x.classes && k <= 10; k++) rt_json_num(j, NULL, rt_scores_topk(g->scores, k));
    rt_json_end_array(j);
    rt_json_num(j, "mean_average_precision", x.mean_average_precision);
    numbers(j, "average_precision", x.average_precision, x.classes);
    rt_json_num(j, "roc_auc_macro", x.roc_auc_macro);
    rt_json_num(j, "roc_auc_weighted", x.roc_auc_weighted);
    numbers(j, "roc_auc", x.roc_auc, x.classes);
    json_calibration(j, &x);
    rt_scores_numbers_free(&x);
}
