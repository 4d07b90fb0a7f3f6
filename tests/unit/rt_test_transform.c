/* Transforms on pixels given here: what each makes of an image and of its mask. Data sets and
 * loaders are rt_test_data.c's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
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
            assert_true(
                rt_pipe_run(&p, 0, in, &in, (RtDraw){1, 2, item}, 1, plain(), out, mask));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masks_follow_moves),
        cmocka_unit_test(masks_are_resized_by_the_nearest),
        cmocka_unit_test(prefix_with_mask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
