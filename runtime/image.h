/* Image files: checked first, then decoded, converted and resized. PNG and JPEG only.
 *
 * in:  a file's bytes, which are never trusted
 * out: 8-bit pixels [h][w][c], or floats [c][h][w] in 0..1
 * rule: the decoder (stb_image) runs only on bytes that passed rt_image_check, within a memory
 * budget that follows from the size in the header, because it checks no CRC and draws cut files in
 * grey
 */
#ifndef RUNTIME_IMAGE_H
#define RUNTIME_IMAGE_H
#include "data/data.h"

enum {
    RT_IMAGE_MAX_FILE = 64 << 20,   /* bytes */
    RT_IMAGE_MAX_PIXELS = 64 << 20, /* width x height */
    RT_IMAGE_MAX_SIDE = 16384
};

typedef struct RtImage {
    uint8_t *px; /* [h][w][c], from malloc */
    int c, h, w;
} RtImage;

typedef struct RtImageInfo {
    int c, h, w; /* c as decoded: 1 grey, 2 grey+alpha, 3 RGB, 4 RGBA */
    bool jpeg;
} RtImageInfo;

/* Is this a whole, undamaged PNG or JPEG within the caps? `name` is for the message and escaped
 * there. */
bool rt_image_check(const uint8_t *file, size_t n, const char *name, RtImageInfo *info, RtError *e);
/* The two halves of it: image_png.c and image_jpeg.c. */
bool rt_image_check_png(const uint8_t *file, size_t n, const char *name, RtImageInfo *info,
                        RtError *e);
bool rt_image_check_jpeg(const uint8_t *file, size_t n, const char *name, RtImageInfo *info,
                         RtError *e);

/* Can an image of `from` channels be given to a model that takes `to`? Grey and RGB convert freely;
 * what has alpha only with `convert`, laid over white. */
bool rt_image_channels(int from, int to, bool convert, const char *name, RtError *e);

/* n pixels; what has alpha is laid over white. */
void rt_image_convert(const uint8_t *in, int from, uint8_t *out, int to, size_t n);

/* Decodes bytes that passed rt_image_check, with `channels` channels (0: as they are). */
bool rt_image_decode(const uint8_t *file, size_t n, const RtImageInfo *info, int channels,
                     const char *name, RtImage *out, RtError *e);

/* image_raw.c: a PNG's samples as they were written, of bytes that passed rt_image_check. */
typedef struct RtRaw {
    uint8_t *px; /* [h][w][c], from malloc */
    int c, h, w;
    bool palette; /* px are indices of it */
    bool over;    /* a grey number was over 255: px holds its low byte */
    int ncolours;
    uint8_t colour[256][3];
} RtRaw;
bool rt_image_raw(const uint8_t *file, size_t n, const char *name, RtRaw *out, RtError *e);

/* A whole regular file below the cap into a new buffer. */
bool rt_image_read(const char *path, const char *name, uint8_t **bytes, size_t *n, RtError *e);

/* Triangle filter, widened when shrinking (antialiased), in fixed point: the bits of Pillow's
 * BILINEAR. False: out of memory. */
bool rt_image_resize(const RtImage *in, int h, int w, RtImage *out);

/* The pixel under the middle of each new one, as Pillow's NEAREST. False: out of memory. */
bool rt_image_resize_nearest(const RtImage *in, int h, int w, RtImage *out);

/* For predict: path -> chw [channels,h,w] in 0..1, resized to h x w if needed, alpha laid over
 * white. Returns the exit code, 0 = ok; err gets "error[ID]: text". */
int rt_image_load(const char *path, int channels, int h, int w, float *chw, char *err,
                  size_t errlen);
#endif
