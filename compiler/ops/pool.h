/* What the pooling operators share. */
#ifndef OPS_POOL_H
#define OPS_POOL_H
#include "ops/common.h"

/* From attributes kernel_size, stride (0: as the kernel), padding and, where there is one,
 * dilation. */
Window pool_window(const Node *n);
/* [N,C,H,W] -> [N,C,oh,ow]; errors H001 to H003 and H014. */
bool pool_shape(Node *n);
/* The shape of a gradient op: of dy, with the attribute `size` as height and width. */
bool pool_grad_shape(Node *n);
/* Reference: where tap number `tap` of window o lies in the plane `in`; false: outside of it. */
bool pool_tap(const Window *w, const int64_t in[2], const int64_t o[2], int64_t tap, int64_t at[2]);
#endif
