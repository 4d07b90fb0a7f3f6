/* ColorJitter and greys. Masks are not touched.
 *
 * rule: torchvision's arithmetic on 8-bit tensors: an image is blended with another (black, its
 *      mean grey, its greys), cut to 0..255 and its fraction dropped; hue turns in HSV. Of grey
 *      pixels only brightness and contrast change anything; alpha stays as it is.
 */
#include "transform.h"

#include <math.h>
#include <string.h>

static uint8_t blend(float a, float b, float ratio)
{
    float x = ratio * a + (1 - ratio) * b;
    return (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x);
}

/* The greys that saturation and contrast mix with. */
static uint8_t luma(const uint8_t *p)
{
    return (uint8_t)(0.2989f * p[0] + 0.587f * p[1] + 0.114f * p[2]);
}

static size_t pixels(const RtImage *img)
{
    return (size_t)img->h * (size_t)img->w;
}

static int colors(const RtImage *img) /* without alpha */
{
    return img->c >= 3 ? 3 : 1;
}

static void through(RtImage *img, const uint8_t lut[256])
{
    uint8_t *p = img->px;
    for (size_t i = 0, n = pixels(img); i < n; i++, p += img->c)
        for (int k = 0; k < colors(img); k++) p[k] = lut[p[k]];
}

static void mixed_with(RtImage *img, float other, float ratio)
{
    uint8_t lut[256];
    for (int i = 0; i < 256; i++) lut[i] = blend((float)i, other, ratio);
    through(img, lut);
}

static void brightness(RtImage *img, double f)
{
    mixed_with(img, 0, (float)f);
}

static void contrast(RtImage *img, double f)
{
    uint64_t sum = 0;
    const uint8_t *p = img->px;
    for (size_t i = 0, n = pixels(img); i < n; i++, p += img->c)
        sum += colors(img) == 3 ? luma(p) : p[0];
    mixed_with(img, (float)((double)sum / (double)pixels(img)), (float)f);
}

static void saturation(RtImage *img, double f)
{
    uint8_t *p = img->px;
    if (colors(img) < 3) return;
    for (size_t i = 0, n = pixels(img); i < n; i++, p += img->c) {
        float grey = luma(p);
        for (int k = 0; k < 3; k++) p[k] = blend(p[k], grey, (float)f);
    }
}

/* RGB -> HSV, hue + f of a turn, -> RGB; values in 0..1. */
static void turn(float *rgb, float f)
{
    float r = rgb[0], g = rgb[1], b = rgb[2];
    float top = fmaxf(r, fmaxf(g, b)), low = fminf(r, fminf(g, b)), span = top - low;
    if (span == 0) return;
    float s = span / top;
    float rc = (top - r) / span, gc = (top - g) / span, bc = (top - b) / span;
    float h = r == top ? bc - gc : g == top ? 2 + rc - bc : 4 + gc - rc;
    h = h / 6 + 1 + f;
    h = (h - floorf(h)) * 6;
    int i = (int)h;
    float part = h - (float)i;
    float p = top * (1 - s), q = top * (1 - s * part), t = top * (1 - s * (1 - part));
    const float *const pick[6][3] = {{&top, &t, &p}, {&q, &top, &p}, {&p, &top, &t},
                                     {&p, &q, &top}, {&t, &p, &top}, {&top, &p, &q}};
    for (int k = 0; k < 3; k++) rgb[k] = *pick[i % 6][k];
}

static void hue(RtImage *img, double f)
{
    uint8_t *p = img->px;
    if (colors(img) < 3 || f == 0) return;
    for (size_t i = 0, n = pixels(img); i < n; i++, p += img->c) {
        float rgb[3];
        for (int k = 0; k < 3; k++) rgb[k] = (float)p[k] / 255.0f;
        turn(rgb, (float)f);
        for (int k = 0; k < 3; k++) {
            float x = rgb[k] < 0 ? 0 : rgb[k] > 1 ? 1 : rgb[k];
            p[k] = (uint8_t)(x * 255.999f);
        }
    }
}

bool rt_tf_color_jitter(RtCanvas *v, const RtTransform *t, RtDice *dice)
{
    static void (*const step[4])(RtImage * img, double f) = {brightness, contrast, saturation, hue};
    double factor[4];
    int order[4] = {0, 1, 2, 3};
    if (!rt_canvas_own(v)) return false;
    for (int i = 3; i > 0; i--) {
        int j = rt_dice_below(dice, i + 1), swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
    for (int i = 0; i < 4; i++) factor[i] = rt_dice_between(dice, t->v[i][0], t->v[i][1]);
    for (int i = 0; i < 4; i++) {
        int k = order[i];
        bool off = t->v[k][0] == t->v[k][1] && t->v[k][0] == (k == 3 ? 0 : 1);
        if (!off) step[k](&v->own, factor[k]);
    }
    return true;
}

/* ---- greys: ITU-R 601 in 16-bit fixed point, as Pillow's "L" ---- */

static bool grey(RtCanvas *v)
{
    if (!rt_canvas_own(v)) return false;
    RtImage *img = &v->own;
    uint8_t *p = img->px;
    if (colors(img) < 3) return true;
    for (size_t i = 0, n = pixels(img); i < n; i++, p += img->c)
        p[0] = p[1] = p[2] =
            (uint8_t)((p[0] * 19595u + p[1] * 38470u + p[2] * 7471u + 0x8000) >> 16);
    return true;
}

bool rt_tf_grayscale(RtCanvas *v, const RtTransform *t, RtDice *dice)
{
    (void)t, (void)dice;
    return grey(v); /* in all channels: the model's number of them is fixed */
}

bool rt_tf_random_grayscale(RtCanvas *v, const RtTransform *t, RtDice *dice)
{
    return rt_dice_unit(dice) >= t->v[0][0] || grey(v);
}
