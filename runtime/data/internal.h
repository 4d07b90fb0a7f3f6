/* What the files of runtime/data share. Items are numbered over the whole set; a split is a list of
 * items. */
#ifndef RUNTIME_DATA_INTERNAL_H
#define RUNTIME_DATA_INTERNAL_H
#include "../err.h"
#include "../image.h"
#include "data.h"
#include "transform.h"

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
    RtPipe train, eval, mix;
    int workers;
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
