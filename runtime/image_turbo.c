/* JPEG by libjpeg-turbo: its pixels are Pillow's.
 *
 * in:  bytes that passed rt_image_check; grey and YCbCr (or RGB) files
 * out: pixels of the file's channels
 * rule: a complaint of the library, even a warning, is a failure: the caller then asks its own
 *      decoder, which has the last word. Without the library's header this file is empty.
 */
#include "image_turbo.h"

#if __has_include(<jpeglib.h>)
#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>

typedef struct Failure {
    struct jpeg_error_mgr manager;
    jmp_buf out;
} Failure;

static void fail(j_common_ptr j)
{
    longjmp(((Failure *)(void *)j->err)->out, 1);
}

static void complain(j_common_ptr j, int level)
{
    if (level < 0) fail(j); /* a warning */
}

static void lines(struct jpeg_decompress_struct *j, uint8_t *px)
{
    size_t line = (size_t)j->output_width * (size_t)j->output_components;
    while (j->output_scanline < j->output_height) {
        JSAMPROW row = px + (size_t)j->output_scanline * line;
        jpeg_read_scanlines(j, &row, 1);
    }
}

static bool decode(const uint8_t *file, size_t n, const RtImageInfo *info, uint8_t *px)
{
    struct jpeg_decompress_struct j;
    Failure f;
    j.err = jpeg_std_error(&f.manager);
    f.manager.error_exit = fail;
    f.manager.emit_message = complain;
    if (setjmp(f.out)) {
        jpeg_destroy_decompress(&j);
        return false;
    }
    jpeg_create_decompress(&j);
    jpeg_mem_src(&j, file, n);
    jpeg_read_header(&j, TRUE);
    bool ok = j.num_components == info->c && (info->c == 1 || info->c == 3) &&
              (int)j.image_width == info->w && (int)j.image_height == info->h;
    if (ok) {
        j.out_color_space = info->c == 1 ? JCS_GRAYSCALE : JCS_RGB;
        jpeg_start_decompress(&j);
        lines(&j, px);
        jpeg_finish_decompress(&j);
    }
    jpeg_destroy_decompress(&j);
    return ok;
}

const RtJpegDecoder rt_jpeg_turbo = {decode};
#endif
