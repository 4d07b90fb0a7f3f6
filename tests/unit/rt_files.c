/* Files of a test: see rt_files.h. The PNGs are stored or deflated by zlib and use every filter in turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "rt_files.h"

char tmp_root[64];

int tmp_make(void **state)
{
    (void)state;
    snprintf(tmp_root, sizeof tmp_root, "/tmp/rt_test_filesXXXXXX");
    return mkdtemp(tmp_root) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

int tmp_remove(void **state)
{
    (void)state;
    return nftw(tmp_root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *tmp_at(const char *name)
{
    static char path[8][512];
    static int turn;
    char *p = path[turn++ % 8];
    snprintf(p, sizeof path[0], "%s/%s", tmp_root, name);
    return p;
}

void tmp_dir(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s", tmp_at(name));
    for (char *p = path + strlen(tmp_root) + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = 0;
        mkdir(path, 0755);
    }
    mkdir(path, 0755);
}

void tmp_put(const char *name, const void *bytes, size_t n)
{
    char folder[512];
    snprintf(folder, sizeof folder, "%s", name);
    char *slash = strrchr(folder, '/');
    if (slash) {
        *slash = 0;
        tmp_dir(folder);
    }
    FILE *f = fopen(tmp_at(name), "wb");
    assert_non_null(f);
    if (n) assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

void tmp_text(const char *name, const char *text)
{
    tmp_put(name, text, strlen(text));
}

void tmp_gz(const char *name, const void *bytes, size_t n)
{
    gzFile f = gzopen(tmp_at(name), "wb");
    assert_non_null(f);
    assert_int_equal(gzwrite(f, bytes, (unsigned)n), n);
    gzclose(f);
}

/* ---- PNG ---- */

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static size_t chunk(uint8_t *to, const char *type, const void *data, size_t n)
{
    put32(to, (uint32_t)n);
    memcpy(to + 4, type, 4);
    if (n) memcpy(to + 8, data, n);
    put32(to + 8 + n, (uint32_t)crc32(crc32(0, NULL, 0), to + 4, (uInt)n + 4));
    return n + 12;
}

static int paeth(int a, int b, int c)
{
    int pa = abs(b - c), pb = abs(a - c), pc = abs(a + b - 2 * c);
    return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}

static void filter_row(uint8_t *to, const uint8_t *row, const uint8_t *above, size_t n, size_t bpp, int kind)
{
    *to++ = (uint8_t)kind;
    for (size_t i = 0; i < n; i++) {
        int a = i < bpp ? 0 : row[i - bpp], b = above ? above[i] : 0, c = i < bpp || !above ? 0 : above[i - bpp];
        int of[5] = {0, a, b, (a + b) / 2, paeth(a, b, c)};
        to[i] = (uint8_t)(row[i] - of[kind]);
    }
}

size_t png_bytes(uint8_t **png, int w, int h, int depth, int type, const uint8_t *rows, size_t row,
                 const uint8_t *palette, int ncolours)
{
    static const int channels[7] = {1, 0, 3, 1, 2, 0, 4};
    size_t bpp = ((size_t)channels[type] * (size_t)depth + 7) / 8, raw = (size_t)h * (row + 1);
    uint8_t *filtered = malloc(raw), ihdr[13] = {0};
    uLongf packed = compressBound(raw);
    uint8_t *z = malloc(packed), *p = *png = malloc(packed + 1024 + 3 * 256);
    for (int y = 0; y < h; y++)
        filter_row(filtered + (size_t)y * (row + 1), rows + (size_t)y * row, y ? rows + (size_t)(y - 1) * row : NULL,
                   row, bpp, y % 5);
    assert_int_equal(compress(z, &packed, filtered, raw), Z_OK);
    memcpy(p, "\x89PNG\r\n\x1a\n", 8);
    p += 8;
    put32(ihdr, (uint32_t)w);
    put32(ihdr + 4, (uint32_t)h);
    ihdr[8] = (uint8_t)depth;
    ihdr[9] = (uint8_t)type;
    p += chunk(p, "IHDR", ihdr, 13);
    if (palette) p += chunk(p, "PLTE", palette, 3 * (size_t)ncolours);
    p += chunk(p, "IDAT", z, packed / 2); /* in two pieces */
    p += chunk(p, "IDAT", z + packed / 2, packed - packed / 2);
    p += chunk(p, "IEND", NULL, 0);
    free(filtered);
    free(z);
    return (size_t)(p - *png);
}

void tmp_png(const char *name, int w, int h, int depth, int type, const uint8_t *rows, size_t row,
             const uint8_t *palette, int ncolours)
{
    uint8_t *png;
    size_t n = png_bytes(&png, w, h, depth, type, rows, row, palette, ncolours);
    tmp_put(name, png, n);
    free(png);
}

void tmp_grey(const char *name, int w, int h, const uint8_t *px)
{
    tmp_png(name, w, h, 8, 0, px, (size_t)w, NULL, 0);
}
