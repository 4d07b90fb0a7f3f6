/* Axes: round numbers, grid lines, legends.
 *
 * In: a range. Out: ticks at 1, 2 or 5 times a power of ten.
 * Rule: widths of texts are estimates (7 pixels a character at 13); nothing depends on a font. */
#include "axis.h"
#include "chart.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

void rt_axis_init(RtAxis *a, double lo, double hi, int wish, bool percent)
{
    memset(a, 0, sizeof *a);
    if (!(hi > lo)) {
        double half = fabs(lo) > 0 ? fabs(lo) * 0.1 : 0.5;
        hi = lo + half;
        lo -= half;
    }
    double raw = (hi - lo) / wish, power = pow(10, floor(log10(raw))), unit = raw / power;
    a->step = power * (unit <= 1 ? 1 : unit <= 2 ? 2 : unit <= 5 ? 5 : 10);
    a->lo = floor(lo / a->step + 1e-9) * a->step;
    a->hi = ceil(hi / a->step - 1e-9) * a->step;
    a->percent = percent;
    double shown = percent ? 100 * a->step : a->step;
    int digits = (int)ceil(-log10(shown) - 1e-9);
    a->digits = digits < 0 ? 0 : digits > 9 ? 9 : digits;
}

double rt_axis_at(const RtAxis *a, double v)
{
    return a->from + (v - a->lo) / (a->hi - a->lo) * (a->to - a->from);
}

const char *rt_axis_text(const RtAxis *a, double v, char *buf, size_t n)
{
    if (fabs(v) < a->step * 1e-6) v = 0;
    if (!a->percent && (fabs(v) >= 1e6 || (a->digits > 6 && v != 0)))
        snprintf(buf, n, "%.3g", v);
    else
        snprintf(buf, n, "%.*f%s", a->digits, a->percent ? 100 * v : v, a->percent ? "%" : "");
    return buf;
}

void rt_line(RtPaint *p, double x0, double y0, double x1, double y1, int ink, int style)
{
    p->path(p, (double[]){x0, x1}, (double[]){y0, y1}, 2, ink, style, 1);
}

void rt_axis_draw(RtPaint *p, const RtAxis *a, bool below, double near, double far)
{
    char buf[32];
    int n = (int)floor((a->hi - a->lo) / a->step + 1e-6);
    for (int i = 0; i <= n; i++) {
        double v = a->lo + i * a->step, at = rt_axis_at(a, v);
        rt_axis_text(a, v, buf, sizeof buf);
        if (below) {
            rt_line(p, at, near, at, far, RT_INK_GRID, RT_THIN);
            p->text(p, at, far + 18, RT_MIDDLE, RT_INK_MUTED, buf);
        } else {
            rt_line(p, near, at, far, at, RT_INK_GRID, RT_THIN);
            p->text(p, near - 8, at + 4.5, RT_RIGHT, RT_INK_MUTED, buf);
        }
    }
}

int rt_letters(const char *s)
{
    int n = 0;
    for (; *s; s++) n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

const char *rt_short(const char *s, int most, char *buf, size_t n)
{
    size_t k = 0;
    bool whole = rt_letters(s) <= most;
    for (int seen = 0; s[k] && k + 5 < n; k++) {
        seen += ((unsigned char)s[k] & 0xc0) != 0x80;
        if (!whole && seen == most) break;
    }
    snprintf(buf, n, "%.*s%s", (int)k, s, s[k] ? "\xe2\x80\xa6" : "");
    return buf;
}

int rt_kind_ink(int kind)
{
    return RT_INK_SERIES + kind % RT_NSERIES_INKS;
}

int rt_kind_shape(int kind)
{
    return kind / RT_NSERIES_INKS % RT_NSHAPES;
}

double rt_legend(RtPaint *p, double x, double y, double to, const char *const *name, const int *ink, const int *shape,
                 int n)
{
    double at = x;
    char buf[96];
    for (int i = 0; i < n; i++) {
        rt_short(name[i], 24, buf, sizeof buf);
        double w = 24 + 7.2 * rt_letters(buf);
        if (at + w > to && at > x) {
            at = x;
            y += 20;
        }
        if (shape)
            p->mark(p, at + 5, y - 4.5, 5, shape[i], ink[i], NULL);
        else
            p->rect(p, at, y - 10, 10, 10, ink[i], 1, NULL);
        p->text(p, at + 16, y, RT_LEFT, RT_INK_TEXT, buf);
        at += w + 12;
    }
    return y;
}
