/* Programs of the model: memory, arguments, runs. */
#ifndef RUNTIME_EXEC_H
#define RUNTIME_EXEC_H
#include "device.h"
#include "mirror.h"

typedef struct RtState { /* what all programs share: one set of weights, one set of scalars */
    const RtModel *model;
    RtDevice *device;
    RtMirror state;      /* zeroed */
    bool *given;         /* by state tensor: it was replaced */
    void (*first)(struct RtState *); /* gives the others their first values, when they are needed; NULL: they have them */
    uint64_t seed;       /* of those */
    char *scalars;       /* the host's values: defaults of the model */
    bool scalars_newer;  /* than the device's */
    void *there_scalars; /* on the device */
    RtChannel *to_scalars;
} RtState;

typedef struct RtExec RtExec;

RtState *rt_state_new(RtDevice *d, const RtModel *m);
void rt_state_free(RtState *s);
void rt_state_reset(RtState *s); /* zeros, as if it were new */
char *rt_state_all(RtState *s);  /* the host's side of all of it, to be read and changed before the next run */
/* A state tensor's storage: as the last run left it; to be changed before the next. */
const void *rt_state_read(RtState *s, const RtTensor *t);
void *rt_state_write(RtState *s, const RtTensor *t);
/* As rt_state_write, for whoever changes all of it: what it held before, even its first value, is not needed. */
void *rt_state_replace(RtState *s, const RtTensor *t);
/* The scalar's storage: a float or an int32_t; NULL: the model has none of that name. */
const void *rt_state_scalar(const RtState *s, const char *name, uint32_t *dtype);
void *rt_state_scalar_write(RtState *s, const char *name, uint32_t *dtype);

/* On the state's device, for which p must have been built. */
RtExec *rt_exec_new(const RtProgram *p, RtState *s);
void rt_exec_free(RtExec *e);
const RtProgram *rt_exec_program(const RtExec *e);
const RtModel *rt_exec_model(const RtExec *e);

/* The weights changed: computes what the program derives from them. Before the first run too. */
void rt_exec_prepare(RtExec *e);
/* From now on, runs leave out what only the loss needs; it cannot be read then. */
void rt_exec_without_loss(RtExec *e);
/* May return before the run is done: whoever reads waits. */
void rt_exec_run(RtExec *e);
/* As rt_exec_run; the nanoseconds of step i are added to ns[i]. */
void rt_exec_run_profile(RtExec *e, double *ns);
/* As rt_exec_run, one step after the other; `after` each may look at memory and end it with false. */
void rt_exec_run_steps(RtExec *e, bool (*after)(void *to, RtExec *e, const RtStep *s), void *to);
void rt_exec_peek(RtExec *e, uint32_t arena, uint64_t offset, void *to, size_t bytes);
double rt_exec_time(RtExec *e); /* as rt_exec_run -> its seconds, by the device's clock */

const RtTensor *rt_exec_tensor(const RtExec *e, const char *name); /* of the program; NULL: none */
/* A tensor's storage in its layout, as the last run left it. */
const void *rt_exec_read(RtExec *e, const RtTensor *t);
/* Plain row-major copies in and out of the program's tensors of 4-byte elements, by name. Inputs and targets are
 * written, all rows of them between one run and the next; the others are read. */
void rt_exec_set(RtExec *e, const char *name, const void *plain);
void rt_exec_get(RtExec *e, const char *name, void *plain);
/* What was set goes on its way now; else when the next run starts. A run that is under way still sees its own. */
void rt_exec_send(RtExec *e);
/* Rows [begin, end) of axis 0 only; plain points at row `begin`. */
void rt_exec_set_rows(RtExec *e, const char *name, const void *plain, int64_t begin, int64_t end);
void rt_exec_get_rows(RtExec *e, const char *name, void *plain, int64_t begin, int64_t end);
#endif
