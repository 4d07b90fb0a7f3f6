/* Small files of every format that data.format names: what is read from them, and every way in which one can be wrong.
 * The .mat files of tests/fixtures/mat were written by scipy (its script is beside them); all others are made here. */
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

#include "data/data.h"
#include "rt_files.h"

static RtDataConfig config(const char *format, int channels, int side)
{
    RtDataConfig c;
    rt_data_config_init(&c);
    c.format = format;
    c.root = tmp_root;
    c.channels = channels;
    c.height = c.width = side;
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
    if (d) print_error("opened, wanted %s %s\n", id, text);
    assert_null(d);
    if (strcmp(e.id, id) || !strstr(e.text, text)) print_error("got %s: %s\n", e.id, e.text);
    assert_string_equal(e.id, id);
    assert_non_null(strstr(e.text, text));
    assert_int_equal(e.exit, exit_code);
}

static int32_t item(RtData *d, enum RtSplit s, int64_t i, float *out)
{
    RtError e;
    int32_t label = -9;
    bool ok = rt_data_batch(d, s, &i, 1, false, 0, 0, out, &label, &e);
    if (!ok) print_error("%s: %s\n", e.id, e.text);
    assert_true(ok);
    return label;
}

/* ---- CIFAR ---- */

enum { PIXELS = 3072 };

/* Record k of file f: label, then every channel's pixels: (k + f + channel * 50 + position) % 256. */
static void put_cifar(const char *name, int f, int n, int labels)
{
    uint8_t b[8 * (PIXELS + 2)], *p = b;
    for (int k = 0; k < n; k++) {
        if (labels == 2) *p++ = 7;
        *p++ = (uint8_t)((k + f) % 10);
        for (int i = 0; i < PIXELS; i++) *p++ = (uint8_t)(k + f + i / 1024 * 50 + i % 1024);
    }
    tmp_put(name, b, (size_t)(p - b));
}

static void cifar(void **state)
{
    (void)state;
    char name[64];
    float out[PIXELS];
    for (int f = 1; f <= 5; f++) {
        snprintf(name, sizeof name, "cifar-10-batches-bin/data_batch_%d.bin", f);
        put_cifar(name, f, 4, 1);
    }
    put_cifar("cifar-10-batches-bin/test_batch.bin", 9, 3, 1);
    tmp_text("cifar-10-batches-bin/batches.meta.txt", "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n");
    RtDataConfig c = config("cifar10", 3, 32);
    c.stratify = false;
    RtData *d = opens(&c);
    assert_int_equal(rt_data_nclasses(d), 10);
    assert_string_equal(rt_data_class_name(d, 9), "truck");
    assert_int_equal(rt_data_count(d, RT_SPLIT_TRAIN), 18);
    assert_int_equal(rt_data_count(d, RT_SPLIT_VAL), 2);
    assert_int_equal(rt_data_count(d, RT_SPLIT_TEST), 3);
    assert_string_equal(rt_data_item_name(d, RT_SPLIT_TEST, 2), "test:2");
    assert_int_equal(item(d, RT_SPLIT_TEST, 2, out), 1);
    for (int i = 0; i < PIXELS; i++)
        assert_true(out[i] == (float)(uint8_t)(2 + 9 + i / 1024 * 50 + i % 1024) / 255);
    rt_data_close(d);
    c.root = tmp_at("cifar-10-batches-bin"); /* the folder itself */
    c.channels = 1;
    d = opens(&c);
    assert_string_equal(rt_data_notes(d), "note: images converted to the model's 1 channel\n");
    item(d, RT_SPLIT_TEST, 0, out);
    assert_true(out[0] == (float)((9 * 19595 + 59 * 38470 + 109 * 7471 + 0x8000) >> 16) / 255);
    rt_data_close(d);
    c = config("cifar10", 3, 32);
    c.num_classes = 9;
    fails(&c, 3, "H007", "9 outputs but the data has 10 classes");
    c.num_classes = 0;
    c.classes = (const char *const[]){"cat", "dog"};
    c.nclasses = 2;
    d = opens(&c);
    assert_int_equal(rt_data_count(d, RT_SPLIT_TRAIN) + rt_data_count(d, RT_SPLIT_VAL), 7);
    rt_data_close(d);
    c.nclasses = 0;
    assert_int_equal(truncate(tmp_at("cifar-10-batches-bin/data_batch_3.bin"), 3 * 3073 + 1), 0);
    fails(&c, 4, "D004", "data_batch_3.bin': 9220 bytes are no whole number of records of 3073");
    assert_int_equal(truncate(tmp_at("cifar-10-batches-bin/data_batch_3.bin"), 0), 0);
    fails(&c, 4, "D010", "data_batch_3.bin': empty file");
    unlink(tmp_at("cifar-10-batches-bin/data_batch_3.bin"));
    fails(&c, 4, "D002", "data_batch_3.bin': No such file");

    put_cifar("train.bin", 0, 6, 2);
    put_cifar("test.bin", 5, 2, 2);
    c = config("cifar100", 3, 32);
    d = opens(&c);
    assert_int_equal(item(d, RT_SPLIT_TEST, 1, out), 6); /* the fine label */
    rt_data_close(d);
    c.num_classes = 4;
    fails(&c, 4, "D009", "train item 4: label 4, classes 0..3");
}

