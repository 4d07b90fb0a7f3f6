/* AdaptiveMaxPool2d: where the output size divides the input's, a MaxPool2d. */
#include "ops/common.h"

static Node *layer(Layer *l)
{
    Shape x = l->in[0]->shape;
    const int64_t *size = l->attr[0].i;
    AttrVal attr[MAX_ATTR];
    const OpDef *pool = op_find("MaxPool2d");
    if (x.rank != 4) {
        diag_error(l->loc, "H001", "AdaptiveMaxPool2d '%s': input is %s, expected [N,C,H,W]",
                   l->path, shape_text(x).s);
        return NULL;
    }
    op_default_attrs(pool, attr);
    AttrVal *kernel = &attr[attr_index(pool, "kernel_size")];
    for (int d = 0; d < 2; d++) {
        kernel->i[d] = x.dim[2 + d] / size[d];
        if (x.dim[2 + d] % size[d] == 0) continue;
        Loc loc = l->attr[0].loc;
        diag_error(loc.file ? loc : l->loc, "H003",
                   "AdaptiveMaxPool2d '%s': output %lldx%lld does not divide the input %lldx%lld",
                   l->path, (long long)size[0], (long long)size[1], (long long)x.dim[2],
                   (long long)x.dim[3]);
        return NULL;
    }
    return g_op_attr(l->g, "MaxPool2d", attr, 1, l->in[0]);
}

static const AttrDef attrs[] = {
    {.name = "output_size", .kind = ATTR_PAIR, .required = true, .min = 1, .max = 65536}, {0}};

const OpDef op_adaptive_max_pool = {.name = "AdaptiveMaxPool2d",
                                    .doc = "maximum of windows that give a fixed output size",
                                    .nin = 1,
                                    .attrs = attrs,
                                    .nest = NEST_EXPAND,
                                    .use = OP_LAYER,
                                    .layer = layer};
