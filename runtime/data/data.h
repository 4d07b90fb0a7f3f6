/* Images and labels for train, eval and predict: one interface over IDX files and image folders.
 *
 * in:  an RtDataConfig (the description's `data` block after the flags were applied)
 * out: three splits of (normalised float image, label); each batch is a pure function of
 *      (data, split, index[], train, seed, epoch), so neither threads nor timing change a bit
 * rule: nothing here prints or exits; a failure fills an RtError, which the caller reports.
 *      Text in an RtError has every file name already escaped.
 * not here: decoding of image files (image.h), numbers about predictions (metrics.h).
 */
#ifndef RUNTIME_DATA_DATA_H
#define RUNTIME_DATA_DATA_H
#include "../err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum RtSplit { RT_SPLIT_TRAIN, RT_SPLIT_VAL, RT_SPLIT_TEST, RT_NSPLITS };
enum { RT_DATA_MAX_CHANNELS = 4 };

typedef struct RtDataConfig {
    const char *format;      /* of formats.def */
    const char *root;        /* directory */
    double train, val, test; /* fractions; all three 0: 0.9/0.1 for idx, 0.8/0.1/0.1 for folders */
    const char *split_file;  /* of rt_data_save_split, instead of fractions; NULL: none */
    bool stratify;           /* the same fractions within each class */
    uint64_t seed;           /* of the split */
    int64_t limit;           /* first N of each split, after the split; 0: all */
    const char *const *classes; /* selects and orders classes; NULL: all of them */
    int nclasses;
    int ignore_index; /* of masks: a number that is no class, beside 255 */
    const char *class_map;             /* of masks, "7=road,#804080=road"; NULL: the format's */
    int num_classes;                   /* what the model can tell apart; 0: do not check */
    int channels, height, width;       /* what the model takes */
    double mean[RT_DATA_MAX_CHANNELS]; /* of pixels scaled to 0..1 */
    double std[RT_DATA_MAX_CHANNELS];  /* must not be 0 */
    const char
        *train_transforms; /* "RandomCrop(28, padding=2);RandomHorizontalFlip()"; may be NULL */
    const char *eval_transforms; /* "Resize(32);CenterCrop(32)"; may be NULL */
    const char *batch_transforms; /* "MixUp(alpha=0.2)", of training batches; may be NULL */
    uint64_t cache;               /* bytes of decoded images that stay in memory */
    int workers;                  /* threads of a loader; 0: one */
    int64_t max_bad;             /* bad images that are skipped before it is an error */
    const char *bad_list;        /* file that the bad images are listed in; NULL: none */
    bool convert_channels;       /* --channels=convert: alpha is laid over white */
    /* For who only looks (sinter data): sizes, channels and empty classes are no errors; each bad
     * image is told. on_bad may be NULL. */
    bool look;
    void (*on_bad)(void *to, const RtError *e);
    void *on_bad_to;
} RtDataConfig;

typedef struct RtData RtData;

/* All zero, except std 1 in every channel and a cache of 1 GiB. */
void rt_data_config_init(RtDataConfig *c);

/* NULL: e says why. The configuration is not kept. */
RtData *rt_data_open(const RtDataConfig *c, RtError *e);
void rt_data_close(RtData *d);

int64_t rt_data_count(const RtData *d, enum RtSplit s);
int rt_data_nclasses(const RtData *d);
const char *rt_data_class_name(const RtData *d, int i);
int32_t rt_data_label(const RtData *d, enum RtSplit s, int64_t i); /* -1: a mask */
/* Path below the root, or "train:17" / "t10k:17" in IDX files. Raw bytes: escape before printing.
 * Valid until this thread's next call. */
const char *rt_data_item_name(const RtData *d, enum RtSplit s, int64_t i);
/* Notes and warnings of opening, each line ended by '\n', already escaped; "" if there are none. */
const char *rt_data_notes(const RtData *d);
int64_t rt_data_nbad(const RtData *d); /* images that were skipped */

/* Labels of one item: 1, or H*W for masks, whose pixels follow the image's geometry. */
int64_t rt_data_label_size(const RtData *d);
enum { RT_LABEL_IGNORE = 255 }; /* a mask's pixel of no class; also what geometry leaves open */

/* Writes items index[0..n) of the split to out [n,C,H,W] and labels [n][label_size]. Thread-safe.
 * `train` picks the train transforms, whose randomness depends on (seed, epoch, item) alone. */
bool rt_data_batch(RtData *d, enum RtSplit s, const int64_t *index, int n, bool train,
                   uint64_t seed, uint64_t epoch, float *out, int32_t *labels, RtError *e);

/* split,item,label,class: one line an item, in split order. Written to a temporary name, then
 * renamed. hash (may be NULL) has room for 65 bytes: SHA-256 of the file, in hexadecimal. */
bool rt_data_save_split(const RtData *d, const char *path, char *hash, RtError *e);

/* One image file for predict: eval transforms, then a resize to [H,W] if they leave another size,
 * then mean and std. chw is [channels,height,width]. Alpha is laid over white. */
bool rt_data_image(const RtDataConfig *c, const char *path, float *chw, RtError *e);

/* shuffle.c: index[0..n) in an order that depends on (seed, epoch) alone; the formula is in
 * shuffle.c. */
void rt_shuffle(int64_t *index, int64_t n, uint64_t seed, uint64_t epoch);

/* loader.c: background threads (RtDataConfig.workers) prepare batches of order[0..n) (copied), in
 * order, at most `depth` ahead; what a batch holds does not depend on their number. The last batch may be short. NULL: no memory or no thread (exit 6). */
typedef struct RtLoader RtLoader;
RtLoader *rt_loader_start(RtData *d, enum RtSplit s, const int64_t *order, int64_t n, int batch,
                          bool train, uint64_t seed, uint64_t epoch, int depth);
/* 1: *n items in *input [n,C,H,W] and *labels [n][label_size], valid until the next call; 0: the
 * end; -1: failed, see e. */
int rt_loader_next(RtLoader *l, float **input, int32_t **labels, int *n, RtError *e);
/* Of the batch just given: each image is this share of itself and else of the one before it (the
 * first: of the last), and so should be its label. 1: nothing was mixed. */
double rt_loader_share(const RtLoader *l);
void rt_loader_stop(RtLoader *l); /* at any time; NULL is fine */
#endif
