/* MixUp and CutMix: each image of a batch is mixed with the one before it, the first with the last
 * (torchvision rolls the batch by one).
 *
 * in:  a finished batch of floats, changed in place; dice that belong to it
 * out: the share of the image itself in what it became, the same for the whole batch; the rest is
 *      the other image's. What becomes of the labels is feed.c's.
 */
#include "transform.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The logarithm of a draw from Gamma(alpha), which may be too small for a double: Marsaglia and
 * Tsang 2000, below 1 through Gamma(alpha + 1). */
static double log_gamma_draw(RtDice *dice, double alpha)
{
    double less = alpha < 1 ? log(1 - rt_dice_unit(dice)) / alpha : 0;
    double d = (alpha < 1 ? alpha + 1 : alpha) - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = rt_dice_normal(dice), v = 1 + c * x;
        if (v <= 0) continue;
        v = v * v * v;
        if (log(1 - rt_dice_unit(dice)) < 0.5 * x * x + d - d * v + d * log(v))
            return log(d * v) + less;
    }
}

/* From Beta(alpha, alpha). */
static double beta_draw(RtDice *dice, double alpha)
{
    double a = log_gamma_draw(dice, alpha), b = log_gamma_draw(dice, alpha);
    return 1 / (1 + exp(b - a));
}

static size_t image_size(const RtBatchImages *b)
{
    return (size_t)b->c * (size_t)b->h * (size_t)b->w;
}

static void mix(float *x, const float *with, size_t n, float share)
{
    for (size_t i = 0; i < n; i++) x[i] = x[i] * share + with[i] * (1 - share);
}

double rt_mix_mixup(RtBatchImages *b, const RtTransform *t, RtDice *dice)
{
    size_t size = image_size(b);
    float share = (float)beta_draw(dice, t->v[0][0]);
    float *last = b->x + (size_t)(b->n - 1) * size;
    memcpy(b->spare, last, size * sizeof *b->spare);
    for (float *x = last; x > b->x; x -= size) mix(x, x - size, size, share);
    mix(b->x, b->spare, size, share);
    return share;
}

typedef struct Box {
    int top, left, bottom, right;
} Box;

static int clamp(int x, int most)
{
    return x < 0 ? 0 : x > most ? most : x;
}

/* Around a random place, with 1 - share of the area where it is not cut off at the border. */
static Box box(const RtBatchImages *b, RtDice *dice, double share)
{
    int x = rt_dice_below(dice, b->w), y = rt_dice_below(dice, b->h);
    double r = 0.5 * sqrt(1 - share);
    int rx = (int)(r * b->w), ry = (int)(r * b->h);
    return (Box){clamp(y - ry, b->h), clamp(x - rx, b->w), clamp(y + ry, b->h),
                 clamp(x + rx, b->w)};
}

static void paste(const RtBatchImages *b, float *x, const float *from, Box o)
{
    for (int ch = 0; ch < b->c; ch++)
        for (int y = o.top; y < o.bottom; y++) {
            size_t at = ((size_t)ch * (size_t)b->h + (size_t)y) * (size_t)b->w + (size_t)o.left;
            memcpy(x + at, from + at, (size_t)(o.right - o.left) * sizeof *x);
        }
}

double rt_mix_cutmix(RtBatchImages *b, const RtTransform *t, RtDice *dice)
{
    size_t size = image_size(b);
    Box o = box(b, dice, beta_draw(dice, t->v[0][0]));
    float *last = b->x + (size_t)(b->n - 1) * size;
    memcpy(b->spare, last, size * sizeof *b->spare);
    for (float *x = last; x > b->x; x -= size) paste(b, x, x - size, o);
    paste(b, b->x, b->spare, o);
    return 1 - (double)((o.right - o.left) * (o.bottom - o.top)) / ((double)b->w * b->h);
}