/* ---- .mat ---- */

static void copy(const char *from, const char *to)
{
    static uint8_t b[1 << 20];
    char path[256];
    snprintf(path, sizeof path, "tests/fixtures/mat/%s", from);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(b, 1, sizeof b, f);
    fclose(f);
    tmp_put(to, b, n);
}

/* The script's pixel of image n: */
static int svhn_pixel(int n, int y, int x, int c)
{
    return (3 * n + 5 * y + 7 * x + 90 * c) % 256;
}

static void svhn(void **state)
{
    (void)state;
    float out[PIXELS];
    RtDataConfig c = config("svhn", 3, 32);
    c.val = 0.25, c.train = 0.75;
    static const char *const kind[] = {"plain", "packed"};
    for (int k = 0; k < 2; k++) {
        char name[64];
        snprintf(name, sizeof name, "svhn_train_%s.mat", kind[k]);
        copy(name, "train_32x32.mat");
        copy("svhn_test_packed.mat", "test_32x32.mat");
        c.num_classes = 0;
        RtData *d = opens(&c);
        assert_int_equal(rt_data_nclasses(d), 10);
        assert_int_equal(rt_data_count(d, RT_SPLIT_TRAIN), 15);
        assert_int_equal(rt_data_count(d, RT_SPLIT_VAL), 5);
        assert_int_equal(rt_data_count(d, RT_SPLIT_TEST), 3);
        for (int n = 0; n < 3; n++) {
            assert_int_equal(item(d, RT_SPLIT_TEST, n, out), (n + 9) % 10); /* 9, 10, 1 */
            for (int y = 0; y < 32; y++)
                for (int x = 0; x < 32; x++)
                    for (int ch = 0; ch < 3; ch++)
                        assert_true(out[ch * 1024 + y * 32 + x] == (float)svhn_pixel(n, y, x, ch) / 255);
        }
        rt_data_close(d);
    }
    /* Cut anywhere, the file is refused; no flipped bit of the packed one goes unseen. */
    static uint8_t b[1 << 16];
    FILE *f = fopen(tmp_at("test_32x32.mat"), "rb");
    long n = (long)fread(b, 1, sizeof b, f);
    fclose(f);
    RtError e;
    for (long cut = 0; cut < n; cut += cut < 200 || cut > n - 40 ? 1 : 37) {
        tmp_put("test_32x32.mat", b, (size_t)cut);
        RtData *d = rt_data_open(&c, &e);
        if (d) print_error("cut at %ld of %ld is not seen\n", cut, n);
        assert_null(d);
    }
    int seen = 0, flips = 0;
    for (long at = 136; at < n; at += 11) { /* after the first element's tag, which has no checksum */
        if (at == n - 5) continue;          /* the bits behind the last code mean nothing */
        flips++;
        b[at] ^= 16;
        tmp_put("test_32x32.mat", b, (size_t)n);
        RtData *d = rt_data_open(&c, &e);
        seen += !d;
        if (d) rt_data_close(d);
        b[at] ^= 16;
    }
    if (seen != flips) print_error("%d of %d flips seen\n", seen, flips);
    assert_true(seen == flips);
    copy("svhn_bad_label.mat", "test_32x32.mat");
    fails(&c, 4, "D009", "test_32x32.mat': item 1: label 11, not 1..10 (10: digit 0)");
    copy("svhn_count.mat", "test_32x32.mat");
    fails(&c, 4, "D007", "3 images but 2 labels");
    copy("nist36_test.mat", "test_32x32.mat");
    fails(&c, 4, "D003", "it holds no X");
    tmp_text("test_32x32.mat", "\x89HDF\r\n\x1a\n");
    fails(&c, 4, "D003", "a MAT-file of version 7.3");
    tmp_text("test_32x32.mat", "hello");
    fails(&c, 4, "D003", "not a MAT-file of version 5");
}

