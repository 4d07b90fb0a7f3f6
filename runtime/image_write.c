/* PNG: signature, IHDR, PLTE, one IDAT, IEND. Every row takes the filter whose differences are smallest
 * in sum, which is the specification's own advice; colour numbers are not filtered, for the same reason.
 *
 * not here: reading (image.c), other formats. */
#include "image_write.h"
#include "err.h"
#include "file.h"
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { NFILTERS = 5, CHUNK_EXTRA = 12 };

static void put32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24), p[1] = (uint8_t)(v >> 16), p[2] = (uint8_t)(v >> 8),
    p[3] = (uint8_t)v;
}

static uint8_t *put_chunk(uint8_t *p, const char *type, const void *data, size_t n)
{
    put32(p, (uint32_t)n);
    memcpy(p + 4, type, 4);
    if (n) memmove(p + 8, data, n); /* IDAT lies there already */
    put32(p + 8 + n, (uint32_t)crc32(crc32(0, NULL, 0), p + 4, (uInt)n + 4));
    return p + n + CHUNK_EXTRA;
}

static int paeth(int a, int b, int c)
{
    int pa = abs(b - c), pb = abs(a - c), pc = abs(a + b - 2 * c);
    return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}

static int predicted(int filter, int left, int up, int corner)
{
    switch (filter) {
    case 1:
        return left;
    case 2:
        return up;
    case 3:
        return (left + up) / 2;
    case 4:
        return paeth(left, up, corner);
    default:
        return 0;
    }
}

/* up NULL: the first row -> the sum of the differences, as signed bytes. */
static uint64_t filter_row(int filter, const uint8_t *row, const uint8_t *up, size_t line, size_t c,
                           uint8_t *out)
{
    uint64_t sum = 0;
    out[0] = (uint8_t)filter;
    for (size_t i = 0; i < line; i++) {
        int left = i < c ? 0 : row[i - c], above = up ? up[i] : 0,
            corner = i < c || !up ? 0 : up[i - c];
        uint8_t d = (uint8_t)(row[i] - predicted(filter, left, above, corner));
        out[1 + i] = d;
        sum += d < 128 ? d : 256u - d;
    }
    return sum;
}

static uint8_t *filtered(const RtImage *img, bool plain, size_t *n)
{
    size_t c = (size_t)img->c, line = (size_t)img->w * c, h = (size_t)img->h;
    *n = h * (line + 1);
    uint8_t *all = rt_alloc(*n, 1, "a picture"), *try = rt_alloc(line + 1, 1, "a picture");
    for (size_t y = 0; y < h; y++) {
        const uint8_t *row = img->px + y * line, *up = y ? row - line : NULL;
        uint8_t *out = all + y * (line + 1);
        uint64_t best = filter_row(0, row, up, line, c, out);
        for (int f = 1; f < NFILTERS && !plain; f++) {
            uint64_t sum = filter_row(f, row, up, line, c, try);
            if (sum >= best) continue;
            best = sum;
            memcpy(out, try, line + 1);
        }
    }
    free(try);
    return all;
}

uint8_t *rt_png_encode(const RtImage *img, const RtPalette *palette, size_t *n)
{
    static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'},
                         colour[5] = {0, 0, 4, 2, 6};
    bool fits = img->w > 0 && img->h > 0 && img->w <= RT_IMAGE_MAX_SIDE &&
                img->h <= RT_IMAGE_MAX_SIDE && img->c >= 1 && img->c <= 4 &&
                (!palette || img->c == 1);
    if (!fits)
        rt_fail(RT_EXIT_WRITE, "D015",
                "a picture of %dx%d with %d channels cannot be written as PNG", img->w, img->h,
                img->c);
    size_t raw, plte = palette ? 3 * (size_t)palette->n : 0;
    uint8_t *rows = filtered(img, palette != NULL, &raw);
    uLongf deflated = compressBound(raw);
    uint8_t *file =
                rt_alloc(sizeof signature + 13 + plte + deflated + 4 * CHUNK_EXTRA, 1, "a picture"),
            ihdr[13] = {0};
    put32(ihdr, (uint32_t)img->w);
    put32(ihdr + 4, (uint32_t)img->h);
    ihdr[8] = 8;
    ihdr[9] = palette ? 3 : colour[img->c];
    memcpy(file, signature, sizeof signature);
    uint8_t *p = put_chunk(file + sizeof signature, "IHDR", ihdr, sizeof ihdr);
    if (palette) p = put_chunk(p, "PLTE", palette->rgb, plte);
    if (compress2(p + 8, &deflated, rows, raw, 6) != Z_OK)
        rt_fail(RT_EXIT_MEMORY, "E003", "cannot allocate memory to compress a picture");
    p = put_chunk(p, "IDAT", p + 8, deflated);
    p = put_chunk(p, "IEND", NULL, 0);
    free(rows);
    *n = (size_t)(p - file);
    return file;
}

void rt_png_save(const char *path, const RtImage *img, const RtPalette *palette)
{
    size_t n;
    uint8_t *file = rt_png_encode(img, palette, &n);
    rt_file_save(path, file, n, NULL);
    free(file);
}

void rt_voc_colours(uint8_t rgb[256 * 3])
{
    memset(rgb, 0, 256 * 3);
    for (int i = 0; i < 256; i++)
        for (int bit = 0; bit < 8; bit++)
            rgb[3 * i + bit % 3] |= (uint8_t)((i >> bit & 1) << (7 - bit / 3));
}
