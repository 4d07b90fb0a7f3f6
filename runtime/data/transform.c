/* Transforms: "RandomCrop(28, padding=2);RandomHorizontalFlip()" -> a pipe of operators -> float
 * images.
 *
 * rule: names, arguments and geometry are torchvision's. Crops and flips move no pixel: they edit a
 * view (origin, direction, the rectangle that still holds pixels; outside it is 0), which the last
 * loop reads through. Only Resize makes new pixels. A mask goes the image's way, each pixel of it
 * the nearest one of the source; what lies outside is RT_MASK_OUTSIDE.
 */
#include "internal.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_name[] = {"Resize", "CenterCrop", "RandomCrop",
                                        "RandomHorizontalFlip"};
enum { NKINDS = 4, MAX_SIDE = RT_IMAGE_MAX_SIDE, TF_SEED_TAG = 0x7466 };

/* ---- parsing ---- */

typedef struct Parser {
    const char *at;
    const char *what; /* "train transforms" */
    RtError *e;
} Parser;

static void skip_space(Parser *p)
{
    while (isspace((unsigned char)*p->at)) p->at++;
}

static bool take(Parser *p, char c)
{
    skip_space(p);
    if (*p->at != c) return false;
    p->at++;
    return true;
}

static bool word(Parser *p, char *buf, size_t n)
{
    skip_space(p);
    size_t len = 0;
    while (isalnum((unsigned char)p->at[len]) || p->at[len] == '_') len++;
    if (len == 0 || len >= n || isdigit((unsigned char)*p->at)) return false;
    memcpy(buf, p->at, len);
    buf[len] = 0;
    p->at += len;
    return true;
}

static bool number(Parser *p, double lo, double hi, bool whole, double *out)
{
    skip_space(p);
    char *end;
    double v = strtod(p->at, &end);
    if (end == p->at || !(v >= lo && v <= hi) || (whole && v != floor(v))) return false;
    p->at = end;
    *out = v;
    return true;
}

/* 28, (28, 32) or [28, 32] */
static bool size_pair(Parser *p, RtTransform *t)
{
    double h, w;
    char close = take(p, '(') ? ')' : take(p, '[') ? ']' : 0;
    if (!number(p, 1, MAX_SIDE, true, &h)) return false;
    w = t->kind == RT_TF_RESIZE ? 0 : h;
    if (close && !(take(p, ',') && number(p, 1, MAX_SIDE, true, &w) && take(p, close)))
        return false;
    t->h = (int)h;
    t->w = (int)w;
    return true;
}

static bool argument(Parser *p, RtTransform *t, const char *key)
{
    double v;
    if (t->kind != RT_TF_HFLIP && !strcmp(key, "size")) return size_pair(p, t);
    if (t->kind == RT_TF_RANDOM_CROP && !strcmp(key, "padding")) {
        if (!number(p, 0, MAX_SIDE, true, &v)) return false;
        t->padding = (int)v;
        return true;
    }
    if (t->kind == RT_TF_HFLIP && !strcmp(key, "p")) return number(p, 0, 1, false, &t->p);
    return false;
}

static bool arguments(Parser *p, RtTransform *t)
{
    static const char *const order[NKINDS][2] = {{"size"}, {"size"}, {"size", "padding"}, {"p"}};
    if (take(p, ')')) return true;
    for (int i = 0;; i++) {
        char key[32];
        Parser ahead = *p;
        if (word(&ahead, key, sizeof key) && take(&ahead, '='))
            *p = ahead;
        else if (i < 2 && order[t->kind][i])
            snprintf(key, sizeof key, "%s", order[t->kind][i]);
        else
            return false;
        if (!argument(p, t, key)) return false;
        if (take(p, ')')) return true;
        if (!take(p, ',')) return false;
    }
}

