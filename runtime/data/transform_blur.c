/* GaussianBlur: rows, then columns, in float; beyond the border the image is mirrored without
 * repeating its edge, as torch's "reflect". Masks are not touched. */
#include "transform.h"

#include <math.h>
#include <stdlib.h>

enum { MAX_KERNEL = 255 };

static void kernel(float *w, int n, double sigma)
{
    double sum = 0, x[MAX_KERNEL];
    for (int i = 0; i < n; i++) {
        double d = (i - (n - 1) / 2.0) / sigma;
        sum += x[i] = exp(-0.5 * d * d);
    }
    for (int i = 0; i < n; i++) w[i] = (float)(x[i] / sum);
}

static int mirrored(int i, int n)
{
    if (n == 1) return 0;
    int period = 2 * (n - 1);
    i = ((i % period) + period) % period;
    return i < n ? i : period - i;
}

/* Row y of the image, blurred along itself. */
static void blur_row(const RtImage *img, int y, const float *w, int n, float *out)
{
    size_t c = (size_t)img->c;
    const uint8_t *row = img->px + (size_t)y * (size_t)img->w * c;
    for (int x = 0; x < img->w; x++, out += c) {
        for (size_t k = 0; k < c; k++) out[k] = 0;
        for (int i = 0; i < n; i++) {
            const uint8_t *p = row + (size_t)mirrored(x + i - n / 2, img->w) * c;
            for (size_t k = 0; k < c; k++) out[k] += w[i] * p[k];
        }
    }
}

static void blur(const float *wide, RtImage *img, const float *w, int n, float *sum)
{
    size_t line = (size_t)img->w * (size_t)img->c;
    for (int y = 0; y < img->h; y++) {
        for (size_t k = 0; k < line; k++) sum[k] = 0;
        for (int i = 0; i < n; i++) {
            const float *row = wide + (size_t)mirrored(y + i - n / 2, img->h) * line;
            for (size_t k = 0; k < line; k++) sum[k] += w[i] * row[k];
        }
        uint8_t *out = img->px + (size_t)y * line;
        for (size_t k = 0; k < line; k++) {
            float x = sum[k] + 0.5f;
            out[k] = (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x);
        }
    }
}

/* kernel_size is (width, height), as torchvision's. */
bool rt_tf_gaussian_blur(RtCanvas *v, const RtTransform *t, RtDice *dice)
{
    enum { SIZE, SIGMA };
    int nx = (int)t->v[SIZE][0], ny = (int)t->v[SIZE][1];
    double sigma = rt_dice_between(dice, t->v[SIGMA][0], t->v[SIGMA][1]);
    float wx[MAX_KERNEL], wy[MAX_KERNEL];
    if (!rt_canvas_own(v)) return false;
    size_t line = (size_t)v->w * (size_t)v->own.c;
    float *wide = malloc(((size_t)v->h + 1) * line * sizeof *wide);
    if (!wide) return false;
    kernel(wx, nx, sigma);
    kernel(wy, ny, sigma);
    for (int y = 0; y < v->h; y++) blur_row(&v->own, y, wx, nx, wide + (size_t)y * line);
    blur(wide, &v->own, wy, ny, wide + (size_t)v->h * line);
    free(wide);
    return true;
}
