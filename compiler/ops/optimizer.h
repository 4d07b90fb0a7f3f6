/* Optimizers are layers on (weights, gradients): flat, rank 1, all parameters end to end. They add
 * Assigns of the weights and of moments that are congruent with them; arithmetic as PyTorch does
 * it. */
#ifndef OPS_OPTIMIZER_H
#define OPS_OPTIMIZER_H
#include "ops/common.h"

/* A group of STATE_MOMENT, zeros at first: "<parameter>.<suffix>" for every part of the weights. */
State *optimizer_moment(Layer *l, const char *suffix);
Node *optimizer_decay(Graph *g, Node *gradient, Node *weights,
                      double weight_decay);    /* g + wd * w */
Node *optimizer_assign(Layer *l, Node *value); /* the new weights; the layer's result */
#endif
