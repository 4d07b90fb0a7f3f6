#include "run_graph.h"
#include "cudnn/naive_conv.h"
#include "gpu_run.h"
#include "loop/stored.h"
#include "simt/simt.h"
#include "support/diag.h"
#include <stdlib.h>
#include <string.h>

struct Run {
    Arena *a;
    const Graph *g;
    const RefEnv *env;
    const Plan *plan;
    const Loops *loops;
    char *arena[PLAN_NARENAS];
    PtxProfile *profile; /* by kernel, or NULL */
};

/* ---- memory ---- */

static void allocate(Run *r)
{
    for (int i = 0; i < PLAN_NARENAS; i++) {
        size_t n = (size_t)(r->plan->size[i] + 64) / 64 * 64 + 64;
        r->arena[i] = aligned_alloc(64, n);
        memset(r->arena[i], i == PLAN_SLAB ? 0xff : 0, n);
    }
    for (int i = 0; i < r->g->node.n; i++) { /* halos, and what lies between gradients, are zero from the start */
        const Place *at = &r->plan->value[i];
        bool halo = layout_has_halo(&r->plan->schedule->value[i]) || op_is(r->g->node.v[i], "Pack");
        if (at->bytes && at->arena == PLAN_SLAB && halo)
            memset(r->arena[PLAN_SLAB] + at->offset, 0, (size_t)at->bytes);
    }
}

static int64_t place_of(const Layout *l, int64_t linear)
{
    int64_t at = l->base;
    for (int a = l->rank - 1; a >= 0; a--) {
        int64_t i = linear % l->dim[a];
        linear /= l->dim[a];
        at += i / l->block[a] * l->outer[a] + i % l->block[a] * l->inner[a];
    }
    return at;
}

static void put(char *base, LType t, int64_t i, double x)
{
    if (t == LT_F32) ((float *)base)[i] = (float)x;
    if (t == LT_I32) ((int32_t *)base)[i] = (int32_t)x;
    if (t == LT_U8) ((uint8_t *)base)[i] = (uint8_t)x;
    if (ltype_is_stored(t)) stored_put(t, base + i * ltype_size(t), (float)x);
}

static double get(const char *base, LType t, int64_t i)
{
    if (ltype_is_stored(t)) return (double)stored_get(t, base + i * ltype_size(t));
    return t == LT_F32   ? (double)((const float *)base)[i]
           : t == LT_I32 ? (double)((const int32_t *)base)[i]
                         : (double)((const uint8_t *)base)[i];
}

static int64_t layout_elements(const Layout *l)
{
    int64_t n = 1;
    for (int a = 0; a < l->rank; a++) n *= l->dim[a];
    return n;
}

static void write_tensor(Run *r, const Place *at, const Layout *l, LType t, const double *x)
{
    char *base = r->arena[at->arena] + at->offset;
    for (int64_t i = 0; i < layout_elements(l); i++) put(base, t, place_of(l, i), x[i]);
}

static void read_tensor(const Run *r, const Place *at, const Layout *l, LType t, double *x)
{
    const char *base = r->arena[at->arena] + at->offset;
    for (int64_t i = 0; i < layout_elements(l); i++) x[i] = get(base, t, place_of(l, i));
}

/* A state, or the parts of a group one after the other. */
static void each_part(Run *r, const State *s, double *x, bool write)
{
    int64_t done = 0;
    for (int k = 0; k < (s->part ? s->npart : 1); k++) {
        const State *p = s->part ? s->part[k] : s;
        const Layout *l = &r->plan->schedule->state[p->id];
        if (write)
            write_tensor(r, &r->plan->state[p->id], l, LT_F32, x + done);
        else
            read_tensor(r, &r->plan->state[p->id], l, LT_F32, x + done);
        done += layout_elements(l);
    }
}

static void fill(Run *r)
{
    for (int i = 0; i < r->g->node.n; i++) {
        const Node *n = r->g->node.v[i];
        const Place *at = &r->plan->value[i];
        double *x = (double *)ref_value(r->env, n);
        if (op_is(n, "State"))
            each_part(r, n->state, x, true);
        else if (at->bytes && (op_is(n, "Input") || op_is(n, "Scalar")))
            write_tensor(r, at, &r->plan->schedule->value[i], r->plan->schedule->type[i], x);
    }
}

/* ---- kernels ---- */

