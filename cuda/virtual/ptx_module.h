/* A module as it is executed: one array of instructions, whose operands are byte offsets into a warp's register file.
 *
 * The register file of a warp is one block of memory: predicates (a mask of 32 lanes: 4 bytes), words (32 lanes of 4
 * bytes; 8 and 16 bit registers lie in words) and longs (32 lanes of 8 bytes). Special registers, constants and the
 * addresses of variables are registers too, filled in before a kernel starts, so that an instruction's operands are all
 * of one kind. Functions are not recursive: each has its registers and its parameters in a fixed place. */
#ifndef CUDA_VIRTUAL_PTX_MODULE_H
#define CUDA_VIRTUAL_PTX_MODULE_H
#include "ptx.h"
#include "ptx_pool.h"

enum { LANES = 32, ALL_LANES = -1 };

typedef struct Warp Warp;
typedef struct Inst Inst;
typedef void (*InstFn)(Warp *w, const Inst *in);

typedef enum RegClass { REG_PRED, REG_WORD, REG_LONG, REG_CLASSES } RegClass;
typedef enum Space { SPACE_GENERIC, SPACE_GLOBAL, SPACE_SHARED, SPACE_LOCAL, SPACE_PARAM, SPACE_CONST } Space;

typedef enum Flow {
    FLOW_NEXT,
    FLOW_JUMP,
    FLOW_TABLE,
    FLOW_END
} Flow; /* where it goes on; JUMP: there or next, by the guard */

struct Inst {
    InstFn fn;
    uint32_t d, a, b, c;  /* registers: byte offsets in the register file */
    int64_t imm;          /* displacement of an address, target of a branch, or what the handler says */
    const uint32_t *more; /* registers of vectors and fragments */
    uint32_t line;        /* 1-based, of the text */
    uint32_t guard;       /* predicate register; REGISTER_TRUE without one */
    uint32_t flip;        /* ~0: runs where the guard is false */
    uint16_t flops;       /* of one lane */
    uint8_t size;         /* bytes of one element in memory */
    uint8_t vec;          /* elements */
    uint8_t space;
    uint8_t wide; /* bits of a handler's own: PTX_SIGNED and the like */
    uint8_t base; /* RegClass of an address */
    uint8_t kind; /* bits of a handler's own */
    uint8_t flow; /* a Flow */
    bool main;    /* in the kernel's main loop */
};

/* Special registers, at the head of the register file. X(name in PTX, class) */
#define PTX_SPECIALS(X)                                                                                                \
    X(TRUE, "", REG_PRED)                                                                                              \
    X(TID_X, "%tid.x", REG_WORD)                                                                                       \
    X(TID_Y, "%tid.y", REG_WORD)                                                                                       \
    X(TID_Z, "%tid.z", REG_WORD)                                                                                       \
    X(NTID_X, "%ntid.x", REG_WORD)                                                                                     \
    X(NTID_Y, "%ntid.y", REG_WORD)                                                                                     \
    X(NTID_Z, "%ntid.z", REG_WORD)                                                                                     \
    X(CTAID_X, "%ctaid.x", REG_WORD)                                                                                   \
    X(CTAID_Y, "%ctaid.y", REG_WORD)                                                                                   \
    X(CTAID_Z, "%ctaid.z", REG_WORD)                                                                                   \
    X(NCTAID_X, "%nctaid.x", REG_WORD)                                                                                 \
    X(NCTAID_Y, "%nctaid.y", REG_WORD)                                                                                 \
    X(NCTAID_Z, "%nctaid.z", REG_WORD)                                                                                 \
    X(LANEID, "%laneid", REG_WORD)                                                                                     \
    X(WARPID, "%warpid", REG_WORD)                                                                                     \
    X(NWARPID, "%nwarpid", REG_WORD)                                                                                   \
    X(SMID, "%smid", REG_WORD)                                                                                         \
    X(NSMID, "%nsmid", REG_WORD)                                                                                       \
    X(LANEMASK_EQ, "%lanemask_eq", REG_WORD)                                                                           \
    X(LANEMASK_LT, "%lanemask_lt", REG_WORD)                                                                           \
    X(LANEMASK_LE, "%lanemask_le", REG_WORD)                                                                           \
    X(LANEMASK_GT, "%lanemask_gt", REG_WORD)                                                                           \
    X(LANEMASK_GE, "%lanemask_ge", REG_WORD)                                                                           \
    X(DYNAMIC_SMEM, "%dynamic_smem_size", REG_WORD)                                                                    \
    X(TOTAL_SMEM, "%total_smem_size", REG_WORD)                                                                        \
    X(CLOCK, "%clock", REG_WORD)                                                                                       \
    X(DYNAMIC_WORD, "", REG_WORD) /* where dynamic shared memory begins */                                             \
    X(CLOCK64, "%clock64", REG_LONG)                                                                                   \
    X(GLOBALTIMER, "%globaltimer", REG_LONG)                                                                           \
    X(DYNAMIC_LONG, "", REG_LONG)                                                                                      \
    X(PARAM_BASE, "", REG_LONG)    /* of the kernel's parameters */                                                    \
    X(LOCAL_BASE, "", REG_LONG)    /* of each lane's local memory */                                                   \
    X(FUNCTION_BASE, "", REG_LONG) /* the part of it that belongs to functions */
