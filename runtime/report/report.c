/* report.html: the table of sections, and what stands above them.
 *
 * In: a run. Out: RUN/report.html and RUN/plots/NAME.svg.
 * Rule: a section is a row; it is there if its data is. */
#include "report.h"
#include "../err.h"
#include "page.h"
#include "../file.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool has_curves(const RtRun *r)
{
    return rt_plot("loss")->has(r);
}

static void write_curves(FILE *f, const RtRun *r)
{
    fputs("<div class=\"p\">\n", f);
    rt_page_plot(f, r, "loss");
    rt_page_plot(f, r, "accuracy");
    rt_page_plot(f, r, "iou");
    rt_page_plot(f, r, "learning-rate");
    rt_page_plot(f, r, "weight-norm");
    fputs("</div>\n", f);
}

static bool has_data(const RtRun *r)
{
    return rt_plot("classes")->has(r) || rt_plot("brightness")->has(r);
}

static void write_data(FILE *f, const RtRun *r)
{
    const char *comma = "<p class=\"s\">Items: ";
    for (int s = 0; s < RT_NSPLITS; s++) {
        if (!r->items[s]) continue;
        fprintf(f, "%s%s %" PRId64, comma, rt_split_name[s], r->items[s]);
        comma = ", ";
    }
    fputs(". ", f);
    if (rt_plot("brightness")->has(r))
        fputs("Brightness: the mean grey level of an image, of up to 1000 images of a split; bars span the quartiles, squares are "
              "medians.",
              f);
    fputs("</p>\n<div class=\"p\">\n", f);
    rt_page_plot(f, r, "classes");
    rt_page_plot(f, r, "brightness");
    fputs("</div>\n", f);
}

static bool has_confusion(const RtRun *r)
{
    return rt_plot("confusion")->has(r);
}

static void write_confusion(FILE *f, const RtRun *r)
{
    fputs("<p class=\"s\">A row is the truth, a column the answer; shades are shares of the row.</p>\n", f);
    rt_page_plot(f, r, "confusion");
}

static bool has_tsne(const RtRun *r)
{
    return rt_plot("tsne-train")->has(r) || rt_plot("tsne-val")->has(r) || rt_plot("tsne-test")->has(r);
}

static void write_tsne(FILE *f, const RtRun *r)
{
    fputs("<p class=\"s\">Near points have features that the model sees as alike; distances between groups mean little.</p>\n<div class=\"p\">\n", f);
    rt_page_plot(f, r, "tsne-train");
    rt_page_plot(f, r, "tsne-val");
    rt_page_plot(f, r, "tsne-test");
    fputs("</div>\n", f);
}

static const RtSection sections[] = {
    {"curves", "Curves", has_curves, write_curves},
    {"data", "Data", has_data, write_data},
    {"confusion", "Confusion matrix", has_confusion, write_confusion},
    {"classes", "Classes", rt_has_per_class, rt_write_per_class},
    {"pairs", "Most confused pairs", rt_has_confused, rt_write_confused},
    {"mistakes", "Misclassified", rt_has_misclassified, rt_write_misclassified},
    {"masks", "Masks", rt_has_masks, rt_write_masks},
    {"rebuilt", "Reconstructions", rt_has_rebuilt, rt_write_rebuilt},
    {"augmented", "Augmented samples", rt_has_augmented, rt_write_augmented},
    {"tsne", "t-SNE", has_tsne, write_tsne},
    {"space", "t-SNE in space", rt_has_space, rt_write_space},
    {"weights", "Weights of the first layer", rt_has_weights, rt_write_weights},
    {"kernels", "Kernels", rt_has_kernels, rt_write_kernels},
    {"environment", "Environment", rt_has_environment, rt_write_environment},
    {"settings", "Settings", rt_has_settings, rt_write_settings},
    {"description", "Description", rt_has_description, rt_write_description},
};
enum { NSECTIONS = sizeof sections / sizeof *sections };

/* ---- what stands above ---- */

static void figure(FILE *f, const char *name, const char *fmt, double v)
{
    if (!isfinite(v)) return;
    fprintf(f, "<div><dt>%s</dt><dd>", name);
    fprintf(f, fmt, v);
    fputs("</dd></div>\n", f);
}

