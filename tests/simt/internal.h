/* What the parts of the shim know of each other. One block runs at a time, on one thread of the host: `simt_block` is
 * that block. */
#ifndef SIMT_INTERNAL_H
#define SIMT_INTERNAL_H
#include "primitives.h"
#include "simt.h"

enum { SIMT_WARP = 32, SIMT_MOST_THREADS = 1024, SIMT_STACK = 256 << 10 };

/* ---- fiber.c ---- */
void simt_fiber_switch(void **from, void *to);
/* -> what simt_fiber_switch takes to enter `run` on this stack for the first time. */
void *simt_fiber_new(char *stack, size_t bytes, void (*run)(void));

/* ---- block.c ---- */
typedef enum SimtState { SIMT_READY, SIMT_AT_BARRIER, SIMT_AT_WARP, SIMT_OVER } SimtState;

typedef struct SimtFiber {
    SimtPlace place;
    int id;               /* 0 .. threads-1; id / 32 is its warp */
    void *stack_pointer;
    SimtState state;
    const void *site;     /* where it waits: a return address in the module */
    unsigned mask;        /* AT_WARP: for whom */
    SimtCombine *combine; /* AT_WARP: NULL is a barrier */
    void *record;
} SimtFiber;

typedef struct SimtBlock {
    SimtFiber *fiber; /* [SIMT_MOST_THREADS] */
    int threads, over, at_barrier;
    int ready[SIMT_MOST_THREADS], nready;
    unsigned waiting[SIMT_MOST_THREADS / SIMT_WARP]; /* lanes that are AT_WARP */
    SimtFiber *now;      /* NULL: the host runs */
    bool combining;      /* within a collective: every lane's record is open */
    uint64_t random;
    SimtVerdict verdict;
} SimtBlock;
extern SimtBlock simt_block;

/* Runs one block of a launch: kernel(params) in every thread. */
SimtVerdict simt_block_run(const SimtLaunch *l, SimtDim index, void (*kernel)(void *const *), void *const *params);
/* Ends the run: the first verdict stands. Returns to the host, and not here. */
void simt_fault(SimtVerdict v, const void *site, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Becomes the verdict when the block ends, or faults: what is loaded before anybody has stored it. A race in shared
 * memory is the better explanation and acquits. */
void simt_suspect(SimtVerdict v, const void *site, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void simt_acquit(void);
int simt_stack_owner(const void *p); /* the thread whose stack p is in; -1: no stack */
const char *simt_thread_name(int id); /* "thread (3,0,0)"; two names are good at a time */
uint64_t simt_random(uint64_t *state);

/* ---- copy.c ---- */
void simt_copy_reset(void); /* copies that nobody waited for never land */

/* ---- shadow.c: inactive unless simt_shadow_begin was called ---- */
typedef struct SimtRegion { /* memory that kernels may touch */
    char *p;
    size_t bytes;
    const char *name; /* "shared", "a3" */
} SimtRegion;
/* shared: static and dynamic; quiet: the module's own data; all regions are copied. */
void simt_shadow_begin(const SimtRegion *args, int nargs, const SimtRegion *shared, int nshared, SimtRegion quiet);
void simt_shadow_end(void);
bool simt_shadow_active(void);
void simt_shadow_block(void);           /* a block begins */
void simt_shadow_barrier(void);         /* all threads of the block have come together */
void simt_shadow_warp(int warp, unsigned mask);
/* Of the running thread. */
typedef enum SimtAccess { SIMT_LOAD = 0, SIMT_STORE = 1, SIMT_ATOMIC = 3 } SimtAccess;
void simt_shadow_access(const void *p, size_t bytes, SimtAccess a, const void *site);
void simt_shadow_depart(const void *p, size_t bytes, const void *site); /* an asynchronous copy to p begins */
void simt_shadow_land(const void *p, size_t bytes, const void *site);
/* Has a kernel of this launch stored to these four bytes? */
bool simt_shadow_stored(const void *p);

/* ---- module.c ---- */
struct SimtModule {
    Arena *a;
    const char *so;     /* its file, if checked; else "" */
    void *lib;
    bool checked;
    int n;
    void (*const *call)(void *const *params); /* [n] */
    SimtRegion statics; /* all static shared variables of the module */
    SimtRegion dynamic; /* p NULL: none */
    SimtRegion data;    /* where it is loaded */
    Func *const *func;  /* [n], if the kernels were made of loop IR */
};
const char *simt_site_name(const void *site); /* "kernels.cu:31", or "" */
extern SimtModule *simt_running;
#endif