static void nist36(void **state)
{
    (void)state;
    float out[1024];
    copy("nist36_train.mat", "nist36_train.mat");
    RtDataConfig c = config("nist36", 1, 32);
    c.num_classes = 36;
    RtData *d = opens(&c); /* no valid, no test */
    assert_int_equal(rt_data_count(d, RT_SPLIT_TRAIN) + rt_data_count(d, RT_SPLIT_VAL), 72);
    assert_int_equal(rt_data_count(d, RT_SPLIT_TEST), 0);
    rt_data_close(d);
    copy("nist36_test.mat", "nist36_test.mat");
    copy("nist36_valid.mat", "nist36_valid.mat");
    d = opens(&c);
    assert_int_equal(rt_data_count(d, RT_SPLIT_TRAIN), 72);
    assert_int_equal(rt_data_count(d, RT_SPLIT_VAL), 2);
    assert_string_equal(rt_data_class_name(d, 0), "A");
    assert_string_equal(rt_data_class_name(d, 35), "9");
    assert_int_equal(item(d, RT_SPLIT_TRAIN, 40, out), 4);
    assert_int_equal(item(d, RT_SPLIT_TEST, 0, out), 35);
    /* The script's image 0: 1 in row 3, column 5; 0.5 in row 20, column 30; else 0. */
    for (int y = 0; y < 32; y++)
        for (int x = 0; x < 32; x++)
            assert_true(out[y * 32 + x] == (float)(y == 3 && x == 5 ? 255 : y == 20 && x == 30 ? 128 : 0) / 255);
    rt_data_close(d);
    copy("nist36_twice.mat", "nist36_valid.mat");
    fails(&c, 4, "D009", "nist36_valid.mat': item 1: its labels are not a single 1");
}

/* ---- lists ---- */

static void put_image(const char *name, int value)
{
    uint8_t px[16];
    for (int i = 0; i < 16; i++) px[i] = (uint8_t)(value + i);
    tmp_grey(name, 4, 4, px);
}

