/* Layers by hand, as the description's builder would make them: for tests of operators and stages.
 */
#ifndef LAYERS_H
#define LAYERS_H
#include "ops/op.h"

/* attrs: "out_channels=4 kernel_size=3"; what is left out has its default, or is inferred where `_`
 * is allowed. b may be NULL. */
Node *make_layer(Graph *g, const char *op, const char *path, const char *attrs, Node *a, Node *b);
Node *make_layer_of(Graph *g, const char *op, const char *path, const char *attrs, Node *const *in,
                    int nin);
#endif
