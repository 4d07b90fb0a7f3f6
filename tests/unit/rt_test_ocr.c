/* Pages of text: rectangles stand for letters, so that boxes, lines and spaces are known exactly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ocr/page.h"

enum { H = 160, W = 320 };
static uint8_t px[H * W];

/* Paper under light that falls off to the right, by half as much as ink differs from paper. */
static void paper(void)
{
    uint32_t noise = 1;
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            noise = noise * 1664525 + 1013904223;
            px[y * W + x] = (uint8_t)(230 - 60 * x / W + (int)(noise >> 29));
        }
}

static void ink(int x, int y, int w, int h)
{
    for (int i = y; i < y + h; i++)
        for (int k = x; k < x + w; k++) px[i * W + k] = (uint8_t)(px[i * W + k] - 120);
}

static void negative(void)
{
    for (int i = 0; i < H * W; i++) px[i] = (uint8_t)(255 - px[i]);
}

static RtPage page(void)
{
    RtPage p;
    RtError e;
    assert_true(rt_page_read(&p, &(RtImage){px, 1, H, W}, "p.png", &e));
    return p;
}

static void expect(const RtPage *p, int i, int line, bool space, int x, int y, int w, int h)
{
    assert_in_range(i, 0, p->n - 1);
    const RtMark *m = &p->mark[i];
    assert_int_equal(m->line, line);
    assert_int_equal(m->space, space);
    assert_true(m->box.x0 == x && m->box.y0 == y && m->box.x1 == x + w && m->box.y1 == y + h);
}

/* Two lines; the second begins higher at its end than it is low at its beginning, as when a page lies askew. */
static void letters(void)
{
    paper();
    for (int i = 0; i < 4; i++) ink(20 + 18 * i, 20, 12, 30);
    for (int i = 0; i < 3; i++) ink(120 + 18 * i, 20 - i, 12, 30);
    for (int i = 0; i < 2; i++) ink(20 + 18 * i, 80 - 2 * i, 12, 30);
    ink(200, 74, 12, 30);
}

static void check_letters(const RtPage *p)
{
    assert_int_equal(p->n, 10);
    assert_int_equal(p->nlines, 2);
    for (int i = 0; i < 4; i++) expect(p, i, 0, false, 20 + 18 * i, 20, 12, 30);
    for (int i = 0; i < 3; i++) expect(p, 4 + i, 0, i == 0, 120 + 18 * i, 20 - i, 12, 30);
    for (int i = 0; i < 2; i++) expect(p, 7 + i, 1, false, 20 + 18 * i, 80 - 2 * i, 12, 30);
    expect(p, 9, 1, true, 200, 74, 12, 30);
}

static void lines_and_spaces(void **state)
{
    (void)state;
    letters();
    RtPage p = page();
    check_letters(&p);
    assert_false(p.light);
    for (int i = 0; i < H * W; i++) { /* every pixel of a box is its mark's; elsewhere is none */
        int inside = -1, x = i % W, y = i / W;
        for (int k = 0; k < p.n; k++) {
            const RtBox *b = &p.mark[k].box;
            if (x >= b->x0 && x < b->x1 && y >= b->y0 && y < b->y1) inside = k;
        }
        assert_int_equal(p.owner[i], inside);
    }
    rt_page_free(&p);
}

static void light_ink(void **state)
{
    (void)state;
    letters();
    negative();
    RtPage p = page();
    check_letters(&p);
    assert_true(p.light);
    rt_page_free(&p);
}

static void parts_of_one_character(void **state)
{
    (void)state;
    paper();
    ink(20, 40, 14, 30);                    /* a letter */
    ink(44, 30, 5, 5), ink(44, 40, 5, 30);  /* i */
    ink(60, 48, 16, 4), ink(60, 58, 16, 4); /* = */
    ink(84, 40, 14, 30);
    ink(90, 100, 14, 30);                    /* below it: another line */
    ink(200, 10, 2, 2), ink(250, 120, 1, 1); /* specks */
    RtPage p = page();
    assert_int_equal(p.n, 5);
    assert_int_equal(p.nlines, 2);
    expect(&p, 0, 0, false, 20, 40, 14, 30);
    expect(&p, 1, 0, false, 44, 30, 5, 40);
    expect(&p, 2, 0, false, 60, 48, 16, 14);
    expect(&p, 3, 0, false, 84, 40, 14, 30);
    expect(&p, 4, 1, false, 90, 100, 14, 30);
    assert_int_equal(p.owner[32 * W + 46], 1); /* the dot */
    assert_int_equal(p.owner[11 * W + 201], -1);
    rt_page_free(&p);
}

