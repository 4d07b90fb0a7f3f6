/* The model table: tensors, programs, launches, options, as one position-independent blob.
 * Kernels of one device whose loop IR prints equally are one kernel. */
#include "blob.h"
#include "../runtime/abi.h"
#include <stdlib.h>
#include <string.h>

typedef struct LibraryKey { /* what makes libraries' steps one and the same */
    const Library *lib;
    RtLibrary row;
} LibraryKey;

typedef struct Writer {
    Arena *a;
    const BlobInput *in;
    Blob *out;
    VEC(const char *) key[2]; /* by device, of every kernel: its text */
    VEC(LibraryKey) library;
    VEC(const Node *) scalar; /* all programs' scalars, one node each */
} Writer;

/* ---- raw writing ---- */

static RtRef append(Buf *b, const void *p, size_t n)
{
    static const char zero[64];
    if (b->n % 8) buf_write(b, zero, 8 - b->n % 8);
    bug_if(b->n + n > UINT32_MAX, "the model table is larger than 4 GiB");
    RtRef at = (RtRef)b->n;
    buf_write(b, p, n);
    return at;
}

static RtRef put(Writer *w, const void *p, size_t n)
{
    return append(&w->out->data, p, n);
}

static RtRef put_str(Writer *w, const char *s)
{
    return s ? put(w, s, strlen(s) + 1) : 0;
}

/* ---- kernels ---- */

static const char *kernel_text(Writer *w, const Func *f)
{
    Buf b = {0};
    func_print(&b, f);
    const char *body = strchr(b.s, '\n'); /* name and comment stand on the first line */
    char *key = arena_printf(w->a, "%lld%s", (long long)f->ntasks, body ? body : "");
    buf_free(&b);
    return key;
}

static uint32_t kernel_index(Writer *w, Func *f, uint32_t device)
{
    const char *key = kernel_text(w, f);
    int n = w->key[device].n;
    for (int i = 0; i < n; i++)
        if (!strcmp(w->key[device].v[i], key)) return (uint32_t)i;
    f->name = arena_printf(w->a, "k%02d", n);
    vec_push(w->a, &w->key[device], key);
    vec_push(w->a, &w->out->kernel[device], f);
    return (uint32_t)n;
}

/* Names of the kernels of GPUs, by which images are searched. */
static RtRef put_kernel_names(Writer *w)
{
    int n = w->out->kernel[RT_CUDA].n;
    RtRef *name = NEWN(w->a, RtRef, n + 1);
    for (int i = 0; i < n; i++) name[i] = put_str(w, w->out->kernel[RT_CUDA].v[i]->name);
    return put(w, name, sizeof *name * (size_t)n);
}

/* ---- scalars: one numbering for all programs ---- */

static uint32_t scalar_index(Writer *w, const char *name)
{
    for (int i = 0; i < w->scalar.n; i++)
        if (!strcmp(w->scalar.v[i]->name, name)) return (uint32_t)i;
    bug_if(true, "unknown scalar");
    return 0;
}

static void collect_scalars(Writer *w)
{
    for (int p = 0; p < w->in->nprogram; p++) {
        const Graph *g = w->in->program[p].loops->plan->schedule->groups->graph;
        for (int i = 0; i < g->node.n; i++) {
            const Node *n = g->node.v[i];
            int k = 0;
            if (!op_is(n, "Scalar")) continue;
            while (k < w->scalar.n && strcmp(w->scalar.v[k]->name, n->name) != 0) k++;
            if (k == w->scalar.n) vec_push(w->a, &w->scalar, n);
        }
    }
}

static double scalar_default(const Writer *w, const char *name)
{
    const char *key = arena_printf(w->a, "train.%s", name);
    for (int i = 0; i < w->in->noption; i++)
        if (!strcmp(w->in->option[i].key, key)) return strtod(w->in->option[i].value, NULL);
    return 0;
}

static RtRef put_scalars(Writer *w)
{
    RtScalar *s = NEWN(w->a, RtScalar, w->scalar.n + 1);
    for (int i = 0; i < w->scalar.n; i++) {
        s[i].name = put_str(w, w->scalar.v[i]->name);
        s[i].dtype = w->scalar.v[i]->dtype == DT_I32 ? RT_I32 : RT_F32;
        s[i].value = scalar_default(w, w->scalar.v[i]->name);
    }
    return put(w, s, sizeof *s * (size_t)w->scalar.n);
}

/* ---- tensors ---- */

static RtLayout rt_layout(const Layout *l)
{
    RtLayout r = {.rank = l->rank, .base = l->base, .count = l->count};
    for (int a = 0; a < l->rank; a++) {
        r.block[a] = l->block[a];
        r.dim[a] = l->dim[a];
        r.outer[a] = l->outer[a];
        r.inner[a] = l->inner[a];
    }
    return r;
}