static void lists(void **state)
{
    (void)state;
    char name[32];
    float out[16];
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "img/%d, x.png", i);
        put_image(name, 10 * i);
    }
    static const char good[] = "\xef\xbb\xbflabel,note,file,split\r\n"
                               "dog,,\"img/0, x.png\",train\r\n"
                               "\r\n"
                               "cat,\"two\nlines, \"\"quoted\"\"\",\"img/1, x.png\",val\n"
                               "cat,,\"img/2, x.png\",train\n"
                               "dog,,\"img/3, x.png\",test\n"
                               "dog,,\"img/4, x.png\",train";
    tmp_text("labels.csv", good);
    RtDataConfig c = config("csv", 1, 4);
    c.num_classes = 2;
    RtData *d = opens(&c);
    assert_int_equal(rt_data_count(d, RT_SPLIT_TRAIN), 3);
    assert_int_equal(rt_data_count(d, RT_SPLIT_VAL), 1);
    assert_int_equal(rt_data_count(d, RT_SPLIT_TEST), 1);
    assert_string_equal(rt_data_class_name(d, 0), "cat");
    assert_string_equal(rt_data_item_name(d, RT_SPLIT_VAL, 0), "img/1, x.png");
    assert_int_equal(item(d, RT_SPLIT_TRAIN, 2, out), 1);
    assert_true(out[3] == 43.f / 255);
    rt_data_close(d);
    c.classes = (const char *const[]){"dog", "emu"};
    c.nclasses = 2;
    fails(&c, 4, "D020", "class 'emu' has 0 images");
    c.classes = (const char *const[]){"dog", "cat"};
    d = opens(&c);
    assert_int_equal(item(d, RT_SPLIT_TRAIN, 2, out), 0);
    rt_data_close(d);
    c.nclasses = 0;

    /* Numbers are sorted as numbers; without a split column all is dealt out. */
    tmp_text("labels.csv", "file,label\n\"img/0, x.png\",10\n\"img/1, x.png\",9\n\"img/2, x.png\",9\n\"img/3, x.png\",10\n");
    c.train = 0.5, c.test = 0.5, c.stratify = true;
    d = opens(&c);
    assert_string_equal(rt_data_class_name(d, 0), "9");
    assert_int_equal(rt_data_count(d, RT_SPLIT_TRAIN), 2);
    assert_int_equal(rt_data_count(d, RT_SPLIT_TEST), 2);
    rt_data_close(d);

    static const char *const bad[][2] = {
        {"", "labels.csv:1: empty: expected a header"},
        {"path,label\n", "labels.csv:1: the header must name the columns 'file' and 'label'"},
        {"file,label\n\n/etc/passwd,a\n", "labels.csv:3: path leaves the data directory"},
        {"file,label\na/../../b,a\n", "labels.csv:2: path leaves the data directory"},
        {"file,label\n..,a\n", "labels.csv:2: path leaves the data directory"},
        {"file,label\na.png\n", "labels.csv:2: 1 fields, the header has 2"},
        {"file,label\na.png,x,y\n", "labels.csv:2: 3 fields, the header has 2"},
        {"file,label\n,a\n", "labels.csv:2: no file"},
        {"file,label\na.png,\n", "labels.csv:2: no label"},
        {"file,label\n\"a.png,x\n", "labels.csv:2: quotes that do not end with the field"},
        {"file,label\n\"a\"b,x\n", "labels.csv:2: quotes that do not end with the field"},
        {"file,label,split\na.png,x,training\n", "labels.csv:2: split 'training' is none of train, val, test"},
        {"file,label\n\"a\n\n\",x\nb\n", "labels.csv:5: 1 fields, the header has 2"},
        {"file,label\n", "lists no images"},
    };
    c.num_classes = 0;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        tmp_text("labels.csv", bad[i][0]);
        fails(&c, 4, strstr(bad[i][1], "lists no") ? "D001" : "D021", bad[i][1]);
    }
    tmp_put("labels.csv", "file,label\na\0b,c\n", 17);
    fails(&c, 4, "D021", "labels.csv:2: a NUL byte");
    tmp_text("labels.csv", "file,label\nmissing.png,a\n\"img/1, x.png\",a\n");
    fails(&c, 4, "D002", "cannot read 'missing.png': No such file");
    c.max_bad = 1;
    d = opens(&c);
    assert_int_equal(rt_data_nbad(d), 1);
    rt_data_close(d);
    unlink(tmp_at("labels.csv"));
    fails(&c, 4, "D002", "labels.csv': No such file");
}

