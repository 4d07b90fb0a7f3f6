/* Charts of matrices and of points.
 *
 * In: counts, coordinates. Out: strokes on a paper (paint.h).
 * Rule: a cell is as wide as its numbers need, until there are so many that colour alone must do. */
#include "axis.h"
#include "chart.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

enum { NAME = 20, NUMBERS_UP_TO = 24 };

static uint64_t row_sum(const RtHeat *c, int i)
{
    uint64_t sum = 0;
    for (int k = 0; k < c->n; k++) sum += c->count[(size_t)i * (size_t)c->n + (size_t)k];
    return sum;
}

static void cell(RtPaint *p, const RtHeat *c, int i, int k, double x, double y, double side, uint64_t sum)
{
    char tip[256], truth[80], answer[80], number[24];
    uint64_t v = c->count[(size_t)i * (size_t)c->n + (size_t)k];
    double share = sum ? (double)v / (double)sum : 0;
    if (!v) return;
    snprintf(tip, sizeof tip, "%s: %s, %s: %s \xe2\x80\x94 %" PRIu64 " of %" PRIu64 " (%.1f%%)", c->row_label,
             rt_short(c->name(c->of, i), 24, truth, sizeof truth), c->column_label,
             rt_short(c->name(c->of, k), 24, answer, sizeof answer), v, sum, 100 * share);
    p->rect(p, x, y, side - 1, side - 1, i == k ? RT_INK_SERIES : RT_INK_SERIES + 1, 0.08 + 0.92 * share, tip);
    if (c->n > NUMBERS_UP_TO) return;
    snprintf(number, sizeof number, "%" PRIu64, v);
    p->text(p, x + side / 2, y + side / 2 + 4.5, RT_MIDDLE, share > 0.45 ? RT_INK_PAPER : RT_INK_TEXT, number);
}

/* Over a column: its class where all names are that short, else its number, every second or fifth where they are dense. */
static const char *column_name(const RtHeat *c, int k, double side, bool names, char *buf, size_t n)
{
    int every = side >= 24 || c->n <= 9 ? 1 : side >= 14 ? 2 : 5;
    if (names) return side >= 14 || k % 2 == 0 ? c->name(c->of, k) : "";
    snprintf(buf, n, "%d", k);
    return k % every == 0 ? buf : "";
}

void rt_chart_heat(RtPaint *p, const RtHeat *c)
{
    double side = c->n <= 12 ? 40 : c->n <= NUMBERS_UP_TO ? 34 : c->n <= 48 ? 18 : 10, left = 66, top = 84;
    char name[96], number[16];
    bool names = true;
    for (int i = 0; i < c->n; i++) names = names && rt_letters(c->name(c->of, i)) <= 2;
    for (int i = 0; i < c->n; i++)
        left = fmax(left, 52 + 7.2 * rt_letters(rt_short(c->name(c->of, i), NAME, name, sizeof name)));
    p->begin(p, left + side * c->n + 10, top + side * c->n + 10, c->title);
    p->strong(p, 8, 18, RT_LEFT, RT_INK_TEXT, c->title);
    snprintf(name, sizeof name, "%s \xe2\x86\x93", c->row_label);
    p->text(p, 8, top - 10, RT_LEFT, RT_INK_MUTED, name);
    snprintf(name, sizeof name, "%s \xe2\x86\x92", c->column_label);
    p->text(p, left, top - 32, RT_LEFT, RT_INK_MUTED, name);
    p->rect(p, left - 1, top - 1, side * c->n + 1, side * c->n + 1, RT_INK_GRID, 0.35, NULL);
    for (int i = 0; i < c->n; i++) {
        uint64_t sum = row_sum(c, i);
        double y = top + side * i;
        snprintf(number, sizeof number, "%d", i);
        if (names) *number = 0;
        p->text(p, left - 8, y + side / 2 + 4.5, RT_RIGHT, RT_INK_MUTED, side >= 14 || i % 5 == 0 ? number : "");
        if (side >= 14)
            p->text(p, left - (names ? 10 : 36), y + side / 2 + 4.5, RT_RIGHT, RT_INK_TEXT,
                    rt_short(c->name(c->of, i), NAME, name, sizeof name));
        p->text(p, left + side * (i + 0.5), top - 10, RT_MIDDLE, RT_INK_MUTED,
                column_name(c, i, side, names, name, sizeof name));
        for (int k = 0; k < c->n; k++) cell(p, c, i, k, left + side * k, y, side, sum);
    }
    p->end(p);
}

static void bounds(const double *v, int n, double *lo, double *hi)
{
    *lo = INFINITY;
    *hi = -INFINITY;
    for (int i = 0; i < n; i++) {
        *lo = fmin(*lo, v[i]);
        *hi = fmax(*hi, v[i]);
    }
    if (!(*hi > *lo)) *hi = *lo + 1;
}

void rt_chart_scatter(RtPaint *p, const RtScatter *c)
{
    enum { SIDE = 480, LEGEND = 64 };
    double x0, x1, y0, y1, rows = 0, at = 8;
    int shown = c->nkinds < LEGEND ? c->nkinds : LEGEND, ink[LEGEND], shape[LEGEND];
    const char *name[LEGEND];
    char buf[96];
    for (int k = 0; k < shown; k++) {
        name[k] = c->name(c->of, k);
        ink[k] = rt_kind_ink(k);
        shape[k] = rt_kind_shape(k);
        double w = 36 + 7.2 * rt_letters(rt_short(name[k], 24, buf, sizeof buf));
        if (at + w > SIDE && at > 8) at = 8, rows++;
        at += w;
    }
    double top = 60 + 20 * rows, plot = SIDE - 16;
    p->begin(p, SIDE, top + plot + 8, c->title);
    p->strong(p, 8, 18, RT_LEFT, RT_INK_TEXT, c->title);
    rt_legend(p, 8, 40, SIDE - 4, name, ink, shape, shown);
    bounds(c->x, c->n, &x0, &x1);
    bounds(c->y, c->n, &y0, &y1);
    double scale = (plot - 16) / fmax(x1 - x0, y1 - y0), mx = (x0 + x1) / 2, my = (y0 + y1) / 2;
    double px[] = {8, 8 + plot, 8 + plot, 8, 8}, py[] = {top, top, top + plot, top + plot, top};
    p->path(p, px, py, 5, RT_INK_GRID, RT_THIN, 1);
    for (int i = 0; i < c->n; i++) {
        int k = c->kind[i];
        p->mark(p, 8 + plot / 2 + scale * (c->x[i] - mx), top + plot / 2 + scale * (c->y[i] - my), c->n > 600 ? 2.2 : 3,
                rt_kind_shape(k), rt_kind_ink(k), rt_short(c->name(c->of, k), 40, buf, sizeof buf));
    }
    p->end(p);
}