/* Diagonal neighbours touch. */
static void eight_neighbours(void **state)
{
    (void)state;
    paper();
    for (int i = 0; i < 30; i++) ink(20 + i, 20 + i, 1, 1);
    for (int i = 0; i < 30; i++) ink(120 - i, 20 + i, 1, 1);
    RtPage p = page();
    assert_int_equal(p.n, 2);
    expect(&p, 0, 0, false, 20, 20, 30, 30);
    expect(&p, 1, 0, true, 91, 20, 30, 30);
    rt_page_free(&p);
}

static void letters_that_touch(void **state)
{
    (void)state;
    paper();
    for (int i = 0; i < 4; i++) ink(20 + 30 * i, 20, 20, 30);
    ink(40, 48, 10, 2); /* the first two share a serif */
    RtPage p = page();
    assert_int_equal(p.n, 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(p.mark[i].line, 0);
        assert_int_equal(p.owner[30 * W + 30 + 30 * i], i);
        assert_in_range(p.mark[i].box.x0, 20 + 30 * i - 8, 20 + 30 * i);
        assert_in_range(p.mark[i].box.x1, 40 + 30 * i, 40 + 30 * i + 8);
    }
    assert_int_equal(p.mark[0].box.x1, p.mark[1].box.x0);
    rt_page_free(&p);
}

static void crops(void **state)
{
    (void)state;
    uint8_t out[20 * 20], inverse[20 * 20];
    for (int light = 0; light < 2; light++) {
        paper();
        ink(50, 20, 20, 40), ink(66, 62, 20, 40);
        ink(100, 20, 40, 40);
        if (light) negative();
        RtPage p = page();
        assert_true(rt_page_crop(&p, 0, 20, 20, 0.8, false, out));
        assert_true(rt_page_crop(&p, 0, 20, 20, 0.8, true, inverse));
        for (int y = 0; y < 20; y++)
            for (int x = 0; x < 20; x++) { /* 40 by 20 becomes 16 by 8, in the middle */
                bool inside = y >= 2 && y < 18 && x >= 6 && x < 14;
                assert_in_range(out[20 * y + x], inside ? 80 : 185, inside ? 130 : 240);
                assert_in_range(inverse[20 * y + x], inside ? 125 : 15, inside ? 175 : 70);
            }
        rt_page_free(&p);
    }
}

/* What reaches into a character's box from its neighbour is paper in its crop. */
static void crops_hold_one_character(void **state)
{
    (void)state;
    uint8_t out[40 * 40];
    paper();
    ink(40, 20, 6, 40), ink(40, 54, 30, 6); /* L */
    ink(54, 20, 40, 6), ink(88, 20, 6, 40); /* reaches over the L */
    RtPage p = page();
    assert_int_equal(p.n, 2);
    assert_true(rt_page_crop(&p, 0, 40, 40, 1, false, out));
    for (int y = 0; y < 30; y++)
        for (int x = 20; x < 40; x++) assert_in_range(out[40 * y + x], 170, 240);
    rt_page_free(&p);
}

static void nothing_to_read(void **state)
{
    (void)state;
    paper();
    RtPage p = page();
    assert_int_equal(p.n, 0);
    rt_page_free(&p);
    memset(px, 255, sizeof px);
    p = page();
    assert_int_equal(p.n, 0);
    rt_page_free(&p);
    uint8_t one = 7;
    RtError e;
    assert_true(rt_page_read(&p, &(RtImage){&one, 1, 1, 1}, "p.png", &e));
    assert_int_equal(p.n, 0);
    rt_page_free(&p);
}

static void no_page(void **state)
{
    (void)state;
    enum { SIDE = 800 };
    uint8_t *dots = malloc(SIDE * SIDE);
    for (int i = 0; i < SIDE * SIDE; i++) dots[i] = i % SIDE % 5 < 2 && i / SIDE % 5 < 2 ? 0 : 255;
    RtPage p;
    RtError e;
    assert_false(rt_page_read(&p, &(RtImage){dots, 1, SIDE, SIDE}, "a\nb.png", &e));
    assert_string_equal(e.id, "D015");
    assert_int_equal(e.exit, 4);
    assert_string_equal(e.text,
                        "'a\\x0ab.png': more than 20000 pieces of ink: this is no page of text");
    free(dots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_and_spaces),
        cmocka_unit_test(light_ink),
        cmocka_unit_test(parts_of_one_character),
        cmocka_unit_test(eight_neighbours),
        cmocka_unit_test(letters_that_touch),
        cmocka_unit_test(crops),
        cmocka_unit_test(crops_hold_one_character),
        cmocka_unit_test(nothing_to_read),
        cmocka_unit_test(no_page),
    };
    return cmocka_run_group_tests_name("runtime pages", tests, NULL, NULL);
}
