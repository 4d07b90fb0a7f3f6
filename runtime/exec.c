/* Programs: arenas, arguments resolved once, runs on a device.
 *
 * In: a program of the blob, the shared state. Out: a run of all its steps.
 * Rule: everything is allocated in rt_exec_new, or when a tensor is read for the first time; a run allocates nothing.
 * Arenas are zeroed, which is what the halos of the activations rely on. Not here: what the numbers mean (train.c,
 * eval.c), how a device runs (device.h), which copy of memory is the newer (mirror.c). */
#include "exec.h"
#include "err.h"
#include "model.h"
#include "slab.h"
#include "tensor.h"
#include <stdlib.h>
#include <string.h>

typedef struct Port { /* a tensor of the program, as the host meets it */
    RtView view;      /* rank 0: not made yet */
    RtChannel *in;    /* inputs, targets */
    void *filling;    /* its buffer, if some rows of the next run are there */
    RtMirror out;     /* the others, from their first reading on */
} Port;

struct RtExec {
    const RtProgram *program;
    RtState *state;
    char *arena[RT_NARENAS]; /* on the device */
    void **args;             /* of all steps, one after the other */
    RtList *prepare, *steps;
    bool without_loss;
    double *ns;              /* of the launches of a profile; NULL: there was none */
    Port *port; /* by tensor */
};

RtState *rt_state_new(RtDevice *d, const RtModel *m)
{
    RtState *s = rt_alloc(1, sizeof *s, "the state");
    size_t scalars = 64ul * m->nscalars;
    static const char what[] = "weights and optimizer state";
    s->model = m;
    s->device = d;
    rt_mirror_open(&s->state, d, d->alloc(d, m->state_size, what), m->state_size, what);
    s->given = rt_alloc(m->nstates, sizeof *s->given, what);
    s->scalars = rt_alloc(m->nscalars, 64, "scalars");
    s->there_scalars = d->alloc(d, scalars, "scalars");
    s->to_scalars = d->channel(d, s->there_scalars, scalars);
    s->scalars_newer = true;
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
    RtDevice *d = s->device;
    d->close_channel(s->to_scalars);
    d->free(d, s->there_scalars, 64ul * s->model->nscalars);
    d->free(d, s->state.there, s->model->state_size);
    rt_mirror_close(&s->state);
    free(s->scalars);
    free(s->given);
    free(s);
}

void rt_state_reset(RtState *s)
{
    memset(rt_mirror_write(&s->state), 0, s->model->state_size);
    memset(s->given, 0, s->model->nstates * sizeof *s->given);
}

static void give_first_values(RtState *s)
{
    void (*first)(RtState *) = s->first;
    s->first = NULL;
    if (first) first(s);
}

char *rt_state_all(RtState *s)
{
    give_first_values(s);
    return rt_mirror_write(&s->state);
}

const void *rt_state_read(RtState *s, const RtTensor *t)
{
    give_first_values(s);
    return rt_mirror_read(&s->state) + t->offset;
}

void *rt_state_write(RtState *s, const RtTensor *t)
{
    give_first_values(s);
    return rt_mirror_write(&s->state) + t->offset;
}

void *rt_state_replace(RtState *s, const RtTensor *t)
{
    s->given[t - rt_model_states(s->model)] = true;
    return rt_mirror_write(&s->state) + t->offset;
}

const void *rt_state_scalar(const RtState *s, const char *name, uint32_t *dtype)
{
    const RtScalar *x = rt_model_scalars(s->model);
    for (uint32_t i = 0; i < s->model->nscalars; i++) {
        if (strcmp(RT_STR(s->model, x[i].name), name) != 0) continue;
        if (dtype) *dtype = x[i].dtype;
        return s->scalars + 64 * i;
    }
    return NULL;
}

void *rt_state_scalar_write(RtState *s, const char *name, uint32_t *dtype)
{
    const char *p = rt_state_scalar(s, name, dtype);
    if (!p) return NULL;
    s->scalars_newer = true;
    return s->scalars + (p - s->scalars);
}

/* What the host changed goes to the device. */
static void push_state(RtState *s)
{
    give_first_values(s);
    rt_mirror_push(&s->state);
    if (!s->scalars_newer || !s->model->nscalars) return;
    memcpy(s->device->fill(s->to_scalars), s->scalars, 64ul * s->model->nscalars);
    s->device->send(s->to_scalars);
    s->scalars_newer = false;
}

static size_t count_args(const RtModel *m, RtRef ref, uint32_t n)
{
    size_t total = 0;
    for (uint32_t i = 0; i < n; i++) total += RT_AT(m, RtStep, ref)[i].nargs;
    return total;
}

