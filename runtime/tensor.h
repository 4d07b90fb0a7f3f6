/* Between plain row-major order and the layout that the kernels use. */
#ifndef RUNTIME_TENSOR_H
#define RUNTIME_TENSOR_H
#include "abi.h"
#include <stdbool.h>

/* A layout with its address arithmetic done: element (i0, i1, ...) lies at base + sum of
 * off[a][i_a]. */
typedef struct RtView {
    int rank;
    int64_t dim[RT_MAX_RANK];
    int64_t *off[RT_MAX_RANK];
    int64_t base;
    bool flat; /* rows along the last axis are contiguous */
} RtView;

void rt_view_init(RtView *v, const RtLayout *l);
void rt_view_free(RtView *v);
/* Elements of 4 bytes. Rows [begin, end) of axis 0; plain points at row `begin`. Padding is not
 * touched. */
void rt_view_pack(const RtView *v, void *storage, const void *plain, int64_t begin, int64_t end);
void rt_view_unpack(const RtView *v, const void *storage, void *plain, int64_t begin, int64_t end);

/* The whole of a tensor; storage is where it lies (arena + offset). */
void rt_pack(const RtTensor *t, void *storage, const void *plain);
void rt_unpack(const RtTensor *t, const void *storage, void *plain);
#endif
