/* scenes: streets, and for every pixel what is there.
 *
 * out: DIR/{train,val,test}/images/NNNN.png, RGB; masks/NNNN.png beside them, a palette whose numbers are the classes
 * of DIR/classes.txt and 255 on the rim of cars and persons, as in PASCAL VOC (format: mask_folder)
 * rule: whatever is filled on the picture is filled on the mask as well, without soft edges; far things first */
#include "data/draw.h"
#include "data/make.h"
#include "runtime/err.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROAD, SIDEWALK, BUILDING, TREE, SKY, CAR, PERSON, SIGN, NCLASSES, RIM = 255 };
static const char *const names[NCLASSES] = {"road", "sidewalk", "building", "tree",
                                            "sky",  "car",      "person",   "sign"};

typedef struct Scene {
    Canvas picture, mask;
    Dice d;
    double side, horizon, vanish; /* the point that the road runs to */
    double left, right;           /* of the road, at the lower edge */
    double light;
} Scene;

static double real(Scene *s, double lo, double hi)
{
    return dice_real(&s->d, lo, hi);
}

static Colour shade(const Scene *s, Colour c, double by)
{
    double k = s->light * by;
    return (Colour){c.r * k, c.g * k, c.b * k};
}

/* Fills the path that lies on the picture, here and on the mask. */
static void fill(Scene *s, int class, Colour colour)
{
    cairo_path_t *path = cairo_copy_path(s->picture.c);
    cairo_new_path(s->mask.c);
    cairo_append_path(s->mask.c, path);
    cairo_path_destroy(path);
    draw_colour(s->mask.c, (Colour){class / 255.0, 0, 0});
    cairo_fill_preserve(s->mask.c);
    draw_colour(s->picture.c, colour);
    cairo_fill(s->picture.c);
}

/* The rim of the last thing that was filled. */
static void rim(Scene *s, double width)
{
    draw_colour(s->mask.c, (Colour){RIM / 255.0, 0, 0});
    cairo_set_line_width(s->mask.c, width);
    cairo_stroke(s->mask.c);
}

static void box(Scene *s, double x, double y, double w, double h)
{
    cairo_rectangle(s->picture.c, x, y, w, h);
}

static void quad(Scene *s, const double at[4][2])
{
    cairo_t *c = s->picture.c;
    cairo_new_path(c);
    for (int i = 0; i < 4; i++) cairo_line_to(c, at[i][0], at[i][1]);
    cairo_close_path(c);
}

/* How large things are whose feet stand at y: 0 at the horizon, 1 at the lower edge. */
static double depth(const Scene *s, double y)
{
    return (y - s->horizon) / (s->side - s->horizon);
}

/* Where the line from the vanishing point to x at the lower edge is at y. */
static double along(const Scene *s, double x, double y)
{
    return s->vanish + (x - s->vanish) * depth(s, y);
}

static void sky(Scene *s)
{
    double grey = real(s, 0, 1), top = real(s, 0.5, 0.85), n = s->side;
    cairo_t *c = s->picture.c;
    box(s, 0, 0, n, n);
    fill(s, SKY, (Colour){0, 0, 0});
    cairo_pattern_t *p = cairo_pattern_create_linear(0, 0, 0, s->horizon);
    cairo_pattern_add_color_stop_rgb(p, 0, top * (0.6 + 0.4 * grey), top * (0.8 + 0.2 * grey),
                                     top + 0.1);
    cairo_pattern_add_color_stop_rgb(p, 1, 0.85, 0.88, 0.92);
    cairo_set_source(c, p);
    cairo_paint(c);
    cairo_pattern_destroy(p);
    for (int i = dice_int(&s->d, 4); i > 0; i--) { /* clouds are sky */
        double x = real(s, 0, n), y = real(s, 0, s->horizon * 0.8), r = real(s, 0.03, 0.09) * n;
        cairo_set_source_rgba(c, 1, 1, 1, 0.35);
        for (int k = 0; k < 4; k++) {
            cairo_arc(c, x + (k - 1.5) * r, y + real(s, -0.3, 0.3) * r, r, 0, 2 * M_PI);
            cairo_fill(c);
        }
    }
}

