/* ocr: the text on pictures of pages, by a model that knows single characters.
 *
 * in:  `ocr:` of the description: how the characters lie in the pictures that the model was trained on
 * out: text; --boxes: the picture with a box round each character, green where the model is sure, red where it is not
 * rule: a damaged image is reported and the others are still done; the exit code is then 4
 * not here: what is a character (page.c) */
#include "../classes.h"
#include "../feed.h"
#include "../file.h"
#include "../image_write.h"
#include "../json.h"
#include "../model.h"
#include "../session.h"
#include "../verbs.h"
#include "page.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Ocr {
    RtSession s;
    RtFeed feed;
    RtDataConfig config;
    char **names;
    RtJson json;
    bool as_text, as_json, light;
    double fill;
    float *input;  /* a batch */
    uint8_t *crop; /* one of it */
    int failed;
} Ocr;

typedef struct Answer {
    int class;
    double p;
} Answer;

/* A crop as the data set's images are: every channel the same, mean and std applied. */
static void put_input(Ocr *x, float *chw)
{
    const RtDataConfig *c = &x->config;
    int area = c->height * c->width;
    for (int k = 0; k < c->channels; k++)
        for (int i = 0; i < area; i++)
            *chw++ = (float)((x->crop[i] / 255.0 - c->mean[k]) / c->std[k]);
}

/* -> [p->n][classes] */
static double *classify(Ocr *x, const RtPage *p)
{
    int classes = x->feed.classes;
    double *all = rt_alloc((size_t)p->n + 1, (size_t)classes * sizeof *all, "probabilities");
    for (int first = 0; first < p->n; first += x->feed.batch) {
        int n = p->n - first < x->feed.batch ? p->n - first : x->feed.batch;
        for (int i = 0; i < n; i++) {
            if (!rt_page_crop(p, first + i, x->config.height, x->config.width, x->fill, x->light,
                              x->crop))
                rt_fail(RT_EXIT_MEMORY, "E003", "cannot allocate memory for a character");
            put_input(x, x->input + i * x->feed.input_size);
        }
        rt_feed_put(&x->feed, x->input, NULL, n);
        rt_feed_run(&x->feed);
        for (int i = 0; i < n; i++)
            rt_feed_probabilities(&x->feed, x->feed.output + i * x->feed.output_size,
                                  all + (first + i) * classes);
    }
    return all;
}

/* ---- words ---- */

typedef enum Kind { OTHER, LETTER, DIGIT } Kind;

static Kind kind_of(const char *name)
{
    bool one = name[0] && !name[1];
    return !one                               ? OTHER
           : name[0] >= '0' && name[0] <= '9' ? DIGIT
           : isalpha((unsigned char)name[0])  ? LETTER
                                              : OTHER;
}

/* How likely the others of a word make a letter, and a digit: seen[] counts what they are. */
static double expected(const double seen[3], Kind kind)
{
    const double doubt = 0.05; /* words of both kinds there are */
    return kind == OTHER ? 0.5 : (seen[kind] + doubt) / (seen[LETTER] + seen[DIGIT] + 2 * doubt);
}

static Answer choose(const Ocr *x, const double *p, const double seen[3])
{
    Answer a = {0, -1};
    double sum = 0;
    for (int k = 0; k < x->feed.classes; k++) {
        double v = p[k] * expected(seen, kind_of(x->names[k]));
        sum += v;
        if (v > a.p) a = (Answer){k, v};
    }
    a.p /= sum;
    return a;
}

/* Marks [first, end) are a word. O and 0, I and 1 look alike in many fonts: such a mark goes by its neighbours. */
static void read_word(const Ocr *x, const double *all, int first, int end, bool alone,
                      Answer *answer)
{
    int classes = x->feed.classes;
    double mass[3] = {0}; /* of the word */
    for (int i = first; i < end && !alone; i++)
        for (int k = 0; k < classes; k++) mass[kind_of(x->names[k])] += all[i * classes + k];
    for (int i = first; i < end; i++) {
        double seen[3] = {mass[0], mass[1], mass[2]};
        for (int k = 0; k < classes && !alone; k++)
            seen[kind_of(x->names[k])] -= all[i * classes + k];
        for (int k = 0; k < 3; k++) seen[k] = seen[k] > 0 ? seen[k] : 0; /* rounding */
        answer[i] = choose(x, all + i * classes, seen);
    }
}

static Answer *read_words(Ocr *x, const RtPage *p)
{
    Answer *answer = rt_alloc((size_t)p->n + 1, sizeof *answer, "characters");
    double *all = classify(x, p);
    bool alone = !rt_option_bool(&x->s.opt, "ocr.words", true);
    for (int first = 0, end; first < p->n; first = end) {
        end = first + 1;
        while (end < p->n && p->mark[end].line == p->mark[first].line && !p->mark[end].space) end++;
        read_word(x, all, first, end, alone, answer);
    }
    free(all);
    return answer;
}

