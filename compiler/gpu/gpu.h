/* GPUs as numbers: what an architecture allows a kernel, how fast a board is, and how long a kernel should take on it.
 * Everything here is predicted from data sheets and counts; nothing is measured. */
#ifndef GPU_GPU_H
#define GPU_GPU_H
#include <stdbool.h>
#include <stddef.h>

/* Limits of a compute capability. */
typedef struct GpuArch {
    const char *name;                /* "sm_80" */
    int warps, blocks;               /* resident on a multiprocessor */
    int registers, most_registers;   /* of a multiprocessor; of a thread */
    int register_unit;               /* a warp's registers are handed out in multiples of */
    int shared, most_shared;         /* bytes of a multiprocessor; of a block */
    int shared_unit, shared_reserve; /* handed out in multiples of; taken from every block by the system */
} GpuArch;

/* Ceilings of a board. */
typedef struct Gpu {
    const char *name; /* "A100-40G" */
    const char *arch; /* "sm_80" */
    int processors;   /* multiprocessors */
    double clock;     /* Hz, boost */
    double bandwidth; /* bytes/s */
    double fp32;      /* FLOP/s outside of tensor cores */
    double tf32, fp16; /* FLOP/s of tensor cores, dense, float32 sums */
} Gpu;

extern const GpuArch gpu_archs[]; /* end with a NULL name */
extern const Gpu gpus[];
const GpuArch *gpu_arch_find(const char *name); /* NULL: unknown */
bool gpu_runs(const Gpu *g, const char *arch); /* code of arch? That of "sm_90a" runs on boards of sm_90 alone. */
const Gpu *gpu_board(const char *arch);        /* the first board whose own it is; NULL: there is none */
bool gpu_is(const Gpu *g, const char *arch);   /* is arch, with or without the "a", the board's own? */

/* ---- occupancy ---- */

typedef struct GpuBlock { /* what a block asks for */
    int threads;
    int registers; /* of a thread */
    int shared;    /* bytes, static and dynamic */
} GpuBlock;

typedef enum GpuLimit { LIMIT_WARPS, LIMIT_BLOCKS, LIMIT_REGISTERS, LIMIT_SHARED } GpuLimit;

typedef struct Occupancy {
    int blocks;      /* resident on a multiprocessor; 0: it cannot start */
    double fraction; /* resident warps of those that there could be */
    GpuLimit limit;  /* what keeps it from more */
} Occupancy;

Occupancy gpu_occupancy(const GpuArch *a, const GpuBlock *b);
const char *gpu_limit_name(GpuLimit l); /* "registers" */

/* ---- time ---- */

typedef enum GpuUnit { UNIT_FP32, UNIT_TF32, UNIT_FP16 } GpuUnit; /* which peak the kernel's FLOP run against */

typedef struct GpuWork { /* of one launch */
    double flops, bytes;
    double slots;  /* instructions of warps */
    double phases; /* cycles that shared memory and L1 are busy, of all multiprocessors together */
    double blocks;
    int resident;  /* blocks of a multiprocessor */
    GpuUnit unit;
} GpuWork;

typedef enum GpuBound { BOUND_FLOP, BOUND_BYTES, BOUND_PHASES, BOUND_SLOTS, BOUND_LAUNCH } GpuBound;

typedef struct GpuTime {
    double seconds; /* launch included */
    GpuBound bound; /* what takes longest */
    double waves;   /* factor for multiprocessors that have nothing to do, 1: none */
} GpuTime;

/* max(FLOP/peak, bytes/bandwidth, phases, issue slots) times waves, plus the launch. */
GpuTime gpu_time(const Gpu *g, const GpuWork *w);
const char *gpu_bound_name(GpuBound b); /* "memory" */
#endif
