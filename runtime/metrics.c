/* Metrics from a confusion matrix, and how they look as text and as JSON. Formulas: scikit-learn's.
 */
#include "metrics.h"
#include "err.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PAIRS = 10 }; /* shown */

RtConfusion *rt_confusion_new(int nclasses)
{
    size_t cells;
    RtConfusion *c = calloc(1, sizeof *c);
    if (!c || nclasses < 1 || __builtin_mul_overflow((size_t)nclasses, (size_t)nclasses, &cells) ||
        !(c->count = calloc(cells, sizeof *c->count))) {
        free(c);
        return NULL;
    }
    c->n = nclasses;
    return c;
}

bool rt_confusion_add(RtConfusion *c, int truth, int prediction)
{
    if (truth < 0 || truth >= c->n || prediction < 0 || prediction >= c->n) return false;
    c->count[(size_t)truth * (size_t)c->n + (size_t)prediction]++;
    return true;
}

void rt_confusion_free(RtConfusion *c)
{
    if (!c) return;
    free(c->count);
    free(c);
}

/* ---- numbers ---- */

static double ratio(double a, double b)
{
    return b > 0 ? a / b : 0;
}

static RtClassMetrics class_metrics(const RtConfusion *c, int k)
{
    size_t n = (size_t)c->n, i = (size_t)k;
    uint64_t truth = 0, predicted = 0, hit = c->count[i * n + i];
    for (size_t j = 0; j < n; j++) {
        truth += c->count[i * n + j];
        predicted += c->count[j * n + i];
    }
    return (RtClassMetrics){.precision = ratio((double)hit, (double)predicted),
                            .recall = ratio((double)hit, (double)truth),
                            .f1 = ratio(2 * (double)hit, (double)truth + (double)predicted),
                            .iou = ratio((double)hit, (double)(truth + predicted - hit)),
                            .support = truth,
                            .present = truth + predicted > 0};
}

bool rt_metrics(const RtConfusion *c, RtMetrics *m)
{
    *m = (RtMetrics){.n = c->n, .per_class = calloc((size_t)c->n, sizeof *m->per_class)};
    if (!m->per_class) return false;
    uint64_t hits = 0;
    for (int k = 0; k < c->n; k++) {
        RtClassMetrics *p = &m->per_class[k];
        *p = class_metrics(c, k);
        double s = (double)p->support;
        m->total += p->support;
        m->absent += !p->present;
        hits += c->count[(size_t)k * (size_t)c->n + (size_t)k];
        m->precision_macro += p->precision, m->precision_weighted += p->precision * s;
        m->recall_macro += p->recall, m->recall_weighted += p->recall * s;
        m->f1_macro += p->f1, m->f1_weighted += p->f1 * s;
        m->iou_macro += p->iou;
    }
    double present = c->n - m->absent, total = (double)m->total;
    m->accuracy = ratio((double)hits, total);
    m->precision_macro = ratio(m->precision_macro, present);
    m->recall_macro = ratio(m->recall_macro, present);
    m->f1_macro = ratio(m->f1_macro, present);
    m->iou_macro = ratio(m->iou_macro, present);
    m->precision_weighted = ratio(m->precision_weighted, total);
    m->recall_weighted = ratio(m->recall_weighted, total);
    m->f1_weighted = ratio(m->f1_weighted, total);
    return true;
}

static bool more(const RtConfused *x, const RtConfused *y)
{
    return x->a_as_b + x->b_as_a > y->a_as_b + y->b_as_a;
}

int rt_confusion_pairs(const RtConfusion *c, RtConfused *out, int most)
{
    int count = 0;
    for (int a = 0; a < c->n; a++) {
        for (int b = a + 1; b < c->n; b++) {
            RtConfused x = {a, b, c->count[a * (int64_t)c->n + b], c->count[b * (int64_t)c->n + a]};
            if (!x.a_as_b && !x.b_as_a) continue;
            if (count == most && !more(&x, &out[most - 1])) continue;
            int at = count < most ? count++ : most - 1;
            for (; at > 0 && more(&x, &out[at - 1]); at--) out[at] = out[at - 1];
            out[at] = x;
        }
    }
    return count;
}

