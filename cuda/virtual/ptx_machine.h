/* The machine that runs a module: warps, blocks, a launch. */
#ifndef CUDA_VIRTUAL_PTX_MACHINE_H
#define CUDA_VIRTUAL_PTX_MACHINE_H
#include "ptx_module.h"
#include "ptx_space.h"
#include <setjmp.h>

typedef struct Block Block;

/* Lanes of a warp that stand at the same instruction. A parked group waits there for others of its warp. */
typedef struct Group {
    uint32_t pc, mask;
    bool parked;
    uint32_t sync; /* parked in bar.warp.sync: the lanes it waits for; else 0 */
} Group;

typedef enum WarpState { WARP_READY, WARP_AT_BARRIER, WARP_DONE } WarpState;

typedef struct Copy {      /* a cp.async of a warp */
    uint32_t mask;         /* lanes whose part is in flight */
    uint32_t group[LANES]; /* of each lane's, by the count of its commits */
    unsigned bytes;
    uint8_t valid[LANES];            /* of these bytes come from memory, the rest is zero */
    uint64_t to[LANES], from[LANES]; /* host addresses */
} Copy;

struct Warp {
    char *reg;   /* the register file */
    char *image; /* the file as it is when a block begins */
    size_t file_bytes;
    uint32_t mask;    /* lanes that the instruction at hand works on: active, and the guard holds */
    uint32_t active;  /* lanes at pc */
    uint32_t pc;      /* of the next instruction */
    uint32_t limit;   /* least pc of the other groups that can go on: there this one stops */
    uint32_t carry;   /* condition code of each lane */
    uint32_t live;    /* lanes that have not exited */
    uint32_t present; /* lanes that the block has */
    WarpState state;
    unsigned index; /* in the block */
    int ngroups;    /* others than the one at pc */
    Group group[LANES + 1];
    unsigned barrier, barrier_threads; /* AT_BARRIER: which, and how many threads it takes; 0: all */
    uint32_t barrier_pc;
    Block *block;
    const PtxModule *module;
    char *local;                       /* local memory of lane 0; lanes follow each other */
    size_t local_size, function_local; /* bytes of a lane; where the part of functions begins */
    PTX_LIST(Copy) copy;               /* in flight, oldest first */
    uint32_t committed[LANES];         /* groups that each lane has closed */
    PtxProfile count;
    uint64_t began; /* of count.instructions: where the block began */
    uint32_t slice; /* instructions until other groups and warps get their turn */
};

enum { BARRIERS = 16 };
typedef struct Barrier {  /* of a block: 16 of them */
    unsigned arrived;     /* threads */
    uint32_t when[LANES]; /* by warp: time of its arrival; 0: it is not there */
    unsigned votes[2];    /* bar.red: how many threads, and how many said yes */
} Barrier;

/* One host thread's block. */
struct Block {
    PtxPool *pool;
    struct Shadow *shadow; /* NULL: races are not looked for */
    struct Launch *launch;
    Warp *warp;
    int nwarps;
    unsigned id[3];
    uint64_t linear;
    char *shared;
    size_t shared_size;
    Barrier barrier[BARRIERS];
    Range recent;   /* the allocation that was hit last */
    jmp_buf failed; /* where ptx_fault goes */
    char *fault;    /* malloc'ed */
};

typedef struct Launch {
    const PtxLaunch *in;
    const PtxKernel *kernel;
    const Range *range; /* sorted: the space and the module's variables */
    int nranges;
    char *params; /* as the kernel lays them out */
    size_t params_size;
    unsigned granule; /* bytes of the narrowest access to memory */
    bool profiled;
} Launch;

#define WORD(w, r) ((uint32_t *)(void *)((w)->reg + (r)))
#define LONG(w, r) ((uint64_t *)(void *)((w)->reg + (r)))
#define PRED(w, r) (*(uint32_t *)(void *)((w)->reg + (r)))

/* The first fault of this block: lane -1: no one lane. */
_Noreturn void ptx_fault(Warp *w, int lane, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* ptx_warp.c */
void warp_run(Warp *w);                               /* until a barrier or the end */
void warp_split(Warp *w, uint32_t pc, uint32_t mask); /* lanes `mask` of the active ones go on at pc */
void warp_exit(Warp *w, uint32_t mask);
/* True when all lanes of `need` are here; otherwise those of w->mask are parked at this instruction and come again. */
bool warp_meet(Warp *w, uint32_t need);
void warp_sync(Warp *w, const uint32_t *members); /* bar.warp.sync with each lane's mask */
int first_lane(uint32_t mask);

/* ptx_memory.c: what reads and writes; ptx_collective.c: what lanes do together */
void barrier_result(Warp *w, const Inst *in, unsigned threads, unsigned yes); /* of bar.red, into its register */

/* ptx_block.c */
void block_run(Block *b);
#endif
