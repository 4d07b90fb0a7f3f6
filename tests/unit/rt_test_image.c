/* Image files: what is valid is read, whatever was cut or flipped is found, pixels are converted
 * and resized as documented. PNGs are made here. The JPEGs are files in tests/data: 40 rows of 33
 * pixels (200, 6y, 5x), 4:2:0, as baseline.jpg (a restart marker every two MCUs) and
 * progressive.jpg; the first 16x16 of it as tiny.jpg, 4:4:4; grey.jpg is 20 rows of 33. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "image.h"

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

typedef struct Bytes {
    uint8_t *p;
    size_t n;
} Bytes;

static void append(void *to, void *data, int n)
{
    Bytes *b = to;
    b->p = realloc(b->p, b->n + (size_t)n);
    memcpy(b->p + b->n, data, (size_t)n);
    b->n += (size_t)n;
}

static void pattern(uint8_t *px, int h, int w, int c)
{
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int k = 0; k < c; k++) *px++ = (uint8_t)(x * 7 + y * 11 + k * 80 + x * y);
}

static Bytes png(int h, int w, int c)
{
    uint8_t px[64 * 64 * 4];
    Bytes b = {0};
    pattern(px, h, w, c);
    assert_true(stbi_write_png_to_func(append, &b, w, h, c, px, w * c));
    return b;
}

static Bytes file_bytes(const char *path)
{
    Bytes b;
    RtError e;
    assert_true(rt_image_read(path, path, &b.p, &b.n, &e));
    return b;
}

/* Checks a copy of exactly n bytes, so that a read past its end is an error of the sanitizer. */
static bool check(const uint8_t *p, size_t n, RtImageInfo *info, RtError *e)
{
    uint8_t *copy = calloc(n ? n : 1, 1);
    if (n) memcpy(copy, p, n);
    bool ok = rt_image_check(copy, n, "a.img", info, e);
    free(copy);
    return ok;
}

static void expect(const uint8_t *p, size_t n, const char *id, const char *text)
{
    RtImageInfo info;
    RtError e;
    assert_false(check(p, n, &info, &e));
    assert_string_equal(e.id, id);
    assert_int_equal(e.exit, 4);
    assert_string_equal(e.text, text);
}

static void every_cut_is_found(Bytes b, const char *id)
{
    RtImageInfo info;
    RtError e;
    assert_true(check(b.p, b.n, &info, &e));
    for (size_t n = 3; n < b.n; n++) {
        assert_false(check(b.p, n, &info, &e));
        assert_string_equal(e.id, id);
    }
    for (size_t n = 0; n < 3; n++) assert_false(check(b.p, n, &info, &e));
}

static void png_cuts_and_flips(void **state)
{
    (void)state;
    RtImageInfo info;
    RtError e;
    for (int c = 1; c <= 4; c++) {
        Bytes b = png(9, 13, c);
        every_cut_is_found(b, "D012");
        assert_true(check(b.p, b.n, &info, &e));
        assert_true(info.w == 13 && info.h == 9 && info.c == c && !info.jpeg);
        for (size_t bit = 0; bit < 8 * b.n; bit++) {
            b.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_false(check(b.p, b.n, &info, &e));
            b.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        free(b.p);
    }
}

static const char *const jpegs[] = {"tests/data/grey.jpg", "tests/data/tiny.jpg",
                                    "tests/data/baseline.jpg", "tests/data/progressive.jpg"};
enum { NJPEGS = 4 };

static void jpeg_cuts(void **state)
{
    (void)state;
    for (size_t i = 0; i < NJPEGS; i++) {
        Bytes b = file_bytes(jpegs[i]);
        every_cut_is_found(b, "D013");
        free(b.p);
    }
}

/* A cut file that some tool ended with an end-of-image marker: the scan itself is too short. */
static void jpeg_cut_and_closed(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        Bytes b = file_bytes(jpegs[i]);
        RtImageInfo info;
        RtError e;
        size_t scan = 0;
        while (b.p[scan] != 0xff || b.p[scan + 1] != 0xda) scan++;
        scan += 2 + (size_t)b.p[scan + 3];
        for (size_t n = scan; n + 2 < b.n - 2; n++) {
            uint8_t *cut = malloc(n + 2);
            memcpy(cut, b.p, n);
            cut[n] = 0xff;
            cut[n + 1] = 0xd9;
            assert_false(check(cut, n + 2, &info, &e));
            assert_string_equal(e.id, "D013");
            free(cut);
        }
        if (i == 2)
            expect(b.p, scan + (b.n - scan) / 2, "D013", "'a.img': ends early (row 16 of 40)");
        free(b.p);
    }
}

/* Flips in a JPEG cannot all be found, but must never harm. */
static void jpeg_flips_do_no_harm(void **state)
{
    (void)state;
    for (size_t i = 0; i < NJPEGS; i++) {
        Bytes b = file_bytes(jpegs[i]);
        RtImageInfo info;
        RtImage img;
        RtError e;
        for (size_t bit = 0; bit < 8 * b.n; bit++) {
            b.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (rt_image_check(b.p, b.n, "a.img", &info, &e) &&
                rt_image_decode(b.p, b.n, &info, 0, "a.img", &img, &e)) {
                assert_true(img.w == info.w && img.h == info.h && img.c == info.c);
                free(img.px);
            }
            b.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        free(b.p);
    }
}

static void put32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24), p[1] = (uint8_t)(v >> 16), p[2] = (uint8_t)(v >> 8),
    p[3] = (uint8_t)v;
}

