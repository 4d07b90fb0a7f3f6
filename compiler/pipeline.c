/* The pipeline: the one place that knows the order of stages.
 *
 *   each program:  description -> Spec -> Graph -> autodiff -> simplify -> Groups -> Schedule
 *                  -> Plan -> Loops
 *   all programs:  Blob, GPUs' kernels -> images in the blob, Blob + CPU's kernels -> objects -> executable
 *
 * A model is several programs: the training step and inference, at the description's batch and at
 * 1, and the unfused variants that `bench` compares with; all of them for the CPU and, if one was asked for,
 * once more for a GPU (its architectures share the schedule of the lowest). After each stage `after` dumps, times and
 * tells whether to stop. */
#include "../runtime/abi.h"
#include "blob.h"
#include "link.h"
#include "measure.h"
#include "parts.h"
#include "pipeline_report.h"
#include "pipeline_work.h"
#include "summary.h"
#include "tune.h"
#include "support/file.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char *const provider_names[] = {"sinter", "cudnn", "auto", NULL};

typedef struct ProgramKind {
    const char *name;
    uint32_t phase, variant;
    bool single; /* batch 1 */
} ProgramKind;
static const ProgramKind kinds[] = {
    {"train", RT_TRAIN, RT_FUSED, false},           {"infer", RT_INFER, RT_FUSED, false},
    {"infer1", RT_INFER, RT_FUSED, true},           {"train.unfused", RT_TRAIN, RT_UNFUSED, false},
    {"infer.unfused", RT_INFER, RT_UNFUSED, false},
};
enum { DEFAULT_MEMORY = 16 }; /* GiB */
enum { NKINDS = sizeof kinds / sizeof kinds[0] };

static void print_spec(Buf *b, const void *x)
{
    spec_print(b, x);
}
static void print_graph(Buf *b, const void *x)
{
    graph_print(b, x);
}
static void print_groups(Buf *b, const void *x)
{
    groups_print(b, x);
}
static void print_schedule(Buf *b, const void *x)
{
    schedule_print(b, x);
}
static void print_plan(Buf *b, const void *x)
{
    plan_print(b, x);
}
static void print_loops(Buf *b, const void *x)
{
    loops_print(b, x);
}

/* ---- one program ---- */

static bool can_train(const Spec *s)
{
    const char *loss, *optimizer;
    spec_texts(s, &loss, &optimizer);
    return loss && optimizer;
}

static bool explains(const Pipeline *p, const ProgramKind *k)
{
    return p->o->explain && k->variant == RT_FUSED && !k->single;
}

static void explain_choice(const Pipeline *p, const ProgramKind *k, int64_t batch, const Schedule *s)
{
    if (!p->o->explain_choice || k->variant != RT_FUSED || k->single) return;
    Buf b = {0};
    schedule_explain_choice(&b, s);
    printf("%s, batch %lld:\n%s\n", phase_name(k->phase), (long long)batch, b.s);
    buf_free(&b);
}

static void explain_provider(const Pipeline *p, const ProgramKind *k, const Schedule *s)
{
    if (!explains(p, k) || p->m->provider == PROVIDER_SINTER) return;
    Buf b = {0};
    schedule_explain_library(&b, s);
    printf("%s\n", b.s);
    buf_free(&b);
}

static void explain(Pipeline *p, const ProgramKind *k, int64_t batch, const Schedule *s)
{
    if (!explains(p, k)) return;
    Buf b = {0};
    schedule_explain(&b, s);
    printf("%s, batch %lld: %s\n", phase_name(k->phase), (long long)batch, b.s);
    buf_free(&b);
}

/* Does what the program needs stay below --max-memory? */
static bool check_memory(const Pipeline *p, const ProgramKind *k, int64_t batch, const Plan *pl)
{
    int64_t state = pl->size[PLAN_STATE], rest = pl->size[PLAN_SLAB] + pl->size[PLAN_PREP];
    int64_t limit = p->o->max_memory ? p->o->max_memory : DEFAULT_MEMORY;
    if ((state + rest) >> 30 < limit) return true;
    diag_error((Loc){p->o->spec, 0, 0, 0}, "S031",
               "%s needs %s at batch %lld: %s of weights, %s of activations; the limit is %lld GiB",
               phase_name(k->phase), summary_bytes(p->perm, state + rest), (long long)batch,
               summary_bytes(p->perm, state), summary_bytes(p->perm, rest), (long long)limit);
    diag_help("a smaller train.batch_size, or --max-memory=N");
    return false;
}

