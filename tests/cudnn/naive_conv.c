#include "cudnn/naive_conv.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Work {
    const CudnnConv *c;
    void *const *t;
    double *sum; /* of the result, row-major */
    int result;
} Work;

/* One element as it lies in memory. */
static double get(const Work *x, int t, int64_t i)
{
    const void *p = x->t[t];
    if (x->c->type[t] == CUDNN_F16) return (double)((const _Float16 *)p)[i];
    if (x->c->type[t] == CUDNN_F32) return (double)((const float *)p)[i];
    uint32_t bits = (uint32_t)((const uint16_t *)p)[i] << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

/* To the nearest, as float32 first, which sums are kept in. */
static void put(const Work *x, int t, int64_t i, float f)
{
    void *p = x->t[t];
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    if (x->c->type[t] == CUDNN_F32)
        ((float *)p)[i] = f;
    else if (x->c->type[t] == CUDNN_F16)
        ((_Float16 *)p)[i] = (_Float16)f;
    else
        ((uint16_t *)p)[i] = (uint16_t)(isnan(f) ? bits >> 16 | 0x40 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static int64_t place(const CudnnConv *c, int t, int64_t a, int64_t b, int64_t h, int64_t w)
{
    const int64_t *s = c->stride[t];
    return a * s[0] + b * s[1] + h * s[2] + w * s[3];
}

static int64_t linear(const int64_t *dim, int64_t a, int64_t b, int64_t h, int64_t w)
{
    return ((a * dim[1] + b) * dim[2] + h) * dim[3] + w;
}

/* One product: image n, output channel k at (p, q), tap (r, s), input channel c of its group. */
static void term(const Work *x, int64_t n, int64_t k, int64_t p, int64_t q, int64_t r, int64_t s, int64_t c)
{
    const CudnnConv *v = x->c;
    int64_t groups = v->dim[CUDNN_X][1] / v->dim[CUDNN_W][1];
    int64_t channel = k / (v->dim[CUDNN_W][0] / groups) * v->dim[CUDNN_W][1] + c;
    int64_t h = p * v->step[0] + r * v->dilation[0] - v->pad[0];
    int64_t w = q * v->step[1] + s * v->dilation[1] - v->pad[1];
    if (h < 0 || h >= v->dim[CUDNN_X][2] || w < 0 || w >= v->dim[CUDNN_X][3]) return;
    const int64_t index[3][4] = {{n, channel, h, w}, {k, c, r, s}, {n, k, p, q}};
    double product = 1;
    for (int t = 0; t < 3; t++)
        if (t != x->result)
            product *= get(x, t, place(v, t, index[t][0], index[t][1], index[t][2], index[t][3]));
    const int64_t *i = index[x->result];
    x->sum[linear(v->dim[x->result], i[0], i[1], i[2], i[3])] += product;
}

static void all_terms(const Work *x)
{
    const int64_t *y = x->c->dim[CUDNN_Y], *f = x->c->dim[CUDNN_W];
    for (int64_t n = 0; n < y[0]; n++)
        for (int64_t k = 0; k < y[1]; k++)
            for (int64_t p = 0; p < y[2]; p++)
                for (int64_t q = 0; q < y[3]; q++)
                    for (int64_t c = 0; c < f[1]; c++)
                        for (int64_t r = 0; r < f[2]; r++)
                            for (int64_t s = 0; s < f[3]; s++) term(x, n, k, p, q, r, s, c);
}

static double epilogue(const CudnnEpilogue *e, double r, double z)
{
    switch (e->kind) {
    case CUDNN_EPI_BIAS:
    case CUDNN_EPI_ADD:
        return r + z;
    case CUDNN_EPI_SCALE:
    case CUDNN_EPI_MUL:
        return r * z;
    case CUDNN_EPI_RELU:
        return r < 0 ? 0 : r;
    case CUDNN_EPI_CLIP:
        return r < (double)e->alpha ? (double)e->alpha : r > (double)e->beta ? (double)e->beta : r;
    case CUDNN_EPI_LEAKY:
        return r > 0 ? r : (double)e->alpha * r;
    case CUDNN_EPI_ELU:
        return r > 0 ? r : (double)e->alpha * expm1(r);
    case CUDNN_EPI_SIGMOID:
        return 1 / (1 + exp(-r));
    case CUDNN_EPI_TANH:
        return tanh(r);
    case CUDNN_EPI_GELU:
        return r * 0.5 * (1 + erf(r * sqrt(0.5)));
    case CUDNN_EPI_SOFTPLUS:
        return log1p(exp((double)e->alpha * r)) / (double)e->alpha;
    default:
        return z > 0 ? r : 0; /* ReLU' */
    }
}

static double finished(const Work *x, double r, int64_t a, int64_t b, int64_t h, int64_t w)
{
    for (uint32_t i = 0; i < x->c->nepilogues; i++) {
        const CudnnEpilogue *e = &x->c->epilogue[i];
        CudnnOperand kind = cudnn_epilogue_operand(e->kind);
        int64_t at = kind == CUDNN_PER_CHANNEL ? b : place(x->c, 3 + (int)i, a, b, h, w);
        r = epilogue(e, r, kind == CUDNN_NO_OPERAND ? 0 : get(x, 3 + (int)i, at));
    }
    return r;
}

void naive_conv(const CudnnConv *c, void *const *tensor)
{
    int result = (int)cudnn_conv_result(c);
    const int64_t *d = c->dim[result];
    Work x = {c, tensor, calloc((size_t)(d[0] * d[1] * d[2] * d[3]), sizeof(double)), result};
    if (!x.sum) abort();
    all_terms(&x);
    for (int64_t i = 0; i < d[0]; i++)
        for (int64_t k = 0; k < d[1]; k++)
            for (int64_t h = 0; h < d[2]; h++)
                for (int64_t w = 0; w < d[3]; w++)
                    put(&x, result, place(c, result, i, k, h, w),
                        (float)finished(&x, x.sum[linear(d, i, k, h, w)], i, k, h, w));
    free(x.sum);
}
