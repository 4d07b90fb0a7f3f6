/* Blob: all programs of a model -> the kernels of each device, each once, and the read-only table that the
 * runtime reads (runtime/abi.h). Kernels of a GPU are put into it once they are compiled. */
#ifndef BLOB_H
#define BLOB_H
#include "images.h"
#include "loops.h"
#include "stages.h"

typedef struct BlobProgram {
    const Loops *loops;
    uint32_t phase, variant; /* RT_TRAIN.., RT_FUSED.. */
    uint32_t device;         /* RT_CPU.. */
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
    VEC(Func *) kernel[2]; /* by device: named k00, k01, ... in this order */
} Blob;

Blob *blob_build(Arena *a, const BlobInput *in);
/* The GPU's kernels, compiled: their bytes go into the blob. */
void blob_add_images(Blob *b, const Images *images);
#endif
