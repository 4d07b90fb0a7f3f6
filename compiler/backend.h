/* A backend renders loop IR into an object that the linker understands. It never sees an operator. */
#ifndef BACKEND_H
#define BACKEND_H
#include "loop/loop.h"
#include "support/buf.h"

/* Who computes convolutions: kernels of ours, or cuDNN where it has a plan. AUTO: cuDNN if it is installed. */
typedef enum Provider { PROVIDER_SINTER, PROVIDER_CUDNN, PROVIDER_AUTO } Provider;

/* What a schedule needs to know about a machine, and what a backend needs to compile for it. */
typedef struct Machine {
    const char *name;     /* "x86-64-v3", "native (znver5)" */
    const char *triple;   /* "x86_64-pc-linux-gnu" */
    const char *cpu;      /* LLVM's -mcpu */
    const char *features; /* LLVM's -mattr */
    const char *isa;      /* what the built program checks before it starts: "avx2 fma" */
    int lanes;            /* f32 lanes of a vector register: 4, 8, 16 */
    int vregs;            /* vector registers: 16, 32 */
    int fma_latency, fma_ports, load_ports; /* cycles; vector operations a cycle */
    int64_t l1, l2, l3;   /* bytes; per core, per core, shared */
    int l2_store;         /* bytes a cycle that what is stored goes on from L1 to L2 */
    const char *backend;  /* "cpu", "cuda" */
    int processors;       /* of a GPU: streaming multiprocessors; of CPUs 0 */
    int64_t tasks;        /* of a kernel that keep it busy */
    Provider provider;    /* of convolutions */
} Machine;

typedef struct Object { /* one relocatable object file in memory */
    void *data;
    size_t size;
} Object;

typedef struct CodegenOptions {
    int threads;        /* modules compiled side by side */
    const char *source; /* file that Func.line counts in; NULL: no line table */
    bool want_ir, want_asm; /* texts wanted for --dump / --emit */
    bool no_cache;          /* compile what a cache may have, too */
} CodegenOptions;

/* How a kernel of a GPU is started: blocks of the grid, threads of a block, dynamic shared memory of a block. */
typedef struct Geometry {
    unsigned grid[3], block[3];
    size_t shared; /* bytes */
} Geometry;

typedef struct Backend {
    const char *name; /* "cpu", "cuda" */
    /* Compiles the kernels into objects (*out and their data are malloc'ed) and returns how many. Every Func f
     * becomes a C symbol f->name (hidden) of type
     *     void f(void *const *args, int64_t begin, int64_t end)
     * that runs tasks [begin, end). Arguments must not overlap unless neither is written; they are aligned to 64
     * bytes. One more object holds the data: `rt_kernels[nfunc]`, the kernels in this order, and `rt_model`, the
     * blob's bytes, read-only and aligned to 64 bytes (blob NULL: left out). The objects depend on nothing
     * but the kernels and the machine: not on the number of threads. ir/as collect text if wanted.
     * Of a GPU: three objects, cubin, PTX and what the assembler says of the kernels, texts with their 0; no data. fatal() on failure. */
    int (*compile)(Func *const *f, int nfunc, const void *blob, size_t blob_size, const Machine *m,
                   const CodegenOptions *o, Object **out, Buf *ir, Buf *as);
    Geometry (*launch)(const Func *f); /* NULL: kernels run tasks [begin, end), which threads claim */
    unsigned (*toolkit)(void); /* 13000: the images are CUDA 13.0's */
} Backend;

extern const Backend backend_llvm, backend_nvrtc;
const Backend *backend_find(const char *name);

/* machine.c: "native", "x86-64-v3", "x86-64-v4", "aarch64"... NULL if unknown (names: the list, ends with NULL). */
const Machine *machine_find(Arena *a, const char *name);
extern const char *const machine_names[], *const machine_cuda_names[];
/* llvm/object.c: host cpu name and features as LLVM sees them (malloc'ed). */
void llvm_host(char **triple, char **cpu, char **features);
const char *llvm_version(void); /* "19.1.7" */
#endif
