/* The reference interpreter: runs a graph in double with op->ref, one node after the other. Naive on purpose;
 * the oracle of every test. Tensors are row-major logical arrays, integers are doubles too. */
#ifndef REF_H
#define REF_H
#include "graph/graph.h"

typedef struct RefEnv RefEnv;

RefEnv *ref_new(const Graph *g); /* states begin at INIT_CONST's value, else 0 */
void ref_free(RefEnv *env);
/* Values are copied. An input that the graph does not have (any more) is ignored. */
void ref_set_input(RefEnv *env, const char *name, const double *x);
void ref_set_state(RefEnv *env, const State *s, const double *x); /* a group: into its parts */
void ref_get_state(const RefEnv *env, const State *s, double *out);
void ref_set_scalar(RefEnv *env, const char *name, double x);
void ref_set_single(RefEnv *env); /* rounds every value to single precision, as kernels do */
/* Nodes read the states as they were before the run; Assigns take effect at its end. */
void ref_run(RefEnv *env);
const double *ref_value(const RefEnv *env, const Node *n); /* of the last run */
#endif
