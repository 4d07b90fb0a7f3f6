/* Data sets: every catalogue row that IDX files and image folders can reach, splits, shuffling,
 * transforms and the loader. All files are made here, in a directory under /tmp that is removed
 * again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "data/data.h"

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

/* ---- a directory of our own ---- */

static char root[64];

static int make_root(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/rt_test_dataXXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

static int remove_root(void **state)
{
    (void)state;
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static const char *at(const char *name)
{
    static char path[8][512];
    static int turn;
    char *p = path[turn++ % 8];
    snprintf(p, sizeof path[0], "%s/%s", root, name);
    return p;
}

static void put(const char *name, const void *bytes, size_t n)
{
    FILE *f = fopen(at(name), "wb");
    assert_non_null(f);
    if (n) assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void put_gz(const char *name, const void *bytes, size_t n)
{
    gzFile f = gzopen(at(name), "wb");
    assert_non_null(f);
    assert_int_equal(gzwrite(f, bytes, (unsigned)n), n);
    gzclose(f);
}

static size_t get(const char *name, uint8_t *bytes, size_t room)
{
    FILE *f = fopen(at(name), "rb");
    assert_non_null(f);
    size_t n = fread(bytes, 1, room, f);
    fclose(f);
    return n;
}

static void dir(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s", at(name));
    for (char *p = path + strlen(root) + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = 0;
        mkdir(path, 0755);
    }
    mkdir(path, 0755);
}

/* A grey PNG that no other (name, value) pair makes. */
static void put_png(const char *name, int h, int w, int c, int value)
{
    uint8_t px[32 * 32 * 4];
    assert_true(h * w * c <= (int)sizeof px);
    for (int i = 0; i < h * w * c; i++) px[i] = (uint8_t)(value + 3 * i + i / 50);
    assert_true(stbi_write_png(at(name), w, h, c, px, w * c));
}

static RtDataConfig config(const char *format)
{
    RtDataConfig c;
    rt_data_config_init(&c);
    c.format = format;
    c.root = root;
    c.channels = 1;
    c.height = c.width = 4;
    c.seed = 7;
    return c;
}

static void fails(const RtDataConfig *c, int exit_code, const char *id, const char *text)
{
    RtError e;
    RtData *d = rt_data_open(c, &e);
    assert_null(d);
    if (strcmp(e.id, id) != 0 || !strstr(e.text, text)) print_error("got %s: %s\n", e.id, e.text);
    assert_string_equal(e.id, id);
    assert_int_equal(e.exit, exit_code);
    assert_non_null(strstr(e.text, text));
}

static RtData *opens(const RtDataConfig *c)
{
    RtError e;
    RtData *d = rt_data_open(c, &e);
    if (!d) print_error("got %s: %s\n", e.id, e.text);
    assert_non_null(d);
    return d;
}

/* ---- IDX ---- */

enum { NTRAIN = 40, NTEST = 10, SIDE = 4, AREA = SIDE * SIDE };

static void put32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24), p[1] = (uint8_t)(v >> 16), p[2] = (uint8_t)(v >> 8),
    p[3] = (uint8_t)v;
}

static size_t images(uint8_t *b, int n, int first)
{
    put32(b, 0x803), put32(b + 4, (uint32_t)n), put32(b + 8, SIDE), put32(b + 12, SIDE);
    for (int i = 0; i < n * AREA; i++) b[16 + i] = (uint8_t)(first + i / AREA + 10 * (i % AREA));
    return (size_t)(16 + n * AREA);
}

/* Labels 0..4, in turn. */
static size_t labels(uint8_t *b, int n)
{
    put32(b, 0x801), put32(b + 4, (uint32_t)n);
    for (int i = 0; i < n; i++) b[8 + i] = (uint8_t)(i % 5);
    return (size_t)(8 + n);
}

static void put_idx(void)
{
    uint8_t b[16 + NTRAIN * AREA];
    put("train-images-idx3-ubyte", b, images(b, NTRAIN, 0));
    put("train-labels-idx1-ubyte", b, labels(b, NTRAIN));
    put_gz("t10k-images-idx3-ubyte.gz", b, images(b, NTEST, 100));
    put_gz("t10k-labels-idx1-ubyte.gz", b, labels(b, NTEST));
}

static void idx_reads(void **state)
{
    (void)state;
    put_idx();
    RtDataConfig c = config("idx");
    c.mean[0] = 0.5;
    c.std[0] = 0.25;
    c.num_classes = 5;
    RtData *d = opens(&c);
    assert_int_equal(rt_data_count(d, RT_SPLIT_TRAIN), 36);
    assert_int_equal(rt_data_count(d, RT_SPLIT_VAL), 4);
    assert_int_equal(rt_data_count(d, RT_SPLIT_TEST), NTEST);
    assert_int_equal(rt_data_nclasses(d), 5);
    assert_string_equal(rt_data_class_name(d, 3), "3");
    assert_string_equal(rt_data_item_name(d, RT_SPLIT_TEST, 2), "t10k:2");
    assert_string_equal(rt_data_notes(d), "");
    float out[2 * AREA];
    int32_t label[2];
    RtError e;
    assert_true(rt_data_batch(d, RT_SPLIT_TEST, (int64_t[]){3, 0}, 2, false, 0, 0, out, label, &e));
    assert_true(label[0] == 3 && label[1] == 0);
    for (int i = 0; i < AREA; i++) {
        assert_true(out[i] == ((float)((103 + 10 * i) & 255) / 255.0f - 0.5f) / 0.25f);
        assert_true(out[AREA + i] == ((float)((100 + 10 * i) & 255) / 255.0f - 0.5f) / 0.25f);
    }
    rt_data_close(d);

    c.channels = 3; /* grey is repeated */
    for (int k = 0; k < 3; k++) c.std[k] = 1 + k;
    d = opens(&c);
    float rgb[3 * AREA];
    assert_true(rt_data_batch(d, RT_SPLIT_TEST, (int64_t[]){1}, 1, false, 0, 0, rgb, label, &e));
    assert_true(rgb[AREA + 2] == 121.0f / 255.0f / 2.0f &&
                rgb[2 * AREA + 2] == 121.0f / 255.0f / 3.0f);
    assert_non_null(strstr(rt_data_notes(d), "note: grey images"));
    rt_data_close(d);
}

static void idx_classes(void **state)
{
    (void)state;
    put_idx();
    put("classes.txt", "ant\r\nbee\ncat \ndog\nelk\n\n", 23);
    RtDataConfig c = config("idx");
    c.classes = (const char *const[]){"dog", "ant"};
    c.nclasses = c.num_classes = 2;
    RtData *d = opens(&c);
    assert_int_equal(rt_data_nclasses(d), 2);
    assert_string_equal(rt_data_class_name(d, 0), "dog");
    assert_int_equal(rt_data_count(d, RT_SPLIT_TEST), 4);
    assert_string_equal(rt_data_item_name(d, RT_SPLIT_TEST, 1), "t10k:3");
    assert_int_equal(rt_data_label(d, RT_SPLIT_TEST, 1), 0);
    assert_int_equal(rt_data_label(d, RT_SPLIT_TEST, 0), 1);
    rt_data_close(d);
    c.classes = (const char *const[]){"3", "0"};
    d = opens(&c);
    assert_string_equal(rt_data_class_name(d, 0), "dog");
    rt_data_close(d);
    c.classes = (const char *const[]){"3", "fox"};
    fails(&c, 3, "D020", "class 'fox' is not in the data");
    c.classes = (const char *const[]){"3", "dog"};
    fails(&c, 3, "D020", "listed twice");
    c.nclasses = 0;
    c.num_classes = 12;
    fails(&c, 3, "H007", "12 outputs but the data has 5 classes");
    unlink(at("classes.txt"));
    fails(&c, 4, "D020", "class '5' has 0 images");
    c.num_classes = 4;
    fails(&c, 4, "D009", "train item 4: label 4, classes 0..3");
    c.num_classes = 0;
    rt_data_close(opens(&c));
}

typedef struct Fault {
    const char *id, *text;
    const char *file;
    size_t at; /* byte that gets another value, or SIZE_MAX: none */
    uint8_t value;
    int grow; /* bytes more or fewer at the end */
} Fault;

static const Fault idx_faults[] = {
    {"D003", "not an IDX3 u8 file (magic 0x00000D03)", "train-images-idx3-ubyte", 2, 0x0d, 0},
    {"D003", "not an IDX3 u8 file (magic 0x00000801)", "train-images-idx3-ubyte", 3, 1, 0},
    {"D003", "not an IDX1 u8 file", "train-labels-idx1-ubyte", 0, 1, 0},
    {"D004", "expected 656 bytes, file has 655", "train-images-idx3-ubyte", SIZE_MAX, 0, -1},
    {"D004", "expected 16 bytes, file has 10", "train-images-idx3-ubyte", SIZE_MAX, 0, -646},
    {"D004", "expected 656 bytes, file has 16", "train-images-idx3-ubyte", SIZE_MAX, 0, -640},
    {"D005", "12 bytes after the last item", "train-images-idx3-ubyte", SIZE_MAX, 0, 12},
    {"D006", "IDX declares 2147483688 items", "train-images-idx3-ubyte", 4, 0x80, 0},
    {"D001", "holds no items", "train-images-idx3-ubyte", 7, 0, 0},
    {"D007", "40 images but 39 labels", "train-labels-idx1-ubyte", 7, 39, -1},
    {"D009", "train item 17: label 10, classes 0..4", "train-labels-idx1-ubyte", 8 + 17, 10, 0},
};

static void idx_faults_are_found(void **state)
{
    (void)state;
    RtDataConfig c = config("idx");
    c.num_classes = 5;
    for (int gz = 0; gz < 2; gz++)
        for (size_t i = 0; i < sizeof idx_faults / sizeof *idx_faults; i++) {
            const Fault *f = &idx_faults[i];
            uint8_t b[2048] = {0};
            char gz_name[64];
            put_idx();
            size_t n = get(f->file, b, sizeof b);
            if (f->at != SIZE_MAX) b[f->at] = f->value;
            n = (size_t)((int)n + f->grow);
            if (!gz) {
                put(f->file, b, n);
                fails(&c, 4, f->id, f->text);
                continue;
            }
            unlink(at(f->file));
            snprintf(gz_name, sizeof gz_name, "%s.gz", f->file);
            put_gz(gz_name, b, n);
            bool trailing = !strcmp(f->id, "D005");
            fails(&c, 4, trailing ? "D008" : f->id,
                  trailing ? "past the declared 656 bytes" : f->text);
            unlink(at(gz_name));
        }
}

static void gzip_damage(void **state)
{
    (void)state;
    RtDataConfig c = config("idx");
    uint8_t b[4096], good[4096];
    put_idx();
    size_t n = images(b, NTRAIN, 0);
    unlink(at("train-images-idx3-ubyte"));
    put_gz("train-images-idx3-ubyte.gz", b, n);
    rt_data_close(opens(&c));
    n = get("train-images-idx3-ubyte.gz", good, sizeof good);
    RtError e;
    for (size_t cut = 0; cut < n; cut++) { /* every truncation */
        put("train-images-idx3-ubyte.gz", good, cut);
        assert_null(rt_data_open(&c, &e));
        assert_true(!strcmp(e.id, "D008") || !strcmp(e.id, "D004"));
    }
    for (size_t bit = 80; bit < 8 * n;
         bit++) { /* every flip behind the header, whose time and OS mean nothing */
        memcpy(b, good, n);
        b[bit / 8] ^= (uint8_t)(1u << bit % 8);
        put("train-images-idx3-ubyte.gz", b, n);
        RtData *d = rt_data_open(&c, &e);
        if (!d) {
            assert_int_equal(e.exit, 4);
            continue;
        }
        /* a padding bit between the data and the checksum: nothing was lost */
        assert_true(bit / 8 == n - 9);
        rt_data_close(d);
    }
    memcpy(b, good, n);
    b[n] = 'x';
    put("train-images-idx3-ubyte.gz", b, n + 1);
    fails(&c, 4, "D008", "bytes after the end of the data");
    put("train-images-idx3-ubyte.gz", "\x1f\x8b nonsense", 11);
    fails(&c, 4, "D008", "gzip data damaged");
    /* A bomb: a small valid header, then 64 MiB of zeros in 64 KiB of gzip. */
    uint8_t *zeros = calloc(64, 1 << 20);
    images(zeros, 1, 0);
    put_gz("train-images-idx3-ubyte.gz", zeros, 64 << 20);
    free(zeros);
    fails(&c, 4, "D008", "expands past the declared 32 bytes");
    unlink(at("train-images-idx3-ubyte.gz"));
    fails(&c, 4, "D001", "train-images-idx3-ubyte' (or .gz): No such file");
}

static void idx_without_test(void **state)
{
    (void)state;
    put_idx();
    unlink(at("t10k-images-idx3-ubyte.gz"));
    RtDataConfig c = config("idx");
    fails(&c, 4, "D001", "t10k-images");
    unlink(at("t10k-labels-idx1-ubyte.gz"));
    RtData *d = opens(&c);
    assert_int_equal(rt_data_count(d, RT_SPLIT_TEST), 0);
    assert_non_null(strstr(rt_data_notes(d), "there is no test split"));
    rt_data_close(d);
}

static void bad_configurations(void **state)
{
    (void)state;
    put_idx();
    RtDataConfig c = config("idx");
    c.std[0] = 0;
    fails(&c, 3, "N002", "'std' is 0 for channel 0");
    c.std[0] = NAN;
    fails(&c, 3, "N002", "channel 0");
    c = config("idx");
    c.width = 5;
    fails(&c, 4, "D017", "'train-images-idx3-ubyte': 4x4, model takes 4x5");
    c.channels = 9;
    fails(&c, 3, "H001", "1 to 4 channels");
    c = config("voc");
    fails(&c, 3, "S017", "unknown data format 'voc'");
    c = config("idx");
    c.root = at("nowhere");
    fails(&c, 4, "D001", "No such file");
    c = config("idx");
    c.root = at("train-images-idx3-ubyte");
    fails(&c, 4, "D001", "is not a directory");
    c = config("idx");
    c.train = 0.9, c.val = 0.3;
    fails(&c, 3, "S016", "their sum at most 1");
    c = config("idx");
    c.limit = -1;
    fails(&c, 3, "S015", "data.limit");
}

static void bad_transforms(void **state)
{
    (void)state;
    static const struct {
        const char *text, *id, *message;
    } row[] = {
        {"Resiz(4)", "S017", "unknown transform 'Resiz'"},
        {"RandomCrop()", "S014", "wrong arguments of RandomCrop"},
        {"RandomCrop", "S014", "wrong arguments of RandomCrop"},
        {"RandomCrop(0)", "S014", "wrong arguments"},
        {"RandomCrop(4, pad=1)", "S014", "wrong arguments"},
        {"RandomCrop(4, padding=1.5)", "S014", "wrong arguments"},
        {"RandomCrop(4", "S014", "wrong arguments"},
        {"RandomHorizontalFlip(p=2)", "S014", "wrong arguments"},
        {"Resize((4,))", "S014", "wrong arguments"},
        {"Resize(99999999999)", "S014", "wrong arguments"},
        {"Resize(nan)", "S014", "wrong arguments"},
        {"Resize(4) CenterCrop(4)", "S014", "expected ';'"},
        {"(4)", "S014", "expected a transform"},
        {"\033[2J", "S014", "'\\x1b[2J'"},
    };
    put_idx();
    RtDataConfig c = config("idx");
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        c.train_transforms = row[i].text;
        fails(&c, 3, row[i].id, row[i].message);
    }
    c.train_transforms = "RandomCrop(6, padding=0)";
    fails(&c, 4, "D017", "4x4 is too small for RandomCrop(6)");
    c.train_transforms = "CenterCrop(6)";
    fails(&c, 4, "D017", "after data.transforms.train 6x6, model takes 4x4");
    c.train_transforms = "Resize((8, 8)) ; CenterCrop( size = 4 );RandomHorizontalFlip;;";
    rt_data_close(opens(&c));
}

