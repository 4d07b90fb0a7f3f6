/* Losses that compare every element of the output with a target of the same shape. */
#ifndef OPS_REGRESSION_LOSS_H
#define OPS_REGRESSION_LOSS_H
#include "ops/common.h"

bool loss_shape(Node *n);                   /* H005 unless the shapes agree; a scalar */
Node *loss_target(Graph *g, const Node *n); /* in[1] as floats */
Node *loss_mean(Graph *g, Node *x);         /* mean over all elements */
/* terms * dy / elements: the gradient of loss_mean */
Node *loss_share(Graph *g, Node *terms, Node *dy);
#endif
