/* Metrics against the published confusion matrices, against hand-computed small ones, and as text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics.h"

typedef struct Golden {
    const char *name;
    int cell[100];
    double accuracy, f1_weighted, f1_macro; /* the last to four digits */
} Golden;

static const Golden golden[] = {
    {"custom CNN",
     {71, 10, 6,   0,  1,  2, 2,  9,  1,   1, 15, 59, 7,  0,  2,  6,  4,  11,  3,  3,
      2,  1,  110, 3,  4,  3, 2,  15, 6,   4, 5,  2,  0,  51, 13, 4,  2,  5,   20, 0,
      7,  0,  0,   18, 75, 4, 3,  6,  13,  0, 4,  3,  8,  1,  7,  68, 6,  22,  6,  1,
      1,  4,  1,   0,  1,  8, 69, 24, 8,   1, 2,  5,  12, 1,  4,  7,  14, 104, 9,  1,
      2,  5,  4,   2,  8,  1, 6,  11, 108, 1, 6,  1,  18, 1,  1,  6,  2,  9,   1,  97},
     0.6328916601714731,
     0.6341451503964205,
     .6310},
    {"ResNet-18",
     {92, 0, 5,   0,  2, 0,   0, 2, 1,  1,  2, 91, 1, 0,   2, 8, 1,  3, 2, 0,   0, 0, 143, 0, 2,
      3,  0, 0,   2,  0, 0,   0, 2, 58, 29, 7, 0,  0, 6,   0, 0, 0,  1, 6, 105, 4, 1, 2,   7, 0,
      0,  1, 4,   1,  0, 114, 0, 0, 5,  1,  0, 0,  1, 0,   0, 9, 93, 9, 5, 0,   0, 0, 6,   1, 1,
      8,  4, 127, 11, 1, 0,   1, 2, 5,  0,  0, 1,  2, 136, 1, 0, 0,  8, 1, 1,   7, 1, 1,   1, 122},
     0.8425565081839439,
     0.8422363733672474,
     .8399},
    {"ResNet-18, augmented",
     {88, 0, 1,   0, 0,  0,  1, 8,  1,  4,  0, 85, 0, 0,   1, 4, 1,  11, 1,  7,  0, 0, 92, 3, 1,
      4,  0, 14,  3, 33, 0,  0, 0,  69, 18, 2, 0,  5, 4,   4, 0, 0,  1,  34, 76, 0, 1, 8,  2, 4,
      0,  0, 2,   1, 0,  79, 1, 22, 7,  14, 0, 0,  0, 0,   0, 4, 82, 29, 1,  1,  0, 0, 0,  2, 1,
      1,  1, 136, 6, 12, 0,  1, 0,  4,  7,  4, 0,  8, 115, 9, 0, 1,  0,  1,  1,  2, 1, 4,  0, 132},
     0.7435697583787997,
     0.7487109806541541,
     .7530},
};

static void golden_numbers(void **state)
{
    (void)state;
    for (size_t g = 0; g < sizeof golden / sizeof *golden; g++) {
        RtConfusion *c = rt_confusion_new(10);
        RtMetrics m;
        uint64_t total = 0;
        assert_non_null(c);
        for (int i = 0; i < 100; i++)
            for (int k = 0; k < golden[g].cell[i]; k++, total++)
                assert_true(rt_confusion_add(c, i / 10, i % 10));
        assert_true(rt_metrics(c, &m));
        assert_int_equal(total, 1283);
        assert_int_equal(m.total, 1283);
        assert_true(fabs(m.accuracy - golden[g].accuracy) < 1e-12);
        assert_true(fabs(m.f1_weighted - golden[g].f1_weighted) < 1e-12);
        assert_true(fabs(m.f1_macro - golden[g].f1_macro) <= .5e-4);
        assert_true(fabs(m.recall_weighted - m.accuracy) < 1e-12);
        rt_metrics_free(&m);
        rt_confusion_free(c);
    }
}

/* Classes: 0 hit and missed, 1 never predicted, 2 predicted but not there, 3 nowhere. */
static RtConfusion *small(void)
{
    RtConfusion *c = rt_confusion_new(4);
    for (int i = 0; i < 3; i++) assert_true(rt_confusion_add(c, 0, 0));
    assert_true(rt_confusion_add(c, 0, 2));
    assert_true(rt_confusion_add(c, 1, 0));
    return c;
}

