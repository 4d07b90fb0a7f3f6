/* Damage: every cut and every flipped bit of small images, one of each way to code them (tests/fixtures/images, written by
 * Pillow; the script is beside them).
 *
 * Every cut is found, and every bit of a PNG. A bit of a JPEG may be part of a number that only makes another picture, or of
 * a field that nobody reads: of those no reader can know. What breaks the stream of codes is found: the counts below were
 * held against libjpeg-turbo's own warnings, which see no flip in the codes that is missed here. Of 14,724 valid files of
 * Pillow, OpenCV and simplejpeg (qualities, samplings, progressive, restarts, CMYK, all PNG modes) none was refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "image.h"

enum { MOST = 1024 };

static size_t load(const char *name, uint8_t *b)
{
    char path[128];
    snprintf(path, sizeof path, "tests/fixtures/images/%s", name);
    FILE *f = fopen(path, "rb");
    if (!f) fail_msg("no %s", path);
    size_t n = fread(b, 1, MOST, f);
    fclose(f);
    assert_true(n > 0 && n < MOST);
    return n;
}

/* Is it refused? What passes must decode, or be refused by the decoder, without harm. */
static bool refused(const uint8_t *b, size_t n)
{
    RtError e;
    RtImageInfo info;
    RtImage img = {0};
    uint8_t *copy = malloc(n ? n : 1); /* so that a sanitizer sees a byte too far */
    memcpy(copy, b, n);
    bool ok = rt_image_check(copy, n, "x", &info, &e) && rt_image_decode(copy, n, &info, 0, "x", &img, &e);
    if (!ok) assert_int_equal(e.exit, RT_EXIT_DATA);
    free(img.px);
    free(copy);
    return !ok;
}

static void cuts(const char *name)
{
    uint8_t b[MOST];
    size_t n = load(name, b);
    if (refused(b, n)) fail_msg("%s: refused as it is", name);
    for (size_t cut = 0; cut < n; cut++)
        if (!refused(b, cut)) fail_msg("%s cut at %zu of %zu is not found", name, cut, n);
}

static int flips(const char *name)
{
    uint8_t b[MOST];
    size_t n = load(name, b);
    int found = 0;
    for (size_t bit = 0; bit < 8 * n; bit++) {
        b[bit / 8] ^= (uint8_t)(128 >> bit % 8);
        found += refused(b, n);
        b[bit / 8] ^= (uint8_t)(128 >> bit % 8);
    }
    return found;
}

static const char *const pngs[] = {"grey.png", "rgb.png", "rgba.png", "palette.png", "bits.png", "grey16.png"};

static const struct {
    const char *name;
    int found; /* flips of which the check finds so many */
} jpegs[] = {
    {"baseline.jpg", 1458},        {"baseline_444.jpg", 1441}, {"grey.jpg", 712},     {"progressive.jpg", 3482},
    {"progressive_grey.jpg", 1706}, {"restart.jpg", 1703},      {"restart_progressive.jpg", 4047}, {"cmyk.jpg", 1313},
};

static void png_damage(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof pngs / sizeof *pngs; i++) {
        uint8_t b[MOST];
        size_t n = load(pngs[i], b);
        cuts(pngs[i]);
        int found = flips(pngs[i]);
        if (found != (int)n * 8) fail_msg("%s: %d of %zu flips found", pngs[i], found, 8 * n);
    }
}

static void jpeg_damage(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof jpegs / sizeof *jpegs; i++) {
        cuts(jpegs[i].name);
        int found = flips(jpegs[i].name);
        if (found < jpegs[i].found) fail_msg("%s: %d flips found, there were %d", jpegs[i].name, found, jpegs[i].found);
    }
}

/* Bytes that are too many, in the codes, between segments, and (rightly) behind the end. */
static void jpeg_extra(void **state)
{
    (void)state;
    uint8_t b[MOST + 8];
    for (size_t i = 0; i < sizeof jpegs / sizeof *jpegs; i++) {
        size_t n = load(jpegs[i].name, b);
        memcpy(b + n, "tail", 4);
        assert_false(refused(b, n + 4));
        memmove(b + n, b + n - 2, 2); /* a byte of codes before the end of image */
        b[n - 2] = 0x55, b[n - 1] = 0xff, b[n] = 0xd9;
        assert_true(refused(b, n + 1));
        n = load(jpegs[i].name, b);
        memmove(b + 3, b + 2, n - 2); /* a byte after the start of image */
        b[2] = 0;
        assert_true(refused(b, n + 1));
        b[2] = 0xff; /* which may be fill */
        assert_false(refused(b, n + 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(png_damage),
        cmocka_unit_test(jpeg_damage),
        cmocka_unit_test(jpeg_extra),
    };
    return cmocka_run_group_tests_name("damage", tests, NULL, NULL);
}