static void messages(void **state)
{
    (void)state;
    expect((const uint8_t *)"", 0, "D010", "'a.img': empty file");
    expect((const uint8_t *)"GIF89a...", 9, "D011", "'a.img': only PNG and JPEG are read");
}

static void png_messages(void **state)
{
    (void)state;
    RtImageInfo info;
    RtError e;
    Bytes b = png(9, 13, 1);
    b.p[45] ^= 1; /* in IDAT, which begins at 33 */
    expect(b.p, b.n, "D012", "'a.img': CRC mismatch in IDAT at offset 33");
    b.p[45] ^= 1;
    expect(b.p, b.n - 12, "D012", "'a.img': ends early: no IEND");
    put32(b.p + 16, 16384), put32(b.p + 20, 16384);
    put32(b.p + 29, (uint32_t)crc32(0, b.p + 12, 17));
    expect(b.p, b.n, "D015", "'a.img': 16384x16384 over 64 Mpixel cap");
    put32(b.p + 16, 0x7fffffff);
    put32(b.p + 29, (uint32_t)crc32(0, b.p + 12, 17));
    expect(b.p, b.n, "D015", "'a.img': 2147483647x16384 over 16384 pixels a side");
    free(b.p);
    assert_false(rt_image_check((const uint8_t *)"BM", 2, "bad\nname\x1b.bmp", &info, &e));
    assert_string_equal(e.text, "'bad\\x0aname\\x1b.bmp': only PNG and JPEG are read");
}

static void jpeg_variants(void **state)
{
    (void)state;
    static const struct {
        uint8_t marker;
        const char *text;
    } variant[] = {{0xc3, "'a.img': JPEG variant not supported (SOF3)"},
                   {0xc9, "'a.img': JPEG variant not supported (SOF9)"}};
    Bytes b = file_bytes("tests/data/grey.jpg");
    size_t sof = 2;
    while (b.p[sof] != 0xff || b.p[sof + 1] != 0xc0) sof++;
    for (size_t i = 0; i < 2; i++) {
        b.p[sof + 1] = variant[i].marker;
        expect(b.p, b.n, "D014", variant[i].text);
    }
    b.p[sof + 1] = 0xc1;
    b.p[sof + 4] = 12;
    expect(b.p, b.n, "D014", "'a.img': JPEG variant not supported (12 bits)");
    free(b.p);
}

/* ---- pixels ---- */

static RtImage decoded(Bytes b, int channels)
{
    RtImageInfo info;
    RtImage img;
    RtError e;
    assert_true(rt_image_check(b.p, b.n, "a.img", &info, &e));
    assert_true(rt_image_decode(b.p, b.n, &info, channels, "a.img", &img, &e));
    free(b.p);
    return img;
}

static void png_pixels_come_back(void **state)
{
    (void)state;
    for (int c = 1; c <= 4; c++) {
        uint8_t px[9 * 13 * 4];
        pattern(px, 9, 13, c);
        RtImage img = decoded(png(9, 13, c), 0);
        assert_true(img.c == c && img.h == 9 && img.w == 13);
        assert_memory_equal(img.px, px, (size_t)(9 * 13 * c));
        free(img.px);
    }
}

static Bytes png_of(const uint8_t *px, int h, int w, int c)
{
    Bytes b = {0};
    assert_true(stbi_write_png_to_func(append, &b, w, h, c, px, w * c));
    return b;
}

static void channels(void **state)
{
    (void)state;
    static const uint8_t grey[] = {0, 17, 255}, rgb[] = {255, 0, 0, 10, 20, 30},
                         alpha[] = {100, 0, 100, 255, 0, 128},
                         rgba[] = {10, 20, 30, 255, 10, 20, 30, 0};
    RtImage img = decoded(png_of(grey, 1, 3, 1), 3);
    assert_memory_equal(img.px, ((uint8_t[]){0, 0, 0, 17, 17, 17, 255, 255, 255}), 9);
    free(img.px);
    img = decoded(png_of(rgb, 1, 2, 3), 1);
    assert_memory_equal(img.px, ((uint8_t[]){76, 18}), 2);
    free(img.px);
    img = decoded(png_of(alpha, 1, 3, 2), 1);
    assert_memory_equal(img.px, ((uint8_t[]){255, 100, 127}), 3);
    free(img.px);
    img = decoded(png_of(rgba, 1, 2, 4), 3);
    assert_memory_equal(img.px, ((uint8_t[]){10, 20, 30, 255, 255, 255}), 6);
    free(img.px);

    RtError e;
    assert_true(rt_image_channels(1, 3, false, "a.png", &e));
    assert_true(rt_image_channels(3, 1, false, "a.png", &e));
    assert_true(rt_image_channels(4, 3, true, "a.png", &e));
    assert_false(rt_image_channels(4, 3, false, "a.png", &e));
    assert_string_equal(e.text, "'a.png': 4 channels, model takes 3 (use --channels=convert)");
    assert_string_equal(e.id, "D016");
}

