/* Pictures as PNG, 8 bits a sample: grey, grey with alpha, RGB, RGBA, or numbers of a palette.
 *
 * in:  an RtImage; with a palette, one channel of colour numbers
 * out: the file's bytes, or a file that is either the old one or the whole new one
 * rule: the same pixels give the same bytes */
#ifndef RUNTIME_IMAGE_WRITE_H
#define RUNTIME_IMAGE_WRITE_H
#include "image.h"

typedef struct RtPalette {
    const uint8_t *rgb; /* [n][3] */
    int n;              /* 1..256; every pixel is below it */
} RtPalette;

/* palette NULL: the image's own channels. From malloc; exits 6 without memory. */
uint8_t *rt_png_encode(const RtImage *img, const RtPalette *palette, size_t *n);
/* Exits 7 when it cannot be written. */
void rt_png_save(const char *path, const RtImage *img, const RtPalette *palette);
/* The 256 colours that PASCAL VOC's masks have: number i has the bits of i, spread from the top. */
void rt_voc_colours(uint8_t rgb[256 * 3]);
#endif
