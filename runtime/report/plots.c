/* The plots of a run, one row of a table each: drawn into the report, into plots/NAME.svg and NAME.png.
 *
 * In: a run. Out: charts (chart.h).
 * Rule: a plot whose data is not there is left out. */
#include "chart.h"
#include "report.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *class_of(const void *of, int k)
{
    return rt_class_name(of, k);
}

/* ---- curves ---- */

static bool any(const RtRun *r, RtSeries a, RtSeries b)
{
    for (int i = 0; i < r->nepochs; i++) {
        if (isfinite(r->series[a][i]) || isfinite(r->series[b][i])) return true;
    }
    return false;
}

static int curves(const RtRun *r, RtSeries train, RtSeries val, RtCurve *c)
{
    static const char *const name[] = {"train", "val"};
    int n = 0;
    for (int k = 0; k < 2; k++) {
        RtSeries s = k ? val : train;
        if (!any(r, s, s)) continue;
        c[n] = (RtCurve){name[k], r->series[s], r->nepochs, RT_INK_SERIES + k, false, NAN, NULL};
        n++;
    }
    return n;
}

static void draw_curves(RtPaint *p, const RtRun *r, const char *title, RtSeries train, RtSeries val, bool percent)
{
    RtCurve c[2];
    char best[40];
    int n = curves(r, train, val, c);
    snprintf(best, sizeof best, "best: epoch %d", r->best + 1);
    if (r->best >= 0) c[n - 1].mark_x = r->best + 1, c[n - 1].mark = best;
    rt_chart_lines(p, &(RtLines){title, "epoch", percent ? "share of items" : "mean of items", percent, c, n});
}

static bool has_loss(const RtRun *r)
{
    return any(r, RT_LOSS_TRAIN, RT_LOSS_VAL);
}

static void draw_loss(RtPaint *p, const RtRun *r)
{
    draw_curves(p, r, "Loss", RT_LOSS_TRAIN, RT_LOSS_VAL, false);
}

static bool has_accuracy(const RtRun *r)
{
    return any(r, RT_ACC_TRAIN, RT_ACC_VAL);
}

static void draw_accuracy(RtPaint *p, const RtRun *r)
{
    draw_curves(p, r, "Accuracy", RT_ACC_TRAIN, RT_ACC_VAL, true);
}

static bool has_rate(const RtRun *r)
{
    for (int i = 1; i < r->nepochs; i++) {
        if (r->series[RT_RATE][i] != r->series[RT_RATE][0]) return true;
    }
    return false;
}

static void draw_rate(RtPaint *p, const RtRun *r)
{
    RtCurve c = {"learning rate", r->series[RT_RATE], r->nepochs, RT_INK_SERIES + 2, false, NAN, NULL};
    rt_chart_lines(p, &(RtLines){"Learning rate", "epoch", "at the end of the epoch", false, &c, 1});
}

static bool has_iou(const RtRun *r)
{
    return any(r, RT_IOU, RT_IOU);
}

static void draw_iou(RtPaint *p, const RtRun *r)
{
    RtCurve c = {"val, mean of classes", r->series[RT_IOU], r->nepochs, RT_INK_SERIES + 1, false, NAN, NULL};
    rt_chart_lines(p, &(RtLines){"IoU", "epoch", "intersection over union", false, &c, 1});
}

static bool has_norm(const RtRun *r)
{
    return any(r, RT_NORM, RT_NORM);
}

static void draw_norm(RtPaint *p, const RtRun *r)
{
    RtCurve c = {"all weights", r->series[RT_NORM], r->nepochs, RT_INK_SERIES + 3, false, NAN, NULL};
    rt_chart_lines(p, &(RtLines){"Squared norm of the weights", "epoch", "sum of squares", false, &c, 1});
}

/* ---- classes ---- */

typedef struct Splits { /* those that hold anything */
    const RtRun *r;
    int n, split[RT_NSPLITS];
    int64_t sum[RT_NSPLITS];
    const char *name[RT_NSPLITS];
} Splits;

static Splits splits(const RtRun *r)
{
    Splits s = {.r = r};
    for (int k = 0; k < RT_NSPLITS; k++) {
        int64_t sum = 0;
        for (int c = 0; c < r->nclasses; c++) sum += r->count[k][c];
        if (!sum) continue;
        s.sum[s.n] = sum;
        s.split[s.n] = k;
        s.name[s.n++] = rt_split_name[k];
    }
    return s;
}

static const char *split_class(const void *of, int k)
{
    return rt_class_name(((const Splits *)of)->r, k);
}

static double class_share(const void *of, int series, int row)
{
    const Splits *s = of;
    return (double)s->r->count[s->split[series]][row] / (double)s->sum[series];
}

static const char *class_tip(const void *of, int series, int row, char *buf, size_t n)
{
    const Splits *s = of;
    char name[80];
    snprintf(buf, n, "%s in %s: %" PRId64 " %s (%.1f%%)", rt_short(rt_class_name(s->r, row), 24, name, sizeof name),
             s->name[series], s->r->count[s->split[series]][row], s->r->pixels ? "pixels" : "items", 100 * class_share(of, series, row));
    return buf;
}

static bool has_classes(const RtRun *r)
{
    return r->nclasses > 0 && splits(r).n > 0;
}

static void draw_classes(RtPaint *p, const RtRun *r)
{
    Splits s = splits(r);
    rt_chart_bars(p, &(RtRows){.title = r->pixels ? "Pixels of each class" : "Items of each class", .x_label = "share of the split", .name = split_class,
                               .value = class_share, .tip = class_tip, .of = &s, .nrows = r->nclasses,
                               .nseries = s.n, .series = s.name, .percent = true});
}

