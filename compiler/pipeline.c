/* The pipeline: the one place that knows the order of stages.
 *
 *   each program:  description -> Spec -> Graph -> autodiff -> simplify -> Groups -> Schedule
 *                  -> Plan -> Loops
 *   all programs:  Blob + kernels -> objects -> executable
 *
 * A model is several programs: the training step and inference, at the description's batch and at
 * 1, and the unfused variants that `bench` compares with. After each stage `after` dumps, times and
 * tells whether to stop. */
#include "pipeline.h"
#include "../runtime/abi.h"
#include "blob.h"
#include "link.h"
#include "summary.h"
#include "support/file.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const stage_names[] = {"spec", "graph", "grad", "simplify", "fuse", "schedule",
                                   "plan", "loop",  "llvm", "asm",      "link", NULL};

typedef struct Pipeline {
    Arena *perm;
    const CompileOptions *o;
    const Machine *m;
    const Spec *spec;
    const char *program; /* name of the one at work; NULL outside */
    double t0;
    double time[16]; /* by stage */
} Pipeline;

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

/* ---- one helper after every stage ---- */

static int stage_index(const char *stage)
{
    int i = 0;
    while (strcmp(stage_names[i], stage) != 0) i++;
    return i;
}

static bool in_list(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = list; p && *p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
        if (!strncmp(p, word, n) && (!p[n] || p[n] == ',')) return true;
    return false;
}

static bool wants_dump(const Pipeline *p, const char *stage)
{
    return p->o->dump && (in_list(p->o->dump, "all") || in_list(p->o->dump, stage));
}

static void write_dump(Pipeline *p, const char *stage, const Buf *text)
{
    const char *s = text->s ? text->s : "";
    if (!p->o->dump_dir) {
        printf("==== %s %s ====\n%s", stage, p->program ? p->program : "", s);
        return;
    }
    const char *path =
        p->program ? arena_printf(p->perm, "%s/%s.%s.txt", p->o->dump_dir, p->program, stage)
                   : arena_printf(p->perm, "%s/%s.txt", p->o->dump_dir, stage);
    if (!file_write_atomic(path, s, text->n, 0644)) fatal(EXIT_WRITE, "cannot write '%s'", path);
}

/* Books the time since the last call, dumps, and says whether the compiler was asked to stop here.
 */
static bool after(Pipeline *p, const char *stage, void (*print)(Buf *, const void *),
                  const void *product)
{
    double now = time_now();
    p->time[stage_index(stage)] += now - p->t0;
    if (print && wants_dump(p, stage)) {
        Buf b = {0};
        print(&b, product);
        write_dump(p, stage, &b);
        buf_free(&b);
    }
    p->t0 = time_now();
    return p->o->stop_after && !strcmp(p->o->stop_after, stage);
}

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
static void print_text(Buf *b, const void *x)
{
    buf_puts(b, ((const Buf *)x)->s ? ((const Buf *)x)->s : "");
}

/* ---- one program ---- */

static bool can_train(const Spec *s)
{
    const char *loss, *optimizer;
    spec_texts(s, &loss, &optimizer);
    return loss && optimizer;
}

static const char *phase_name(uint32_t phase)
{
    return phase == RT_TRAIN ? "training step" : "inference";
}

static void explain(Pipeline *p, const ProgramKind *k, int64_t batch, const Groups *gs)
{
    if (!p->o->explain || k->variant == RT_UNFUSED || k->single) return;
    Buf b = {0};
    groups_explain(&b, gs);
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
    graph_verify(g, "graph");
    if (after(p, "graph", print_graph, g)) return NULL;

    if (training) {
        Node *weights = NULL, *grads = autodiff(g, &weights);
        if (grads && !spec_optimizer(p->spec, g, weights, grads)) return *stopped = false, NULL;
        graph_verify(g, "autodiff");
    }
    if (after(p, "grad", print_graph, g)) return NULL;

    simplify(g, o->no_simplify ? 0 : fused ? 2 : 1);
    graph_verify(g, "simplify");
    if (after(p, "simplify", print_graph, g)) return NULL;

    Groups *gs = fuse(a, g, fused, o->no_fuse_rule);
    groups_verify(gs);
    explain(p, k, batch, gs);
    if (after(p, "fuse", print_groups, gs)) return NULL;

    Schedule *s = schedule(a, gs, p->m);
    if (after(p, "schedule", print_schedule, s)) return NULL;

    Plan *pl = plan(a, s, !o->no_reuse);
    plan_verify(pl);
    if (after(p, "plan", print_plan, pl)) return NULL;
    return *stopped = false, check_memory(p, k, batch, pl) ? pl : NULL;
}

