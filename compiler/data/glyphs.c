/* glyphs36: characters as a reader of text meets them.
 *
 * in:  fonts; out: DIR/{train,val,test}/{0-9,A-Z}/NNNN.png, grey, dark ink on light paper
 * rule: a character is drawn at a size of its own, cut out along its ink, and brought to 62 to 84 of a hundred parts of
 * the picture's side, its proportions kept: what `OUT ocr` does with the characters of a page (73 parts, centred). */
#include "data/draw.h"
#include "data/make.h"
#include "runtime/err.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char names[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/* White ink on black at `px` pixels an em; sheared, turned, stretched and fattened a little. */
static RtImage draw_character(char ch, Dice *d)
{
    int px = (int)dice_real(d, 16, 64), side = 3 * px;
    double turn = 0.06 * dice_normal(d),
           slant = dice_int(d, 3) ? dice_real(d, -0.08, 0.08) : dice_real(d, 0.1, 0.3);
    double wide = px * dice_real(d, 0.85, 1.15), high = px * dice_real(d, 0.95, 1.05),
           fat = px * dice_real(d, 0, 0.03);
    Canvas v = canvas_new(side, side);
    draw_font(v.c, dice_int(d, DRAW_FONTS), dice_int(d, 2));
    cairo_matrix_t m, lean = {1, 0, -slant, 1, 0, 0}, turned;
    cairo_matrix_init_scale(&m, wide, high);
    cairo_matrix_init_rotate(&turned, turn);
    cairo_matrix_multiply(&m, &m, &lean);
    cairo_matrix_multiply(&m, &m, &turned);
    cairo_set_font_matrix(v.c, &m);
    cairo_move_to(v.c, px, 2 * px);
    cairo_text_path(v.c, (char[]){ch, 0});
    draw_colour(v.c, (Colour){1, 1, 1});
    cairo_fill_preserve(v.c);
    cairo_set_line_width(v.c, fat);
    cairo_stroke(v.c);
    return canvas_take(&v, 1);
}

/* The part of img that has ink. */
static RtImage cut_out(RtImage *img)
{
    int x0 = img->w, x1 = 0, y0 = img->h, y1 = 0;
    for (int y = 0; y < img->h; y++)
        for (int x = 0; x < img->w; x++) {
            if (img->px[y * img->w + x] < 100) continue;
            x0 = x < x0 ? x : x0, x1 = x > x1 ? x : x1, y0 = y < y0 ? y : y0, y1 = y > y1 ? y : y1;
        }
    RtImage part = {NULL, 1, y1 - y0 + 1, x1 - x0 + 1};
    part.px = rt_alloc((size_t)part.h * (size_t)part.w, 1, "a character");
    for (int y = 0; y < part.h; y++)
        memcpy(part.px + y * part.w, img->px + (y0 + y) * img->w + x0, (size_t)part.w);
    free(img->px);
    return part;
}

static int at_least_one(double v)
{
    return v < 1 ? 1 : (int)(v + 0.5);
}

/* Lays the ink on paper: `size` square, the longer side as the dice say. */
static RtImage lay(const RtImage *ink, int size, Dice *d)
{
    double longer = size * dice_real(d, 0.62, 0.84),
           scale = longer / (ink->h > ink->w ? ink->h : ink->w);
    double paper = dice_real(d, 170, 255), dark = paper - dice_real(d, 100, 170);
    RtImage small, out = {rt_alloc((size_t)size * (size_t)size, 1, "a picture"), 1, size, size};
    if (!rt_image_resize(ink, at_least_one(ink->h * scale), at_least_one(ink->w * scale), &small))
        rt_fail(RT_EXIT_MEMORY, "E003", "cannot allocate memory to resize a character");
    double room_y = size - small.h, room_x = size - small.w, shift = 0.06 * size;
    int y0 = (int)(room_y / 2 + dice_real(d, -shift, shift)),
        x0 = (int)(room_x / 2 + dice_real(d, -shift, shift));
    if (dark < 0) dark = 0;
    for (int y = 0; y < size; y++)
        for (int x = 0; x < size; x++) {
            int sy = y - y0, sx = x - x0;
            bool inside = sy >= 0 && sy < small.h && sx >= 0 && sx < small.w;
            double share = inside ? small.px[sy * small.w + sx] / 255.0 : 0;
            out.px[y * size + x] = (uint8_t)(paper + (dark - paper) * share + 0.5);
        }
    free(small.px);
    return out;
}

static RtImage draw_glyph(char ch, int size, Dice *d)
{
    RtImage all = draw_character(ch, d), ink = cut_out(&all), img = lay(&ink, size, d);
    free(ink.px);
    if (dice_int(d, 2)) draw_blur(&img);
    draw_noise(&img, d, dice_real(d, 0, 16));
    return img;
}

char *make_glyphs(const Make *m)
{
    int classes = (int)sizeof names - 1;
    for (int s = 0; s < MAKE_NSPLITS; s++) {
        int n = make_share(s, m->count);
        for (int k = 0; k < classes; k++) {
            char below[32];
            snprintf(below, sizeof below, "%s/%c", make_splits[s], names[k]);
            make_dir(m, below);
            for (int i = 0; i < n; i++) {
                Dice d = dice(m->seed, 'g', (uint32_t)s, (uint32_t)(i * classes + k));
                RtImage img = draw_glyph(names[k], m->size, &d);
                char *path = rt_format("%s/%s/%04d.png", m->path, below, i);
                draw_save(path, &img, NULL);
                free(path);
                free(img.px);
            }
        }
    }
    return rt_format("%d classes, %d + %d + %d grey images of %dx%d in train, val and test "
                     "(format: image_folder)",
                     classes, classes * make_share(0, m->count), classes * make_share(1, m->count),
                     classes * make_share(2, m->count), m->size, m->size);
}
