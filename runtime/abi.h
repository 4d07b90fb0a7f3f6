/* The contract between the compiler and every program it builds: the only header that both include.
 *
 * The compiler emits two symbols: `rt_model`, one read-only blob that begins with an RtModel, and
 * `rt_kernels`, the table of the CPU's kernels. Inside the blob there are no pointers: a RtRef is a byte offset from
 * the blob's start (0 = absent), so the blob needs no relocation and can be checked. All numbers are little-endian.
 * The kernels of a GPU lie in the blob's images, machine code for one architecture each, and are found there by name.
 */
#ifndef RUNTIME_ABI_H
#define RUNTIME_ABI_H
#include <stdint.h>

#define RT_ABI_VERSION 5u
#define RT_MAGIC 0x746e6973u /* the blob's first four bytes: "sint" */
#define RT_MAX_RANK 5

typedef uint32_t RtRef;
#define RT_AT(model, T, ref) ((const T *)((const char *)(model) + (ref)))
#define RT_STR(model, ref) RT_AT(model, char, ref)

/* Runs tasks [begin, end). args[i] are the buffers' addresses, 64-byte aligned. */
typedef void (*RtKernel)(void *const *args, int64_t begin, int64_t end);

enum { RT_F32, RT_I32, RT_U8, RT_F16, RT_BF16 }; /* the last two: of what a step writes alone */

/* Memory. Every arena is one allocation, zeroed once; sizes are in RtModel and RtProgram. A program of a GPU has them
 * on the device; the state's layout is the same for all programs, so that weights do not depend on the device. */
enum {
    RT_STATE,  /* parameters, running statistics, optimizer moments: one for all programs */
    RT_PREP,   /* values computed from state alone (folded weights): one per program, filled by its prepare steps */
    RT_SLAB,   /* activations, gradients, inputs, outputs: one per program. Zero halos are written once, at start. */
    RT_SCALAR, /* run-time numbers, 64 bytes apart (so that each is aligned): RtScalar i at 64*i */
    RT_NARENAS
};

/* Where element (i0, i1, ...) of a tensor lies, in elements from its offset:
 *     base + sum over axes a of (i_a / block[a]) * outer[a] + (i_a % block[a]) * inner[a] */
typedef struct RtLayout {
    int32_t rank;
    int32_t block[RT_MAX_RANK];
    int64_t dim[RT_MAX_RANK]; /* the view that is indexed: same elements in the same row-major order as RtTensor.dim */
    int64_t outer[RT_MAX_RANK], inner[RT_MAX_RANK];
    int64_t base;
    int64_t count;            /* elements that the storage takes, padding and halo included */
} RtLayout;

enum { RT_PARAM, RT_BUFFER, RT_MOMENT, RT_INPUT, RT_TARGET, RT_OUTPUT, RT_GRAD };
enum { RT_INIT_CONST, RT_INIT_UNIFORM, RT_INIT_NORMAL };

typedef struct RtTensor {
    RtRef name;                  /* state: torch key; gradient: its parameter's key; "input", "target", "output", "loss" */
    uint8_t role, dtype, rank, init;
    uint32_t arena;
    uint64_t offset;             /* bytes */
    int64_t dim[RT_MAX_RANK];    /* as PyTorch has it */
    RtLayout layout;
    double init_a, init_b;
    uint32_t frozen, line;       /* YAML line */
} RtTensor;

typedef struct RtArg {
    uint32_t arena, pad;
    uint64_t offset; /* bytes */
} RtArg;

enum { RT_STEP_KERNEL, RT_STEP_CUDNN, RT_NSTEPS };

typedef struct RtStep { /* one kernel launch: all tasks, then a barrier; or one operation of a library */
    uint32_t kind;          /* RT_STEP_KERNEL.. */
    uint32_t kernel;        /* index in rt_kernels; of a GPU's program: in RtModel.device_kernels; of a library's step:
                               in RtModel.libraries */
    uint32_t nargs;
    RtRef args;             /* RtArg[nargs] */
    uint32_t ntasks;
    RtRef layers;           /* "conv2+relu2+pool2" */
    RtRef nest;             /* "contract" */
    uint32_t line;          /* YAML line of the first layer */
    uint32_t nowait;        /* 1: the next step does not depend on this one; no barrier is needed between them */
    double flops, bytes;    /* per run, as counted from the loops' specification */
    uint32_t nwrites;       /* of a training step, fused: the values it leaves, for whoever looks for a NaN; but for those */
    RtRef writes;           /* of all parameters end to end. RtTensor[nwrites]: name (a layer), dtype, arena, offset, layout */
    uint32_t grid[3], block[3]; /* of a GPU's program: blocks, threads of a block. The kernel's parameters are the */
    uint32_t shared;            /* arguments' addresses; shared: bytes of dynamic shared memory a block */
    uint32_t for_loss;          /* 1: nothing but the tensor "loss" needs it */
} RtStep;

