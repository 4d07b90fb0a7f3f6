/* ConvDgrad: the gradient of Conv2d with respect to its input, from dy [N,O,oh,ow] and w
 * [O,C/g,kh,kw]. A row r + s*q of dx (stride s) gets contributions from the taps kh with (r + pad -
 * kh*dil) % s == 0 only: an arithmetic progression kh0 + step*t. So each pair of residues (row,
 * column) is one phase, a small dense contraction; a phase without taps has an axis of extent 0. No
 * stride is ever multiplied by zeros. */
#include "ops/conv.h"

/* The taps of one dim for the residue r. */
typedef struct Taps {
    int64_t first, step, count; /* kh = first + step * t */
    int64_t off, back;          /* oh = q + off - back * t */
} Taps;

static int64_t gcd(int64_t a, int64_t b)
{
    return b ? gcd(b, a % b) : a;
}

static int64_t residue(int64_t x, int64_t m)
{
    return ((x % m) + m) % m;
}

static Taps taps_of(const Conv *v, int d, int64_t r)
{
    int64_t s = v->stride[d], common = gcd(s, v->dil[d]);
    Taps t = {.step = s / common, .back = v->dil[d] / common};
    while (t.first < v->kernel[d] && residue(r + v->pad[d] - t.first * v->dil[d], s)) t.first++;
    if (t.first >= v->kernel[d]) return (Taps){0};
    t.count = (v->kernel[d] - 1 - t.first) / t.step + 1;
    t.off = (r + v->pad[d] - t.first * v->dil[d]) / s; /* exact */
    return t;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool shape(Node *n)
{
    Shape dy = n->in[0]->shape, w = n->in[1]->shape;
    const int64_t *size = n->attr[CONV_SIZE].i, *stride = n->attr[CONV_STRIDE].i;
    n->shape = shape_make(4, dy.dim[0], w.dim[1] * n->attr[CONV_GROUPS].i[0], size[0], size[1]);
    n->dtype = DT_F32;
    if (least(stride[0], size[0]) * least(stride[1], size[1]) <= CON_MAX_PHASES) return true;
    diag_error(attr_loc(n, CONV_STRIDE), "H013",
               n->is_grad ? "Conv2d '%s': the gradient of stride %lldx%lld has more than %d phases"
                          : "ConvTranspose2d '%s': stride %lldx%lld has more than %d phases",
               n->name, (long long)stride[0], (long long)stride[1], CON_MAX_PHASES);
    diag_help(n->is_grad ? "use a stride of at most 8, or let this be the first layer, which needs "
                           "no such gradient"
                         : "use a stride of at most 8");
    return false;
}

static bool contract(const Node *n, int phase, Contract *c)
{
    static const char *const out_name[] = {"oh", "ow"}, *const tap_name[] = {"kh", "kw"};
    Conv v = conv_geometry(n, n->shape, n->in[1]->shape, n->in[0]->shape);
    int64_t columns = least(v.stride[1], v.in[1]);
    int64_t r[2] = {phase / columns, phase % columns};
    if (r[0] >= least(v.stride[0], v.in[0])) return false;
    *c = (Contract){.a.view = n->in[0]->shape, .b.view = n->in[1]->shape, .out.view = n->shape};
    ConAxes x = con_channels(c, &v, v.cg, v.kg); /* Out has the inputs' channels: k; c is summed */
    con_term(&c->a, 0, x.n, 1);
    con_term(&c->a, 1, x.g, v.kg);
    con_term(&c->a, 1, x.c, 1);
    con_term(&c->b, 0, x.g, v.kg);
    con_term(&c->b, 0, x.c, 1);
    con_term(&c->b, 1, x.k, 1);
    con_term(&c->out, 0, x.n, 1);
    con_term(&c->out, 1, x.g, v.cg);
    con_term(&c->out, 1, x.k, 1);
    Taps t[2];
    for (int d = 0; d < 2; d++) {
        int q = con_axis(c, out_name[d], (v.in[d] - r[d] + v.stride[d] - 1) / v.stride[d], true);
        t[d] = taps_of(&v, d, r[d]);
        c->a.off[2 + d] = t[d].off;
        c->b.off[2 + d] = t[d].first;
        c->out.off[2 + d] = r[d];
        con_term(&c->a, 2 + d, q, 1);
        con_term(&c->out, 2 + d, q, v.stride[d]);
    }
    for (int d = 0; d < 2; d++) {
        int a = con_axis(c, tap_name[d], t[d].count, true);
        con_term(&c->a, 2 + d, a, -t[d].back);
        con_term(&c->b, 2 + d, a, t[d].step);
    }
    return true;
}

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    Node *a = n->in[0], *w = n->in[1];
    if (dx[0] && !(dx[0] = g_like(g, "Conv2d", n, (Shape){0}, 2, dy, w))) return false;
    if (dx[1] && !(dx[1] = g_like(g, "ConvWgrad", n, w->shape, 2, dy, a))) return false;
    return true;
}

