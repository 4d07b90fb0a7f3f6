/* Random transforms: what they draw lies in the ranges that were asked for, fills them, and depends
 * on (seed, epoch, item) alone. What they make of a picture with given numbers is
 * rt_test_transform.c's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/internal.h"

enum { H = 100, W = 200, DRAWS = 400 };

static RtPipe pipe_of(const char *text)
{
    RtPipe p;
    RtError e;
    if (!rt_pipe_parse(&p, text, "transforms", &e)) fail_msg("%s", e.text);
    return p;
}

static const float *plain(void)
{
    static float lut[3 * 256];
    for (int i = 0; i < 3 * 256; i++) lut[i] = (float)(i % 256);
    return lut;
}

static uint8_t pixels[H * W * 3];
static float out[3 * H * W];

/* Every pixel says where it is: (x, y, 255). */
static RtPixels places(void)
{
    for (int i = 0; i < H * W; i++) {
        pixels[3 * i] = (uint8_t)(i % W);
        pixels[3 * i + 1] = (uint8_t)(i / W);
        pixels[3 * i + 2] = 255;
    }
    return (RtPixels){pixels, 3, H, W};
}

static RtPixels grey(int value)
{
    memset(pixels, value, sizeof pixels);
    return (RtPixels){pixels, 3, H, W};
}

static void run(const RtPipe *p, RtPixels in, uint64_t item)
{
    assert_true(rt_pipe_run(p, 0, in, NULL, (RtDraw){5, 1, item}, 3, plain(), out, NULL));
}

/* What was drawn. */
typedef struct Range {
    double least, most, sum;
    int n;
} Range;

static void see(Range *r, double x)
{
    if (!r->n || x < r->least) r->least = x;
    if (!r->n || x > r->most) r->most = x;
    r->sum += x;
    r->n++;
}

/* Even between lo and hi, but for what a measurement is off. */
static void is_even(const Range *r, double lo, double hi, double off)
{
    double span = hi - lo;
    if (r->least < lo - off || r->most > hi + off) print_error("%g..%g\n", r->least, r->most);
    assert_true(r->least >= lo - off && r->most <= hi + off);
    assert_true(r->least < lo + 0.05 * span + off && r->most > hi - 0.05 * span - off);
    assert_true(fabs(r->sum / r->n - (lo + hi) / 2) < 0.06 * span + off);
}

static void resized_crops(void **state)
{
    (void)state;
    RtPipe p = pipe_of(
        "RandomResizedCrop((20, 20), scale=(0.1, 0.4), ratio=(0.5, 2), interpolation=nearest)");
    RtPixels in = places();
    Range area = {0}, ratio = {0}, left = {0};
    for (uint64_t i = 0; i < DRAWS; i++) {
        run(&p, in, i);
        /* 19 of 20 steps lie between the first and the last of 20 middles */
        double w = (out[19] - out[0]) * 20 / 19, h = (out[400 + 380] - out[400]) * 20 / 19;
        see(&area, w * h / (H * W));
        see(&ratio, log(w / h));
        see(&left, (out[0] - w / 40) / (W - w));
    }
    is_even(&area, 0.1, 0.4, 0.03);
    is_even(&ratio, -log(2), log(2), 0.1);
    is_even(&left, 0, 1, 0.02);
}

static void crops_and_flips(void **state)
{
    (void)state;
    RtPipe p = pipe_of("RandomVerticalFlip(p=0.3);RandomHorizontalFlip(0.8);RandomCrop((60, 50))");
    RtPixels in = places();
    Range left = {0}, top = {0};
    int up = 0, mirrored = 0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        run(&p, in, i);
        bool m = out[1] < out[0], u = out[3000 + 50] < out[3000];
        mirrored += m;
        up += u;
        see(&left, m ? W - 1 - out[0] : out[0]);
        see(&top, u ? H - 1 - out[3000] : out[3000]);
    }
    is_even(&left, 0, W - 50, 0);
    is_even(&top, 0, H - 60, 0);
    assert_in_range(up, DRAWS * 24 / 100, DRAWS * 36 / 100);
    assert_in_range(mirrored, DRAWS * 74 / 100, DRAWS * 86 / 100);
}

/* The map near the middle, from where the pixels there came from. */
static void affine_maps(void **state)
{
    (void)state;
    RtPipe p = pipe_of("RandomAffine(degrees=(-20, 40), translate=(0.1, 0.05), scale=(0.8, 1.25))");
    RtPixels in = places();
    Range angle = {0}, scale = {0}, dx = {0}, dy = {0};
    enum { MIDDLE = 50 * W + 100, ARM = 25 };
    for (uint64_t i = 0; i < DRAWS; i++) {
        run(&p, in, i);
        const float *x = out + MIDDLE, *y = x + H * W;
        double ax = x[ARM] - x[-ARM], ay = y[ARM] - y[-ARM];
        double r = -atan2(ay, ax), s = 2 * ARM / hypot(ax, ay);
        see(&angle, r * 180 / M_PI);
        see(&scale, s);
        /* the middle of the source comes to the middle plus the translation */
        double ux = 100 - x[0], uy = 50 - y[0];
        see(&dx, s * (ux * cos(r) - uy * sin(r)));
        see(&dy, s * (ux * sin(r) + uy * cos(r)));
    }
    is_even(&angle, -20, 40, 2);
    is_even(&scale, 0.8, 1.25, 0.03);
    is_even(&dx, -20, 20, 1.5);
    is_even(&dy, -5, 5, 1.5);
}

