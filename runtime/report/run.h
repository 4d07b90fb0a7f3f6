/* A finished run, as its folder tells it: what reports and comparisons are made of.
 *
 * in:  metrics.jsonl, split.csv, args.yaml, env.json and, where the program collected it, report.json
 * rule: the folder is untrusted. What is not there is empty, what is damaged is an error that names the file. */
#ifndef RUNTIME_REPORT_RUN_H
#define RUNTIME_REPORT_RUN_H
#include "../data/data.h"
#include "../metrics.h"
#include <jansson.h>

typedef enum RtSeries { /* of an epoch each; NaN: not known */
    RT_LOSS_TRAIN,
    RT_LOSS_VAL,
    RT_ACC_TRAIN,
    RT_ACC_VAL,
    RT_RATE,
    RT_SECONDS,
    RT_SPEED,
    RT_NORM, /* squared, of the weights */
    RT_IOU,
    RT_F1_MACRO,
    RT_F1_WEIGHTED,
    RT_NSERIES
} RtSeries;

typedef struct RtSetting {
    char *key, *value;
} RtSetting;

typedef struct RtScored { /* a split through the best weights */
    enum RtSplit split;
    int64_t items;
    double loss;
    RtConfusion *confusion; /* NULL: no classification */
    RtMetrics m;            /* of it */
    const json_t *json;     /* everything else of it */
} RtScored;

typedef struct RtRun {
    char *path, *name; /* the folder and the last part of it */
    int nepochs, best; /* best: index of the best epoch; -1: none */
    const char *monitor;
    double *series[RT_NSERIES]; /* [nepochs] */
    int nsettings;
    RtSetting *setting; /* args.yaml */
    json_t *env, *report; /* NULL: none */
    int nclasses;
    char **class_name;
    int64_t *count[RT_NSPLITS]; /* [nclasses] items of each class; of an absent split all 0 */
    int64_t items[RT_NSPLITS];
    bool pixels; /* counts are of pixels, of some items' masks */
    int nscored;
    RtScored scored[RT_NSPLITS]; /* the first is the one that the report is about: test, else val, else train */
} RtRun;

/* Exits 4 when the folder is not a run's or a file of it is damaged. */
RtRun *rt_run_read(const char *path);
void rt_run_free(RtRun *r);
const char *rt_run_setting(const RtRun *r, const char *key); /* NULL: none */
const char *rt_class_name(const RtRun *r, int k);
extern const char *const rt_split_name[RT_NSPLITS];
/* Number k of an array as a double; NaN: there is none. */
double rt_json_at(const json_t *array, size_t k);
double rt_json_of(const json_t *object, const char *key);
const char *rt_json_text_of(const json_t *object, const char *key); /* "": none */
#endif
