/* A pipe of transforms: "RandomCrop(28, padding=2);RandomHorizontalFlip()" -> operators, sizes,
 * images.
 *
 * not here: the table (transforms.def), arguments (transform_parse.c), what the operators do
 * (transform_crop.c and the others).
 */
#include "internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TF_SEED_TAG = 0x7466, MIX_SEED_TAG = 0x6d78 };

/* ---- the table ---- */

#define BATCH(NAME, FN)                   TRANSFORM(NAME, FN, 0, 0)
#define TRANSFORM(NAME, FN, SIZE, RANDOM) static const RtAttr attr_##FN[] = {
#define NUMBERS(NAME, COUNTS, RULES, LEAST, MOST, DEF)                                             \
    {#NAME, NULL, COUNTS, RULES, LEAST, MOST, DEF},
#define WORDS(NAME, ...) {.name = #NAME, .words = (const char *const[]){__VA_ARGS__, NULL}},
#define END                                                                                        \
    {                                                                                              \
        0                                                                                          \
    }                                                                                              \
    }                                                                                              \
    ;
#include "transforms.def"
#undef TRANSFORM
#undef BATCH
#undef NUMBERS
#undef WORDS
#undef END

#define NUMBERS(...)
#define WORDS(...)
#define END
#define TRANSFORM(NAME, FN, SIZE, RANDOM) {#NAME, attr_##FN, SIZE, RANDOM, rt_tf_##FN, NULL},
#define BATCH(NAME, FN)
static const RtTransformDef defs[] = {
#include "transforms.def"
    {0}};
#undef TRANSFORM
#undef BATCH
#define TRANSFORM(NAME, FN, SIZE, RANDOM)
#define BATCH(NAME, FN) {#NAME, attr_##FN, RT_SIZE_SAME, true, NULL, rt_mix_##FN},
static const RtTransformDef batch_defs[] = {
#include "transforms.def"
    {0}};
#undef TRANSFORM
#undef BATCH

/* Arguments that the size rules read, by their places in the table: `size` or `padding` comes first. */
enum { SIZE = 0, PADDING = 0, CROP_PADDING = 1, PAD_IF_NEEDED = 2 };

static bool parse(RtPipe *pipe, const RtTransformDef *table, const char *text, const char *what,
                  RtError *e)
{
    const char *at = text ? text : "";
    pipe->n = 0;
    for (;;) {
        at += strspn(at, " \t\r\n;");
        if (!*at) return true;
        if (pipe->n == RT_TF_MAX)
            return rt_data_fail(e, RT_EXIT_SPEC, "S014", "%s: more than %d transforms", what,
                                RT_TF_MAX);
        RtTransform *t = &pipe->op[pipe->n];
        if (!rt_transform_parse(t, table, &at, what, e)) return false;
        if (!t->def->apply && !t->def->mix)
            return rt_data_fail(e, RT_EXIT_USAGE, "C008",
                                "%s: this program was built without %s\nadd it to the "
                                "description and build again",
                                what, t->def->name);
        if (*at && *at != ';')
            return rt_data_fail(e, RT_EXIT_SPEC, "S014", "%s: expected ';' at '%s'", what,
                                rt_esc(at));
        if (pipe->n && t[-1].def->size == RT_SIZE_FLOATS && t->def->size != RT_SIZE_FLOATS)
            return rt_data_fail(e, RT_EXIT_SPEC, "S014",
                                "%s: %s works on normalised values: no %s can follow it", what,
                                t[-1].def->name, t->def->name);
        pipe->n++;
    }
}

bool rt_pipe_parse(RtPipe *pipe, const char *text, const char *what, RtError *e)
{
    return parse(pipe, defs, text, what, e);
}

bool rt_mix_parse(RtPipe *pipe, const char *text, const char *what, RtError *e)
{
    return parse(pipe, batch_defs, text, what, e);
}

void rt_pipe_resize(RtPipe *p, int h, int w)
{
    *p = (RtPipe){.n = 1};
    p->op[0].def = defs;
    p->op[0].n[SIZE] = 2;
    p->op[0].v[SIZE][0] = h;
    p->op[0].v[SIZE][1] = w;
    p->op[0].n[1] = 1;
}

void rt_transform_name(const RtTransform *t, char *buf, size_t n)
{
    int count = t->n[0];
    const double *v = t->v[0];
    bool same = count == 2 && v[0] == v[1] && t->def->attr[0].rules & RT_TWICE;
    if (count == 1 || same)
        snprintf(buf, n, "%s(%g)", t->def->name, v[0]);
    else if (count == 2)
        snprintf(buf, n, "%s((%g, %g))", t->def->name, v[0], v[1]);
    else
        snprintf(buf, n, "%s", t->def->name);
}

/* ---- sizes ---- */

/* What padding of one, two or four numbers adds to the height and the width. */
static void padded(const RtTransform *t, int attr, int *h, int *w)
{
    const double *p = t->v[attr];
    int n = t->n[attr];
    *w += (int)(n == 4 ? p[0] + p[2] : 2 * p[0]);
    *h += (int)(n == 4 ? p[1] + p[3] : 2 * p[n == 2]);
}

