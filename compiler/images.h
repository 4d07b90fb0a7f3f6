/* Images: the kernels of GPU programs, compiled for every architecture that was asked for. */
#ifndef IMAGES_H
#define IMAGES_H
#include "backend.h"

enum { MOST_ARCHS = 8 };

typedef struct Image { /* of one architecture */
    const Machine *machine;
    unsigned arch;     /* 80 of "sm_80" */
    bool exact;        /* "sm_90a": for that capability alone */
    Object cubin, ptx; /* malloc'ed; PTX: text that ends with a 0 byte, which counts */
    Object log;        /* malloc'ed text: what the assembler says of each kernel */
} Image;

typedef struct Images {
    int n;
    Image v[MOST_ARCHS]; /* in the order of the machines */
    Buf source;          /* the same for all */
    unsigned toolkit;    /* 13000: CUDA 13.0 compiled them */
} Images;

/* Machines in rising order of architecture, all of one backend; they are compiled side by side. */
void images_compile(Images *out, Func *const *f, int nfunc, const Machine *const *m, int nm,
                    const CodegenOptions *o);
void images_free(Images *i);
#endif
