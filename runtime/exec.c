/* Programs: arenas, arguments resolved once, runs on the pool.
 *
 * In: a program of the blob, the shared state. Out: a run of all its steps.
 * Rule: everything is allocated in rt_exec_new; a run allocates nothing. Arenas are zeroed, which
 * is what the halos of the activations rely on. Not here: what the numbers mean (train.c, eval.c),
 * scheduling (thread.c). */
#include "exec.h"
#include "err.h"
#include "model.h"
#include "slab.h"
#include "tensor.h"
#include <stdlib.h>
#include <string.h>

struct RtExec {
    const RtProgram *program;
    RtState *state;
    char *arena[RT_NARENAS];
    void **args; /* of all steps, one after the other */
    RtWork *prepare, *steps;
    RtView *view; /* of each tensor; rank 0: not made yet */
};

RtState *rt_state_new(const RtModel *m)
{
    RtState *s = rt_alloc(1, sizeof *s, "the state");
    s->model = m;
    s->state = rt_map(m->state_size, "weights and optimizer state");
    s->scalars = rt_map(64ul * m->nscalars, "scalars");
    const RtScalar *x = rt_model_scalars(m);
    for (uint32_t i = 0; i < m->nscalars; i++) {
        if (x[i].dtype == RT_I32)
            *(int32_t *)(s->scalars + 64 * i) = (int32_t)x[i].value;
        else
            *(float *)(s->scalars + 64 * i) = (float)x[i].value;
    }
    return s;
}

void rt_state_free(RtState *s)
{
    if (!s) return;
    rt_unmap(s->state, s->model->state_size);
    rt_unmap(s->scalars, 64ul * s->model->nscalars);
    free(s);
}

void *rt_state_at(const RtState *s, const RtTensor *t)
{
    return s->state + t->offset;
}

void *rt_state_scalar(const RtState *s, const char *name, uint32_t *dtype)
{
    const RtScalar *x = rt_model_scalars(s->model);
    for (uint32_t i = 0; i < s->model->nscalars; i++) {
        if (strcmp(RT_STR(s->model, x[i].name), name) != 0) continue;
        if (dtype) *dtype = x[i].dtype;
        return s->scalars + 64 * i;
    }
    return NULL;
}

static size_t count_args(const RtModel *m, RtRef ref, uint32_t n)
{
    size_t total = 0;
    for (uint32_t i = 0; i < n; i++) total += RT_AT(m, RtStep, ref)[i].nargs;
    return total;
}

/* Resolves a list of steps; args: the next free place, moved on. */
static RtWork *make_work(RtExec *e, RtPool *pool, const RtKernel *kernels, RtRef ref, uint32_t n,
                         void ***args)
{
    const RtModel *m = e->state->model;
    const RtStep *s = RT_AT(m, RtStep, ref);
    RtTaskStep *step = rt_alloc(n, sizeof *step, "steps");
    for (uint32_t i = 0; i < n; i++) {
        const RtArg *a = RT_AT(m, RtArg, s[i].args);
        step[i] = (RtTaskStep){kernels[s[i].kernel], *args, s[i].ntasks, s[i].nowait != 0};
        for (uint32_t k = 0; k < s[i].nargs; k++) *(*args)++ = e->arena[a[k].arena] + a[k].offset;
    }
    RtWork *w = rt_work_new(pool, step, (int)n);
    free(step);
    return w;
}