/* ---- splits and order ---- */

static void shuffling(void **state)
{
    (void)state;
    /* From an independent program that follows the formula in shuffle.c. */
    static const int64_t want[3][10] = {{7, 1, 8, 5, 2, 4, 0, 6, 9, 3},
                                        {9, 6, 3, 5, 1, 2, 0, 4, 7, 8},
                                        {8, 2, 5, 1, 6, 7, 3, 4, 0, 9}};
    static const uint64_t key[3][2] = {{1, 0}, {1, 1}, {42, 7}};
    for (int k = 0; k < 3; k++) {
        int64_t a[10];
        for (int i = 0; i < 10; i++) a[i] = i;
        rt_shuffle(a, 10, key[k][0], key[k][1]);
        assert_memory_equal(a, want[k], sizeof a);
    }
    rt_shuffle(NULL, 0, 1, 1);
    int count[27] = {0}; /* six orders of three, about 1000 each */
    for (uint64_t epoch = 0; epoch < 6000; epoch++) {
        int64_t a[3] = {0, 1, 2};
        rt_shuffle(a, 3, 9, epoch);
        count[a[0] * 9 + a[1] * 3 + a[2]]++;
    }
    int orders = 0;
    for (int i = 0; i < 27; i++)
        if (count[i]) {
            orders++;
            assert_in_range(count[i], 880, 1120);
        }
    assert_int_equal(orders, 6);
}

