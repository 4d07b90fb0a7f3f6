/* An image on its way through the transforms: which pixels are seen, and from where.
 *
 * in:  pixels that belong to somebody else (a cache, a file)
 * out: a view of them (origin, direction, the rectangle that still holds pixels; outside it is 0
 *      and of the mask RT_MASK_OUTSIDE), pixels of its own where an operator needs them, floats
 * rule: what a crop cut off does not come back with later padding.
 */
#include "transform.h"

#include <stdlib.h>
#include <string.h>

RtCanvas rt_canvas(RtPixels in, const RtPixels *mask)
{
    RtCanvas v = {.in = in, .h = in.h, .w = in.w, .dy = 1, .dx = 1, .x1 = in.w, .y1 = in.h};
    if (mask) v.mask = *mask;
    return v;
}

void rt_canvas_free(RtCanvas *v)
{
    free(v->own.px);
    free(v->own_mask.px);
    v->own.px = v->own_mask.px = NULL;
}

static int max_int(int a, int b)
{
    return a > b ? a : b;
}

static int min_int(int a, int b)
{
    return a < b ? a : b;
}

/* Moves one axis by `by` and cuts it to n; [*lo, *hi) is what still holds pixels. */
static void crop_axis(int *origin, int dir, int by, int n, int *lo, int *hi)
{
    *origin += dir * by;
    int first = dir > 0 ? *origin : *origin - (n - 1);
    *lo = max_int(*lo, first);
    *hi = min_int(*hi, first + n);
}

void rt_canvas_crop(RtCanvas *v, int top, int left, int h, int w)
{
    crop_axis(&v->top, v->dy, top, h, &v->y0, &v->y1);
    crop_axis(&v->left, v->dx, left, w, &v->x0, &v->x1);
    v->h = h;
    v->w = w;
}

void rt_canvas_flip(RtCanvas *v, bool vertical)
{
    if (vertical) {
        v->top += v->dy * (v->h - 1);
        v->dy = -v->dy;
    } else {
        v->left += v->dx * (v->w - 1);
        v->dx = -v->dx;
    }
}

void rt_canvas_replace(RtCanvas *v, RtImage img, RtImage mask)
{
    rt_canvas_free(v);
    *v = rt_canvas((RtPixels){img.px, img.c, img.h, img.w},
                   mask.px ? &(RtPixels){mask.px, 1, mask.h, mask.w} : NULL);
    v->own = img;
    v->own_mask = mask;
}

/* ---- pixels ---- */

/* The columns [*a, *b) of row y of the view hold pixels; none: *a = *b. Returns the row of `in`. */
static int seen(const RtCanvas *v, int y, int *a, int *b)
{
    int sy = v->top + v->dy * y;
    bool none = sy < v->y0 || sy >= v->y1;
    *a = v->dx > 0 ? v->x0 - v->left : v->left - (v->x1 - 1);
    *b = none ? 0 : v->dx > 0 ? v->x1 - v->left : v->left - v->x0 + 1;
    *a = min_int(max_int(*a, 0), v->w);
    *b = max_int(min_int(*b, v->w), *a);
    return *b > *a ? sy : 0;
}

bool rt_canvas_copy(const RtCanvas *v, bool mask, RtImage *out)
{
    RtPixels from = mask ? v->mask : v->in;
    size_t c = (size_t)from.c, line = (size_t)v->w * c;
    *out = (RtImage){malloc((size_t)v->h * line + 1), from.c, v->h, v->w};
    if (!out->px) return false;
    for (int y = 0; y < v->h; y++) {
        int a, b, sy = seen(v, y, &a, &b);
        uint8_t *dst = out->px + (size_t)y * line;
        const uint8_t *row = from.px + (size_t)sy * (size_t)from.w * c;
        if (a > 0 || b < v->w) memset(dst, mask ? RT_MASK_OUTSIDE : 0, line);
        if (v->dx > 0 && b > a)
            memcpy(dst + (size_t)a * c, row + (size_t)(v->left + a) * c, (size_t)(b - a) * c);
        for (int x = a; v->dx < 0 && x < b; x++)
            memcpy(dst + (size_t)x * c, row + (size_t)(v->left - x) * c, c);
    }
    return true;
}

static bool is_plain(const RtCanvas *v)
{
    return v->own.px && v->dx > 0 && v->dy > 0 && v->top == 0 && v->left == 0 && v->h == v->in.h &&
           v->w == v->in.w && v->y0 == 0 && v->x0 == 0 && v->y1 == v->h && v->x1 == v->w;
}

bool rt_canvas_own(RtCanvas *v)
{
    RtImage img, mask = {0};
    if (is_plain(v)) return true;
    if (!rt_canvas_copy(v, false, &img)) return false;
    if (v->mask.px && !rt_canvas_copy(v, true, &mask)) {
        free(img.px);
        return false;
    }
    rt_canvas_replace(v, img, mask);
    return true;
}

typedef bool Resizer(const RtImage *in, int h, int w, RtImage *out);

static bool resized(const RtCanvas *v, bool mask, Resizer *resize, int h, int w, RtImage *out)
{
    RtImage flat;
    if (!rt_canvas_copy(v, mask, &flat)) return false;
    bool ok = resize(&flat, h, w, out);
    free(flat.px);
    return ok;
}

bool rt_canvas_resize(RtCanvas *v, int h, int w, bool nearest)
{
    RtImage big, mask = {0};
    if (h == v->h && w == v->w) return true;
    if (!resized(v, false, nearest ? rt_image_resize_nearest : rt_image_resize, h, w, &big))
        return false;
    if (v->mask.px && !resized(v, true, rt_image_resize_nearest, h, w, &mask)) {
        free(big.px);
        return false;
    }
    rt_canvas_replace(v, big, mask);
    return true;
}

/* ---- out ---- */

/* One channel of one row: the visible part through the table, the rest as pixel 0. */
static void row_to_float(const RtCanvas *v, int y, int ch, const float *lut, float *out)
{
    int a, b, c = v->in.c, sy = seen(v, y, &a, &b);
    for (int x = 0; x < a; x++) out[x] = lut[0];
    const uint8_t *row = v->in.px + (size_t)sy * (size_t)v->in.w * (size_t)c + (c > 1 ? ch : 0);
    const uint8_t *px = row + (ptrdiff_t)(v->left + v->dx * a) * c;
    int step = v->dx * c;
    for (int x = a; x < b; x++, px += step) out[x] = lut[*px];
    for (int x = b; x < v->w; x++) out[x] = lut[0];
}

void rt_canvas_floats(const RtCanvas *v, int channels, const float *lut, float *out)
{
    for (int ch = 0; ch < channels; ch++)
        for (int y = 0; y < v->h; y++)
            row_to_float(v, y, ch, lut + 256 * ch, out + ((size_t)ch * v->h + y) * v->w);
}

void rt_canvas_ids(const RtCanvas *v, int32_t *out)
{
    for (int y = 0; y < v->h; y++, out += v->w) {
        int a, b, sy = seen(v, y, &a, &b);
        const uint8_t *row = v->mask.px + (size_t)sy * (size_t)v->mask.w;
        for (int x = 0; x < v->w; x++)
            out[x] = x >= a && x < b ? row[v->left + v->dx * x] : RT_MASK_OUTSIDE;
    }
}