RtExec *rt_exec_new(RtPool *pool, const RtKernel *kernels, const RtProgram *p, RtState *s)
{
    RtExec *e = rt_alloc(1, sizeof *e, "a program");
    const RtModel *m = s->model;
    e->program = p;
    e->state = s;
    e->arena[RT_STATE] = s->state;
    e->arena[RT_SCALAR] = s->scalars;
    e->arena[RT_PREP] = rt_map(p->prep_size, "prepared weights");
    e->arena[RT_SLAB] = rt_map(p->slab_size, "activations");
    e->args = rt_alloc(count_args(m, p->prepare, p->nprepare) + count_args(m, p->steps, p->nsteps),
                       sizeof(void *), "arguments");
    void **next = e->args;
    e->prepare = make_work(e, pool, kernels, p->prepare, p->nprepare, &next);
    e->steps = make_work(e, pool, kernels, p->steps, p->nsteps, &next);
    e->view = rt_alloc(p->ntensors, sizeof *e->view, "layouts");
    const RtTensor *t = rt_program_tensors(m, p);
    for (uint32_t i = 0; i < p->ntensors; i++) {
        if (t[i].role == RT_INPUT || t[i].role == RT_TARGET || t[i].role == RT_OUTPUT) {
            rt_view_init(&e->view[i], &t[i].layout);
        }
    }
    return e;
}

void rt_exec_free(RtExec *e)
{
    if (!e) return;
    rt_work_free(e->prepare);
    rt_work_free(e->steps);
    for (uint32_t i = 0; i < e->program->ntensors; i++) rt_view_free(&e->view[i]);
    rt_unmap(e->arena[RT_PREP], e->program->prep_size);
    rt_unmap(e->arena[RT_SLAB], e->program->slab_size);
    free(e->view);
    free(e->args);
    free(e);
}

const RtProgram *rt_exec_program(const RtExec *e)
{
    return e->program;
}

const RtModel *rt_exec_model(const RtExec *e)
{
    return e->state->model;
}

void rt_exec_prepare(RtExec *e)
{
    rt_work_run(e->prepare, NULL);
}

void rt_exec_run(RtExec *e)
{
    rt_work_run(e->steps, NULL);
}

void rt_exec_run_profile(RtExec *e, double *ns)
{
    rt_work_run(e->steps, ns);
}

void *rt_exec_at(const RtExec *e, const RtTensor *t)
{
    return e->arena[t->arena] + t->offset;
}

const RtTensor *rt_exec_tensor(const RtExec *e, const char *name)
{
    return rt_program_tensor(e->state->model, e->program, name);
}

static const RtTensor *need_tensor(const RtExec *e, const char *name)
{
    const RtTensor *t = rt_exec_tensor(e, name);
    if (!t) rt_fail(RT_EXIT_BUG, "B001", "the program has no tensor '%s'", rt_esc(name));
    return t;
}

/* The tensor's view: the one made at start, or (gradients, rarely read) one made here into *own. */
static const RtView *view_of(const RtExec *e, const RtTensor *t, RtView *own)
{
    const RtView *v = &e->view[t - rt_program_tensors(e->state->model, e->program)];
    if (v->rank) return v;
    rt_view_init(own, &t->layout);
    return own;
}

void rt_exec_set_rows(RtExec *e, const char *name, const void *plain, int64_t begin, int64_t end)
{
    RtView own = {0};
    const RtTensor *t = need_tensor(e, name);
    rt_view_pack(view_of(e, t, &own), rt_exec_at(e, t), plain, begin, end);
    rt_view_free(&own);
}

void rt_exec_get_rows(const RtExec *e, const char *name, void *plain, int64_t begin, int64_t end)
{
    RtView own = {0};
    const RtTensor *t = need_tensor(e, name);
    rt_view_unpack(view_of(e, t, &own), rt_exec_at(e, t), plain, begin, end);
    rt_view_free(&own);
}

void rt_exec_set(RtExec *e, const char *name, const void *plain)
{
    const RtTensor *t = need_tensor(e, name);
    rt_exec_set_rows(e, name, plain, 0, t->layout.rank ? t->layout.dim[0] : 1);
}

void rt_exec_get(const RtExec *e, const char *name, void *plain)
{
    const RtTensor *t = need_tensor(e, name);
    rt_exec_get_rows(e, name, plain, 0, t->layout.rank ? t->layout.dim[0] : 1);
}
