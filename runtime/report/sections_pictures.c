/* The sections that show pictures: mistakes, augmented samples, weights, masks, reconstructions, points in space.
 *
 * In: report.json, whose pictures are PNG in base64. Out: figures.
 * Rule: numbers are printed by us, texts escaped; a picture is an attribute's value and nothing else. */
#include "chart.h"
#include "page.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void picture(FILE *f, const json_t *png)
{
    const char *s = json_string_value(png);
    rt_page_text(f, "<img alt=\"\" src=\"data:image/png;base64,", s ? s : "", "\">");
}

static const json_t *of_score(const RtRun *r, const char *key)
{
    return r->nscored ? json_object_get(r->scored[0].json, key) : NULL;
}

static const char *class_of(const RtRun *r, double k)
{
    return k >= 0 && k < r->nclasses ? rt_class_name(r, (int)k) : "?";
}

/* ---- mistakes ---- */

bool rt_has_misclassified(const RtRun *r)
{
    return json_array_size(of_score(r, "misclassified")) > 0;
}

static void mistake(FILE *f, const RtRun *r, const json_t *x)
{
    size_t i;
    json_t *one;
    double truth = rt_json_of(x, "truth");
    rt_page_text(f, "<figure title=\"", rt_json_text_of(x, "item"), "\">");
    picture(f, json_object_get(x, "image"));
    fputs("<figcaption>", f);
    json_array_foreach(json_object_get(x, "top"), i, one) {
        double k = rt_json_at(one, 0), p = rt_json_at(one, 1);
        if (!(p >= 0 && p <= 1)) continue;
        rt_page_text(f, i ? "<br>" : "<b>", class_of(r, k), i ? "" : "</b>");
        fprintf(f, " %.1f%%", 100 * p);
        if (k == truth) fputs(" \xe2\x9c\x93", f); /* the truth, among the next answers */
    }
    fputs("</figcaption></figure>\n", f);
}

void rt_write_misclassified(FILE *f, const RtRun *r)
{
    size_t i;
    json_t *x;
    double before = -1;
    fprintf(f, "<p class=\"s\">%s split, grouped by true class: what the model was most sure of and wrong about. Under each picture "
               "its answers with their probabilities; \xe2\x9c\x93 is the truth.</p>\n",
            rt_split_name[r->scored[0].split]);
    json_array_foreach(of_score(r, "misclassified"), i, x) {
        double truth = rt_json_of(x, "truth");
        if (truth != before)
            rt_page_text(f, before >= 0 ? "</div></div>\n<div><h3>" : "<div class=\"q\"><div><h3>", class_of(r, truth), "</h3><div class=\"g\">\n");
        before = truth;
        mistake(f, r, x);
    }
    if (before >= 0) fputs("</div></div></div>\n", f);
}

/* ---- augmented samples ---- */

bool rt_has_augmented(const RtRun *r)
{
    return json_array_size(json_object_get(r->report, "augmented")) > 0;
}

void rt_write_augmented(FILE *f, const RtRun *r)
{
    size_t i, k;
    json_t *row, *png;
    fputs("<p class=\"s\">Training images: first as the evaluation sees them, then as they came in epochs 1, 2, 3, \xe2\x80\xa6</p>\n", f);
    json_array_foreach(json_object_get(r->report, "augmented"), i, row) {
        fputs("<div class=\"a\">", f);
        json_array_foreach(row, k, png) picture(f, png);
        fputs("</div>\n", f);
    }
}

/* ---- weights of the first layer ---- */

bool rt_has_weights(const RtRun *r)
{
    return json_array_size(json_object_get(json_object_get(r->report, "weights"), "images")) > 0;
}

void rt_write_weights(FILE *f, const RtRun *r)
{
    size_t i;
    json_t *x;
    const json_t *w = json_object_get(r->report, "weights");
    rt_page_text(f, "<p class=\"s\">", rt_json_text_of(w, "name"), ", ");
    rt_page_text(f, "", rt_json_text_of(w, "shape"), ". Each field is one output; grey is 0, white its largest weight.</p>\n"
                                                     "<div class=\"g\">");
    json_array_foreach(json_object_get(w, "images"), i, x) {
        fputs("<figure class=\"n\">", f);
        picture(f, json_object_get(x, "png"));
        rt_page_text(f, "<figcaption>", rt_json_text_of(x, "when"), "</figcaption></figure>\n");
    }
    fputs("</div>\n", f);
}

/* ---- masks ---- */

bool rt_has_masks(const RtRun *r)
{
    return json_array_size(of_score(r, "masks")) > 0;
}

static void legend(FILE *f, const RtRun *r, const json_t *colours)
{
    size_t k;
    json_t *c;
    fputs("<p>", f);
    json_array_foreach(colours, k, c) {
        double red = rt_json_at(c, 0), green = rt_json_at(c, 1), blue = rt_json_at(c, 2);
        if (!(red >= 0 && red < 256 && green >= 0 && green < 256 && blue >= 0 && blue < 256)) continue;
        fprintf(f, "<span class=\"k2\"><span class=\"k\" style=\"background:rgb(%d,%d,%d)\"></span>", (int)red, (int)green,
                (int)blue);
        rt_page_text(f, "", class_of(r, (double)k), "</span> ");
    }
    fputs("</p>\n", f);
}