/* ---- what is said ---- */

static void json_box(RtJson *j, const RtBox *b)
{
    const int v[4] = {b->x0, b->y0, b->x1 - b->x0, b->y1 - b->y0};
    rt_json_array(j, "box");
    for (int i = 0; i < 4; i++) rt_json_int(j, NULL, v[i]);
    rt_json_end_array(j);
}

static void json_line(Ocr *x, const RtPage *p, const Answer *a, int first, int end,
                      const char *text)
{
    rt_json_object(&x->json, NULL);
    rt_json_str(&x->json, "text", text);
    rt_json_array(&x->json, "characters");
    for (int i = first; i < end; i++) {
        rt_json_object(&x->json, NULL);
        rt_json_str(&x->json, "class", x->names[a[i].class]);
        rt_json_num(&x->json, "probability", a[i].p);
        json_box(&x->json, &p->mark[i].box);
        rt_json_end_object(&x->json);
    }
    rt_json_end_array(&x->json);
    rt_json_end_object(&x->json);
}

/* The text of all lines, each ended by a newline. */
static char *say(Ocr *x, const RtPage *p, const Answer *a)
{
    char *all = NULL;
    size_t size;
    FILE *f = open_memstream(&all, &size);
    if (!f) rt_fail(RT_EXIT_MEMORY, "E003", "cannot allocate memory for the text");
    rt_json_array(&x->json, "lines");
    for (int first = 0, end; first < p->n; first = end) {
        char *line = NULL;
        FILE *l = open_memstream(&line, &size);
        if (!l) rt_fail(RT_EXIT_MEMORY, "E003", "cannot allocate memory for the text");
        for (end = first; end < p->n && p->mark[end].line == p->mark[first].line; end++)
            fprintf(l, "%s%s", p->mark[end].space ? " " : "", x->names[a[end].class]);
        fclose(l);
        json_line(x, p, a, first, end, line);
        fprintf(f, "%s\n", line);
        free(line);
    }
    rt_json_end_array(&x->json);
    fclose(f);
    return all;
}

/* Levenshtein's distance between the texts' characters, spaces and empty lines left out. -> how many are right. */
static int right_characters(const char *truth, const char *text, int *n)
{
    size_t nt = strlen(truth), ns = strlen(text), length = 0, other = 0;
    char *a = rt_alloc(nt + 1, 1, "a text"), *b = rt_alloc(ns + 1, 1, "a text");
    for (size_t i = 0; i < nt; i++)
        if (!strchr(" \t\r\n", truth[i])) a[length++] = truth[i];
    for (size_t i = 0; i < ns; i++)
        if (!strchr(" \t\r\n", text[i])) b[other++] = text[i];
    int *row = rt_alloc(other + 1, sizeof *row, "a row");
    for (size_t k = 0; k <= other; k++) row[k] = (int)k;
    for (size_t i = 1; i <= length; i++) {
        int corner = row[0];
        row[0] = (int)i;
        for (size_t k = 1; k <= other; k++) {
            int up = row[k], best = corner + (a[i - 1] != b[k - 1]);
            if (up + 1 < best) best = up + 1;
            if (row[k - 1] + 1 < best) best = row[k - 1] + 1;
            row[k] = best;
            corner = up;
        }
    }
    int wrong = row[other];
    *n = (int)length;
    free(a);
    free(b);
    free(row);
    return wrong > *n ? 0 : *n - wrong;
}

static void compare(Ocr *x, const char *path, const char *text)
{
    size_t size;
    const char *why;
    char *truth = rt_file_read(path, &size, &why);
    if (!truth) rt_fail(RT_EXIT_DATA, "D002", "cannot read '%s': %s", rt_esc(path), why);
    int n, right = right_characters(truth, text, &n);
    double share = n ? (double)right / n : 0;
    if (x->as_text) printf("%d of %d characters are right (%.1f%%)\n", right, n, 100 * share);
    rt_json_int(&x->json, "characters", n);
    rt_json_int(&x->json, "right", right);
    rt_json_num(&x->json, "accuracy", share);
    free(truth);
}

/* ---- boxes ---- */

static void dot(RtImage *img, int y, int x, const uint8_t rgb[3])
{
    if (y >= 0 && x >= 0 && y < img->h && x < img->w)
        memcpy(img->px + 3 * ((size_t)y * (size_t)img->w + (size_t)x), rgb, 3);
}

static void frame(RtImage *img, const RtBox *b, int thick, const uint8_t rgb[3])
{
    for (int t = 1; t <= thick; t++) {
        for (int x = b->x0 - t; x < b->x1 + t; x++)
            dot(img, b->y0 - t, x, rgb), dot(img, b->y1 - 1 + t, x, rgb);
        for (int y = b->y0 - t; y < b->y1 + t; y++)
            dot(img, y, b->x0 - t, rgb), dot(img, y, b->x1 - 1 + t, rgb);
    }
}

