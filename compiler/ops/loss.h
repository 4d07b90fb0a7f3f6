/* What losses share. Each has `reduction` among its attributes: mean or sum over all terms. */
#ifndef OPS_LOSS_H
#define OPS_LOSS_H
#include "ops/common.h"

extern const char *const loss_reductions[]; /* mean, sum */
extern const char *const loss_bases[];      /* e, 2: of the logarithms */
double loss_base(const Node *n);            /* what a loss in nats is multiplied by */

/* ---- element by element: output and target of one shape ---- */
bool loss_shape(Node *n);                                /* a scalar; error H005 */
Node *loss_target(Graph *g, const Node *n);              /* in[1] as floats */
Node *loss_reduce(Graph *g, const Node *n, Node *terms); /* their mean or sum */
/* terms * dy / count: the gradient of loss_reduce, where `terms` is each element's own. */
Node *loss_share(Graph *g, const Node *n, Node *terms, Node *dy);

/* ---- class numbers: prediction [N,C] or [N,C,H,W], target i32 [N,1] or [N,1,H,W]; with
 * label_smoothing also f32 as the prediction, shares of the classes. The attributes
 * weight, ignore_index, reduction and, where there is one, label_smoothing. ---- */
typedef struct Labels {
    Node *share; /* [N,C,..] of the classes in the target; 0 where there is no label */
    Node *mass;  /* [N,1,..] sum of the shares */
    Node *count; /* what the sum is divided by; NULL: nothing */
} Labels;
bool labels_shape(Node *n);
Labels labels_of(Graph *g, const Node *n);
/* The same for the reference, at place i of N x plane: weight of the target, shares of the classes.
 */
double labels_ref(const Node *n, const double *target, int64_t i, double *share);
#endif
