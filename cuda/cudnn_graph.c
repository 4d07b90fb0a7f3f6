/* A CudnnConv as data, and as a graph of cuDNN's operations: conv -> virtual tensor -> epilogue -> ... -> result.
 * Source: NVIDIA cuDNN documentation, "Graph API" and "Backend API". */
#include "cudnn_api.h"
#include <stdio.h>

/* ---- operations as data ---- */

static const struct {
    const char *text;
    CudnnTensorIndex writes;
} convolutions[] = {
#define AS_ROW(name, text, writes) {text, writes},
    CUDNN_CONVOLUTIONS(AS_ROW)
#undef AS_ROW
};

static const struct {
    const char *text;
    unsigned mode;
    CudnnOperand operand;
} epilogues[] = {
#define AS_ROW(name, text, mode, operand) {text, DNN_POINTWISE_##mode, operand},
    CUDNN_EPILOGUES(AS_ROW)
#undef AS_ROW
};

const int64_t *cudnn_conv_dim(const CudnnConv *c, int tensor)
{
    return c->dim[tensor < 3 ? tensor : (int)cudnn_conv_result(c)];
}

/* order: axes from the outermost to the innermost */
static void dense_strides(CudnnConv *c, int tensor, const int order[4])
{
    int64_t stride = 1;
    for (int i = 3; i >= 0; i--) {
        c->stride[tensor][order[i]] = stride;
        stride *= cudnn_conv_dim(c, tensor)[order[i]];
    }
}

void cudnn_conv_dense(CudnnConv *c, int tensor)
{
    dense_strides(c, tensor, (const int[]){0, 2, 3, 1});
}

void cudnn_conv_channels_last(CudnnConv *c)
{
    for (int t = 0; t < CUDNN_MOST_TENSORS; t++) cudnn_conv_dense(c, t);
}

void cudnn_conv_channels_first(CudnnConv *c)
{
    for (int t = 0; t < CUDNN_MOST_TENSORS; t++) dense_strides(c, t, (const int[]){0, 1, 2, 3});
}

CudnnTensorIndex cudnn_conv_result(const CudnnConv *c)
{
    return convolutions[c->kind].writes;
}

CudnnOperand cudnn_epilogue_operand(uint32_t kind)
{
    return epilogues[kind].operand;
}

void cudnn_conv_name(const CudnnConv *c, char *text, size_t size)
{
    int n = snprintf(text, size, "%s", convolutions[c->kind].text);
    for (uint32_t i = 0; i < c->nepilogues && n >= 0 && (size_t)n < size; i++)
        n += snprintf(text + n, size - (size_t)n, "+%s", epilogues[c->epilogue[i].kind].text);
}

/* ---- tensors and operations ---- */

static const unsigned types[] = {DNN_DATA_FLOAT, DNN_DATA_HALF, DNN_DATA_BFLOAT16};
enum { UID_VIRTUAL = 100 }; /* tensors are x 0, w 1, y 2, operands 3.., and between operations from here on */

static void *tensor(Build *b, const CudnnConv *c, int64_t uid, const int64_t *dim, const int64_t *stride)
{
    void *t = dnn_make(b, DNN_BACKEND_TENSOR_DESCRIPTOR);
    bool between = uid >= UID_VIRTUAL;
    /* what is between operations is kept in float32; addresses are aligned as vectors of 16 bytes want */
    dnn_set_enum(b, t, DNN_ATTR_TENSOR_DATA_TYPE, DNN_TYPE_DATA_TYPE,
             between ? DNN_DATA_FLOAT : types[c->type[uid]]);
    dnn_set(b, t, DNN_ATTR_TENSOR_DIMENSIONS, DNN_TYPE_INT64, 4, dim);
    dnn_set(b, t, DNN_ATTR_TENSOR_STRIDES, DNN_TYPE_INT64, 4, stride);
    dnn_set_int(b, t, DNN_ATTR_TENSOR_UNIQUE_ID, uid);
    dnn_set_int(b, t, DNN_ATTR_TENSOR_BYTE_ALIGNMENT, 16);
    if (between) dnn_set(b, t, DNN_ATTR_TENSOR_IS_VIRTUAL, DNN_TYPE_BOOLEAN, 1, &between);
    dnn_finish(b, t, "a tensor");
    return t;
}

