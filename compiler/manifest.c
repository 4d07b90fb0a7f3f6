/* In: programs, their kernels as a cubin with the assembler's log. Out: Manifest, and its JSON. Rule: every number is
 * counted or read; times are predicted by gpu/time.c and say so. Instructions that run are not counted one by one: how
 * often the main loop turns is taken from the loop IR (FMAs that run, over FMAs or HMMAs that the loop has), and what
 * stands outside of it runs once in a warp. Without a main loop, accesses to memory stand in for the FMAs. */
#include "manifest.h"
#include "../runtime/abi.h"
#include "support/diag.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { WARP = 32, VECTOR_PHASES = 4 /* cycles of an access of 16 bytes a thread */ };

/* ---- what the model takes ---- */

static double threads_of(const Geometry *g)
{
    return (double)g->block[0] * g->block[1] * g->block[2];
}

static double blocks_of(const Geometry *g)
{
    return (double)g->grid[0] * g->grid[1] * g->grid[2];
}

/* Cycles of the path to shared memory and L1 that these instructions take. */
static double phases(const SassMix *m)
{
    const int *op = m->op;
    return VECTOR_PHASES * (op[SASS_LDSM] + op[SASS_LDGSTS]) + op[SASS_LDS] + op[SASS_STS] + op[SASS_LDG] +
           op[SASS_STG] + op[SASS_LDL] + op[SASS_STL];
}

/* How often the main loop turns, in all warps together; 0: nothing in it tells. */
static double turns(const LaunchFacts *l, double rows)
{
    const CudaStats *s = l->stats;
    bool contracts = l->work.fmas > l->work.accesses / 2;
    if (s->main.op[SASS_HMMA]) return l->work.flops / s->hmma_flops / s->main.op[SASS_HMMA];
    return contracts && s->main.op[SASS_FFMA] ? l->work.fmas / rows / s->main.op[SASS_FFMA] : 0;
}

static void count_slots(const LaunchFacts *l, GpuWork *w)
{
    const SassMix *all = &l->stats->all, *inner = &l->stats->main;
    double threads = threads_of(&l->geometry), warps = w->blocks * ((threads + WARP - 1) / WARP);
    double rows = WARP / 16.0; /* of lanes in a warp: what the loop IR counts once, these do together */
    double n = turns(l, rows);
    if (n > 0) {
        w->slots = n * inner->total + warps * (all->total - inner->total);
        w->phases = n * phases(inner) + warps * (phases(all) - phases(inner));
        return;
    }
    int accesses = all->op[SASS_LDG] + all->op[SASS_STG];
    double times = accesses ? l->work.accesses / rows / accesses : warps;
    w->slots = times * all->total;
    w->phases = times * phases(all);
}

static GpuWork model_of(const LaunchFacts *l)
{
    GpuWork w = {.flops = l->work.flops, .bytes = l->work.moved, .blocks = blocks_of(&l->geometry)};
    if (l->stats->hmma_flops) w.unit = l->stats->tf32 ? UNIT_TF32 : UNIT_FP16;
    count_slots(l, &w);
    return w;
}

/* ---- facts ---- */

typedef struct Facts {
    Arena *a;
    const Blob *blob;
    const GpuArch *arch;
    const CudaStats *stats;
    int nstats;
} Facts;

void launch_facts(Arena *a, const GpuArch *arch, const CudaStats *stats, LaunchFacts *l)
{
    l->stats = stats;
    l->geometry = backend_nvrtc.launch(l->func);
    l->work = func_work(a, l->func);
    GpuBlock b = {(int)threads_of(&l->geometry), stats->registers, stats->shared + (int)l->geometry.shared};
    l->occupancy = gpu_occupancy(arch, &b);
    l->model = model_of(l);
    l->model.resident = l->occupancy.blocks;
}

static LaunchFacts facts_of(const Facts *f, const Kernel *k, uint32_t index)
{
    LaunchFacts l = {.kernel = k, .func = f->blob->kernel[RT_CUDA].v[index]};
    const CudaStats *stats = cuda_stats_find(f->stats, f->nstats, l.func->name);
    bug_if(!stats, "nothing was counted of kernel %s", l.func->name);
    launch_facts(f->a, f->arch, stats, &l);
    return l;
}

static ProgramFacts program_facts(const Facts *f, const BlobProgram *p, int index)
{
    const RtModel *m = (const RtModel *)f->blob->data.s;
    const RtProgram *rt = &RT_AT(m, RtProgram, m->programs)[index];
    const RtStep *prepare = RT_AT(m, RtStep, rt->prepare), *step = RT_AT(m, RtStep, rt->steps);
    int n = p->loops->kernel.n, nprepare = (int)rt->nprepare;
    ProgramFacts out = {.program = p, .nprepare = nprepare, .n = n, .launch = NEWN(f->a, LaunchFacts, n + 1)};
    for (int i = 0; i < n; i++) {
        const RtStep *s = i < nprepare ? &prepare[i] : &step[i - nprepare];
        out.launch[i] = facts_of(f, &p->loops->kernel.v[i], s->kernel);
    }
    return out;
}

