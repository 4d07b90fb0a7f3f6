/* Conv2d: cross-correlation of x [N,C,H,W] with w [O,C/groups,kh,kw], zero padding. The bias of the
 * layer is an Add of a rank-1 state, so that it is an epilogue like any other. */
#include "ops/conv.h"
#include <math.h>

static Sliding sliding(const Node *n)
{
    Sliding s;
    for (int d = 0; d < 2; d++) {
        s.kernel[d] = n->in[1]->shape.dim[2 + d];
        s.stride[d] = n->attr[CONV_STRIDE].i[d];
        s.pad[d] = n->attr[CONV_PAD].i[d];
        s.dil[d] = n->attr[CONV_DIL].i[d];
    }
    return s;
}

static bool shape(Node *n)
{
    if (!shape_want_rank(n, 0, 4, 4)) return false;
    Shape x = n->in[0]->shape, w = n->in[1]->shape;
    int64_t groups = n->attr[CONV_GROUPS].i[0], out[2];
    Sliding s = sliding(n);
    bug_if(w.rank != 4 || w.dim[1] * groups != x.dim[1] || w.dim[0] % groups,
           "Conv2d of %s with %s, %lld groups", shape_text(x).s, shape_text(w).s,
           (long long)groups);
    if (!sliding_size(n, &s, x.dim + 2, false, CONV_KERNEL, out)) return false;
    n->shape = shape_make(4, x.dim[0], w.dim[0], out[0], out[1]);
    n->dtype = DT_F32;
    return true;
}

/* ---- the layer ---- */
static Loc arg_loc(const Layer *l, int attr)
{
    return l->attr[attr].loc.file ? l->attr[attr].loc : l->loc;
}

static bool check_groups(const Layer *l, int64_t channels, const char *what, int at)
{
    int64_t groups = l->attr[CONV_GROUPS].i[0];
    if (channels % groups == 0) return true;
    diag_error(arg_loc(l, at), "H004", "Conv2d '%s': groups %lld do not divide %s=%lld", l->path,
               (long long)groups, what, (long long)channels);
    diag_help("groups must divide both in_channels and out_channels");
    return false;
}

static bool check(Layer *l)
{
    Shape x = l->in[0]->shape;
    AttrVal *in = &l->attr[CONV_IN];
    if (x.rank != 4) {
        diag_error(l->loc, "H001", "Conv2d '%s': input has the shape %s, expected [N,C,H,W]",
                   l->path, shape_text(x).s);
        return false;
    }
    if (in->infer) in->i[0] = x.dim[1];
    if (in->i[0] != x.dim[1]) {
        diag_error(arg_loc(l, CONV_IN), "H006",
                   "Conv2d '%s' declares in_channels=%lld, but its input has %lld channels",
                   l->path, (long long)in->i[0], (long long)x.dim[1]);
        diag_under("expected %lld (shape here: %s)", (long long)x.dim[1], shape_text(x).s);
        diag_help("write `_`");
        return false;
    }
    return check_groups(l, x.dim[1], "in", CONV_GROUPS) &&
           check_groups(l, l->attr[CONV_OUT].i[0], "out", CONV_GROUPS);
}

static Node *layer(Layer *l)
{
    if (!check(l)) return NULL;
    const int64_t *kernel = l->attr[CONV_KERNEL].i;
    int64_t out = l->attr[CONV_OUT].i[0];
    int64_t cg = l->attr[CONV_IN].i[0] / l->attr[CONV_GROUPS].i[0];
    double bound = 1.0 / sqrt((double)(cg * kernel[0] * kernel[1]));
    Init init = {INIT_UNIFORM, -bound, bound};
    Shape shape = shape_make(4, out, cg, kernel[0], kernel[1]);
    Node *w = layer_read(l, layer_state(l, "weight", STATE_PARAM, shape, init));
    Node *y = g_op_attr(l->g, "Conv2d", l->attr, 2, l->in[0], w);
    if (!y || !l->attr[CONV_BIAS].i[0]) return y;
    State *bias = layer_state(l, "bias", STATE_PARAM, shape_make(1, out), init);
    return layer_node(l, "Add", y, layer_read(l, bias));
}

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    Node *x = n->in[0], *w = n->in[1];
    if (dx[0] && !(dx[0] = g_like(g, "ConvDgrad", n, x->shape, 2, dy, w))) return false;
    if (dx[1] && !(dx[1] = g_like(g, "ConvWgrad", n, w->shape, 2, x, dy))) return false;
    return true;
}

