/* Runs one node the way its operator describes itself to the nests (contract, scalar body, window),
 * as naively as can be: what a description says, apart from how the real nests use it. Values are
 * row-major doubles. */
#ifndef NAIVE_H
#define NAIVE_H
#include "ops/op.h"

/* false: the operator does not describe itself in one of these ways, or *why says what is wrong. */
bool naive_run(const Node *n, const double *const *in, double *out, const char **why);
#endif