enum { RT_LIBRARY_TENSORS = 16, RT_LIBRARY_SCRATCH = 255 };

typedef struct RtLibrary { /* an operation that a library computes: RT_STEP_CUDNN */
    RtRef op;              /* a CudnnConv (cuda/cudnn.h) */
    uint32_t op_size;      /* bytes */
    RtRef plan;            /* the library's own text of its plan, made for the first architecture; 0: none */
    uint32_t version;      /* of the library that made it; another one plans again */
    uint64_t scratch;      /* bytes at the scratch argument */
    uint8_t tensor[RT_LIBRARY_TENSORS]; /* by argument: which tensor of the operation, or RT_LIBRARY_SCRATCH */
} RtLibrary;

enum { RT_TRAIN, RT_INFER };
enum { RT_FUSED, RT_UNFUSED };
enum { RT_CPU, RT_CUDA }; /* RtProgram.device */

typedef struct RtProgram {
    uint32_t phase, variant;
    uint32_t batch;
    uint32_t ntensors;
    RtRef tensors;           /* RtTensor[]: inputs, targets, outputs, gradients of this program */
    uint32_t nprepare, nsteps;
    RtRef prepare, steps;    /* RtStep[] */
    uint32_t device;         /* RT_CPU.. */
    uint64_t prep_size, slab_size;
} RtProgram;

enum { RT_CUBIN, RT_PTX };

typedef struct RtCode { /* all kernels of the GPU's programs */
    uint32_t arch;  /* 80: compute capability 8.0 */
    uint32_t kind;  /* RT_CUBIN: for that capability's major and minors from its own on. RT_PTX: for all from it on */
    RtRef data;     /* in the blob, the image's only place; aligned to 8. PTX: text that ends with a 0 byte */
    uint32_t exact; /* 1: "sm_90a", for that capability and no other */
    uint64_t size;  /* bytes, the 0 included */
} RtCode;

typedef struct RtScalar {
    RtRef name;     /* "lr", "step", "seed", "bias_correction1", ... see runtime/scalars.c */
    uint32_t dtype; /* RT_F32 or RT_I32 */
    double value;   /* from the description; the run may override it */
} RtScalar;

typedef struct RtOption { /* a value of the description's data, train or metrics block: "train.epochs" = "10" */
    RtRef key, value;
    uint32_t line, pad;
} RtOption;

typedef struct RtModel {
    uint32_t magic;          /* RT_MAGIC */
    uint32_t abi;            /* RT_ABI_VERSION */
    uint64_t size;           /* of the blob */
    RtRef name;              /* of the description */
    RtRef spec_file;         /* base name */
    RtRef spec_hash;         /* 16 hex digits over everything that decides shapes and weights */
    RtRef compiler;          /* "sinter 0.1.0, LLVM 19.1.7" */
    RtRef target;            /* "native (znver5)" */
    RtRef isa;               /* features that the CPU must have, "avx2 fma": checked before the first kernel */
    RtRef loss, optimizer;   /* as written: "CrossEntropyLoss()", "Adam(lr=0.001)"; 0: none */
    uint32_t nstates, nprograms, nscalars, noptions, nkernels;
    RtRef states, programs, scalars, options; /* RtTensor[], RtProgram[], RtScalar[], RtOption[] */
    uint64_t state_size;
    uint32_t ndevice_kernels, nimages;
    RtRef device_kernels;    /* RtRef[]: names of the kernels in every image */
    RtRef images;            /* RtCode[]: cubins by rising arch, exact ones behind others, then the PTX of the lowest */
    uint32_t nlibraries;
    RtRef libraries;         /* RtLibrary[] */
    uint32_t cuda_version;   /* 13000: CUDA 13.0 compiled the images, a driver of its major version runs them */
    uint32_t pad;
} RtModel;

extern const RtModel rt_model;
extern const RtKernel rt_kernels[];
#endif
