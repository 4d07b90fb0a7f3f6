/* Plots as PNG, at twice the size of the page's, on light paper.
 *
 * In: strokes and texts. Out: pixels.
 * Rule: what cairo cannot show, such as broken UTF-8, becomes '?': no text can spoil the picture. */
#include "report/pixels.h"
#include <math.h>
#include <string.h>

enum { SCALE = 2, POINTS = 13 };

/* The light colours of runtime/report/svg.c. */
static const unsigned ink_rgb[RT_NINKS] = {0x1b1f24, 0x5d6875, 0xdde2e8, 0xffffff, 0x0072b2, 0xd55e00,
                                           0x009e73, 0xb8578f, 0xb27d00, 0x3a9bd9, 0x7a5c2e, 0x6b7280};

static void use(cairo_t *c, int ink, double opacity)
{
    unsigned v = ink_rgb[ink];
    cairo_set_source_rgba(c, (v >> 16) / 255.0, (v >> 8 & 255) / 255.0, (v & 255) / 255.0, opacity);
}

static void begin(RtPaint *paint, double w, double h, const char *title)
{
    Pixels *p = (Pixels *)paint;
    (void)title;
    p->surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)(SCALE * w), (int)(SCALE * h));
    p->c = cairo_create(p->surface);
    cairo_scale(p->c, SCALE, SCALE);
    use(p->c, RT_INK_PAPER, 1);
    cairo_paint(p->c);
}

static void rect(RtPaint *paint, double x, double y, double w, double h, int ink, double opacity, const char *tip)
{
    cairo_t *c = ((Pixels *)paint)->c;
    (void)tip;
    use(c, ink, opacity);
    cairo_rectangle(c, x, y, w, h);
    cairo_fill(c);
}

static void lines(cairo_t *c, const double *x, const double *y, int n, double x0, double y0, double scale)
{
    cairo_new_path(c);
    for (int i = 0; i < n; i++) cairo_line_to(c, x0 + scale * x[i], y0 + scale * y[i]);
}

static void path(RtPaint *paint, const double *x, const double *y, int n, int ink, int style, double opacity)
{
    cairo_t *c = ((Pixels *)paint)->c;
    static const double dash[] = {6, 4};
    use(c, ink, opacity);
    lines(c, x, y, n, 0, 0, 1);
    if (style == RT_FILLED) {
        cairo_close_path(c);
        cairo_fill(c);
        return;
    }
    cairo_set_line_join(c, CAIRO_LINE_JOIN_ROUND);
    cairo_set_line_width(c, style == RT_THIN ? 1 : 2);
    cairo_set_dash(c, dash, style == RT_DASHED ? 2 : 0, 0);
    cairo_stroke(c);
}

static void mark(RtPaint *paint, double x, double y, double r, int shape, int ink, const char *tip)
{
    cairo_t *c = ((Pixels *)paint)->c;
    double cx[12], cy[12];
    int n = rt_mark_corners(shape, cx, cy);
    (void)tip;
    use(c, ink, 1);
    lines(c, cx, cy, n, x, y, r);
    if (!n) cairo_arc(c, x, y, r, 0, 2 * M_PI);
    cairo_fill(c);
}

/* Bytes that are no printable ASCII and no well-formed UTF-8 would end cairo's work. */
static void clean(const char *s, char *out, size_t n)
{
    size_t k = 0;
    for (; *s && k + 5 < n; s++) {
        unsigned char u = (unsigned char)*s;
        int len = u < 0x80 ? 1 : u < 0xc2 ? 0 : u < 0xe0 ? 2 : u < 0xf0 ? 3 : u < 0xf5 ? 4 : 0;
        for (int i = 1; i < len; i++)
            if (((unsigned char)s[i] & 0xc0) != 0x80) len = 0;
        bool surrogate = len == 3 && u == 0xed && (unsigned char)s[1] > 0x9f;
        bool longer = (len == 3 && u == 0xe0 && (unsigned char)s[1] < 0xa0) ||
                      (len == 4 && ((u == 0xf0 && (unsigned char)s[1] < 0x90) || (u == 0xf4 && (unsigned char)s[1] > 0x8f)));
        if (len == 0 || surrogate || longer || u < 32 || u == 127) {
            out[k++] = '?';
            continue;
        }
        memcpy(out + k, s, (size_t)len);
        k += (size_t)len;
        s += len - 1;
    }
    out[k] = 0;
}

static void words(RtPaint *paint, double x, double y, int anchor, int ink, const char *s, cairo_font_weight_t weight)
{
    cairo_t *c = ((Pixels *)paint)->c;
    cairo_text_extents_t e;
    char text[512];
    clean(s, text, sizeof text);
    use(c, ink, 1);
    cairo_select_font_face(c, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL, weight);
    cairo_set_font_size(c, POINTS - 1);
    cairo_text_extents(c, text, &e);
    cairo_move_to(c, x - (anchor + 1) * e.x_advance / 2, y);
    cairo_show_text(c, text);
}

static void text(RtPaint *p, double x, double y, int anchor, int ink, const char *s)
{
    words(p, x, y, anchor, ink, s, CAIRO_FONT_WEIGHT_NORMAL);
}

static void strong(RtPaint *p, double x, double y, int anchor, int ink, const char *s)
{
    words(p, x, y, anchor, ink, s, CAIRO_FONT_WEIGHT_BOLD);
}

static void end(RtPaint *p)
{
    (void)p;
}

void pixels_init(Pixels *p)
{
    static const RtPaint functions = {begin, rect, path, mark, text, strong, end};
    *p = (Pixels){.paint = functions};
}

bool pixels_save(Pixels *p, const char *path, const char **why)
{
    cairo_status_t s = cairo_status(p->c);
    if (s == CAIRO_STATUS_SUCCESS) s = cairo_surface_write_to_png(p->surface, path);
    cairo_destroy(p->c);
    cairo_surface_destroy(p->surface);
    *why = cairo_status_to_string(s);
    return s == CAIRO_STATUS_SUCCESS;
}