static bool one(Parser *p, RtTransform *t)
{
    char name[64];
    const char *start = p->at;
    if (!word(p, name, sizeof name))
        return rt_data_fail(p->e, RT_EXIT_SPEC, "S014", "%s: expected a transform at '%s'", p->what,
                            rt_esc(start));
    int k = 0;
    while (k < NKINDS && strcmp(name, kind_name[k])) k++;
    if (k == NKINDS)
        return rt_data_fail(p->e, RT_EXIT_SPEC, "S017",
                            "%s: unknown transform '%s'\nthere are Resize, CenterCrop, RandomCrop, "
                            "RandomHorizontalFlip",
                            p->what, name);
    *t = (RtTransform){.kind = (enum RtTransformKind)k, .p = 0.5};
    bool open = take(p, '(');
    if ((open && !arguments(p, t)) || (t->kind != RT_TF_HFLIP && t->h == 0))
        return rt_data_fail(p->e, RT_EXIT_SPEC, "S014", "%s: wrong arguments of %s in '%s'",
                            p->what, name, rt_esc(start));
    return true;
}

bool rt_pipe_parse(RtPipe *pipe, const char *text, const char *what, RtError *e)
{
    Parser p = {text ? text : "", what, e};
    pipe->n = 0;
    for (;;) {
        while (take(&p, ';')) {
        }
        if (!*p.at) return true;
        if (pipe->n == RT_TF_MAX)
            return rt_data_fail(e, RT_EXIT_SPEC, "S014", "%s: more than %d transforms", what,
                                RT_TF_MAX);
        if (!one(&p, &pipe->op[pipe->n])) return false;
        pipe->n++;
        skip_space(&p);
        if (*p.at && *p.at != ';')
            return rt_data_fail(e, RT_EXIT_SPEC, "S014", "%s: expected ';' at '%s'", what,
                                rt_esc(p.at));
    }
}

void rt_transform_name(const RtTransform *t, char *buf, size_t n)
{
    if (t->kind == RT_TF_HFLIP)
        snprintf(buf, n, "%s(p=%g)", kind_name[t->kind], t->p);
    else if (t->w == 0 || (t->w == t->h && t->kind != RT_TF_RESIZE))
        snprintf(buf, n, "%s(%d)", kind_name[t->kind], t->h);
    else
        snprintf(buf, n, "%s((%d, %d))", kind_name[t->kind], t->h, t->w);
}

/* ---- geometry ---- */

static void resized(const RtTransform *t, int h, int w, int *nh, int *nw)
{
    *nh = t->h;
    *nw = t->w;
    if (t->w) return;
    int64_t shorter = h < w ? h : w, longer = h < w ? w : h;
    int64_t side = (int64_t)t->h * longer / shorter;
    if (side > MAX_SIDE) side = MAX_SIDE;
    *nh = h < w ? t->h : (int)side;
    *nw = h < w ? (int)side : t->h;
}

bool rt_pipe_size(const RtPipe *p, int from, int *h, int *w, const RtTransform **bad)
{
    for (int i = from; i < p->n; i++) {
        const RtTransform *t = &p->op[i];
        *bad = t;
        switch (t->kind) {
        case RT_TF_RESIZE:
            resized(t, *h, *w, h, w);
            break;
        case RT_TF_RANDOM_CROP:
            if (*h + 2 * t->padding < t->h || *w + 2 * t->padding < t->w) return false;
            *h = t->h, *w = t->w;
            break;
        case RT_TF_CENTER_CROP:
            *h = t->h, *w = t->w;
            break;
        case RT_TF_HFLIP:
            break;
        }
    }
    return true;
}

static bool is_random(const RtTransform *t)
{
    return t->kind == RT_TF_RANDOM_CROP || t->kind == RT_TF_HFLIP;
}

int rt_pipe_shared(const RtPipe *a, const RtPipe *b)
{
    int i = 0;
    for (; i < a->n && i < b->n; i++) {
        const RtTransform *s = &a->op[i], *t = &b->op[i];
        if (is_random(s) || s->kind != t->kind || s->h != t->h || s->w != t->w) break;
    }
    return i;
}

/* ---- views ---- */