/* A split is written, and the same comes back, whatever the fractions say. */
static void split_files(void **state)
{
    (void)state;
    RtError e;
    char name[64], hash[2][65], path[512];
    for (int i = 0; i < 12; i++) {
        snprintf(name, sizeof name, "%s/%d, \"x\".png", i % 3 ? "cat" : "dog", i);
        put_image(name, 10 * i);
    }
    RtDataConfig c = config("image_folder", 1, 4);
    c.train = 0.5, c.val = c.test = 0.25, c.seed = 3;
    RtData *d = opens(&c);
    snprintf(path, sizeof path, "%s", tmp_at("a.csv"));
    assert_true(rt_data_save_split(d, path, hash[0], &e));
    assert_int_equal(strlen(hash[0]), 64);
    RtData *saved = d;
    RtDataConfig back = config("image_folder", 1, 4);
    back.split_file = path;
    d = opens(&back);
    assert_string_equal(rt_data_notes(d), "");
    for (int s = 0; s < RT_NSPLITS; s++) {
        assert_int_equal(rt_data_count(d, s), rt_data_count(saved, s));
        for (int64_t i = 0; i < rt_data_count(d, s); i++) {
            snprintf(name, sizeof name, "%s", rt_data_item_name(d, s, i));
            assert_string_equal(name, rt_data_item_name(saved, s, i));
        }
    }
    assert_true(rt_data_save_split(d, tmp_at("b.csv"), hash[1], &e));
    assert_string_equal(hash[0], hash[1]);
    rt_data_close(saved);
    rt_data_close(d);
    c.seed = 4; /* another split, another hash */
    d = opens(&c);
    assert_true(rt_data_save_split(d, tmp_at("b.csv"), hash[1], &e));
    assert_string_not_equal(hash[0], hash[1]);
    rt_data_close(d);

    tmp_text("a.csv", "split,item\nval,\"cat/1, \"\"x\"\".png\"\ntrain,\"dog/0, \"\"x\"\".png\"\n");
    put_image("dog/copy.png", 10); /* the bytes of cat/1: they meet only in this split */
    d = opens(&back);
    assert_int_equal(rt_data_count(d, RT_SPLIT_TRAIN), 1);
    assert_int_equal(rt_data_count(d, RT_SPLIT_TEST), 0);
    assert_string_equal(rt_data_notes(d), "note: 11 items that the split file does not name are left out\n");
    rt_data_close(d);
    tmp_text("a.csv", "split,item\nval,\"cat/1, \"\"x\"\".png\"\ntrain,dog/copy.png\n");
    d = opens(&back);
    assert_non_null(strstr(rt_data_notes(d), "warning[D027]: 1 images are in both train and val\n"));
    rt_data_close(d);
    static const char *const bad[][2] = {
        {"item\n", "a.csv:1: the header must name the columns 'split' and 'item'"},
        {"split,item\nval,cat/77.png\n", "a.csv:2: the data have no item 'cat/77.png'"},
        {"split,item\nval,dog/copy.png\nval,dog/copy.png\n", "a.csv:3: item 'dog/copy.png' is there twice"},
        {"split,item\nvalid,dog/copy.png\n", "a.csv:2: split 'valid' is none of train, val, test"},
        {"split,item,label,class\nval,dog/copy.png,0,cat\n", "a.csv:2: item 'dog/copy.png' is of class 'dog', here it is 'cat'"},
        {"split,item\nval\n", "a.csv:2: 1 fields, the header has 2"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        tmp_text("a.csv", bad[i][0]);
        fails(&back, 4, "D021", bad[i][1]);
    }
    unlink(path);
    fails(&back, 4, "D002", "a.csv': No such file");
}

/* ---- masks as data sets lay them out ---- */

static void voc_colour(int i, uint8_t *rgb)
{
    rgb[0] = rgb[1] = rgb[2] = 0;
    for (int bit = 7; i; i >>= 3, bit--)
        for (int c = 0; c < 3; c++) rgb[c] |= (uint8_t)((i >> c & 1) << bit);
}

static void voc(void **state)
{
    (void)state;
    uint8_t palette[768], index[16], rgb[48], px[16] = {0};
    for (int i = 0; i < 256; i++) voc_colour(i, palette + 3 * i);
    assert_int_equal(palette[3 * 15] << 16 | palette[3 * 15 + 1] << 8 | palette[3 * 15 + 2], 0xc08080); /* person */
    for (int i = 0; i < 16; i++) index[i] = (uint8_t)(i == 7 ? 255 : i + 4);
    for (int i = 0; i < 16; i++) memcpy(rgb + 3 * i, palette + 3 * index[i], 3);
    for (int i = 0; i < 5; i++) {
        char name[64];
        px[0] = (uint8_t)i;
        snprintf(name, sizeof name, "VOCdevkit/VOC2012/JPEGImages/2007_%d.jpg", i);
        tmp_grey(name, 4, 4, px); /* a PNG under that name is a PNG */
        snprintf(name, sizeof name, "VOCdevkit/VOC2012/SegmentationClass/2007_%d.png", i);
        if (i == 1)
            tmp_png(name, 4, 4, 8, 2, rgb, 12, NULL, 0);
        else if (i != 3)
            tmp_png(name, 4, 4, 8, 3, index, 4, palette, 256);
    }
    tmp_text("VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt", "2007_0\n2007_1\n\n2007_2\r\n");
    tmp_text("VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt", "2007_4");
    tmp_text("VOCdevkit/VOC2012/ImageSets/Segmentation/test.txt", "2007_3\n");
    RtDataConfig c = config("voc_segmentation", 1, 4);
    c.num_classes = 21;
    RtData *d = opens(&c);
    assert_non_null(strstr(rt_data_notes(d), "note: the test set has no masks: there is no test split\n"));
    assert_non_null(strstr(rt_data_notes(d), "warning[D020]: 6 of 21 classes are in no mask, the first: 'background'\n"));
    assert_int_equal(rt_data_count(d, RT_SPLIT_TRAIN), 3);
    assert_int_equal(rt_data_count(d, RT_SPLIT_VAL), 1);
    assert_int_equal(rt_data_count(d, RT_SPLIT_TEST), 0);
    assert_string_equal(rt_data_class_name(d, 15), "person");
    RtError e;
    float out[16];
    int32_t label[16];
    for (int64_t k = 0; k < 3; k++) { /* palette, colours, palette */
        assert_true(rt_data_batch(d, RT_SPLIT_TRAIN, &k, 1, false, 0, 0, out, label, &e));
        for (int i = 0; i < 16; i++) assert_int_equal(label[i], index[i]);
    }
    rt_data_close(d);
    c.classes = (const char *const[]){"background", "cat"};
    c.nclasses = c.num_classes = 2;
    d = opens(&c);
    assert_true(rt_data_batch(d, RT_SPLIT_TRAIN, (int64_t[]){0}, 1, false, 0, 0, out, label, &e));
    for (int i = 0; i < 16; i++) assert_int_equal(label[i], index[i] == 8 ? 1 : 255);
    rt_data_close(d);
    c.nclasses = 0, c.num_classes = 21;
    index[3] = 21;
    tmp_png("VOCdevkit/VOC2012/SegmentationClass/2007_4.png", 4, 4, 8, 3, index, 4, palette, 256);
    fails(&c, 4, "D023", "mask 'SegmentationClass/2007_4.png': value 21, classes 0..20 (255 = ignore)");
    tmp_text("VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt", "\n../x");
    fails(&c, 4, "D021", "ImageSets/Segmentation/val.txt:2: path leaves the data directory");
}

static void streets(void **state)
{
    (void)state;
    uint8_t px[16] = {7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 33, 0, 4, 255, 29};
    for (int i = 0; i < 3; i++) {
        char name[128];
        const char *split = i < 2 ? "train" : "val";
        snprintf(name, sizeof name, "leftImg8bit/%s/ulm/ulm_%d_leftImg8bit.png", split, i);
        put_image(name, 3 * i);
        snprintf(name, sizeof name, "gtFine/%s/ulm/ulm_%d_gtFine_labelIds.png", split, i);
        tmp_grey(name, 4, 4, px);
        snprintf(name, sizeof name, "gtFine/%s/ulm/ulm_%d_gtFine_labelids.png", split, i);
        tmp_grey(name, 4, 4, px);
    }
    tmp_text("leftImg8bit/train/ulm/notes.txt", "x");
    RtDataConfig c = config("cityscapes", 1, 4);
    c.num_classes = 19;
    RtData *d = opens(&c);
    static const int want[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 18, 255, 255, 255, 255};
    RtError e;
    float out[16];
    int32_t label[16];
    assert_int_equal(rt_data_count(d, RT_SPLIT_TRAIN), 2);
    assert_int_equal(rt_data_count(d, RT_SPLIT_VAL), 1);
    assert_string_equal(rt_data_class_name(d, 13), "car");
    assert_non_null(strstr(rt_data_notes(d), "note: 1 other files in leftImg8bit/train left out\n"));
    assert_non_null(strstr(rt_data_notes(d), "note: pixels of the mask values 0, 4, 29 are of no class and ignored\n"));
    assert_true(rt_data_batch(d, RT_SPLIT_VAL, (int64_t[]){0}, 1, false, 0, 0, out, label, &e));
    for (int i = 0; i < 16; i++) assert_int_equal(label[i], want[i]);
    rt_data_close(d);
    c.class_map = "7=flat,8=flat,26=vehicle,23=sky";
    c.num_classes = 3;
    d = opens(&c);
    assert_true(rt_data_batch(d, RT_SPLIT_VAL, (int64_t[]){0}, 1, false, 0, 0, out, label, &e));
    assert_int_equal(label[1], 0);
    assert_int_equal(label[10], 2);
    assert_int_equal(label[2], 255);
    rt_data_close(d);
    c = config("idd", 1, 4);
    c.num_classes = 26;
    d = opens(&c);
    assert_true(rt_data_batch(d, RT_SPLIT_VAL, (int64_t[]){0}, 1, false, 0, 0, out, label, &e));
    assert_string_equal(rt_data_class_name(d, label[0]), "person"); /* 7 is an animal, which level 3 puts there */
    assert_string_equal(rt_data_class_name(d, label[12]), "road");
    assert_string_equal(rt_data_class_name(d, label[11]), "sky");
    rt_data_close(d);
    unlink(tmp_at("gtFine/val/ulm/ulm_2_gtFine_labelids.png"));
    fails(&c, 4, "D023", "mask 'gtFine/val/ulm/ulm_2_gtFine_labelids.png' is missing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(cifar, tmp_make, tmp_remove),
        cmocka_unit_test_setup_teardown(svhn, tmp_make, tmp_remove),
        cmocka_unit_test_setup_teardown(nist36, tmp_make, tmp_remove),
        cmocka_unit_test_setup_teardown(lists, tmp_make, tmp_remove),
        cmocka_unit_test_setup_teardown(split_files, tmp_make, tmp_remove),
        cmocka_unit_test_setup_teardown(voc, tmp_make, tmp_remove),
        cmocka_unit_test_setup_teardown(streets, tmp_make, tmp_remove),
    };
    return cmocka_run_group_tests_name("formats", tests, NULL, NULL);
}