static void rotations(void **state)
{
    (void)state;
    RtPipe p = pipe_of("RandomRotation(30)");
    RtPixels in = places();
    Range angle = {0};
    for (uint64_t i = 0; i < DRAWS; i++) {
        run(&p, in, i);
        const float *x = out + 50 * W + 100, *y = x + H * W;
        see(&angle, atan2(y[40] - y[-40], x[40] - x[-40]) * 180 / M_PI);
    }
    is_even(&angle, -30, 30, 1.5);
}

/* Perspective moves each corner inwards by at most half of the distortion. */
static void perspectives(void **state)
{
    (void)state;
    RtPipe p = pipe_of("RandomPerspective(distortion_scale=0.4, p=0.5)");
    RtPixels in = places();
    Range x = {0};
    int moved = 0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        int first = 0;
        run(&p, in, i);
        for (int k = 0; k < H * W; k++) /* 40 x 20: from here on all four corners are further out */
            if (k % W >= 41 && k % W < 159 && k / W >= 21 && k / W < 79)
                assert_true(out[2 * H * W + k] == 255);
        const float *last =
            out + 2 * H * W + (H - 1) * W; /* the bottom row reaches the left corner */
        while (first < W && last[first] == 0) first++;
        if (out[0] == 0 && out[H * W + H * W - 1] == 99 && out[W - 1] == 199) continue;
        moved++;
        if (first < W) see(&x, first);
    }
    assert_in_range(moved, DRAWS * 44 / 100, DRAWS * 56 / 100);
    assert_true(x.n > 0);
}

static void jitter(void **state)
{
    (void)state;
    RtPipe p = pipe_of("ColorJitter(brightness=0.5)"), q = pipe_of("ColorJitter((2, 2), (0, 0))");
    Range light = {0};
    for (uint64_t i = 0; i < DRAWS; i++) {
        run(&p, grey(100), i);
        see(&light, out[7]);
    }
    is_even(&light, 50, 150, 1);
    /* 100 and 200: contrast first makes 150, twice that is white; light first 200 and 255, 226 (luma drops its fraction) */
    int first = 0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        RtPixels in = grey(100);
        memset(pixels, 200, sizeof pixels / 2);
        run(&q, in, i);
        assert_true(out[0] == 255 || out[0] == 226);
        assert_true(out[0] == out[H * W - 1]);
        first += out[0] == 255;
    }
    assert_in_range(first, DRAWS * 44 / 100, DRAWS * 56 / 100);
}

static void greys_and_blur(void **state)
{
    (void)state;
    RtPipe p = pipe_of("RandomGrayscale(p=0.25)"), q = pipe_of("GaussianBlur(5, sigma=(0.5, 2))");
    int grey_ones = 0;
    Range middle = {0};
    for (uint64_t i = 0; i < DRAWS; i++) {
        run(&p, places(), i);
        grey_ones += out[5] == out[H * W + 5];
        RtPixels in = grey(0);
        pixels[3 * (50 * W + 100)] = 255;
        run(&q, in, i);
        see(&middle, out[50 * W + 100]);
    }
    assert_in_range(grey_ones, DRAWS * 20 / 100, DRAWS * 30 / 100);
    /* 255 * (sum over the kernel)^-2 at sigma 0.5 and 2 */
    assert_true(middle.most <= 158 && middle.most > 145);
    assert_true(middle.least >= 16 && middle.least < 18);
}

static void erasing(void **state)
{
    (void)state;
    RtPipe p =
        pipe_of("RandomErasing(p=0.6, scale=(0.1, 0.3), ratio=(0.5, 2), value=(-1, -2, -3))");
    RtPipe q = pipe_of("RandomErasing(p=1, value=random)");
    RtPixels in = grey(9);
    Range area = {0};
    for (uint64_t i = 0; i < DRAWS; i++) {
        int n = 0;
        run(&p, in, i);
        for (int k = 0; k < H * W; k++) {
            n += out[k] == -1;
            assert_true(out[k] == 9 || out[k] == -1);
            assert_true((out[k] == -1) == (out[H * W + k] == -2));
            assert_true((out[k] == -1) == (out[2 * H * W + k] == -3));
        }
        if (n) see(&area, (double)n / (H * W));
    }
    assert_in_range(area.n, DRAWS * 54 / 100, DRAWS * 66 / 100);
    is_even(&area, 0.1, 0.3, 0.01);
    double sum = 0, squares = 0;
    int n = 0;
    for (uint64_t i = 0; i < 20; i++) {
        run(&q, in, i);
        for (int k = 0; k < 3 * H * W; k++)
            if (out[k] != 9) sum += out[k], squares += out[k] * out[k], n++;
    }
    assert_true(fabs(sum / n) < 0.02 && fabs(squares / n - 1) < 0.03);
}

