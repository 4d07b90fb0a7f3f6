/* Resize, crops, flips, padding.
 *
 * rule: torchvision's geometry and draws. Zeros around an image are the view's; any other padding
 * makes pixels.
 */
#include "transform.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void rt_shorter_side(int size, int *h, int *w)
{
    int64_t shorter = *h < *w ? *h : *w, longer = *h < *w ? *w : *h;
    int64_t side = size * longer / shorter;
    if (side > RT_IMAGE_MAX_SIDE) side = RT_IMAGE_MAX_SIDE;
    bool tall = *h >= *w;
    *h = tall ? (int)side : size;
    *w = tall ? size : (int)side;
}

bool rt_tf_resize(RtCanvas *v, const RtTransform *t, RtDice *dice)
{
    (void)dice;
    enum { SIZE, INTERPOLATION };
    int h = (int)t->v[SIZE][0], w = (int)t->v[SIZE][1];
    if (t->n[SIZE] == 1) {
        h = v->h, w = v->w;
        rt_shorter_side((int)t->v[SIZE][0], &h, &w);
    }
    return rt_canvas_resize(v, h, w, t->v[INTERPOLATION][0] == 1);
}

/* torchvision: half of an odd margin rounds to even; what is too small is padded with 0 first. */
static int centre(int have, int want)
{
    return have < want ? -((want - have) / 2) : (int)nearbyint((have - want) / 2.0);
}

bool rt_tf_center_crop(RtCanvas *v, const RtTransform *t, RtDice *dice)
{
    (void)dice;
    int h = (int)t->v[0][0], w = (int)t->v[0][1];
    rt_canvas_crop(v, centre(v->h, h), centre(v->w, w), h, w);
    return true;
}

bool rt_tf_horizontal_flip(RtCanvas *v, const RtTransform *t, RtDice *dice)
{
    if (rt_dice_unit(dice) < t->v[0][0]) rt_canvas_flip(v, false);
    return true;
}

bool rt_tf_vertical_flip(RtCanvas *v, const RtTransform *t, RtDice *dice)
{
    if (rt_dice_unit(dice) < t->v[0][0]) rt_canvas_flip(v, true);
    return true;
}

/* ---- padding ---- */

enum PadMode { PAD_CONSTANT, PAD_EDGE, PAD_REFLECT, PAD_SYMMETRIC };

typedef struct Margins {
    int left, top, right, bottom;
} Margins;

/* One number: all sides; two: left and right, top and bottom; four: left, top, right, bottom. */
static Margins margins(const double *p, int n)
{
    int a = (int)p[0], b = (int)(n == 1 ? p[0] : p[1]);
    return (Margins){a, b, n == 4 ? (int)p[2] : a, n == 4 ? (int)p[3] : b};
}

/* The place in [0, n) that place i stands for; -1: none. */
static int source(int i, int n, enum PadMode mode)
{
    if (i >= 0 && i < n) return i;
    if (mode == PAD_CONSTANT) return -1;
    if (mode == PAD_EDGE || n == 1) return i < 0 ? 0 : n - 1;
    int period = mode == PAD_REFLECT ? 2 * (n - 1) : 2 * n;
    i = ((i % period) + period) % period;
    return i < n ? i : period - i - (mode == PAD_SYMMETRIC);
}

static bool padded(RtPixels in, Margins m, enum PadMode mode, const uint8_t *fill, RtImage *out)
{
    int h = in.h + m.top + m.bottom, w = in.w + m.left + m.right;
    size_t c = (size_t)in.c;
    *out = (RtImage){malloc((size_t)h * (size_t)w * c), in.c, h, w};
    if (!out->px) return false;
    uint8_t *dst = out->px;
    for (int y = 0; y < h; y++) {
        int sy = source(y - m.top, in.h, mode);
        for (int x = 0; x < w; x++, dst += c) {
            int sx = source(x - m.left, in.w, mode);
            const uint8_t *from = in.px + ((size_t)sy * (size_t)in.w + (size_t)sx) * c;
            memcpy(dst, sy < 0 || sx < 0 ? fill : from, c);
        }
    }
    return true;
}

