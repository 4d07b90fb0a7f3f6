/* A libcudnn.so.9 for tests: takes descriptors as cuDNN's documentation has them, refuses what is inconsistent, makes
 * plans for what cuDNN 9.19 has precompiled engines for, and computes them naively: at once, or on the driver's
 * stream where FAKE_CUDNN_DRIVER names a driver. Its plans' text is the operation in hexadecimal digits. */
#include "cuda/cudnn_api.h"
#include "cudnn/naive_conv.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUNCTION(result, name, parameters) result name parameters;
#include "cuda/cudnn.def"

enum { MOST_ATTRS = 16, BAD = 2000, UNSUPPORTED = 3000, NO_DEVICE = 1001, WORKSPACE = 256 };
typedef struct Attr {
    unsigned name;
    int64_t count;
    char *data;
} Attr;
typedef struct Descriptor {
    unsigned kind;
    int n;
    bool final;
    Attr attr[MOST_ATTRS];
    CudnnConv conv; /* graphs, and what is made from them */
} Descriptor;
struct cudnnContext {
    struct CUstream_st *stream;
};

static char last_error[256];

static unsigned fail(unsigned status, const char *what)
{
    snprintf(last_error, sizeof last_error, "%s", what);
    return status;
}

/* ---- attributes ---- */

static size_t size_of(unsigned type)
{
    bool wide = type == DNN_TYPE_HANDLE || type == DNN_TYPE_INT64 || type == DNN_TYPE_DOUBLE ||
                type == DNN_TYPE_VOID_PTR || type == DNN_TYPE_BACKEND_DESCRIPTOR;
    return wide ? 8 : type == DNN_TYPE_CHAR || type == DNN_TYPE_BOOLEAN ? 1 : 4;
}

static const Attr *find(const Descriptor *d, unsigned name)
{
    for (int i = 0; d && i < d->n; i++)
        if (d->attr[i].name == name) return &d->attr[i];
    return NULL;
}

static Descriptor *part(const Descriptor *d, unsigned name)
{
    const Attr *a = find(d, name);
    return a ? *(Descriptor *const *)(void *)a->data : NULL;
}

static int64_t number(const Descriptor *d, unsigned name, int64_t otherwise)
{
    const Attr *a = find(d, name);
    int64_t x;
    if (!a) return otherwise;
    memcpy(&x, a->data, sizeof x);
    return x;
}

static unsigned word(const Descriptor *d, unsigned name)
{
    const Attr *a = find(d, name);
    unsigned x = 0;
    if (a) memcpy(&x, a->data, sizeof x);
    return x;
}

static float real(const Descriptor *d, unsigned name)
{
    double x = 0;
    if (find(d, name)) memcpy(&x, find(d, name)->data, sizeof x);
    return (float)x;
}

static bool numbers(const Descriptor *d, unsigned name, int64_t count, int64_t *out)
{
    const Attr *a = find(d, name);
    if (!a || a->count != count) return false;
    memcpy(out, a->data, (size_t)count * 8);
    return true;
}

/* ---- from descriptors back to the operation ---- */

static uint32_t type_of(const Descriptor *d)
{
    static const unsigned types[] = {DNN_DATA_FLOAT, DNN_DATA_HALF, DNN_DATA_BFLOAT16};
    uint32_t i = 0;
    while (i < 3 && types[i] != word(d, DNN_ATTR_TENSOR_DATA_TYPE)) i++;
    return i;
}

static bool read_tensor(const Descriptor *d, int64_t *dim, int64_t *stride)
{
    return d && d->final && type_of(d) <= CUDNN_BF16 && numbers(d, DNN_ATTR_TENSOR_DIMENSIONS, 4, dim) &&
           numbers(d, DNN_ATTR_TENSOR_STRIDES, 4, stride);
}

static bool output_fits(const CudnnConv *c)
{
    for (int d = 0; d < 2; d++) {
        int64_t reach = c->dilation[d] * (c->dim[CUDNN_W][2 + d] - 1) + 1;
        int64_t room = c->dim[CUDNN_X][2 + d] + 2 * c->pad[d] - reach;
        if (room < 0 || c->dim[CUDNN_Y][2 + d] != room / c->step[d] + 1) return false;
    }
    return c->dim[CUDNN_X][1] % c->dim[CUDNN_W][1] == 0 && c->dim[CUDNN_Y][1] == c->dim[CUDNN_W][0] &&
           c->dim[CUDNN_X][0] == c->dim[CUDNN_Y][0];
}

