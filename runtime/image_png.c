/* PNG: every chunk's checksum, from the signature to IEND. Pixels are not looked at.
 *
 * rule: stb_image reads no CRC; after this every flipped bit and every cut in a file has been
 * found.
 */
#include "err.h"
#include "image.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

enum { SIGNATURE = 8, CHUNK_EXTRA = 12 }; /* length, type and CRC beside a chunk's data */

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

__attribute__((format(printf, 3, 4))) static bool damaged(const char *name, RtError *e,
                                                          const char *fmt, ...)
{
    char why[128];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    e->exit = RT_EXIT_DATA;
    e->id = "D012";
    snprintf(e->text, sizeof e->text, "'%s': %s", rt_esc(name), why);
    return false;
}

static bool read_ihdr(const uint8_t *data, RtImageInfo *info)
{
    static const int channels[7] = {1, 0, 3, 3, 2, 0, 4}; /* by colour type; 3 is a palette */
    uint32_t w = be32(data), h = be32(data + 4);
    if (w == 0 || h == 0 || w > INT32_MAX || h > INT32_MAX || data[9] > 6 || !channels[data[9]])
        return false;
    *info = (RtImageInfo){.c = channels[data[9]], .h = (int)h, .w = (int)w};
    return true;
}

bool rt_image_check_png(const uint8_t *file, size_t n, const char *name, RtImageInfo *info,
                        RtError *e)
{
    size_t at = SIGNATURE;
    bool first = true, pixels = false;
    for (;;) {
        if (n < at + CHUNK_EXTRA) return damaged(name, e, "ends early: no IEND");
        const uint8_t *type = file + at + 4;
        char text[4 * 4 + 1];
        snprintf(text, sizeof text, "%s", rt_esc_n((const char *)type, 4));
        uint32_t len = be32(file + at);
        if (len > n - at - CHUNK_EXTRA)
            return damaged(name, e, "ends early: %s of %u bytes at offset %zu", text, (unsigned)len,
                           at);
        if (crc32(crc32(0, NULL, 0), type, len + 4) != be32(type + 4 + len))
            return damaged(name, e, "CRC mismatch in %s at offset %zu", text, at);
        if (first && (memcmp(type, "IHDR", 4) != 0 || len != 13 || !read_ihdr(type + 4, info)))
            return damaged(name, e, "no valid IHDR");
        if (!memcmp(type, "tRNS", 4) && info->c % 2 == 1) info->c++; /* grey or RGB gains alpha */
        if (!memcmp(type, "IDAT", 4)) pixels = true;
        if (!memcmp(type, "IEND", 4)) break;
        first = false;
        at += CHUNK_EXTRA + len;
    }
    return pixels || damaged(name, e, "no IDAT");
}