static void ground(Scene *s)
{
    double n = s->side, grey = real(s, 0.28, 0.45), stone = real(s, 0.55, 0.72);
    box(s, 0, s->horizon, n, n - s->horizon);
    fill(s, SIDEWALK,
         shade(s, (Colour){stone, stone * real(s, 0.9, 1), stone * real(s, 0.8, 0.95)}, 1));
    quad(s, (const double[4][2]){{s->vanish - 0.01 * n, s->horizon},
                                 {s->vanish + 0.01 * n, s->horizon},
                                 {s->right, n},
                                 {s->left, n}});
    fill(s, ROAD, shade(s, (Colour){grey, grey, grey * 1.05}, 1));
    draw_colour(s->picture.c, shade(s, (Colour){0.9, 0.9, 0.85}, 1));
    double middle = (s->left + s->right) / 2;
    for (double y = s->horizon + 0.06 * n; y < n; y *= 1.16) { /* lane marks are road */
        double y1 = y * 1.06, w = 0.012 * n;
        quad(s, (const double[4][2]){{along(s, middle - w, y), y},
                                     {along(s, middle + w, y), y},
                                     {along(s, middle + w, y1), y1},
                                     {along(s, middle - w, y1), y1}});
        cairo_fill(s->picture.c);
    }
}

static void windows(Scene *s, double x, double y, double w, double h)
{
    int rows = 1 + (int)(h / (0.09 * s->side)), columns = 1 + (int)(w / (0.08 * s->side));
    Colour glass = real(s, 0, 1) < 0.3 ? (Colour){0.95, 0.85, 0.5} : (Colour){0.2, 0.25, 0.35};
    draw_colour(s->picture.c, shade(s, glass, 1));
    for (int i = 0; i < rows; i++)
        for (int k = 0; k < columns; k++)
            cairo_rectangle(s->picture.c, x + (k + 0.25) * w / columns, y + (i + 0.25) * h / rows,
                            0.5 * w / columns, 0.5 * h / rows);
    cairo_fill(s->picture.c);
}

/* A row of houses from the edge to where the road leaves it; dir 1: on the left. */
static void houses(Scene *s, int dir)
{
    double n = s->side, x = dir > 0 ? 0 : n, far = s->vanish - dir * real(s, 0.04, 0.12) * n;
    while (dir * (far - x) > 0.02 * n) {
        double w = real(s, 0.1, 0.24) * n, near = fabs(x - s->vanish) / n;
        if (dir * (far - x) < w) w = dir * (far - x);
        double high = (0.12 + 0.5 * near) * real(s, 0.5, 1.1) * n,
               foot = s->horizon + 0.1 * near * n;
        double left = dir > 0 ? x : x - w, gap = real(s, 0, 1) < 0.25 ? 0.03 * n : 0;
        Colour wall = {real(s, 0.35, 0.9), real(s, 0.3, 0.7), real(s, 0.25, 0.6)};
        box(s, left, foot - high, w, high);
        fill(s, BUILDING, shade(s, wall, 1));
        windows(s, left, foot - high, w, high * 0.85);
        x += dir * (w + gap);
    }
}

static void tree(Scene *s, double x, double y)
{
    double size = (0.08 + 0.34 * depth(s, y)) * s->side * real(s, 0.8, 1.2), r = size * 0.32;
    Colour leaf = {real(s, 0.1, 0.35), real(s, 0.35, 0.6), real(s, 0.1, 0.25)};
    box(s, x - 0.05 * size, y - 0.5 * size, 0.1 * size, 0.5 * size);
    fill(s, TREE, shade(s, (Colour){0.35, 0.25, 0.15}, 1));
    for (int i = 0; i < 7; i++) {
        double a = real(s, 0, 2 * M_PI), o = i ? real(s, 0.2, 0.9) * r : 0;
        cairo_new_path(s->picture.c);
        cairo_arc(s->picture.c, x + o * cos(a), y - 0.75 * size + 0.7 * o * sin(a),
                  r * real(s, 0.55, 0.8), 0, 2 * M_PI);
        fill(s, TREE, shade(s, leaf, real(s, 0.75, 1.15)));
    }
}

