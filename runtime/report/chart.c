/* Charts of lines, bars and densities.
 *
 * In: values. Out: strokes on a paper (paint.h).
 * Rule: a chart knows its own size; rows have one height, so that many classes make a longer picture, not a denser
 * one. Not here: matrices and points (chart_grid.c). */
#include "chart.h"
#include "axis.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 480, HEIGHT = 300, TOP = 58, BOTTOM = 48, RIGHT = 16, NAME = 26 };

static void range(double v, double *lo, double *hi)
{
    if (!isfinite(v)) return;
    if (v < *lo) *lo = v;
    if (v > *hi) *hi = v;
}

/* The pieces of a curve between its gaps; a point on its own is a mark. */
static void draw_curve(RtPaint *p, const RtCurve *c, const RtAxis *x, const RtAxis *y, double *px, double *py)
{
    for (int i = 0, n = 0; i <= c->n; i++) {
        bool there = i < c->n && isfinite(c->y[i]);
        if (there) {
            px[n] = rt_axis_at(x, i + 1);
            py[n++] = rt_axis_at(y, c->y[i]);
        } else if (n == 1) {
            p->mark(p, px[0], py[0], 4, RT_ROUND, c->ink, NULL);
            n = 0;
        } else if (n) {
            p->path(p, px, py, n, c->ink, c->dashed ? RT_DASHED : RT_LINE, 1);
            n = 0;
        }
    }
}

/* What a reader who points at a curve sees. */
static void draw_points(RtPaint *p, const RtCurve *c, const RtAxis *x, const RtAxis *y, const RtLines *l)
{
    char tip[160], name[64];
    for (int i = 0; i < c->n && c->n <= 200; i++) {
        if (!isfinite(c->y[i])) continue;
        snprintf(tip, sizeof tip, l->percent ? "%s, %s %d: %.2f%%" : "%s, %s %d: %.5g", rt_short(c->name, 40, name, sizeof name), l->x_label,
                 i + 1, l->percent ? 100 * c->y[i] : c->y[i]);
        p->mark(p, rt_axis_at(x, i + 1), rt_axis_at(y, c->y[i]), c->n <= 40 ? 3 : 2, RT_ROUND, c->ink, tip);
    }
}

static void draw_mark(RtPaint *p, const RtCurve *c, const RtAxis *x, const RtAxis *y)
{
    int i = (int)c->mark_x - 1;
    if (!isfinite(c->mark_x) || i < 0 || i >= c->n || !isfinite(c->y[i])) return;
    double at = rt_axis_at(x, c->mark_x);
    rt_line(p, at, y->from, at, y->to, RT_INK_MUTED, RT_DASHED);
    p->mark(p, at, rt_axis_at(y, c->y[i]), 5.5, RT_DIAMOND, c->ink, c->mark);
    double middle = fmin(fmax(at, x->from + 20), x->to - 36);
    p->text(p, middle, y->to - 5, RT_MIDDLE, RT_INK_MUTED, c->mark);
}

void rt_chart_lines(RtPaint *p, const RtLines *c)
{
    double lo = INFINITY, hi = -INFINITY;
    int n = 1, ink[64];
    const char *name[64];
    for (int k = 0; k < c->ncurves; k++) {
        for (int i = 0; i < c->curve[k].n; i++) range(c->curve[k].y[i], &lo, &hi);
        if (c->curve[k].n > n) n = c->curve[k].n;
    }
    if (!(lo <= hi)) lo = 0, hi = 1;
    int named = c->ncurves < 64 ? c->ncurves : 64, rows = (named + 2) / 3;
    double h = HEIGHT + 20 * (rows > 1 ? rows - 1 : 0), top = TOP + h - HEIGHT;
    p->begin(p, WIDTH, h, c->title);
    RtAxis x, y;
    rt_axis_init(&y, lo, hi, 5, c->percent);
    if (c->percent && y.hi > 1) y.hi = 1 + 1e-9 > hi ? fmax(1, y.lo + y.step) : y.hi;
    rt_axis_init(&x, 1, n > 1 ? n : 2, 8, false);
    if (x.step < 1) rt_axis_init(&x, 1, n > 1 ? n : 2, n > 1 ? n - 1 : 1, false);
    x.lo = n > 1 && x.step > 1 ? 0 : x.lo;
    x.from = 58;
    x.to = WIDTH - RIGHT;
    y.from = h - BOTTOM;
    y.to = top;
    p->strong(p, 8, 18, RT_LEFT, RT_INK_TEXT, c->title);
    for (int k = 0; k < named; k++) {
        name[k] = c->curve[k].name;
        ink[k] = c->curve[k].ink;
    }
    rt_legend(p, 8, 40, WIDTH - RIGHT, name, ink, NULL, named);
    rt_axis_draw(p, &y, false, x.from, x.to);
    rt_axis_draw(p, &x, true, y.from, y.from);
    p->text(p, (x.from + x.to) / 2, h - 10, RT_MIDDLE, RT_INK_MUTED, c->x_label);
    p->text(p, WIDTH - RIGHT, 18, RT_RIGHT, RT_INK_MUTED, c->y_label);
    double *px = malloc(2 * sizeof *px * (size_t)(n + 1));
    for (int k = 0; k < c->ncurves && px; k++) draw_mark(p, &c->curve[k], &x, &y);
    for (int k = 0; k < c->ncurves && px; k++) {
        draw_curve(p, &c->curve[k], &x, &y, px, px + n + 1);
        draw_points(p, &c->curve[k], &x, &y, c);
    }
    free(px);
    p->end(p);
}