/* What the contractions of a CPU's program are computed by, measured here. */
static const Algorithm *measure_program(Pipeline *p, const ProgramKind *k, int64_t batch, const Groups *gs)
{
    Buf text = {0};
    Measuring *t = measure_begin(p->perm, gs, p->m, !p->o->no_cache);
    for (const Algorithm *by; (by = measure_next(t));)
        measure_take(t, lower(p->perm, plan(p->perm, schedule_by(p->perm, gs, p->m, by), true), p->m));
    const Algorithm *by = measure_end(t, &text);
    if (explains(p, k)) printf("%s, batch %lld: %s\n", phase_name(k->phase), (long long)batch, text.s);
    buf_free(&text);
    return by;
}

/* -> NULL when errors were reported or the stage asked for was reached (*stopped). */
static Plan *plan_program(Pipeline *p, const ProgramKind *k, int64_t batch, bool *stopped)
{
    const CompileOptions *o = p->o;
    Arena *a = p->perm;
    bool training = k->phase == RT_TRAIN,
         fused = k->variant == RT_FUSED && !(o->no_fuse && !o->no_fuse_rule);
    *stopped = true;

    Graph *g = spec_graph(a, p->spec, training, batch);
    if (!g || diag_errors()) return *stopped = false, NULL;
    if (o->algorithm) g->exact = !strcmp(o->algorithm, "exact");
    graph_verify(g, "graph");
    if (after(p, "graph", print_graph, g)) return NULL;

    if (training) {
        Node *weights = NULL, *grads = autodiff(g, &weights);
        if (grads && !spec_optimizer(p->spec, g, weights, grads)) return *stopped = false, NULL;
        graph_verify(g, "autodiff");
    }
    if (after(p, "grad", print_graph, g)) return NULL;

    simplify(g, o->no_simplify ? 0 : fused ? 2 : 1);
    lower_precision(g, p->m);
    graph_verify(g, "simplify");
    if (after(p, "simplify", print_graph, g)) return NULL;

    Groups *gs = fuse(a, g, fused, o->no_fuse_rule, p->m);
    groups_verify(gs);
    if (after(p, "fuse", print_groups, gs)) return NULL;

    const Algorithm *by = p->o->tune && !p->o->narch ? measure_program(p, k, batch, gs) : NULL;
    Schedule *s = schedule_by(a, gs, p->m, by);
    explain(p, k, batch, s);
    explain_choice(p, k, batch, s);
    explain_provider(p, k, s);
    if (after(p, "schedule", print_schedule, s)) return NULL;

    Plan *pl = plan(a, s, !o->no_reuse);
    plan_verify(pl);
    if (after(p, "plan", print_plan, pl)) return NULL;
    return *stopped = false, check_memory(p, k, batch, pl) ? pl : NULL;
}

/* Gives contractions of a GPU the tiles that are predicted to be fastest. */
static void tune_program(Pipeline *p, const ProgramKind *k, int64_t batch, const Plan *pl)
{
    Buf text = {0};
    const char *arch[MOST_ARCHS];
    for (int i = 0; i < p->o->narch; i++) arch[i] = p->gpu[i]->cpu;
    Tuning *t = tune_begin(p->perm, pl->schedule, arch, p->o->narch, !p->o->no_cache);
    while (tune_next(t)) {
        Arena *a = arena_new();
        tune_count(t, lower(a, pl, p->m));
        arena_free(a);
    }
    tune_end(t, &text);
    if (explains(p, k)) printf("%s, batch %lld: %s\n", phase_name(k->phase), (long long)batch, text.s);
    buf_free(&text);
}

static Loops *compile_program(Pipeline *p, const ProgramKind *k, int64_t batch, bool *stopped)
{
    Plan *pl = plan_program(p, k, batch, stopped);
    if (!pl) return NULL;
    *stopped = true;
    if (p->o->tune && p->m != p->cpu) tune_program(p, k, batch, pl);
    Loops *l = lower(p->perm, pl, p->m);
    loops_verify(l);
    if (after(p, "loop", print_loops, l)) return NULL;
    *stopped = false;
    return l;
}

static bool wanted(const Pipeline *p, const ProgramKind *k, int64_t batch)
{
    if (k->phase == RT_TRAIN && (p->o->infer_only || !can_train(p->spec))) return false;
    if (k->variant == RT_UNFUSED && (p->o->no_variants || p->o->no_fuse)) return false;
    return !(k->single && batch == 1);
}

/* ---- the whole model ---- */

static uint64_t fnv1a(const char *s)
{
    uint64_t h = 14695981039346656037u;
    for (; *s; s++) h = (h ^ (unsigned char)*s) * 1099511628211u;
    return h;
}

/* Of the model itself, not of how it is compiled: the graph in evaluation mode at batch 1, loss and
 * optimizer. */
