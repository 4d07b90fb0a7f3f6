/* Masks as labels: numbers, palettes and colours become classes; they follow the image; what is wrong with one is D023,
 * a mask of nothing D024. All files are made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/data.h"
#include "rt_files.h"

enum { W = 6, H = 4, AREA = W * H };

static RtDataConfig config(const char *format)
{
    RtDataConfig c;
    rt_data_config_init(&c);
    c.format = format;
    c.root = tmp_root;
    c.channels = 1;
    c.height = H;
    c.width = W;
    c.train = 1;
    return c;
}

static RtData *opens(const RtDataConfig *c)
{
    RtError e;
    RtData *d = rt_data_open(c, &e);
    if (!d) print_error("%s: %s\n", e.id, e.text);
    assert_non_null(d);
    return d;
}

static void fails(const RtDataConfig *c, int exit_code, const char *id, const char *text)
{
    RtError e;
    RtData *d = rt_data_open(c, &e);
    assert_null(d);
    if (strcmp(e.id, id) || !strstr(e.text, text)) print_error("got %s: %s\n", e.id, e.text);
    assert_string_equal(e.id, id);
    assert_non_null(strstr(e.text, text));
    assert_int_equal(e.exit, exit_code);
}

/* Image i: pixels 10*i + position. Its mask: position % 3, with one 255. */
static void mask_of(int i, uint8_t *px)
{
    for (int p = 0; p < AREA; p++) px[p] = (uint8_t)((p + i) % 3);
    px[i] = 255;
}

static void put_pair(const char *below, int i)
{
    char name[64];
    uint8_t px[AREA];
    for (int p = 0; p < AREA; p++) px[p] = (uint8_t)(10 * i + p);
    snprintf(name, sizeof name, "%simages/%d.png", below, i);
    tmp_grey(name, W, H, px);
    mask_of(i, px);
    snprintf(name, sizeof name, "%smasks/%d.png", below, i);
    tmp_grey(name, W, H, px);
}

static void folder_of_masks(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) put_pair("", i);
    RtDataConfig c = config("mask_folder");
    c.num_classes = 3;
    RtData *d = opens(&c);
    RtError e;
    assert_int_equal(rt_data_label_size(d), AREA);
    assert_int_equal(rt_data_count(d, RT_SPLIT_TRAIN), 5);
    assert_int_equal(rt_data_nclasses(d), 3);
    assert_int_equal(rt_data_label(d, RT_SPLIT_TRAIN, 0), -1);
    assert_string_equal(rt_data_notes(d), "");
    float out[5 * AREA];
    int32_t label[5 * AREA];
    for (int turn = 0; turn < 2; turn++) { /* decoded, then kept */
        assert_true(rt_data_batch(d, RT_SPLIT_TRAIN, (int64_t[]){4, 1}, 2, false, 0, 0, out, label, &e));
        uint8_t m[AREA];
        for (int k = 0; k < 2; k++) {
            mask_of(k ? 1 : 4, m);
            for (int p = 0; p < AREA; p++) {
                assert_int_equal(label[k * AREA + p], m[p]);
                assert_true(out[k * AREA + p] == (float)(10 * (k ? 1 : 4) + p) / 255);
            }
        }
    }
    /* The loader gives the same. */
    float *input;
    int32_t *labels;
    int n;
    RtLoader *l = rt_loader_start(d, RT_SPLIT_TRAIN, (int64_t[]){0, 4, 1, 2, 3}, 5, 2, false, 0, 0, 2);
    assert_int_equal(rt_loader_next(l, &input, &labels, &n, &e), 1);
    assert_int_equal(rt_loader_next(l, &input, &labels, &n, &e), 1);
    assert_int_equal(n, 2);
    assert_memory_equal(labels, label + AREA, AREA * sizeof *label); /* item 1 */
    rt_loader_stop(l);
    assert_true(rt_data_save_split(d, tmp_at("split.csv"), NULL, &e));
    rt_data_close(d);

    /* A selection: the others are no class. */
    c.classes = (const char *const[]){"2", "0"};
    c.nclasses = 2;
    c.num_classes = 2;
    d = opens(&c);
    assert_true(rt_data_batch(d, RT_SPLIT_TRAIN, (int64_t[]){0}, 1, false, 0, 0, out, label, &e));
    for (int p = 1; p < AREA; p++) assert_int_equal(label[p], p % 3 == 0 ? 1 : p % 3 == 2 ? 0 : 255);
    rt_data_close(d);
}