static void count_labels(const RtData *d, enum RtSplit s, int count[5])
{
    memset(count, 0, 5 * sizeof *count);
    for (int64_t i = 0; i < rt_data_count(d, s); i++) count[rt_data_label(d, s, i)]++;
}

static void splits(void **state)
{
    (void)state;
    put_idx();
    int count[5];
    char seen[2][NTRAIN][16] = {{{0}}};
    RtDataConfig c = config("idx");
    c.train = 0.75, c.val = 0.25;
    c.stratify = true;
    for (int run = 0; run < 2; run++) {
        RtData *d = opens(&c);
        bool used[NTRAIN] = {false};
        count_labels(d, RT_SPLIT_VAL, count);
        for (int k = 0; k < 5; k++) assert_int_equal(count[k], 2);
        count_labels(d, RT_SPLIT_TRAIN, count);
        for (int k = 0; k < 5; k++) assert_int_equal(count[k], 6);
        for (int s = 0, n = 0; s < 2; s++)
            for (int64_t i = 0; i < rt_data_count(d, (enum RtSplit)s); i++) {
                const char *name = rt_data_item_name(d, (enum RtSplit)s, i);
                snprintf(seen[run][n++], sizeof seen[0][0], "%s", name);
                int item = atoi(name + 6);
                assert_false(used[item]);
                used[item] = true;
            }
        for (int i = 0; i < NTRAIN; i++) assert_true(used[i]);
        rt_data_close(d);
    }
    assert_memory_equal(seen[0], seen[1], sizeof seen[0]);
    c.seed++;
    RtData *d = opens(&c);
    int differ = 0;
    for (int64_t i = 0; i < 10; i++)
        differ += strcmp(rt_data_item_name(d, RT_SPLIT_VAL, i), seen[0][30 + i]) != 0;
    assert_true(differ > 0);
    rt_data_close(d);
    c.limit = 5;
    d = opens(&c);
    assert_int_equal(rt_data_count(d, RT_SPLIT_TRAIN), 5);
    assert_int_equal(rt_data_count(d, RT_SPLIT_TEST), 5);
    assert_string_equal(rt_data_item_name(d, RT_SPLIT_TEST, 4), "t10k:4");
    rt_data_close(d);
}