static void ref(const Node *n, const double *const *in, double *out)
{
    Conv v = conv_geometry(n, n->shape, n->in[1]->shape, n->in[0]->shape);
    conv_ref_dgrad(&v, in[0], in[1], out);
}

static const Sample samples[] = {
    {"f[2,4,5,3] f[4,3,3,3]", "size=(7,5)"},
    {"f[1,17,4,3] f[17,5,3,3]", "size=(7,5) stride=2 padding=1"},
    {"f[2,4,3,3] f[4,3,2,2]", "size=(9,8) stride=3"},
    {"f[1,4,9,10] f[4,3,3,2]", "size=(9,11) padding=(2,1) dilation=(2,3)"},
    {"f[1,4,3,3] f[4,3,3,2]", "size=(9,11) padding=(2,1) dilation=(4,3) stride=(2,4)"},
    {"f[2,4,7,5] f[4,3,3,3]", "size=(7,5) groups=2 padding=1"},
    {"f[2,5,7,5] f[5,1,3,3]", "size=(7,5) groups=5 padding=1"},
    {"f[1,2,5,5] f[2,3,3,3]", "size=(9,9) stride=2 dilation=2 padding=2"},
    {"f[1,3,2,2] f[3,2,3,3]", "size=(3,3) padding=4 stride=5"},
    {"f[2,17,4,3] f[17,20,2,2]", "size=(8,6) stride=2"},
    {"f[2,20,4,3] f[20,17,3,3]", "size=(8,6) stride=2 padding=1"},
    {"f[1,16,4,4] f[16,32,4,4]", "size=(8,8) stride=2 padding=1"},
    {"f[2,3,1,1] f[3,5,4,3]", "size=(4,3)"},
    {"f[2,10,7,5] f[10,1,3,3]", "size=(7,5) groups=5 padding=1"},
    {"f[2,12,4,3] f[12,7,3,3]", "size=(8,6) groups=3 stride=2 padding=1"},
    {"f[1,34,4,4] f[34,1,3,3]", "size=(8,8) groups=17 stride=2 padding=1"},
    {"f[1,20,7,5] f[20,1,3,3]", "size=(7,5) groups=20 padding=2 dilation=2"},
    {"f[2,16,9,7] f[16,32,3,3]", "size=(9,7) padding=1"},
    {"f[1,37,11,4] f[37,21,3,3]", "size=(13,6)"},
    {"f[2,32,18,10] f[32,21,3,3]", "size=(18,10) padding=2 dilation=2"},
    {"f[1,17,8,7] f[17,20,3,3]", "size=(8,7) padding=(6,5) dilation=(6,5)"},
    {"f[2,16,4,9] f[16,1,3,3]", "size=(8,18) stride=2 padding=1"},
    {"f[1,37,5,9] f[37,3,3,2]", "size=(15,25) stride=3 padding=1"},
    {"f[2,20,4,9] f[20,2,4,4]", "size=(8,18) stride=2 padding=1"},
    {0}};

const OpDef op_conv_dgrad = {.name = "ConvDgrad",
                             .doc = "gradient of Conv2d for its input, from dy and w",
                             .nin = 2,
                             .attrs = conv_attrs,
                             .nest = NEST_CONTRACT,
                             .shape = shape,
                             .grad = grad,
                             .contract = contract,
                             .ref = ref,
                             .samples = samples,
                             .tol = {3e-5, 1e-4}};