static RtTensor rt_tensor(Writer *w, const char *name, int role, DType t, Shape s, const Layout *l,
                          const Place *at)
{
    static const uint32_t arenas[] = {RT_STATE, RT_PREP, RT_SLAB, RT_SCALAR};
    RtTensor r = {.name = put_str(w, name), .role = (uint8_t)role, .rank = (uint8_t)s.rank};
    r.dtype = t == DT_F32 ? RT_F32 : t == DT_I32 ? RT_I32 : RT_U8;
    r.arena = arenas[at->arena];
    r.offset = (uint64_t)at->offset;
    for (int i = 0; i < s.rank; i++) r.dim[i] = s.dim[i];
    r.layout = rt_layout(l);
    return r;
}

static RtRef put_states(Writer *w, const Plan *p, uint32_t *count)
{
    static const uint8_t roles[] = {RT_PARAM, RT_BUFFER, RT_MOMENT};
    static const uint8_t inits[] = {RT_INIT_CONST, RT_INIT_UNIFORM, RT_INIT_NORMAL};
    const Graph *g = p->schedule->groups->graph;
    VEC(RtTensor) v = {0};
    for (int i = 0; i < g->state.n; i++) {
        const State *s = g->state.v[i];
        if (s->part) continue;
        RtTensor t = rt_tensor(w, s->name, roles[s->kind], s->dtype, s->shape,
                               &p->schedule->state[s->id], &p->state[s->id]);
        t.init = inits[s->init.kind];
        t.init_a = s->init.a;
        t.init_b = s->init.b;
        t.frozen = s->frozen;
        t.line = (uint32_t)s->loc.line;
        vec_push(w->a, &v, t);
    }
    *count = (uint32_t)v.n;
    return put(w, v.v, sizeof *v.v * (size_t)v.n);
}

/* The group of trained parameters, whose parts are the gradients' names. */
static const State *trained(const Graph *g)
{
    for (int i = 0; i < g->state.n; i++)
        if (g->state.v[i]->part && g->state.v[i]->kind == STATE_PARAM) return g->state.v[i];
    return NULL;
}

typedef VEC(RtTensor) TensorList;

static void put_gradients(Writer *w, const Plan *p, const Node *pack, TensorList *v)
{
    const State *params = trained(p->schedule->groups->graph);
    bug_if(!params || params->npart != pack->nin, "gradients and parameters do not match");
    for (int i = 0; i < pack->nin; i++) {
        const Node *n = pack->in[i];
        RtTensor t = rt_tensor(w, params->part[i]->name, RT_GRAD, n->dtype, params->part[i]->shape,
                               &p->schedule->value[n->id], &p->value[n->id]);
        vec_push(w->a, v, t);
    }
}

static RtRef put_program_tensors(Writer *w, const Plan *p, uint32_t *count)
{
    const Graph *g = p->schedule->groups->graph;
    TensorList v = {0};
    for (int i = 0; i < g->node.n; i++) {
        const Node *n = g->node.v[i];
        if (!op_is(n, "Input")) continue;
        int role = !strcmp(n->name, "target") ? RT_TARGET : RT_INPUT;
        RtTensor t =
            rt_tensor(w, n->name, role, n->dtype, n->shape, &p->schedule->value[i], &p->value[i]);
        vec_push(w->a, &v, t);
    }
    for (int i = 0; i < g->output.n; i++) {
        const Node *n = g->output.v[i].node;
        if (op_is(n, "Pack")) {
            put_gradients(w, p, n, &v);
            continue;
        }
        RtTensor t = rt_tensor(w, g->output.v[i].name, RT_OUTPUT, n->dtype, n->shape,
                               &p->schedule->value[n->id], &p->value[n->id]);
        vec_push(w->a, &v, t);
    }
    *count = (uint32_t)v.n;
    return put(w, v.v, sizeof *v.v * (size_t)v.n);
}

/* ---- programs ---- */

static RtRef put_args(Writer *w, const Kernel *k, const Plan *p)
{
    static const uint32_t arenas[] = {RT_STATE, RT_PREP, RT_SLAB, RT_SCALAR};
    RtArg *a = NEWN(w->a, RtArg, k->arg.n + 1);
    for (int i = 0; i < k->arg.n; i++) {
        a[i].arena = arenas[k->arg.v[i].arena];
        a[i].offset = (uint64_t)k->arg.v[i].offset;
        if (k->arg.v[i].arena == PLAN_SCALAR)
            a[i].offset = 64u * scalar_index(w, p->scalar.v[k->arg.v[i].offset / 64]);
    }
    return put(w, a, sizeof *a * (size_t)k->arg.n);
}

