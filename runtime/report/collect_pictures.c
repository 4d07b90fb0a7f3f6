/* Pictures for the report: items, augmented samples, masks over items, weights of the first layer.
 *
 * In: floats as the model takes them. Out: PNG.
 * Rule: the normalisation is taken back; one channel is grey, three are RGB, of others the first is shown. */
#include "../err.h"
#include "../file.h"
#include "../image_write.h"
#include "../model.h"
#include "../tensor.h"
#include "collect.h"
#include "page.h"
#include "report.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SIDE = 160, SAMPLES = 6, VERSIONS = 7, MOST_TILES = 256, TILE = 24, GAP = 2 };

static uint8_t byte_of(double v)
{
    return (uint8_t)(v <= 0 ? 0 : v >= 255 ? 255 : v + 0.5);
}

/* ---- into JSON ---- */

static void write_png(RtJson *j, const char *key, const uint8_t *file, size_t n)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f) rt_fail(RT_EXIT_MEMORY, "E003", "cannot allocate a picture");
    rt_base64(f, file, n);
    fclose(f);
    rt_json_str(j, key, text);
    free(text);
}

/* Means of k x k pixels. */
static uint8_t *shrink(const uint8_t *px, int c, int h, int w, int k)
{
    int sh = h / k, sw = w / k;
    uint8_t *out = rt_alloc((size_t)sh * (size_t)sw, (size_t)c, "a picture");
    for (int y = 0; y < sh; y++) {
        for (int x = 0; x < sw * c; x++) {
            unsigned sum = 0;
            for (int i = 0; i < k * k; i++)
                sum += px[((size_t)(y * k + i / k) * (size_t)w + (size_t)(x / c * k + i % k)) * (size_t)c + (size_t)(x % c)];
            out[(size_t)y * (size_t)(sw * c) + (size_t)x] = (uint8_t)((sum + (unsigned)(k * k) / 2) / (unsigned)(k * k));
        }
    }
    return out;
}

void rt_collect_png(RtJson *j, const char *key, const uint8_t *px, int c, int h, int w)
{
    int k = ((h > w ? h : w) + SIDE - 1) / SIDE;
    if (k > 1 && (h < k || w < k)) k = h < w ? h : w;
    uint8_t *small = k > 1 ? shrink(px, c, h, w, k) : NULL;
    RtImage img = {small ? small : (uint8_t *)(uintptr_t)px, c, k > 1 ? h / k : h, k > 1 ? w / k : w};
    size_t n;
    uint8_t *png = rt_png_encode(&img, NULL, &n);
    write_png(j, key, png, n);
    free(png);
    free(small);
}

/* [h][w][shown] bytes of a normalised picture. */
static uint8_t *bytes_of(const RtCollect *x, const float *chw, int shown)
{
    size_t plane = (size_t)x->h * (size_t)x->w;
    uint8_t *px = rt_alloc(plane, (size_t)shown, "a picture");
    for (int c = 0; c < shown; c++) {
        int from = c < x->c ? c : 0;
        if (x->c != 3) from = 0;
        for (size_t i = 0; i < plane; i++)
            px[i * (size_t)shown + (size_t)c] =
                byte_of(255 * ((double)chw[(size_t)from * plane + i] * x->config.std[from] + x->config.mean[from]));
    }
    return px;
}

void rt_collect_plain(const RtCollect *x, const char *key, const float *chw)
{
    int shown = x->c == 3 ? 3 : 1;
    uint8_t *px = bytes_of(x, chw, shown);
    rt_collect_png(x->j, key, px, shown, x->h, x->w);
    free(px);
}