static bool read_conv(const Descriptor *d, CudnnConv *c)
{
    static const unsigned conv[] = {DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                                    DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                                    DNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC};
    static const unsigned tensor[][3] = {
        {DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
         DNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y},
        {DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
         DNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY},
        {DNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, DNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
         DNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY}};
    unsigned kind = 0;
    while (kind < 3 && !find(d, conv[kind])) kind++;
    if (kind == 3) return false;
    const Descriptor *v = part(d, conv[kind]);
    c->kind = kind;
    for (int t = 0; t < 3; t++) {
        if (!read_tensor(part(d, tensor[kind][t]), c->dim[t], c->stride[t])) return false;
        c->type[t] = type_of(part(d, tensor[kind][t]));
    }
    return numbers(v, DNN_ATTR_CONVOLUTION_PRE_PADDINGS, 2, c->pad) &&
           numbers(v, DNN_ATTR_CONVOLUTION_FILTER_STRIDES, 2, c->step) &&
           numbers(v, DNN_ATTR_CONVOLUTION_DILATIONS, 2, c->dilation) && output_fits(c);
}

static uint32_t epilogue_kind(unsigned mode, bool operand, bool vector, const Descriptor *pw)
{
    static const struct {
        unsigned mode;
        CudnnOperand operand;
    } row[] = {
#define AS_ROW(name, text, mode, operand) {DNN_POINTWISE_##mode, operand},
        CUDNN_EPILOGUES(AS_ROW)
#undef AS_ROW
    };
    if (mode == DNN_POINTWISE_RELU_FWD)
        return find(pw, DNN_ATTR_POINTWISE_RELU_UPPER_CLIP)         ? CUDNN_EPI_CLIP
               : find(pw, DNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE) ? CUDNN_EPI_LEAKY
                                                                    : CUDNN_EPI_RELU;
    CudnnOperand want = !operand ? CUDNN_NO_OPERAND : vector ? CUDNN_PER_CHANNEL : CUDNN_SAME_SHAPE;
    uint32_t i = 0;
    while (i < CUDNN_NEPILOGUES && (row[i].mode != mode || row[i].operand != want)) i++;
    return i;
}