static void jpeg_pixels_are_near(void **state)
{
    (void)state;
    for (size_t i = 1; i < NJPEGS; i++) {
        RtImage img = decoded(file_bytes(jpegs[i]), 0);
        assert_true(img.c == 3 && img.h == (i == 1 ? 16 : 40) && img.w == (i == 1 ? 16 : 33));
        const uint8_t *p = img.px;
        for (int y = 0; y < img.h; y++)
            for (int x = 0; x < img.w; x++, p += 3) {
                assert_in_range(p[0] + 12 - 200, 0, 24);
                assert_in_range(p[1] + 12 - 6 * y, 0, 24);
                assert_in_range(p[2] + 12 - 5 * x, 0, 24);
            }
        free(img.px);
    }
}

/* Expected values are Pillow 11's for the same pixels. */
static void resizing(void **state)
{
    (void)state;
    uint8_t px[4 * 6];
    pattern(px, 4, 6, 1);
    RtImage in = {px, 1, 4, 6}, out;
    static const uint8_t half[] = {13, 27, 41, 32, 49, 65},
                         big[] = {0,  4,  8,  13, 18, 22, 27, 32, 35, 8,  12, 16, 22, 27, 32,
                                  38, 43, 46, 17, 21, 27, 32, 38, 44, 49, 55, 59, 25, 30, 37,
                                  42, 49, 55, 60, 67, 72, 33, 38, 45, 51, 58, 65, 71, 78, 83},
                         odd[] = {9, 26, 13, 31, 20, 40, 27, 49, 34, 57, 41, 66, 46, 71};
    assert_true(rt_image_resize(&in, 2, 3, &out));
    assert_memory_equal(out.px, half, sizeof half);
    free(out.px);
    assert_true(rt_image_resize(&in, 5, 9, &out));
    assert_memory_equal(out.px, big, sizeof big);
    free(out.px);
    assert_true(rt_image_resize(&in, 7, 2, &out));
    assert_memory_equal(out.px, odd, sizeof odd);
    free(out.px);
    assert_true(rt_image_resize(&in, 4, 6, &out));
    assert_memory_equal(out.px, px, sizeof px);
    free(out.px);
    uint8_t one = 99;
    assert_true(rt_image_resize(&(RtImage){&one, 1, 1, 1}, 3, 3, &out));
    for (int i = 0; i < 9; i++) assert_int_equal(out.px[i], 99);
    free(out.px);
}

/* ---- files ---- */

static void loading(void **state)
{
    (void)state;
    char dir[] = "/tmp/rt_test_imageXXXXXX", path[64], err[512] = "";
    float chw[3 * 2 * 2];
    static const uint8_t rgb[] = {0, 51, 255, 0, 51, 255, 0, 51, 255, 0, 51, 255};
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/a.png", dir);
    Bytes b = png_of(rgb, 2, 2, 3);
    FILE *f = fopen(path, "wb");
    fwrite(b.p, 1, b.n, f);
    fclose(f);
    assert_int_equal(rt_image_load(path, 3, 2, 2, chw, err, sizeof err), 0);
    for (int i = 0; i < 4; i++) assert_true(chw[i] == 0 && chw[4 + i] == 0.2f && chw[8 + i] == 1);
    assert_int_equal(rt_image_load(path, 3, 1, 1, chw, err, sizeof err), 0);
    assert_true(chw[0] == 0 && chw[1] == 0.2f && chw[2] == 1);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(rt_image_load(path, 3, 2, 2, chw, err, sizeof err), 4);
    assert_non_null(strstr(err, "error[D010]: '"));
    unlink(path);
    assert_int_equal(rt_image_load(path, 3, 2, 2, chw, err, sizeof err), 4);
    assert_non_null(strstr(err, "error[D002]: cannot read '"));
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(rt_image_load(path, 3, 2, 2, chw, err, sizeof err), 4);
    assert_non_null(strstr(err, "not a regular file"));
    unlink(path);
    assert_int_equal(symlink("a.png", path), 0);
    assert_int_equal(rt_image_load(path, 3, 2, 2, chw, err, sizeof err), 4);
    assert_non_null(strstr(err, "error[D022]"));
    unlink(path);
    rmdir(dir);
    free(b.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(png_cuts_and_flips),
        cmocka_unit_test(jpeg_cuts),
        cmocka_unit_test(jpeg_cut_and_closed),
        cmocka_unit_test(jpeg_flips_do_no_harm),
        cmocka_unit_test(messages),
        cmocka_unit_test(png_messages),
        cmocka_unit_test(jpeg_variants),
        cmocka_unit_test(png_pixels_come_back),
        cmocka_unit_test(channels),
        cmocka_unit_test(jpeg_pixels_are_near),
        cmocka_unit_test(resizing),
        cmocka_unit_test(loading),
    };
    return cmocka_run_group_tests_name("runtime images", tests, NULL, NULL);
}