/* y[n, k, oh, ow] = sum over c, kh, kw of x[n, c, oh*s + kh*d - p, ..] * w[k, c, kh, kw] */
static bool contract(const Node *n, int phase, Contract *c)
{
    static const char *const out_name[] = {"oh", "ow"}, *const tap_name[] = {"kh", "kw"};
    if (phase > 0) return false;
    Conv v = conv_geometry(n, n->in[0]->shape, n->in[1]->shape, n->shape);
    *c = (Contract){.a.view = n->in[0]->shape, .b.view = n->in[1]->shape, .out.view = n->shape};
    ConAxes x = con_channels(c, &v, v.kg, v.cg);
    con_term(&c->a, 0, x.n, 1);
    con_term(&c->a, 1, x.g, v.cg);
    con_term(&c->a, 1, x.c, 1);
    con_term(&c->b, 0, x.g, v.kg);
    con_term(&c->b, 0, x.k, 1);
    con_term(&c->b, 1, x.c, 1);
    con_term(&c->out, 0, x.n, 1);
    con_term(&c->out, 1, x.g, v.kg);
    con_term(&c->out, 1, x.k, 1);
    for (int d = 0; d < 2; d++) {
        int o = con_axis(c, out_name[d], v.out[d], true);
        c->a.off[2 + d] = -v.pad[d];
        con_term(&c->a, 2 + d, o, v.stride[d]);
        con_term(&c->out, 2 + d, o, 1);
    }
    for (int d = 0; d < 2; d++) {
        int t = con_axis(c, tap_name[d], v.kernel[d], true);
        con_term(&c->a, 2 + d, t, v.dil[d]);
        con_term(&c->b, 2 + d, t, 1);
    }
    return true;
}

static Window window(const Node *n)
{
    Sliding s = sliding(n);
    Window w = {.adaptive = false};
    for (int d = 0; d < 2; d++) {
        w.kernel[d] = s.kernel[d];
        w.stride[d] = s.stride[d];
        w.pad[d] = s.pad[d];
        w.dilation[d] = s.dil[d];
    }
    return w;
}

static void ref(const Node *n, const double *const *in, double *out)
{
    Conv v = conv_geometry(n, n->in[0]->shape, n->in[1]->shape, n->shape);
    conv_ref_forward(&v, in[0], in[1], out);
}

static const Sample samples[] = {{"f[2,3,7,5] f[4,3,3,3]", ""},
                                 {"f[2,3,7,5] f[5,3,3,3]", "padding=1"},
                                 {"f[1,5,7,5] f[17,5,3,3]", "stride=2 padding=1"},
                                 {"f[2,17,7,5] f[20,17,1,1]", ""},
                                 {"f[2,3,9,8] f[4,3,2,2]", "stride=3"},
                                 {"f[1,3,9,11] f[4,3,3,2]", "padding=(2,1) dilation=(2,3)"},
                                 {"f[2,3,8,7] f[3,3,5,1]", "stride=(3,2) padding=(2,0)"},
                                 {"f[2,6,7,5] f[4,3,3,3]", "groups=2 padding=1"},
                                 {"f[2,5,7,5] f[5,1,3,3]", "groups=5 padding=1"},
                                 {"f[1,3,7,5] f[6,1,3,3]", "groups=3 stride=2"},
                                 {"f[1,3,9,9] f[2,3,3,3]", "stride=2 dilation=2 padding=2"},
                                 {"f[1,2,3,3] f[3,2,3,3]", "padding=4 stride=5"},
                                 {"f[2,5,7,5] f[10,1,3,3]", "groups=5 padding=1"},
                                 {"f[1,17,8,8] f[34,1,3,3]", "groups=17 stride=2 padding=1"},
                                 {"f[2,32,8,7] f[32,1,3,3]", "groups=32 stride=2 padding=1"},
                                 {"f[1,20,7,5] f[20,1,3,3]", "groups=20 padding=2 dilation=2"},
                                 {"f[2,21,8,6] f[12,7,3,3]", "groups=3 stride=2 padding=1"},
                                 {"f[1,32,7,5] f[64,16,3,3]", "groups=2 padding=1"},
                                 {"f[1,34,5,5] f[38,17,1,1]", "groups=2"},
                                 {"f[2,16,9,7] f[16,16,3,3]", "padding=1"},
                                 {"f[1,21,13,6] f[37,21,3,3]", ""},
                                 {"f[3,32,4,4] f[48,32,3,3]", "padding=2"},
                                 {"f[2,32,18,10] f[37,32,3,3]", "padding=2 dilation=2"},
                                 {"f[1,17,12,16] f[32,17,3,3]", "padding=(3,1) dilation=(3,4)"},
                                 {"f[2,20,8,7] f[17,20,3,3]", "padding=(6,5) dilation=(6,5)"},
                                 {"f[1,17,5,9] f[20,17,3,3]", "padding=(9,4) dilation=(9,4)"},
                                 {"f[2,37,6,19] f[3,37,3,3]", "padding=1"},
                                 {"f[1,16,9,9] f[1,16,2,2]", "stride=2"},
                                 {0}};

const OpDef op_conv2d = {.name = "Conv2d",
                         .doc = "two-dimensional convolution",
                         .nin = 2,
                         .attrs = conv_attrs,
                         .nest = NEST_CONTRACT,
                         .use = OP_LAYER,
                         .shape = shape,
                         .layer = layer,
                         .grad = grad,
                         .contract = contract,
                         .window = window,
                         .ref = ref,
                         .samples = samples,
                         .tol = {3e-5, 1e-4}};
