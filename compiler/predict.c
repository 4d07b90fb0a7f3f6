/* In: manifests. Out: text, or JSON. Rule: the word is "predicted" wherever a time stands; a program's time is the sum of
 * its launches', one after the other, as a CUDA graph in one stream runs them. */
#include "predict.h"
#include "../runtime/abi.h"
#include "support/diag.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

typedef struct Total { /* of one program on one board */
    const ProgramFacts *facts;
    int kernels;
    double bytes, flops, seconds;
    double by[BOUND_LAUNCH + 1]; /* seconds by what limits them */
} Total;

static Total total_of(const Gpu *g, const ProgramFacts *p)
{
    Total t = {.facts = p, .kernels = p->n - p->nprepare};
    for (int i = p->nprepare; i < p->n; i++) {
        const GpuWork *w = &p->launch[i].model;
        GpuTime one = gpu_time(g, w);
        t.bytes += w->bytes;
        t.flops += w->flops;
        t.seconds += one.seconds;
        t.by[one.bound] += one.seconds;
    }
    return t;
}

static GpuBound main_bound(const Total *t)
{
    GpuBound b = BOUND_FLOP;
    for (int i = 0; i <= BOUND_LAUNCH; i++)
        if (t->by[i] > t->by[b]) b = (GpuBound)i;
    return b;
}

bool predict_has_board(const char *arch)
{
    const Gpu *g = gpus;
    while (g->name && !gpu_runs(g, arch)) g++;
    return g->name;
}

/* The code that the board runs: of its architecture, or the newest of those before. NULL: there is none. */
static const Manifest *code_for(const Gpu *g, Manifest *const *m, int n)
{
    const Manifest *best = NULL;
    for (int i = 0; i < n; i++)
        if (gpu_runs(g, m[i]->arch)) best = m[i];
    return best;
}

static const ProgramFacts *find(const Manifest *m, const BlobProgram *like, uint32_t variant)
{
    for (int i = 0; i < m->n; i++) {
        const BlobProgram *p = m->program[i].program;
        if (p->phase == like->phase && p->batch == like->batch && p->variant == variant) return &m->program[i];
    }
    return NULL;
}

/* ---- text ---- */

static void print_line(Buf *out, const Total *t)
{
    const BlobProgram *p = t->facts->program;
    GpuBound b = main_bound(t);
    buf_printf(out, "%-8s %-10s %5lld %7d %9.2f %9.3f %12.3f %10.0f  %s %.0f %%\n", manifest_variant(p),
               manifest_phase(p), (long long)p->batch, t->kernels, 1e-6 * t->bytes,
               1e-6 * t->bytes / (double)p->batch, 1e3 * t->seconds, (double)p->batch / t->seconds, gpu_bound_name(b),
               100 * t->by[b] / t->seconds);
}

static void print_pair(Buf *out, const Gpu *g, const Manifest *m, const ProgramFacts *fused)
{
    const ProgramFacts *unfused = find(m, fused->program, RT_UNFUSED);
    Total f = total_of(g, fused);
    print_line(out, &f);
    if (!unfused) return;
    Total u = total_of(g, unfused);
    print_line(out, &u);
    buf_printf(out, "  predicted: fused is %.2fx as fast, with %.0f %% of the bytes and %.0f %% of the launches\n",
               u.seconds / f.seconds, 100 * f.bytes / u.bytes, 100.0 * f.kernels / u.kernels);
}

static void print_board(Buf *out, const Gpu *g, const Manifest *m)
{
    buf_printf(out,
               "\n%s, code of %s; data sheet: %d multiprocessors, %.2f GHz, %.0f GB/s, %.1f TFLOP/s fp32, %.0f tf32, "
               "%.0f fp16\n",
               g->name, m->arch, g->processors, 1e-9 * g->clock, 1e-9 * g->bandwidth, 1e-12 * g->fp32, 1e-12 * g->tf32,
               1e-12 * g->fp16);
    buf_printf(out, "%-8s %-10s %5s %7s %9s %9s %12s %10s  %s\n", "variant", "phase", "batch", "kernels", "MB moved",
               "MB/image", "predicted ms", "images/s", "bound (share)");
    for (int i = 0; i < m->n; i++)
        if (m->program[i].program->variant == RT_FUSED) print_pair(out, g, m, &m->program[i]);
}

/* ---- JSON ---- */

static json_t *total_json(const Gpu *g, const ProgramFacts *p)
{
    Total t = total_of(g, p);
    json_t *by = json_object();
    for (int i = 0; i <= BOUND_LAUNCH; i++)
        if (t.by[i] > 0) json_object_set_new(by, gpu_bound_name((GpuBound)i), json_real(1e3 * t.by[i]));
    return json_pack("{s:s, s:s, s:I, s:i, s:f, s:f, s:f, s:s, s:o}", "phase", manifest_phase(p->program), "variant",
                     manifest_variant(p->program), "batch", (json_int_t)p->program->batch, "kernels", t.kernels,
                     "bytes", t.bytes, "flops", t.flops, "predicted_ms", 1e3 * t.seconds, "bound",
                     gpu_bound_name(main_bound(&t)), "predicted_ms_by_bound", by);
}

static json_t *board_json(const Gpu *g, const Manifest *m)
{
    json_t *programs = json_array();
    for (int i = 0; i < m->n; i++) json_array_append_new(programs, total_json(g, &m->program[i]));
    return json_pack("{s:s, s:s, s:o}", "gpu", g->name, "code", m->arch, "programs", programs);
}

static void print_json(Buf *out, Manifest *const *m, int n)
{
    json_t *boards = json_array();
    for (const Gpu *g = gpus; g->name; g++)
        if (code_for(g, m, n)) json_array_append_new(boards, board_json(g, code_for(g, m, n)));
    json_t *all = json_pack("{s:s, s:b, s:o}", "model", m[0]->model, "measured", 0, "boards", boards);
    char *text = json_dumps(all, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    if (!text) fatal(EXIT_MEMORY, "out of memory");
    buf_printf(out, "%s\n", text);
    free(text);
    json_decref(all);
}

void predict_print(Buf *out, Manifest *const *m, int n, bool json)
{
    if (json) {
        print_json(out, m, n);
        return;
    }
    buf_printf(out, "%s: predicted from counts of the kernels and data sheets; nothing was measured\n", m[0]->model);
    for (const Gpu *g = gpus; g->name; g++)
        if (code_for(g, m, n)) print_board(out, g, code_for(g, m, n));
}