/* ---- rows with names ---- */

static double name_width(const char *(*name)(const void *, int), const void *of, int n)
{
    int most = 4;
    char buf[96];
    for (int i = 0; i < n; i++) {
        int k = rt_letters(rt_short(name(of, i), NAME, buf, sizeof buf));
        if (k > most) most = k;
    }
    return 20 + 7.2 * most;
}

static void draw_name(RtPaint *p, double x, double y, const char *name)
{
    char buf[96];
    p->text(p, x, y, RT_RIGHT, RT_INK_TEXT, rt_short(name, NAME, buf, sizeof buf));
}

/* Title, legend and the x axis of a chart of rows; y is where rows begin. */
static double open_rows(RtPaint *p, const char *title, const char *x_label, RtAxis *x, double left, double height,
                        const char *const *series, int n)
{
    static const int ink[] = {RT_INK_SERIES, RT_INK_SERIES + 1, RT_INK_SERIES + 2, RT_INK_SERIES + 3};
    x->from = left;
    x->to = WIDTH - RIGHT - 8;
    p->begin(p, WIDTH, TOP + height + BOTTOM, title);
    p->strong(p, 8, 18, RT_LEFT, RT_INK_TEXT, title);
    rt_legend(p, 8, 40, WIDTH - RIGHT, series, ink, NULL, n);
    rt_axis_draw(p, x, true, TOP, TOP + height);
    p->text(p, (x->from + x->to) / 2, TOP + height + BOTTOM - 10, RT_MIDDLE, RT_INK_MUTED, x_label);
    return TOP;
}

void rt_chart_bars(RtPaint *p, const RtRows *c)
{
    double hi = 0, bar = 7, row = bar * c->nseries + 8;
    char tip[200];
    for (int i = 0; i < c->nrows; i++) {
        for (int s = 0; s < c->nseries; s++) hi = fmax(hi, c->value(c->of, s, i));
    }
    RtAxis x;
    rt_axis_init(&x, 0, hi > 0 ? hi : 1, 5, c->percent);
    double left = name_width(c->name, c->of, c->nrows);
    double y = open_rows(p, c->title, c->x_label, &x, left, row * c->nrows, c->series, c->nseries);
    for (int i = 0; i < c->nrows; i++, y += row) {
        draw_name(p, left - 8, y + row / 2 + 4.5, c->name(c->of, i));
        for (int s = 0; s < c->nseries; s++) {
            double w = rt_axis_at(&x, c->value(c->of, s, i)) - left;
            p->rect(p, left, y + 4 + s * bar, w, bar - 1, RT_INK_SERIES + s, 1, c->tip(c->of, s, i, tip, sizeof tip));
        }
    }
    p->end(p);
}

/* One side of a violin: smoothed counts as an outline, the quartiles as a bar. */
static void draw_side(RtPaint *p, const RtAxis *x, const RtViolins *c, double y, double half, int side, int row)
{
    double bin[RT_DENSITY], q[3], top = 0, px[2 * RT_DENSITY], py[2 * RT_DENSITY];
    static const double kernel[] = {0.06, 0.24, 0.4, 0.24, 0.06};
    if (!c->density(c->of, side, row, bin, q)) return;
    double width = (c->hi - c->lo) / RT_DENSITY, smooth[RT_DENSITY];
    int n = 0;
    for (int i = 0; i < RT_DENSITY; i++) {
        smooth[i] = 0;
        for (int k = -2; k <= 2; k++) {
            int at = i + k < 0 ? 0 : i + k >= RT_DENSITY ? RT_DENSITY - 1 : i + k;
            smooth[i] += kernel[k + 2] * bin[at];
        }
        top = fmax(top, smooth[i]);
    }
    if (!(top > 0)) return;
    px[n] = rt_axis_at(x, c->lo);
    py[n++] = y;
    for (int i = 0; i < RT_DENSITY; i++, n++) {
        px[n] = rt_axis_at(x, c->lo + (i + 0.5) * width);
        py[n] = y + (side ? half : -half) * smooth[i] / top;
    }
    px[n] = rt_axis_at(x, c->hi);
    py[n++] = y;
    p->path(p, px, py, n, RT_INK_SERIES + side, RT_FILLED, 0.55);
    double at = y + (side ? 3 : -5);
    p->rect(p, rt_axis_at(x, q[0]), at, rt_axis_at(x, q[2]) - rt_axis_at(x, q[0]), 2, RT_INK_SERIES + side, 1, NULL);
    p->mark(p, rt_axis_at(x, q[1]), at + 1, 2.5, RT_SQUARE, RT_INK_SERIES + side, NULL);
}

void rt_chart_violins(RtPaint *p, const RtViolins *c)
{
    RtAxis x;
    double row = 34, left = name_width(c->name, c->of, c->nrows);
    rt_axis_init(&x, c->lo, c->hi, 5, false);
    x.hi = c->hi; /* nothing lies beyond */
    double y = open_rows(p, c->title, c->x_label, &x, left, row * c->nrows, c->side, c->side[1] ? 2 : 1);
    for (int i = 0; i < c->nrows; i++, y += row) {
        draw_name(p, left - 8, y + row / 2 + 4.5, c->name(c->of, i));
        rt_line(p, left, y + row / 2, x.to, y + row / 2, RT_INK_GRID, RT_THIN);
        for (int side = 0; side < 2; side++) draw_side(p, &x, c, y + row / 2, row / 2 - 2, side, i);
    }
    p->end(p);
}
