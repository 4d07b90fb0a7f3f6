/* Plots as SVG text.
 *
 * In: strokes and texts (paint.h). Out: one <svg> element, with roles of colours as classes.
 * Rule: every text goes through rt_html_text. A file of its own carries its style, with both papers; a plot of a page
 * takes the page's. */
#include "paint.h"
#include <math.h>
#include <stdbool.h>
#include <string.h>

/* After Okabe and Ito's palette, which colour-blind readers tell apart; the dark one is its lighter brother. */
const char rt_ink_css[] =
    ":root{--t:#1b1f24;--m:#5d6875;--g:#dde2e8;--p:#fff;--0:#0072b2;--1:#d55e00;--2:#009e73;--3:#b8578f;--4:#b27d00;"
    "--5:#3a9bd9;--6:#7a5c2e;--7:#6b7280}"
    "@media(prefers-color-scheme:dark){:root{--t:#e8eaed;--m:#a0a9b4;--g:#343b44;--p:#14171b;--0:#58b0e8;--1:#ff9248;"
    "--2:#3cc79c;--3:#e08fc0;--4:#edb93e;--5:#8fd0ff;--6:#c9a876;--7:#9aa3af}}"
    ".i0{--c:var(--t)}.i1{--c:var(--m)}.i2{--c:var(--g)}.i3{--c:var(--p)}.i4{--c:var(--0)}.i5{--c:var(--1)}"
    ".i6{--c:var(--2)}.i7{--c:var(--3)}.i8{--c:var(--4)}.i9{--c:var(--5)}.i10{--c:var(--6)}.i11{--c:var(--7)}"
    "svg [class]{fill:var(--c)}svg .l,svg .d,svg .h{fill:none;stroke:var(--c);stroke-width:2;stroke-linejoin:round}"
    "svg .d{stroke-dasharray:6 4}svg .h{stroke-width:1}"
    "svg text{font:13px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;"
    "font-variant-numeric:tabular-nums}svg .b{font-weight:600}";

static size_t sequence(const unsigned char *s)
{
    size_t len = *s < 0x80 ? 1 : *s < 0xc2 ? 0 : *s < 0xe0 ? 2 : *s < 0xf0 ? 3 : *s < 0xf5 ? 4 : 0;
    for (size_t i = 1; i < len; i++) {
        if (s[i] >> 6 != 2) return 0; /* a 0 byte is no continuation either */
    }
    if (len == 3 && ((*s == 0xe0 && s[1] < 0xa0) || (*s == 0xed && s[1] > 0x9f))) return 0;
    if (len == 4 && ((*s == 0xf0 && s[1] < 0x90) || (*s == 0xf4 && s[1] > 0x8f))) return 0;
    return len;
}

void rt_html_text(FILE *f, const char *s)
{
    while (*s) {
        size_t n = sequence((const unsigned char *)s);
        bool control = (unsigned char)*s < 32 && *s != '\n' && *s != '\t';
        if (n == 0 || control || *s == 127)
            fputs("\xef\xbf\xbd", f);
        else if (n == 1 && strchr("&<>\"'`", *s))
            fprintf(f, "&#%d;", *s);
        else
            fwrite(s, 1, n, f);
        s += n ? n : 1;
    }
}

int rt_mark_corners(int shape, double *x, double *y)
{
    static const signed char corner[RT_NSHAPES][12][2] = {
        [RT_SQUARE] = {{-9, -9}, {9, -9}, {9, 9}, {-9, 9}},
        [RT_DIAMOND] = {{0, -13}, {13, 0}, {0, 13}, {-13, 0}},
        [RT_TRIANGLE] = {{0, -12}, {12, 9}, {-12, 9}},
        [RT_CROSS] = {{-4, -12}, {4, -12}, {4, -4}, {12, -4}, {12, 4}, {4, 4}, {4, 12}, {-4, 12}, {-4, 4}, {-12, 4},
                      {-12, -4}, {-4, -4}}};
    static const signed char count[RT_NSHAPES] = {0, 4, 4, 3, 12};
    for (int i = 0; i < count[shape]; i++) {
        x[i] = corner[shape][i][0] / 10.0;
        y[i] = corner[shape][i][1] / 10.0;
    }
    return count[shape];
}

