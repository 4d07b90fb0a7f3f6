/* Rotation, affine and perspective maps of an image.
 *
 * in:  the inverse map: where in the source the middle of a pixel comes from
 * rule: torchvision's on Pillow images: matrices as it builds them, the middle of the image at
 *      (w/2, h/2), what comes from outside is `fill`, bilinear samples at the border repeat it. A
 *      mask takes the nearest pixel.
 */
#include "transform.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* x' = (m0 x + m1 y + m2) / d, y' = (m3 x + m4 y + m5) / d, d = m6 x + m7 y + 1 */
typedef struct Map {
    double m[8];
} Map;

static uint8_t mixed(const uint8_t *p, size_t right, size_t down, double fx, double fy)
{
    double top = p[0] + (p[right] - p[0]) * fx;
    double bottom = p[down] + (p[down + right] - p[down]) * fx;
    return (uint8_t)(top + (bottom - top) * fy + 0.5);
}

/* One pixel at (x, y) of `in`; (0, 0) is the corner of the image. */
static void sample(RtPixels in, double x, double y, bool nearest, const uint8_t *fill, uint8_t *out)
{
    size_t c = (size_t)in.c, line = (size_t)in.w * c;
    if (!(x >= 0 && y >= 0 && x < in.w && y < in.h)) {
        memcpy(out, fill, c);
        return;
    }
    if (nearest) {
        memcpy(out, in.px + (size_t)y * line + (size_t)x * c, c);
        return;
    }
    x = x < 0.5 ? 0 : x - 0.5;
    y = y < 0.5 ? 0 : y - 0.5;
    size_t ix = (size_t)x, iy = (size_t)y;
    const uint8_t *p = in.px + iy * line + ix * c;
    size_t right = ix + 1 < (size_t)in.w ? c : 0, down = iy + 1 < (size_t)in.h ? line : 0;
    for (size_t k = 0; k < c; k++)
        out[k] = mixed(p + k, right, down, x - (double)ix, y - (double)iy);
}

static bool warped(RtPixels in, const Map *map, bool nearest, const uint8_t *fill, RtImage *out)
{
    const double *m = map->m;
    size_t c = (size_t)in.c;
    *out = (RtImage){malloc((size_t)in.h * (size_t)in.w * c), in.c, in.h, in.w};
    if (!out->px) return false;
    uint8_t *dst = out->px;
    for (int y = 0; y < in.h; y++)
        for (int x = 0; x < in.w; x++, dst += c) {
            double u = x + 0.5, w = y + 0.5, d = 1 / (m[6] * u + m[7] * w + 1);
            sample(in, (m[0] * u + m[1] * w + m[2]) * d, (m[3] * u + m[4] * w + m[5]) * d, nearest,
                   fill, dst);
        }
    return true;
}

static bool warp(RtCanvas *v, const Map *map, const RtOutside *o)
{
    uint8_t px[4], outside = RT_MASK_OUTSIDE;
    RtImage img, mask = {0};
    for (int i = 0; i < 4; i++) px[i] = (uint8_t)o->fill[o->nfill == 3 && i < 3 ? i : 0];
    if (!rt_canvas_own(v) || !warped(v->in, map, o->nearest, px, &img)) return false;
    if (v->mask.px && !warped(v->mask, map, true, &outside, &mask)) {
        free(img.px);
        return false;
    }
    rt_canvas_replace(v, img, mask);
    return true;
}

/* ---- affine ---- */

/* torchvision's _get_inverse_affine_matrix. */
static Map inverse(const RtAffine *f, double cx, double cy)
{
    double rad = M_PI / 180, rot = f->angle * rad, sx = f->shear_x * rad, sy = f->shear_y * rad;
    double a = cos(rot - sy) / cos(sy), b = -cos(rot - sy) * tan(sx) / cos(sy) - sin(rot);
    double c = sin(rot - sy) / cos(sy), d = -sin(rot - sy) * tan(sx) / cos(sy) + cos(rot);
    Map map = {{d / f->scale, -b / f->scale, cx, -c / f->scale, a / f->scale, cy, 0, 0}};
    double *m = map.m;
    m[2] += m[0] * (-cx - f->tx) + m[1] * (-cy - f->ty);
    m[5] += m[3] * (-cx - f->tx) + m[4] * (-cy - f->ty);
    return map;
}

bool rt_warp_affine(RtCanvas *v, const RtAffine *f, const RtOutside *o, const double *center)
{
    Map map = inverse(f, center ? center[0] : v->w * 0.5, center ? center[1] : v->h * 0.5);
    return warp(v, &map, o);
}

