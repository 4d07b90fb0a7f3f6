/* What Conv2d, ConvDgrad and ConvWgrad share: attributes, geometry, the naive loops of the
 * references. */
#include "ops/conv.h"
#include <string.h>

const AttrDef conv_attrs[] = {
    {.name = "in_channels",
     .kind = ATTR_INT,
     .required = true,
     .min = 1,
     .max = 65536,
     .infer = true},
    {.name = "out_channels", .kind = ATTR_INT, .required = true, .min = 1, .max = 65536},
    {.name = "kernel_size", .kind = ATTR_PAIR, .required = true, .min = 1, .max = 1024},
    {.name = "stride", .kind = ATTR_PAIR, .def = 1, .min = 1, .max = 1024},
    {.name = "padding", .kind = ATTR_PAIR, .def = 0, .min = 0, .max = 1024},
    {.name = "dilation", .kind = ATTR_PAIR, .def = 1, .min = 1, .max = 1024},
    {.name = "groups", .kind = ATTR_INT, .def = 1, .min = 1, .max = 65536},
    {.name = "bias", .kind = ATTR_BOOL, .def = 1},
    {.name = "size", .kind = ATTR_PAIR, .hidden = true},
    {0}};

Conv conv_geometry(const Node *n, Shape x, Shape w, Shape y)
{
    Conv v = {.n = x.dim[0], .groups = n->attr[CONV_GROUPS].i[0], .cg = w.dim[1]};
    v.kg = w.dim[0] / v.groups;
    for (int d = 0; d < 2; d++) {
        v.in[d] = x.dim[2 + d];
        v.kernel[d] = w.dim[2 + d];
        v.out[d] = y.dim[2 + d];
        v.stride[d] = n->attr[CONV_STRIDE].i[d];
        v.pad[d] = n->attr[CONV_PAD].i[d];
        v.dil[d] = n->attr[CONV_DIL].i[d];
    }
    return v;
}

int con_axis(Contract *c, const char *name, int64_t extent, bool keep)
{
    if (extent == 1 && !keep) return -1;
    c->axis[c->naxes].name = name;
    c->axis[c->naxes].extent = extent;
    return c->naxes++;
}

void con_term(ConIndex *x, int dim, int axis, int64_t coef)
{
    if (axis >= 0) x->coef[dim][axis] += coef;
}

/* With groups the channel axes of extent 1 go: of a depthwise convolution only g is left. */
ConAxes con_channels(Contract *c, const Conv *v, int64_t k, int64_t channel)
{
    bool grouped = v->groups > 1;
    ConAxes a = {.g = -1};
    a.n = con_axis(c, "n", v->n, true);
    if (grouped) a.g = con_axis(c, "g", v->groups, true);
    a.k = con_axis(c, "k", k, !grouped);
    a.c = con_axis(c, "c", channel, !grouped);
    return a;
}

/* ---- references: one visit of every (output pixel, tap, channel) triple ---- */
typedef struct Visit {
    int64_t x, w, y; /* row-major indices */
} Visit;

static bool visit(const Conv *v, const int64_t i[7], int64_t g, Visit *at)
{
    /* i: n, k, c, oh, ow, kh, kw */
    int64_t ih = i[3] * v->stride[0] + i[5] * v->dil[0] - v->pad[0];
    int64_t iw = i[4] * v->stride[1] + i[6] * v->dil[1] - v->pad[1];
    if (ih < 0 || ih >= v->in[0] || iw < 0 || iw >= v->in[1]) return false;
    int64_t c = g * v->cg + i[2], k = g * v->kg + i[1];
    at->x = ((i[0] * v->cg * v->groups + c) * v->in[0] + ih) * v->in[1] + iw;
    at->w = ((k * v->cg + i[2]) * v->kernel[0] + i[5]) * v->kernel[1] + i[6];
    at->y = ((i[0] * v->kg * v->groups + k) * v->out[0] + i[3]) * v->out[1] + i[4];
    return true;
}

/* z[zi] += a[ai] * b[bi] over all triples; the roles by `mode`: y, x or w is written. */
static void run(const Conv *v, char mode, const double *a, const double *b, double *z)
{
    const int64_t end[7] = {v->n, v->kg, v->cg, v->out[0], v->out[1], v->kernel[0], v->kernel[1]};
    for (int64_t g = 0; g < v->groups; g++) {
        int64_t i[7] = {0};
        for (int d = 6; d >= 0;) {
            Visit at;
            if (visit(v, i, g, &at)) {
                if (mode == 'y') z[at.y] += a[at.x] * b[at.w];
                if (mode == 'x') z[at.x] += a[at.y] * b[at.w];
                if (mode == 'w') z[at.w] += a[at.x] * b[at.y];
            }
            for (d = 6; d >= 0 && ++i[d] == end[d]; d--) i[d] = 0;
        }
    }
}

void conv_ref_forward(const Conv *v, const double *x, const double *w, double *y)
{
    memset(y, 0, sizeof *y * (size_t)(v->n * v->kg * v->groups * v->out[0] * v->out[1]));
    run(v, 'y', x, w, y);
}

void conv_ref_dgrad(const Conv *v, const double *dy, const double *w, double *dx)
{
    memset(dx, 0, sizeof *dx * (size_t)(v->n * v->cg * v->groups * v->in[0] * v->in[1]));
    run(v, 'x', dy, w, dx);
}

void conv_ref_wgrad(const Conv *v, const double *x, const double *dy, double *dw)
{
    memset(dw, 0, sizeof *dw * (size_t)(v->groups * v->kg * v->cg * v->kernel[0] * v->kernel[1]));
    run(v, 'w', x, dy, dw);
}