/* Tensors in their order; scratch, the last argument, may be written over. */
static void run_library(const Library *lib, void *const *arg)
{
    void *tensor[CUDNN_MOST_TENSORS] = {NULL};
    for (int t = 0; t < CUDNN_MOST_TENSORS; t++)
        if (lib->tensor[t].value) tensor[t] = *arg++;
    memset(*arg, 0xff, (size_t)lib->scratch);
    naive_conv(&lib->conv, tensor);
}

static void run_kernel(Run *r, const Kernel *k, KernelFn fn, bool backwards)
{
    enum { MOST_ARGS = 64 };
    void *arg[MOST_ARGS];
    int64_t n = k->func ? k->func->ntasks : 0, step = backwards ? 1 : n;
    bug_if(k->arg.n > MOST_ARGS, "%d arguments", k->arg.n);
    for (int i = 0; i < k->arg.n; i++) arg[i] = r->arena[k->arg.v[i].arena] + k->arg.v[i].offset;
    if (k->library) run_library(k->library, arg);
    for (int64_t end = n; end > 0; end -= step) {
        if (fn)
            fn(arg, end - step, end);
        else
            func_interp(k->func, arg, end - step, end);
    }
}

/* What a kernel may touch: its arguments, each to its last element. Read-only ones may overlap. */
static PtxSpace *arguments_only(const Kernel *k, void *const *arg)
{
    PtxSpace *s = ptx_space_new();
    for (int i = 0; i < k->arg.n; i++) {
        const LBuf *b = k->func->buf.v[i];
        char *begin = arg[i], *end = begin + b->count * ltype_size(b->type);
        for (int j = 0; j < k->arg.n; j++) { /* as far as it overlaps with others */
            const LBuf *o = k->func->buf.v[j];
            char *from = arg[j], *to = from + o->count * ltype_size(o->type);
            if (from < end && begin < to && (from < begin || to > end)) {
                begin = from < begin ? from : begin;
                end = to > end ? to : end;
                j = -1;
            }
        }
        if (end > begin && !ptx_space_holds(s, begin, 1)) ptx_space_add(s, begin, (size_t)(end - begin));
    }
    return s;
}

static char *run_kernel_ptx(Run *r, const Kernel *k, const PtxKernel *p, PtxProfile *profile)
{
    enum { MOST_ARGS = 64 };
    void *arg[MOST_ARGS], *param[MOST_ARGS];
    Geometry g = backend_nvrtc.launch(k->func);
    PtxLaunch l = {.kernel = p, .shared = g.shared, .params = param, .check_races = true, .threads = 1};
    bug_if(k->arg.n > MOST_ARGS || !p, "kernel %s", k->func->name);
    memcpy(l.grid, g.grid, sizeof l.grid);
    memcpy(l.block, g.block, sizeof l.block);
    for (int i = 0; i < k->arg.n; i++) {
        arg[i] = r->arena[k->arg.v[i].arena] + k->arg.v[i].offset;
        param[i] = &arg[i];
    }
    PtxSpace *s = arguments_only(k, arg);
    char *fault = ptx_run(&l, s, profile);
    ptx_space_free(s);
    return fault;
}

/* ---- results ---- */

static double *value_of(Run *r, const Node *n)
{
    double *x = NEWN(r->a, double, shape_count(n->shape) + 1);
    const Place *at = &r->plan->value[n->id];
    if (op_is(n, "Pack")) { /* gradients end to end, each in its own layout */
        int64_t done = 0;
        for (int i = 0; i < n->nin; i++) {
            memcpy(x + done, value_of(r, n->in[i]),
                   sizeof *x * (size_t)shape_count(n->in[i]->shape));
            done += shape_count(n->in[i]->shape);
        }
    } else if (op_is(n, "Const")) {
        memcpy(x, ref_value(r->env, n), sizeof *x);
    } else {
        read_tensor(r, at, &r->plan->schedule->value[n->id], r->plan->schedule->type[n->id], x);
    }
    return x;
}

static double **results(Run *r)
{
    int n = r->g->output.n;
    for (int i = 0; i < r->g->node.n; i++) n += op_is(r->g->node.v[i], "Assign");
    double **out = NEWN(r->a, double *, n + 1);
    n = 0;
    for (int i = 0; i < r->g->output.n; i++) out[n++] = value_of(r, r->g->output.v[i].node);
    for (int i = 0; i < r->g->node.n; i++) {
        const Node *as = r->g->node.v[i];
        if (!op_is(as, "Assign")) continue;
        out[n] = NEWN(r->a, double, shape_count(as->shape) + 1);
        each_part(r, as->state, out[n++], false);
    }
    return out;
}

