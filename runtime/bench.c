/* bench: variants of the same program side by side.
 *
 * In: the programs of the build, random inputs, equal weights. Out: times, rates, differences.
 * Rule: variants take turns, A B A B, in one process, because machines drift. They are compared
 * after their first run, from the same weights and input; then the learning rate is 0, so that a
 * long measurement stays where the numbers are ordinary. Not here: printing (bench_print.c),
 * statistics (stats.c). */
#include "bench.h"
#include "ckpt.h"
#include "err.h"
#include "init.h"
#include "machine.h"
#include "model.h"
#include "options.h"
#include "rng.h"
#include "scalars.h"
#include "session.h"
#include "stats.h"
#include "tensor.h"
#include "verbs.h"
#include "weights.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SAMPLES = 20000, LEAST_SAMPLES = 5, PROFILE_RUNS = 20, MAX_BATCHES = 16 };

/* ---- inputs and weights ---- */

static void fill_input(RtExec *e, const RtTensor *t)
{
    int64_t n = rt_tensor_count(t);
    float *x = rt_alloc((size_t)n, 4, "inputs");
    for (int64_t i = 0; i < n; i++) {
        uint32_t counter[4] = {(uint32_t)i, 0, 0, 0}, key[2] = {0x62656e63, 0};
        x[i] = (float)rt_philox(counter, key).v[0] * 0x1p-31f - 1.0f; /* uniform in [-1, 1) */
    }
    rt_exec_set(e, RT_STR(rt_exec_model(e), t->name), x);
    free(x);
}

static void fill_target(RtExec *e, const RtTensor *t)
{
    const RtTensor *out = rt_exec_tensor(e, "output");
    int64_t n = rt_tensor_count(t),
            classes = out && out->rank > 1 && out->dim[1] > 1 ? out->dim[1] : 2;
    int32_t *label = rt_alloc((size_t)n, 4, "targets");
    for (int64_t i = 0; i < n; i++) {
        int32_t k = (int32_t)(i * 7 % classes);
        float real = (float)k / (float)(classes - 1); /* in [0, 1], as BCE wants it */
        memcpy(&label[i], t->dtype == RT_I32 ? (void *)&k : (void *)&real, 4);
    }
    rt_exec_set(e, "target", label);
    free(label);
}

static void fill(RtExec *e)
{
    const RtTensor *in = rt_exec_tensor(e, "input"), *target = rt_exec_tensor(e, "target");
    if (in) fill_input(e, in);
    if (target) fill_target(e, target);
}

static void first_weights(RtSession *s, RtState *state)
{
    const char *path = rt_option_str(&s->opt, "run.weights", NULL);
    rt_init_state(state, (uint64_t)rt_option_int(&s->opt, "train.seed", 0));
    rt_scalars_start(state, &s->opt);
    rt_scalars_step(state, &s->opt, 1);
    if (!path) return;
    RtFit fit = {.lenient = strcmp(rt_option_str(&s->opt, "run.strict", "yes"), "yes") != 0};
    RtSt *f = rt_weights_open(path);
    rt_ckpt_load(state, RT_WEIGHTS, f, &fit);
    rt_st_free(f);
}

static void open_lane(RtLane *l, RtSession *s, RtDevice *d, const RtProgram *p, uint32_t variant)
{
    l->variant = variant;
    l->program = p;
    l->state = rt_state_new(d, s->model);
    first_weights(s, l->state);
    l->exec = rt_exec_new(p, l->state);
    l->seconds = rt_alloc(MAX_SAMPLES, sizeof *l->seconds, "timings");
    const RtStep *st = RT_AT(s->model, RtStep, p->steps);
    if (p->phase == RT_INFER) rt_exec_without_loss(l->exec);
    for (uint32_t i = 0; i < p->nsteps; i++) {
        if (!rt_bench_runs(p, &st[i])) continue;
        l->steps++;
        l->flops += st[i].flops;
        l->bytes += st[i].bytes;
    }
    l->memory = s->model->state_size + p->prep_size + p->slab_size;
    fill(l->exec);
    rt_exec_prepare(l->exec);
    rt_exec_run(l->exec); /* the run that is compared */
}

static void close_lane(RtLane *l)
{
    rt_exec_free(l->exec);
    rt_state_free(l->state);
    free(l->seconds);
    free(l->step_ns);
}

/* ---- differences ---- */

static void compare(RtDiff *d, const RtTensor *t, const char *name, const float *a, const float *b)
{
    double diff = 0, top = 0;
    int64_t n = rt_tensor_count(t);
    for (int64_t i = 0; i < n; i++) {
        double x = fabs((double)a[i] - (double)b[i]);
        if (!(x <= diff)) diff = x; /* NaN counts as a difference */
        if (fabs((double)a[i]) > top) top = fabs((double)a[i]);
    }
    double rel = top > 0 ? diff / top : diff;
    if (!d->tensor || !(diff <= d->abs)) {
        d->abs = diff;
        d->tensor = name;
    }
    if (!(rel <= d->rel)) d->rel = rel;
}

