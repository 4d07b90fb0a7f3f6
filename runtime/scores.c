/* Probabilities to numbers: see scores.h.
 *
 * in:  probabilities, one item after the other
 * out: areas under curves, from groups of equal probability in falling order; sums for the calibration
 * not here: how they look (eval_print.c).
 */
#include "scores.h"
#include "err.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 4096 };

struct RtScores {
    int classes;
    uint64_t n, room;
    float *p;                 /* [n][classes]; NULL for pixels */
    int32_t *truth;           /* [n] */
    uint64_t (*step)[STEPS][2]; /* of pixels: [class][step][of the class, of others] */
    uint64_t *rank;           /* [classes]: items with so many classes above the truth */
    double brier, confidence[RT_CALIBRATION_BINS];
    uint64_t count[RT_CALIBRATION_BINS], right[RT_CALIBRATION_BINS];
};

RtScores *rt_scores_new(int classes, bool pixels)
{
    RtScores *s = rt_alloc(1, sizeof *s, "scores");
    s->classes = classes;
    s->rank = rt_alloc((size_t)classes, sizeof *s->rank, "scores");
    if (pixels) s->step = rt_alloc((size_t)classes, sizeof *s->step, "scores");
    return s;
}

void rt_scores_free(RtScores *s)
{
    if (!s) return;
    free(s->p);
    free(s->truth);
    free(s->step);
    free(s->rank);
    free(s);
}

static void *grow(void *p, uint64_t n, size_t size)
{
    size_t bytes;
    void *more = __builtin_mul_overflow(n, size, &bytes) ? NULL : realloc(p, bytes);
    if (!more) rt_fail(RT_EXIT_MEMORY, "E003", "cannot allocate the scores of %llu items", (unsigned long long)n);
    return more;
}

static void keep(RtScores *s, int truth, const double *p)
{
    size_t k = (size_t)s->classes;
    if (s->n == s->room) {
        s->room = s->room ? 2 * s->room : 1024;
        s->p = grow(s->p, s->room, k * sizeof *s->p);
        s->truth = grow(s->truth, s->room, sizeof *s->truth);
    }
    for (size_t i = 0; i < k; i++) s->p[s->n * k + i] = (float)p[i];
    s->truth[s->n] = truth;
}

static void count_steps(RtScores *s, int truth, const double *p)
{
    for (int k = 0; k < s->classes; k++) {
        int at = (int)(p[k] * STEPS);
        s->step[k][at < 0 ? 0 : at >= STEPS ? STEPS - 1 : at][k != truth]++;
    }
}

void rt_scores_add(RtScores *s, int truth, double *p)
{
    int above = 0, top = 0;
    double brier = 0;
    if (truth < 0 || truth >= s->classes) return;
    for (int k = 0; k < s->classes; k++) {
        if (!isfinite(p[k])) p[k] = 0; /* of an output that overflowed */
        double miss = p[k] - (k == truth);
        brier += miss * miss;
        above += p[k] > p[truth] || (p[k] == p[truth] && k < truth);
        if (p[k] > p[top]) top = k;
    }
    int bin = (int)ceil(p[top] * RT_CALIBRATION_BINS) - 1;
    bin = bin < 0 ? 0 : bin >= RT_CALIBRATION_BINS ? RT_CALIBRATION_BINS - 1 : bin;
    s->confidence[bin] += p[top];
    s->count[bin]++;
    s->right[bin] += top == truth;
    s->rank[above]++;
    s->brier += s->classes == 2 ? brier / 2 : brier;
    if (s->step)
        count_steps(s, truth, p);
    else
        keep(s, truth, p);
    s->n++;
}

double rt_scores_topk(const RtScores *s, int k)
{
    uint64_t hits = 0;
    for (int i = 0; i < k && i < s->classes; i++) hits += s->rank[i];
    return s->n ? (double)hits / (double)s->n : NAN;
}

/* ---- curves ---- */

typedef struct Curve { /* a threshold that falls */
    double tp, fp;
    double precision; /* sum of precision * gain of true positives */
    double area;      /* under ROC, in (true, false) pairs */
} Curve;

/* The threshold passes a group of equal probability. */
static void pass(Curve *c, uint64_t of_class, uint64_t others)
{
    double pos = (double)of_class, neg = (double)others;
    c->area += neg * (c->tp + pos / 2);
    c->tp += pos;
    c->fp += neg;
    if (pos > 0) c->precision += pos * c->tp / (c->tp + c->fp);
}

typedef struct Ranked {
    float p;
    bool of_class;
} Ranked;

static int falling(const void *x, const void *y)
{
    float a = ((const Ranked *)x)->p, b = ((const Ranked *)y)->p;
    return (a < b) - (a > b);
}

static Curve curve_of_items(const RtScores *s, int k, Ranked *r)
{
    Curve c = {0};
    for (uint64_t i = 0; i < s->n; i++)
        r[i] = (Ranked){s->p[i * (uint64_t)s->classes + (uint64_t)k], s->truth[i] == k};
    qsort(r, s->n, sizeof *r, falling);
    for (uint64_t i = 0; i < s->n;) {
        uint64_t count[2] = {0}, first = i;
        for (; i < s->n && r[i].p == r[first].p; i++) count[r[i].of_class]++;
        pass(&c, count[1], count[0]);
    }
    return c;
}

static Curve curve_of_pixels(const RtScores *s, int k)
{
    Curve c = {0};
    for (int i = STEPS - 1; i >= 0; i--) pass(&c, s->step[k][i][0], s->step[k][i][1]);
    return c;
}

static double ratio(double a, double b)
{
    return b > 0 ? a / b : NAN;
}

static void calibration(const RtScores *s, RtScoreNumbers *out)
{
    for (int i = 0; i < RT_CALIBRATION_BINS; i++) {
        double n = (double)s->count[i], right = (double)s->right[i];
        out->bin[i] = (RtCalibrationBin){s->count[i], ratio(s->confidence[i], n), ratio(right, n)};
        out->ece += fabs(s->confidence[i] - right);
    }
    out->ece = ratio(out->ece, (double)s->n);
    out->brier = ratio(s->brier, (double)s->n);
}

void rt_scores_numbers(const RtScores *s, RtScoreNumbers *out)
{
    size_t classes = (size_t)s->classes;
    double with_truth = 0, with_both = 0, positives = 0;
    Ranked *room = rt_alloc(s->step ? 1 : s->n + 1, sizeof *room, "ranks");
    *out = (RtScoreNumbers){.classes = s->classes, .n = s->n};
    out->average_precision = rt_alloc(classes, sizeof(double), "scores");
    out->roc_auc = rt_alloc(classes, sizeof(double), "scores");
    for (int k = 0; k < s->classes; k++) {
        Curve c = s->step ? curve_of_pixels(s, k) : curve_of_items(s, k, room);
        double ap = out->average_precision[k] = ratio(c.precision, c.tp);
        double auc = out->roc_auc[k] = ratio(c.area, c.tp * c.fp);
        if (!isnan(ap)) out->mean_average_precision += ap, with_truth++;
        if (isnan(auc)) continue;
        out->roc_auc_macro += auc, with_both++;
        out->roc_auc_weighted += auc * c.tp, positives += c.tp;
    }
    free(room);
    out->mean_average_precision = ratio(out->mean_average_precision, with_truth);
    out->roc_auc_macro = ratio(out->roc_auc_macro, with_both);
    out->roc_auc_weighted = ratio(out->roc_auc_weighted, positives);
    calibration(s, out);
}

void rt_scores_numbers_free(RtScoreNumbers *n)
{
    free(n->average_precision);
    free(n->roc_auc);
}
