/* A training run and its continuation. */
#ifndef RUNTIME_TRAIN_H
#define RUNTIME_TRAIN_H
#include "events.h"
#include "feed.h"
#include "rundir.h"
#include "schedule.h"
#include "session.h"

typedef enum RtMonitor {
    RT_VAL_LOSS,
    RT_VAL_ACCURACY,
    RT_TRAIN_LOSS,
    RT_TRAIN_ACCURACY,
    RT_VAL_F1_MACRO,
    RT_VAL_F1_WEIGHTED,
    RT_VAL_IOU,
    RT_NMONITORS
} RtMonitor;

typedef struct RtTrain {
    RtSession *s;
    RtData *data;
    RtRunDir dir;
    RtFeed train, infer; /* infer.exec NULL: nothing is validated */
    uint64_t seed;
    int64_t items, batches, val_items; /* of an epoch; items are those that fill batches */
    RtBatch at[2]; /* the batch at work, and the next */
    RtMonitor monitor;
    RtSchedule schedule; /* of the learning rate; its plateau belongs to what a checkpoint holds */

    /* What a checkpoint holds besides the state arena: with it, a resumed run is the same run. */
    int64_t epoch, batch; /* where we are, from 0 */
    int64_t step;         /* optimizer steps done */
    double loss_sum;      /* of this epoch so far */
    int64_t seen;               /* items */
    int64_t labelled, correct;  /* items or pixels */
    double value[RT_NMONITORS]; /* of the last finished epoch; NaN: not known */
    double best;                /* of value[monitor] */
    int64_t best_epoch, waited; /* the epoch of the best (from 1; 0: none); epochs since */
    char *history;              /* metrics.jsonl */
    size_t history_len;

    int64_t saved_step; /* of the newest checkpoint; -1: none */
    bool newest_bad;    /* the file that the next checkpoint replaces is damaged */
    char *classes;      /* JSON list of the class names */
    RtEvents *events;   /* for TensorBoard */
} RtTrain;

extern const char *const rt_monitor_name[RT_NMONITORS];

/* resume.c: optim.safetensors holds everything in one file, so that no crash can leave halves of
 * two steps. */
void rt_train_save(RtTrain *t, bool best); /* last, optim; best too */
/* "auto" or a file; exits when it does not fit; false: auto, and there is nothing to go on with. */
bool rt_train_resume(RtTrain *t, const char *resume);
void rt_train_rewind(RtTrain *t); /* to the newest checkpoint, or to the beginning */
void rt_train_restore_best(RtTrain *t); /* best weights -> state and last */

/* train.c */
RtLoader *rt_train_loader(RtTrain *t);    /* what is left of the epoch */
void rt_train_begin_step(RtTrain *t);     /* on the batch that was put; counts it */

/* nonfinite.c: a loss or a state is not finite. Runs again from the newest checkpoint, or from the beginning, to the step
 * where that began, names what began it, and exits with 8. loss: of the last step. */
_Noreturn void rt_train_nonfinite(RtTrain *t, double loss);
#endif
