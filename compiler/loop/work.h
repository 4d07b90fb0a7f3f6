/* What a kernel does when it runs, counted from its loop IR without running it. */
#ifndef LOOP_WORK_H
#define LOOP_WORK_H
#include "loop/loop.h"

typedef struct Work { /* of all tasks together */
    double flops;     /* floating-point operations of every lane; an FMA is 2, a call 1 */
    double fmas;      /* float32 FMA statements, a VECTOR loop counted as one: what a row of lanes issues */
    double accesses;  /* loads and stores of arguments, counted in the same way */
    double *bytes;    /* by argument: loaded and stored, each element once however often it is met */
    double moved;     /* their sum: what must go to and from memory if nothing is met in a cache before */
} Work;

/* Loops whose extent is not a constant count with the most that they can run; of an IF, the larger side. */
Work func_work(Arena *a, const Func *f);
#endif