static void masks_follow(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) put_pair("", i);
    RtDataConfig c = config("mask_folder");
    c.num_classes = 3;
    c.train_transforms = c.eval_transforms = "Resize((8, 12));CenterCrop((8, 12))"; /* a shared prefix */
    c.height = 8, c.width = 12;
    RtData *d = opens(&c);
    RtError e;
    float out[96];
    int32_t label[96];
    uint8_t m[AREA];
    assert_int_equal(rt_data_label_size(d), 96);
    assert_true(rt_data_batch(d, RT_SPLIT_TRAIN, (int64_t[]){2}, 1, true, 0, 0, out, label, &e));
    mask_of(2, m);
    for (int p = 0; p < 96; p++) assert_int_equal(label[p], m[p / 12 / 2 * W + p % 12 / 2]); /* nearest */
    rt_data_close(d);
    c.train_transforms = "RandomHorizontalFlip(p=1)";
    c.eval_transforms = NULL;
    c.height = H, c.width = W;
    d = opens(&c);
    assert_true(rt_data_batch(d, RT_SPLIT_TRAIN, (int64_t[]){2}, 1, true, 0, 0, out, label, &e));
    for (int p = 0; p < AREA; p++) assert_int_equal(label[p], m[p / W * W + W - 1 - p % W]);
    rt_data_close(d);
}

static void split_folders(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) put_pair("train/", i);
    put_pair("val/", 5);
    put_pair("test/", 6);
    RtDataConfig c = config("mask_folder");
    c.train = 0;
    RtData *d = opens(&c); /* how many classes there are shows in the masks */
    assert_int_equal(rt_data_nclasses(d), 3);
    assert_int_equal(rt_data_count(d, RT_SPLIT_TRAIN), 4);
    assert_int_equal(rt_data_count(d, RT_SPLIT_VAL), 1);
    assert_string_equal(rt_data_item_name(d, RT_SPLIT_TEST, 0), "test/images/6.png");
    rt_data_close(d);
}

static void wrong_masks(void **state)
{
    (void)state;
    RtDataConfig c = config("mask_folder");
    fails(&c, 4, "D001", "no images found");
    for (int i = 0; i < 5; i++) put_pair("", i);
    c.num_classes = 2;
    fails(&c, 4, "D023", "mask 'masks/0.png': value 2, classes 0..1 (255 = ignore)");
    c.num_classes = 3;
    rt_data_close(opens(&c));
    uint8_t px[64] = {0};
    tmp_grey("masks/3.png", 5, H, px);
    fails(&c, 4, "D023", "mask 'masks/3.png': 4x5, its image is 4x6");
    unlink(tmp_at("masks/3.png"));
    fails(&c, 4, "D023", "mask 'masks/3.png' is missing");
    c.max_bad = 1; /* is skipped as a damaged image is */
    RtData *d = opens(&c);
    assert_int_equal(rt_data_nbad(d), 1);
    assert_int_equal(rt_data_count(d, RT_SPLIT_TRAIN), 4);
    rt_data_close(d);
    c.max_bad = 0;
    tmp_text("masks/3.png", "x");
    fails(&c, 4, "D011", "'masks/3.png': only PNG and JPEG are read");
    memset(px, 255, sizeof px);
    tmp_grey("masks/3.png", W, H, px);
    d = opens(&c);
    assert_string_equal(rt_data_notes(d), "warning[D024]: mask 'masks/3.png' has no labelled pixel: its loss is 0\n");
    tmp_grey("masks/3.png", W, H, px + 1);
    px[0] = 1;
    tmp_grey("masks/2.png", W, H, px);
    RtError e;
    float out[AREA];
    int32_t label[AREA];
    assert_false(rt_data_batch(d, RT_SPLIT_TRAIN, (int64_t[]){2}, 1, true, 0, 0, out, label, &e));
    assert_string_equal(e.id, "D025");
    assert_string_equal(e.text, "'masks/2.png' changed since start-up");
    rt_data_close(d);
}