/* ---- batches ---- */

enum { BATCH = 5, SIDE = 40, AREA = SIDE * SIDE };

/* Image i is the number i + 1 everywhere. */
static void numbered(float *x)
{
    for (int i = 0; i < BATCH * AREA; i++) x[i] = (float)(i / AREA + 1);
}

static double mixed(const RtPipe *p, float *x, uint64_t item)
{
    static float spare[AREA];
    RtBatchImages b = {x, spare, BATCH, 1, SIDE, SIDE};
    numbered(x);
    return rt_mix(p, (RtDraw){5, 1, item}, &b);
}

static int before(int i) /* the number of the image before image i */
{
    return i ? i : BATCH;
}

/* Beta(a, a): mean 1/2, variance 1 / (4 (2a + 1)). */
static void mixup(void **state)
{
    (void)state;
    static float x[BATCH * AREA];
    const double alpha[] = {0.2, 1, 4};
    for (int k = 0; k < 3; k++) {
        char text[32];
        double sum = 0, squares = 0;
        snprintf(text, sizeof text, "MixUp(alpha=%g)", alpha[k]);
        RtPipe p;
        RtError e;
        assert_true(rt_mix_parse(&p, text, "batch", &e));
        for (uint64_t item = 0; item < 4000; item++) {
            double share = mixed(&p, x, item);
            sum += share;
            squares += (share - 0.5) * (share - 0.5);
            for (int i = 0; i < BATCH; i++)
                assert_true(fabs(x[i * AREA + 7] - ((i + 1) * share + before(i) * (1 - share))) <
                            1e-5);
        }
        assert_true(fabs(sum / 4000 - 0.5) < 0.02);
        assert_true(fabs(squares / 4000 * 4 * (2 * alpha[k] + 1) - 1) < 0.05);
    }
}

static void cutmix(void **state)
{
    (void)state;
    static float x[BATCH * AREA];
    RtPipe p;
    RtError e;
    double sum = 0;
    assert_true(rt_mix_parse(&p, "CutMix", "batch", &e));
    for (uint64_t item = 0; item < 1000; item++) {
        double share = mixed(&p, x, item);
        int own = 0;
        for (int i = 0; i < BATCH * AREA; i++) {
            assert_true(x[i] == i / AREA + 1 || x[i] == before(i / AREA));
            assert_true((x[i] == i / AREA + 1) == (x[i % AREA] == 1));
            own += i < AREA && x[i] == 1;
        }
        assert_true(fabs(share - (double)own / AREA) < 1e-9);
        sum += share;
    }
    assert_true(sum / 1000 > 0.55 && sum / 1000 < 0.75); /* boxes are cut off at the border */
}

static void one_of_two_mixes(void **state)
{
    (void)state;
    static float x[BATCH * AREA];
    RtPipe p;
    RtError e;
    int cut = 0;
    assert_true(rt_mix_parse(&p, "MixUp(alpha=4);CutMix()", "batch", &e));
    for (uint64_t item = 0; item < DRAWS; item++) {
        mixed(&p, x, item);
        cut += x[0] == floorf(x[0]);
    }
    assert_in_range(cut, DRAWS * 42 / 100, DRAWS * 58 / 100);
    assert_false(rt_mix_parse(&p, "RandomCrop(4)", "batch", &e));
    assert_string_equal(e.id, "S017");
    assert_false(rt_pipe_parse(&p, "MixUp()", "train", &e));
}

/* The same item: the same image. Another seed, epoch, item or place in the pipe: another draw. */
static void draws_have_addresses(void **state)
{
    (void)state;
    RtPipe p = pipe_of("RandomCrop(50);ColorJitter(0.9)"),
           q = pipe_of("Pad(0);RandomCrop(50);ColorJitter(0.9)");
    static float first[3 * 50 * 50];
    RtPixels in = places();
    const RtDraw draw[] = {{1, 2, 3}, {1, 2, 3}, {2, 2, 3}, {1, 3, 3}, {1, 2, 4}, {1, 2, 3}};
    for (int i = 0; i < 6; i++) {
        assert_true(rt_pipe_run(i < 5 ? &p : &q, 0, in, NULL, draw[i], 3, plain(), out, NULL));
        if (i == 0) memcpy(first, out, sizeof first);
        assert_int_equal(memcmp(first, out, sizeof first) == 0, i < 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resized_crops),
        cmocka_unit_test(crops_and_flips),
        cmocka_unit_test(affine_maps),
        cmocka_unit_test(rotations),
        cmocka_unit_test(perspectives),
        cmocka_unit_test(jitter),
        cmocka_unit_test(greys_and_blur),
        cmocka_unit_test(erasing),
        cmocka_unit_test(mixup),
        cmocka_unit_test(cutmix),
        cmocka_unit_test(one_of_two_mixes),
        cmocka_unit_test(draws_have_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