void rt_collect_mask(const RtCollect *x, const char *key, const float *chw, const int32_t *label, const uint8_t *rgb)
{
    size_t plane = (size_t)x->h * (size_t)x->w;
    uint8_t *px = bytes_of(x, chw, 3);
    for (size_t i = 0; i < plane; i++) {
        bool known = label[i] >= 0 && label[i] < x->feed->classes && label[i] < 256;
        for (size_t c = 0; c < 3; c++) {
            unsigned over = known ? rgb[3 * (size_t)label[i] + c] : 0;
            px[3 * i + c] = (uint8_t)((2 * px[3 * i + c] + 3 * over) / 5);
        }
    }
    rt_collect_png(x->j, key, px, 3, x->h, x->w);
    free(px);
}

/* ---- augmented samples ---- */

void rt_collect_augmented(const RtCollect *x)
{
    RtData *d = x->t->data;
    size_t size = (size_t)x->feed->input_size;
    int64_t items = rt_data_count(d, RT_SPLIT_TRAIN), n = items < SAMPLES ? items : SAMPLES;
    float *chw = rt_alloc(size * VERSIONS, sizeof *chw, "samples");
    int32_t *labels = rt_alloc((size_t)rt_data_label_size(d), sizeof *labels, "labels");
    bool same = true;
    if (x->c) rt_json_array(x->j, "augmented");
    for (int64_t i = 0; i < n && x->c && (i == 0 || !same); i++) {
        int64_t index = items / n * i;
        RtError e;
        for (int v = 0; v < VERSIONS; v++) {
            float *out = chw + size * (size_t)v;
            if (!rt_data_batch(d, RT_SPLIT_TRAIN, &index, 1, v > 0, x->t->seed, (uint64_t)(v ? v - 1 : 0), out, labels, &e))
                rt_fail(e.exit, e.id, "%s", e.text);
            same = same && !memcmp(out, chw, size * sizeof *chw);
        }
        if (same) break; /* nothing is augmented */
        rt_json_array(x->j, NULL);
        for (int v = 0; v < VERSIONS; v++) rt_collect_plain(x, NULL, chw + size * (size_t)v);
        rt_json_end_array(x->j);
    }
    if (x->c) rt_json_end_array(x->j);
    free(chw);
    free(labels);
}

/* ---- weights of the first layer ---- */

typedef struct Filters { /* out x [c][h][w] */
    const RtTensor *t;
    int n, c, h, w;
} Filters;

/* The first weights that can be seen as pictures: of a convolution, or of a Linear on the whole input. */
static bool find_filters(const RtTrain *t, Filters *f)
{
    const RtModel *m = t->s->model;
    const RtTensor *s = rt_model_states(m), *in = rt_exec_tensor(t->train.exec, "input");
    for (uint32_t i = 0; i < m->nstates; i++, s++) {
        if (s->role != RT_PARAM || s->rank < 2) continue;
        int64_t plane = in->rank == 4 ? in->dim[2] * in->dim[3] : 0;
        *f = (Filters){s, (int)(s->dim[0] < MOST_TILES ? s->dim[0] : MOST_TILES), 0, 0, 0};
        if (s->rank == 4) {
            f->c = (int)s->dim[1], f->h = (int)s->dim[2], f->w = (int)s->dim[3];
        } else if (s->rank == 2 && plane && s->dim[1] == in->dim[1] * plane) {
            f->c = (int)in->dim[1], f->h = (int)in->dim[2], f->w = (int)in->dim[3];
        }
        return f->h > 1 && f->w > 1; /* what follows is no first layer */
    }
    return false;
}

/* One field: values by the largest of it; grey is 0. */
static void draw_filter(const Filters *f, const float *v, uint8_t *px, int stride, int zoom, int shown)
{
    size_t plane = (size_t)f->h * (size_t)f->w;
    double most = 1e-30;
    for (size_t i = 0; i < plane * (size_t)(shown == 3 ? 3 : 1); i++) most = fmax(most, fabs((double)v[i]));
    for (int y = 0; y < f->h * zoom; y++) {
        for (int x = 0; x < f->w * zoom; x++) {
            for (int c = 0; c < shown; c++) {
                double w = (double)v[(size_t)c * plane + (size_t)(y / zoom) * (size_t)f->w + (size_t)(x / zoom)];
                px[(size_t)y * (size_t)stride + (size_t)(x * shown + c)] = byte_of(127.5 + 127.5 * w / most);
            }
        }
    }
}

