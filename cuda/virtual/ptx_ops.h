/* The table of opcodes that compute lane by lane. Two tables with the same rows: for any host, and for one with AVX2. */
#ifndef CUDA_VIRTUAL_PTX_OPS_H
#define CUDA_VIRTUAL_PTX_OPS_H
#include "ptx_module.h"

enum { MOST_SIGNATURE = 6 };
typedef struct OpRow {
    const char *text; /* opcode with modifiers and types */
    InstFn fn;
    uint16_t flops;
    /* registers, the result first: 'w' word, 'l' long, 'p' predicate; 's': one predicate or two, of setp */
    char signature[MOST_SIGNATURE];
} OpRow;
extern const OpRow ptx_ops_any[], ptx_ops_avx2[];

/* Inst.kind of setp */
enum { SETP_AND = 1, SETP_OR = 2, SETP_XOR = 3, SETP_COMBINED = 3, SETP_NOT = 4 };
#endif