static void saves_the_split(void **state)
{
    (void)state;
    RtError e;
    uint8_t text[4096] = {0};
    dir("a\"b,c");
    dir("z");
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "a\"b,c/%d.png", i);
        put_png(name, 4, 4, 1, i);
        snprintf(name, sizeof name, "z/%d.png", i);
        put_png(name, 4, 4, 1, 50 + i);
    }
    RtDataConfig c = config("image_folder");
    c.train = 1;
    RtData *d = opens(&c);
    assert_true(rt_data_save_split(d, at("split.csv"), NULL, &e));
    get("split.csv", text, sizeof text - 1);
    assert_string_equal((char *)text, "split,item,label,class\n"
                                      "train,\"a\"\"b,c/0.png\",0,\"a\"\"b,c\"\n"
                                      "train,\"a\"\"b,c/1.png\",0,\"a\"\"b,c\"\n"
                                      "train,\"a\"\"b,c/2.png\",0,\"a\"\"b,c\"\n"
                                      "train,z/0.png,1,z\ntrain,z/1.png,1,z\ntrain,z/2.png,1,z\n");
    assert_false(rt_data_save_split(d, at("no/split.csv"), NULL, &e));
    assert_int_equal(e.exit, 7);
    assert_string_equal(e.id, "C005");
    rt_data_close(d);
    struct stat st;
    assert_int_not_equal(stat(at("split.csv.tmp"), &st), 0);
}

/* ---- image folders ---- */

/* root/[below/]{cat,dog}/{0,1,2,...}.png */
static void put_classes(const char *below, int n, int value)
{
    static const char *const name[] = {"cat", "dog"};
    char path[64];
    for (int k = 0; k < 2; k++) {
        snprintf(path, sizeof path, "%s%s", below, name[k]);
        dir(path);
        for (int i = 0; i < n; i++) {
            snprintf(path, sizeof path, "%s%s/%d.png", below, name[k], i);
            put_png(path, 4, 4, 1, value + 20 * k + i);
        }
    }
}