static bool is_run(const RtExec *e, const RtStep *s)
{
    return !e->without_loss || !s->for_loss;
}

/* Resolves a list of steps; args: the next free place, moved on. */
static RtList *make_list(RtExec *e, RtRef ref, uint32_t n, void ***args)
{
    const RtModel *m = e->state->model;
    RtDevice *d = e->state->device;
    const RtStep *s = RT_AT(m, RtStep, ref);
    RtLaunch *launch = rt_alloc(n, sizeof *launch, "steps");
    int launches = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!is_run(e, &s[i])) continue;
        const RtArg *a = RT_AT(m, RtArg, s[i].args);
        launch[launches++] = (RtLaunch){&s[i], *args};
        for (uint32_t k = 0; k < s[i].nargs; k++) *(*args)++ = e->arena[a[k].arena] + a[k].offset;
    }
    RtList *l = d->list(d, m, launch, launches);
    free(launch);
    return l;
}

static size_t storage(const RtTensor *t)
{
    return (size_t)t->layout.count * (t->dtype == RT_U8 ? 1 : 4);
}

static bool is_input(const RtTensor *t)
{
    return t->role == RT_INPUT || t->role == RT_TARGET;
}

static void open_ports(RtExec *e)
{
    RtDevice *d = e->state->device;
    const RtTensor *t = rt_program_tensors(e->state->model, e->program);
    e->port = rt_alloc(e->program->ntensors, sizeof *e->port, "layouts");
    for (uint32_t i = 0; i < e->program->ntensors; i++) {
        Port *p = &e->port[i];
        if (is_input(&t[i]) || t[i].role == RT_OUTPUT) rt_view_init(&p->view, &t[i].layout);
        if (is_input(&t[i]))
            p->in = d->channel(d, e->arena[t[i].arena] + t[i].offset, storage(&t[i]));
    }
}

RtExec *rt_exec_new(const RtProgram *p, RtState *s)
{
    RtExec *e = rt_alloc(1, sizeof *e, "a program");
    RtDevice *d = s->device;
    const RtModel *m = s->model;
    e->program = p;
    e->state = s;
    e->arena[RT_STATE] = s->state.there;
    e->arena[RT_SCALAR] = s->there_scalars;
    e->arena[RT_PREP] = d->alloc(d, p->prep_size, "prepared weights");
    e->arena[RT_SLAB] = d->alloc(d, p->slab_size, "activations");
    e->args = rt_alloc(count_args(m, p->prepare, p->nprepare) + count_args(m, p->steps, p->nsteps),
                       sizeof(void *), "arguments");
    void **next = e->args;
    e->prepare = make_list(e, p->prepare, p->nprepare, &next);
    e->steps = make_list(e, p->steps, p->nsteps, &next);
    open_ports(e);
    return e;
}

