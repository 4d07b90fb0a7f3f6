/* Resizing with a triangle filter (bilinear) that widens when it shrinks, so that every source
 * pixel counts.
 *
 * Two passes, first along rows, then along columns, each rounding to 8 bits. Weights are computed
 * in double, normalised, and rounded to 22-bit fixed point: the arithmetic of BILINEAR in Pillow up
 * to 11, so that an image prepared there and one prepared here have the same bits.
 */
#include "image.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FRACTION = 22 };

typedef struct Taps { /* output i = sum of weight[i*width + k] * input[first[i] + k], k < count[i]
                       */
    int width;
    int *first, *count;
    int32_t *weight;
} Taps;

static void taps_free(Taps *t)
{
    free(t->first);
    free(t->count);
    free(t->weight);
}

static bool taps_make(Taps *t, int in, int out)
{
    double scale = (double)in / out, stretch = scale > 1 ? scale : 1;
    size_t total;
    t->width = 2 * (int)ceil(stretch) + 1;
    t->first = malloc((size_t)out * sizeof *t->first);
    t->count = malloc((size_t)out * sizeof *t->count);
    t->weight = __builtin_mul_overflow((size_t)out, (size_t)t->width, &total)
                    ? NULL
                    : calloc(total, sizeof *t->weight);
    double *w = malloc((size_t)t->width * sizeof *w);
    bool ok = t->first && t->count && t->weight && w;
    for (int i = 0; ok && i < out; i++) {
        double centre = (i + 0.5) * scale, sum = 0;
        int lo = (int)(centre - stretch + 0.5), hi = (int)(centre + stretch + 0.5);
        if (lo < 0) lo = 0;
        if (hi > in) hi = in;
        t->first[i] = lo;
        t->count[i] = hi - lo;
        for (int k = 0; k < hi - lo; k++) {
            double far = fabs((lo + k - centre + 0.5) * (1.0 / stretch));
            w[k] = far < 1 ? 1 - far : 0;
            sum += w[k];
        }
        double norm = 1 / sum;
        for (int k = 0; k < hi - lo; k++) /* all weights are positive: adding a half rounds */
            t->weight[(size_t)i * (size_t)t->width + (size_t)k] =
                (int32_t)(0.5 + w[k] * norm * (double)(1 << FRACTION));
    }
    free(w);
    return ok;
}

/* One output line of n values; consecutive taps are `step` bytes apart. */
static void combine(const uint8_t *in, size_t step, size_t n, const int32_t *w, int count,
                    uint8_t *out)
{
    for (size_t i = 0; i < n; i++) {
        int32_t sum = 1 << (FRACTION - 1);
        for (int k = 0; k < count; k++) sum += in[i + (size_t)k * step] * w[k];
        sum >>= FRACTION;
        out[i] = (uint8_t)(sum > 255 ? 255 : sum);
    }
}

static bool image_new(RtImage *img, int c, int h, int w)
{
    size_t n;
    *img = (RtImage){.c = c, .h = h, .w = w};
    if (__builtin_mul_overflow((size_t)h, (size_t)w, &n) ||
        __builtin_mul_overflow(n, (size_t)c, &n))
        return false;
    img->px = malloc(n ? n : 1);
    return img->px != NULL;
}

static bool copy_of(const RtImage *in, RtImage *out)
{
    if (!image_new(out, in->c, in->h, in->w)) return false;
    memcpy(out->px, in->px, (size_t)in->h * (size_t)in->w * (size_t)in->c);
    return true;
}

static bool rows(const RtImage *in, int w, RtImage *out)
{
    Taps t = {0};
    size_t c = (size_t)in->c;
    if (in->w == w) return copy_of(in, out);
    bool ok = image_new(out, in->c, in->h, w) && taps_make(&t, in->w, w);
    for (int y = 0; ok && y < in->h; y++) {
        const uint8_t *src = in->px + (size_t)y * (size_t)in->w * c;
        uint8_t *dst = out->px + (size_t)y * (size_t)w * c;
        for (int x = 0; x < w; x++)
            combine(src + (size_t)t.first[x] * c, c, c, t.weight + (size_t)x * (size_t)t.width,
                    t.count[x], dst + (size_t)x * c);
    }
    taps_free(&t);
    return ok;
}

static bool columns(const RtImage *in, int h, RtImage *out)
{
    Taps t = {0};
    size_t line = (size_t)in->w * (size_t)in->c;
    if (in->h == h) return copy_of(in, out);
    bool ok = image_new(out, in->c, h, in->w) && taps_make(&t, in->h, h);
    for (int y = 0; ok && y < h; y++)
        combine(in->px + (size_t)t.first[y] * line, line, line,
                t.weight + (size_t)y * (size_t)t.width, t.count[y], out->px + (size_t)y * line);
    taps_free(&t);
    return ok;
}

bool rt_image_resize(const RtImage *in, int h, int w, RtImage *out)
{
    RtImage wide = {0};
    *out = (RtImage){0};
    bool ok = rows(in, w, &wide) && columns(&wide, h, out);
    free(wide.px);
    if (!ok) {
        free(out->px);
        out->px = NULL;
    }
    return ok;
}

/* Pillow adds up the step, so that its rounding decides where a middle falls between two pixels. */
static void middles(int *at, int in, int out)
{
    double step = (double)in / out, x = step * 0.5;
    for (int i = 0; i < out; i++, x += step) at[i] = (int)x < in ? (int)x : in - 1;
}

bool rt_image_resize_nearest(const RtImage *in, int h, int w, RtImage *out)
{
    size_t c = (size_t)in->c;
    int *at = malloc(((size_t)h + (size_t)w) * sizeof *at), *column = at ? at + h : NULL;
    *out = (RtImage){0};
    bool ok = at && image_new(out, in->c, h, w);
    if (ok) {
        middles(at, in->h, h);
        middles(column, in->w, w);
    }
    for (int y = 0; ok && y < h; y++) {
        const uint8_t *row = in->px + (size_t)at[y] * (size_t)in->w * c;
        uint8_t *dst = out->px + (size_t)y * (size_t)w * c;
        for (int x = 0; x < w; x++, dst += c) memcpy(dst, row + (size_t)column[x] * c, c);
    }
    free(at);
    return ok;
}
