/* Blob: all programs of a model -> the kernels, each once, and the read-only table that the runtime
 * reads (runtime/abi.h). */
#ifndef BLOB_H
#define BLOB_H
#include "loops.h"
#include "stages.h"

typedef struct BlobProgram {
    const Loops *loops;
    uint32_t phase, variant; /* RT_TRAIN.., RT_FUSED.. */
    int64_t batch;
} BlobProgram;

typedef struct BlobInput {
    const char *name, *spec_file, *compiler, *target, *isa;
    const char *loss, *optimizer; /* NULL: none */
    uint64_t hash;                /* of everything that decides shapes and weights */
    const Setting *option;
    int noption;
    const BlobProgram *program;
    int nprogram;
} BlobInput;

typedef struct Blob {
    Buf data;
    VEC(Func *) kernel; /* named k00, k01, ... in this order */
} Blob;

Blob *blob_build(Arena *a, const BlobInput *in);
#endif
