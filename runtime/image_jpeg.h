/* Between the two halves of the check of JPEGs: image_jpeg.c reads the segments, image_jpeg_scan.c walks the codes. */
#ifndef RUNTIME_IMAGE_JPEG_H
#define RUNTIME_IMAGE_JPEG_H
#include "image.h"

enum {
    MAX_COMPONENTS = 4,
    MAX_SCANS = 256
}; /* the latter bounds the time that a hostile file takes */

typedef struct RtHuffman {
    bool defined;
    uint8_t symbol[256];
    int32_t max_code[18]; /* largest code of each length, -1: none; [17] is a guard */
    int32_t offset[17];   /* symbol index = code + offset[length] */
} RtHuffman;

typedef struct RtComponent {
    int id, h, v;
    int bw, bh;     /* blocks that hold pixels */
    int stride;     /* blocks in a row, padding included */
    uint64_t *mask; /* nonzero coefficients; progressive only */
    int tq;         /* its quantisation table */
    int8_t al[64];  /* low bits of each coefficient that did not come yet; -1: nothing came; progressive only */
    bool seen;
    RtHuffman *dc, *ac; /* of the present scan */
} RtComponent;

typedef struct RtJpeg {
    const uint8_t *p, *end;
    const char *name;
    RtError *e;
    int w, h, n; /* n components; 0: no frame header yet */
    int hmax, vmax, mcu_w, mcu_h;
    bool progressive;
    RtComponent comp[MAX_COMPONENTS];
    RtHuffman dc[4], ac[4];
    bool quant[4]; /* tables that were given */
    int restart; /* MCUs between restart markers, 0: none */
    int scans;   /* so far */

    int nscan;
    RtComponent *scan[MAX_COMPONENTS];
    int ss, se, ah, al;
    uint32_t eobrun;
    uint64_t bits; /* the low nbits bits are not used yet */
    int nbits;
    bool dry; /* bits were asked for that are not there */
} RtJpeg;

/* Fills in the error; false. */
bool rt_jpeg_fail(RtJpeg *j, const char *id, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Every block of the scan that j describes, from j->p on; j->p is then behind the last byte of codes. */
bool rt_jpeg_walk_scan(RtJpeg *j);
#endif
