/* page: text on paper, as a scanner sees it.
 *
 * out: FILE.png, grey, unevenly lit, with noise; FILE.txt, the text
 * rule: one font for a page, dark on light or light on dark by the seed */
#include "data/draw.h"
#include "data/make.h"
#include "runtime/err.h"
#include "runtime/file.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_LINES = 64, LONGEST = 80 };

static const char built_in[] = "A QUIET MACHINE\n"
                               "COUNTS THE RAIN 1 2 3 4 5\n"
                               "ON A ROOF OF ZINC\n"
                               "\n"
                               "BEFORE 6 OCLOCK\n"
                               "JAZZ FROM WINDOW 78 DRIFTS\n"
                               "EXACTLY 90 STEPS\n"
                               "\n"
                               "VIVID LEAVES AT DUSK\n"
                               "GRAVEL PATHS KEEP THEIR SHAPE\n"
                               "QUARTZ BY THE WATER\n";

typedef struct Page {
    char line[MOST_LINES][LONGEST + 1];
    int n;
    double wide[MOST_LINES], widest;
} Page;

/* Lower case becomes upper case; what is not A-Z, 0-9 or a space is an error: no glyph of it can be learnt. */
static void read_line(Page *p, const char *text, size_t n, const char *name)
{
    if (p->n == MOST_LINES || n > LONGEST)
        rt_fail(RT_EXIT_DATA, "D021", "'%s': a page has at most %d lines of %d characters",
                rt_esc(name), MOST_LINES, LONGEST);
    for (size_t i = 0; i < n; i++) {
        int ch = toupper((unsigned char)text[i]);
        bool known = ch == ' ' || (ch < 128 && isalnum(ch));
        if (!known)
            rt_fail(RT_EXIT_DATA, "D021", "'%s': line %d: '%s' is none of A-Z, 0-9 and space",
                    rt_esc(name), p->n + 1, rt_esc_n(text + i, 1));
        p->line[p->n][i] = (char)ch;
    }
    p->n++;
}

static void read_text(Page *p, const char *path)
{
    const char *why = NULL, *name = path ? path : "text";
    size_t size = 0;
    char *text = path ? rt_file_read(path, &size, &why) : rt_strdup(built_in);
    if (!text) rt_fail(RT_EXIT_DATA, "D002", "cannot read '%s': %s", rt_esc(path), why);
    for (const char *at = text; *at;) {
        size_t n = strcspn(at, "\n");
        read_line(p, at, n > 0 && at[n - 1] == '\r' ? n - 1 : n, name);
        at += n + (at[n] == '\n');
    }
    free(text);
    if (p->n == 0) rt_fail(RT_EXIT_DATA, "D001", "'%s': no text", rt_esc(name));
}

static void measure(Page *p, cairo_t *c)
{
    for (int i = 0; i < p->n; i++) {
        cairo_text_extents_t e;
        cairo_text_extents(c, p->line[i], &e);
        p->wide[i] = e.x_advance;
        if (p->wide[i] > p->widest) p->widest = p->wide[i];
    }
}

/* Light falls off from one corner to the other. */
static void light(RtImage *img, Dice *d, double paper, double ink)
{
    double a = dice_real(d, 0, 2 * M_PI), fall = dice_real(d, 0.1, 0.35);
    for (int y = 0; y < img->h; y++)
        for (int x = 0; x < img->w; x++) {
            uint8_t *p = &img->px[y * img->w + x];
            double at = (x / (double)img->w - 0.5) * cos(a) + (y / (double)img->h - 0.5) * sin(a);
            double v = (paper + (ink - paper) * *p / 255.0) * (1 - fall * (at + 0.5));
            *p = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v + 0.5);
        }
}

static RtImage draw_page(Page *p, const Make *m, Dice *d)
{
    double px = m->size / 0.73, step = px * 1.5, margin = px; /* capitals are 0.73 of an em high */
    int family = dice_int(d, DRAW_FONTS), bold = dice_int(d, 2), dark = dice_int(d, 4);
    Canvas probe = canvas_new(1, 1);
    draw_font(probe.c, family, bold);
    cairo_set_font_size(probe.c, px);
    measure(p, probe.c);
    free(canvas_take(&probe, 1).px);
    double w = p->widest + 2 * margin, h = p->n * step + 2 * margin;
    if (w > RT_IMAGE_MAX_SIDE || h > RT_IMAGE_MAX_SIDE)
        rt_fail(RT_EXIT_USAGE, "C002",
                "--size: letters of %d pixels make a page of %.0fx%.0f, the limit is %d", m->size,
                w, h, RT_IMAGE_MAX_SIDE);
    Canvas v = canvas_new((int)h, (int)w);
    draw_font(v.c, family, bold);
    cairo_set_font_size(v.c, px);
    draw_colour(v.c, (Colour){1, 1, 1});
    for (int i = 0; i < p->n; i++) {
        cairo_move_to(v.c, margin, margin + i * step + px);
        cairo_show_text(v.c, p->line[i]);
    }
    RtImage img = canvas_take(&v, 1);
    double paper = dice_real(d, 215, 250), ink = dice_real(d, 15, 70);
    light(&img, d, dark ? paper : ink, dark ? ink : paper);
    draw_noise(&img, d, dice_real(d, 2, 8));
    return img;
}

char *make_page(const Make *m)
{
    size_t n = strlen(m->path), characters = 0;
    if (n < 5 || strcmp(m->path + n - 4, ".png") != 0)
        rt_fail(RT_EXIT_USAGE, "C001", "'%s': a page is a file NAME.png", rt_esc(m->path));
    Page *p = rt_alloc(1, sizeof *p, "a page");
    Dice d = dice(m->seed, 'p', 0, 0);
    read_text(p, m->text);
    RtImage img = draw_page(p, m, &d);
    char *truth = rt_format("%.*s.txt", (int)n - 4, m->path),
         *text = rt_alloc(MOST_LINES, LONGEST + 2, "a text"), *at = text;
    for (int i = 0; i < p->n; i++) {
        at += sprintf(at, "%s\n", p->line[i]);
        for (const char *c = p->line[i]; *c; c++) characters += *c != ' ';
    }
    rt_png_save(m->path, &img, NULL);
    rt_file_save(truth, text, (size_t)(at - text), NULL);
    char *line = rt_format("%zu characters in %d lines, %dx%d; the text is in '%s'", characters,
                           p->n, img.w, img.h, rt_esc(truth));
    free(img.px);
    free(truth);
    free(text);
    free(p);
    return line;
}
