/* What a compiled kernel is made of: resources as ptxas reports them (ptxas.c), instructions as the cubin holds them
 * (sass.c). Static counts: how often a loop runs is not in here. */
#ifndef NVRTC_STATS_H
#define NVRTC_STATS_H
#include "backend.h"

typedef enum SassOp {
#define X(name, opcode) SASS_##name,
#include "nvrtc/sass.def"
#undef X
    SASS_OTHER,
    SASS_NOPS
} SassOp;

typedef struct SassMix { /* instructions of a warp; each takes one issue slot */
    int total;           /* NOPs behind the code left out */
    int op[SASS_NOPS];
} SassMix;

typedef struct CudaStats {
    const char *name;              /* of the kernel */
    int registers;                 /* of a thread */
    int barriers;                  /* of a block */
    int stack, spill_st, spill_ld; /* bytes of a thread */
    int shared;                    /* bytes of a block, those asked for at launch not among them */
    SassMix all;
    int hmma_flops;                /* of one HMMA of a warp: m16n8k16 or m16n8k8; 0: it has none */
    bool tf32;                     /* they are of tf32, else of 16 bits */
    SassMix main; /* the loop that holds no other one and does most HMMA, or without any most FFMA; total 0: none */
} CudaStats;

/* cubin and log of one cuda_compile -> one entry for each kernel, *n of them. bug_if() when the two do not fit. */
CudaStats *cuda_stats(Arena *a, const Object *cubin, const char *log, int *n);
const CudaStats *cuda_stats_find(const CudaStats *s, int n, const char *kernel); /* NULL: there is none */
/* Issue slots for each HMMA of the main loop; 0: it has none. */
double cuda_slots_per_hmma(const CudaStats *s);
const char *sass_name(SassOp op); /* "HMMA" */

/* The same of kernels that are compiled apart, each once for all models that have it; use_cache false: again. */
CudaStats *cuda_probe(Arena *a, Func *const *f, int n, const char *arch, bool use_cache);

/* The two halves. sass_read: names and instructions of a cubin's kernels. ptxas_read: fills in the resources of
 * the kernel that is called s->name; false: the log does not speak of it. */
CudaStats *sass_read(Arena *a, const Object *cubin, int *n);
bool ptxas_read(const char *log, CudaStats *s);
#endif