static void compare_state(RtBench *b)
{
    const RtModel *m = b->model;
    const RtTensor *t = rt_model_states(m);
    for (uint32_t i = 0; i < m->nstates; i++, t++) {
        if (t->dtype != RT_F32 || !(RT_WEIGHTS >> t->role & 1)) continue;
        size_t n = (size_t)rt_tensor_count(t);
        float *x = rt_alloc(2 * n, 4, "a comparison");
        rt_unpack(t, rt_state_read(b->lane[0].state, t), x);
        rt_unpack(t, rt_state_read(b->lane[1].state, t), x + n);
        compare(&b->diff, t, RT_STR(m, t->name), x, x + n);
        free(x);
    }
}

static void compare_program(RtBench *b, uint32_t role)
{
    RtExec *e0 = b->lane[0].exec, *e1 = b->lane[1].exec;
    const RtProgram *p = b->lane[0].program;
    const RtTensor *t = rt_program_tensors(b->model, p);
    for (uint32_t i = 0; i < p->ntensors; i++, t++) {
        const char *name = RT_STR(b->model, t->name);
        bool left_out = p->phase == RT_INFER && !strcmp(name, "loss");
        if (left_out || t->role != role || t->dtype != RT_F32 || !rt_exec_tensor(e1, name)) continue;
        size_t n = (size_t)rt_tensor_count(t);
        float *x = rt_alloc(2 * n, 4, "a comparison");
        rt_exec_get(e0, name, x);
        rt_exec_get(e1, name, x + n);
        compare(&b->diff, t, name, x, x + n);
        free(x);
    }
}

static void compare_lanes(RtBench *b)
{
    if (b->nlanes < 2) return;
    compare_program(b, b->phase == RT_TRAIN ? RT_GRAD : RT_OUTPUT);
    if (b->phase == RT_TRAIN) compare_state(b);
}

/* ---- timing ---- */

static void measure(RtBench *b, double duration)
{
    for (int i = 0; i < b->nlanes; i++) {
        rt_scalars_set(b->lane[i].state, "lr", 0);
        rt_exec_run(b->lane[i].exec);
    }
    double end = rt_now() + duration;
    while (b->samples < MAX_SAMPLES && (b->samples < LEAST_SAMPLES || rt_now() < end)) {
        for (int i = 0; i < b->nlanes; i++)
            b->lane[i].seconds[b->samples] = rt_exec_time(b->lane[i].exec);
        b->samples++;
    }
    if (b->nlanes == 2) {
        rt_ratio(b->lane[1].seconds, b->lane[0].seconds, b->samples, &b->speedup, &b->lo, &b->hi);
    }
    for (int i = 0; i < b->nlanes; i++) {
        RtLane *l = &b->lane[i];
        rt_sort(l->seconds, b->samples);
        l->p50 = rt_quantile(l->seconds, b->samples, 0.5);
        l->p90 = rt_quantile(l->seconds, b->samples, 0.9);
        l->p99 = rt_quantile(l->seconds, b->samples, 0.99);
        double half = 0.98 / sqrt(b->samples); /* the median lies between these order statistics */
        l->low = rt_quantile(l->seconds, b->samples, fmax(0.5 - half, 0));
        l->high = rt_quantile(l->seconds, b->samples, fmin(0.5 + half, 1));
    }
}

static void profile(RtBench *b)
{
    for (int i = 0; i < b->nlanes; i++) {
        RtLane *l = &b->lane[i];
        l->step_ns = rt_alloc(l->program->nsteps, sizeof *l->step_ns, "a profile");
        for (int r = 0; r < PROFILE_RUNS; r++) rt_exec_run_profile(l->exec, l->step_ns);
        for (uint32_t k = 0; k < l->program->nsteps; k++) l->step_ns[k] /= PROFILE_RUNS;
    }
}

/* ---- what to compare ---- */

static bool listed(const RtOptions *o, const char *key, const char *word)
{
    const char *text = rt_option_str(o, key, NULL);
    if (!text) return true;
    int n;
    bool found = false;
    char **list = rt_option_list(text, &n);
    for (int i = 0; i < n; i++) found = found || !strcmp(list[i], word);
    free(list);
    return found;
}

