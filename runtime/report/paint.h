/* Drawing a plot, whatever it is drawn on: SVG here, pixels by cairo in the compiler.
 *
 * rule: coordinates are pixels from the upper left corner. Colours are roles, so that the same plot is legible on
 *      light and dark paper. Texts are raw UTF-8 of any origin: who writes them escapes them. */
#ifndef RUNTIME_REPORT_PAINT_H
#define RUNTIME_REPORT_PAINT_H
#include <stdio.h>

typedef enum RtInk {
    RT_INK_TEXT,
    RT_INK_MUTED,
    RT_INK_GRID,
    RT_INK_PAPER,
    RT_INK_SERIES, /* the first of RT_NSERIES_INKS */
    RT_NSERIES_INKS = 8,
    RT_NINKS = RT_INK_SERIES + RT_NSERIES_INKS
} RtInk;

enum { RT_LEFT = -1, RT_MIDDLE, RT_RIGHT };               /* of a text */
enum { RT_FILLED, RT_THIN, RT_LINE, RT_DASHED };          /* of a path */
enum { RT_ROUND, RT_SQUARE, RT_DIAMOND, RT_TRIANGLE, RT_CROSS, RT_NSHAPES }; /* of a mark */

typedef struct RtPaint RtPaint;
struct RtPaint {
    void (*begin)(RtPaint *p, double w, double h, const char *title); /* before anything else */
    /* tip: what a reader sees who points at it; NULL: nothing */
    void (*rect)(RtPaint *p, double x, double y, double w, double h, int ink, double opacity, const char *tip);
    void (*path)(RtPaint *p, const double *x, const double *y, int n, int ink, int style, double opacity);
    void (*mark)(RtPaint *p, double x, double y, double r, int shape, int ink, const char *tip);
    void (*text)(RtPaint *p, double x, double y, int anchor, int ink, const char *s);
    void (*strong)(RtPaint *p, double x, double y, int anchor, int ink, const char *s);
    void (*end)(RtPaint *p);
};

typedef struct RtSvg {
    RtPaint paint;
    FILE *f;
    int alone; /* a file of its own, which brings its colours along; else part of a page */
} RtSvg;

void rt_svg_init(RtSvg *s, FILE *f, int alone);
extern const char rt_ink_css[]; /* the colours, for light and dark */

/* Untrusted text in HTML and SVG: markup as references, control characters and broken UTF-8 as U+FFFD. */
void rt_html_text(FILE *f, const char *s);
/* Corners of a mark's shape around (0, 0), radius 1; returns how many (0: a circle). */
int rt_mark_corners(int shape, double *x, double *y);
#endif
