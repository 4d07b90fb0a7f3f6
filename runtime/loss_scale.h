/* The state of loss scaling (compiler/spec/scaling.c): what a program with `precision: fp16` keeps among its moments. */
#ifndef RUNTIME_LOSS_SCALE_H
#define RUNTIME_LOSS_SCALE_H
#include "exec.h"

typedef struct RtLossScale {
    bool there;     /* the program scales its loss */
    double scale;   /* 1 where it does not */
    double skipped; /* steps that were left out, all in all */
} RtLossScale;

RtLossScale rt_loss_scale(RtState *s); /* after the last run */
#endif
