/* Between a data set's batches and a program's tensors: input and target in, loss and predictions
 * out. */
#ifndef RUNTIME_FEED_H
#define RUNTIME_FEED_H
#include "data/data.h"
#include "exec.h"
#include "metrics.h"
#include "options.h"

typedef enum RtTargetKind {
    RT_TARGET_NONE,
    RT_TARGET_CLASS, /* i32 class numbers, of an item or of each of its pixels */
    RT_TARGET_VALUE, /* the class number as a float (binary problems) */
    RT_TARGET_SHARES, /* of each class, where batches are mixed */
    RT_TARGET_INPUT  /* the input itself (autoencoders): the program has no target */
} RtTargetKind;

typedef struct RtFeed {
    RtExec *exec;
    RtTargetKind target;
    int batch;
    int64_t input_size, output_size; /* elements of one row */
    int64_t label_size;              /* class numbers of a row: 1, or the pixels of a mask */
    int classes;                     /* 0: the output is no classification */
    int ignore;                      /* class number that the loss leaves out */
    bool has_loss;
    float *output;  /* [batch][output_size] after rt_feed_run */
    float *best;    /* [label_size], scratch; NULL for items */
    float *shares;  /* [classes], scratch of RT_TARGET_SHARES */
    int32_t *found; /* [label_size]: what rt_feed_classes found */
} RtFeed;

void rt_feed_init(RtFeed *f, RtExec *e, const RtOptions *o);
void rt_feed_free(RtFeed *f);
void rt_feed_check(const RtFeed *f, const RtData *d); /* do its labels fit? exits 3 if not */
/* n rows of plain input and their labels (may be NULL); rows from n on repeat row 0. On a device of its own a run may
 * still be under way: these rows are the next one's. */
void rt_feed_put(RtFeed *f, const float *input, const int32_t *labels, int n);
/* The same with a loader's next batch, which `b` describes. -> 1; 0: there is none; -1: *e says why. */
typedef struct RtBatch {
    const float *input; /* the loader's, until its next batch */
    int32_t *labels;    /* a copy; of what was mixed the larger share's */
    float *copy;        /* of the input, where that is what the output is held against; else NULL */
    int n;
} RtBatch;
void rt_batch_init(RtBatch *b, const RtFeed *f); /* room for a batch */
void rt_batch_free(RtBatch *b);
int rt_feed_next(RtFeed *f, RtLoader *l, RtBatch *b, RtError *e);
void rt_feed_start(RtFeed *f);                        /* a run of what was put */
void rt_feed_fetch(RtFeed *f);                        /* its output */
void rt_feed_run(RtFeed *f);                          /* both */
bool rt_feed_in_bits(const RtFeed *f); /* the description's losses have log_base=2 */
float rt_feed_loss(const RtFeed *f);                  /* 0 if there is none */
/* The most likely class of an output row, or of each of its pixels -> [label_size], valid until the next call. Of equal
 * ones the first. */
const int32_t *rt_feed_classes(RtFeed *f, const float *row);
int rt_feed_class(RtFeed *f, const float *row); /* of an item, or of the first pixel */
void rt_feed_probabilities(const RtFeed *f, const float *row, double *p); /* [classes], of an item */
void rt_feed_pixel(const RtFeed *f, const float *row, int64_t pixel, double *p); /* the same of a pixel */
/* Adds a row's labels to *counted, those that are classes and not left out, and those that were found to *correct;
 * and to the confusion matrix, which may be NULL. */
void rt_feed_count(RtFeed *f, const float *row, const int32_t *labels, RtConfusion *c, int64_t *counted, int64_t *correct);

typedef struct RtScore {
    int64_t n;
    double loss; /* the mean over the n items; NaN: not known */
    double accuracy, f1_macro, f1_weighted, iou; /* of items or pixels; NaN: not known */
    RtConfusion *confusion; /* NULL if the model does not classify */
} RtScore;

typedef struct RtItem { /* an item of the split and what became of it */
    int64_t index;
    const int32_t *labels; /* [label_size] */
    const float *output;   /* a row */
    const float *input;    /* NULL, but for autoencoders */
} RtItem;

typedef struct RtWatch { /* who else wants to know; members may be NULL */
    void (*progress)(int64_t done);
    void (*item)(void *to, const RtItem *item); /* of every item, in order */
    void *to;
} RtWatch;

/* Runs an inference program over a split. Call rt_exec_prepare first. */
void rt_score(RtFeed *f, RtData *d, enum RtSplit split, RtScore *score, const RtWatch *watch);
void rt_score_free(RtScore *s);
#endif