/* Palettes of every depth, 16-bit grey, colours with and without alpha: the same classes. */
static void kinds_of_masks(void **state)
{
    (void)state;
    static const uint8_t palette[] = {9, 9, 9, 128, 64, 128, 0, 0, 255};
    RtError e;
    for (int kind = 0; kind < 8; kind++) {
        uint8_t rows[H * W * 8] = {0};
        size_t row = W;
        int depth = 8, type = 3;
        for (int p = 0; p < AREA; p++) {
            int y = p / W, x = p % W, v = (x + y) % 3;
            if (kind < 4) {
                depth = 1 << kind;
                row = ((size_t)W * (size_t)depth + 7) / 8;
                if (kind == 0) v %= 2;
                rows[(size_t)y * row + (size_t)(x * depth / 8)] |= (uint8_t)(v << (8 - depth - x * depth % 8));
            } else if (kind == 4) {
                depth = 16, type = 0, row = 2 * W;
                rows[2 * p + 1] = (uint8_t)v;
            } else if (kind == 5) {
                depth = 2, type = 0, row = 2;
                rows[y * 2 + x / 4] |= (uint8_t)(v << (6 - 2 * (x % 4)));
            } else {
                int c = kind == 6 ? 3 : 4;
                type = c == 3 ? 2 : 6, row = (size_t)(c * W);
                memcpy(rows + p * c, palette + 3 * v, 3);
            }
        }
        uint8_t px[AREA];
        for (int p = 0; p < AREA; p++) px[p] = (uint8_t)(p + kind);
        tmp_grey("images/a.png", W, H, px);
        tmp_png("masks/a.png", W, H, depth, type, rows, row, type == 3 ? palette : NULL, 3);
        for (int map = kind > 5; map < 3; map++) { /* numbers; by number; by colour */
            if (kind > 5 && map == 1) continue;
            if (kind == 4 && map == 2) continue;
            if (kind == 5 && map == 2) continue;
            RtDataConfig c = config("mask_folder");
            c.class_map = map == 1 ? "2=sky,1=road,0=sky" : map == 2 ? "#0000ff=sky,#804080=road,#090909=sky" : NULL;
            RtData *d = opens(&c);
            float out[AREA];
            int32_t label[AREA];
            assert_true(rt_data_batch(d, RT_SPLIT_TRAIN, (int64_t[]){0}, 1, true, 0, 0, out, label, &e));
            for (int p = 0; p < AREA; p++) {
                int v = (p / W + p % W) % 3;
                if (kind == 0) v %= 2;
                assert_int_equal(label[p], map ? v == 1 : v);
            }
            if (map) assert_string_equal(rt_data_class_name(d, 1), "road");
            rt_data_close(d);
        }
    }
    RtDataConfig c = config("mask_folder");
    fails(&c, 4, "D023", "mask 'masks/a.png' is of colours");
    c.class_map = "#0000ff=sky";
    RtData *d = opens(&c); /* a map leaves out what it does not name, and says so */
    assert_string_equal(rt_data_notes(d), "note: 16 mask pixels have colours of no class and are ignored\n");
    rt_data_close(d);
}

static void maps(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) put_pair("", i);
    RtDataConfig c = config("mask_folder");
    static const char *const bad[] = {"", "road", "256=a", "-1=a", "1=", "#12345=a", "1=a,", "x=a", "#80408=a"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        c.class_map = bad[i];
        fails(&c, 3, "S014", "data.class_map");
    }
    c.class_map = "0=a,2=b";
    RtData *d = opens(&c);
    assert_string_equal(rt_data_notes(d), "note: pixels of the mask values 1 are of no class and ignored\n");
    assert_int_equal(rt_data_nclasses(d), 2);
    rt_data_close(d);
    c.class_map = "0=a,2=b,1=ignore";
    d = opens(&c);
    assert_string_equal(rt_data_notes(d), "");
    rt_data_close(d);
    c.class_map = "0=a,2=b,1=c,9=ghost";
    d = opens(&c);
    assert_string_equal(rt_data_notes(d), "warning[D020]: 1 of 4 classes are in no mask, the first: 'ghost'\n");
    rt_data_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(folder_of_masks, tmp_make, tmp_remove),
        cmocka_unit_test_setup_teardown(masks_follow, tmp_make, tmp_remove),
        cmocka_unit_test_setup_teardown(split_folders, tmp_make, tmp_remove),
        cmocka_unit_test_setup_teardown(wrong_masks, tmp_make, tmp_remove),
        cmocka_unit_test_setup_teardown(kinds_of_masks, tmp_make, tmp_remove),
        cmocka_unit_test_setup_teardown(maps, tmp_make, tmp_remove),
    };
    return cmocka_run_group_tests_name("masks", tests, NULL, NULL);
}
