/* What all that is drawn has in common: chance, canvases, fonts, files. */
#ifndef DATA_DRAW_H
#define DATA_DRAW_H
#include "runtime/image_write.h"
#include "runtime/rng.h"
#include <cairo/cairo.h>

/* A stream of random numbers that depends on its four numbers alone. */
typedef struct Dice {
    uint32_t key[2], counter[4];
    RtRandom4 words;
    int left;
} Dice;

Dice dice(uint64_t seed, uint32_t kind, uint32_t split, uint32_t item);
double dice_real(Dice *d, double lo, double hi);
int dice_int(Dice *d, int n); /* 0..n-1 */
double dice_normal(Dice *d);

typedef struct Colour {
    double r, g, b;
} Colour;
Colour dice_colour(Dice *d);
void draw_colour(cairo_t *c, Colour colour);

typedef struct Canvas {
    cairo_surface_t *surface;
    cairo_t *c;
    int h, w;
} Canvas;

Canvas canvas_new(int h, int w);
RtImage canvas_take(Canvas *canvas, int channels); /* 1: red alone, or 3; frees the canvas */

/* The fonts that text is drawn in: DRAW_FONTS families, each also bold. Exits 5 when one is not installed. */
enum { DRAW_FONTS = 3 };
void draw_font(cairo_t *c, int family, bool bold);

/* Each is a change of all pixels, within 0..255. */
void draw_noise(RtImage *img, Dice *d, double sigma);
void draw_blur(RtImage *img); /* 1 2 1 both ways */

void draw_save(const char *path, const RtImage *img,
               const RtPalette *palette); /* not flushed to the disk: a set is many */
#endif