static void folder_by_fractions(void **state)
{
    (void)state;
    put_classes("", 10, 0);
    put("cat/readme.txt", "x", 1);
    put("cat/.hidden.png", "", 0);
    put("loose.png", "", 0);
    dir("dog/more");
    put_png("dog/more/deep.png", 4, 4, 1, 99);
    RtDataConfig c = config("image_folder");
    c.stratify = true;
    c.num_classes = 2;
    RtData *d = opens(&c);
    assert_int_equal(rt_data_count(d, RT_SPLIT_TRAIN), 17);
    assert_int_equal(rt_data_count(d, RT_SPLIT_VAL), 2);
    assert_int_equal(rt_data_count(d, RT_SPLIT_TEST), 2);
    assert_string_equal(rt_data_class_name(d, 1), "dog");
    assert_string_equal(rt_data_notes(d), "note: 1 files that are not images left out\n");
    float out[AREA];
    int32_t label;
    RtError e;
    for (int64_t i = 0; i < 17; i++) {
        const char *name = rt_data_item_name(d, RT_SPLIT_TRAIN, i);
        assert_true(rt_data_batch(d, RT_SPLIT_TRAIN, &i, 1, true, 0, 0, out, &label, &e));
        int value = strstr(name, "deep") ? 99 : 20 * label + atoi(strchr(name, '/') + 1);
        assert_int_equal(label, name[0] == 'd');
        for (int p = 0; p < AREA; p++) assert_true(out[p] == (float)(value + 3 * p) / 255.0f);
    }
    rt_data_close(d);
    c.limit = 6; /* drawn from both classes, though the files come sorted by class */
    d = opens(&c);
    int count[5];
    count_labels(d, RT_SPLIT_TRAIN, count);
    assert_int_equal(count[0] + count[1], 6);
    assert_true(count[0] > 0 && count[1] > 0);
    rt_data_close(d);
    c.limit = 0;
    c.classes = (const char *const[]){"dog", "cat"};
    c.nclasses = 2;
    d = opens(&c);
    assert_string_equal(rt_data_class_name(d, 0), "dog");
    assert_true(rt_data_item_name(d, RT_SPLIT_TRAIN, 0)[0] == 'd');
    assert_int_equal(rt_data_label(d, RT_SPLIT_TRAIN, 0), 0);
    rt_data_close(d);
    c.classes = (const char *const[]){"dog", "emu"};
    fails(&c, 4, "D020", "class 'emu' has 0 images");
}

static void folder_with_split(void **state)
{
    (void)state;
    put_classes("train/", 10, 0);
    RtDataConfig c = config("image_folder");
    RtData *d = opens(&c); /* no val: taken out of train */
    assert_int_equal(rt_data_count(d, RT_SPLIT_TRAIN), 18);
    assert_int_equal(rt_data_count(d, RT_SPLIT_VAL), 2);
    rt_data_close(d);
    put_classes("val/", 3, 100);
    put_classes("test/", 2, 200);
    d = opens(&c);
    assert_int_equal(rt_data_count(d, RT_SPLIT_TRAIN), 20);
    assert_int_equal(rt_data_count(d, RT_SPLIT_VAL), 6);
    assert_int_equal(rt_data_count(d, RT_SPLIT_TEST), 4);
    assert_string_equal(rt_data_item_name(d, RT_SPLIT_VAL, 3), "val/dog/0.png");
    assert_string_equal(rt_data_notes(d), "");
    rt_data_close(d);
    put_png("val/cat/9.png", 4, 4, 1, 0); /* train/cat/0.png again */
    d = opens(&c);
    assert_string_equal(rt_data_notes(d), "warning[D027]: 1 images are in both train and val\n");
    rt_data_close(d);
    dir("val/zebra");
    fails(&c, 4, "D019", "val has class 'zebra' not in train");
    rmdir(at("val/zebra"));
    dir("train/ant");
    fails(&c, 4, "D019", "val lacks class 'ant' of train");
    dir("val/ant");
    dir("test/ant");
    fails(&c, 4, "D020", "class 'ant' has 0 images");
}

static void folder_faults(void **state)
{
    (void)state;
    RtDataConfig c = config("image_folder");
    fails(&c, 4, "D001", "no images found under");
    dir("cat");
    fails(&c, 4, "D001", "no images found under");
    put_png("cat/0.png", 4, 4, 1, 0);
    c.num_classes = 2;
    fails(&c, 4, "D020", "one class only ('cat')");
    put_classes("", 3, 0);
    c.num_classes = 3;
    fails(&c, 3, "H007", "3 outputs but the data has 2 classes");
    c.num_classes = 2;
    rt_data_close(opens(&c));

    put("cat/e.png", "", 0);
    fails(&c, 4, "D010", "'cat/e.png': empty file");
    put("cat/e.png", "no picture", 10);
    fails(&c, 4, "D011", "'cat/e.png': only PNG and JPEG are read");
    unlink(at("cat/e.png"));
    put("cat/e.gif", "GIF89a", 6);
    fails(&c, 4, "D011", "'cat/e.gif': only PNG and JPEG are read");
    unlink(at("cat/e.gif"));
    assert_int_equal(symlink("nowhere", at("cat/e.png")), 0);
    fails(&c, 4, "D002", "cannot read 'cat/e.png': No such file");
    unlink(at("cat/e.png"));
    assert_int_equal(symlink("e.png", at("cat/e.png")), 0);
    fails(&c, 4, "D022", "loop at 'cat/e.png'");
    unlink(at("cat/e.png"));
    assert_int_equal(mkfifo(at("cat/e.png"), 0600), 0);
    fails(&c, 4, "D002", "not a regular file");
    unlink(at("cat/e.png"));
    assert_int_equal(symlink("..", at("cat/up")), 0);
    fails(&c, 4, "D022", "directory loop at 'cat/up/cat'");
    unlink(at("cat/up"));
    put_png("cat/a\n\033[2J.png", 4, 5, 1, 0);
    fails(&c, 4, "D017", "'cat/a\\x0a\\x1b[2J.png': 4x5, model takes 4x4");
    unlink(at("cat/a\n\033[2J.png"));
    put_png("cat/rgba.png", 4, 4, 4, 0);
    fails(&c, 4, "D016", "'cat/rgba.png': 4 channels, model takes 1 (use --channels=convert)");
    c.convert_channels = true;
    RtData *d = opens(&c);
    assert_string_equal(
        rt_data_notes(d),
        "note: 1 images converted to the model's 1 channel, alpha laid over white\n");
    rt_data_close(d);
}

