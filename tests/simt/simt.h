/* The SIMT shim: CUDA C, unmodified, on the host. The second oracle of emitted kernels, beside the PTX interpreter,
 * from which it shares nothing: it reads the text, not what NVRTC made of it. For tests.
 *
 * A module is compiled as C++ by g++, or, to be checked, by clang with the instrumentation of ThreadSanitizer and
 * callbacks of our own. Blocks run one after the other, in a random order; the threads of a block are fibers that take
 * turns, in a random order, where the code synchronises. Architecture: block.c turns and barriers, copy.c cp.async,
 * shadow.c the checks, module.c compiler and loader, launch.c a grid, kernels.c loop IR as a table of functions. */
#ifndef SIMT_H
#define SIMT_H
#include "kernel_load.h"
#include "support/arena.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What can be wrong. Without instrumentation only DIVERGENT and MISUSE are seen. */
#define SIMT_VERDICTS(X)                                                                                               \
    X(OK, "nothing is wrong")                                                                                          \
    X(RACE, "a race")                                                                                                  \
    X(LOAD_BOUNDS, "a load out of bounds")                                                                             \
    X(STORE_BOUNDS, "a store out of bounds")                                                                           \
    X(UNWRITTEN, "a value that nobody has written")                                                                    \
    X(IN_FLIGHT, "a copy that has not been waited for")                                                                \
    X(DIVERGENT, "threads that do not come together")                                                                  \
    X(MISALIGNED, "an address that is not aligned")                                                                    \
    X(MISUSE, "an operation misused")
typedef enum SimtVerdict {
#define X(name, text) SIMT_##name,
    SIMT_VERDICTS(X)
#undef X
} SimtVerdict;
extern const char *const simt_verdict_names[];

typedef struct SimtModule SimtModule;

/* NULL, or why modules cannot be compiled here. */
const char *simt_missing(bool checked);
/* `source` with the kernels `names`. Text that the compiler rejects is a bug of ours and ends with its messages. The
 * module stays loaded until the process ends. */
SimtModule *simt_open(const char *source, const char *const *names, int n, bool checked);

typedef struct SimtArg { /* a parameter of a kernel */
    void *p;             /* a buffer of `bytes`, whose address is the parameter; else the parameter's own bytes */
    size_t bytes;
    bool buffer;
    bool real;           /* of float: a NaN of all bits in it comes from a variable that nobody has written */
} SimtArg;

typedef struct SimtLaunch {
    unsigned grid[3], block[3];
    size_t shared; /* dynamic shared memory, bytes a block */
    const SimtArg *arg;
    int nargs;
    uint64_t seed;
} SimtLaunch;

/* Runs the whole grid. Checked modules run on copies of the buffers with guard zones round them. Anything but SIMT_OK is
 * the first fault: the run ends there, and simt_said() tells thread, line of the source and circumstances. */
SimtVerdict simt_launch(SimtModule *m, int kernel, const SimtLaunch *l);
const char *simt_said(void);

/* Kernels of the loop IR, in order, as functions of the ABI's type: each runs its whole grid, [0, ntasks). A fault ends
 * the process. */
KernelFn *simt_load(Func *const *f, int n, bool checked);
#endif