typedef struct View {
    RtPixels in;
    int h, w;           /* size of the view */
    int top, left;      /* pixel of `in` under view (0,0): may lie outside */
    int dx;             /* +1, or -1 when mirrored */
    int x0, x1, y0, y1; /* what may still be seen of `in`: [x0,x1) x [y0,y1) */
    RtImage own;        /* pixels of the last Resize */
    RtPixels mask;      /* of the size of `in`; px NULL: there is none */
    RtImage own_mask;
} View;

static View view_of(RtPixels in, const RtPixels *mask)
{
    View v = {.in = in, .h = in.h, .w = in.w, .dx = 1, .x1 = in.w, .y1 = in.h};
    if (mask) v.mask = *mask;
    return v;
}

static void view_free(View *v)
{
    free(v->own.px);
    free(v->own_mask.px);
}

static int max_int(int a, int b)
{
    return a > b ? a : b;
}

static int min_int(int a, int b)
{
    return a < b ? a : b;
}

static void view_crop(View *v, int top, int left, int h, int w)
{
    v->top += top;
    v->left += v->dx * left;
    v->h = h;
    v->w = w;
    int lo = v->dx > 0 ? v->left : v->left - (w - 1);
    v->x0 = max_int(v->x0, lo);
    v->x1 = min_int(v->x1, lo + w);
    v->y0 = max_int(v->y0, v->top);
    v->y1 = min_int(v->y1, v->top + h);
}

static void view_flip(View *v)
{
    v->left += v->dx * (v->w - 1);
    v->dx = -v->dx;
}

/* torchvision: half of an odd margin rounds to even; what is too small is padded with 0 first. */
static int centre(int have, int want)
{
    return have < want ? -((want - have) / 2) : (int)nearbyint((have - want) / 2.0);
}

/* What is seen of `from`, v->in or v->mask, as pixels of its own. */
static bool view_pixels(const View *v, RtPixels from, int outside, RtImage *out)
{
    int c = from.c;
    size_t n = (size_t)v->h * (size_t)v->w * (size_t)c;
    *out = (RtImage){malloc(n), c, v->h, v->w};
    if (!out->px) return false;
    memset(out->px, outside, n);
    for (int y = 0; y < v->h; y++) {
        int sy = v->top + y;
        if (sy < v->y0 || sy >= v->y1) continue;
        for (int x = 0; x < v->w; x++) {
            int sx = v->left + v->dx * x;
            if (sx < v->x0 || sx >= v->x1) continue;
            memcpy(out->px + ((size_t)y * v->w + x) * c, from.px + ((size_t)sy * from.w + sx) * c,
                   (size_t)c);
        }
    }
    return true;
}

typedef bool Resizer(const RtImage *in, int h, int w, RtImage *out);

static bool resized_pixels(const View *v, RtPixels from, int outside, Resizer *resize, int h, int w,
                           RtImage *out)
{
    RtImage flat;
    if (!view_pixels(v, from, outside, &flat)) return false;
    bool ok = resize(&flat, h, w, out);
    free(flat.px);
    return ok;
}

static bool view_resize(View *v, const RtTransform *t)
{
    RtImage big, mask = {0};
    int h, w;
    resized(t, v->h, v->w, &h, &w);
    if (h == v->h && w == v->w) return true;
    if (!resized_pixels(v, v->in, 0, rt_image_resize, h, w, &big)) return false;
    if (v->mask.px &&
        !resized_pixels(v, v->mask, RT_MASK_OUTSIDE, rt_image_resize_nearest, h, w, &mask)) {
        free(big.px);
        return false;
    }
    view_free(v);
    *v = view_of((RtPixels){big.px, big.c, big.h, big.w},
                 mask.px ? &(RtPixels){mask.px, 1, mask.h, mask.w} : NULL);
    v->own = big;
    v->own_mask = mask;
    return true;
}