void rt_metrics_free(RtMetrics *m)
{
    free(m->per_class);
    m->per_class = NULL;
}

/* ---- text ---- */

/* Columns that a UTF-8 text takes, near enough: its bytes that do not continue a character. */
static int columns(const char *s)
{
    int n = 0;
    for (; *s; s++) n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static const char *name_of(const char *const *names, int k, char *buf, size_t n)
{
    if (names) return rt_esc(names[k]);
    snprintf(buf, n, "%d", k);
    return buf;
}

static int name_width(const char *const *names, int n, int least)
{
    char buf[16];
    for (int k = 0; k < n; k++) {
        int w = columns(name_of(names, k, buf, sizeof buf));
        if (w > least) least = w;
    }
    return least;
}

static void put_name(FILE *f, const char *name, int width)
{
    fputs(name, f);
    fprintf(f, "%*s", width - columns(name), "");
}

/* iou NaN: there is no such column. */
static void put_row(FILE *f, const char *name, int width, double p, double r, double f1, double iou, uint64_t total)
{
    put_name(f, name, width);
    fprintf(f, "  %9.4f  %6.4f  %6.4f", p, r, f1);
    if (!isnan(iou)) fprintf(f, "  %6.4f", iou);
    fprintf(f, isnan(iou) ? "  %7" PRIu64 "\n" : "  %11" PRIu64 "\n", total);
}

void rt_metrics_print(FILE *f, const RtMetrics *m, const char *const *names, bool pixels)
{
    char buf[16];
    int width = name_width(names, m->n, (int)strlen("weighted average"));
    put_name(f, "class", width);
    fputs(pixels ? "  precision  recall    Dice     IoU       pixels\n" : "  precision  recall      F1  support\n", f);
    for (int k = 0; k < m->n; k++) {
        const RtClassMetrics *p = &m->per_class[k];
        put_row(f, name_of(names, k, buf, sizeof buf), width, p->precision, p->recall, p->f1, pixels ? p->iou : NAN,
                p->support);
    }
    fputc('\n', f);
    put_row(f, "macro average", width, m->precision_macro, m->recall_macro, m->f1_macro,
            pixels ? m->iou_macro : NAN, m->total);
    if (!pixels)
        put_row(f, "weighted average", width, m->precision_weighted, m->recall_weighted, m->f1_weighted, NAN, m->total);
    if (!m->absent) return;
    fprintf(f, "not in the data and never predicted, so not in the macro average:");
    for (int k = 0; k < m->n; k++)
        if (!m->per_class[k].present) fprintf(f, " %s", name_of(names, k, buf, sizeof buf));
    fputc('\n', f);
}

void rt_pairs_print(FILE *f, const RtConfusion *c, const char *const *names)
{
    RtConfused x[MOST_PAIRS];
    char a[16], b[16];
    int n = rt_confusion_pairs(c, x, MOST_PAIRS);
    if (n) fputs("most confused pairs\n", f);
    for (int i = 0; i < n; i++) {
        const char *p = name_of(names, x[i].a, a, sizeof a), *q = name_of(names, x[i].b, b, sizeof b);
        fprintf(f, "  %s, %s: %" PRIu64 " (%s taken for %s %" PRIu64 ", %s for %s %" PRIu64 ")\n", p, q,
                x[i].a_as_b + x[i].b_as_a, p, q, x[i].a_as_b, q, p, x[i].b_as_a);
    }
}

static int digits(uint64_t v)
{
    int n = 1;
    while (v /= 10) n++;
    return n;
}

void rt_confusion_print(FILE *f, const RtConfusion *c, const char *const *names)
{
    char buf[16];
    size_t n = (size_t)c->n;
    int width = name_width(names, c->n, 5), cell = digits((uint64_t)c->n - 1);
    for (size_t i = 0; i < n * n; i++)
        if (digits(c->count[i]) > cell) cell = digits(c->count[i]);
    fprintf(f, "confusion matrix: rows are the truth, columns the prediction\n");
    fprintf(f, "%*s", width + digits((uint64_t)c->n - 1) + 1, "");
    for (int j = 0; j < c->n; j++) fprintf(f, " %*d", cell, j);
    fputc('\n', f);
    for (int i = 0; i < c->n; i++) {
        put_name(f, name_of(names, i, buf, sizeof buf), width);
        fprintf(f, " %*d", digits((uint64_t)c->n - 1), i);
        for (size_t j = 0; j < n; j++) fprintf(f, " %*" PRIu64, cell, c->count[(size_t)i * n + j]);
        fputc('\n', f);
    }
}

/* ---- JSON ---- */

/* Escaped as rt_esc does, whose backslashes JSON then doubles: bad bytes stay visible and the text
 * stays valid. */
static void json_name(FILE *f, const char *const *names, int k)
{
    char buf[16];
    fputc('"', f);
    for (const char *s = name_of(names, k, buf, sizeof buf); *s; s++) {
        if (*s == '"' || *s == '\\') fputc('\\', f);
        fputc(*s, f);
    }
    fputc('"', f);
}

static void json_class(FILE *f, const RtClassMetrics *p, const char *const *names, int k)
{
    fputs(k ? ", {\"class\": " : "{\"class\": ", f);
    json_name(f, names, k);
    fprintf(f,
            ", \"precision\": %.17g, \"recall\": %.17g, \"f1\": %.17g, \"iou\": %.17g, \"support\": %" PRIu64 "}",
            p->precision, p->recall, p->f1, p->iou, p->support);
}

static void json_pairs(FILE *f, const RtConfusion *c, const char *const *names)
{
    RtConfused x[MOST_PAIRS];
    int n = rt_confusion_pairs(c, x, MOST_PAIRS);
    fputs(", \"most_confused\": [", f);
    for (int i = 0; i < n; i++) {
        fputs(i ? ", {\"a\": " : "{\"a\": ", f);
        json_name(f, names, x[i].a);
        fputs(", \"b\": ", f);
        json_name(f, names, x[i].b);
        fprintf(f, ", \"a_as_b\": %" PRIu64 ", \"b_as_a\": %" PRIu64 "}", x[i].a_as_b, x[i].b_as_a);
    }
    fputc(']', f);
}

void rt_metrics_json(FILE *f, const RtConfusion *c, const RtMetrics *m, const char *const *names)
{
    size_t n = (size_t)c->n;
    fprintf(f, "\"accuracy\": %.17g", m->accuracy);
    fprintf(f, ", \"precision_macro\": %.17g, \"recall_macro\": %.17g, \"f1_macro\": %.17g",
            m->precision_macro, m->recall_macro, m->f1_macro);
    fprintf(f,
            ", \"precision_weighted\": %.17g, \"recall_weighted\": %.17g, \"f1_weighted\": %.17g",
            m->precision_weighted, m->recall_weighted, m->f1_weighted);
    fprintf(f, ", \"iou_macro\": %.17g", m->iou_macro);
    fputs(", \"classes\": [", f);
    for (int k = 0; k < c->n; k++) json_class(f, &m->per_class[k], names, k);
    fputs("], \"absent\": [", f);
    for (int k = 0, some = 0; k < c->n; k++) {
        if (m->per_class[k].present) continue;
        if (some++) fputs(", ", f);
        json_name(f, names, k);
    }
    fputc(']', f);
    json_pairs(f, c, names);
    fputs(", \"confusion\": [", f);
    for (size_t i = 0; i < n; i++) {
        fputs(i ? ", [" : "[", f);
        for (size_t j = 0; j < n; j++) fprintf(f, "%s%" PRIu64, j ? ", " : "", c->count[i * n + j]);
        fputc(']', f);
    }
    fputc(']', f);
}
