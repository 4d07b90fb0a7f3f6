/* Handlers of what is more than arithmetic in a lane, and the table of those who build their instructions. */
#ifndef CUDA_VIRTUAL_PTX_HANDLERS_H
#define CUDA_VIRTUAL_PTX_HANDLERS_H
#include "ptx_machine.h"
#include "ptx_parse.h"

typedef struct Builder {
    const char *opcode; /* up to the first dot */
    void (*build)(Parse *p);
} Builder;
extern const Builder build_control[], build_move[], build_memory[], build_warp[], build_async[], build_matrices[],
    build_atoms[]; /* end with {0} */

bool build_row(Parse *p, const char *text); /* by the row of ptx_ops.def with this text; false: there is none */
InstFn row_fn(const char *text);
void build_return(Parse *p);
/* ptx_access.c: modifiers of what touches memory */
int take_space(Parse *p);
void take_hints(Parse *p);  /* of caches and ordering, which change nothing here */
bool take_policy(Parse *p); /* .L2::cache_hint: drops the last operand */
#endif
