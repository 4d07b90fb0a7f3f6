/* Layout: where the elements of a logical tensor lie in memory. Data, chosen by schedule.c.
 *
 * Axis a is cut into ceil(dim/block) blocks. Physical order: the outer (block) indexes of all axes
 * in axis order, then the inner indexes of the blocked axes in DESCENDING axis order. So
 * activations blocked along channels are nChw16c, weights blocked along both channels are
 * OIhw16i16o; `last` makes activations NHWC. lo/hi: zero halo of an unblocked axis. Element (i0, i1, ..) = base + sum
 * (i/block)*outer + (i%block)*inner. */
#ifndef GRAPH_LAYOUT_H
#define GRAPH_LAYOUT_H
#include "graph/graph.h"

enum { BLOCK = 16, BLOCK_MIN_CHANNELS = 8 };

typedef struct Layout {
    int rank;
    bool last; /* the blocks of axis 1 lie inside of all other axes: with a rounded number of channels, NHWC */
    int64_t dim[MAX_RANK];
    int block[MAX_RANK];                      /* 1 or BLOCK */
    int64_t lo[MAX_RANK], hi[MAX_RANK];       /* halo, in elements; 0 on blocked axes */
    int64_t outer[MAX_RANK], inner[MAX_RANK]; /* strides, in elements */
    int64_t base;                             /* of element (0, 0, ..) */
    int64_t count;                            /* elements of storage, padding and halo included */
} Layout;

/* Activations, gradients of activations, and vectors: channels (axis 1; axis 0 of rank 1) blocked
 * when there are at least BLOCK_MIN_CHANNELS of them. A pure function of the shape, so that tensors
 * of equal shape always have equal blocks. */
Layout layout_value(Shape s);
/* The same blocks, channels last where an image has them blocked: what libraries for GPUs take as NHWC. */
Layout layout_channels_last(Shape s);
/* Parameters and their gradients: axis 0 and (rank >= 2, at least BLOCK wide) axis 1 blocked. */
Layout layout_weight(Shape view);
Layout layout_flat(int64_t count); /* [count], unblocked: storage as it lies */
void layout_finish(Layout *l);     /* computes strides, base, count from dim, block, lo, hi */
bool layout_is_flat(const Layout *l); /* of layout_flat, in whole blocks */
bool layout_has_halo(const Layout *l);
bool layout_same(const Layout *a, const Layout *b); /* dims, blocks and halo equal */
void layout_print(Buf *b, const Layout *l);         /* "[8,64/16,14+1+1,14+1+1]" */
#endif