static void sign(Scene *s, double x, double y)
{
    double size = (0.1 + 0.45 * depth(s, y)) * s->side, w = 0.05 * size < 1.5 ? 1.5 : 0.05 * size;
    static const Colour plates[] = {{0.8, 0.1, 0.1}, {0.1, 0.2, 0.75}, {0.9, 0.75, 0.1}};
    box(s, x - w / 2, y - size, w, size);
    fill(s, SIGN, shade(s, (Colour){0.6, 0.6, 0.62}, 1));
    cairo_new_path(s->picture.c);
    cairo_arc(s->picture.c, x, y - size, 0.17 * size, 0, 2 * M_PI);
    fill(s, SIGN, shade(s, plates[dice_int(&s->d, 3)], 1));
    draw_colour(s->picture.c, (Colour){0.95, 0.95, 0.95});
    cairo_rectangle(s->picture.c, x - 0.1 * size, y - 1.03 * size, 0.2 * size, 0.06 * size);
    cairo_fill(s->picture.c);
}

/* One outline for body, cabin and wheels, so that the rim goes around all of it. */
static void car(Scene *s, double x, double y)
{
    double w = (0.06 + 0.36 * depth(s, y)) * s->side * real(s, 0.9, 1.15),
           h = w * real(s, 0.6, 0.8);
    cairo_t *c = s->picture.c;
    Colour paint = dice_colour(&s->d);
    cairo_new_path(c);
    cairo_move_to(c, x - 0.5 * w, y);
    cairo_line_to(c, x - 0.5 * w, y - 0.5 * h);
    cairo_line_to(c, x - 0.36 * w, y - h);
    cairo_line_to(c, x + 0.36 * w, y - h);
    cairo_line_to(c, x + 0.5 * w, y - 0.5 * h);
    cairo_line_to(c, x + 0.5 * w, y);
    cairo_close_path(c);
    fill(s, CAR, shade(s, paint, 1));
    rim(s, 1.2 * s->side / 96);
    draw_colour(c, shade(s, (Colour){0.2, 0.28, 0.35}, 1));
    cairo_rectangle(c, x - 0.32 * w, y - 0.92 * h, 0.64 * w, 0.36 * h);
    cairo_fill(c);
    draw_colour(c, (Colour){0.06, 0.06, 0.06});
    cairo_rectangle(c, x - 0.46 * w, y - 0.16 * h, 0.2 * w, 0.16 * h);
    cairo_rectangle(c, x + 0.26 * w, y - 0.16 * h, 0.2 * w, 0.16 * h);
    cairo_fill(c);
    draw_colour(c, real(s, 0, 1) < 0.5 ? (Colour){0.95, 0.95, 0.7} : (Colour){0.8, 0.05, 0.05});
    cairo_rectangle(c, x - 0.46 * w, y - 0.42 * h, 0.12 * w, 0.1 * h);
    cairo_rectangle(c, x + 0.34 * w, y - 0.42 * h, 0.12 * w, 0.1 * h);
    cairo_fill(c);
}

static void person(Scene *s, double x, double y)
{
    double h = (0.1 + 0.42 * depth(s, y)) * s->side * real(s, 0.85, 1.1), w = 0.3 * h;
    cairo_t *c = s->picture.c;
    Colour coat = dice_colour(&s->d), skin = {0.85, 0.65, 0.5};
    cairo_new_path(c);
    cairo_arc(c, x, y - 0.87 * h, 0.12 * h, 0.5 * M_PI + 0.5, 2.5 * M_PI - 0.5);
    cairo_line_to(c, x + 0.5 * w, y - 0.7 * h);
    cairo_line_to(c, x + 0.45 * w, y - 0.35 * h);
    cairo_line_to(c, x + 0.4 * w, y);
    cairo_line_to(c, x - 0.4 * w, y);
    cairo_line_to(c, x - 0.45 * w, y - 0.35 * h);
    cairo_line_to(c, x - 0.5 * w, y - 0.7 * h);
    cairo_close_path(c);
    fill(s, PERSON, shade(s, coat, 1));
    rim(s, 1.2 * s->side / 96);
    draw_colour(c, shade(s, skin, real(s, 0.45, 1)));
    cairo_arc(c, x, y - 0.87 * h, 0.11 * h, 0, 2 * M_PI);
    cairo_fill(c);
    draw_colour(c, shade(s, (Colour){0.15, 0.17, 0.3}, 1)); /* trousers */
    cairo_rectangle(c, x - 0.4 * w, y - 0.42 * h, 0.35 * w, 0.42 * h);
    cairo_rectangle(c, x + 0.05 * w, y - 0.42 * h, 0.35 * w, 0.42 * h);
    cairo_fill(c);
}

