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
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { FRACTION = 22 };

typedef struct Taps { /* output i = sum of weight[i*width + k] * input[first[i] + k], k < count[i]
                       */
    int width;
    int *first, *count;
    int32_t *weight;
    int32_t *pair; /* the weights as `halves` makes them */
} Taps;

/* SSE2 multiplies pairs of 16 bits and adds them: a pixel p and p * 2^7 against the low 15 bits of a
 * weight and its high bits * 2^8 give p * weight, all of it below 2^31. A weight of 1 is one unit too
 * large for that; without the unit the rounded sum is the same. */
static int32_t halves(int32_t w)
{
    if (w == 1 << FRACTION) w--;
    return (w & 0x7fff) | (w >> 15) << 24;
}

static void taps_free(Taps *t)
{
    free(t->first);
    free(t->count);
    free(t->weight);
    free(t->pair);
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
    t->pair = t->weight ? calloc(total, sizeof *t->pair) : NULL;
    double *w = malloc((size_t)t->width * sizeof *w);
    bool ok = t->first && t->count && t->pair && w;
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
    for (size_t i = 0; ok && i < total; i++) t->pair[i] = halves(t->weight[i]);
    free(w);
    return ok;
}

/* One output line of n values; consecutive taps are `step` bytes apart. */
static void combine_plain(const uint8_t *in, size_t step, size_t n, const int32_t *w, int count,
                          uint8_t *out)
{
    for (size_t i = 0; i < n; i++) {
        int32_t sum = 1 << (FRACTION - 1);
        for (int k = 0; k < count; k++) sum += in[i + (size_t)k * step] * w[k];
        sum >>= FRACTION;
        out[i] = (uint8_t)(sum > 255 ? 255 : sum);
    }
}

#ifdef __SSE2__
static __m128i tap(__m128i px, __m128i w) /* four pixels in the low 16 bits each */
{
    return _mm_madd_epi16(_mm_unpacklo_epi16(px, _mm_slli_epi16(px, 7)), w);
}

static __m128i rounded(__m128i a, __m128i b)
{
    __m128i x = _mm_packs_epi32(_mm_srai_epi32(a, FRACTION), _mm_srai_epi32(b, FRACTION));
    return _mm_packus_epi16(x, x);
}

static void combine(const uint8_t *in, size_t step, size_t n, const int32_t *w, int count,
                    uint8_t *out)
{
    const __m128i zero = _mm_setzero_si128(), half = _mm_set1_epi32(1 << (FRACTION - 1));
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m128i a = half, b = half;
        for (int k = 0; k < count; k++) {
            const __m128i *at = (const __m128i *)(const void *)(in + i + (size_t)k * step);
            __m128i px = _mm_unpacklo_epi8(_mm_loadl_epi64(at), zero),
                    pair = _mm_set1_epi32(halves(w[k]));
            a = _mm_add_epi32(a, tap(px, pair));
            b = _mm_add_epi32(b, tap(_mm_srli_si128(px, 8), pair));
        }
        _mm_storel_epi64((__m128i *)(void *)(out + i), rounded(a, b));
    }
    combine_plain(in + i, step, n - i, w, count, out + i);
}

/* A row of pixels of three or four channels; of the last pixel four bytes are read. */
static void row_of_pixels(const uint8_t *src, int c, const Taps *t, int w, uint8_t *dst)
{
    const __m128i zero = _mm_setzero_si128(), half = _mm_set1_epi32(1 << (FRACTION - 1));
    for (int x = 0; x < w; x++) {
        const uint8_t *p = src + (size_t)t->first[x] * (size_t)c;
        const int32_t *pair = t->pair + (size_t)x * (size_t)t->width;
        __m128i sum = half;
        for (int k = 0; k < t->count[x]; k++, p += c) {
            int32_t four;
            memcpy(&four, p, sizeof four);
            __m128i px = _mm_unpacklo_epi8(_mm_cvtsi32_si128(four), zero);
            sum = _mm_add_epi32(sum, tap(px, _mm_set1_epi32(pair[k])));
        }
        int32_t got = _mm_cvtsi128_si32(rounded(sum, sum));
        memcpy(dst + (size_t)x * (size_t)c, &got, (size_t)c);
    }
}
#else
#define combine combine_plain
#endif

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
#ifdef __SSE2__
        if (c == 4 || (c == 3 && y + 1 < in->h)) { /* a byte behind the last row is nobody's */
            row_of_pixels(src, in->c, &t, w, dst);
            continue;
        }
#endif
        for (int x = 0; x < w; x++)
            combine_plain(src + (size_t)t.first[x] * c, c, c,
                          t.weight + (size_t)x * (size_t)t.width, t.count[x], dst + (size_t)x * c);
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
