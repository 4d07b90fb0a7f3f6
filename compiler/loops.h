/* Loops: kernels and their launches, the product of lower.c. Data only. */
#ifndef LOOPS_H
#define LOOPS_H
#include "loop/loop.h"
#include "plan.h"

typedef struct KernelArg {
    PlanArena arena;
    int64_t offset; /* bytes */
} KernelArg;

typedef struct Kernel { /* one launch */
    Func *func;             /* NULL: a library's */
    const Library *library; /* what it computes, or NULL */
    VEC(KernelArg) arg;     /* by the function's arguments; of a library: its tensors that exist, then scratch */
    const Group *group; /* NULL: a copy into state */
    const char *layers; /* "conv2+relu2+pool2" */
    const char *nest;   /* "contract", "contract pack", ... */
    bool prep;
    bool for_loss;       /* nothing but the output "loss" needs it */
    bool nowait;         /* the next launch does not depend on it */
    double flops, bytes; /* of the group, on its main kernel; 0 on the others */
} Kernel;

typedef struct Loops {
    const Plan *plan;
    VEC(Kernel) kernel; /* run order; prepare first */
} Loops;
#endif
