/* shapes: ten shapes of one colour on a shaded ground of another, among specks.
 *
 * out: DIR/{train,val,test}/NAME/NNNN.png, RGB */
#include "data/draw.h"
#include "data/make.h"
#include "runtime/err.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Each is a path in a circle of radius 1 around the origin; y goes down. */
static void polygon(cairo_t *c, int corners, double inner)
{
    int n = inner > 0 ? 2 * corners : corners;
    for (int i = 0; i < n; i++) {
        double r = inner > 0 && i % 2 ? inner : 1, a = 2 * M_PI * i / n - M_PI / 2;
        cairo_line_to(c, r * cos(a), r * sin(a));
    }
    cairo_close_path(c);
}

static void circle(cairo_t *c)
{
    cairo_arc(c, 0, 0, 1, 0, 2 * M_PI);
}

static void crescent(cairo_t *c)
{
    cairo_arc(c, 0, 0, 1, 0.7, 2 * M_PI - 0.7);
    cairo_arc_negative(c, 0.55, 0, 0.68, 2 * M_PI - 1.25, 1.25);
    cairo_close_path(c);
}

static void cross(cairo_t *c)
{
    cairo_rectangle(c, -0.95, -0.32, 1.9, 0.64);
    cairo_rectangle(c, -0.32, -0.95, 0.64, 1.9);
}

static void diamond(cairo_t *c)
{
    static const double at[4][2] = {{0, -1}, {0.58, 0}, {0, 1}, {-0.58, 0}};
    for (int i = 0; i < 4; i++) cairo_line_to(c, at[i][0], at[i][1]);
    cairo_close_path(c);
}

static void heart(cairo_t *c)
{
    cairo_move_to(c, 0, 0.95);
    cairo_curve_to(c, -1.6, -0.1, -0.85, -1.35, 0, -0.5);
    cairo_curve_to(c, 0.85, -1.35, 1.6, -0.1, 0, 0.95);
    cairo_close_path(c);
}

static void hexagon(cairo_t *c)
{
    polygon(c, 6, 0);
}

static void ring(cairo_t *c)
{
    cairo_arc(c, 0, 0, 1, 0, 2 * M_PI);
    cairo_new_sub_path(c);
    cairo_arc_negative(c, 0, 0, 0.55, 2 * M_PI, 0);
}

static void square(cairo_t *c)
{
    cairo_rectangle(c, -0.8, -0.8, 1.6, 1.6);
}

static void star(cairo_t *c)
{
    polygon(c, 5, 0.42);
}

static void triangle(cairo_t *c)
{
    polygon(c, 3, 0);
}

static const struct {
    const char *name;
    void (*path)(cairo_t *c);
} shapes[] = {{"circle", circle}, {"crescent", crescent}, {"cross", cross}, {"diamond", diamond},
              {"heart", heart},   {"hexagon", hexagon},   {"ring", ring},   {"square", square},
              {"star", star},     {"triangle", triangle}};
enum { NSHAPES = sizeof shapes / sizeof *shapes };

static double far(Colour a, Colour b)
{
    return sqrt((a.r - b.r) * (a.r - b.r) + (a.g - b.g) * (a.g - b.g) + (a.b - b.b) * (a.b - b.b));
}

static void ground(cairo_t *c, double size, Colour colour, Dice *d)
{
    double a = dice_real(d, 0, 2 * M_PI), x = size / 2 * cos(a), y = size / 2 * sin(a),
           shade = dice_real(d, 0, 0.25);
    cairo_pattern_t *p =
        cairo_pattern_create_linear(size / 2 - x, size / 2 - y, size / 2 + x, size / 2 + y);
    cairo_pattern_add_color_stop_rgb(p, 0, colour.r - shade, colour.g - shade, colour.b - shade);
    cairo_pattern_add_color_stop_rgb(p, 1, colour.r + shade, colour.g + shade, colour.b + shade);
    cairo_set_source(c, p);
    cairo_paint(c);
    cairo_pattern_destroy(p);
    for (int i = dice_int(d, 9); i > 0; i--) {
        double sx = dice_real(d, 0, size), sy = dice_real(d, 0, size),
               r = dice_real(d, 0.015, 0.04) * size;
        draw_colour(c, dice_colour(d));
        cairo_arc(c, sx, sy, r, 0, 2 * M_PI);
        cairo_fill(c);
    }
}

static RtImage draw_shape(int k, int size, Dice *d)
{
    Canvas v = canvas_new(size, size);
    Colour back = dice_colour(d), fore = dice_colour(d);
    while (far(back, fore) < 0.45) fore = dice_colour(d);
    ground(v.c, size, back, d);
    double r = size * dice_real(d, 0.2, 0.42), play = size / 2.0 - r;
    double x = size / 2.0 + dice_real(d, -play, play), y = size / 2.0 + dice_real(d, -play, play);
    cairo_translate(v.c, x, y);
    cairo_rotate(v.c, dice_real(d, -0.26, 0.26));
    double wide = dice_real(d, 0.85, 1.0);
    cairo_scale(v.c, r * wide, r);
    cairo_new_path(v.c);
    shapes[k].path(v.c);
    draw_colour(v.c, fore);
    cairo_fill(v.c);
    RtImage img = canvas_take(&v, 3);
    draw_noise(&img, d, dice_real(d, 2, 14));
    return img;
}

char *make_shapes(const Make *m)
{
    for (int s = 0; s < MAKE_NSPLITS; s++) {
        int n = make_share(s, m->count);
        for (int k = 0; k < NSHAPES; k++) {
            char *below = rt_format("%s/%s", make_splits[s], shapes[k].name);
            make_dir(m, below);
            for (int i = 0; i < n; i++) {
                Dice d = dice(m->seed, 's', (uint32_t)s, (uint32_t)(i * NSHAPES + k));
                RtImage img = draw_shape(k, m->size, &d);
                char *path = rt_format("%s/%s/%04d.png", m->path, below, i);
                draw_save(path, &img, NULL);
                free(path);
                free(img.px);
            }
            free(below);
        }
    }
    return rt_format("%d classes, %d + %d + %d colour images of %dx%d in train, val and test "
                     "(format: image_folder)",
                     NSHAPES, NSHAPES * make_share(0, m->count), NSHAPES * make_share(1, m->count),
                     NSHAPES * make_share(2, m->count), m->size, m->size);
}