static void bad_images_are_skipped(void **state)
{
    (void)state;
    uint8_t b[4096];
    put_classes("", 10, 0);
    size_t n = get("cat/3.png", b, sizeof b);
    put("cat/3.png", b, n - 5);
    b[n - 20] ^= 4;
    put("dog/5.png", b, n);
    char list[512];
    snprintf(list, sizeof list, "%s", at("bad-images.tsv"));
    RtDataConfig c = config("image_folder");
    c.bad_list = list;
    fails(&c, 4, "D012", "'cat/3.png': ends early");
    c.max_bad = 1;
    fails(&c, 4, "D018", "2 bad images (limit 1); list in /tmp/");
    c.max_bad = 2;
    RtData *d = opens(&c);
    assert_int_equal(rt_data_nbad(d), 2);
    assert_int_equal(rt_data_count(d, RT_SPLIT_TRAIN) + rt_data_count(d, RT_SPLIT_VAL) +
                         rt_data_count(d, RT_SPLIT_TEST),
                     18);
    assert_non_null(strstr(rt_data_notes(d), "warning[D018]: 2 bad images skipped (limit 2)"));
    rt_data_close(d);
    memset(b, 0, sizeof b);
    get("bad-images.tsv", b, sizeof b - 1);
    assert_non_null(strstr((char *)b, "D012\t'cat/3.png': ends early"));
    assert_non_null(strstr((char *)b, "D012\t'dog/5.png': CRC mismatch"));
}

static void changed_files(void **state)
{
    (void)state;
    put_classes("", 3, 0);
    RtDataConfig c = config("image_folder");
    c.train = 1;
    RtData *d = opens(&c);
    float out[6 * AREA];
    int32_t label[6];
    RtError e;
    assert_true(
        rt_data_batch(d, RT_SPLIT_TRAIN, (int64_t[]){0, 1}, 2, false, 0, 0, out, label, &e));
    put_png("cat/0.png", 4, 4, 1, 77); /* in memory already: no change is seen */
    assert_true(
        rt_data_batch(d, RT_SPLIT_TRAIN, (int64_t[]){0}, 1, false, 0, 0, out + AREA, label, &e));
    assert_true(out[0] == 0 && out[AREA] == 0);
    put_png("dog/2.png", 4, 4, 1, 78);
    assert_false(rt_data_batch(d, RT_SPLIT_TRAIN, (int64_t[]){5}, 1, false, 0, 0, out, label, &e));
    assert_string_equal(e.id, "D025");
    assert_string_equal(e.text, "'dog/2.png' changed since start-up");
    unlink(at("dog/1.png"));
    RtLoader *l =
        rt_loader_start(d, RT_SPLIT_TRAIN, (int64_t[]){0, 1, 2, 3, 4, 5}, 6, 2, false, 0, 0, 4);
    float *x;
    int32_t *y;
    int n; /* the good batches come first, then the error, each time it is asked */
    assert_int_equal(rt_loader_next(l, &x, &y, &n, &e), 1);
    assert_int_equal(rt_loader_next(l, &x, &y, &n, &e), 1);
    assert_int_equal(rt_loader_next(l, &x, &y, &n, &e), -1);
    assert_string_equal(e.id, "D002");
    assert_int_equal(rt_loader_next(l, &x, &y, &n, &e), -1);
    rt_loader_stop(l);
    rt_data_close(d);
}

/* ---- transforms ---- */

static float pixel(const float *img, int y, int x)
{
    return y < 0 || x < 0 || y >= SIDE || x >= SIDE ? 0 : img[y * SIDE + x];
}

/* Is `out` the image moved by (dy, dx), mirrored or not? */
static bool is_moved(const float *img, const float *out, int dy, int dx, bool flip)
{
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            if (out[y * SIDE + (flip ? SIDE - 1 - x : x)] != pixel(img, y + dy, x + dx))
                return false;
    return true;
}