/* Rows of figures that share their captions. */
static void rows(FILE *f, const json_t *list, const char *const *key, const char *const *caption, int n, const char *value,
                 bool percent)
{
    size_t i;
    json_t *x;
    const char *group = "";
    json_array_foreach(list, i, x) {
        double v = rt_json_of(x, value);
        if (strcmp(group, rt_json_text_of(x, "group")) != 0) {
            fprintf(f, "%s<h3>%s</h3>\n<div class=\"q%s\">\n", *group ? "</div>\n" : "",
                    strcmp(rt_json_text_of(x, "group"), "worst") ? "The first" : "The worst", n < 3 ? " q2" : "");
            group = rt_json_text_of(x, "group");
        }
        rt_page_text(f, "<div><h3 class=\"s\">", rt_json_text_of(x, "item"), "");
        if (isfinite(v)) fprintf(f, percent ? ", %.1f%%" : ", %.2f dB", percent ? 100 * v : v);
        fputs("</h3><div class=\"g\">\n", f);
        for (int k = 0; k < n; k++) {
            fputs("<figure>", f);
            picture(f, json_object_get(x, key[k]));
            fprintf(f, "<figcaption>%s</figcaption></figure>\n", caption[k]);
        }
        fputs("</div></div>\n", f);
    }
    if (*group) fputs("</div>\n", f);
}

void rt_write_masks(FILE *f, const RtRun *r)
{
    static const char *const key[] = {"image", "truth", "answer"}, *const caption[] = {"image", "truth", "answer"};
    fprintf(f, "<p class=\"s\">%s split: the first items and the worst, with the share of pixels that are right. Black over truth: left out.</p>\n",
            rt_split_name[r->scored[0].split]);
    legend(f, r, of_score(r, "colours"));
    rows(f, of_score(r, "masks"), key, caption, 3, "accuracy", true);
}

/* ---- reconstructions ---- */

bool rt_has_rebuilt(const RtRun *r)
{
    return json_array_size(of_score(r, "rebuilt")) > 0;
}

void rt_write_rebuilt(FILE *f, const RtRun *r)
{
    static const char *const key[] = {"image", "answer"}, *const caption[] = {"original", "rebuilt"};
    fprintf(f, "<p class=\"s\">%s split; PSNR in dB, higher is nearer.</p>\n", rt_split_name[r->scored[0].split]);
    rows(f, of_score(r, "rebuilt"), key, caption, 2, "psnr", false);
}

/* ---- points in space ---- */

static bool in_space(const json_t *e)
{
    return json_array_size(json_object_get(e, "x")) == 3 && json_array_size(json_object_get(e, "label")) > 1;
}

bool rt_has_space(const RtRun *r)
{
    size_t i;
    json_t *e;
    json_array_foreach(json_object_get(r->report, "tsne"), i, e) {
        if (in_space(e)) return true;
    }
    return false;
}

/* "x y z class;..." scaled to the cube -1..1. */
static void points(FILE *f, const RtRun *r, const json_t *e)
{
    const json_t *x = json_object_get(e, "x"), *label = json_object_get(e, "label");
    double lo[3], hi[3], most = 0;
    size_t n = json_array_size(label);
    for (size_t a = 0; a < 3; a++) {
        lo[a] = INFINITY;
        hi[a] = -INFINITY;
        for (size_t i = 0; i < n; i++) {
            double v = rt_json_at(json_array_get(x, a), i);
            if (!isfinite(v)) continue;
            lo[a] = fmin(lo[a], v);
            hi[a] = fmax(hi[a], v);
        }
        most = fmax(most, hi[a] - lo[a]);
    }
    bool first = true;
    for (size_t i = 0; i < n && most > 0; i++) {
        double v[3], k = rt_json_at(label, i);
        for (size_t a = 0; a < 3; a++) v[a] = (2 * rt_json_at(json_array_get(x, a), i) - lo[a] - hi[a]) / most;
        if (!(isfinite(v[0]) && isfinite(v[1]) && isfinite(v[2]) && k >= 0 && k < r->nclasses)) continue;
        fprintf(f, "%s%.3f %.3f %.3f %d", first ? "" : ";", v[0], v[1], v[2], (int)k);
        first = false;
    }
}

void rt_write_space(FILE *f, const RtRun *r)
{
    size_t i;
    json_t *e;
    fputs("<p class=\"s\">Drag, or use the arrow keys, to turn. Near points are larger.</p>\n<p>", f);
    for (int k = 0; k < r->nclasses && k < 64; k++) {
        fprintf(f, "<span class=\"k2\"><span class=\"k i%d\"></span>", rt_kind_ink(k));
        rt_page_text(f, "", rt_class_name(r, k), "</span> ");
    }
    fputs("</p>\n<div class=\"p\">\n", f);
    json_array_foreach(json_object_get(r->report, "tsne"), i, e) {
        if (!in_space(e)) continue;
        rt_page_text(f, "<div><h3>t-SNE of ", rt_json_text_of(e, "layer"), ", ");
        rt_page_text(f, "", rt_json_text_of(e, "split"), " split</h3><canvas tabindex=\"0\" role=\"img\" aria-label=\"t-SNE in three dimensions\" data-p=\"");
        points(f, r, e);
        fputs("\"></canvas></div>\n", f);
    }
    fputs("</div>\n", f);
}