static void save_boxes(const char *path, const RtPage *p, const Answer *a)
{
    static const uint8_t sure[3] = {30, 150, 60}, fair[3] = {230, 150, 20},
                         unsure[3] = {215, 40, 40};
    size_t n = (size_t)p->h * (size_t)p->w;
    RtImage img = {rt_alloc(n, 3, "a picture"), 3, p->h, p->w};
    for (size_t i = 0; i < n; i++) memset(img.px + 3 * i, p->px[i], 3);
    for (int i = 0; i < p->n; i++)
        frame(&img, &p->mark[i].box, 1 + p->mark[i].height / 24,
              a[i].p >= 0.9   ? sure
              : a[i].p >= 0.5 ? fair
                              : unsure);
    rt_png_save(path, &img, NULL);
    free(img.px);
}

/* ---- the verb ---- */

static bool load(const char *path, RtImage *img, RtError *e)
{
    uint8_t *bytes;
    size_t n;
    RtImageInfo info;
    if (!rt_image_read(path, path, &bytes, &n, e)) return false;
    bool ok = rt_image_check(bytes, n, path, &info, e) &&
              rt_image_decode(bytes, n, &info, 1, path, img, e);
    free(bytes);
    return ok;
}

static void read_page(Ocr *x, const char *path)
{
    RtError e;
    RtImage img;
    RtPage p;
    const char *boxes = rt_option_str(&x->s.opt, "run.boxes", NULL),
               *truth = rt_option_str(&x->s.opt, "run.truth", NULL);
    bool there = load(path, &img, &e);
    if (!there || !rt_page_read(&p, &img, path, &e)) {
        rt_warn(e.id, "%s", e.text);
        if (there) free(img.px);
        x->failed++;
        return;
    }
    Answer *answer = read_words(x, &p);
    rt_json_object(&x->json, NULL);
    rt_json_str(&x->json, "file", path);
    char *text = say(x, &p, answer);
    if (x->as_text && x->s.opt.nrest > 1) printf("%s:\n", rt_esc(path));
    if (x->as_text) fputs(p.n ? text : "(no text)\n", stdout);
    if (truth) compare(x, truth, text);
    rt_json_end_object(&x->json);
    if (boxes) save_boxes(boxes, &p, answer);
    free(text);
    free(answer);
    free(img.px);
    rt_page_free(&p);
}

static void open_ocr(Ocr *x, const RtVerb *v)
{
    rt_session_open(&x->s, v, RT_VERB_OCR);
    const RtOptions *o = &x->s.opt;
    if (o->nrest == 0) rt_fail(RT_EXIT_USAGE, "C001", "nothing to read: give image files");
    bool one = rt_option_given(o, "run.boxes") || rt_option_given(o, "run.truth");
    if (o->nrest > 1 && one)
        rt_fail(RT_EXIT_USAGE, "C003", "--boxes and --truth are for a single image");
    x->light = !strcmp(rt_option_str(o, "ocr.ink", "dark"), "light");
    x->fill = rt_option_num(o, "ocr.fill", 0.73);
    RtSt *weights = rt_session_weights(&x->s);
    rt_feed_init(&x->feed, rt_session_exec(&x->s, RT_INFER, 0), o);
    if (!x->feed.classes)
        rt_fail(RT_EXIT_USAGE, "C003", "this model does not classify\n`run` gives its raw output");
    rt_exec_prepare(x->feed.exec);
    rt_session_data_config(&x->s, &x->config);
    x->names = rt_classes(weights, x->feed.classes);
    rt_st_free(weights);
    x->input =
        rt_alloc((size_t)(x->feed.input_size * x->feed.batch), sizeof *x->input, "characters");
    x->crop = rt_alloc((size_t)(x->config.height * x->config.width), 1, "a character");
    const char *json = rt_option_str(o, "run.json", NULL);
    x->as_json = json != NULL;
    x->as_text = !json || strcmp(json, "-") != 0;
    rt_json_begin(&x->json, true);
    rt_json_array(&x->json, "pages");
}

static void close_ocr(Ocr *x)
{
    rt_json_end_array(&x->json);
    rt_json_int(&x->json, "failed", x->failed);
    if (x->as_json)
        rt_json_save(&x->json, rt_option_str(&x->s.opt, "run.json", "-"));
    else
        rt_json_free(&x->json);
    rt_classes_free(x->names);
    free((void *)(uintptr_t)x->config.classes);
    free(x->input);
    free(x->crop);
    rt_exec_free(x->feed.exec);
    rt_feed_free(&x->feed);
    rt_session_close(&x->s);
}

static int ocr(const RtVerb *v)
{
    Ocr x = {0};
    open_ocr(&x, v);
    for (int i = 0; i < x.s.opt.nrest; i++) read_page(&x, x.s.opt.rest[i]);
    close_ocr(&x);
    return x.failed ? RT_EXIT_DATA : RT_EXIT_OK;
}

const RtVerbPart rt_part_ocr = {ocr};