Manifest *manifest_build(Arena *a, const char *model, const char *arch, const Blob *blob, const BlobProgram *program,
                         int nprogram, const CudaStats *stats, int nstats)
{
    Manifest *m = NEW(a, Manifest);
    Facts f = {.a = a, .blob = blob, .arch = gpu_arch_find(arch), .stats = stats, .nstats = nstats};
    bug_if(!f.arch, "the table of GPUs has no %s", arch);
    *m = (Manifest){.model = model, .arch = arch, .program = NEWN(a, ProgramFacts, nprogram + 1)};
    for (int i = 0; i < nprogram; i++)
        if (program[i].device == RT_CUDA) m->program[m->n++] = program_facts(&f, &program[i], i);
    return m;
}

const char *manifest_phase(const BlobProgram *p)
{
    return p->phase == RT_TRAIN ? "train-step" : "infer";
}

const char *manifest_variant(const BlobProgram *p)
{
    return p->variant == RT_FUSED ? "fused" : "unfused";
}

/* ---- JSON ---- */

static void set(json_t *o, const char *key, json_t *v)
{
    if (json_object_set_new(o, key, v)) fatal(EXIT_MEMORY, "out of memory");
}

static json_t *three(const unsigned v[3])
{
    return json_pack("[i,i,i]", (int)v[0], (int)v[1], (int)v[2]);
}

static json_t *mix_json(const SassMix *m)
{
    json_t *o = json_pack("{s:i}", "total", m->total);
    for (int i = 0; i < SASS_NOPS; i++)
        if (m->op[i]) set(o, sass_name((SassOp)i), json_integer(m->op[i]));
    return o;
}

static json_t *args_json(const LaunchFacts *l)
{
    json_t *all = json_array();
    for (int i = 0; i < l->func->nargs; i++) {
        const LBuf *u = l->func->buf.v[i];
        json_array_append_new(all, json_pack("{s:s, s:I, s:b, s:f}", "type", ltype_name(u->type), "elements",
                                             (json_int_t)u->count, "written", u->written, "bytes", l->work.bytes[i]));
    }
    return all;
}

static json_t *times_json(const char *arch, const GpuWork *w)
{
    json_t *o = json_object();
    for (const Gpu *g = gpus; g->name; g++) {
        if (!gpu_is(g, arch)) continue;
        GpuTime t = gpu_time(g, w);
        set(o, g->name, json_pack("{s:f, s:s, s:f}", "us", 1e6 * t.seconds, "bound", gpu_bound_name(t.bound), "waves",
                                  t.waves));
    }
    return o;
}

static void add_resources(json_t *o, const LaunchFacts *l)
{
    const CudaStats *s = l->stats;
    const Occupancy *occ = &l->occupancy;
    set(o, "grid", three(l->geometry.grid));
    set(o, "block", three(l->geometry.block));
    set(o, "shared", json_integer(s->shared + (json_int_t)l->geometry.shared));
    set(o, "registers", json_integer(s->registers));
    set(o, "spills", json_integer(s->spill_st + s->spill_ld));
    set(o, "stack", json_integer(s->stack));
    set(o, "barriers", json_integer(s->barriers));
    set(o, "occupancy", json_pack("{s:f, s:i, s:s}", "fraction", occ->fraction, "blocks", occ->blocks, "limit",
                                  gpu_limit_name(occ->limit)));
}

/* What a template was specialised by: its tile, loops, strides. */
static json_t *template_json(const Skeleton *k)
{
    json_t *o = json_pack("{s:s}", "name", k->name);
    for (int i = 0; i < k->define.n; i++) set(o, k->define.v[i].name, json_integer(k->define.v[i].value));
    return o;
}

static json_t *launch_json(const char *arch, const LaunchFacts *l, bool prepare)
{
    json_t *o = json_pack("{s:s, s:s, s:s, s:i, s:b}", "kernel", l->func->name, "layers", l->kernel->layers, "nest",
                          l->kernel->nest, "line", l->func->line, "prepare", prepare);
    if (!o) o = json_object(); /* a layer's name that is no UTF-8 */
    add_resources(o, l);
    set(o, "parameters", args_json(l));
    set(o, "flops", json_real(l->work.flops));
    set(o, "bytes", json_real(l->work.moved));
    set(o, "instructions", mix_json(&l->stats->all));
    set(o, "main_loop", mix_json(&l->stats->main));
    if (l->stats->main.op[SASS_HMMA]) set(o, "slots_per_hmma", json_real(cuda_slots_per_hmma(l->stats)));
    if (l->func->skeleton) set(o, "template", template_json(l->func->skeleton));
    set(o, "predicted", times_json(arch, &l->model));
    return o;
}

static json_t *program_json(const char *arch, const ProgramFacts *p)
{
    json_t *all = json_array();
    for (int i = 0; i < p->n; i++) json_array_append_new(all, launch_json(arch, &p->launch[i], i < p->nprepare));
    return json_pack("{s:s, s:s, s:I, s:o}", "phase", manifest_phase(p->program), "variant",
                     manifest_variant(p->program), "batch", (json_int_t)p->program->batch, "launches", all);
}

void manifest_print(Buf *out, Manifest *const *m, int n)
{
    json_t *all = json_array();
    for (int i = 0; i < n; i++) {
        json_t *programs = json_array();
        for (int k = 0; k < m[i]->n; k++) json_array_append_new(programs, program_json(m[i]->arch, &m[i]->program[k]));
        json_array_append_new(all, json_pack("{s:s, s:s, s:o}", "model", m[i]->model, "arch", m[i]->arch, "programs",
                                             programs));
    }
    char *text = json_dumps(all, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    if (!text) fatal(EXIT_MEMORY, "out of memory");
    buf_puts(out, text);
    buf_putc(out, '\n');
    free(text);
    json_decref(all);
}
