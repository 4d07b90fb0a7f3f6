/* Convolutions by cuDNN 9: one operation as data, the plan that cuDNN makes for it, its execution.
 *
 * The compiler asks for plans with no GPU in the machine, from a description of one (cuDNN 9.8 and later); built
 * programs execute them. cuDNN is looked up at run time: nothing here needs its headers or its library to be built.
 * Includes the C library alone, so that both sides may include it. */
#ifndef CUDA_CUDNN_H
#define CUDA_CUDNN_H
#include <stddef.h>
#include <stdint.h>

enum { CUDNN_MOST_EPILOGUES = 6, CUDNN_MOST_TENSORS = 3 + CUDNN_MOST_EPILOGUES };

/* The list of operations, and which of the three tensors each one writes. */
#define CUDNN_CONVOLUTIONS(X)                                                                      \
    X(FORWARD, "convolution", CUDNN_Y)                                                             \
    X(DGRAD, "gradient for the input", CUDNN_X)                                                    \
    X(WGRAD, "gradient for the weights", CUDNN_W)
/* Elementwise work on the result r, in order: name, cuDNN's mode, further operand.
 *   bias  b[channel of the result], else the operand has the result's shape. */
#define CUDNN_EPILOGUES(X)                                                                         \
    X(BIAS, "bias", ADD, CUDNN_PER_CHANNEL)             /* r + b[c] */                             \
    X(SCALE, "scale", MUL, CUDNN_PER_CHANNEL)           /* r * b[c] */                             \
    X(ADD, "add", ADD, CUDNN_SAME_SHAPE)                /* r + z */                                \
    X(MUL, "multiply", MUL, CUDNN_SAME_SHAPE)           /* r * z */                                \
    X(RELU, "ReLU", RELU_FWD, CUDNN_NO_OPERAND)         /* max(r, 0) */                            \
    X(CLIP, "clip", RELU_FWD, CUDNN_NO_OPERAND)         /* min(max(r, alpha), beta) */             \
    X(LEAKY, "leaky ReLU", RELU_FWD, CUDNN_NO_OPERAND)  /* r > 0 ? r : alpha * r */                \
    X(ELU, "ELU", ELU_FWD, CUDNN_NO_OPERAND)            /* r > 0 ? r : alpha * (exp(r) - 1) */     \
    X(SIGMOID, "sigmoid", SIGMOID_FWD, CUDNN_NO_OPERAND)                                           \
    X(TANH, "tanh", TANH_FWD, CUDNN_NO_OPERAND)                                                    \
    X(GELU, "GELU", GELU_FWD, CUDNN_NO_OPERAND)         /* exact, by erf */                        \
    X(SOFTPLUS, "softplus", SOFTPLUS_FWD, CUDNN_NO_OPERAND) /* log(1 + exp(alpha * r)) / alpha */  \
    X(RELU_GRAD, "ReLU'", RELU_BWD, CUDNN_SAME_SHAPE)   /* z > 0 ? r : 0 */

typedef enum CudnnTensorIndex { CUDNN_X, CUDNN_W, CUDNN_Y } CudnnTensorIndex;
typedef enum CudnnOperand { CUDNN_NO_OPERAND, CUDNN_PER_CHANNEL, CUDNN_SAME_SHAPE } CudnnOperand;
#define AS_CONVOLUTION(name, text, writes) CUDNN_CONV_##name,
#define AS_EPILOGUE(name, text, mode, operand) CUDNN_EPI_##name,
enum { CUDNN_CONVOLUTIONS(AS_CONVOLUTION) CUDNN_NCONVOLUTIONS };
enum { CUDNN_EPILOGUES(AS_EPILOGUE) CUDNN_NEPILOGUES };
#undef AS_CONVOLUTION
#undef AS_EPILOGUE
enum { CUDNN_F32, CUDNN_F16, CUDNN_BF16 };

/* How exact the arithmetic has to be; sums are always kept in float32. */
enum {
    CUDNN_EXACT, /* float32 products: nothing is rounded to TF32, no Winograd, no FFT */
    CUDNN_TF32,  /* tensor cores may round float32 inputs */
};

typedef struct CudnnEpilogue {
    uint32_t kind; /* CUDNN_EPI_... */
    float alpha, beta;
} CudnnEpilogue;