static void augmentation(void **state)
{
    (void)state;
    put_idx();
    RtDataConfig c = config("idx");
    c.train_transforms = "RandomCrop(4, padding=1); RandomHorizontalFlip()";
    RtData *d = opens(&c);
    int64_t index[NTRAIN];
    float img[NTRAIN * AREA], out[NTRAIN * AREA], again[NTRAIN * AREA];
    int32_t label[NTRAIN];
    RtError e;
    int n = (int)rt_data_count(d, RT_SPLIT_TRAIN), seen[3][3][2] = {{{0}}};
    for (int i = 0; i < n; i++) index[i] = i;
    assert_true(rt_data_batch(d, RT_SPLIT_TRAIN, index, n, false, 1, 0, img, label, &e));
    for (uint64_t epoch = 0; epoch < 50; epoch++) {
        assert_true(rt_data_batch(d, RT_SPLIT_TRAIN, index, n, true, 1, epoch, out, label, &e));
        for (int i = 0; i < n; i++) {
            int hits = 0;
            for (int k = 0; k < 18; k++)
                if (is_moved(img + i * AREA, out + i * AREA, k / 6 - 1, k / 2 % 3 - 1, k % 2)) {
                    hits++;
                    seen[k / 6][k / 2 % 3][k % 2]++;
                }
            assert_int_equal(hits, 1);
        }
    }
    for (int k = 0; k < 18; k++)
        assert_in_range(seen[k / 6][k / 2 % 3][k % 2], 60, 140); /* 100 expected */
    /* One at a time and backwards: the same bits. Another epoch: not. */
    for (int64_t i = n - 1; i >= 0; i--)
        assert_true(
            rt_data_batch(d, RT_SPLIT_TRAIN, &i, 1, true, 1, 49, again + i * AREA, label, &e));
    assert_memory_equal(out, again, (size_t)n * AREA * sizeof *out);
    assert_true(rt_data_batch(d, RT_SPLIT_TRAIN, index, n, true, 1, 50, again, label, &e));
    assert_memory_not_equal(out, again, (size_t)n * AREA * sizeof *out);
    rt_data_close(d);
}

/* Crops, mirrors and crops again: what a crop cut off must not come back with later padding. */
static void chained_crops(void **state)
{
    (void)state;
    put_idx();
    RtDataConfig c = config("idx");
    c.eval_transforms = "CenterCrop(2); CenterCrop(4)";
    c.train_transforms = "CenterCrop(2);RandomHorizontalFlip(p=1);RandomCrop(4,padding=1)";
    RtData *d = opens(&c);
    float img[AREA], out[AREA];
    int32_t label;
    RtError e;
    int64_t first = 0;
    assert_true(rt_data_batch(d, RT_SPLIT_TEST, &first, 1, false, 0, 0, out, &label, &e));
    for (int i = 0; i < AREA; i++) {
        img[i] = (float)(uint8_t)(100 + 10 * i) / 255.0f;
        bool inside = i / SIDE % 3 && i % SIDE % 3;
        assert_true(out[i] == (inside ? img[i] : 0));
    }
    assert_true(rt_data_batch(d, RT_SPLIT_TEST, &first, 1, true, 0, 0, out, &label, &e));
    for (int i = 0; i < AREA; i++) {
        bool inside = i / SIDE % 3 && i % SIDE % 3;
        assert_true(out[i] == (inside ? img[i / SIDE * SIDE + SIDE - 1 - i % SIDE] : 0));
    }
    rt_data_close(d);
}

/* Resize first in both pipes is done once, before the cache; alone in one, at each use. Same
 * pixels. */
static void resizing_folders(void **state)
{
    (void)state;
    dir("cat");
    dir("dog");
    for (int i = 0; i < 4; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s/%d.png", i % 2 ? "dog" : "cat", i);
        put_png(name, 6 + i, 9, 1, i);
    }
    RtDataConfig c = config("image_folder");
    c.train = 1;
    c.eval_transforms = "Resize(4); CenterCrop(4)";
    fails(&c, 4, "D017",
          "'cat/0.png': 6x9, model takes 4x4\nadd Resize((4, 4)) to data.transforms.train");
    float out[3][4 * AREA];
    int32_t label[4];
    RtError e;
    static const char *const train[] = {"Resize(4); CenterCrop(4)",
                                        "RandomHorizontalFlip(p=0); Resize(4); CenterCrop(4)",
                                        "Resize(4); RandomCrop((4, 4))"};
    for (int k = 0; k < 3; k++) {
        c.train_transforms = train[k];
        RtData *d = opens(&c);
        assert_true(rt_data_batch(d, RT_SPLIT_TRAIN, (int64_t[]){0, 1, 2, 3}, 4, false, 0, 0,
                                  out[k], label, &e));
        if (k < 2) {
            float as_train[4 * AREA];
            assert_true(rt_data_batch(d, RT_SPLIT_TRAIN, (int64_t[]){0, 1, 2, 3}, 4, true, 0, 0,
                                      as_train, label, &e));
            assert_memory_equal(as_train, out[k], sizeof as_train);
        }
        assert_memory_equal(out[0], out[k], sizeof out[0]);
        rt_data_close(d);
    }
}

static void one_image(void **state)
{
    (void)state;
    RtDataConfig c = config("idx");
    float chw[AREA], same[AREA];
    RtError e;
    c.mean[0] = 0.5;
    put_png("a.png", 4, 4, 1, 0);
    put_png("big.png", 8, 12, 1, 0);
    put_png("rgba.png", 4, 4, 4, 0);
    assert_true(rt_data_image(&c, at("a.png"), chw, &e));
    for (int i = 0; i < AREA; i++) assert_true(chw[i] == (float)(3 * i) / 255.0f - 0.5f);
    assert_true(rt_data_image(&c, at("big.png"), chw,
                              &e)); /* no transforms: resized to what the model takes */
    c.eval_transforms = "Resize((4, 4))";
    assert_true(rt_data_image(&c, at("big.png"), same, &e));
    assert_memory_equal(chw, same, sizeof chw);
    c.eval_transforms = "Resize(4); CenterCrop(4)";
    assert_true(rt_data_image(&c, at("big.png"), same, &e));
    assert_memory_not_equal(chw, same, sizeof chw);
    assert_true(rt_data_image(&c, at("rgba.png"), chw, &e));
    assert_false(rt_data_image(&c, at("none.png"), chw, &e));
    assert_string_equal(e.id, "D002");
}