static uint64_t model_hash(Pipeline *p, const char *loss, const char *optimizer)
{
    Buf b = {0};
    Graph *g = spec_graph(p->perm, p->spec, false, 1);
    if (g) g->precision = PRECISION_FP32; /* weights do not depend on it */
    if (g) spec_drop_features(p->spec, g);
    for (int i = 0; g && i < g->node.n; i++) g->node.v[i]->loc.file = NULL; /* nor on where they were written */
    if (g) graph_print(&b, g);
    buf_printf(&b, "%s %s", loss ? loss : "", optimizer ? optimizer : "");
    uint64_t h = fnv1a(b.s);
    buf_free(&b);
    return h;
}

static Blob *make_blob(Pipeline *p, const BlobProgram *prog, int n)
{
    BlobInput in = {.name = spec_name(p->spec),
                    .spec_file = base_name(p->o->spec),
                    .program = prog,
                    .nprogram = n};
    in.compiler = arena_printf(p->perm, "sinter %s, LLVM %s", SINTER_VERSION, llvm_version());
    in.target = p->cpu->name;
    in.isa = p->cpu->isa;
    spec_texts(p->spec, &in.loss, &in.optimizer);
    in.hash = model_hash(p, in.loss, in.optimizer);
    in.option = spec_options(p->spec, &in.noption);
    return blob_build(p->perm, &in);
}

/* The programs of one machine, behind those in prog. -> false: errors were reported */
static bool compile_programs(Pipeline *p, const Machine *m, BlobProgram *prog, int *n)
{
    int64_t batch = p->o->batch ? p->o->batch : spec_batch(p->spec);
    bool gpu = m != p->cpu;
    for (int i = 0; i < NKINDS; i++) {
        const ProgramKind *k = &kinds[i];
        if (!wanted(p, k, batch)) continue;
        bool stopped;
        p->m = gpu && k->variant == RT_UNFUSED ? p->baseline : m;
        p->program = gpu ? arena_printf(p->perm, "cuda.%s", k->name) : k->name;
        Loops *l = compile_program(p, k, k->single ? 1 : batch, &stopped);
        if (!l && !stopped) return false;
        if (!l) continue;
        prog[(*n)++] = (BlobProgram){.loops = l, .phase = k->phase, .variant = k->variant};
        prog[*n - 1].device = gpu ? RT_CUDA : RT_CPU;
        prog[*n - 1].batch = k->single ? 1 : batch;
    }
    return true;
}

static const char *const *wanted_parts(const Pipeline *p)
{
    int n;
    const Setting *option = spec_options(p->spec, &n);
    return parts_wanted(p->perm, option, n, p->o->narch ? p->gpu[0]->backend : NULL);
}

/* Everything but reading the description: every program, then the executable. */
static int build_model(Pipeline *p)
{
    const CompileOptions *o = p->o;
    double start = p->t0;
    BlobProgram prog[2 * NKINDS];
    int n = 0, nobj = 0;
    if (wants_exe(o) && !compile_programs(p, p->cpu, prog, &n)) return diag_flush();
    if (o->narch && !compile_programs(p, p->gpu[0], prog, &n)) return diag_flush();
    if (!n) return diag_flush();
    Object *obj = NULL;
    Blob *blob = make_blob(p, prog, n);
    bool go_on = emit_images(p, blob, prog, n);
    if (wants_exe(o)) go_on = go_on && emit_objects(p, blob, &obj, &nobj);
    buf_free(&blob->data);
    if (go_on && wants_exe(o)) link_executable(p->perm, obj, nobj, wanted_parts(p), o->out, o->save_temps);
    for (int i = 0; i < nobj; i++) free(obj[i].data);
    free(obj);
    if (!go_on) return EXIT_OK;
    after(p, "link", NULL, NULL);
    diag_flush(); /* warnings */
    if (!o->predict) report_built(p->perm, o, p->cpu, p->gpu, prog, n, time_now() - start);
    if (o->time) report_times(p->time, time_now() - start);
    return EXIT_OK;
}

/* The GPU with a provider of convolutions: cuDNN if it was asked for, with `flag`; auto: if it is installed. */
static const Machine *gpu_of(const Pipeline *p, const char *arch, Provider provider, const char *flag)
{
    Machine *m = NEW(p->perm, Machine);
    const char *why = provider ? cudnn_missing() : NULL;
    *m = *machine_find(p->perm, arch);
    m->provider = provider;
    if (why && m->provider == PROVIDER_CUDNN) fatal(EXIT_TOOL, "%s cudnn: %s", flag, why);
    if (!why) return m;
    m->provider = PROVIDER_SINTER;
    if (p->o->explain) printf("convolutions by kernels of ours: %s\n", why);
    return m;
}

static Provider baseline_of(const CompileOptions *o)
{
    for (int i = 0; o->baseline && provider_names[i]; i++)
        if (!strcmp(o->baseline, provider_names[i])) return (Provider)i;
    return o->provider;
}