void rt_exec_free(RtExec *e)
{
    if (!e) return;
    RtDevice *d = e->state->device;
    for (uint32_t i = 0; i < e->program->ntensors; i++) {
        Port *p = &e->port[i];
        rt_view_free(&p->view);
        if (p->in) d->close_channel(p->in);
        rt_mirror_close(&p->out);
    }
    d->close_list(e->prepare);
    d->close_list(e->steps);
    d->free(d, e->arena[RT_PREP], e->program->prep_size);
    d->free(d, e->arena[RT_SLAB], e->program->slab_size);
    free(e->port);
    free(e->ns);
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

/* ---- runs ---- */

void rt_exec_send(RtExec *e)
{
    for (uint32_t i = 0; i < e->program->ntensors; i++) {
        Port *p = &e->port[i];
        if (p->filling) e->state->device->send(p->in);
        p->filling = NULL;
    }
}

static void before_run(RtExec *e)
{
    push_state(e->state);
    rt_exec_send(e);
}

static void after_run(RtExec *e)
{
    rt_mirror_touch(&e->state->state);
    for (uint32_t i = 0; i < e->program->ntensors; i++) rt_mirror_touch(&e->port[i].out);
}

void rt_exec_prepare(RtExec *e)
{
    push_state(e->state);
    e->state->device->run(e->prepare);
}

void rt_exec_without_loss(RtExec *e)
{
    const RtProgram *p = e->program;
    void **next = e->args + count_args(e->state->model, p->prepare, p->nprepare);
    e->without_loss = true;
    e->state->device->close_list(e->steps);
    e->steps = make_list(e, p->steps, p->nsteps, &next);
}

void rt_exec_run(RtExec *e)
{
    before_run(e);
    e->state->device->run(e->steps);
    after_run(e);
}

void rt_exec_run_profile(RtExec *e, double *ns)
{
    const RtStep *s = RT_AT(e->state->model, RtStep, e->program->steps);
    if (!e->ns) e->ns = rt_alloc(e->program->nsteps, sizeof *e->ns, "a profile");
    memset(e->ns, 0, e->program->nsteps * sizeof *e->ns);
    before_run(e);
    e->state->device->profile(e->steps, e->ns);
    after_run(e);
    for (uint32_t i = 0, launch = 0; i < e->program->nsteps; i++)
        if (is_run(e, &s[i])) ns[i] += e->ns[launch++];
}

void rt_exec_run_steps(RtExec *e, bool (*after)(void *to, RtExec *e, const RtStep *s), void *to)
{
    const RtModel *m = e->state->model;
    RtDevice *d = e->state->device;
    const RtProgram *p = e->program;
    const RtStep *s = RT_AT(m, RtStep, p->steps);
    void **args = e->args + count_args(m, p->prepare, p->nprepare);
    bool go = true;
    before_run(e);
    for (uint32_t i = 0; i < p->nsteps && go; i++, s++) {
        if (!is_run(e, s)) continue;
        RtLaunch one = {s, args};
        RtList *l = d->list(d, m, &one, 1);
        d->run(l);
        args += s->nargs;
        go = after(to, e, s);
        d->close_list(l);
    }
    after_run(e);
}

void rt_exec_peek(RtExec *e, uint32_t arena, uint64_t offset, void *to, size_t bytes)
{
    RtDevice *d = e->state->device;
    d->download(d, to, e->arena[arena] + offset, bytes);
}

double rt_exec_time(RtExec *e)
{
    before_run(e);
    double seconds = e->state->device->time(e->steps);
    after_run(e);
    return seconds;
}

/* ---- tensors ---- */

const RtTensor *rt_exec_tensor(const RtExec *e, const char *name)
{
    return rt_program_tensor(e->state->model, e->program, name);
}

static const RtTensor *need_tensor(const RtExec *e, const char *name, bool input)
{
    const RtTensor *t = rt_exec_tensor(e, name);
    if (!t) rt_fail(RT_EXIT_BUG, "B001", "the program has no tensor '%s'", rt_esc(name));
    if (input && !is_input(t)) rt_fail(RT_EXIT_BUG, "B001", "'%s' is no input", rt_esc(name));
    return t;
}

/* The tensor's port with its view; gradients, which are rarely read, get theirs here. */
static Port *port_of(RtExec *e, const RtTensor *t)
{
    Port *p = &e->port[t - rt_program_tensors(e->state->model, e->program)];
    if (!p->view.rank) rt_view_init(&p->view, &t->layout);
    return p;
}

const void *rt_exec_read(RtExec *e, const RtTensor *t)
{
    RtMirror *m = &port_of(e, t)->out;
    if (e->without_loss && t->role == RT_OUTPUT && !strcmp(RT_STR(e->state->model, t->name), "loss"))
        rt_fail(RT_EXIT_BUG, "B001", "the loss is read, but runs leave it out");
    if (!m->here) {
        rt_mirror_open(m, e->state->device, e->arena[t->arena] + t->offset, storage(t), "results");
        m->there_newer = true;
    }
    return rt_mirror_read(m);
}

void rt_exec_set_rows(RtExec *e, const char *name, const void *plain, int64_t begin, int64_t end)
{
    Port *p = port_of(e, need_tensor(e, name, true));
    if (!p->filling) p->filling = e->state->device->fill(p->in);
    rt_view_pack(&p->view, p->filling, plain, begin, end);
}

void rt_exec_get_rows(RtExec *e, const char *name, void *plain, int64_t begin, int64_t end)
{
    const RtTensor *t = need_tensor(e, name, false);
    const void *at = rt_exec_read(e, t);
    rt_view_unpack(&port_of(e, t)->view, at, plain, begin, end);
}

void rt_exec_set(RtExec *e, const char *name, const void *plain)
{
    const RtTensor *t = need_tensor(e, name, true);
    rt_exec_set_rows(e, name, plain, 0, t->layout.rank ? t->layout.dim[0] : 1);
}

void rt_exec_get(RtExec *e, const char *name, void *plain)
{
    const RtTensor *t = need_tensor(e, name, false);
    rt_exec_get_rows(e, name, plain, 0, t->layout.rank ? t->layout.dim[0] : 1);
}
