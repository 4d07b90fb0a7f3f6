/* Where the arrays of a kernel live on a GPU, and through which of them the lanes of a task exchange values. */
#ifndef NVRTC_PLACE_H
#define NVRTC_PLACE_H
#include "loop/loop.h"

typedef enum Kept { KEPT_SCALAR, KEPT_LANE, KEPT_SHARED } Kept;

typedef struct Places {
    Kept *kept;     /* by LBuf.id, of REGISTER and LOCAL arrays: one for all lanes that each computes alike; an element
                       for each lane, in its registers; or shared memory, a row for each task of the block */
    bool *crossing; /* by LBuf.id: a lane may read what another one stored; stores are fenced on both sides */
} Places;

Places cuda_places(Arena *a, const Func *f);
/* Does s, or what it holds, store to a crossing buffer? */
bool cuda_crosses(const Places *p, const Stmt *s);
#endif
