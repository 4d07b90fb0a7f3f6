/* Transforms of images: a pipe of operators, each a row of transforms.def, from 8-bit pixels to
 * normalised floats.
 *
 * rule: what is random is counter-based, keyed by (seed, epoch, item, place in the pipe). Crops and
 * flips move no pixel: they edit a view, which the next operator that needs pixels, or the last
 * loop, reads through. A mask goes the way of its image, each pixel the nearest one of the source.
 */
#ifndef RUNTIME_DATA_TRANSFORM_H
#define RUNTIME_DATA_TRANSFORM_H
#include "../err.h"
#include "../image.h"
#include "attr.h"

enum {
    RT_TF_MAX = 16,       /* operators of a pipe */
    RT_TF_ATTRS = 8,      /* arguments of an operator */
    RT_MASK_OUTSIDE = 255 /* of a mask, where there is no image */
};

typedef struct RtPixels { /* borrowed 8-bit pixels [h][w][c] */
    const uint8_t *px;
    int c, h, w;
} RtPixels;

/* Counter-based randomness of one item: the same for every thread and order. */
typedef struct RtDraw {
    uint64_t seed, epoch, item;
} RtDraw;

/* ---- the table ---- */

typedef struct RtAttr {
    const char *name;
    const char *const *words; /* NULL: numbers */
    unsigned counts, rules;
    double least, most;
    const char *def; /* as text; NULL: it must be given */
} RtAttr;

typedef struct RtTransform RtTransform;
typedef struct RtCanvas RtCanvas;
typedef struct RtDice RtDice;
struct RtBatchImages;

typedef struct RtTransformDef {
    const char *name;
    const RtAttr *attr; /* ends with name NULL */
    int size;           /* RT_SIZE_... */
    bool random;
    bool (*apply)(RtCanvas *v, const RtTransform *t, RtDice *dice); /* false: out of memory */
    double (*mix)(struct RtBatchImages *b, const RtTransform *t, RtDice *dice); /* mix.c */
} RtTransformDef;

struct RtTransform {
    const RtTransformDef *def;
    double v[RT_TF_ATTRS][4]; /* an argument's numbers, in its place; a word's number */
    int n[RT_TF_ATTRS];       /* how many; 0: None, or the word `random` */
};

typedef struct RtPipe {
    int n;
    RtTransform op[RT_TF_MAX];
} RtPipe;

bool rt_pipe_parse(RtPipe *p, const char *text, const char *what, RtError *e);
/* The pipe becomes Resize((h, w)). */
void rt_pipe_resize(RtPipe *p, int h, int w);
/* How many leading operators two pipes share that need no randomness. */
int rt_pipe_shared(const RtPipe *a, const RtPipe *b);
/* Size after operators [from, n). False, with *bad = the operator, if one cannot be applied. */
bool rt_pipe_size(const RtPipe *p, int from, int *h, int *w, const RtTransform **bad);
/* Operators [from, n), then out[c][y][x] = lut[c*256 + pixel] for `channels` channels (of grey
 * pixels: all the same). A mask of the image's size goes the same way into mask_out[y][x]; both may
 * be NULL. False: out of memory. */
bool rt_pipe_run(const RtPipe *p, int from, RtPixels in, const RtPixels *mask, RtDraw draw,
                 int channels, const float *lut, float *out, int32_t *mask_out);
/* Deterministic operators [0, n) on an image and its mask (may be NULL), in place. False: out of
 * memory, nothing changed. */
bool rt_pipe_prefix(const RtPipe *p, int n, RtImage *img, RtImage *mask);
void rt_transform_name(const RtTransform *t, char *buf, size_t n);

/* ---- transform_parse.c ---- */
/* One call out of a table that ends with name NULL; *text moves behind it. */
bool rt_transform_parse(RtTransform *t, const RtTransformDef *defs, const char **text,
                        const char *what, RtError *e);

/* ---- batches ---- */
typedef struct RtBatchImages {
    float *x;     /* [n][c][h][w], n > 0 */
    float *spare; /* room for one image */
    int n, c, h, w;
} RtBatchImages;

