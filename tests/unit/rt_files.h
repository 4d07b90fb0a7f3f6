/* A directory of a test's own under /tmp, and files in it: raw bytes, gzip, PNGs of any colour type. */
#ifndef TESTS_UNIT_RT_FILES_H
#define TESTS_UNIT_RT_FILES_H
#include <stddef.h>
#include <stdint.h>

extern char tmp_root[64];
int tmp_make(void **state); /* for cmocka's set-up */
int tmp_remove(void **state);
const char *tmp_at(const char *name); /* the path of a name below it; lives for eight calls */
void tmp_dir(const char *name);       /* with those above it */
void tmp_put(const char *name, const void *bytes, size_t n);
void tmp_text(const char *name, const char *text);
void tmp_gz(const char *name, const void *bytes, size_t n);

/* A PNG of h rows of `row` packed bytes each. type: 0 grey, 2 RGB, 3 palette, 4 grey+alpha, 6 RGBA; palette: RGB
 * triples, or NULL. Returns its length; the bytes are in *png, from malloc. */
size_t png_bytes(uint8_t **png, int w, int h, int depth, int type, const uint8_t *rows, size_t row,
                 const uint8_t *palette, int ncolours);
void tmp_png(const char *name, int w, int h, int depth, int type, const uint8_t *rows, size_t row,
             const uint8_t *palette, int ncolours);
void tmp_grey(const char *name, int w, int h, const uint8_t *px); /* 8 bits */
#endif