static double beside(Scene *s, double y)
{
    double n = s->side, out = real(s, 0.05, 0.4) * n;
    return along(s, dice_int(&s->d, 2) ? s->left - out : s->right + out, y);
}

/* What stands on the ground, from the back to the front. */
static void things(Scene *s)
{
    int n = 4 + dice_int(&s->d, 6);
    double y = s->horizon + 0.04 * s->side, last = s->side * 0.98;
    for (int i = 0; i < n; i++) {
        y += (last - y) * real(s, 0.1, 0.35);
        double x = beside(s, y), pick = real(s, 0, 1);
        if (pick < 0.27)
            tree(s, x, y);
        else if (pick < 0.45)
            sign(s, x, y);
        else if (pick < 0.68)
            person(s, real(s, 0, 1) < 0.7 ? x : along(s, real(s, s->left, s->right), y), y);
        else
            car(s,
                along(s,
                      real(s, 0.85 * s->left + 0.15 * s->right, 0.15 * s->left + 0.85 * s->right),
                      y),
                y);
    }
}

static void draw_scene(const Make *m, int split, int item, RtImage *picture, RtImage *mask)
{
    double n = m->size;
    Scene s = {canvas_new(m->size, m->size),
               canvas_new(m->size, m->size),
               dice(m->seed, 'S', (uint32_t)split, (uint32_t)item),
               n,
               0,
               0,
               0,
               0,
               1};
    cairo_set_antialias(s.mask.c, CAIRO_ANTIALIAS_NONE);
    s.horizon = real(&s, 0.42, 0.58) * n;
    s.vanish = real(&s, 0.35, 0.65) * n;
    s.left = real(&s, -0.15, 0.22) * n;
    s.right = n - real(&s, -0.15, 0.22) * n;
    s.light = real(&s, 0.65, 1.1);
    sky(&s);
    ground(&s);
    houses(&s, 1);
    houses(&s, -1);
    things(&s);
    *picture = canvas_take(&s.picture, 3);
    *mask = canvas_take(&s.mask, 1);
    draw_noise(picture, &s.d, real(&s, 2, 9));
}

static void save_names(const Make *m)
{
    char *path = rt_format("%s/classes.txt", m->path);
    FILE *f = fopen(path, "w");
    for (int i = 0; f && i < NCLASSES; i++) fprintf(f, "%s\n", names[i]);
    if (!f || fclose(f) != 0) rt_fail(RT_EXIT_WRITE, "C005", "cannot write '%s'", rt_esc(path));
    free(path);
}

char *make_scenes(const Make *m)
{
    uint8_t colours[256 * 3];
    rt_voc_colours(colours);
    for (int s = 0; s < MAKE_NSPLITS; s++) {
        for (int k = 0; k < 2; k++) {
            char *below = rt_format("%s/%s", make_splits[s], k ? "masks" : "images");
            make_dir(m, below);
            free(below);
        }
        for (int i = 0; i < make_share(s, m->count); i++) {
            RtImage picture, mask;
            draw_scene(m, s, i, &picture, &mask);
            for (int k = 0; k < 2; k++) {
                char *path = rt_format("%s/%s/%s/%04d.png", m->path, make_splits[s],
                                       k ? "masks" : "images", i);
                draw_save(path, k ? &mask : &picture, k ? &(RtPalette){colours, 256} : NULL);
                free(path);
            }
            free(picture.px);
            free(mask.px);
        }
    }
    save_names(m);
    return rt_format("%d + %d + %d scenes of %dx%d with masks of %d classes in train, val and test "
                     "(format: mask_folder)",
                     make_share(0, m->count), make_share(1, m->count), make_share(2, m->count),
                     m->size, m->size, NCLASSES);
}
