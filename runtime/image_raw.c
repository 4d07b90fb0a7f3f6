/* PNG as it was written: samples before any palette, scaling or alpha, for masks, whose numbers mean classes.
 *
 * In: bytes that passed rt_image_check_png. Out: 8-bit samples [h][w][c], c = 1 for a palette's indices; the palette.
 * Rule: 1, 2 and 4 bits stay the numbers that they are (a decoder of pictures scales them to 0..255); of 16 bits the
 * high byte counts in colours, and a grey number over 255 is said to be one. zlib checks the data's own checksum.
 */
#include "err.h"
#include "image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

typedef struct Raw {
    const uint8_t *file;
    size_t n;
    const char *name;
    RtError *e;
    int w, h, c, depth;
    bool interlaced;
    RtRaw *out;
} Raw;

typedef struct Pass {
    int x, y, dx, dy;
} Pass;

static const Pass whole[] = {{0, 0, 1, 1}},
                  adam7[] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
                             {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};

static bool fail(Raw *r, const char *id, const char *why)
{
    r->e->exit = !strcmp(id, "E003") ? RT_EXIT_MEMORY : RT_EXIT_DATA;
    r->e->id = id;
    snprintf(r->e->text, sizeof r->e->text, "'%s': %s", rt_esc(r->name), why);
    return false;
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* ---- the compressed bytes ---- */

static bool read_header(Raw *r)
{
    static const int channels[7] = {1, 0, 3, 1, 2, 0, 4};
    const uint8_t *p = r->file + 16; /* after the signature, length and type */
    r->w = (int)be32(p);
    r->h = (int)be32(p + 4);
    r->depth = p[8];
    r->c = p[9] <= 6 ? channels[p[9]] : 0;
    r->interlaced = p[12];
    r->out->palette = p[9] == 3;
    bool depth = r->depth == 8 || (r->depth == 16 && p[9] != 3) ||
                 (r->c == 1 && (r->depth == 1 || r->depth == 2 || r->depth == 4));
    return (r->c && depth && p[12] <= 1) || fail(r, "D012", "no valid IHDR");
}

static void read_palette(Raw *r, const uint8_t *p, uint32_t len)
{
    for (uint32_t i = 0; i < len / 3 && i < 256; i++) memcpy(r->out->colour[i], p + 3 * i, 3);
    r->out->ncolours = len / 3 < 256 ? (int)(len / 3) : 256;
}

/* Every IDAT through inflate into exactly `room` bytes. */
static bool inflate_all(Raw *r, uint8_t *to, size_t room)
{
    z_stream z = {0};
    int state = inflateInit(&z);
    if (state != Z_OK) return fail(r, "E003", "cannot allocate memory to decode it");
    z.next_out = to;
    z.avail_out = (uInt)room;
    for (size_t at = 8; state == Z_OK && memcmp(r->file + at + 4, "IEND", 4) != 0;) {
        uint32_t len = be32(r->file + at);
        const uint8_t *type = r->file + at + 4;
        if (!memcmp(type, "PLTE", 4)) read_palette(r, type + 4, len);
        if (!memcmp(type, "IDAT", 4) && len) {
            z.next_in = (Bytef *)(uintptr_t)(type + 4);
            z.avail_in = len;
            state = inflate(&z, Z_NO_FLUSH);
            if (state == Z_BUF_ERROR && z.avail_in == 0) state = Z_OK;
        }
        at += 12 + (size_t)len;
    }
    size_t left = z.avail_out;
    inflateEnd(&z);
    if (state == Z_MEM_ERROR) return fail(r, "E003", "cannot allocate memory to decode it");
    return (state == Z_STREAM_END && left == 0) ||
           fail(r, "D012", "its compressed data are damaged or not as long as the header says");
}

/* ---- rows ---- */

static int pass_size(int all, int first, int step)
{
    return all > first ? (all - first + step - 1) / step : 0;
}

static size_t row_bytes(const Raw *r, int w)
{
    return ((size_t)w * (size_t)(r->c * r->depth) + 7) / 8;
}

static size_t all_bytes(const Raw *r)
{
    const Pass *p = r->interlaced ? adam7 : whole;
    size_t sum = 0;
    for (int i = 0; i < (r->interlaced ? 7 : 1); i++, p++) {
        int w = pass_size(r->w, p->x, p->dx), h = pass_size(r->h, p->y, p->dy);
        if (w) sum += (size_t)h * (1 + row_bytes(r, w));
    }
    return sum;
}

static int paeth(int a, int b, int c)
{
    int pa = abs(b - c), pb = abs(a - c), pc = abs(a + b - 2 * c);
    return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}

/* row[0] is the filter; above is the row before, unfiltered, or NULL. */
static bool unfilter(uint8_t *row, const uint8_t *above, size_t n, size_t bpp)
{
    int filter = *row++;
    for (size_t i = 0; i < n && filter; i++) {
        int a = i < bpp ? 0 : row[i - bpp], b = above ? above[i] : 0;
        int c = i < bpp || !above ? 0 : above[i - bpp];
        int add = filter == 1 ? a : filter == 2 ? b : filter == 3 ? (a + b) / 2 : paeth(a, b, c);
        row[i] = (uint8_t)(row[i] + add);
    }
    return filter <= 4;
}

static uint8_t sample(const Raw *r, const uint8_t *row, size_t i)
{
    if (r->depth == 8) return row[i];
    if (r->depth == 16) {
        if (r->c == 1 && row[2 * i]) r->out->over = true;
        return r->c == 1 ? row[2 * i + 1] : row[2 * i];
    }
    size_t bit = i * (size_t)r->depth;
    return (uint8_t)(row[bit / 8] >> (8 - r->depth - (int)(bit % 8)) & ((1 << r->depth) - 1));
}

static bool read_rows(Raw *r, uint8_t *raw)
{
    const Pass *p = r->interlaced ? adam7 : whole;
    size_t c = (size_t)r->c, bpp = (c * (size_t)r->depth + 7) / 8;
    for (int i = 0; i < (r->interlaced ? 7 : 1); i++, p++) {
        int w = pass_size(r->w, p->x, p->dx), h = pass_size(r->h, p->y, p->dy);
        size_t n = row_bytes(r, w);
        const uint8_t *above = NULL;
        for (int y = 0; w && y < h; y++, above = raw + 1, raw += 1 + n) {
            if (!unfilter(raw, above, n, bpp)) return fail(r, "D012", "unknown filter");
            for (int x = 0; x < w; x++)
                for (size_t k = 0; k < c; k++)
                    r->out->px[((size_t)(p->y + y * p->dy) * (size_t)r->w + (size_t)(p->x + x * p->dx)) * c + k] =
                        sample(r, raw + 1, (size_t)x * c + k);
        }
    }
    return true;
}

bool rt_image_raw(const uint8_t *file, size_t n, const char *name, RtRaw *out, RtError *e)
{
    Raw r = {.file = file, .n = n, .name = name, .e = e, .out = out};
    *out = (RtRaw){0};
    if (!read_header(&r)) return false;
    size_t bytes = all_bytes(&r), pixels = (size_t)r.w * (size_t)r.h * (size_t)r.c;
    uint8_t *raw = bytes < UINT32_MAX ? malloc(bytes) : NULL;
    out->px = malloc(pixels);
    bool ok = raw && out->px;
    if (!ok) fail(&r, "E003", "cannot allocate memory to decode it");
    ok = ok && inflate_all(&r, raw, bytes) && read_rows(&r, raw);
    free(raw);
    out->c = r.c;
    out->h = r.h;
    out->w = r.w;
    if (ok) return true;
    free(out->px);
    out->px = NULL;
    return false;
}