/* A cross-correlation, with zero padding: y[n,k,p,q] = sum over c,r,s of x[n, g*C/groups + c, p*stride + r*dilation -
 * pad, ..] * w[k,c,r,s], or one of its gradients. Plain data without pointers: its bytes are its serialized form.
 * Strides are in elements, in the order of the dims; dims in PyTorch's order whatever the layout. */
typedef struct CudnnConv {
    uint32_t kind;       /* CUDNN_CONV_... */
    uint32_t type[CUDNN_MOST_TENSORS]; /* in memory: CUDNN_F32, ...; sums and epilogues are float32 */
    uint32_t math;       /* CUDNN_EXACT, CUDNN_TF32 */
    uint32_t nepilogues;
    int64_t dim[3][4];    /* x [N,C,H,W], w [K,C/groups,R,S], y [N,K,P,Q] */
    int64_t stride[CUDNN_MOST_TENSORS][4]; /* behind the three: of operands that have the result's shape */
    int64_t pad[2], step[2], dilation[2]; /* height, width; step: PyTorch's `stride` */
    CudnnEpilogue epilogue[CUDNN_MOST_EPILOGUES];
} CudnnConv;

/* Sets strides of dense tensors whose channels lie innermost (NHWC, KRSC), or in PyTorch's order: of all, or of one. */
void cudnn_conv_channels_last(CudnnConv *c);
void cudnn_conv_channels_first(CudnnConv *c);
void cudnn_conv_dense(CudnnConv *c, int tensor);
const int64_t *cudnn_conv_dim(const CudnnConv *c, int tensor); /* [4]; of an operand: the result's */
CudnnTensorIndex cudnn_conv_result(const CudnnConv *c);   /* which tensor it writes */
CudnnOperand cudnn_epilogue_operand(uint32_t kind);
/* "convolution+bias+ReLU": text[size]. */
void cudnn_conv_name(const CudnnConv *c, char *text, size_t size);

/* NULL, or why cuDNN cannot be used here, for a message. */
const char *cudnn_missing(void);
size_t cudnn_version(void); /* 91900 is 9.19.0; 0: none */

/* A GPU that plans are made for: one that is described, or the one of a handle. */
typedef struct CudnnDevice CudnnDevice;
typedef struct CudnnPlan CudnnPlan;

/* The description of a GPU of an architecture, "sm_80": text[size]. -> 0: it is not known, or too long */
enum { CUDNN_DEVICE_JSON = 1024 };
int cudnn_device_json(const char *arch, char *text, size_t size);

/* The functions below give 0, or a status of cuDNN's with the reason in why[CUDNN_WHY]. */
enum { CUDNN_WHY = 512 };
/* For a build: from a description in cuDNN's JSON. */
int cudnn_device_described(const char *json, CudnnDevice **out, char *why);
/* For a run: the device of the current context; work goes to `stream` (a CUstream). */
int cudnn_device_current(void *stream, CudnnDevice **out, char *why);
void cudnn_device_free(CudnnDevice *d);

/* The first plan that keeps the arithmetic's promise, gives the same bits every time, and is compiled already, as
 * cuDNN's heuristics rank them, and wants no more than `most` bytes of workspace (-1: any).
 * CUDNN_STATUS_NOT_SUPPORTED (3000) and its kin: cuDNN has none. */
int cudnn_plan_make(const CudnnDevice *d, const CudnnConv *c, int64_t most, CudnnPlan **out, char *why);
/* From the text of another process' cudnn_plan_text, for an equal device and version. */
int cudnn_plan_read(const CudnnDevice *d, const char *text, CudnnPlan **out, char *why);
int64_t cudnn_plan_workspace(const CudnnPlan *p); /* bytes */
/* malloc'ed JSON; NULL: this plan cannot be written down. */
char *cudnn_plan_text(const CudnnPlan *p);
void cudnn_plan_free(CudnnPlan *p);

/* Starts it on the device's stream. tensor: x, w, y, then the operand of each epilogue (NULL where it has none). */
int cudnn_plan_run(const CudnnDevice *d, const CudnnPlan *p, void *const *tensor, int ntensor,
                   void *workspace, char *why);
#endif