static int open_pipeline(Pipeline *p, Arena *a, const CompileOptions *o)
{
    *p = (Pipeline){.perm = a, .o = o, .t0 = time_now()};
    if (o->dump_dir && mkdir(o->dump_dir, 0777) && errno != EEXIST)
        fatal(EXIT_WRITE, "cannot create '%s':", o->dump_dir);
    p->m = p->cpu = machine_find(p->perm, o->machine);
    if (!p->cpu) fatal(EXIT_USAGE, "unknown target cpu '%s'", o->machine);
    for (int i = 0; i < o->narch; i++) p->gpu[i] = gpu_of(p, o->arch[i], o->provider, "--provider");
    if (o->narch) p->baseline = gpu_of(p, o->arch[0], baseline_of(o), "--baseline");
    p->spec = spec_read(p->perm, o->spec, o->set, o->nset);
    return p->spec && !diag_errors() ? EXIT_OK : diag_flush();
}

int compile(const CompileOptions *o)
{
    Pipeline p;
    if (wants_exe(o) && !o->stop_after && !link_may_write(o->out, o->force)) return diag_flush();
    int code = open_pipeline(&p, arena_new(), o);
    if (code == EXIT_OK && !after(&p, "spec", print_spec, p.spec)) code = build_model(&p);
    arena_free(p.perm);
    return code;
}

/* The index in rt_kernels of every launch of program i, as the model table says. */
static const uint32_t *launch_kernels(Arena *a, const Blob *blob, int i, int n)
{
    const RtModel *m = (const RtModel *)blob->data.s;
    const RtProgram *p = &RT_AT(m, RtProgram, m->programs)[i];
    const RtStep *prepare = RT_AT(m, RtStep, p->prepare), *step = RT_AT(m, RtStep, p->steps);
    uint32_t *kernel = NEWN(a, uint32_t, n + 1);
    bug_if(p->nprepare + p->nsteps != (uint32_t)n, "launches and steps do not match");
    for (uint32_t k = 0; k < (uint32_t)n; k++)
        kernel[k] = (k < p->nprepare ? &prepare[k] : &step[k - p->nprepare])->kernel;
    return kernel;
}

int compile_kernels(Arena *a, const CompileOptions *o, Compiled *out)
{
    Pipeline p;
    BlobProgram prog[NKINDS];
    int code = open_pipeline(&p, a, o), n = 0;
    if (code != EXIT_OK) return code;
    uint32_t device = o->narch ? RT_CUDA : RT_CPU;
    if (o->narch) p.m = p.gpu[0];
    *out = (Compiled){.spec = p.spec, .machine = p.m};
    int64_t batch = o->batch ? o->batch : spec_batch(p.spec);
    for (int i = 0; i < NKINDS; i++) {
        bool stopped;
        if (kinds[i].variant == RT_UNFUSED || kinds[i].single || !wanted(&p, &kinds[i], batch))
            continue;
        Loops *l = compile_program(&p, &kinds[i], batch, &stopped);
        if (!l) return diag_flush();
        prog[n] = (BlobProgram){
            .loops = l, .phase = kinds[i].phase, .variant = kinds[i].variant, .batch = batch, .device = device};
        out->program[n++] = (CompiledProgram){
            .what = phase_name(kinds[i].phase), .training = kinds[i].phase == RT_TRAIN, .loops = l};
    }
    Blob *blob = make_blob(&p, prog, n);
    for (out->nprogram = 0; out->nprogram < n; out->nprogram++) {
        int k = out->nprogram;
        out->program[k].kernel = launch_kernels(a, blob, k, prog[k].loops->kernel.n);
    }
    out->func = blob->kernel[device].v;
    if (o->narch)
        emit_ptx(&p, blob, out);
    else
        emit_objects(&p, blob, &out->obj, &out->nobj);
    buf_free(&blob->data);
    diag_flush(); /* warnings */
    return EXIT_OK;
}

int check(const CompileOptions *o)
{
    Pipeline p;
    CompileOptions own = *o;
    own.stop_after = own.dump = NULL;
    int code = open_pipeline(&p, arena_new(), &own);
    if (code == EXIT_OK) {
        int64_t batch = o->batch ? o->batch : spec_batch(p.spec);
        bool stopped;
        Plan *infer = plan_program(&p, &kinds[1], batch, &stopped), *train = NULL;
        if (infer && can_train(p.spec)) train = plan_program(&p, &kinds[0], batch, &stopped);
        code = diag_flush();
        if (code == EXIT_OK && o->summary)
            summary_print(p.perm, p.spec, batch, train, infer);
        else if (code == EXIT_OK)
            summary_line(p.spec, infer->schedule->groups->graph);
    }
    arena_free(p.perm);
    return code;
}
