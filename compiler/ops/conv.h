/* The geometry of a convolution, shared by Conv2d and its two gradients. */
#ifndef OPS_CONV_H
#define OPS_CONV_H
#include "ops/common.h"

/* Attributes; the gradients have `size` besides: of the input (ConvDgrad), of the kernel
 * (ConvWgrad). */
enum {
    CONV_IN,
    CONV_OUT,
    CONV_KERNEL,
    CONV_STRIDE,
    CONV_PAD,
    CONV_DIL,
    CONV_GROUPS,
    CONV_BIAS,
    CONV_SIZE
};
extern const AttrDef conv_attrs[];

typedef struct Conv {
    int64_t n, groups, cg, kg; /* channels per group: in, out */
    int64_t in[2], out[2], kernel[2], stride[2], pad[2], dil[2];
} Conv;
/* From the node's attributes and the shapes of x [N,C,H,W], w [O,C/g,kh,kw], y [N,O,oh,ow]. */
Conv conv_geometry(const Node *n, Shape x, Shape w, Shape y);

/* ---- contractions. An axis of extent 1 is left out where `keep` is false: -1. ---- */
int con_axis(Contract *c, const char *name, int64_t extent, bool keep);
void con_term(ConIndex *x, int dim, int axis, int64_t coef); /* axis -1: nothing */
/* Axes n, k (channel of Out that B has too), c, g in this order where they are needed. */
typedef struct ConAxes {
    int n, k, c, g;
} ConAxes;
ConAxes con_channels(Contract *c, const Conv *v, int64_t k, int64_t channel);

void conv_ref_forward(const Conv *v, const double *x, const double *w, double *y);
void conv_ref_dgrad(const Conv *v, const double *dy, const double *w, double *dx);
void conv_ref_wgrad(const Conv *v, const double *x, const double *dy, double *dw);
#endif