typedef enum Special {
#define X(name, text, class) SPECIAL_##name,
    PTX_SPECIALS(X)
#undef X
        SPECIALS
} Special;

/* A virtual register: what the text declares, a constant, or a special register. */
typedef struct VReg {
    uint8_t class;
    bool constant; /* holds `value` in all lanes, always */
    bool special;  /* value is the Special */
    uint64_t value;
    uint32_t slot; /* byte offset in the register file */
} VReg;

typedef struct Ref { /* one operand of one instruction */
    uint32_t inst;   /* index in PtxModule.code */
    uint32_t vreg;   /* of the body */
    uint32_t *field; /* receives the slot; NULL: a field of Inst, see `which` */
    uint8_t which;   /* 0 d, 1 a, 2 b, 3 c, 4 guard */
    bool def;
} Ref;

typedef struct Param {
    const char *name;
    size_t size, offset; /* bytes; functions: in local memory */
} Param;

/* A kernel or a function. */
typedef struct Body {
    const char *name;
    bool entry, defined;
    uint32_t first, last; /* instructions [first, last) */
    PTX_LIST(VReg) reg;
    PTX_LIST(Ref) ref;
    PTX_LIST(Param) param, result;
    uint32_t return_to;  /* functions: word register with each lane's return address */
    size_t shared;       /* bytes of static shared memory, the module's included */
    size_t local;        /* kernels: bytes of local memory, without that of functions */
    uint32_t file_bytes; /* register file, up to and including this body's */
    unsigned max_threads;
    bool ordered;     /* has global atomics: blocks run one after the other */
    uint32_t granule; /* bytes of the narrowest access to memory that threads share */
} Body;

struct PtxKernel {
    Body body;
    const PtxModule *module;
};

typedef struct Variable {
    const char *name;
    char *at;
    size_t size;
} Variable;

struct PtxModule {
    PtxPool pool;
    char *text;
    PTX_LIST(uint32_t) line_at; /* offset of each line */
    int target;
    PTX_LIST(Inst) code;
    PTX_LIST(PtxKernel *) kernel;
    PTX_LIST(Body *) function;
    PTX_LIST(Variable) variable;
    size_t shared;       /* of module scope */
    size_t local;        /* of all functions */
    uint32_t file_bytes; /* special registers and those of all functions */
    uint32_t special[SPECIALS];
};

/* ptx_slots.c: gives every virtual register its place. Functions first, then kernels. */
void ptx_place_specials(PtxModule *m);
void ptx_place_registers(PtxModule *m, Body *b);
/* ptx_loop.c */
void ptx_mark_loop(PtxModule *m, const Body *kernel);
/* ptx_matrix.c: of one lane of an mma; 0: it is another instruction */
unsigned ptx_matrix_flops(const Inst *in);
#endif