static bool read_epilogue(const Descriptor *d, CudnnConv *c)
{
    int64_t dim[4], stride[4], *result = c->dim[cudnn_conv_result(c)];
    uint32_t i = c->nepilogues++;
    const Descriptor *pw = part(d, DNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
    bool backward = find(d, DNN_ATTR_OPERATION_POINTWISE_DYDESC) != NULL;
    const Descriptor *z = part(d, backward ? DNN_ATTR_OPERATION_POINTWISE_XDESC : DNN_ATTR_OPERATION_POINTWISE_BDESC);
    const Descriptor *y = part(d, backward ? DNN_ATTR_OPERATION_POINTWISE_DXDESC : DNN_ATTR_OPERATION_POINTWISE_YDESC);
    if (z && !read_tensor(z, dim, stride)) return false;
    bool vector = z && dim[0] == 1 && dim[2] == 1 && dim[3] == 1 && dim[1] == result[1];
    if (z && !vector && memcmp(dim, result, sizeof dim) != 0) return false;
    if (z) memcpy(c->stride[3 + i], stride, sizeof stride);
    if (z) c->type[3 + i] = type_of(z);
    c->type[cudnn_conv_result(c)] = y ? type_of(y) : CUDNN_F32; /* what lies between is float32 */
    CudnnEpilogue e = {.kind = epilogue_kind(word(pw, DNN_ATTR_POINTWISE_MODE), z != NULL, vector, pw)};
    e.alpha = real(pw, DNN_ATTR_POINTWISE_RELU_LOWER_CLIP) + real(pw, DNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE) +
              real(pw, DNN_ATTR_POINTWISE_ELU_ALPHA) + real(pw, DNN_ATTR_POINTWISE_SOFTPLUS_BETA);
    e.beta = real(pw, DNN_ATTR_POINTWISE_RELU_UPPER_CLIP);
    c->epilogue[i] = e;
    return e.kind < CUDNN_NEPILOGUES && read_tensor(y, dim, c->stride[cudnn_conv_result(c)]) &&
           !memcmp(dim, result, sizeof dim);
}

static bool read_graph(Descriptor *d)
{
    const Attr *ops = find(d, DNN_ATTR_OPERATIONGRAPH_OPS);
    if (!ops || ops->count < 1 || ops->count > 1 + CUDNN_MOST_EPILOGUES) return false;
    Descriptor *const *op = (void *)ops->data;
    d->conv = (CudnnConv){0};
    if (!op[0]->final || !read_conv(op[0], &d->conv)) return false;
    for (int64_t i = 1; i < ops->count; i++)
        if (!op[i]->final || !read_epilogue(op[i], &d->conv)) return false;
    return true;
}

/* Of all tensors one type. [add] bias [ReLU] behind a convolution, nothing behind its gradients. */
static bool has_engine(const CudnnConv *c)
{
    uint32_t i = 0;
    const CudnnEpilogue *e = c->epilogue;
    for (uint32_t t = 0; t < 3 + c->nepilogues; t++) {
        bool exists = t < 3 || cudnn_epilogue_operand(e[t - 3].kind) != CUDNN_NO_OPERAND;
        if (exists && c->type[t] != c->type[0]) return false;
    }
    if (c->nepilogues == 0) return true;
    if (c->kind != CUDNN_CONV_FORWARD) return false;
    if (e[i].kind == CUDNN_EPI_ADD) i++;
    if (i == c->nepilogues || e[i++].kind != CUDNN_EPI_BIAS) return false;
    if (i < c->nepilogues && e[i].kind == CUDNN_EPI_RELU) i++;
    return i == c->nepilogues;
}

/* ---- plans as text ---- */

static void write_text(const CudnnConv *c, char *text)
{
    const unsigned char *p = (const unsigned char *)c;
    for (size_t i = 0; i < sizeof *c; i++) sprintf(text + 2 * i, "%02x", p[i]);
}

static bool read_text(const Attr *a, CudnnConv *c)
{
    unsigned char *p = (unsigned char *)c;
    if (a->count != 2 * (int64_t)sizeof *c) return false;
    for (size_t i = 0; i < sizeof *c; i++) {
        unsigned x;
        if (sscanf(a->data + 2 * i, "%2x", &x) != 1) return false;
        p[i] = (unsigned char)x;
    }
    return output_fits(c);
}

/* ---- the library ---- */

size_t cudnnGetVersion(void)
{
    const char *v = getenv("FAKE_CUDNN_VERSION");
    return v ? (size_t)atol(v) : 91900;
}

const char *cudnnGetErrorString(unsigned status)
{
    return status == UNSUPPORTED ? "FAKE_NOT_SUPPORTED" : status == NO_DEVICE ? "FAKE_NOT_INITIALIZED" : "FAKE_BAD_PARAM";
}

void cudnnGetLastErrorString(char *message, size_t size)
{
    snprintf(message, size, "%s", last_error);
}

unsigned cudnnCreate(struct cudnnContext **handle)
{
    if (getenv("FAKE_CUDNN_NO_DEVICE")) return fail(NO_DEVICE, "no device");
    *handle = calloc(1, sizeof **handle);
    return 0;
}

unsigned cudnnDestroy(struct cudnnContext *handle)
{
    free(handle);
    return 0;
}

unsigned cudnnSetStream(struct cudnnContext *handle, struct CUstream_st *stream)
{
    handle->stream = stream;
    return 0;
}

unsigned cudnnBackendCreateDescriptor(unsigned kind, void **descriptor)
{
    Descriptor *d = calloc(1, sizeof *d);
    d->kind = kind;
    *descriptor = d;
    return 0;
}

unsigned cudnnBackendDestroyDescriptor(void *descriptor)
{
    Descriptor *d = descriptor;
    for (int i = 0; i < d->n; i++) free(d->attr[i].data);
    free(d);
    return 0;
}

unsigned cudnnBackendSetAttribute(void *descriptor, unsigned name, unsigned type, int64_t count, const void *values)
{
    Descriptor *d = descriptor;
    if (d->final || d->n == MOST_ATTRS || find(d, name)) return fail(BAD, "an attribute where none may be");
    Attr a = {name, count, malloc((size_t)count * size_of(type) + 1)};
    memcpy(a.data, values, (size_t)count * size_of(type));
    d->attr[d->n++] = a;
    return 0;
}

static bool finish_plan(Descriptor *d)
{
    const Attr *text = find(d, DNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION);
    const Descriptor *config = part(d, DNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
    if (text) return read_text(text, &d->conv);
    if (config) d->conv = config->conv;
    return config != NULL;
}

unsigned cudnnBackendFinalize(void *descriptor)
{
    Descriptor *d = descriptor;
    int64_t dim[4], stride[4];
    const Descriptor *graph = part(d, DNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
    d->final = true;
    if (d->kind == DNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR && !read_graph(d)) return fail(BAD, "inconsistent operations");
    if (d->kind == DNN_BACKEND_TENSOR_DESCRIPTOR && !read_tensor(d, dim, stride)) return fail(BAD, "a tensor's dims");
    if (d->kind == DNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR && !finish_plan(d)) return fail(BAD, "no such plan");
    if (d->kind == DNN_BACKEND_ENGINEHEUR_DESCRIPTOR && graph) d->conv = graph->conv;
    if (d->kind == DNN_BACKEND_DEVICEPROP_DESCRIPTOR) {
        const Attr *json = find(d, DNN_ATTR_DEVICEPROP_JSON_REPRESENTATION);
        if (!json || !memmem(json->data, (size_t)json->count, "maxGridSize", 11)) return fail(BAD, "no maxGridSize");
    }
    return 0;
}

static unsigned plan_attribute(const Descriptor *d, unsigned name, int64_t most, int64_t *count, void *values)
{
    int64_t size = WORKSPACE;
    if (name == DNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE) {
        memcpy(values, &size, sizeof size);
        return 0;
    }
    *count = 2 * (int64_t)sizeof d->conv;
    if (most < *count) return 0;
    char text[2 * sizeof d->conv + 1];
    write_text(&d->conv, text);
    memcpy(values, text, (size_t)*count);
    return 0;
}

unsigned cudnnBackendGetAttribute(void *descriptor, unsigned name, unsigned type, int64_t most, int64_t *count,
                                  void *values)
{
    Descriptor *d = descriptor;
    (void)type;
    *count = 0;
    if (d->kind == DNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) return plan_attribute(d, name, most, count, values);
    if (name != DNN_ATTR_ENGINEHEUR_RESULTS) return 0; /* engines have no notes */
    if (!has_engine(&d->conv)) return 0;
    (*(Descriptor **)values)->conv = d->conv;
    *count = 1;
    return 0;
}

/* ---- execution ---- */

typedef struct Work {
    struct Work *before;
    CudnnConv conv;
    void *tensor[CUDNN_MOST_TENSORS], *workspace;
} Work;
static Work *works; /* all of them: a graph may run one again and again, so that none is ever freed */

static void compute(void *data)
{
    Work *w = data;
    if (w->workspace) memset(w->workspace, 0xff, WORKSPACE);
    naive_conv(&w->conv, w->tensor);
}

static unsigned start(struct cudnnContext *handle, Work *w)
{
    const char *name = getenv("FAKE_CUDNN_DRIVER");
    void *driver = name ? dlopen(name, RTLD_NOW) : NULL;
    int (*launch)(void *, void (*)(void *), void *) = NULL;
    if (driver) *(void **)&launch = dlsym(driver, "cuLaunchHostFunc");
    if (launch) return launch(handle->stream, compute, w) ? fail(BAD, "cuLaunchHostFunc") : 0;
    if (name) return fail(BAD, "no cuLaunchHostFunc");
    compute(w);
    return 0;
}

unsigned cudnnBackendExecute(struct cudnnContext *handle, void *plan, void *pack)
{
    const Descriptor *p = plan, *v = pack;
    const Attr *uid = find(v, DNN_ATTR_VARIANT_PACK_UNIQUE_IDS), *at = find(v, DNN_ATTR_VARIANT_PACK_DATA_POINTERS);
    if (!uid || !at || uid->count != at->count) return fail(BAD, "the addresses");
    Work *w = calloc(1, sizeof *w);
    w->before = works;
    works = w;
    w->conv = p->conv;
    w->workspace = (void *)(uintptr_t)number(v, DNN_ATTR_VARIANT_PACK_WORKSPACE, 0);
    for (int64_t i = 0; i < uid->count; i++) {
        int64_t t = ((const int64_t *)(void *)uid->data)[i];
        void *address = ((void **)(void *)at->data)[i];
        if (t < 0 || t >= CUDNN_MOST_TENSORS || (uintptr_t)address % 16) return fail(BAD, "an address");
        w->tensor[t] = address;
    }
    for (int t = 0; t < 3; t++)
        if (!w->tensor[t]) return fail(BAD, "a tensor without an address");
    return start(handle, w);
}
