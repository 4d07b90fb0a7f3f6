/* What cuDNN would compute, from its documentation's formulas, in double; in memory what its types say. For tests. */
#ifndef NAIVE_CONV_H
#define NAIVE_CONV_H
#include "cuda/cudnn.h"

/* tensor: x, w, y, then the operand of each epilogue (NULL where it has none). */
void naive_conv(const CudnnConv *c, void *const *tensor);
#endif