/* How the machine's backend starts the kernel; CPUs have no geometry, their threads claim tasks. */
static void put_geometry(RtStep *s, const Func *f, const Machine *m)
{
    const Backend *b = backend_find(m->backend);
    if (!b->launch) return;
    Geometry g = b->launch(f);
    memcpy(s->grid, g.grid, sizeof s->grid);
    memcpy(s->block, g.block, sizeof s->block);
    s->shared = (uint32_t)g.shared;
}

/* ---- steps of libraries ---- */

static bool same_library(const Library *a, const Library *b)
{
    bool same = !memcmp(&a->conv, &b->conv, sizeof a->conv);
    return same && !(a->plan ? !b->plan || strcmp(a->plan, b->plan) != 0 : b->plan != NULL);
}

static uint32_t library_index(Writer *w, const Library *lib)
{
    uint32_t n = 0;
    for (int i = 0; i < w->library.n; i++)
        if (same_library(w->library.v[i].lib, lib)) return (uint32_t)i;
    RtLibrary r = {.op = put(w, &lib->conv, sizeof lib->conv), .op_size = sizeof lib->conv};
    r.plan = put_str(w, lib->plan);
    r.version = (uint32_t)cudnn_version();
    r.scratch = (uint64_t)lib->scratch;
    for (int t = 0; t < CUDNN_MOST_TENSORS; t++)
        if (lib->tensor[t].value) r.tensor[n++] = (uint8_t)t;
    r.tensor[n] = RT_LIBRARY_SCRATCH;
    vec_push(w->a, &w->library, ((LibraryKey){lib, r}));
    return (uint32_t)w->library.n - 1;
}

static RtRef put_libraries(Writer *w)
{
    RtLibrary *r = NEWN(w->a, RtLibrary, w->library.n + 1);
    for (int i = 0; i < w->library.n; i++) r[i] = w->library.v[i].row;
    return put(w, r, sizeof *r * (size_t)w->library.n);
}

static void put_kernel(Writer *w, RtStep *s, const Kernel *k, const BlobProgram *p)
{
    s->kind = k->library ? RT_STEP_CUDNN : RT_STEP_KERNEL;
    if (k->library) {
        s->kernel = library_index(w, k->library);
        s->line = (uint32_t)group_line(k->group);
        return;
    }
    s->kernel = kernel_index(w, k->func, p->device);
    put_geometry(s, k->func, p->loops->plan->schedule->machine);
    s->ntasks = (uint32_t)k->func->ntasks;
    s->line = (uint32_t)k->func->line;
}

/* The values that a group leaves behind, once its last kernel has run. Not those of all parameters end to end: between
 * the parts there is anything. */
static void put_writes(Writer *w, RtStep *s, const Kernel *k, const Plan *p)
{
    static const uint8_t types[] = {[LT_F32] = RT_F32, [LT_F16] = RT_F16, [LT_BF16] = RT_BF16, [LT_TF32] = RT_F32};
    const State *params = trained(p->schedule->groups->graph);
    TensorList v = {0};
    for (int i = 0; i < k->group->out.n; i++) {
        const Node *n = k->group->out.v[i];
        LType type = p->schedule->type[n->id];
        bool flat = params && n->shape.rank == 1 && n->shape.dim[0] == params->shape.dim[0];
        if (flat || !p->value[n->id].bytes || (type != LT_F32 && !ltype_is_stored(type))) continue;
        RtTensor t = rt_tensor(w, n->name, RT_OUTPUT, DT_F32, n->shape, &p->schedule->value[n->id], &p->value[n->id]);
        t.dtype = types[type];
        vec_push(w->a, &v, t);
    }
    s->nwrites = (uint32_t)v.n;
    s->writes = put(w, v.v, sizeof *v.v * (size_t)v.n);
}

static bool is_last(const Loops *l, int i)
{
    for (int k = i + 1; k < l->kernel.n; k++)
        if (l->kernel.v[k].group == l->kernel.v[i].group) return false;
    return l->kernel.v[i].group != NULL;
}

static RtRef put_steps(Writer *w, const BlobProgram *p, bool prep, uint32_t *count)
{
    const Loops *l = p->loops;
    VEC(RtStep) v = {0};
    for (int i = 0; i < l->kernel.n; i++) {
        const Kernel *k = &l->kernel.v[i];
        if (k->prep != prep) continue;
        RtStep s = {.nargs = (uint32_t)k->arg.n};
        put_kernel(w, &s, k, p);
        s.args = put_args(w, k, l->plan);
        s.layers = put_str(w, k->layers);
        s.nest = put_str(w, k->nest);
        s.nowait = k->nowait;
        if (p->phase == RT_TRAIN && p->variant == RT_FUSED && !prep && is_last(l, i)) put_writes(w, &s, k, l->plan);
        s.for_loss = k->for_loss;
        s.flops = k->flops;
        s.bytes = k->bytes;
        vec_push(w->a, &v, s);
    }
    *count = (uint32_t)v.n;
    return put(w, v.v, sizeof *v.v * (size_t)v.n);
}

