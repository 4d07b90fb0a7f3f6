/* Ranges of addresses. */
#ifndef CUDA_VIRTUAL_PTX_SPACE_H
#define CUDA_VIRTUAL_PTX_SPACE_H
#include "ptx.h"

typedef struct Range { /* [begin, end) of host addresses */
    uint64_t begin, end;
} Range;

int range_find(const Range *r, int n, uint64_t p); /* the last that begins at p or below, or -1 */
/* The allocations of s and some more, sorted; malloc'ed, NULL: out of memory. */
Range *space_ranges(const PtxSpace *s, const Range *more, int nmore, int *n);
#endif