static Loops *compile_program(Pipeline *p, const ProgramKind *k, int64_t batch, bool *stopped)
{
    Plan *pl = plan_program(p, k, batch, stopped);
    if (!pl) return NULL;
    *stopped = true;
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
    if (g) graph_print(&b, g);
    buf_printf(&b, "%s %s", loss ? loss : "", optimizer ? optimizer : "");
    uint64_t h = fnv1a(b.s);
    buf_free(&b);
    return h;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static Blob *make_blob(Pipeline *p, const BlobProgram *prog, int n)
{
    BlobInput in = {.name = spec_name(p->spec),
                    .spec_file = base_name(p->o->spec),
                    .program = prog,
                    .nprogram = n};
    in.compiler = arena_printf(p->perm, "sinter %s, LLVM %s", SINTER_VERSION, llvm_version());
    in.target = p->m->name;
    in.isa = p->m->isa;
    spec_texts(p->spec, &in.loss, &in.optimizer);
    in.hash = model_hash(p, in.loss, in.optimizer);
    in.option = spec_options(p->spec, &in.noption);
    return blob_build(p->perm, &in);
}

static void write_beside(const Pipeline *p, const char *suffix, const void *data, size_t n)
{
    const char *path = arena_printf(p->perm, "%s.%s", p->o->out, suffix);
    if (!file_write_atomic(path, data, n, 0644)) fatal(EXIT_WRITE, "cannot write '%s':", path);
}

/* Kernels for a GPU: source, PTX and cubin beside OUT. */
static void write_cuda(const Pipeline *p, const Object *cubin, const Buf *source, const Buf *ptx)
{
    write_beside(p, "cu", source->s, source->n);
    write_beside(p, arena_printf(p->perm, "%s.ptx", p->m->cpu), ptx->s, ptx->n);
    write_beside(p, arena_printf(p->perm, "%s.cubin", p->m->cpu), cubin->data, cubin->size);
}

static bool emit(Pipeline *p, Blob *blob, Object **obj, int *nobj)
{
    Buf ir = {0}, as = {0};
    const Backend *be = backend_find(p->m->backend);
    CodegenOptions c = {.threads = (int)sysconf(_SC_NPROCESSORS_ONLN),
                        .source = base_name(p->o->spec)};
    c.want_ir = wants_dump(p, "llvm");
    c.want_asm = wants_dump(p, "asm");
    p->program = NULL;
    *nobj = be->compile(blob->kernel.v, blob->kernel.n, blob->data.s, blob->data.n, p->m, &c, obj,
                        &ir, &as);
    bool stop = after(p, "llvm", print_text, &ir);
    stop = after(p, "asm", print_text, &as) || stop;
    if (be == &backend_nvrtc && !stop) write_cuda(p, *obj, &ir, &as);
    buf_free(&ir);
    buf_free(&as);
    return !stop;
}

static void print_times(const Pipeline *p, double total)
{
    for (int i = 0; stage_names[i]; i++)
        fprintf(stderr, "%-9s %8.3f ms\n", stage_names[i], 1e3 * p->time[i]);
    fprintf(stderr, "%-9s %8.3f ms\n", "total", 1e3 * total);
}

static int operation_count(const Groups *gs)
{
    int n = 0;
    for (int i = 0; i < gs->group.n; i++) n += gs->group.v[i]->node.n;
    return n;
}

/* "cnn: training step 65 operations -> 21 kernels; inference 27 -> 7; native (znver5); 445 kB" */
static void report(const Pipeline *p, const BlobProgram *prog, int n, double seconds)
{
    const char *word = " operations";
    struct stat st = {0};
    bool cuda = !strcmp(p->m->backend, backend_nvrtc.name);
    const char *file =
        cuda ? arena_printf(p->perm, "%s.%s.cubin", p->o->out, p->m->cpu) : p->o->out;
    stat(file, &st);
    printf("%s: ", file);
    for (int i = 0; i < n; i++) {
        if (prog[i].variant == RT_UNFUSED || (i && prog[i].batch != prog[0].batch)) continue;
        const Groups *gs = prog[i].loops->plan->schedule->groups;
        printf("%s %d%s -> %d%s; ", phase_name(prog[i].phase), operation_count(gs), word,
               gs->group.n, *word ? " kernels" : "");
        word = "";
    }
    printf("%s; %lld kB; %.2f s\n", p->m->name, (long long)st.st_size / 1000, seconds);
}

/* Everything but reading the description: every program, then the executable. */
static int build_model(Pipeline *p)
{
    const CompileOptions *o = p->o;
    double start = p->t0;
    int64_t batch = o->batch ? o->batch : spec_batch(p->spec);
    BlobProgram prog[NKINDS];
    int n = 0;
    for (int i = 0; i < NKINDS; i++) {
        if (!wanted(p, &kinds[i], batch)) continue;
        int64_t b = kinds[i].single ? 1 : batch;
        bool stopped;
        p->program = kinds[i].name;
        Loops *l = compile_program(p, &kinds[i], b, &stopped);
        if (!l && !stopped) return diag_flush();
        if (l) prog[n++] = (BlobProgram){l, kinds[i].phase, kinds[i].variant, b};
    }
    if (!n) return diag_flush();
    Object *obj = NULL;
    int nobj = 0;
    Blob *blob = make_blob(p, prog, n);
    bool go_on = emit(p, blob, &obj, &nobj);
    buf_free(&blob->data);
    if (go_on && !strcmp(p->m->backend, backend_llvm.name))
        link_executable(p->perm, obj, nobj, o->out, o->save_temps);
    for (int i = 0; i < nobj; i++) free(obj[i].data);
    free(obj);
    if (!go_on) return EXIT_OK;
    after(p, "link", NULL, NULL);
    diag_flush(); /* warnings */
    report(p, prog, n, time_now() - start);
    if (o->time) print_times(p, time_now() - start);
    return EXIT_OK;
}

static int open_pipeline(Pipeline *p, Arena *a, const CompileOptions *o)
{
    *p = (Pipeline){.perm = a, .o = o, .t0 = time_now()};
    if (o->dump_dir && mkdir(o->dump_dir, 0777) && errno != EEXIST)
        fatal(EXIT_WRITE, "cannot create '%s':", o->dump_dir);
    p->m = machine_find(p->perm, o->machine);
    if (!p->m) fatal(EXIT_USAGE, "unknown target cpu '%s'", o->machine);
    p->spec = spec_read(p->perm, o->spec, o->set, o->nset);
    return p->spec && !diag_errors() ? EXIT_OK : diag_flush();
}

int compile(const CompileOptions *o)
{
    Pipeline p;
    if (!o->stop_after && !link_may_write(o->out, o->force)) return diag_flush();
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
    *out = (Compiled){.spec = p.spec, .machine = p.m};
    int64_t batch = o->batch ? o->batch : spec_batch(p.spec);
    for (int i = 0; i < NKINDS; i++) {
        bool stopped;
        if (kinds[i].variant == RT_UNFUSED || kinds[i].single || !wanted(&p, &kinds[i], batch))
            continue;
        Loops *l = compile_program(&p, &kinds[i], batch, &stopped);
        if (!l) return diag_flush();
        prog[n] = (BlobProgram){l, kinds[i].phase, kinds[i].variant, batch};
        out->program[n++] = (CompiledProgram){
            .what = phase_name(kinds[i].phase), .training = kinds[i].phase == RT_TRAIN, .loops = l};
    }
    Blob *blob = make_blob(&p, prog, n);
    for (out->nprogram = 0; out->nprogram < n; out->nprogram++) {
        int k = out->nprogram;
        out->program[k].kernel = launch_kernels(a, blob, k, prog[k].loops->kernel.n);
    }
    emit(&p, blob, &out->obj, &out->nobj);
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
