/* Transforms on pixels given here: what each makes of an image and of its mask. Data sets and
 * loaders are rt_test_data.c's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/internal.h"

enum { H = 6, W = 8 };

static RtPipe pipe_of(const char *text)
{
    RtPipe p;
    RtError e;
    if (!rt_pipe_parse(&p, text, "transforms", &e)) fail_msg("%s", e.text);
    return p;
}

static const float *plain(void)
{
    static float lut[256];
    for (int i = 0; i < 256; i++) lut[i] = (float)i;
    return lut;
}

/* Each pixel of the image is its own number, and so is the mask's. */
static void numbered(uint8_t px[H * W])
{
    for (int i = 0; i < H * W; i++) px[i] = (uint8_t)(i + 1);
}

/* An image moved by whole pixels and its mask stay the same picture; outside it is 0 and 255. */
static void masks_follow_moves(void **state)
{
    (void)state;
    uint8_t px[H * W];
    numbered(px);
    RtPixels in = {px, 1, H, W};
    static const char *const text[] = {"RandomCrop(6, padding=3);RandomHorizontalFlip()",
                                       "CenterCrop(3);CenterCrop(7);RandomHorizontalFlip(p=1)",
                                       "CenterCrop((4, 8));RandomCrop((4,5),padding=1)"};
    int outside = 0, kinds = 0;
    for (int k = 0; k < 3; k++) {
        RtPipe p = pipe_of(text[k]);
        const RtTransform *bad;
        int h = H, w = W;
        assert_true(rt_pipe_size(&p, 0, &h, &w, &bad));
        float first[64], out[64];
        for (uint64_t item = 0; item < 50; item++) {
            int32_t mask[64];
            assert_true(rt_pipe_run(&p, 0, in, &in, (RtDraw){1, 2, item}, 1, plain(), out, mask));
            for (int i = 0; i < h * w; i++) {
                assert_true(out[i] == (mask[i] == RT_MASK_OUTSIDE ? 0 : (float)mask[i]));
                outside += mask[i] == RT_MASK_OUTSIDE;
            }
            if (item == 0) memcpy(first, out, sizeof first);
            kinds += memcmp(first, out, (size_t)(h * w) * sizeof *out) != 0;
        }
    }
    assert_true(outside > 100);
    assert_true(kinds > 50);
}

/* Resize takes the nearest pixel of a mask and never mixes two classes. */
static void masks_are_resized_by_the_nearest(void **state)
{
    (void)state;
    uint8_t px[H * W] = {0}, ids[H * W];
    for (int i = 0; i < H * W; i++) ids[i] = i % W < 3 ? 1 : 255;
    RtPixels in = {px, 1, H, W}, mask = {ids, 1, H, W};
    RtPipe p = pipe_of("Resize((3, 16));RandomHorizontalFlip(p=1)");
    float out[48];
    int32_t id[48];
    assert_true(rt_pipe_run(&p, 0, in, &mask, (RtDraw){0, 0, 0}, 1, plain(), out, id));
    for (int i = 0; i < 48; i++) assert_int_equal(id[i], i % 16 < 10 ? 255 : 1);
    p = pipe_of("Resize((2, 3))");
    numbered(px);
    assert_true(rt_pipe_run(&p, 0, in, &in, (RtDraw){0, 0, 0}, 1, plain(), out, id));
    /* rows floor(1.5 * 6 / 3) ..., columns floor((x + 0.5) * 8 / 3) = 1, 4, 6 */
    static const int32_t want[] = {W + 2, W + 5, W + 7, 4 * W + 2, 4 * W + 5, 4 * W + 7};
    assert_memory_equal(id, want, sizeof want);
}

/* What is done once before the cache is what would be done at each use. */
static void prefix_with_mask(void **state)
{
    (void)state;
    RtPipe p = pipe_of("CenterCrop(5);Resize((9, 4));CenterCrop((7, 6))");
    uint8_t px[H * W];
    numbered(px);
    RtPixels in = {px, 1, H, W};
    RtImage img = {malloc(H * W), 1, H, W}, mask = {malloc(H * W), 1, H, W};
    memcpy(img.px, px, sizeof px);
    memcpy(mask.px, px, sizeof px);
    float out[42];
    int32_t id[42];
    assert_true(rt_pipe_run(&p, 0, in, &in, (RtDraw){0, 0, 0}, 1, plain(), out, id));
    assert_true(rt_pipe_prefix(&p, p.n, &img, &mask));
    assert_int_equal(mask.h, 7);
    assert_int_equal(mask.w, 6);
    for (int i = 0; i < 42; i++) {
        assert_true(out[i] == img.px[i]);
        assert_int_equal(id[i], mask.px[i]);
    }
    free(img.px);
    free(mask.px);
}