/* ---- the loader ---- */

static void load_with(int workers)
{
    put_idx();
    RtDataConfig c = config("idx");
    c.train_transforms = "RandomCrop(4, padding=2); RandomHorizontalFlip()";
    c.workers = workers;
    RtData *d = opens(&c);
    int64_t order[36];
    for (int i = 0; i < 36; i++) order[i] = i;
    rt_shuffle(order, 36, 5, 3);
    for (int depth = 1; depth <= 5; depth++)
        for (int batch = 5; batch <= 40; batch += 7) {
            RtLoader *l = rt_loader_start(d, RT_SPLIT_TRAIN, order, 36, batch, true, 5, 3, depth);
            assert_non_null(l);
            float *x, want[40 * AREA];
            int32_t *y, label[40];
            int n, done = 0;
            RtError e;
            while (rt_loader_next(l, &x, &y, &n, &e) == 1) {
                assert_int_equal(n, 36 - done < batch ? 36 - done : batch);
                assert_int_equal((uintptr_t)x % 64, 0);
                if (depth == 2) usleep(500);
                assert_true(
                    rt_data_batch(d, RT_SPLIT_TRAIN, order + done, n, true, 5, 3, want, label, &e));
                assert_memory_equal(x, want, (size_t)n * AREA * sizeof *x);
                assert_memory_equal(y, label, (size_t)n * sizeof *y);
                done += n;
            }
            assert_int_equal(done, 36);
            assert_int_equal(rt_loader_next(l, &x, &y, &n, &e), 0);
            rt_loader_stop(l);
        }
    for (int taken = 0; taken < 4; taken++) { /* stopped early, at any place */
        RtLoader *l = rt_loader_start(d, RT_SPLIT_TRAIN, order, 36, 4, true, 5, 3, 2);
        float *x;
        int32_t *y;
        int n;
        RtError e;
        for (int i = 0; i < taken; i++) assert_int_equal(rt_loader_next(l, &x, &y, &n, &e), 1);
        rt_loader_stop(l);
    }
    RtLoader *l = rt_loader_start(d, RT_SPLIT_VAL, order, 0, 4, false, 5, 3, 2);
    float *x;
    int32_t *y;
    int n;
    RtError e;
    assert_int_equal(rt_loader_next(l, &x, &y, &n, &e), 0);
    rt_loader_stop(l);
    rt_loader_stop(NULL);
    assert_null(rt_loader_start(d, RT_SPLIT_TRAIN, order, 36, INT32_MAX, true, 5, 3, INT32_MAX));
    rt_data_close(d);
}

static void loader(void **state)
{
    (void)state;
    load_with(0);
    load_with(2);
    load_with(7);
}

/* The real set, when it is installed. */
static void fashion_mnist(void **state)
{
    (void)state;
    RtDataConfig c = config("idx");
    c.root = "/usr/share/datasets/fashion-mnist";
    c.height = c.width = 28;
    c.num_classes = 10;
    c.stratify = true;
    if (access(c.root, R_OK) != 0) {
        print_message("%s is not installed: skipped\n", c.root);
        skip();
    }
    RtData *d = opens(&c);
    assert_int_equal(rt_data_count(d, RT_SPLIT_TRAIN), 54000);
    assert_int_equal(rt_data_count(d, RT_SPLIT_VAL), 6000);
    assert_int_equal(rt_data_count(d, RT_SPLIT_TEST), 10000);
    assert_string_equal(rt_data_class_name(d, 9), "Ankle boot");
    static const int first[] = {9, 2, 1, 1, 6, 1, 4, 6, 5, 7};
    for (int i = 0; i < 10; i++) assert_int_equal(rt_data_label(d, RT_SPLIT_TEST, i), first[i]);
    int64_t i = 0;
    float px[28 * 28], sum = 0;
    int32_t label;
    RtError e;
    assert_true(rt_data_batch(d, RT_SPLIT_TEST, &i, 1, false, 0, 0, px, &label, &e));
    for (int p = 0; p < 28 * 28; p++) sum += px[p] * 255;
    assert_int_equal(lrintf(sum), 33456);
    rt_data_close(d);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_root, remove_root)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(idx_reads),
        TEST(idx_classes),
        TEST(idx_faults_are_found),
        TEST(gzip_damage),
        TEST(idx_without_test),
        TEST(bad_configurations),
        TEST(bad_transforms),
        TEST(shuffling),
        TEST(splits),
        TEST(saves_the_split),
        TEST(folder_by_fractions),
        TEST(folder_with_split),
        TEST(folder_faults),
        TEST(bad_images_are_skipped),
        TEST(changed_files),
        TEST(augmentation),
        TEST(chained_crops),
        TEST(resizing_folders),
        TEST(one_image),
        TEST(loader),
        TEST(fashion_mnist),
    };
    return cmocka_run_group_tests_name("runtime data", tests, NULL, NULL);
}
