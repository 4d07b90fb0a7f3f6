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
    RT_TARGET_CLASS, /* i32 class numbers */
    RT_TARGET_VALUE, /* the class number as a float (binary problems) */
    RT_TARGET_INPUT  /* the input itself (autoencoders) */
} RtTargetKind;

typedef struct RtFeed {
    RtExec *exec;
    RtTargetKind target;
    int batch;
    int64_t input_size, output_size; /* elements of one row */
    int classes;                     /* 0: the output is no classification */
    bool has_loss;
    float *output; /* [batch][output_size] after rt_feed_run */
} RtFeed;

void rt_feed_init(RtFeed *f, RtExec *e, const RtOptions *o);
void rt_feed_free(RtFeed *f);
/* n rows of plain input and their labels (may be NULL); rows from n on repeat row 0. On a device of its own a run may
 * still be under way: these rows are the next one's. */
void rt_feed_put(RtFeed *f, const float *input, const int32_t *labels, int n);
/* The same with a loader's next batch, which `b` describes. -> 1; 0: there is none; -1: *e says why. */
typedef struct RtBatch {
    const float *input; /* the loader's, until its next batch */
    int32_t *labels;    /* a copy; the caller gives room for a batch */
    int n;
} RtBatch;
int rt_feed_next(RtFeed *f, RtLoader *l, RtBatch *b, RtError *e);
void rt_feed_start(RtFeed *f);                        /* a run of what was put */
void rt_feed_fetch(RtFeed *f);                        /* its output */
void rt_feed_run(RtFeed *f);                          /* both */
float rt_feed_loss(const RtFeed *f);                  /* 0 if there is none */
int rt_feed_class(const RtFeed *f, const float *row); /* the most likely class of an output row */
void rt_feed_probabilities(const RtFeed *f, const float *row, double *p); /* [classes] */

typedef struct RtScore {
    int64_t n;
    double loss, accuracy;  /* means over the n items; NaN: not known */
    RtConfusion *confusion; /* NULL if the model does not classify */
} RtScore;

/* Runs an inference program over a split. Call rt_exec_prepare first. progress (may be NULL) is
 * called with the number of items done. */
void rt_score(RtFeed *f, RtData *d, enum RtSplit split, RtScore *score,
              void (*progress)(int64_t done));
void rt_score_free(RtScore *s);
#endif
