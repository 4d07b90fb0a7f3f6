/* The sections about single classes: a table, and the pairs that are taken for each other.
 *
 * In: the confusion matrix of the split that the report is about. Out: tables.
 * Rule: every average says which one it is; classes that do not occur are named. */
#include "page.h"
#include <inttypes.h>
#include <stdlib.h>

enum { MOST_PAIRS = 15, MOST_ROWS = 500 };

static bool pixels(const RtScored *s)
{
    return json_is_true(json_object_get(s->json, "pixels"));
}

bool rt_has_per_class(const RtRun *r)
{
    return r->nscored && r->scored[0].confusion;
}

static void number(FILE *f, double v)
{
    fprintf(f, "<td>%.3f</td>", v);
}

static void class_row(FILE *f, const RtRun *r, const RtClassMetrics *m, int k, bool iou)
{
    rt_page_text(f, "<tr><td class=\"n\">", rt_class_name(r, k), "</td>");
    if (!m->present) {
        fprintf(f, "<td colspan=\"%d\" class=\"s\">does not occur</td></tr>\n", iou ? 6 : 5);
        return;
    }
    number(f, m->precision);
    number(f, m->recall);
    number(f, m->f1);
    if (iou) number(f, m->iou);
    fprintf(f, "<td>%" PRIu64 "</td><td class=\"h\"><i style=\"width:%.0f%%\"></i></td></tr>\n", m->support,
            100 * (iou ? m->iou : m->f1));
}

static void average_row(FILE *f, const char *name, double p, double r, double f1, double iou, bool shown)
{
    fprintf(f, "<tr><td class=\"n\"><b>%s</b></td>", name);
    number(f, p);
    number(f, r);
    number(f, f1);
    if (shown && iou >= 0) number(f, iou);
    if (shown && iou < 0) fputs("<td></td>", f);
    fputs("<td></td><td></td></tr>\n", f);
}

void rt_write_per_class(FILE *f, const RtRun *r)
{
    const RtScored *s = &r->scored[0];
    const RtMetrics *m = &s->m;
    bool iou = pixels(s);
    fprintf(f, "<p class=\"s\">%s split, %" PRIu64 " %s. Precision, recall and %s of each class; the bar is %s.</p>\n",
            rt_split_name[s->split], m->total, iou ? "pixels" : "items", iou ? "Dice (F1) and IoU" : "F1", iou ? "IoU" : "F1");
    fprintf(f, "<div class=\"x\"><table><tr><th class=\"n\">class</th><th>precision</th><th>recall</th><th>%s</th>%s<th>%s</th>"
               "<th></th></tr>\n",
            iou ? "Dice" : "F1", iou ? "<th>IoU</th>" : "", iou ? "pixels" : "items");
    for (int k = 0; k < m->n && k < MOST_ROWS; k++) class_row(f, r, &m->per_class[k], k, iou);
    average_row(f, "macro average", m->precision_macro, m->recall_macro, m->f1_macro, m->iou_macro, iou);
    average_row(f, iou ? "weighted by pixels" : "weighted by items", m->precision_weighted, m->recall_weighted, m->f1_weighted, -1, iou);
    fputs("</table></div>\n", f);
    if (m->absent)
        fprintf(f, "<p class=\"s\">The macro average runs over the %d classes that occur.</p>\n", m->n - m->absent);
    if (m->n > MOST_ROWS) fprintf(f, "<p class=\"s\">The first %d of %d classes.</p>\n", MOST_ROWS, m->n);
}

bool rt_has_confused(const RtRun *r)
{
    RtConfused one;
    return rt_has_per_class(r) && rt_confusion_pairs(r->scored[0].confusion, &one, 1) > 0;
}

void rt_write_confused(FILE *f, const RtRun *r)
{
    const RtScored *s = &r->scored[0];
    RtConfused pair[MOST_PAIRS];
    int n = rt_confusion_pairs(s->confusion, pair, MOST_PAIRS);
    uint64_t wrong = 0;
    for (int k = 0; k < s->m.n; k++)
        wrong += s->m.per_class[k].support - s->confusion->count[(size_t)k * (size_t)s->m.n + (size_t)k];
    fprintf(f, "<p class=\"s\">%s split, %" PRIu64 " mistakes in all.</p>\n<div class=\"x\"><table><tr><th class=\"n\">one class</th>"
               "<th class=\"n\">the other</th><th>one taken<br>for the other</th><th>the other taken<br>for the one</th><th>together</th>"
               "<th>of all<br>mistakes</th></tr>\n",
            rt_split_name[s->split], wrong);
    for (int i = 0; i < n; i++) {
        uint64_t sum = pair[i].a_as_b + pair[i].b_as_a;
        rt_page_text(f, "<tr><td class=\"n\">", rt_class_name(r, pair[i].a), "</td>");
        rt_page_text(f, "<td class=\"n\">", rt_class_name(r, pair[i].b), "</td>");
        fprintf(f, "<td>%" PRIu64 "</td><td>%" PRIu64 "</td><td>%" PRIu64 "</td><td>%.1f%%</td></tr>\n", pair[i].a_as_b,
                pair[i].b_as_a, sum, wrong ? 100 * (double)sum / (double)wrong : 0);
    }
    fputs("</table></div>\n", f);
}