static bool size_after(const RtTransform *t, int *h, int *w)
{
    const double *size = t->v[SIZE];
    int nh = *h, nw = *w;
    switch (t->def->size) {
    case RT_SIZE_SHORT:
        if (t->n[SIZE] == 1)
            rt_shorter_side((int)size[0], h, w);
        else
            *h = (int)size[0], *w = (int)size[1];
        return true;
    case RT_SIZE_CROP:
        padded(t, CROP_PADDING, &nh, &nw);
        if (!t->v[PAD_IF_NEEDED][0] && (nh < size[0] || nw < size[1])) return false;
        *h = (int)size[0], *w = (int)size[1];
        return true;
    case RT_SIZE_SET:
        *h = (int)size[0], *w = (int)size[1];
        return true;
    case RT_SIZE_GROW:
        padded(t, PADDING, &nh, &nw);
        if (nh > RT_IMAGE_MAX_SIDE || nw > RT_IMAGE_MAX_SIDE) return false;
        *h = nh, *w = nw;
        return true;
    default:
        return true;
    }
}

bool rt_pipe_size(const RtPipe *p, int from, int *h, int *w, const RtTransform **bad)
{
    for (int i = from; i < p->n; i++) {
        *bad = &p->op[i];
        if (!size_after(*bad, h, w)) return false;
    }
    return true;
}

static bool same(const RtTransform *a, const RtTransform *b)
{
    return a->def == b->def && !memcmp(a->v, b->v, sizeof a->v) && !memcmp(a->n, b->n, sizeof a->n);
}

int rt_pipe_shared(const RtPipe *a, const RtPipe *b)
{
    int i = 0;
    while (i < a->n && i < b->n && !a->op[i].def->random && same(&a->op[i], &b->op[i])) i++;
    return i;
}

/* ---- dice ---- */

RtDice rt_dice(RtDraw draw, int place)
{
    return (RtDice){draw.seed ^ ((uint64_t)TF_SEED_TAG << 48), draw.epoch,
                    draw.item * RT_TF_MAX + (uint64_t)place, 0};
}

double rt_dice_unit(RtDice *d)
{
    return (double)(rt_random(d->seed, d->epoch, d->item, d->counter++) >> 11) * 0x1p-53;
}

double rt_dice_between(RtDice *d, double lo, double hi)
{
    return lo + (hi - lo) * rt_dice_unit(d);
}

int rt_dice_below(RtDice *d, int n)
{
    return (int)(rt_dice_unit(d) * n);
}

/* Box and Muller's. */
double rt_dice_normal(RtDice *d)
{
    double u = 1 - rt_dice_unit(d), angle = 2 * M_PI * rt_dice_unit(d);
    return sqrt(-2 * log(u)) * cos(angle);
}

/* ---- running ---- */

static bool apply(const RtPipe *p, int from, int to, RtDraw draw, bool floats, RtCanvas *v)
{
    for (int i = from; i < to; i++) {
        const RtTransformDef *def = p->op[i].def;
        RtDice dice = rt_dice(draw, i);
        if ((def->size == RT_SIZE_FLOATS) == floats && !def->apply(v, &p->op[i], &dice))
            return false;
    }
    return true;
}

bool rt_pipe_run(const RtPipe *p, int from, RtPixels in, const RtPixels *mask, RtDraw draw,
                 int channels, const float *lut, float *out, int32_t *mask_out)
{
    RtCanvas v = rt_canvas(in, mask);
    bool ok = apply(p, from, p->n, draw, false, &v);
    if (ok) {
        rt_canvas_floats(&v, channels, lut, out);
        v.floats = out;
        v.channels = channels;
        ok = apply(p, from, p->n, draw, true, &v);
    }
    if (ok && mask) rt_canvas_ids(&v, mask_out);
    rt_canvas_free(&v);
    return ok;
}

bool rt_pipe_prefix(const RtPipe *p, int n, RtImage *img, RtImage *mask)
{
    RtPixels ids = {0};
    if (mask) ids = (RtPixels){mask->px, mask->c, mask->h, mask->w};
    RtCanvas v = rt_canvas((RtPixels){img->px, img->c, img->h, img->w}, mask ? &ids : NULL);
    bool ok = apply(p, 0, n, (RtDraw){0, 0, 0}, false, &v) && rt_canvas_own(&v);
    if (!ok) {
        rt_canvas_free(&v);
        return false;
    }
    free(img->px);
    *img = v.own;
    if (!mask) return true;
    free(mask->px);
    *mask = v.own_mask;
    return true;
}

double rt_mix(const RtPipe *p, RtDraw draw, RtBatchImages *b)
{
    RtDice dice = rt_dice(draw, 0);
    dice.seed ^= (uint64_t)MIX_SEED_TAG << 32; /* none of an image's draws */
    const RtTransform *t = &p->op[rt_dice_below(&dice, p->n)];
    return t->def->mix(b, t, &dice);
}
