/* The virtual device, inside: one device, its contexts and what they own.
 *
 * Entry points are in the file of their subject. Each begins with enter(), which takes the one lock and checks
 * what every call of the driver API checks; leave() gives the lock back when the Guard goes out of scope.
 *
 * Work is lazy: a call only queues an operation, and the queue runs when something waits for it, no further than
 * it must. So a program that forgets to wait sees it every time, not once in a thousand runs. What orders
 * operations is what the documentation guarantees: the order of a stream, events, the legacy stream and the
 * streams that synchronise with it. */
#ifndef CUDA_VIRTUAL_INTERNAL_H
#define CUDA_VIRTUAL_INTERNAL_H
#include "api.h"
#include "ptx.h"
#include <pthread.h>
#include <stdbool.h>

enum { SHARED_DEFAULT = 48 * 1024, SHARED_RESERVED = 1024, MAX_THREADS = 1024 };

typedef struct CUctx_st Context;
typedef struct CUmod_st Module;
typedef struct CUfunc_st Function;
typedef struct CUstream_st Stream;
typedef struct CUevent_st Event;
typedef struct CUgraph_st Graph;
typedef struct CUgraphExec_st Exec;
typedef struct Work Work;
typedef struct Capture Capture;

/* ---- environment.c: the device as the environment describes it ---- */

typedef struct Chip { /* kHz, bytes, bits; per multiprocessor (sm): what blocks share */
    int arch, sms, clock_khz, memory_khz, bus_bits, l2, shared_sm, threads_sm, blocks_sm;
} Chip;

typedef struct Device {
    const Chip *chip;
    char name[32];
    size_t memory, used, peak; /* bytes */
    int count, driver;         /* devices; 13000 for CUDA 13.0 */
    int threads;               /* of the host, for a kernel */
    bool check_races;
    uint64_t budget; /* instructions of a warp */
    uint64_t seed; /* 0: run what must be run; otherwise other work runs in between, at random */
    const char *profile;    /* file, or NULL */
    long oom_at, launch_at; /* the allocation, the launch that fails; 0: none */
    long allocations, launches;
} Device;

extern Device device;
/* Reads SINTER_VIRTUAL_*. false: stderr says which variable is wrong and what it may be. */
bool device_describe(void);

/* ---- object.c: handles, and what every entry point begins with ---- */

typedef enum Kind {
    KIND_CONTEXT,
    KIND_MODULE,
    KIND_FUNCTION,
    KIND_STREAM,
    KIND_EVENT,
    KIND_GRAPH,
    KIND_EXEC
} Kind;
typedef struct Object {
    Kind kind;
    Context *context; /* NULL for a context */
    struct Object *next;
} Object;

void *object_new(size_t size, Kind kind, Context *c); /* zeroed; first member must be an Object */
void *object_find(const void *handle, Kind kind,
                  const Context *c);           /* NULL: no such live object in this context */
void object_forget(void *o);                   /* the handle is no longer valid; the memory stays */
void *object_any(Kind kind, const Context *c); /* some live object of the kind, or NULL */
void object_each(Kind kind, void (*visit)(void *)); /* all live objects of the kind */

enum { INITIALISED = 0, IN_CONTEXT = 1, UNSAFE_IN_CAPTURE = 2 }; /* what a call asks for */
typedef struct Guard {
    CUresult error;
    Context *context;
} Guard;
#define GUARDED __attribute__((cleanup(leave)))
Guard enter(int asks);
void leave(Guard *g);
void *must_alloc(size_t count,
                 size_t size); /* zeroed; ends the program when the host is out of memory */

/* ---- context.c ---- */

typedef enum RangeKind { RANGE_DEVICE, RANGE_HOST, RANGE_GLOBAL } RangeKind;
typedef struct Range { /* of memory that the device may touch */
    RangeKind kind;
    unsigned char *base;
    size_t bytes; /* asked for */
} Range;

struct CUctx_st {
    Object o;
    CUresult error; /* sticky: of a kernel that failed */
    PtxSpace *space;
    Range *ranges;
    int nranges;
    Stream *
        *streams; /* legacy first, then as created; those destroyed stay until their work is done */
    int nstreams;
};

extern bool initialised;
Context *context_current(void); /* of this thread; may be dead */
void context_fail(Context *c, CUresult error,
                  const char *what); /* prints `what` and sets the sticky error, once */

/* ---- memory.c ---- */

bool memory_holds(const Context *c, const void *p, size_t bytes);
bool memory_is_device(const Context *c, const void *p, size_t bytes); /* overlaps device memory */
void memory_add(Context *c, RangeKind kind, void *base, size_t bytes);
void memory_drop(Context *c, void *base);
/* Device memory can be read and written by this process only while operations run. */
void memory_open(Context *c), memory_close(Context *c);
void memory_release_all(Context *c);