static bool pad(RtCanvas *v, Margins m, const double *fill, int nfill, enum PadMode mode)
{
    uint8_t px[4] = {0}, outside = RT_MASK_OUTSIDE;
    bool black = mode == PAD_CONSTANT;
    if (!m.left && !m.top && !m.right && !m.bottom) return true;
    for (int i = 0; i < 4; i++) {
        px[i] = (uint8_t)fill[nfill == 1 ? 0 : i < 3 ? i : 0];
        black = black && px[i] == 0;
    }
    if (black) {
        rt_canvas_crop(v, -m.top, -m.left, v->h + m.top + m.bottom, v->w + m.left + m.right);
        return true;
    }
    RtImage img, mask = {0};
    if (!rt_canvas_own(v) || !padded(v->in, m, mode, px, &img)) return false;
    if (v->mask.px && !padded(v->mask, m, mode, &outside, &mask)) {
        free(img.px);
        return false;
    }
    rt_canvas_replace(v, img, mask);
    return true;
}

bool rt_tf_pad(RtCanvas *v, const RtTransform *t, RtDice *dice)
{
    enum { PADDING, FILL, MODE };
    (void)dice;
    return pad(v, margins(t->v[PADDING], t->n[PADDING]), t->v[FILL], t->n[FILL],
               (enum PadMode)t->v[MODE][0]);
}

/* ---- random crops ---- */

bool rt_tf_random_crop(RtCanvas *v, const RtTransform *t, RtDice *dice)
{
    enum { SIZE, PADDING, IF_NEEDED, FILL, MODE };
    enum PadMode mode = (enum PadMode)t->v[MODE][0];
    int h = (int)t->v[SIZE][0], w = (int)t->v[SIZE][1];
    if (!pad(v, margins(t->v[PADDING], t->n[PADDING]), t->v[FILL], t->n[FILL], mode)) return false;
    int dh = h > v->h ? h - v->h : 0, dw = w > v->w ? w - v->w : 0;
    if (t->v[IF_NEEDED][0] && !pad(v, (Margins){dw, dh, dw, dh}, t->v[FILL], t->n[FILL], mode))
        return false;
    int top = rt_dice_below(dice, v->h - h + 1), left = rt_dice_below(dice, v->w - w + 1);
    rt_canvas_crop(v, top, left, h, w);
    return true;
}

/* A rectangle of a random share of the area and a random ratio of its sides; the whole, or its
 * middle if its own ratio is out of range, when ten draws do not fit. */
bool rt_tf_random_resized_crop(RtCanvas *v, const RtTransform *t, RtDice *dice)
{
    enum { SIZE, SCALE, RATIO, INTERPOLATION };
    const double *scale = t->v[SCALE], *ratio = t->v[RATIO];
    int out_h = (int)t->v[SIZE][0], out_w = (int)t->v[SIZE][1];
    double area = (double)v->h * v->w;
    int h = 0, w = 0;
    for (int i = 0; i < 10; i++) {
        double target = area * rt_dice_between(dice, scale[0], scale[1]);
        double r = exp(rt_dice_between(dice, log(ratio[0]), log(ratio[1])));
        w = (int)nearbyint(sqrt(target * r));
        h = (int)nearbyint(sqrt(target / r));
        if (w > 0 && w <= v->w && h > 0 && h <= v->h) {
            int top = rt_dice_below(dice, v->h - h + 1), left = rt_dice_below(dice, v->w - w + 1);
            rt_canvas_crop(v, top, left, h, w);
            return rt_canvas_resize(v, out_h, out_w, t->v[INTERPOLATION][0] == 1);
        }
    }
    double r = (double)v->w / v->h;
    w = r > ratio[1] ? (int)nearbyint(v->h * ratio[1]) : v->w;
    h = r < ratio[0] ? (int)nearbyint(v->w / ratio[0]) : v->h;
    if (w < 1) w = 1;
    if (h < 1) h = 1;
    rt_canvas_crop(v, (v->h - h) / 2, (v->w - w) / 2, h, w);
    return rt_canvas_resize(v, out_h, out_w, t->v[INTERPOLATION][0] == 1);
}
