/* What the files of runtime/data share. Items are numbered over the whole set; a split is a list of
 * items. */
#ifndef RUNTIME_DATA_INTERNAL_H
#define RUNTIME_DATA_INTERNAL_H
#include "../err.h"
#include "../image.h"
#include "data.h"

/* ---- transform.c ---- */
enum { RT_TF_MAX = 16, RT_MASK_OUTSIDE = 255 /* of a mask, where there is no image */ };
enum RtTransformKind { RT_TF_RESIZE, RT_TF_CENTER_CROP, RT_TF_RANDOM_CROP, RT_TF_HFLIP };

typedef struct RtTransform {
    enum RtTransformKind kind;
    int h, w; /* Resize: w = 0 means that the shorter side becomes h */
    int padding;
    double p;
} RtTransform;

typedef struct RtPipe {
    int n;
    RtTransform op[RT_TF_MAX];
} RtPipe;

typedef struct RtPixels { /* borrowed 8-bit pixels [h][w][c] */
    const uint8_t *px;
    int c, h, w;
} RtPixels;

/* Counter-based randomness of one item: the same for every thread and order. */
typedef struct RtDraw {
    uint64_t seed, epoch, item;
} RtDraw;

bool rt_pipe_parse(RtPipe *p, const char *text, const char *what, RtError *e);
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

/* ---- shuffle.c ---- */
uint64_t rt_random(uint64_t seed, uint64_t epoch, uint64_t item, uint64_t counter);
/* Unbiased in [0, bound), bound > 0. */
uint64_t rt_random_below(uint64_t seed, uint64_t epoch, uint64_t item, uint64_t bound);

/* ---- data.c ---- */
/* An item as its format gives it: pixels, and for masks (c = 1, as large) their classes. The caller
 * frees `owned`; NULL: the pixels are the format's. */
typedef struct RtFetched {
    RtPixels px, mask;
    uint8_t *owned;
} RtFetched;

typedef struct RtItems {
    int64_t n;
    int64_t *item; /* [n] */
} RtItems;

struct RtData {
    int c, h, w;
    RtPipe train, eval;
    float *lut; /* [c][256]: pixel -> normalised value */
    int64_t nitems;
    bool masks, look, files; /* files: source is an RtFolder */
    int64_t label_size; /* 1; h*w: masks */
    int32_t *label; /* [nitems]; -1: of a class that is not selected; of masks: the stratum */
    RtItems split[RT_NSPLITS];
    int nclasses;
    char **class_name; /* [nclasses] */
    char *notes;
    size_t notes_len, notes_cap;
    int64_t nbad;
    bool file_order; /* items come in no particular order: a limit may take the first ones */

    /* The format: pixels of an item after `prefix` operators. */
    void *source;
    int prefix;
    bool (*fetch)(struct RtData *d, int64_t item, RtFetched *out, RtError *e);
    const char *(*item_name)(const struct RtData *d, int64_t item, char *buf, size_t n);
    void (*close)(void *source);
    void (*find_leaks)(struct RtData *d); /* may be NULL: notes D027, once the splits are known */
};

bool rt_data_fail(RtError *e, int exit_code, const char *id, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
bool rt_data_no_memory(RtError *e, const char *what, uint64_t bytes);
void rt_data_note(RtData *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* a*b bytes of zeroed memory, or NULL with e set. */
void *rt_data_alloc(uint64_t a, uint64_t b, const char *what, RtError *e);
/* Will an h x w image fit the model after the pipes' operators? (D017) */
bool rt_data_fits(const RtData *d, int h, int w, const char *name, RtError *e);
bool rt_data_set_classes(RtData *d, int n, const char *const *names, RtError *e);

/* ---- the formats: fill in d's items, labels, classes, splits ---- */
typedef struct RtFormat {
    bool (*open)(RtData *d, const RtDataConfig *c, RtError *e);
} RtFormat;
#define RT_FORMAT(word, masks, what) extern const RtFormat rt_format_##word;
#include "formats.def"
#undef RT_FORMAT

/* ---- split.c ---- */
typedef struct RtFractions {
    double train, val, test;
} RtFractions;

/* Deals items pool[0..n) out to the splits (appending), in ascending order within each. */
bool rt_split_items(RtData *d, const RtDataConfig *c, RtFractions f, const int64_t *pool, int64_t n,
                    RtError *e);
/* split_csv.c: d's splits as the file has them. */
bool rt_split_read(RtData *d, const char *path, RtError *e);
bool rt_split_limit(RtData *d, const RtDataConfig *c, RtError *e);
/* Checks c's fractions; all 0: the given defaults. */
bool rt_split_fractions(const RtDataConfig *c, RtFractions defaults, RtFractions *f, RtError *e);

/* ---- source.c: a plain or gzip file, read once from front to back ---- */
typedef struct RtSource RtSource;
RtSource *rt_source_open(const char *path, bool gz, RtError *e);
/* Bytes read (less than n only at the end of the file), or -1. */
int64_t rt_source_read(RtSource *s, void *dst, size_t n, RtError *e);
uint64_t rt_source_size(const RtSource *s); /* of the file as it lies on the disk */
void rt_source_close(RtSource *s);
#endif
