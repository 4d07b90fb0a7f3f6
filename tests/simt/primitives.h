/* What CUDA C calls when it runs on the host: the only things that need the other threads of a block. Everything that
 * has a name in CUDA (device.h) and every wrapper round PTX (the host twins of cuda/prelude.cuh) is made of these.
 *
 * A thread of a block is a fiber; it runs alone until it calls one of them. Plain loads and stores need no call: they
 * are seen by the checker, if the module is instrumented, and belong to the thread that makes them. A twin therefore
 * loads and stores through its own pointers in its own thread (ldmatrix: each lane reads the row whose address it
 * brought), and leaves to simt_collective what passes between lanes. */
#ifndef SIMT_PRIMITIVES_H
#define SIMT_PRIMITIVES_H
#ifdef __cplusplus
extern "C" {
#endif

typedef struct SimtDim {
    unsigned x, y, z;
} SimtDim;

typedef struct SimtPlace { /* threadIdx, blockIdx, blockDim, gridDim */
    SimtDim thread, block, threads, blocks;
} SimtPlace;

extern const SimtPlace *simt_place; /* of the thread that runs */

/* All threads of the block; orders their accesses. */
void simt_syncthreads(void);
/* The lanes of mask, the caller one of them; orders their accesses. */
void simt_syncwarp(unsigned mask);

/* A warp's common operation: every lane of mask brings the address of a record of its own and waits; when the last one
 * has come, combine runs once, for all of them, and may read and write every record: lane[i] for the bits i of mask.
 * It orders no accesses (as CUDA says of shuffles). mma: the record holds a lane's fragments. */
typedef void SimtCombine(void *const *lane, unsigned mask);
void simt_collective(unsigned mask, SimtCombine *combine, void *mine);

/* cp.async: `filled` of `bytes` (4, 8, 16) come from global memory, the rest is zero. They land when this thread waits
 * for them and not before; until then the destination is nobody's. */
void simt_copy_async(void *shared, const void *global, unsigned bytes, unsigned filled);
void simt_copy_commit(void);
void simt_copy_wait(unsigned newest); /* for all committed groups but the newest */

/* To be called before an atomic operation on p, which is then a plain one in a function that is not instrumented. */
void simt_atomic(const void *p, unsigned bytes);
/* Misuse that a twin finds, such as a row that is not aligned: ends the run. */
void simt_misuse(const char *what);

#ifdef __cplusplus
}
#endif
#endif
