/* What charts share: a frame with ticks at round numbers. */
#ifndef RUNTIME_REPORT_AXIS_H
#define RUNTIME_REPORT_AXIS_H
#include "paint.h"
#include <stdbool.h>

typedef struct RtAxis { /* values lo..hi lie at pixels from..to */
    double lo, hi, from, to, step;
    int digits; /* after the point */
    bool percent;
} RtAxis;

/* Widens lo..hi to round numbers with about `wish` steps. */
void rt_axis_init(RtAxis *a, double lo, double hi, int wish, bool percent);
double rt_axis_at(const RtAxis *a, double v);
const char *rt_axis_text(const RtAxis *a, double v, char *buf, size_t n);
/* Lines and numbers across the other axis' pixels near..far; below: an x axis, its numbers beneath `far`. */
void rt_axis_draw(RtPaint *p, const RtAxis *a, bool below, double near, double far);
void rt_line(RtPaint *p, double x0, double y0, double x1, double y1, int ink, int style);
int rt_letters(const char *s); /* characters of UTF-8 */
/* Coloured squares with names, in rows from (x, y) on, up to pixel `to`; returns the y of the last row. */
double rt_legend(RtPaint *p, double x, double y, double to, const char *const *name, const int *ink, const int *shape,
                 int n);
#endif
