/* Chance by Philox, canvases by cairo. Not here: what is on the pictures. */
#include "data/draw.h"
#include "runtime/err.h"
#include <errno.h>
#include <fontconfig/fontconfig.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- chance ---- */

Dice dice(uint64_t seed, uint32_t kind, uint32_t split, uint32_t item)
{
    return (Dice){.key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
                  .counter = {0, kind, split, item}};
}

double dice_real(Dice *d, double lo, double hi)
{
    if (d->left == 0) {
        d->words = rt_philox(d->counter, d->key);
        d->counter[0]++;
        d->left = 4;
    }
    return lo + (hi - lo) * (d->words.v[--d->left] / 4294967296.0);
}

int dice_int(Dice *d, int n)
{
    return (int)dice_real(d, 0, n);
}

/* Box and Muller's. */
double dice_normal(Dice *d)
{
    double u = 1 - dice_real(d, 0, 1), v = dice_real(d, 0, 1);
    return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

Colour dice_colour(Dice *d)
{
    double r = dice_real(d, 0, 1), g = dice_real(d, 0, 1), b = dice_real(d, 0, 1);
    return (Colour){r, g, b};
}

/* ---- canvases ---- */

void draw_colour(cairo_t *c, Colour colour)
{
    cairo_set_source_rgb(c, colour.r, colour.g, colour.b);
}

Canvas canvas_new(int h, int w)
{
    Canvas v = {.h = h, .w = w};
    v.surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, w, h);
    v.c = cairo_create(v.surface);
    if (cairo_status(v.c) != CAIRO_STATUS_SUCCESS)
        rt_fail(RT_EXIT_MEMORY, "E003", "cannot draw a picture of %dx%d: %s", w, h,
                cairo_status_to_string(cairo_status(v.c)));
    return v;
}

RtImage canvas_take(Canvas *v, int channels)
{
    RtImage img = {rt_alloc((size_t)v->h * (size_t)v->w, (size_t)channels, "a picture"), channels,
                   v->h, v->w};
    cairo_surface_flush(v->surface);
    const uint8_t *data = cairo_image_surface_get_data(v->surface);
    int stride = cairo_image_surface_get_stride(v->surface);
    uint8_t *out = img.px;
    for (int y = 0; y < v->h; y++)
        for (int x = 0; x < v->w; x++) {
            uint32_t pixel;
            memcpy(&pixel, data + (size_t)y * (size_t)stride + 4 * (size_t)x, 4);
            for (int k = 0; k < channels; k++) *out++ = (uint8_t)(pixel >> (16 - 8 * k));
        }
    cairo_destroy(v->c);
    cairo_surface_destroy(v->surface);
    *v = (Canvas){0};
    return img;
}

/* ---- fonts ---- */

static const char *const families[DRAW_FONTS] = {"DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono"};

/* Cairo takes another font, and says nothing, when it has not the one that was asked for. */
static bool is_installed(const char *family)
{
    FcPattern *asked = FcPatternCreate();
    FcPatternAddString(asked, FC_FAMILY, (const FcChar8 *)family);
    FcConfigSubstitute(NULL, asked, FcMatchPattern);
    FcDefaultSubstitute(asked);
    FcResult result;
    FcPattern *found = FcFontMatch(NULL, asked, &result);
    FcChar8 *name = NULL;
    bool same = found && FcPatternGetString(found, FC_FAMILY, 0, &name) == FcResultMatch &&
                !strcmp((const char *)name, family);
    if (found) FcPatternDestroy(found);
    FcPatternDestroy(asked);
    return same;
}

void draw_font(cairo_t *c, int family, bool bold)
{
    static bool checked[DRAW_FONTS];
    if (!checked[family] && !is_installed(families[family]))
        rt_fail(RT_EXIT_DEVICE, "T001",
                "the font '%s' is not installed\napt-get install fonts-dejavu-core",
                families[family]);
    checked[family] = true;
    cairo_select_font_face(c, families[family], CAIRO_FONT_SLANT_NORMAL,
                           bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
}

/* ---- pixels ---- */

void draw_noise(RtImage *img, Dice *d, double sigma)
{
    size_t n = (size_t)img->h * (size_t)img->w * (size_t)img->c;
    for (size_t i = 0; i < n; i++) {
        double v = img->px[i] + sigma * dice_normal(d);
        img->px[i] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v + 0.5);
    }
}

/* 1 2 1 along `count` lines of n values that are `step` apart. */
static void blur_lines(uint8_t *px, int count, size_t next, int n, size_t step)
{
    for (int i = 0; i < count; i++, px += next) {
        int before = px[0];
        for (int k = 0; k < n; k++) {
            uint8_t *p = px + (size_t)k * step;
            int after = k + 1 < n ? p[step] : p[0], here = p[0];
            p[0] = (uint8_t)((before + 2 * here + after + 2) / 4);
            before = here;
        }
    }
}

void draw_blur(RtImage *img)
{
    size_t c = (size_t)img->c, line = c * (size_t)img->w;
    for (size_t k = 0; k < c; k++) {
        blur_lines(img->px + k, img->h, line, img->w, c);
        blur_lines(img->px + k, img->w, c, img->h, line);
    }
}

void draw_save(const char *path, const RtImage *img, const RtPalette *palette)
{
    size_t n;
    uint8_t *file = rt_png_encode(img, palette, &n);
    FILE *f = fopen(path, "wb");
    bool ok = f && fwrite(file, 1, n, f) == n;
    if (f && fclose(f) != 0) ok = false;
    if (!ok)
        rt_fail(RT_EXIT_WRITE, errno == ENOSPC ? "E001" : "C005", "cannot write '%s': %s",
                rt_esc(path), strerror(errno));
    free(file);
}
