/* The characters of a page: where ink is, which of it is one character, lines, spaces.
 *
 * in:  a grey image of text, dark on light or light on dark, unevenly lit
 * out: boxes in reading order
 * rule: nothing here knows what a character looks like */
#ifndef RUNTIME_OCR_PAGE_H
#define RUNTIME_OCR_PAGE_H
#include "../image.h"

typedef struct RtBox {
    int x0, y0, x1, y1; /* x1, y1: the first pixel that is outside */
} RtBox;

typedef struct RtMark { /* one character */
    RtBox box;
    int line;   /* 0, 1, ... from the top */
    int height; /* of its line's characters, the middle one */
    bool space; /* before it */
    int id;     /* for page.c */
} RtMark;

typedef struct RtPage {
    const uint8_t *px; /* the caller's, [h][w] */
    int h, w;
    bool light;     /* ink is lighter than paper */
    uint8_t *paper; /* [h][w]: how light the paper is there */
    int32_t *owner; /* [h][w]: the mark that a pixel is ink of; -1: of none */
    RtMark *mark;   /* in reading order */
    int n, nlines;
} RtPage;

/* A page without text has no marks. `name` is for the message: out of memory, or more pieces than a page of text has. */
bool rt_page_read(RtPage *p, const RtImage *grey, const char *name, RtError *e);
void rt_page_free(RtPage *p);

/* Mark i alone, as a classifier's input of h x w: its longer side is `fill` of the smaller of the two, its proportions
 * are kept, it lies in the middle; ink is dark on light or, if `light`, the other way round. False: out of memory. */
bool rt_page_crop(const RtPage *p, int i, int h, int w, double fill, bool light, uint8_t *out);

/* page_ink.c: sets light, paper and owner (0: ink, -1: none). */
bool rt_page_ink(RtPage *p);
/* page_parts.c: connected ink, 8 neighbours; numbers it in owner, -> boxes [n], and how many pixels each has. */
bool rt_page_parts(RtPage *p, RtBox **box, int **area, int *n);
#endif
