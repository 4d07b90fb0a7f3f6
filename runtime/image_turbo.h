/* JPEG by libjpeg-turbo, three times as fast as the decoder that every program has (image.c). It is linked into
 * programs that train on image files (parts.def), where Debian's library was there when the runtime was built. */
#ifndef RUNTIME_IMAGE_TURBO_H
#define RUNTIME_IMAGE_TURBO_H
#include "image.h"

typedef struct RtJpegDecoder {
    /* px [h][w][c] of a file that passed rt_image_check. False: it cannot, the other decoder must. */
    bool (*decode)(const uint8_t *file, size_t n, const RtImageInfo *info, uint8_t *px);
} RtJpegDecoder;

extern const RtJpegDecoder rt_jpeg_turbo __attribute__((weak, visibility("hidden")));
#endif