/* ---- the steps ---- */

/* Plans come from tests/cudnn/fake.c, so that this needs no cuDNN. */
static void use_fake_cudnn(Arena *a)
{
    const char *build = getenv("BUILD");
    setenv("SINTER_CUDNN", arena_printf(a, "%s/tests/libcudnn_fake.so", build ? build : "build"), 1);
    bug_if(cudnn_missing(), "%s", cudnn_missing());
}

Run *run_plan_for(Arena *a, const Graph *g, const RefEnv *env, const RunMode *mode, const char *no_rule,
                  const Machine *m)
{
    Run *r = NEW(a, Run);
    Groups *gs = fuse(a, g, mode->fused, no_rule, m);
    groups_verify(gs);
    Algorithm *by = NEWN(a, Algorithm, gs->group.n + 1);
    for (int i = 0; i < gs->group.n; i++) by[i] = mode->by;
    Schedule *s = schedule_by(a, gs, m, by);
    for (int i = 0; i < gs->group.n && mode->tile; i++) schedule_take_tile(&s->group[i], mode->tile);
    Plan *p = plan(a, s, mode->reuse);
    plan_verify(p);
    Loops *l = lower(a, p, m);
    loops_verify(l);
    *r = (Run){.a = a, .g = g, .env = env, .plan = p, .loops = l};
    return r;
}

Run *run_plan(Arena *a, const Graph *g, const RefEnv *env, const RunMode *mode, const char *no_rule)
{
    Machine *m = NEW(a, Machine);
    *m = *machine_find(a, mode->machine);
    m->provider = mode->provider;
    if (m->provider) use_fake_cudnn(a);
    return run_plan_for(a, g, env, mode, no_rule, m);
}

const Loops *run_loops(const Run *r)
{
    return r->loops;
}

double **run_execute(Run *r, const KernelFn *fn, bool backwards)
{
    allocate(r);
    fill(r);
    for (int i = 0; i < r->loops->kernel.n; i++)
        run_kernel(r, &r->loops->kernel.v[i], fn ? fn[i] : NULL, backwards);
    double **out = results(r);
    for (int i = 0; i < PLAN_NARENAS; i++) free(r->arena[i]);
    return out;
}

double **run_ptx(Run *r, const PtxModule *m, const char *prefix, char **fault)
{
    *fault = NULL;
    allocate(r);
    fill(r);
    for (int i = 0; i < r->loops->kernel.n && !*fault; i++) {
        const Kernel *k = &r->loops->kernel.v[i];
        *fault = run_kernel_ptx(r, k, ptx_kernel(m, arena_printf(r->a, "%s%s", prefix, k->func->name)),
                                r->profile ? &r->profile[i] : NULL);
    }
    double **out = *fault ? NULL : results(r);
    for (int i = 0; i < PLAN_NARENAS; i++) free(r->arena[i]);
    return out;
}

void run_profile(Run *r, PtxProfile *of)
{
    r->profile = of;
}

static double **compile_and_run_ptx(Run *r)
{
    Buf source = {0};
    char *fault;
    ptx_emit(&source, r->loops, "");
    PtxModule *m = ptx_compile(source.s);
    double **out = run_ptx(r, m, "", &fault);
    bug_if(fault, "%s", fault);
    ptx_unload(m);
    buf_free(&source);
    return out;
}

static double **run_on_device(Run *r)
{
    allocate(r);
    fill(r);
    gpu_run(r->loops, r->arena);
    double **out = results(r);
    for (int i = 0; i < PLAN_NARENAS; i++) free(r->arena[i]);
    return out;
}

double **run_graph(Arena *a, const Graph *g, const RefEnv *env, const RunMode *mode)
{
    Run *r = run_plan(a, g, env, mode, NULL);
    const KernelFn *fn = NULL;
    if (mode->device) return run_on_device(r);
    if (mode->ptx) return compile_and_run_ptx(r);
    if (mode->compiled || mode->simt) {
        Func **f = NEWN(a, Func *, r->loops->kernel.n + 1);
        for (int i = 0; i < r->loops->kernel.n; i++) f[i] = r->loops->kernel.v[i].func;
        fn = mode->simt ? simt_load(f, r->loops->kernel.n, mode->checked)
                        : kernels_load(f, r->loops->kernel.n, machine_find(a, mode->machine));
    }
    return run_execute(r, fn, false);
}
