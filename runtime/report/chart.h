/* Kinds of charts, on any paper.
 *
 * rule: every axis has ticks at round numbers and says what it measures; a series is told by colour and by a name
 *      or a shape beside it. */
#ifndef RUNTIME_REPORT_CHART_H
#define RUNTIME_REPORT_CHART_H
#include "paint.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct RtCurve {
    const char *name;
    const double *y; /* [n]; not finite: a gap */
    int n, ink;
    bool dashed;
    double mark_x; /* a mark at x and a word beside it; NAN: none */
    const char *mark;
} RtCurve;

typedef struct RtLines { /* y over 1, 2, ... n */
    const char *title, *x_label, *y_label;
    bool percent; /* y is a share of 1 */
    const RtCurve *curve;
    int ncurves;
} RtLines;
void rt_chart_lines(RtPaint *p, const RtLines *c);

typedef struct RtRows { /* one row for each name, a bar in it for each series */
    const char *title, *x_label;
    const char *(*name)(const void *of, int row);
    double (*value)(const void *of, int series, int row);
    const char *(*tip)(const void *of, int series, int row, char *buf, size_t n);
    const void *of;
    int nrows, nseries;
    const char *const *series;
    bool percent;
} RtRows;
void rt_chart_bars(RtPaint *p, const RtRows *c);

enum { RT_DENSITY = 64 };
typedef struct RtViolins { /* one row for each name: up to two distributions, above and below its line */
    const char *title, *x_label;
    const char *(*name)(const void *of, int row);
    /* counts of RT_DENSITY equal bins from lo to hi, and their quartiles; false: nothing */
    bool (*density)(const void *of, int side, int row, double *bin, double *quartile);
    const void *of;
    int nrows;
    const char *side[2];
    double lo, hi;
} RtViolins;
void rt_chart_violins(RtPaint *p, const RtViolins *c);

typedef struct RtHeat { /* counts of (row, column), shaded by the row's share */
    const char *title, *row_label, *column_label;
    const char *(*name)(const void *of, int k);
    const void *of;
    int n;
    const uint64_t *count; /* [n][n] */
} RtHeat;
void rt_chart_heat(RtPaint *p, const RtHeat *c);

typedef struct RtScatter {
    const char *title;
    const double *x, *y;
    const int *kind; /* colour and shape */
    const char *(*name)(const void *of, int kind);
    const void *of;
    int n, nkinds;
} RtScatter;
void rt_chart_scatter(RtPaint *p, const RtScatter *c);

int rt_kind_ink(int kind);
int rt_kind_shape(int kind);
/* A text of at most `most` characters, cut with an ellipsis, into buf. */
const char *rt_short(const char *s, int most, char *buf, size_t n);
#endif
