/* ConvWgrad: the gradient of Conv2d with respect to its weights, from x [N,C,H,W] and dy
 * [N,O,oh,ow]: dw[k, c, kh, kw] = sum over n, oh, ow of x[n, c, oh*s + kh*d - p, ..] * dy[n, k, oh,
 * ow]. */
#include "ops/conv.h"

static bool shape(Node *n)
{
    Shape x = n->in[0]->shape, dy = n->in[1]->shape;
    const int64_t *size = n->attr[CONV_SIZE].i;
    n->shape = shape_make(4, dy.dim[1], x.dim[1] / n->attr[CONV_GROUPS].i[0], size[0], size[1]);
    n->dtype = DT_F32;
    return true;
}

static bool contract(const Node *n, int phase, Contract *c)
{
    static const char *const out_name[] = {"oh", "ow"}, *const tap_name[] = {"kh", "kw"};
    if (phase > 0) return false;
    Conv v = conv_geometry(n, n->in[0]->shape, n->shape, n->in[1]->shape);
    *c = (Contract){.a.view = n->in[0]->shape, .b.view = n->in[1]->shape, .out.view = n->shape};
    ConAxes x = con_channels(c, &v, v.kg, v.cg);
    con_term(&c->a, 0, x.n, 1);
    con_term(&c->a, 1, x.g, v.cg);
    con_term(&c->a, 1, x.c, 1);
    con_term(&c->b, 0, x.n, 1);
    con_term(&c->b, 1, x.g, v.kg);
    con_term(&c->b, 1, x.k, 1);
    con_term(&c->out, 0, x.g, v.kg);
    con_term(&c->out, 0, x.k, 1);
    con_term(&c->out, 1, x.c, 1);
    for (int d = 0; d < 2; d++) {
        int o = con_axis(c, out_name[d], v.out[d], true);
        c->a.off[2 + d] = -v.pad[d];
        con_term(&c->a, 2 + d, o, v.stride[d]);
        con_term(&c->b, 2 + d, o, 1);
    }
    for (int d = 0; d < 2; d++) {
        int t = con_axis(c, tap_name[d], v.kernel[d], true);
        con_term(&c->a, 2 + d, t, v.dil[d]);
        con_term(&c->out, 2 + d, t, 1);
    }
    return true;
}

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    Node *x = n->in[0], *b = n->in[1];
    if (dx[0] && !(dx[0] = g_like(g, "ConvDgrad", n, x->shape, 2, b, dy))) return false;
    if (dx[1] && !(dx[1] = g_like(g, "Conv2d", n, (Shape){0}, 2, x, dy))) return false;
    return true;
}

static void ref(const Node *n, const double *const *in, double *out)
{
    Conv v = conv_geometry(n, n->in[0]->shape, n->shape, n->in[1]->shape);
    conv_ref_wgrad(&v, in[0], in[1], out);
}

static const Sample samples[] = {
    {"f[2,3,7,5] f[2,4,5,3]", "size=(3,3)"},
    {"f[1,5,7,5] f[1,17,4,3]", "size=(3,3) stride=2 padding=1"},
    {"f[2,3,9,8] f[2,4,3,3]", "size=(2,2) stride=3"},
    {"f[1,3,9,11] f[1,4,9,10]", "size=(3,2) padding=(2,1) dilation=(2,3)"},
    {"f[2,6,7,5] f[2,4,7,5]", "size=(3,3) groups=2 padding=1"},
    {"f[2,5,7,5] f[2,5,7,5]", "size=(3,3) groups=5 padding=1"},
    {"f[1,2,3,3] f[1,3,2,2]", "size=(3,3) padding=4 stride=5"},
    {"f[2,20,8,6] f[2,17,4,3]", "size=(2,2) stride=2"},
    {"f[2,5,7,5] f[2,10,7,5]", "size=(3,3) groups=5 padding=1"},
    {"f[2,32,8,7] f[2,32,4,4]", "size=(3,3) groups=32 stride=2 padding=1"},
    {"f[1,20,7,5] f[1,20,7,5]", "size=(3,3) groups=20 padding=2 dilation=2"},
    {"f[2,21,8,6] f[2,12,4,3]", "size=(3,3) groups=3 stride=2 padding=1"},
    {"f[1,34,5,5] f[1,38,5,5]", "size=(1,1) groups=2"},
    {"f[4,32,9,7] f[4,37,9,7]", "size=(3,3) padding=1"},
    {"f[3,21,14,6] f[3,48,12,4]", "size=(3,3)"},
    {"f[2,32,18,10] f[2,37,18,10]", "size=(3,3) padding=2 dilation=2"},
    {"f[2,20,8,7] f[2,17,8,7]", "size=(3,3) padding=(6,5) dilation=(6,5)"},
    {0}};

const OpDef op_conv_wgrad = {.name = "ConvWgrad",
                             .doc = "gradient of Conv2d for its weights, from x and dy",
                             .nin = 2,
                             .attrs = conv_attrs,
                             .nest = NEST_CONTRACT,
                             .shape = shape,
                             .grad = grad,
                             .contract = contract,
                             .ref = ref,
                             .samples = samples,
                             .tol = {3e-5, 1e-4}};