/* ---- op.c, launch.c: operations ---- */

typedef enum Direction { HOST_TO_DEVICE, DEVICE_TO_HOST, DEVICE_TO_DEVICE } Direction;
typedef struct Launch {
    Function *function;
    unsigned grid[3], block[3];
    size_t shared;
    unsigned char *params; /* each parameter at a multiple of PARAM_ALIGN; malloc'ed */
    size_t param_bytes;
} Launch;
enum { PARAM_ALIGN = 16 };

typedef struct Op {
    enum { OP_NOTHING, OP_COPY, OP_FILL, OP_LAUNCH, OP_HOST, OP_GRAPH } kind;
    Direction direction;
    void *to;
    const void *from;
    size_t bytes;
    unsigned value, width; /* fill: bytes of an element are 1 or 4 */
    Launch launch;
    void (*host)(void *data); /* a function of the program's, which may touch the device's memory as libraries do */
    void *data;
    Exec *exec;
} Op;

CUresult
op_check(const Context *c,
         const Op *op); /* of copies and fills: do the addresses belong to what they should */
void op_run(Context *c, const Op *op);
Op op_clone(const Op *op);
void op_free(Op *op);
void launch_run(Context *c, const Launch *l);

/* ---- stream.c ---- */

struct Work { /* an operation in a stream */
    int refs;
    bool done;
    Op op;
    Stream *stream;
    Work *next;
    Work **deps; /* of other streams; each a reference */
    int ndeps;
    double time; /* ms, when it was done */
};

typedef struct Tips { /* the nodes of a graph that the next one waits for */
    int *v, n;
} Tips;

struct CUstream_st {
    Object o;
    bool blocking;     /* synchronises with the legacy stream */
    Work *head, *tail; /* not yet done */
    Capture *capture;  /* or NULL */
    Tips tips;
};

Stream *stream_get(Context *c, CUstream handle); /* NULL: no such stream */
Stream *stream_new(Context *c, bool blocking);
/* Queues an operation, or adds it to the capture. Takes op over. *work (may be NULL) gets a reference. */
CUresult stream_submit(Context *c, Stream *s, Op op, Work *after, Work **work);
void stream_run_until(Context *c, Work *w);
CUresult stream_wait(Context *c,
                     Stream *s); /* runs all that is queued in it; the context's error */
bool stream_progress(Context *c, Stream *s); /* runs one operation; false: there was none */
CUresult context_wait(Context *c);
int context_drop_work(Context *c); /* throws away what is queued; how many operations */
void work_unref(Work *w);

struct CUevent_st {
    Object o;
    bool timing;
    Work *work;       /* the last record, or NULL */
    Capture *capture; /* it was recorded in this capture, or NULL */
    Tips tips;
};

/* ---- capture.c, graph.c ---- */

typedef struct Node {
    Op op;
    Tips deps;
} Node;

struct CUgraph_st {
    Object o;
    Node *nodes;
    int n;
};

struct CUgraphExec_st {
    Object o;
    int refs; /* the handle's, and of launches that are queued */
    Node *nodes;
    int n;
    Work *last; /* launch, or NULL */
};

struct Capture {
    int refs;
    bool invalid, ended;
    CUstreamCaptureMode mode;
    pthread_t thread;
    Stream *origin;
    Graph *graph;
};

void tips_merge(Tips *to, const Tips *from);
void tips_free(Tips *t);
void capture_unref(Capture *k);
CUresult capture_add(Stream *s, Op op); /* takes op over */
CUresult capture_wait(Context *c, Stream *s,
                      Event *e); /* s waits for an event, and one of them is in a capture */
bool capture_on_legacy(
    Context *c); /* a stream that synchronises with the legacy stream is capturing: invalidated */
bool capture_forbids_unsafe(
    void); /* a capture is in progress that forbids this thread unsafe calls: invalidated */
bool capture_invalidate(
    Context *c); /* some stream of the context is capturing; all are invalidated */
void nodes_free(Node *v, int n);
void exec_unref(Exec *x);
void exec_run(Context *c, Exec *x);

/* ---- module.c ---- */

struct CUmod_st {
    Object o;
    PtxModule *ptx;
    Function **functions; /* those asked for */
    void **globals;       /* variables whose addresses are known outside */
    int nfunctions, nglobals;
};

struct CUfunc_st {
    Object o;
    Module *module;
    char *name;
    const PtxKernel *kernel;
    int max_dynamic; /* bytes of dynamic shared memory that a launch may ask for */
};

void module_release(Module *m);

/* ---- profile.c ---- */

PtxProfile *profile_of(const char *kernel); /* counts a launch; NULL when no profile is wanted */
void profile_copy(Direction d, size_t bytes);
void profile_graph(void);
void profile_never_run(int n);
#endif
