/* Identity: the input itself. */
#include "ops/common.h"

static Node *layer(Layer *l)
{
    return l->in[0];
}

const OpDef op_identity = {.name = "Identity",
                           .doc = "the input itself",
                           .nin = 1,
                           .nest = NEST_EXPAND,
                           .use = OP_LAYER,
                           .layer = layer};