static bool density(const void *of, int side, int row, double *bin, double *quartile)
{
    const json_t *all = json_object_get(((const RtRun *)of)->report, "brightness");
    const json_t *one = json_array_get(json_object_get(all, rt_split_name[side]), (size_t)row);
    const json_t *bins = json_object_get(one, "bins"), *q = json_object_get(one, "quartiles");
    if (json_array_size(bins) != RT_DENSITY || json_array_size(q) != 3) return false;
    for (int i = 0; i < RT_DENSITY; i++) {
        bin[i] = rt_json_at(bins, (size_t)i);
        if (!(bin[i] >= 0 && bin[i] < 1e15)) return false;
    }
    for (int i = 0; i < 3; i++) {
        quartile[i] = rt_json_at(q, (size_t)i);
        if (!(quartile[i] >= 0 && quartile[i] <= 255)) return false;
    }
    return true;
}

static bool has_brightness(const RtRun *r)
{
    return r->nclasses > 0 && json_object_get(r->report, "brightness") != NULL;
}

static void draw_brightness(RtPaint *p, const RtRun *r)
{
    const json_t *val = json_object_get(json_object_get(r->report, "brightness"), "val");
    rt_chart_violins(p, &(RtViolins){.title = "Brightness of the images", .x_label = "mean grey level, 0 to 255",
                                     .name = class_of, .density = density, .of = r, .nrows = r->nclasses,
                                     .side = {"train", json_array_size(val) ? "val" : NULL}, .lo = 0, .hi = 255});
}

/* ---- answers ---- */

static bool has_confusion(const RtRun *r)
{
    return r->nscored && r->scored[0].confusion;
}

static void draw_confusion(RtPaint *p, const RtRun *r)
{
    const RtScored *s = &r->scored[0];
    char title[80];
    snprintf(title, sizeof title, "Confusion matrix, %s split", rt_split_name[s->split]);
    rt_chart_heat(p, &(RtHeat){title, "truth", "answer", class_of, r, s->confusion->n, s->confusion->count});
}

/* ---- t-SNE ---- */

static const json_t *embedding(const RtRun *r, const char *split, int dims)
{
    size_t i;
    json_t *one;
    const json_t *all = json_object_get(r->report, "tsne");
    json_array_foreach(all, i, one) {
        if (!strcmp(rt_json_text_of(one, "split"), split) && json_array_size(json_object_get(one, "x")) == (size_t)dims)
            return one;
    }
    return NULL;
}

static bool has_tsne(const RtRun *r, const char *split)
{
    const json_t *e = embedding(r, split, 2);
    return e && json_array_size(json_object_get(e, "label")) > 1;
}

static void draw_tsne(RtPaint *p, const RtRun *r, const char *split)
{
    const json_t *e = embedding(r, split, 2), *label = json_object_get(e, "label"), *at = json_object_get(e, "x");
    size_t most = json_array_size(label);
    double *x = calloc(2 * most + 1, sizeof *x);
    int *kind = calloc(most + 1, sizeof *kind), n = 0;
    char title[160], layer[64];
    for (size_t i = 0; x && kind && i < most; i++) {
        double k = rt_json_at(label, i), u = rt_json_at(json_array_get(at, 0), i), v = rt_json_at(json_array_get(at, 1), i);
        if (!(k >= 0 && k < r->nclasses && isfinite(u) && isfinite(v))) continue;
        kind[n] = (int)k;
        x[n] = u;
        x[most + (size_t)n++] = v;
    }
    snprintf(title, sizeof title, "t-SNE of %s, %s split", rt_short(rt_json_text_of(e, "layer"), 30, layer, sizeof layer), split);
    rt_chart_scatter(p, &(RtScatter){title, x, x + most, kind, class_of, r, n, r->nclasses});
    free(x);
    free(kind);
}

static bool has_tsne_train(const RtRun *r)
{
    return has_tsne(r, "train");
}
static bool has_tsne_val(const RtRun *r)
{
    return has_tsne(r, "val");
}
static bool has_tsne_test(const RtRun *r)
{
    return has_tsne(r, "test");
}
static void draw_tsne_train(RtPaint *p, const RtRun *r)
{
    draw_tsne(p, r, "train");
}
static void draw_tsne_val(RtPaint *p, const RtRun *r)
{
    draw_tsne(p, r, "val");
}
static void draw_tsne_test(RtPaint *p, const RtRun *r)
{
    draw_tsne(p, r, "test");
}

const RtPlot rt_plots[] = {
    {"loss", has_loss, draw_loss},
    {"accuracy", has_accuracy, draw_accuracy},
    {"iou", has_iou, draw_iou},
    {"learning-rate", has_rate, draw_rate},
    {"weight-norm", has_norm, draw_norm},
    {"classes", has_classes, draw_classes},
    {"brightness", has_brightness, draw_brightness},
    {"confusion", has_confusion, draw_confusion},
    {"tsne-train", has_tsne_train, draw_tsne_train},
    {"tsne-val", has_tsne_val, draw_tsne_val},
    {"tsne-test", has_tsne_test, draw_tsne_test},
    {NULL, NULL, NULL},
};

const RtPlot *rt_plot(const char *name)
{
    const RtPlot *p = rt_plots;
    while (p->name && strcmp(p->name, name) != 0) p++;
    return p->name ? p : NULL;
}
