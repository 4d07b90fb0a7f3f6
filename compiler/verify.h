/* `sinter verify`: the compiled kernels of a model against the operators' references in double, one
 * kernel at a time, and the compiled gradients against finite differences of the compiled loss. A GPU's kernels run on a
 * device, the virtual one where there is no other.
 *
 * verify.c           the verb: compiles, loads, checks, reports
 * verify_memory.c    the arenas of one program, values in and out of them, launching kernels
 * verify_device.c    the same on a CUDA device
 * verify_group.c     one group: the reference on the inputs that lie in memory, against what its kernels stored
 * verify_contract.c  contractions in double from their description, fast enough for real sizes
 * verify_compare.c   two arrays: how far apart, and is that rounding
 * verify_grad.c      finite differences
 * verify_report.c    tables and JSON */
#ifndef VERIFY_H
#define VERIFY_H
#include "load.h"
#include "loops.h"
#include "pipeline.h"

/* -> exit code: EXIT_CHECK when something differs. */
int verify(const CompileOptions *o);
extern const char *const verify_devices[]; /* where a GPU's kernels may run; ends with NULL */

/* ---- comparing ---- */
typedef struct VerifyDiff {
    double l2;    /* |got - want| / |want|, of what rounding does not explain */
    double worst; /* of one element: |got - want| / max(|want|, root of the mean square of want) */
    int64_t at;   /* of that element */
    double got, want;
    int64_t differ; /* elements beyond the tolerance */
    bool ok;
} VerifyDiff;
/* tolerance: of l2; a single element may be off by VERIFY_ELEMENT times that. noise: how far
 * rounding alone may move each element; NULL: not known. Equal infinities and NaN against NaN are
 * equal. */
enum { VERIFY_ELEMENT = 10 };
/* Tolerances that a sum by Winograd's algorithm has: its transforms round, too. */
enum { VERIFY_FAST = 3 };
VerifyDiff verify_compare(const double *got, const double *want, const double *noise, int64_t n,
                          double tolerance);
/* Whole numbers: equal, or, behind a window (the place of a maximum), two taps whose values x are
 * within the tolerance of each other. */
VerifyDiff verify_compare_whole(const Node *n, const double *got, const double *want,
                                const double *x, double tolerance);

/* ---- contractions ---- */
void verify_contract(const Node *n, const double *a, const double *b, double *out, int threads);
double verify_contract_size(const Node *n); /* multiplications */

/* ---- threads: fn on parts of [0, n) side by side ---- */
void verify_parallel(int threads, int64_t n, void (*fn)(void *, int64_t begin, int64_t end),
                     void *arg);

/* ---- one program in memory ---- */
typedef struct VerifyDevice VerifyDevice;
typedef struct VerifyRun {
    const Loops *loops;
    const Plan *plan;
    const Graph *g;
    const uint32_t *kernel; /* by launch: which of all programs' kernels it is */
    const LoadedKernel *fn; /* these, in this process; NULL: they are a device's */
    VerifyDevice *device;   /* NULL: they are this process' */
    unsigned long long on_device[PLAN_NARENAS]; /* addresses there */
    char *arena[PLAN_NARENAS];                  /* of a device: a mirror of what was fetched */
    uint64_t seed;
    int threads;
    double naive;      /* multiplications that naive references of contractions may still take */
    const Node **flat; /* by node id: the Pack or State group as whose parts it lies; NULL: it is
                          one tensor */
    double **made_from; /* by node id: weights as they were when a group made what it keeps of them, see plan.h */
    uint64_t *mark;    /* by node id: checksum of the value as its kernel left it; 0: not known */
} VerifyRun;
void verify_open(Arena *a, VerifyRun *r, const Setting *option,
                 int noption); /* allocates and fills */
void verify_close(VerifyRun *r);
double *verify_read(const VerifyRun *r, Arena *a, const Node *n); /* as a row-major logical array */
double *verify_read_state(const VerifyRun *r, Arena *a, const State *s);
/* One element of a state, by its row-major index. */
float *verify_state_element(const VerifyRun *r, const State *s, int64_t i);
/* All of its storage, in whatever order, padding included. */
float *verify_state_storage(const VerifyRun *r, const State *s, int64_t *count);
void verify_launch(const VerifyRun *r, int kernel);
/* What was written to states in host memory is what kernels read. */
void verify_push_states(const VerifyRun *r);
double verify_random(uint64_t seed, const char *name, uint64_t i); /* uniform in [0, 1) */

/* ---- on a device ---- */
/* After c was compiled. virtual: sinter's own device, else the CUDA driver's first. fatal() (exit 5) without one. */
VerifyDevice *verify_device_open(Arena *a, const Compiled *c, bool virtual);
const char *verify_device_name(const VerifyDevice *d);
bool verify_device_interprets(const VerifyDevice *d); /* it is the virtual one, where work takes its time */
void verify_device_close(VerifyDevice *d);
void verify_device_allocate(VerifyRun *r); /* arenas, as they are in host memory */
void verify_device_release(VerifyRun *r);
void verify_device_push(const VerifyRun *r, PlanArena arena, int64_t offset, int64_t bytes);
void verify_device_fetch(const VerifyRun *r, PlanArena arena, int64_t offset, int64_t bytes);
void verify_device_launch(const VerifyRun *r, int kernel); /* waits for it */

/* ---- results ---- */
typedef struct VerifyRow { /* one group, or one copy into a state */
    int kernel;            /* first launch */
    const char *layers;
    const Group *group; /* NULL: a copy */
    int nout;
    VerifyDiff diff;     /* of the worst output */
    const Node *worst;   /* that output */
    int64_t noisy;       /* elements that only rounding explains */
    const char *problem; /* something else is wrong; NULL: nothing */
    bool ok;
} VerifyRow;
typedef struct VerifyProgram {
    const char *what; /* "training step" */
    VEC(VerifyRow) row;
    int failed;
} VerifyProgram;
void verify_kernels(Arena *a, VerifyRun *r, VerifyProgram *out, double tolerance);

typedef struct VerifyGradient {
    const State *param;
    int64_t at; /* element, -1: along the gradient of the whole tensor */
    double step, gradient, difference, allowed;
    enum { GRADIENT_OK, GRADIENT_KINK, GRADIENT_WRONG } verdict;
} VerifyGradient;
typedef struct VerifyGradients {
    VEC(VerifyGradient) row;
    int trained;        /* parameter tensors */
    double loss, noise; /* rounding of the loss */
    int failed, skipped;
    const char *unchecked; /* why there are none; NULL: there are */
} VerifyGradients;
/* r holds the program after one run; saved: its states before that run. */
void verify_gradients(Arena *a, VerifyRun *r, const char *saved, VerifyGradients *out);

void verify_print_program(const VerifyProgram *p);
void verify_print_gradients(const VerifyGradients *g);
typedef struct VerifyReport {
    const char *name, *target;
    int64_t batch;
    uint64_t seed;
    double tolerance;
    VerifyProgram program[2];
    int nprogram;
    VerifyGradients gradients;
} VerifyReport;
bool verify_passed(const VerifyReport *r);
void verify_print_last(const VerifyReport *r);
void verify_print_json(const VerifyReport *r);
void verify_progress(const char *what, int done,
                     int all); /* on a terminal; all 0: clears the line */
#endif
