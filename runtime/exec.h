/* Programs of the model: memory, arguments, runs. */
#ifndef RUNTIME_EXEC_H
#define RUNTIME_EXEC_H
#include "abi.h"
#include "thread.h"

typedef struct RtState { /* what all programs share: one set of weights, one set of scalars */
    const RtModel *model;
    char *state;   /* zeroed */
    char *scalars; /* defaults of the model */
} RtState;

typedef struct RtExec RtExec;

RtState *rt_state_new(const RtModel *m);
void rt_state_free(RtState *s);
/* Where a state tensor lies. */
void *rt_state_at(const RtState *s, const RtTensor *t);
/* The scalar's storage: a float or an int32_t; NULL: the model has none of that name. */
void *rt_state_scalar(const RtState *s, const char *name, uint32_t *dtype);

RtExec *rt_exec_new(RtPool *pool, const RtKernel *kernels, const RtProgram *p, RtState *s);
void rt_exec_free(RtExec *e);
const RtProgram *rt_exec_program(const RtExec *e);
const RtModel *rt_exec_model(const RtExec *e);

/* The weights changed: computes what the program derives from them. Before the first run too. */
void rt_exec_prepare(RtExec *e);
void rt_exec_run(RtExec *e);
/* As rt_exec_run; the nanoseconds of step i are added to ns[i]. */
void rt_exec_run_profile(RtExec *e, double *ns);

/* Where a tensor of the program or of the state lies. */
void *rt_exec_at(const RtExec *e, const RtTensor *t);
const RtTensor *rt_exec_tensor(const RtExec *e, const char *name); /* of the program; NULL: none */
/* Plain row-major copies in and out of the program's tensors of 4-byte elements, by name. */
void rt_exec_set(RtExec *e, const char *name, const void *plain);
void rt_exec_get(const RtExec *e, const char *name, void *plain);
/* Rows [begin, end) of axis 0 only; plain points at row `begin`. */
void rt_exec_set_rows(RtExec *e, const char *name, const void *plain, int64_t begin, int64_t end);
void rt_exec_get_rows(const RtExec *e, const char *name, void *plain, int64_t begin, int64_t end);
#endif
