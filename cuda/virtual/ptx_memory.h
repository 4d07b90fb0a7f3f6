/* Access to memory, for those who load, store, copy and do atomics. */
#ifndef CUDA_VIRTUAL_PTX_MEMORY_H
#define CUDA_VIRTUAL_PTX_MEMORY_H
#include "ptx_machine.h"

typedef struct Access {
    uint32_t mask;
    unsigned bytes; /* of one lane */
    bool store;
} Access;

enum { LOAD_SIGNED = 1, LOAD_CONSTANT = 2 }; /* Inst.kind of loads; CONSTANT: .nc */
enum {
    COPY_WHOLE,
    COPY_SIZE,
    COPY_IGNORE
}; /* of cp.async: c is the number of bytes to read, or the predicate to read none */

/* The lanes' addresses of [a + imm] as host addresses, after all checks. */
void resolve(Warp *w, const Inst *in, const Access *x, uint64_t *at);
void run_load(Warp *w, const Inst *in);
void run_store(Warp *w, const Inst *in);

void check_global(Warp *w, uint32_t mask, const uint64_t *at, unsigned bytes);
void count_global(Warp *w, uint32_t mask, const uint64_t *at, unsigned bytes, bool store);
void count_shared(Warp *w, uint32_t mask, const uint64_t *at, unsigned bytes); /* offsets in shared memory */
#endif