static void begin(RtPaint *p, double w, double h, const char *title)
{
    RtSvg *s = (RtSvg *)p;
    fprintf(s->f, "<svg%s viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"",
            s->alone ? " xmlns=\"http://www.w3.org/2000/svg\"" : "", w, h);
    rt_html_text(s->f, title);
    if (s->alone)
        fprintf(s->f, "\" width=\"%.0f\" height=\"%.0f\"><style>%s</style><rect class=\"i3\" width=\"%.0f\" height=\"%.0f\"/>\n", w, h,
                rt_ink_css, w, h);
    else
        fprintf(s->f, "\" style=\"max-width:%.0fpx\">\n", 1.25 * w);
}

static void close_element(FILE *f, const char *element, const char *tip)
{
    if (!tip) {
        fputs("/>\n", f);
        return;
    }
    fputs("><title>", f);
    rt_html_text(f, tip);
    fprintf(f, "</title></%s>\n", element);
}

static void rect(RtPaint *p, double x, double y, double w, double h, int ink, double opacity, const char *tip)
{
    FILE *f = ((RtSvg *)p)->f;
    fprintf(f, "<rect class=\"i%d\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"", ink, x, y, w, h);
    if (opacity < 1) fprintf(f, " fill-opacity=\"%.3g\"", opacity);
    close_element(f, "rect", tip);
}

static void points(FILE *f, const double *x, const double *y, int n, double x0, double y0, double scale)
{
    for (int i = 0; i < n; i++) fprintf(f, "%c%.1f %.1f", i ? 'L' : 'M', x0 + scale * x[i], y0 + scale * y[i]);
}

static void path(RtPaint *p, const double *x, const double *y, int n, int ink, int style, double opacity)
{
    static const char *const kind[] = {"", " h", " l", " d"};
    FILE *f = ((RtSvg *)p)->f;
    fprintf(f, "<path class=\"i%d%s\" d=\"", ink, kind[style]);
    points(f, x, y, n, 0, 0, 1);
    fputs(style == RT_FILLED ? "Z\"" : "\"", f);
    if (opacity < 1) fprintf(f, " opacity=\"%.3g\"", opacity);
    close_element(f, "path", NULL);
}

static void mark(RtPaint *p, double x, double y, double r, int shape, int ink, const char *tip)
{
    FILE *f = ((RtSvg *)p)->f;
    double cx[12], cy[12];
    int n = rt_mark_corners(shape, cx, cy);
    if (!n) {
        fprintf(f, "<circle class=\"i%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"", ink, x, y, r);
        close_element(f, "circle", tip);
        return;
    }
    fprintf(f, "<path class=\"i%d\" d=\"", ink);
    points(f, cx, cy, n, x, y, r);
    fputs("Z\"", f);
    close_element(f, "path", tip);
}

static void words(RtPaint *p, double x, double y, int anchor, int ink, const char *s, const char *more)
{
    static const char *const where[] = {"", " text-anchor=\"middle\"", " text-anchor=\"end\""};
    FILE *f = ((RtSvg *)p)->f;
    fprintf(f, "<text class=\"i%d%s\" x=\"%.1f\" y=\"%.1f\"%s>", ink, more, x, y, where[anchor + 1]);
    rt_html_text(f, s);
    fputs("</text>\n", f);
}

static void text(RtPaint *p, double x, double y, int anchor, int ink, const char *s)
{
    words(p, x, y, anchor, ink, s, "");
}

static void strong(RtPaint *p, double x, double y, int anchor, int ink, const char *s)
{
    words(p, x, y, anchor, ink, s, " b");
}

static void end(RtPaint *p)
{
    fputs("</svg>\n", ((RtSvg *)p)->f);
}

void rt_svg_init(RtSvg *s, FILE *f, int alone)
{
    static const RtPaint functions = {begin, rect, path, mark, text, strong, end};
    s->paint = functions;
    s->f = f;
    s->alone = alone;
}
