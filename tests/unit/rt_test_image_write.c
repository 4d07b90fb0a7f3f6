/* What is written as PNG passes the checks of the reader and has the same pixels there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "err.h"
#include "image_write.h"

/* Slopes, edges and noise, so that every filter is best somewhere. */
static RtImage picture(int c, int h, int w)
{
    RtImage img = {malloc((size_t)(c * h * w)), c, h, w};
    uint32_t noise = 12345;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int k = 0; k < c; k++) {
                noise = noise * 1664525 + 1013904223;
                int v = y % 7 < 2 ? x * 5 : y % 7 < 4 ? y * 9 + k * 40 : x * 3 + y * 4;
                img.px[(y * w + x) * c + k] = (uint8_t)(y % 7 == 6 ? noise >> 24 : (uint32_t)v);
            }
    return img;
}

static RtImage read_back(const uint8_t *file, size_t n, RtImageInfo *info)
{
    RtImage out;
    RtError e;
    assert_true(rt_image_check(file, n, "x.png", info, &e));
    assert_true(rt_image_decode(file, n, info, 0, "x.png", &out, &e));
    return out;
}

static void pixels_come_back(void **state)
{
    (void)state;
    static const int sizes[][2] = {{1, 1}, {1, 40}, {37, 1}, {33, 29}, {64, 100}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        for (int c = 1; c <= 4; c++) {
            RtImage img = picture(c, sizes[s][0], sizes[s][1]);
            RtImageInfo info;
            size_t n, again;
            uint8_t *file = rt_png_encode(&img, NULL, &n),
                    *twin = rt_png_encode(&img, NULL, &again);
            assert_int_equal(n, again);
            assert_memory_equal(file, twin, n);
            RtImage out = read_back(file, n, &info);
            assert_true(info.c == c && info.h == img.h && info.w == img.w && !info.jpeg);
            assert_memory_equal(out.px, img.px, (size_t)(c * img.h * img.w));
            free(file);
            free(twin);
            free(img.px);
            free(out.px);
        }
    }
}

/* Rows of each of PNG's five filters occur above, so all of them were read back. */
static void every_filter_occurs(void **state)
{
    (void)state;
    RtImage img = picture(3, 64, 100);
    size_t n;
    uint8_t *file = rt_png_encode(&img, NULL, &n), rows[64 * 301];
    uLongf raw = sizeof rows;
    assert_int_equal(uncompress(rows, &raw, file + 41, n - 41 - 16), Z_OK); /* IDAT's data */
    int seen[5] = {0};
    for (int y = 0; y < 64; y++) seen[rows[301 * y]]++;
    for (int f = 0; f < 5; f++) assert_in_range(seen[f], 1, 63);
    free(file);
    free(img.px);
}

static void slopes_become_small(void **state)
{
    (void)state;
    RtImage img = {malloc(200 * 200), 1, 200, 200};
    for (int i = 0; i < 200 * 200; i++) img.px[i] = (uint8_t)(i % 200 + i / 200);
    size_t n;
    free(rt_png_encode(&img, NULL, &n));
    assert_in_range(n, 60, 1000); /* 40,000 bytes of slope: differences are all alike */
    free(img.px);
}

static void colour_numbers(void **state)
{
    (void)state;
    uint8_t voc[256 * 3], px[21 * 3];
    rt_voc_colours(voc);
    /* the first of VOC's list and its border */
    static const uint8_t known[][4] = {{0, 0, 0, 0},       {1, 128, 0, 0},      {2, 0, 128, 0},
                                       {7, 128, 128, 128}, {8, 64, 0, 0},       {15, 192, 128, 128},
                                       {20, 0, 64, 128},   {255, 224, 224, 192}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_memory_equal(voc + 3 * known[i][0], known[i] + 1, 3);
    for (int i = 0; i < 21 * 3; i++) px[i] = (uint8_t)(i % 21);
    RtImage img = {px, 1, 3, 21};
    RtImageInfo info;
    size_t n;
    uint8_t *file = rt_png_encode(&img, &(RtPalette){voc, 256}, &n);
    RtImage out = read_back(file, n, &info);
    assert_int_equal(info.c, 3);
    for (int i = 0; i < 21 * 3; i++) assert_memory_equal(out.px + 3 * i, voc + 3 * px[i], 3);
    assert_int_equal(file[8 + 25 + 4], 'P');
    assert_int_equal(file[25], 3); /* a palette, with numbers that other readers get as they are */
    free(file);
    free(out.px);
}

static int exit_of_save(const char *path, const RtImage *img)
{
    int status;
    pid_t child = fork();
    if (!child) {
        assert_non_null(freopen("/dev/null", "w", stderr));
        rt_png_save(path, img, NULL);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void files(void **state)
{
    (void)state;
    char dir[] = "/tmp/rt_test_pngXXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/a.png", dir);
    RtImage img = picture(3, 20, 30);
    rt_png_save(path, &img, NULL);
    rt_png_save(path, &img, NULL); /* over the old one */
    float chw[3 * 20 * 30];
    char err[512];
    assert_int_equal(rt_image_load(path, 3, 20, 30, chw, err, sizeof err), 0);
    for (int i = 0; i < 600; i++) assert_true(chw[i] == (float)img.px[3 * i] / 255.0f);
    int entries = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; (e = readdir(d));)
        entries += e->d_name[0] != '.' || strlen(e->d_name) > 2;
    closedir(d);
    assert_int_equal(entries, 1);
    unlink(path);
    rmdir(dir);
    assert_int_equal(exit_of_save(path, &img), RT_EXIT_WRITE); /* the folder is gone */
    img.w = 0;
    assert_int_equal(exit_of_save(path, &img), RT_EXIT_WRITE);
    free(img.px);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pixels_come_back),
        cmocka_unit_test(every_filter_occurs),
        cmocka_unit_test(slopes_become_small),
        cmocka_unit_test(colour_numbers),
        cmocka_unit_test(files),
    };
    return cmocka_run_group_tests_name("runtime picture files", tests, NULL, NULL);
}
