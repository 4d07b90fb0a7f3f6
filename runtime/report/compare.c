/* Runs laid over each other: curves, figures, the settings in which they differ.
 *
 * In: runs. Out: one page.
 * Rule: a run is told by its folder's name; a value is marked as the best of its column when it is. */
#include "chart.h"
#include "page.h"
#include "report.h"
#include "../err.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CURVES = 64 };

static void chart(FILE *f, RtRun *const *run, int n, RtSeries s, const char *title, const char *y_label, bool percent)
{
    RtCurve c[CURVES];
    RtSvg svg;
    int k = 0;
    for (int i = 0; i < n && k < CURVES; i++) {
        bool any = false;
        for (int e = 0; e < run[i]->nepochs; e++) any = any || isfinite(run[i]->series[s][e]);
        if (!any) continue;
        c[k++] = (RtCurve){run[i]->name, run[i]->series[s], run[i]->nepochs, rt_kind_ink(i), i / RT_NSERIES_INKS % 2 == 1, NAN, NULL};
    }
    if (!k) return;
    rt_svg_init(&svg, f, 0);
    fputs("<div class=\"w\">", f);
    rt_chart_lines(&svg.paint, &(RtLines){title, "epoch", y_label, percent, c, k});
    fputs("</div>\n", f);
}

/* ---- the table of figures ---- */

typedef struct Column {
    const char *title, *fmt;
    double scale;
    int better; /* 1: higher, -1: lower, 0: neither */
    double (*value)(const RtRun *r);
} Column;

static double at_best(const RtRun *r, RtSeries s)
{
    return r->best >= 0 ? r->series[s][r->best] : NAN;
}
static double best_epoch(const RtRun *r)
{
    return r->best >= 0 ? r->best + 1 : NAN;
}
static double epochs(const RtRun *r)
{
    return r->nepochs;
}
static double train_loss(const RtRun *r)
{
    return at_best(r, RT_LOSS_TRAIN);
}
static double val_loss(const RtRun *r)
{
    return at_best(r, RT_LOSS_VAL);
}
static double train_accuracy(const RtRun *r)
{
    return at_best(r, RT_ACC_TRAIN);
}
static double val_accuracy(const RtRun *r)
{
    return at_best(r, RT_ACC_VAL);
}
static const RtScored *test(const RtRun *r)
{
    return r->nscored && r->scored[0].split == RT_SPLIT_TEST ? &r->scored[0] : NULL;
}
static double val_iou(const RtRun *r)
{
    return at_best(r, RT_IOU);
}
static double norm(const RtRun *r)
{
    return at_best(r, RT_NORM);
}
static double test_loss(const RtRun *r)
{
    return test(r) ? test(r)->loss : NAN;
}
static double test_accuracy(const RtRun *r)
{
    return test(r) && test(r)->confusion ? test(r)->m.accuracy : NAN;
}
static double test_f1(const RtRun *r)
{
    return test(r) && test(r)->confusion ? test(r)->m.f1_weighted : NAN;
}
static double parameters(const RtRun *r)
{
    return rt_json_of(r->report, "parameters");
}
static double flops(const RtRun *r)
{
    return rt_json_of(r->report, "flops");
}
static double minutes(const RtRun *r)
{
    double sum = 0;
    for (int i = 0; i < r->nepochs; i++)
        if (isfinite(r->series[RT_SECONDS][i])) sum += r->series[RT_SECONDS][i];
    return sum / 60;
}

static const Column columns[] = {
    {"epochs", "%.0f", 1, 0, epochs},
    {"best epoch", "%.0f", 1, 0, best_epoch},
    {"train loss", "%.4f", 1, -1, train_loss},
    {"val loss", "%.4f", 1, -1, val_loss},
    {"train accuracy", "%.2f%%", 100, 1, train_accuracy},
    {"val accuracy", "%.2f%%", 100, 1, val_accuracy},
    {"val IoU", "%.4f", 1, 1, val_iou},
    {"||w||\xc2\xb2", "%.4g", 1, 0, norm},
    {"test loss", "%.4f", 1, -1, test_loss},
    {"test accuracy", "%.2f%%", 100, 1, test_accuracy},
    {"test F1, weighted", "%.4f", 1, 1, test_f1},
    {"parameters", "%.0f", 1, 0, parameters},
    {"MFLOP an image", "%.1f", 1e-6, 0, flops},
    {"minutes", "%.2f", 1, 0, minutes},
};
enum { NCOLUMNS = sizeof columns / sizeof *columns };

/* The best value of a column; NAN: there is no better and worse, or nothing to compare. */
static double best_of(const Column *c, RtRun *const *run, int n)
{
    double best = NAN;
    int known = 0;
    for (int i = 0; i < n && c->better; i++) {
        double v = c->value(run[i]);
        known += isfinite(v) != 0;
        if (isfinite(v) && (isnan(best) || c->better * v > c->better * best)) best = v;
    }
    return known > 1 ? best : NAN;
}

static bool any_value(const Column *c, RtRun *const *run, int n)
{
    for (int i = 0; i < n; i++) {
        if (isfinite(c->value(run[i]))) return true;
    }
    return false;
}