/* Angles of a rotation run against the clock, of RandomAffine with it. */
bool rt_tf_random_rotation(RtCanvas *v, const RtTransform *t, RtDice *dice)
{
    enum { DEGREES, INTERPOLATION, EXPAND, CENTER, FILL };
    RtAffine f = {.scale = 1};
    RtOutside o = {t->v[INTERPOLATION][0] == 0, t->v[FILL], t->n[FILL]};
    f.angle = -rt_dice_between(dice, t->v[DEGREES][0], t->v[DEGREES][1]);
    return rt_warp_affine(v, &f, &o, t->n[CENTER] ? t->v[CENTER] : NULL);
}

static double translation(RtDice *dice, double share, int side)
{
    return nearbyint(rt_dice_between(dice, -share * side, share * side));
}

bool rt_tf_random_affine(RtCanvas *v, const RtTransform *t, RtDice *dice)
{
    enum { DEGREES, TRANSLATE, SCALE, SHEAR, INTERPOLATION, FILL, CENTER };
    RtAffine f = {.scale = 1};
    RtOutside o = {t->v[INTERPOLATION][0] == 0, t->v[FILL], t->n[FILL]};
    f.angle = rt_dice_between(dice, t->v[DEGREES][0], t->v[DEGREES][1]);
    if (t->n[TRANSLATE]) {
        f.tx = translation(dice, t->v[TRANSLATE][0], v->w);
        f.ty = translation(dice, t->v[TRANSLATE][1], v->h);
    }
    if (t->n[SCALE]) f.scale = rt_dice_between(dice, t->v[SCALE][0], t->v[SCALE][1]);
    if (t->n[SHEAR]) f.shear_x = rt_dice_between(dice, t->v[SHEAR][0], t->v[SHEAR][1]);
    if (t->n[SHEAR] == 4) f.shear_y = rt_dice_between(dice, t->v[SHEAR][2], t->v[SHEAR][3]);
    return rt_warp_affine(v, &f, &o, t->n[CENTER] ? t->v[CENTER] : NULL);
}

/* ---- perspective ---- */

/* Gauss with pivots; false: the corners lie on a line. */
static bool solve(double a[8][9], double x[8])
{
    for (int i = 0; i < 8; i++) {
        int top = i;
        for (int r = i + 1; r < 8; r++)
            if (fabs(a[r][i]) > fabs(a[top][i])) top = r;
        if (fabs(a[top][i]) < 1e-12) return false;
        for (int k = i; k < 9; k++) {
            double swap = a[i][k];
            a[i][k] = a[top][k];
            a[top][k] = swap;
        }
        for (int r = 0; r < 8; r++) {
            double f = r == i ? 0 : a[r][i] / a[i][i];
            for (int k = i; f != 0 && k < 9; k++) a[r][k] -= f * a[i][k];
        }
    }
    for (int i = 0; i < 8; i++) x[i] = (float)(a[i][8] / a[i][i]); /* as torchvision keeps them */
    return true;
}

/* The map that takes the corners `to` back to the corners of an h x w image. */
static bool corners(int h, int w, const double to[4][2], Map *map)
{
    const double from[4][2] = {{0, 0}, {w - 1, 0}, {w - 1, h - 1}, {0, h - 1}};
    double a[8][9];
    for (int i = 0; i < 4; i++) {
        double x = to[i][0], y = to[i][1], u = from[i][0], v = from[i][1];
        double rows[2][9] = {{x, y, 1, 0, 0, 0, -u * x, -u * y, u},
                             {0, 0, 0, x, y, 1, -v * x, -v * y, v}};
        memcpy(a[2 * i], rows, sizeof rows);
    }
    return solve(a, map->m);
}

bool rt_warp_corners(RtCanvas *v, const double to[4][2], const RtOutside *o)
{
    Map map;
    return !corners(v->h, v->w, to, &map) || warp(v, &map, o);
}

bool rt_tf_random_perspective(RtCanvas *v, const RtTransform *t, RtDice *dice)
{
    enum { DISTORTION, P, INTERPOLATION, FILL };
    if (rt_dice_unit(dice) >= t->v[P][0]) return true;
    double d = t->v[DISTORTION][0], to[4][2];
    int dx = (int)(d * (v->w / 2)) + 1, dy = (int)(d * (v->h / 2)) + 1;
    RtOutside o = {t->v[INTERPOLATION][0] == 1, t->v[FILL], t->n[FILL]};
    for (int i = 0; i < 4; i++) { /* from the top left corner, with the clock */
        int x = rt_dice_below(dice, dx), y = rt_dice_below(dice, dy);
        to[i][0] = i == 0 || i == 3 ? x : v->w - dx + x;
        to[i][1] = i < 2 ? y : v->h - dy + y;
    }
    return rt_warp_corners(v, to, &o);
}
