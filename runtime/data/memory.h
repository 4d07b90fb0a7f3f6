/* Data sets that lie in memory as they are: of formats whose files hold all images of one size. */
#ifndef RUNTIME_DATA_MEMORY_H
#define RUNTIME_DATA_MEMORY_H
#include "labels.h"

enum { RT_MEMORY_MOST = 4 }; /* GiB */

/* One set for each split; a val that the files lack is taken out of train. */
typedef struct RtMemory {
    uint8_t *px[RT_NSPLITS];    /* [n][h][w][c], from malloc */
    uint8_t *label[RT_NSPLITS]; /* [n], from malloc */
    int64_t n[RT_NSPLITS];
    const char *set[RT_NSPLITS]; /* "t10k": what its items are called, "t10k:17" */
    int c, h, w;
} RtMemory;

/* d owns it from here on; the format fills it in. NULL: no memory. */
RtMemory *rt_memory_new(RtData *d, RtError *e);
/* Room for n images and labels of set s; the products are checked. */
bool rt_memory_alloc(RtMemory *m, enum RtSplit s, uint64_t n, RtError *e);
/* Classes, labels and splits of what was filled in; names->n may be 0. file: for messages about all of it. */
bool rt_memory_open(RtData *d, const RtDataConfig *c, const RtNames *names, const char *file, RtError *e);
#endif