static void absent_classes(void **state)
{
    (void)state;
    RtConfusion *c = small();
    RtMetrics m;
    assert_true(rt_metrics(c, &m));
    assert_int_equal(m.absent, 1);
    assert_false(m.per_class[3].present);
    assert_true(m.per_class[2].present);
    assert_true(fabs(m.per_class[0].precision - .75) < 1e-15);
    assert_true(fabs(m.per_class[0].recall - .75) < 1e-15);
    assert_true(m.per_class[1].f1 == 0 && m.per_class[1].support == 1);
    assert_true(fabs(m.f1_macro - .75 / 3) < 1e-15);
    assert_true(fabs(m.f1_weighted - .75 * 4 / 5) < 1e-15);
    assert_true(fabs(m.accuracy - .6) < 1e-15);
    rt_metrics_free(&m);
    rt_confusion_free(c);
}

static void refuses_other_classes(void **state)
{
    (void)state;
    RtConfusion *c = small();
    RtMetrics m;
    assert_false(rt_confusion_add(c, 4, 0));
    assert_false(rt_confusion_add(c, 0, -1));
    assert_true(rt_metrics(c, &m));
    assert_int_equal(m.total, 5);
    rt_metrics_free(&m);
    rt_confusion_free(c);
    assert_null(rt_confusion_new(0));
    rt_confusion_free(NULL);
}

static void empty_is_zero(void **state)
{
    (void)state;
    RtConfusion *c = rt_confusion_new(2);
    RtMetrics m;
    assert_true(rt_metrics(c, &m));
    assert_true(m.accuracy == 0 && m.f1_macro == 0 && m.f1_weighted == 0);
    assert_int_equal(m.absent, 2);
    rt_metrics_free(&m);
    rt_confusion_free(c);
}

enum { TABLE, PIXELS, PAIRS, MATRIX, JSON };

static char *printed(int what, const char *const *names)
{
    char *text;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    RtConfusion *c = small();
    RtMetrics m;
    assert_true(rt_metrics(c, &m));
    if (what == TABLE || what == PIXELS) rt_metrics_print(f, &m, names, what == PIXELS);
    if (what == PAIRS) rt_pairs_print(f, c, names);
    if (what == MATRIX) rt_confusion_print(f, c, names);
    if (what == JSON) rt_metrics_json(f, c, &m, names);
    rt_metrics_free(&m);
    rt_confusion_free(c);
    fclose(f);
    return text;
}

static void text(void **state)
{
    (void)state;
    const char *names[] = {"cat", "a dog", "B\303\244r", "evil\033[2J\"\\"};
    char *s = printed(TABLE, names);
    assert_string_equal(
        s, "class             precision  recall      F1  support\n"
           "cat                  0.7500  0.7500  0.7500        4\n"
           "a dog                0.0000  0.0000  0.0000        1\n"
           "B\303\244r                  0.0000  0.0000  0.0000        0\n"
           "evil\\x1b[2J\"\\        0.0000  0.0000  0.0000        0\n"
           "\n"
           "macro average        0.2500  0.2500  0.2500        5\n"
           "weighted average     0.6000  0.6000  0.6000        5\n"
           "not in the data and never predicted, so not in the macro average: evil\\x1b[2J\"\\\n");
    free(s);
    s = printed(MATRIX, NULL);
    assert_string_equal(s, "confusion matrix: rows are the truth, columns the prediction\n"
                           "        0 1 2 3\n"
                           "0     0 3 0 1 0\n"
                           "1     1 1 0 0 0\n"
                           "2     2 0 0 0 0\n"
                           "3     3 0 0 0 0\n");
    free(s);
}

static void pixels(void **state)
{
    (void)state;
    char *s = printed(PIXELS, NULL);
    assert_string_equal(
        s, "class             precision  recall    Dice     IoU       pixels\n"
           "0                    0.7500  0.7500  0.7500  0.6000            4\n"
           "1                    0.0000  0.0000  0.0000  0.0000            1\n"
           "2                    0.0000  0.0000  0.0000  0.0000            0\n"
           "3                    0.0000  0.0000  0.0000  0.0000            0\n"
           "\n"
           "macro average        0.2500  0.2500  0.2500  0.2000            5\n"
           "not in the data and never predicted, so not in the macro average: 3\n");
    free(s);
}