static RtRef put_programs(Writer *w)
{
    RtProgram *r = NEWN(w->a, RtProgram, w->in->nprogram + 1);
    for (int i = 0; i < w->in->nprogram; i++) {
        const BlobProgram *p = &w->in->program[i];
        r[i].phase = p->phase;
        r[i].variant = p->variant;
        r[i].batch = (uint32_t)p->batch;
        r[i].tensors = put_program_tensors(w, p->loops->plan, &r[i].ntensors);
        r[i].device = p->device;
        r[i].prepare = put_steps(w, p, true, &r[i].nprepare);
        r[i].steps = put_steps(w, p, false, &r[i].nsteps);
        r[i].prep_size = (uint64_t)p->loops->plan->size[PLAN_PREP];
        r[i].slab_size = (uint64_t)p->loops->plan->size[PLAN_SLAB];
    }
    return put(w, r, sizeof *r * (size_t)w->in->nprogram);
}

/* All programs share one state arena: they must agree on where everything lies. */
static void check_state(const Plan *a, const Plan *b)
{
    const Graph *ga = a->schedule->groups->graph, *gb = b->schedule->groups->graph;
    for (int i = 0; i < gb->state.n; i++) {
        const State *s = gb->state.v[i], *t = graph_find_state(ga, s->name);
        if (s->part) continue;
        bug_if(!t || a->state[t->id].offset != b->state[s->id].offset ||
                   !layout_same(&a->schedule->state[t->id], &b->schedule->state[s->id]),
               "programs disagree on where '%s' lies", s->name);
    }
}

static RtRef put_options(Writer *w)
{
    RtOption *o = NEWN(w->a, RtOption, w->in->noption + 1);
    for (int i = 0; i < w->in->noption; i++) {
        o[i].key = put_str(w, w->in->option[i].key);
        o[i].value = put_str(w, w->in->option[i].value);
    }
    return put(w, o, sizeof *o * (size_t)w->in->noption);
}

Blob *blob_build(Arena *a, const BlobInput *in)
{
    Blob *out = NEW(a, Blob);
    Writer w = {.a = a, .in = in, .out = out};
    const Plan *first = in->program[0].loops->plan;
    RtModel m = {.magic = RT_MAGIC, .abi = RT_ABI_VERSION};
    buf_write(&out->data, &m, sizeof m);
    for (int i = 1; i < in->nprogram; i++) check_state(first, in->program[i].loops->plan);
    collect_scalars(&w);
    m.name = put_str(&w, in->name);
    m.spec_file = put_str(&w, in->spec_file);
    m.spec_hash = put_str(&w, arena_printf(a, "%016llx", (unsigned long long)in->hash));
    m.compiler = put_str(&w, in->compiler);
    m.target = put_str(&w, in->target);
    m.isa = put_str(&w, in->isa);
    m.loss = put_str(&w, in->loss);
    m.optimizer = put_str(&w, in->optimizer);
    m.states = put_states(&w, first, &m.nstates);
    m.nscalars = (uint32_t)w.scalar.n;
    m.scalars = put_scalars(&w);
    m.noptions = (uint32_t)in->noption;
    m.options = put_options(&w);
    m.nprograms = (uint32_t)in->nprogram;
    m.programs = put_programs(&w);
    m.nlibraries = (uint32_t)w.library.n;
    m.libraries = put_libraries(&w);
    m.nkernels = (uint32_t)out->kernel[RT_CPU].n;
    m.ndevice_kernels = (uint32_t)out->kernel[RT_CUDA].n;
    m.device_kernels = put_kernel_names(&w);
    m.state_size = (uint64_t)first->size[PLAN_STATE];
    m.size = out->data.n;
    memcpy(out->data.s, &m, sizeof m);
    return out;
}

static RtCode put_image(Buf *b, const Image *x, uint32_t kind, const Object *o)
{
    return (RtCode){
        .arch = x->arch, .exact = x->exact, .kind = kind, .data = append(b, o->data, o->size), .size = o->size};
}

void blob_add_images(Blob *b, const Images *images)
{
    RtCode r[MOST_ARCHS + 1];
    RtModel m;
    int n = 0;
    for (; n < images->n; n++)
        r[n] = put_image(&b->data, &images->v[n], RT_CUBIN, &images->v[n].cubin);
    r[n++] = put_image(&b->data, &images->v[0], RT_PTX, &images->v[0].ptx);
    RtRef at = append(&b->data, r, sizeof *r * (size_t)n);
    memcpy(&m, b->data.s, sizeof m);
    m.nimages = (uint32_t)n;
    m.images = at;
    m.cuda_version = images->toolkit;
    m.size = b->data.n;
    memcpy(b->data.s, &m, sizeof m);
}