/* ---- Pillow's and torchvision's pixels (tests/data/make_transforms.py) ---- */

typedef struct Case {
    char what[96];
    int tolerance, margin;
    RtImage img;
} Case;

static bool next_case(FILE *f, Case *c)
{
    RtImage *i = &c->img;
    if (fscanf(f, "%95[^|]|%d|%d|%d %d %d", c->what, &c->tolerance, &c->margin, &i->c, &i->h,
               &i->w) != 6 ||
        fgetc(f) != '\n')
        return false;
    size_t n = (size_t)(i->c * i->h * i->w);
    i->px = malloc(n);
    assert_int_equal(fread(i->px, 1, n, f), n);
    return true;
}

static const double black[] = {0};

/* "affine ANGLE TX TY SCALE SHEAR SHEAR nearest", "corners X Y X Y X Y X Y bilinear" */
static void map(RtCanvas *v, const char *what)
{
    double x[8];
    char *end = strchr(what, ' ');
    bool affine = !strncmp(what, "affine", 6);
    for (int i = 0; i < (affine ? 6 : 8); i++) x[i] = strtod(end, &end);
    RtOutside o = {!strcmp(end, " nearest"), black, 1};
    RtAffine f = {x[0], x[1], x[2], x[3], x[4], x[5]};
    const double to[4][2] = {{x[0], x[1]}, {x[2], x[3]}, {x[4], x[5]}, {x[6], x[7]}};
    assert_true(affine ? rt_warp_affine(v, &f, &o, NULL) : rt_warp_corners(v, to, &o));
}

static RtImage result(const RtImage *img, const char *what)
{
    RtImage out;
    RtCanvas v = rt_canvas((RtPixels){img->px, img->c, img->h, img->w}, NULL);
    if (islower((unsigned char)what[0])) {
        map(&v, what);
    } else {
        RtPipe p = pipe_of(what);
        RtDice dice = rt_dice((RtDraw){0, 0, 0}, 0);
        assert_true(p.op[0].def->apply(&v, &p.op[0], &dice));
    }
    assert_true(rt_canvas_copy(&v, false, &out));
    rt_canvas_free(&v);
    return out;
}

/* How many pixels are further off than they may; single ones at a border between two pixels may. */
static int wrong(const Case *c, const RtImage *got)
{
    const RtImage *want = &c->img;
    int bad = 0;
    for (int y = c->margin; y < want->h - c->margin; y++)
        for (int x = c->margin; x < want->w - c->margin; x++) {
            int worst = 0;
            for (int k = 0; k < want->c; k++) {
                int i = (y * want->w + x) * want->c + k, d = abs(want->px[i] - got->px[i]);
                worst = d > worst ? d : worst;
            }
            bad += worst > c->tolerance;
        }
    return bad;
}

static void as_torchvision(void **state)
{
    (void)state;
    FILE *f = fopen("tests/data/transforms.bin", "rb");
    assert_non_null(f);
    Case image, c;
    int sizes = 0, cases = 0, failed = 0;
    assert_true(next_case(f, &image));
    for (; next_case(f, &c); cases++) {
        RtImage got = result(&image.img, c.what);
        bool size = got.h == c.img.h && got.w == c.img.w && got.c == c.img.c;
        int bad = size ? wrong(&c, &got) : 0;
        if (!size || bad) {
            print_error("%s: %dx%d, %d pixels differ\n", c.what, got.h, got.w, bad);
            failed++;
        }
        sizes += !strncmp(c.what, "Resize((", 8) && !strstr(c.what, "nearest");
        free(got.px);
        free(c.img.px);
    }
    assert_true(feof(f));
    fclose(f);
    free(image.img.px);
    assert_int_equal(failed, 0);
    assert_int_equal(sizes, 20);
    assert_true(cases > 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masks_follow_moves),
        cmocka_unit_test(masks_are_resized_by_the_nearest),
        cmocka_unit_test(prefix_with_mask),
        cmocka_unit_test(as_torchvision),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
