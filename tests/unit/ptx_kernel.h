/* Runs small kernels of PTX text, for tests of the interpreter. */
#ifndef PTX_KERNEL_H
#define PTX_KERNEL_H
#include "cuda/virtual/ptx.h"

/* A module's text begins like this. */
#define PTX_HEAD ".version 9.0\n.target sm_80\n.address_size 64\n"

/* One launch of kernel `name`, whose parameters are pointers to buffers. They are all that it may touch. */
typedef struct PtxRun {
    unsigned blocks, threads; /* 0: 1 and 32 */
    size_t shared;            /* dynamic, bytes */
    struct {
        void *at;
        size_t bytes;
    } buffer[4];
    bool races;
    uint64_t budget;
    int host_threads;
} PtxRun;
PtxModule *ptx_module(const char *text); /* of a text that must load */
/* -> NULL or the fault, malloc'ed */
char *ptx_launch(const PtxModule *m, const char *name, const PtxRun *r, PtxProfile *profile);
/* The same for a module of one kernel "k", which is loaded and dropped. */
char *ptx_try(const char *text, const PtxRun *r, PtxProfile *profile);
#endif
