/* Mean over one dim or two, as torch.mean. */
#include "ops/common.h"

enum { DIM, KEEP };

static unsigned axes_of(const Layer *l)
{
    unsigned axes = 0;
    int rank = l->in[0]->shape.rank;
    for (int k = 0; k < 2; k++) {
        int64_t d = l->attr[DIM].i[k];
        if (d < 0) d += rank;
        if (d < 1 || d >= rank) return 0;
        axes |= 1u << d;
    }
    return axes;
}

static Node *layer(Layer *l)
{
    unsigned axes = axes_of(l);
    Shape x = l->in[0]->shape, kept = {0};
    if (!axes) {
        Loc loc = l->attr[DIM].loc;
        diag_error(loc.file ? loc : l->loc, "H001", "Mean '%s': no dims %lld and %lld in %s",
                   l->path, (long long)l->attr[DIM].i[0], (long long)l->attr[DIM].i[1],
                   shape_text(x).s);
        diag_help("the batch (dim 0) stays");
        return NULL;
    }
    double count = 1;
    for (int d = 0; d < x.rank; d++) {
        if (axes >> d & 1)
            count *= (double)x.dim[d];
        else
            kept.dim[kept.rank++] = x.dim[d];
    }
    Node *y = g_scale(l->g, g_sum_keep(l->g, l->in[0], axes), 1 / count);
    return l->attr[KEEP].i[0] ? y : g_reshape(l->g, y, kept);
}

static const AttrDef attrs[] = {
    {.name = "dim", .kind = ATTR_PAIR, .required = true, .min = -MAX_RANK, .max = MAX_RANK - 1},
    {.name = "keepdim", .kind = ATTR_BOOL},
    {0}};

const OpDef op_mean = {.name = "Mean",
                       .doc = "mean over dims: Mean((2,3)) of the plane, Mean(1) of the channels",
                       .nin = 1,
                       .attrs = attrs,
                       .nest = NEST_EXPAND,
                       .use = OP_LAYER,
                       .layer = layer};