static void *convolution(Build *b, const CudnnConv *c)
{
    void *d = dnn_make(b, DNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    dnn_set_int(b, d, DNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 2);
    dnn_set_enum(b, d, DNN_ATTR_CONVOLUTION_COMP_TYPE, DNN_TYPE_DATA_TYPE, DNN_DATA_FLOAT);
    dnn_set_enum(b, d, DNN_ATTR_CONVOLUTION_CONV_MODE, DNN_TYPE_CONVOLUTION_MODE, DNN_CROSS_CORRELATION);
    dnn_set(b, d, DNN_ATTR_CONVOLUTION_PRE_PADDINGS, DNN_TYPE_INT64, 2, c->pad);
    dnn_set(b, d, DNN_ATTR_CONVOLUTION_POST_PADDINGS, DNN_TYPE_INT64, 2, c->pad);
    dnn_set(b, d, DNN_ATTR_CONVOLUTION_FILTER_STRIDES, DNN_TYPE_INT64, 2, c->step);
    dnn_set(b, d, DNN_ATTR_CONVOLUTION_DILATIONS, DNN_TYPE_INT64, 2, c->dilation);
    dnn_finish(b, d, "the convolution");
    return d;
}

/* Attribute numbers of the three operations, side by side. */
static const struct {
    unsigned kind, conv, x, w, y, alpha, beta;
} operations[] = {
#define AS_ROW(kind, prefix, x, w, y)                                                              \
    {DNN_BACKEND_OPERATION_CONVOLUTION_##kind##_DESCRIPTOR,                                        \
     DNN_ATTR_OPERATION_CONVOLUTION_##prefix##_CONV_DESC,                                          \
     DNN_ATTR_OPERATION_CONVOLUTION_##prefix##_##x, DNN_ATTR_OPERATION_CONVOLUTION_##prefix##_##w, \
     DNN_ATTR_OPERATION_CONVOLUTION_##prefix##_##y,                                                \
     DNN_ATTR_OPERATION_CONVOLUTION_##prefix##_ALPHA,                                              \
     DNN_ATTR_OPERATION_CONVOLUTION_##prefix##_BETA},
    [CUDNN_CONV_FORWARD] = AS_ROW(FORWARD, FORWARD, X, W, Y)
    [CUDNN_CONV_DGRAD] = AS_ROW(BACKWARD_DATA, BWD_DATA, DX, W, DY)
    [CUDNN_CONV_WGRAD] = AS_ROW(BACKWARD_FILTER, BWD_FILTER, X, DW, DY)
#undef AS_ROW
};

static void *conv_operation(Build *b, const CudnnConv *c, void *const t[3])
{
    void *d = dnn_make(b, operations[c->kind].kind);
    dnn_set_part(b, d, operations[c->kind].conv, convolution(b, c));
    dnn_set_part(b, d, operations[c->kind].x, t[CUDNN_X]);
    dnn_set_part(b, d, operations[c->kind].w, t[CUDNN_W]);
    dnn_set_part(b, d, operations[c->kind].y, t[CUDNN_Y]);
    dnn_set_double(b, d, operations[c->kind].alpha, 1);
    dnn_set_double(b, d, operations[c->kind].beta, 0);
    dnn_finish(b, d, "the operation");
    return d;
}

/* Numbers that some modes take. */
static void set_numbers(Build *b, void *d, const CudnnEpilogue *e)
{
    switch (e->kind) {
    case CUDNN_EPI_CLIP:
        dnn_set_double(b, d, DNN_ATTR_POINTWISE_RELU_LOWER_CLIP, e->alpha);
        dnn_set_double(b, d, DNN_ATTR_POINTWISE_RELU_UPPER_CLIP, e->beta);
        break;
    case CUDNN_EPI_LEAKY:
        dnn_set_double(b, d, DNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE, e->alpha);
        break;
    case CUDNN_EPI_ELU:
        dnn_set_double(b, d, DNN_ATTR_POINTWISE_ELU_ALPHA, e->alpha);
        break;
    case CUDNN_EPI_SOFTPLUS:
        dnn_set_double(b, d, DNN_ATTR_POINTWISE_SOFTPLUS_BETA, e->alpha);
        break;
    default:
        break;
    }
}

static void *epilogue_operation(Build *b, const CudnnEpilogue *e, void *in, void *operand, void *out)
{
    void *mode = dnn_make(b, DNN_BACKEND_POINTWISE_DESCRIPTOR), *d;
    bool backward = e->kind == CUDNN_EPI_RELU_GRAD;
    dnn_set_enum(b, mode, DNN_ATTR_POINTWISE_MODE, DNN_TYPE_POINTWISE_MODE, epilogues[e->kind].mode);
    dnn_set_enum(b, mode, DNN_ATTR_POINTWISE_MATH_PREC, DNN_TYPE_DATA_TYPE, DNN_DATA_FLOAT);
    set_numbers(b, mode, e);
    dnn_finish(b, mode, epilogues[e->kind].text);
    d = dnn_make(b, DNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    dnn_set_part(b, d, DNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, mode);
    if (backward) {
        dnn_set_part(b, d, DNN_ATTR_OPERATION_POINTWISE_XDESC, operand);
        dnn_set_part(b, d, DNN_ATTR_OPERATION_POINTWISE_DYDESC, in);
        dnn_set_part(b, d, DNN_ATTR_OPERATION_POINTWISE_DXDESC, out);
    } else {
        dnn_set_part(b, d, DNN_ATTR_OPERATION_POINTWISE_XDESC, in);
        if (operand) dnn_set_part(b, d, DNN_ATTR_OPERATION_POINTWISE_BDESC, operand);
        dnn_set_part(b, d, DNN_ATTR_OPERATION_POINTWISE_YDESC, out);
    }
    dnn_finish(b, d, epilogues[e->kind].text);
    return d;
}

static void *operand_of(Build *b, const CudnnConv *c, int i)
{
    CudnnTensorIndex r = cudnn_conv_result(c);
    const int64_t vector[] = {1, c->dim[r][1], 1, 1}, along[] = {c->dim[r][1], 1, c->dim[r][1], c->dim[r][1]};
    switch (epilogues[c->epilogue[i].kind].operand) {
    case CUDNN_PER_CHANNEL:
        return tensor(b, c, 3 + i, vector, along);
    case CUDNN_SAME_SHAPE:
        return tensor(b, c, 3 + i, c->dim[r], c->stride[3 + i]);
    default:
        return NULL;
    }
}

/* conv -> virtual -> epilogue -> virtual -> ... -> result */
void *dnn_operation_graph(Build *b, const CudnnConv *c)
{
    void *op[1 + CUDNN_MOST_EPILOGUES], *t[3], *graph;
    int n = (int)c->nepilogues, r = (int)cudnn_conv_result(c);
    for (int i = 0; i < 3; i++)
        if (i != r) t[i] = tensor(b, c, i, c->dim[i], c->stride[i]);
    void *in = t[r] = tensor(b, c, n ? UID_VIRTUAL : r, c->dim[r], c->stride[r]);
    op[0] = conv_operation(b, c, t);
    for (int i = 0; i < n; i++) {
        bool last = i == n - 1;
        void *operand = operand_of(b, c, i);
        void *out = tensor(b, c, last ? r : UID_VIRTUAL + 1 + i, c->dim[r], c->stride[r]);
        op[1 + i] = epilogue_operation(b, &c->epilogue[i], in, operand, out);
        in = out;
    }
    graph = dnn_make(b, DNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    dnn_set(b, graph, DNN_ATTR_OPERATIONGRAPH_OPS, DNN_TYPE_BACKEND_DESCRIPTOR, 1 + n, op);
    dnn_finish(b, graph, "the operations");
    return graph;
}