static void figures(FILE *f, RtRun *const *run, int n)
{
    rt_page_section(f, "figures", "Figures");
    fputs("<p class=\"s\">Losses and accuracies of train and val are those of each run's best epoch; bold: the best of its column."
          "</p>\n<div class=\"x\"><table><tr><th class=\"n\">run</th>",
          f);
    for (int k = 0; k < NCOLUMNS; k++)
        if (any_value(&columns[k], run, n)) fprintf(f, "<th>%s</th>", columns[k].title);
    fputs("<th class=\"n\">verdict</th></tr>\n", f);
    for (int i = 0; i < n; i++) {
        RtVerdict v;
        fprintf(f, "<tr><td class=\"n\"><span class=\"k i%d\"></span>", rt_kind_ink(i));
        rt_page_text(f, "", run[i]->name, "</td>");
        for (int k = 0; k < NCOLUMNS; k++) {
            const Column *c = &columns[k];
            double x = c->value(run[i]);
            bool bold = x == best_of(c, run, n);
            if (!any_value(c, run, n)) continue;
            fputs(bold ? "<td><b>" : "<td>", f);
            if (isfinite(x)) fprintf(f, c->fmt, c->scale * x);
            fputs(bold ? "</b></td>" : "</td>", f);
        }
        rt_page_text(f, "<td class=\"n\">", rt_verdict(run[i], &v) ? v.word : "", "</td></tr>\n");
    }
    fputs("</table></div></section>\n", f);
}

/* ---- settings that differ ---- */

static bool differs(RtRun *const *run, int n, const char *key)
{
    const char *first = rt_run_setting(run[0], key);
    for (int i = 1; i < n; i++) {
        const char *v = rt_run_setting(run[i], key);
        if (!v != !first || (v && strcmp(v, first) != 0)) return true;
    }
    return false;
}

/* Has an earlier run, or an earlier line of this one, this key? */
static bool seen(RtRun *const *run, int i, const char *key)
{
    for (int k = 0; k < i; k++) {
        if (rt_run_setting(run[k], key)) return true;
    }
    return false;
}

static void setting_row(FILE *f, RtRun *const *run, int n, const char *key)
{
    rt_page_text(f, "<tr><td class=\"n\">", key, "</td>");
    for (int i = 0; i < n; i++) {
        const char *v = rt_run_setting(run[i], key);
        rt_page_text(f, "<td class=\"n\">", v ? v : "\xe2\x80\x93", "</td>");
    }
    fputs("</tr>\n", f);
}

static void settings(FILE *f, RtRun *const *run, int n)
{
    int rows = 0;
    rt_page_section(f, "settings", "Settings that differ");
    fputs("<div class=\"x\"><table><tr><th class=\"n\">setting</th>", f);
    for (int i = 0; i < n; i++) rt_page_text(f, "<th class=\"n\">", run[i]->name, "</th>");
    fputs("</tr>\n", f);
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < run[i]->nsettings; k++) {
            const char *key = run[i]->setting[k].key;
            if (!strcmp(key, "run.dir") || seen(run, i, key) || !differs(run, n, key)) continue;
            setting_row(f, run, n, key);
            rows++;
        }
    }
    fputs("</table></div>\n", f);
    if (!rows) fputs("<p>None: the runs have the same settings.</p>\n", f);
    fputs("</section>\n", f);
}

/* ---- weights of the first layer ---- */

static const json_t *last_weights(const RtRun *r)
{
    const json_t *all = json_object_get(json_object_get(r->report, "weights"), "images");
    size_t n = json_array_size(all);
    return n ? json_array_get(all, n - 1) : NULL;
}

static void weights(FILE *f, RtRun *const *run, int n)
{
    int shown = 0;
    for (int i = 0; i < n; i++) {
        const json_t *w = last_weights(run[i]);
        if (!w) continue;
        if (!shown++) {
            rt_page_section(f, "weights", "Weights of the first layer");
            fputs("<p class=\"s\">Each field is one output; grey is 0, white its largest weight.</p>\n<div class=\"g\">\n", f);
        }
        rt_page_text(f, "<figure class=\"n\"><img alt=\"\" src=\"data:image/png;base64,", rt_json_text_of(w, "png"), "\">");
        rt_page_text(f, "<figcaption>", run[i]->name, "");
        rt_page_text(f, ", ", rt_json_text_of(w, "when"), "</figcaption></figure>\n");
    }
    if (shown) fputs("</div></section>\n", f);
}

void rt_compare_write(RtRun *const *run, int n, const char *path)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = rt_text_open(&text, &size);
    rt_page_begin(f, "Runs compared", "sinter", false);
    fprintf(f, "<p class=\"s\">%d runs</p>\n", n);
    figures(f, run, n);
    rt_page_section(f, "curves", "Curves");
    fputs("<div class=\"p\">\n", f);
    chart(f, run, n, RT_LOSS_VAL, "Val loss", "mean of items", false);
    chart(f, run, n, RT_ACC_VAL, "Val accuracy", "share of items", true);
    chart(f, run, n, RT_LOSS_TRAIN, "Train loss", "mean of items", false);
    chart(f, run, n, RT_ACC_TRAIN, "Train accuracy", "share of items", true);
    chart(f, run, n, RT_IOU, "Val IoU", "mean of classes", false);
    chart(f, run, n, RT_NORM, "Squared norm of the weights", "sum of squares", false);
    fputs("</div></section>\n", f);
    weights(f, run, n);
    settings(f, run, n);
    rt_page_end(f, false);
    rt_text_save(f, &text, &size, path);
}