static void pairs(void **state)
{
    (void)state;
    char *s = printed(PAIRS, NULL);
    assert_string_equal(s, "most confused pairs\n"
                           "  0, 1: 1 (0 taken for 1 0, 1 for 0 1)\n"
                           "  0, 2: 1 (0 taken for 2 1, 2 for 0 0)\n");
    free(s);
    RtConfused x[3];
    RtConfusion *c = rt_confusion_new(10);
    for (int i = 0; i < 100; i++)
        c->count[i] = (uint64_t)golden[0].cell[i];
    assert_int_equal(rt_confusion_pairs(c, x, 3), 3);
    const RtConfused want[] = {{6, 7, 24, 14}, {3, 4, 13, 18}, {5, 7, 22, 7}};
    assert_memory_equal(x, want, sizeof want);
    rt_confusion_free(c);
}

/* Rows (precision, recall, F1, IoU) of the published segmentation tables: F1 and IoU follow from precision and recall. */
static void published_classes(void **state)
{
    static const struct {
        const char *name;
        double precision, recall, f1, iou; /* iou 0: not published */
    } row[] = {
        {"c0", .9481, .9756, .9616, .9261},      {"c20", .9999, .3105, .4738, .3105},
        {"road", .7416, .9733, .8418, 0},        {"sky", .9798, .8696, .9214, 0},
        {"vegetation", .7723, .8588, .8133, 0},  {"building", .4889, .8730, .6268, 0},
        {"car", .4789, .8703, .6178, 0},         {"bus", .6008, .3289, .4251, 0},
        {"person", .2972, .4606, .3613, 0},      {"rider", .5790, .1939, .2905, 0},
        {"motorbike", .5828, .1845, .2803, 0},   {"truck", .6211, .1778, .2765, 0},
        {"wall", .3106, .1968, .2409, 0},        {"pole", .3241, .1997, .2471, 0},
        {"traffic sign", .1597, .1977, .1767, 0}, {"sidewalk", .0860, .4554, .1447, 0},
        {"fence", .0885, .3783, .1434, 0},       {"bicycle", .0306, .2071, .0533, 0},
        {"train", .0188, .0031, .0053, 0},       {"traffic light", .0296, .0007, .0013, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        RtConfusion *c = rt_confusion_new(2);
        RtMetrics m;
        const double hits = 1e8;
        c->count[3] = (uint64_t)hits;
        c->count[1] = (uint64_t)(hits / row[i].precision - hits); /* others taken for it */
        c->count[2] = (uint64_t)(hits / row[i].recall - hits);
        assert_true(rt_metrics(c, &m));
        const RtClassMetrics *k = &m.per_class[1];
        assert_true(fabs(k->precision - row[i].precision) < 1e-6 && fabs(k->recall - row[i].recall) < 1e-6);
        if (fabs(k->f1 - row[i].f1) > 2e-4) print_error("%s: F1 %g, published %g\n", row[i].name, k->f1, row[i].f1);
        assert_true(fabs(k->f1 - row[i].f1) <= 2e-4); /* precision and recall were rounded too */
        if (row[i].iou > 0) assert_true(fabs(k->iou - row[i].iou) <= 1e-4);
        double p = k->precision, r = k->recall;
        assert_true(fabs(k->f1 - 2 * p * r / (p + r)) < 1e-12);
        assert_true(fabs(k->iou - p * r / (p + r - p * r)) < 1e-12);
        rt_metrics_free(&m);
        rt_confusion_free(c);
    }
}

static void json(void **state)
{
    (void)state;
    const char *names[] = {"cat", "a dog", "bear", "evil\033\"\\"};
    char *s = printed(JSON, names);
    assert_non_null(strstr(s, "\"accuracy\": 0.59999999999999998"));
    assert_non_null(strstr(s, "\"f1_macro\": 0.25,"));
    assert_non_null(strstr(s, "\"f1_weighted\": 0.59999999999999998"));
    assert_non_null(strstr(s, "\"most_confused\": [{\"a\": \"cat\", \"b\": \"a dog\", \"a_as_b\": 0, \"b_as_a\": 1}, "));
    assert_non_null(strstr(s, "\"absent\": [\"evil\\\\x1b\\\"\\\\\"]"));
    assert_non_null(
        strstr(s, "\"confusion\": [[3, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]"));
    assert_true(s[0] == '"' && s[strlen(s) - 1] == ']');
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_numbers),
        cmocka_unit_test(absent_classes),
        cmocka_unit_test(refuses_other_classes),
        cmocka_unit_test(empty_is_zero),
        cmocka_unit_test(text),
        cmocka_unit_test(pixels),
        cmocka_unit_test(pairs),
        cmocka_unit_test(published_classes),
        cmocka_unit_test(json),
    };
    return cmocka_run_group_tests_name("runtime metrics", tests, NULL, NULL);
}