static void score_figures(FILE *f, const RtScored *s)
{
    char name[64];
    const char *split = rt_split_name[s->split];
    bool pixels = json_is_true(json_object_get(s->json, "pixels"));
    if (s->confusion) {
        snprintf(name, sizeof name, "%s %s", split, pixels ? "pixel accuracy" : "accuracy");
        figure(f, name, "%.2f%%", 100 * s->m.accuracy);
        snprintf(name, sizeof name, pixels ? "%s mean IoU" : "%s F1, weighted", split);
        figure(f, name, "%.4f", pixels ? s->m.iou_macro : s->m.f1_weighted);
    }
    snprintf(name, sizeof name, "%s loss", split);
    figure(f, name, "%.4f", s->loss);
    snprintf(name, sizeof name, "%s PSNR", split);
    figure(f, name, "%.2f dB", rt_json_of(s->json, "psnr"));
}

static void head(FILE *f, const RtRun *r)
{
    double seconds = 0, parameters = rt_json_of(r->report, "parameters");
    rt_page_text(f, "<p class=\"s\">run ", r->name, "");
    if (*rt_json_text_of(r->report, "spec_file")) rt_page_text(f, ", from ", rt_json_text_of(r->report, "spec_file"), "");
    if (*rt_json_text_of(r->env, "compiler")) rt_page_text(f, ", ", rt_json_text_of(r->env, "compiler"), "");
    fputs("</p>\n<dl class=\"f\">\n", f);
    if (r->nscored) score_figures(f, &r->scored[0]);
    for (int i = 0; i < r->nepochs; i++)
        if (isfinite(r->series[RT_SECONDS][i])) seconds += r->series[RT_SECONDS][i];
    if (r->best >= 0) figure(f, "best epoch", "%.0f", r->best + 1);
    figure(f, "epochs", "%.0f", r->nepochs ? r->nepochs : NAN);
    figure(f, seconds < 120 ? "training, seconds" : "training, minutes", seconds < 10 ? "%.1f" : "%.0f",
           seconds <= 0 ? NAN : seconds < 120 ? seconds : seconds / 60);
    figure(f, "parameters", parameters < 1e6 ? "%.0f" : "%.3g", parameters);
    fputs("</dl>\n", f);
}

static void verdict(FILE *f, const RtRun *r)
{
    RtVerdict v;
    if (!rt_verdict(r, &v)) return;
    rt_page_text(f, "<div class=\"v\"><p><b>", v.word, ".</b><br>");
    rt_page_text(f, "", v.reason, "</p>");
    rt_page_text(f, "<p class=\"s\">", v.rule, "</p></div>\n");
}

static void write_page(FILE *f, const RtRun *r)
{
    bool scripts = rt_has_space(r);
    const char *model = rt_json_text_of(r->env, "model");
    rt_page_begin(f, *model ? model : r->name, "report", scripts);
    head(f, r);
    verdict(f, r);
    fputs("<nav>", f);
    for (int i = 0; i < NSECTIONS; i++)
        if (sections[i].has(r)) fprintf(f, "<a href=\"#%s\">%s</a>\n", sections[i].id, sections[i].title);
    fputs("</nav>\n", f);
    for (int i = 0; i < NSECTIONS; i++) {
        if (!sections[i].has(r)) continue;
        rt_page_section(f, sections[i].id, sections[i].title);
        sections[i].write(f, r);
        fputs("</section>\n", f);
    }
    rt_page_end(f, scripts);
}

static void write_plot(const RtRun *r, const RtPlot *p)
{
    char *text = NULL, *path = rt_format("%s/plots/%s.svg", r->path, p->name);
    size_t n = 0;
    FILE *f = rt_text_open(&text, &n);
    RtSvg s;
    rt_svg_init(&s, f, 1);
    p->draw(&s.paint, r);
    rt_text_save(f, &text, &n, path);
    free(path);
}

void rt_report_plots_dir(const RtRun *r)
{
    char *dir = rt_format("%s/plots", r->path);
    if (mkdir(dir, 0777) != 0 && errno != EEXIST)
        rt_fail(RT_EXIT_WRITE, "C005", "cannot create '%s': %s", rt_esc(dir), strerror(errno));
    free(dir);
}

void rt_report_write(const RtRun *r)
{
    char *text = NULL, *path = rt_format("%s/report.html", r->path);
    size_t n = 0;
    rt_report_plots_dir(r);
    for (const RtPlot *p = rt_plots; p->name; p++)
        if (p->has(r)) write_plot(r, p);
    FILE *f = rt_text_open(&text, &n);
    write_page(f, r);
    rt_text_save(f, &text, &n, path);
    free(path);
}
