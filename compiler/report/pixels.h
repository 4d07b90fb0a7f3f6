/* Plots as pixels: a paper (runtime/report/paint.h) by cairo. */
#ifndef REPORT_PIXELS_H
#define REPORT_PIXELS_H
#include "runtime/report/paint.h"
#include <cairo/cairo.h>
#include <stdbool.h>

typedef struct Pixels {
    RtPaint paint;
    cairo_surface_t *surface; /* after `begin` */
    cairo_t *c;
} Pixels;

void pixels_init(Pixels *p);
/* false: *why says what cairo or the system refused. */
bool pixels_save(Pixels *p, const char *path, const char **why); /* frees */
#endif