bool rt_mix_parse(RtPipe *p, const char *text, const char *what, RtError *e);
/* Mixes each image with the one before it, the first with the last; of several operators one is
 * drawn. -> the share that is the image's own. */
double rt_mix(const RtPipe *p, RtDraw draw, RtBatchImages *b);

/* ---- dice ---- */
struct RtDice {
    uint64_t seed, epoch, item, counter;
};

RtDice rt_dice(RtDraw draw, int place);
double rt_dice_unit(RtDice *d); /* [0, 1) */
double rt_dice_between(RtDice *d, double lo, double hi);
int rt_dice_below(RtDice *d, int n); /* 0 .. n-1; n > 0 */
double rt_dice_normal(RtDice *d);

/* ---- transform_canvas.c: an image on its way ---- */
struct RtCanvas {
    RtPixels in;
    int h, w;           /* size of the view */
    int top, left;      /* pixel of `in` under view (0,0): may lie outside */
    int dy, dx;         /* +1, or -1 when mirrored */
    int x0, x1, y0, y1; /* what may still be seen of `in`: [x0,x1) x [y0,y1) */
    RtImage own;        /* px NULL: `in` is somebody else's */
    RtPixels mask;      /* of the size of `in`; px NULL: there is none */
    RtImage own_mask;
    float *floats; /* the normalised image [c][h][w], once there is one */
    int channels;
};

RtCanvas rt_canvas(RtPixels in, const RtPixels *mask);
void rt_canvas_free(RtCanvas *v);
void rt_canvas_crop(RtCanvas *v, int top, int left, int h, int w);
void rt_canvas_flip(RtCanvas *v, bool vertical);
/* The pixels, and the mask's, that will be seen next; they become the view's own. Empty mask: none. */
void rt_canvas_replace(RtCanvas *v, RtImage img, RtImage mask);
/* Makes v->own exactly what is seen, to be changed in place. False: out of memory. */
bool rt_canvas_own(RtCanvas *v);
bool rt_canvas_copy(const RtCanvas *v, bool mask, RtImage *out);
bool rt_canvas_resize(RtCanvas *v, int h, int w, bool nearest);
void rt_canvas_floats(const RtCanvas *v, int channels, const float *lut, float *out);
void rt_canvas_ids(const RtCanvas *v, int32_t *out);

/* transform_crop.c: the size of an h x w image whose shorter side becomes `size`. */
void rt_shorter_side(int size, int *h, int *w);

/* ---- transform_warp.c ---- */
typedef struct RtOutside {
    bool nearest;       /* else bilinear */
    const double *fill; /* of what comes from outside: one grey, or three colours */
    int nfill;
} RtOutside;

typedef struct RtAffine {
    double angle, tx, ty, scale, shear_x, shear_y; /* degrees; angles clockwise */
} RtAffine;

/* center NULL: the image's. False: out of memory. */
bool rt_warp_affine(RtCanvas *v, const RtAffine *f, const RtOutside *o, const double *center);
/* The corners of the image, from the top left with the clock, move to `to` (x, y). */
bool rt_warp_corners(RtCanvas *v, const double to[4][2], const RtOutside *o);

/* The functions of the table. Weak: the compiler links what the description calls
 * (compiler/parts.c); a function that is not in the program is NULL. */
#define TRANSFORM(NAME, FN, SIZE, RANDOM)                                                          \
    bool rt_tf_##FN(RtCanvas *v, const RtTransform *t, RtDice *dice)                               \
        __attribute__((weak, visibility("hidden")));
#define BATCH(NAME, FN)                                                                            \
    double rt_mix_##FN(RtBatchImages *b, const RtTransform *t, RtDice *dice)                       \
        __attribute__((weak, visibility("hidden")));
#define NUMBERS(...)
#define WORDS(...)
#define END
#include "transforms.def"
#undef TRANSFORM
#undef BATCH
#undef NUMBERS
#undef WORDS
#undef END
#endif