/* Batch sizes of the phase's programs that were asked for, ascending. */
static int batches(const RtSession *s, uint32_t phase, uint32_t *out)
{
    int n = 0;
    const RtProgram *p = rt_model_programs(s->model);
    for (uint32_t i = 0; i < s->model->nprograms && n < MAX_BATCHES; i++, p++) {
        char text[16];
        snprintf(text, sizeof text, "%u", p->batch);
        int at = 0;
        while (at < n && out[at] < p->batch) at++;
        if (p->device != s->device->kind || p->phase != phase || (at < n && out[at] == p->batch) ||
            !listed(&s->opt, "run.batch", text))
            continue;
        memmove(out + at + 1, out + at, sizeof *out * (size_t)(n - at));
        out[at] = p->batch;
        n++;
    }
    return n;
}

typedef struct Report {
    bool text;
    RtJson json;
    RtBaseline *base; /* --compare; or NULL */
    int slower;
} Report;

static void report(Report *r, const RtBench *b, double peak)
{
    if (r->text) rt_bench_print(b, peak);
    if (r->base) r->slower += rt_baseline_compare(r->base, b, r->text);
    rt_bench_json(&r->json, b, peak);
}

static void bench_one(RtSession *s, RtDevice *d, const RtBench *like, uint32_t batch, double peak,
                      Report *r)
{
    RtBench b = *like;
    b.batch = batch;
    for (uint32_t v = RT_FUSED; v <= RT_UNFUSED; v++) {
        const RtProgram *p = rt_model_program(s->model, d->kind, b.phase, v, batch);
        if (p && listed(&s->opt, "run.variants", rt_variant_name(v)))
            open_lane(&b.lane[b.nlanes++], s, d, p, v);
    }
    if (b.nlanes == 0) return;
    compare_lanes(&b);
    measure(&b, rt_option_num(&s->opt, "run.duration", 3));
    if (rt_option_bool(&s->opt, "run.profile", false)) profile(&b);
    report(r, &b, peak);
    for (int i = 0; i < b.nlanes; i++) close_lane(&b.lane[i]);
}

/* peak 0: not known */
static int bench_device(RtSession *s, RtDevice *d, int threads, double peak, Report *r)
{
    int done = 0;
    if (r->text) rt_bench_head(s->model, d, threads, peak);
    for (int phase = RT_INFER; phase >= RT_TRAIN; phase--) {
        uint32_t batch[MAX_BATCHES];
        RtBench like = {.model = s->model, .phase = (uint32_t)phase, .threads = threads};
        if (!listed(&s->opt, "run.phase", rt_phase_name((uint32_t)phase))) continue;
        int n = batches(s, (uint32_t)phase, batch);
        for (int i = 0; i < n; i++) bench_one(s, d, &like, batch[i], peak, r);
        done += n;
    }
    return done;
}

static int bench_threads(RtSession *s, int threads, Report *r)
{
    if (!s->device->host) return bench_device(s, s->device, threads, 0, r);
    RtPool *pool = rt_pool_new(threads);
    RtDevice *d = rt_cpu_device(pool, s->kernels);
    int done = bench_device(s, d, threads, rt_machine_peak(pool), r);
    d->close(d);
    rt_pool_free(pool);
    return done;
}

int rt_verb_bench(const RtVerb *v)
{
    RtSession s;
    Report r = {0};
    rt_session_open(&s, v, RT_VERB_BENCH);
    const char *json = rt_option_str(&s.opt, "run.json", NULL),
               *list = rt_option_str(&s.opt, "run.threads", NULL),
               *base = rt_option_str(&s.opt, "run.compare", NULL);
    r.text = !json || strcmp(json, "-") != 0;
    if (base) r.base = rt_baseline_open(base);
    int n = 0, done = 0;
    char **threads = list ? rt_option_list(list, &n) : NULL;
    rt_json_begin(&r.json, true);
    rt_json_int(&r.json, "version", 1);
    rt_json_str(&r.json, "model", RT_STR(s.model, s.model->name));
    rt_machine_json(&r.json, s.model, s.device, n ? atoi(threads[0]) : rt_cpus());
    rt_json_array(&r.json, "results");
    for (int i = 0; i < n; i++) done += bench_threads(&s, atoi(threads[i]), &r);
    if (!list) done = bench_threads(&s, rt_cpus(), &r);
    rt_json_end_array(&r.json);
    if (!done) {
        rt_fail(RT_EXIT_USAGE, "C003",
                "this build has no such program\nsinter build %s --batch N makes one for batch N",
                RT_STR(s.model, s.model->spec_file));
    }
    if (json)
        rt_json_save(&r.json, json);
    else
        rt_json_free(&r.json);
    if (r.base) rt_baseline_close(r.base);
    free(threads);
    rt_session_close(&s);
    return r.slower ? RT_EXIT_CHECK : RT_EXIT_OK;
}