static bool apply(View *v, const RtTransform *t, int index, RtDraw draw)
{
    uint64_t seed = draw.seed ^ ((uint64_t)TF_SEED_TAG << 48),
             item = draw.item * 64 + (uint64_t)index * 4;
    int range_h, range_w;
    switch (t->kind) {
    case RT_TF_RESIZE:
        return view_resize(v, t);
    case RT_TF_CENTER_CROP:
        view_crop(v, centre(v->h, t->h), centre(v->w, t->w), t->h, t->w);
        return true;
    case RT_TF_RANDOM_CROP:
        range_h = v->h + 2 * t->padding - t->h + 1;
        range_w = v->w + 2 * t->padding - t->w + 1;
        view_crop(v, (int)rt_random_below(seed, draw.epoch, item, (uint64_t)range_h) - t->padding,
                  (int)rt_random_below(seed, draw.epoch, item + 1, (uint64_t)range_w) - t->padding,
                  t->h, t->w);
        return true;
    case RT_TF_HFLIP:
        if ((double)(rt_random(seed, draw.epoch, item, 0) >> 11) * 0x1p-53 < t->p) view_flip(v);
        return true;
    }
    return true;
}

/* One channel of one row: the visible part through the table, the rest as pixel 0. */
static void row_to_float(const View *v, int y, int ch, const float *lut, float *out)
{
    int sy = v->top + y, c = v->in.c;
    int a =
        v->dx > 0 ? v->x0 - v->left : v->left - (v->x1 - 1); /* view columns [a, b) are visible */
    int b = v->dx > 0 ? v->x1 - v->left : v->left - v->x0 + 1;
    if (sy < v->y0 || sy >= v->y1) b = 0;
    a = min_int(max_int(a, 0), v->w);
    b = max_int(min_int(b, v->w), a);
    for (int x = 0; x < a; x++) out[x] = lut[0];
    const uint8_t *row = v->in.px + (size_t)(b > a ? sy : 0) * v->in.w * c + (c > 1 ? ch : 0);
    for (int x = a; x < b; x++) out[x] = lut[row[(size_t)(v->left + v->dx * x) * c]];
    for (int x = b; x < v->w; x++) out[x] = lut[0];
}

static void mask_to_ids(const View *v, int32_t *out)
{
    for (int y = 0; y < v->h; y++)
        for (int x = 0; x < v->w; x++) {
            int sy = v->top + y, sx = v->left + v->dx * x;
            bool seen = sy >= v->y0 && sy < v->y1 && sx >= v->x0 && sx < v->x1;
            *out++ = seen ? v->mask.px[(size_t)sy * v->mask.w + sx] : RT_MASK_OUTSIDE;
        }
}

bool rt_pipe_run(const RtPipe *p, int from, RtPixels in, const RtPixels *mask, RtDraw draw,
                 int channels, const float *lut, float *out, int32_t *mask_out)
{
    View v = view_of(in, mask);
    bool ok = true;
    for (int i = from; ok && i < p->n; i++) ok = apply(&v, &p->op[i], i, draw);
    for (int ch = 0; ok && ch < channels; ch++)
        for (int y = 0; y < v.h; y++)
            row_to_float(&v, y, ch, lut + 256 * ch, out + ((size_t)ch * v.h + y) * v.w);
    if (ok && mask) mask_to_ids(&v, mask_out);
    view_free(&v);
    return ok;
}

/* The mask goes along unless it is NULL. */
bool rt_pipe_prefix(const RtPipe *p, int n, RtImage *img, RtImage *mask)
{
    RtPixels ids = {0};
    if (mask) ids = (RtPixels){mask->px, mask->c, mask->h, mask->w};
    View v = view_of((RtPixels){img->px, img->c, img->h, img->w}, mask ? &ids : NULL);
    RtImage out = {0}, out_mask = {0};
    bool ok = true;
    for (int i = 0; ok && i < n; i++) ok = apply(&v, &p->op[i], i, (RtDraw){0, 0, 0});
    ok = ok && view_pixels(&v, v.in, 0, &out) &&
         (!mask || view_pixels(&v, v.mask, RT_MASK_OUTSIDE, &out_mask));
    view_free(&v);
    if (!ok) {
        free(out.px);
        return false;
    }
    free(img->px);
    *img = out;
    if (!mask) return true;
    free(mask->px);
    *mask = out_mask;
    return true;
}