static RtImage draw_filters(const RtTrain *t, const Filters *f)
{
    int shown = f->c == 3 ? 3 : 1, side = f->h > f->w ? f->h : f->w, zoom = side >= TILE ? 1 : TILE / side;
    int columns = (int)ceil(sqrt(f->n * 1.6)), rows = (f->n + columns - 1) / columns;
    int th = f->h * zoom + GAP, tw = f->w * zoom + GAP;
    RtImage img = {.c = shown, .h = rows * th + GAP, .w = columns * tw + GAP};
    size_t count = (size_t)rt_tensor_count(f->t), each = count / (size_t)f->t->dim[0];
    float *v = rt_alloc(count, sizeof *v, "weights");
    rt_unpack(f->t, rt_state_read(t->s->state, f->t), v);
    img.px = rt_alloc((size_t)img.h * (size_t)img.w, (size_t)shown, "a picture");
    for (int i = 0; i < f->n; i++) {
        size_t y = (size_t)(GAP + i / columns * th), x = (size_t)(GAP + i % columns * tw), c = (size_t)shown;
        draw_filter(f, v + each * (size_t)i, img.px + (y * (size_t)img.w + x) * c, img.w * shown, zoom, shown);
    }
    free(v);
    return img;
}

void rt_collect_first_weights(RtTrain *t)
{
    Filters f;
    if (!find_filters(t, &f)) return;
    RtImage img = draw_filters(t, &f);
    char *dir = rt_rundir_file(&t->dir, "plots"), *path = rt_rundir_file(&t->dir, "plots/weights-first.png");
    if (mkdir(dir, 0777) != 0 && errno != EEXIST)
        rt_fail(RT_EXIT_WRITE, "C005", "cannot create '%s': %s", rt_esc(dir), strerror(errno));
    rt_png_save(path, &img, NULL);
    free(img.px);
    free(path);
    free(dir);
}

static void weights_image(const RtCollect *x, const char *when, const uint8_t *file, size_t n)
{
    rt_json_object(x->j, NULL);
    rt_json_str(x->j, "when", when);
    write_png(x->j, "png", file, n);
    rt_json_end_object(x->j);
}

void rt_collect_weights(const RtCollect *x)
{
    Filters f;
    if (!find_filters(x->t, &f)) return;
    RtImage img = draw_filters(x->t, &f);
    const RtModel *m = x->t->s->model;
    char *path = rt_rundir_file(&x->t->dir, "plots/weights-first.png"), shape[80], when[48];
    const char *why;
    size_t n;
    uint8_t *first = (uint8_t *)rt_file_read(path, &n, &why); /* of a run that was resumed, from its beginning */
    snprintf(shape, sizeof shape, "%lld outputs of %dx%dx%d%s", (long long)f.t->dim[0], f.c, f.h, f.w,
             f.t->dim[0] > f.n ? ", the first of them" : f.c != 1 && f.c != 3 ? ", their first channel" : "");
    rt_json_object(x->j, "weights");
    rt_json_str(x->j, "name", RT_STR(m, f.t->name));
    rt_json_str(x->j, "shape", shape);
    rt_json_array(x->j, "images");
    if (first) weights_image(x, "before training", first, n);
    free(first);
    free(path);
    path = rt_rundir_file(&x->t->dir, "plots/weights-best.png");
    rt_png_save(path, &img, NULL);
    first = rt_png_encode(&img, NULL, &n);
    snprintf(when, sizeof when, "after epoch %lld", (long long)(x->t->best_epoch ? x->t->best_epoch : x->t->epoch));
    weights_image(x, when, first, n);
    rt_json_end_array(x->j);
    rt_json_end_object(x->j);
    free(first);
    free(path);
    free(img.px);
}
