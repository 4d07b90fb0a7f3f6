/* What layers of a model make of images: values of many items, of files or of a split. */
#ifndef RUNTIME_LAYER_VALUES_H
#define RUNTIME_LAYER_VALUES_H
#include "feed.h"
#include "session.h"

enum { RT_FEATURES_MOST = 33 }; /* layers at once */

typedef struct RtLayerValues {
    const char *name;
    int64_t size; /* elements of an item */
    float *x;     /* [n][size] */
} RtLayerValues;

typedef struct RtFeatures {
    RtSession *s;
    RtFeed feed;
    RtDataConfig config;
    RtLayerValues layer[RT_FEATURES_MOST];
    int nlayers, failed; /* failed: damaged files, which were reported */
    int64_t n, cap;
    char **item;    /* [n] */
    int32_t *label; /* [n]; -1: not known */
    float *input;   /* a batch that is not full */
    int waiting;
} RtFeatures;

/* Opens the session's inference program. Exits 2 when it does not give a layer's values. */
void rt_features_open(RtFeatures *f, RtSession *s, const char *const *layer, int nlayers);
/* Files, and all images in folders and below. */
void rt_features_paths(RtFeatures *f, const char *const *path, int n);
/* Items of a split, at most `most`, evenly spread over it. */
void rt_features_split(RtFeatures *f, RtData *d, enum RtSplit split, int64_t most);
void rt_features_free(RtFeatures *f);
const RtTensor *rt_features_tensor(const RtFeatures *f, int layer);
#endif
