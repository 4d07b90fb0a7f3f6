/* Kernels of the CPU in this process: compiled, linked into a library that nobody else sees, opened. */
#ifndef LOAD_H
#define LOAD_H
#include "backend.h"

/* Runs tasks [begin, end); args are the buffers' addresses, 64-byte aligned. */
typedef void (*LoadedKernel)(void *const *args, int64_t begin, int64_t end);
typedef struct Loaded {
    void *library;
    const LoadedKernel *kernel; /* in the order in which they were compiled */
} Loaded;

/* Is every feature that kernels for m use one of this computer? */
bool load_runs_here(Arena *a, const Machine *m);
/* obj: what backend_llvm.compile() gave. fatal() (exit 5) where there is no linker. */
Loaded load_kernels(Arena *a, const Object *obj, int nobj);
void load_close(Loaded *l);
#endif
