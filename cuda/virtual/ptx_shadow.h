/* What a launch knows of every piece of memory that its blocks touch, to find races: who wrote it last and who has read
 * it since. Two accesses by different threads, one of them a store, need something between them: a barrier of the block,
 * or bar.warp.sync with both lanes; between blocks nothing is enough but a fence or an atomic of the later one.
 *
 * Time is a count of such events; an access keeps the time and the thread. Not modelled: order handed on by a third lane
 * (a syncs with b, then b with c), and barriers inside conditions of atomics. */
#ifndef CUDA_VIRTUAL_PTX_SHADOW_H
#define CUDA_VIRTUAL_PTX_SHADOW_H
#include "ptx_machine.h"

bool shadow_new(Block *b); /* false: out of memory */
void shadow_free(Block *b);
void shadow_begin(Block *b); /* a new block: nothing is known of shared memory */

/* All take host addresses that have passed the other checks. What is neither shared nor global memory is let pass. */
void shadow_load(Warp *w, int lane, uint64_t at, unsigned bytes);
void shadow_load_constant(Warp *w, int lane, uint64_t at, unsigned bytes);            /* ld.global.nc */
void shadow_store(Warp *w, int lane, uint64_t at, unsigned bytes, const void *value); /* before it is stored */
void shadow_atomic(Warp *w, int lane, uint64_t at, unsigned bytes);
void shadow_fly(Warp *w, int lane, uint64_t at, unsigned bytes); /* a cp.async to here begins */
void shadow_land(Warp *w, uint64_t at, unsigned bytes);          /* and has been waited for */

void shadow_sync(Warp *w, uint32_t members); /* bar.warp.sync */
/* A barrier of the block opens: arrived[i] is the time at which warp i came (0: it did not); those of `waiting` were
 * held, and go on. */
void shadow_barrier(Block *b, const uint32_t *arrived, uint32_t waiting);
uint32_t shadow_arrive(Warp *w); /* -> the time */
void shadow_fence(Warp *w);
#endif
