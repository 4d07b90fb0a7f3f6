/* ConvTranspose2d: the gradient of a convolution as a layer: x takes the place of dy, and the
 * output size is the input size of that convolution. Weight [in, out/groups, kh, kw]; the gradients
 * are Conv2d and ConvWgrad with exchanged roles (conv_dgrad.c). */
#include "ops/conv.h"
#include <math.h>

enum { IN, OUT, KERNEL, STRIDE, PAD, OUTPUT_PAD, GROUPS, BIAS, DILATION };

static Loc arg_loc(const Layer *l, int attr)
{
    return l->attr[attr].loc.file ? l->attr[attr].loc : l->loc;
}

static bool check_channels(Layer *l)
{
    Shape x = l->in[0]->shape;
    AttrVal *in = &l->attr[IN];
    if (x.rank != 4) {
        diag_error(l->loc, "H001",
                   "ConvTranspose2d '%s': input has the shape %s, expected [N,C,H,W]", l->path,
                   shape_text(x).s);
        return false;
    }
    if (in->infer) in->i[0] = x.dim[1];
    if (in->i[0] == x.dim[1]) return true;
    diag_error(arg_loc(l, IN), "H006",
               "ConvTranspose2d '%s' declares in_channels=%lld, but its input has %lld channels",
               l->path, (long long)in->i[0], (long long)x.dim[1]);
    diag_under("expected %lld (shape here: %s)", (long long)x.dim[1], shape_text(x).s);
    diag_help("write `_`");
    return false;
}

static bool check_groups(const Layer *l, int at, const char *what)
{
    int64_t groups = l->attr[GROUPS].i[0];
    if (l->attr[at].i[0] % groups == 0) return true;
    diag_error(arg_loc(l, GROUPS), "H004",
               "ConvTranspose2d '%s': groups %lld do not divide %s=%lld", l->path,
               (long long)groups, what, (long long)l->attr[at].i[0]);
    diag_help("groups must divide both in_channels and out_channels");
    return false;
}

static bool check_size(const Layer *l, const int64_t size[2])
{
    const int64_t *extra = l->attr[OUTPUT_PAD].i, *stride = l->attr[STRIDE].i;
    if (extra[0] >= stride[0] || extra[1] >= stride[1]) {
        diag_error(arg_loc(l, OUTPUT_PAD), "H009",
                   "ConvTranspose2d '%s': output_padding %lldx%lld must be less than the stride "
                   "%lldx%lld",
                   l->path, (long long)extra[0], (long long)extra[1], (long long)stride[0],
                   (long long)stride[1]);
        return false;
    }
    if (size[0] >= 1 && size[1] >= 1) return true;
    diag_error(l->loc, "H003", "ConvTranspose2d '%s': output %lldx%lld", l->path,
               (long long)size[0], (long long)size[1]);
    diag_help("use less padding or a larger kernel");
    return false;
}

static void output_size(const Layer *l, int64_t size[2])
{
    const AttrVal *v = l->attr;
    for (int d = 0; d < 2; d++)
        size[d] = (l->in[0]->shape.dim[2 + d] - 1) * v[STRIDE].i[d] - 2 * v[PAD].i[d] +
                  v[DILATION].i[d] * (v[KERNEL].i[d] - 1) + v[OUTPUT_PAD].i[d] + 1;
}

/* The attributes of the convolution that this is the gradient of. */
static Node *dgrad(Layer *l, Node *w, const int64_t size[2])
{
    AttrVal v[MAX_ATTR] = {0};
    v[CONV_IN] = l->attr[OUT];
    v[CONV_OUT] = l->attr[IN];
    v[CONV_KERNEL] = l->attr[KERNEL];
    v[CONV_STRIDE] = l->attr[STRIDE];
    v[CONV_PAD] = l->attr[PAD];
    v[CONV_DIL] = l->attr[DILATION];
    v[CONV_GROUPS] = l->attr[GROUPS];
    for (int d = 0; d < 2; d++) v[CONV_SIZE].i[d] = size[d];
    return g_op_attr(l->g, "ConvDgrad", v, 2, l->in[0], w);
}

static Node *layer(Layer *l)
{
    int64_t size[2];
    if (!check_channels(l) || !check_groups(l, IN, "in") || !check_groups(l, OUT, "out"))
        return NULL;
    output_size(l, size);
    if (!check_size(l, size)) return NULL;
    const int64_t *kernel = l->attr[KERNEL].i;
    int64_t per_group = l->attr[OUT].i[0] / l->attr[GROUPS].i[0];
    double bound = 1.0 / sqrt((double)(per_group * kernel[0] * kernel[1]));
    Init init = {INIT_UNIFORM, -bound, bound};
    Shape shape = shape_make(4, l->attr[IN].i[0], per_group, kernel[0], kernel[1]);
    Node *w = layer_read(l, layer_state(l, "weight", STATE_PARAM, shape, init));
    Node *y = dgrad(l, w, size);
    if (!y || !l->attr[BIAS].i[0]) return y;
    State *bias = layer_state(l, "bias", STATE_PARAM, shape_make(1, l->attr[OUT].i[0]), init);
    return layer_node(l, "Add", y, layer_read(l, bias));
}

static const AttrDef attrs[] = {
    {.name = "in_channels",
     .kind = ATTR_INT,
     .required = true,
     .min = 1,
     .max = 65536,
     .infer = true},
    {.name = "out_channels", .kind = ATTR_INT, .required = true, .min = 1, .max = 65536},
    {.name = "kernel_size", .kind = ATTR_PAIR, .required = true, .min = 1, .max = 1024},
    {.name = "stride", .kind = ATTR_PAIR, .def = 1, .min = 1, .max = 1024},
    {.name = "padding", .kind = ATTR_PAIR, .max = 1024},
    {.name = "output_padding", .kind = ATTR_PAIR, .max = 1023},
    {.name = "groups", .kind = ATTR_INT, .def = 1, .min = 1, .max = 65536},
    {.name = "bias", .kind = ATTR_BOOL, .def = 1},
    {.name = "dilation", .kind = ATTR_PAIR, .def = 1, .min = 1, .max = 1024},
    {0}};

const OpDef op_conv_transpose2d = {.name = "ConvTranspose2d",
                                   .doc = "two-dimensional transposed convolution",
                                   .nin = 1,
                                   .attrs = attrs,
                                   .nest = NEST_EXPAND,
                                   .use = OP_LAYER,
                                   .layer = layer};
