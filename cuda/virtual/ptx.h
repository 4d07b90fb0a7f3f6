/* A PTX interpreter: runs the very PTX that NVRTC emitted, on the host, and checks it while it runs.
 *
 * Device addresses are host addresses. A kernel may touch what its PtxSpace holds, its module's variables, and the
 * shared and local memory of its own blocks; anything else is a fault. An opcode, a type or a modifier that the
 * interpreter does not know is an error of ptx_load, so that gaps cannot pass. Source of all semantics: NVIDIA, PTX ISA. */
#ifndef CUDA_VIRTUAL_PTX_H
#define CUDA_VIRTUAL_PTX_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- modules ---- */
typedef struct PtxModule PtxModule;
typedef struct PtxKernel PtxKernel;

/* Reads one module. NULL: *error (malloc'ed) names the line and what was expected. */
PtxModule *ptx_load(const char *text, char **error);
void ptx_unload(PtxModule *m);
const PtxKernel *ptx_kernel(const PtxModule *m, const char *name);       /* NULL: it has none of that name */
void *ptx_variable(const PtxModule *m, const char *name, size_t *bytes); /* .global, .const; NULL: none */
int ptx_target(const PtxModule *m);                                      /* 80 of ".target sm_80" */

int ptx_param_count(const PtxKernel *k);
size_t ptx_param_size(const PtxKernel *k, int i); /* bytes */
size_t ptx_static_shared(const PtxKernel *k);     /* bytes a block takes without being asked */
unsigned ptx_max_threads(const PtxKernel *k);     /* .maxntid; 1024 without it */

/* ---- memory: the table of allocations that kernels may touch ---- */
typedef struct PtxSpace PtxSpace;
PtxSpace *ptx_space_new(void);
void ptx_space_free(PtxSpace *s);
void ptx_space_add(PtxSpace *s, const void *base, size_t bytes);
bool ptx_space_remove(PtxSpace *s, const void *base); /* false: no allocation begins there */
bool ptx_space_holds(const PtxSpace *s, const void *p, size_t bytes);

/* ---- runs ---- */
typedef struct PtxProfile {                  /* exact counts, added to what is there; warps are of 32 threads */
    uint64_t instructions;                   /* of warps */
    uint64_t mma, ldmatrix, barriers;        /* of warps */
    uint64_t load_requests, load_sectors;    /* global memory; sectors are of 32 bytes */
    uint64_t store_requests, store_sectors;  /* atomics too */
    uint64_t load_bytes, store_bytes;        /* that threads asked for */
    uint64_t shared_requests, shared_phases; /* phases/requests = bank-conflict factor; 1.0: none. A request is what
                                                 the hardware serves at once: 32 lanes of up to 4 bytes, 16 of 8, 8 of
                                                 16 (and each 8x8 matrix of ldmatrix) */
    uint64_t loop_requests, loop_phases;     /* of these: by instructions of the main loop, the one that computes most */
    uint64_t flops;                          /* fp32 and mma; an FMA is 2 */
} PtxProfile;

typedef struct PtxLaunch {
    const PtxKernel *kernel;
    unsigned grid[3], block[3];
    size_t shared;       /* dynamic shared memory, bytes a block */
    void *const *params; /* one pointer to each parameter's bytes, as cuLaunchKernel takes them */
    bool check_races;    /* shadow memory: races between barriers and between blocks, uninitialised reads, copies in
                             flight. Blocks then run one after the other */
    uint64_t budget;     /* instructions of a warp; one that takes more does not end, which is a fault. 0: no bound */
    int threads;         /* host threads; blocks are independent, results do not depend on it */
} PtxLaunch;

/* Runs the whole grid. NULL: done. Otherwise the first fault (malloc'ed): kernel, block, thread, PTX line, what. Bounds,
 * alignment and convergence of bar/shfl/mma/ldmatrix are always checked. profile may be NULL. */
char *ptx_run(const PtxLaunch *l, const PtxSpace *s, PtxProfile *profile);
#endif
