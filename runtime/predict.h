/* predict, between the verb (predict.c) and what it can do with pictures (pictures.c). */
#ifndef RUNTIME_PREDICT_H
#define RUNTIME_PREDICT_H
#include "feed.h"
#include "json.h"
#include "session.h"

typedef struct Predict {
    RtSession s;
    RtFeed feed;
    RtDataConfig config;
    char **names;
    float *chw; /* the input */
    double *p;
    RtJson json;
    bool as_text, as_json;
    int failed;
    const struct RtPicturesPart *pictures; /* of models whose answer is a picture; else NULL */
    char **written;                        /* pictures.c: names of the files */
    int nwritten;
} Predict;

/* A part (parts.def): answers that are pictures, masks or reconstructions. */
typedef struct RtPicturesPart {
    void (*open)(Predict *x);
    /* The answer to x->chw is in x->feed.output. path: the image's file; NULL: it was an item of the data set. */
    void (*show)(Predict *x, const char *name, const char *path);
    void (*close)(Predict *x);
} RtPicturesPart;
#endif
