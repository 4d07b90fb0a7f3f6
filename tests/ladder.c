/* One training graph, and one of inference, of every description given, on every rung:
 *   reference -> reference after simplify -> loops, unfused -> loops, fused
 *             -> compiled, unfused -> compiled, fused -> as CUDA C, on the host,
 *                and there with every access checked -> as PTX, interpreted -> convolutions by a library, naively
 * or, with GPU_CHECK set (make gpu-check):
 *   reference -> reference after simplify -> on a CUDA device
 * The first rung that differs names the guilty stage. Inputs, weights and
 * statistics are random numbers; memory that nobody has written is NaN. Prints a line per rung; the
 * last: `N passed, N failed`. */
#include "ref.h"
#include "simt/simt.h"
#include "stages.h"
#include "unit/gpu_run.h"
#include "unit/run_graph.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int passed, failed;

/* ---- random values, the same for every rung ---- */
static double noise(uint64_t key, uint64_t i)
{
    uint64_t x = (key * 0x9e3779b97f4a7c15u) ^ (i * 0xbf58476d1ce4e5b9u);
    x ^= x >> 31, x *= 0x94d049bb133111ebu, x ^= x >> 29, x *= 0xd6e8feb86659fd93u, x ^= x >> 32;
    return (double)(float)((double)(x >> 11) / 9007199254740992.0 - 0.5);
}

static uint64_t name_key(const char *s)
{
    uint64_t h = 1469598103934665603u;
    while (*s) h = (h ^ (unsigned char)*s++) * 1099511628211u;
    return h;
}

static void set_state(RefEnv *env, Arena *a, const State *s)
{
    int64_t n = shape_count(s->shape);
    double *x = NEWN(a, double, n + 1);
    bool positive = strstr(s->name, "var") || strstr(s->name, "_sq");
    for (int64_t i = 0; i < n; i++) {
        x[i] = s->kind == STATE_MOMENT ? 0.01 * noise(name_key(s->name), (uint64_t)i)
                                       : noise(name_key(s->name), (uint64_t)i);
        if (positive) x[i] = fabs(x[i]) + 0.1;
        x[i] = (double)(float)x[i];
    }
    if (!strncmp(s->name, "loss_scale", 10)) *x = s->name[10] ? 7 : 1024; /* counters; the scale */
    ref_set_state(env, s, x);
}

static void set_input(RefEnv *env, Arena *a, const Node *n, int64_t classes)
{
    int64_t count = shape_count(n->shape);
    double *x = NEWN(a, double, count + 1);
    for (int64_t i = 0; i < count; i++) {
        x[i] = 2 * noise(name_key(n->name), (uint64_t)i);
        if (n->dtype == DT_I32) x[i] = floor((x[i] + 1) / 2 * (double)classes);
        if (n->dtype == DT_I32 && i == 1) x[i] = -1; /* no label */
    }
    ref_set_input(env, n->name, x);
}

static RefEnv *new_env(Arena *a, const Graph *g)
{
    RefEnv *env = ref_new(g);
    const Node *out = graph_find_output(g, "output");
    for (int i = 0; i < g->state.n; i++)
        if (!g->state.v[i]->part) set_state(env, a, g->state.v[i]);
    for (int i = 0; i < g->node.n; i++)
        if (op_is(g->node.v[i], "Input"))
            set_input(env, a, g->node.v[i], out->shape.rank > 1 ? out->shape.dim[1] : 1);
    ref_set_scalar(env, "lr", 0.01);
    ref_set_scalar(env, "step", 3);
    ref_set_scalar(env, "seed", 42);
    ref_set_scalar(env, "bias_correction1", 1 - pow(0.9, 3));
    ref_set_scalar(env, "bias_correction2", 1 - pow(0.999, 3));
    ref_set_scalar(env, "l2.lambda", 0.01);
    ref_run(env);
    return env;
}

/* ---- results: outputs, then new states by name ---- */
typedef struct Result {
    const char *name;
    const double *x;
    int64_t n;
} Result;
typedef VEC(Result) Results;

static void add(Arena *a, Results *r, const char *name, const double *x, int64_t n)
{
    vec_push(a, r, ((Result){name, x, n}));
}

static Results name_results(Arena *a, const Graph *g, const RefEnv *env, double **run)
{
    Results r = {0};
    int k = 0;
    for (int i = 0; i < g->output.n; i++, k++) {
        const Node *n = g->output.v[i].node;
        add(a, &r, g->output.v[i].name, run ? run[k] : ref_value(env, n), shape_count(n->shape));
    }
    for (int i = 0; i < g->node.n; i++) {
        const Node *n = g->node.v[i];
        if (!op_is(n, "Assign")) continue;
        add(a, &r, n->state->name, run ? run[k] : ref_value(env, n->in[0]), shape_count(n->shape));
        k++;
    }
    return r;
}

/* Relative L2 distance. */
static double distance(const Result *x, const Result *want)
{
    double d = 0, s = 0;
    for (int64_t i = 0; i < want->n; i++) {
        d += (x->x[i] - want->x[i]) * (x->x[i] - want->x[i]);
        s += want->x[i] * want->x[i];
    }
    return sqrt(d / (s > 1e-30 ? s : 1));
}

/* Gradients jump where ReLU and MaxPool choose, and there rounding to 16 bits decides: one other choice of ops_small's
 * AdaptiveMaxPool2d moves its gradients by 3.7 %. */
static double allowed(const char *name, double tol)
{
    enum { KINKS = 12 };
    static const double jump = 0.05;
    bool forward = !strncmp(name, "output", 6) || !strcmp(name, "loss");
    return forward || tol <= 1e-5 ? tol : fmax(KINKS * tol, jump);
}

static bool compare(const char *file, const char *rung, const Results *x, const Results *want,
                    double tol)
{
    const char *where = "";
    double worst = 0, limit = tol;
    for (int i = 0; i < want->n; i++) {
        int k = 0;
        while (k < x->n && strcmp(x->v[k].name, want->v[i].name) != 0) k++;
        double d = k < x->n ? distance(&x->v[k], &want->v[i]) : INFINITY;
        if (!(d / allowed(want->v[i].name, tol) <= worst / limit)) {
            worst = d;
            where = want->v[i].name;
            limit = allowed(where, tol);
        }
    }
    bool ok = worst <= limit;
    *(ok ? &passed : &failed) += 1;
    printf("%s ladder: %s: %s", ok ? "PASS" : "FAIL", file, rung);
    printf(ok ? "\n" : ": '%s' differs by %.2e, allowed %.0e\n", where, worst, limit);
    return ok;
}

/* ---- graphs ---- */
static Graph *build(Arena *a, const Spec *s, bool training, int64_t batch)
{
    Graph *g = spec_graph(a, s, training, batch);
    if (!g || !training) return g;
    Node *weights, *grads = autodiff(g, &weights);
    return grads && spec_optimizer(s, g, weights, grads) ? g : NULL;
}

/* Of what is stored: half a step of fp16 is 2^-12 of a number at most, of bf16 2^-9. */
static double tolerance(const Graph *g)
{
    return g->precision == PRECISION_FP16 ? 2e-3 : g->precision == PRECISION_BF16 ? 1.6e-2 : 1e-5;
}

static void climb(Arena *a, const Spec *s, const char *file, bool training, int64_t batch)
{
    static const struct {
        const char *name;
        int level;
        RunMode mode;
    } rungs[] = {
        {"loops, not simplified", 0, {.machine = "x86-64-v3", .reuse = true}},
        {"loops, unfused", 1, {.machine = "x86-64-v4"}},
        {"loops, fused", 2, {.machine = "x86-64-v3", .fused = true, .reuse = true}},
        {"compiled, unfused", 1, {.machine = "native", .compiled = true, .reuse = true}},
        {"compiled, fused", 2, {.machine = "native", .fused = true, .compiled = true, .reuse = true}},
        {"compiled, fused, no reuse", 2, {.machine = "native", .fused = true, .compiled = true}},
        {"CUDA C on the host", 2, {.machine = "sm_80", .fused = true, .reuse = true, .simt = true}},
        {"CUDA C, checked", 2, {.machine = "sm_80", .fused = true, .reuse = true, .simt = true, .checked = true}},
        {"cuDNN's convolutions",
         2,
         {.machine = "sm_80", .fused = true, .reuse = true, .provider = PROVIDER_CUDNN}},
        {"on a CUDA device", 2, {.machine = "sm_80", .fused = true, .reuse = true, .device = true}},
        {"PTX, interpreted", 2, {.machine = "sm_80", .fused = true, .reuse = true, .ptx = true}},
    };
    const char *what = training ? "training" : "inference";
    Graph *plain = build(a, s, training, batch);
    if (!plain) return;
    RefEnv *env = new_env(a, plain);
    Results want = name_results(a, plain, env, NULL);
    Graph *simple = build(a, s, training, batch);
    simplify(simple, 1);
    RefEnv *senv = new_env(a, simple);
    Results r = name_results(a, simple, senv, NULL), fused = {0};
    bool ok = compare(file, arena_printf(a, "%s, simplified", what), &r, &want, 1e-9);
    for (size_t i = 0; i < sizeof rungs / sizeof rungs[0] && ok; i++) {
        const RunMode *mode = &rungs[i].mode;
        if (mode->device != gpu_wanted()) continue; /* GPU_CHECK: that rung alone */
        const char *why = mode->simt ? simt_missing(mode->checked) : mode->ptx ? cuda_missing() : NULL;
        if (why) {
            printf("SKIP ladder: %s: %s, %s: %s\n", file, what, rungs[i].name, why);
            continue;
        }
        Graph *g = build(a, s, training, batch);
        simplify(g, rungs[i].level);
        lower_precision(g, machine_find(a, rungs[i].mode.machine));
        RefEnv *genv = new_env(a, g);
        Results x = name_results(a, g, genv, run_graph(a, g, genv, &rungs[i].mode));
        const char *rung = arena_printf(a, "%s, %s", what, rungs[i].name);
        ok = compare(file, rung, &x, &want, tolerance(g));
        if (!strcmp(rungs[i].name, "loops, fused")) fused = x;
        bool half = tolerance(g) > 1e-4 && fused.n && rungs[i].mode.fused; /* what is stored is the same */
        double alike = mode->provider ? 2 : 10; /* a library rounds its result before what follows it, too */
        if (ok && half) ok = compare(file, arena_printf(a, "%s, like loops", rung), &x, &fused, tolerance(g) / alike);
        ref_free(genv);
    }
    ref_free(env);
    ref_free(senv);
}

static void climb_file(const char *file, const Setting *set, int nset)
{
    Arena *a = arena_new();
    Spec *s = spec_read(a, file, set, nset);
    const char *loss, *optimizer;
    if (!s || diag_errors()) {
        printf("FAIL ladder: %s cannot be read\n", file);
        failed++;
        diag_flush();
    } else {
        spec_texts(s, &loss, &optimizer);
        int64_t batch = spec_batch(s) < 5 ? spec_batch(s) : 5;
        if (loss && optimizer) climb(a, s, file, true, batch);
        climb(a, s, file, false, batch);
    }
    arena_free(a);
}

/* DESCRIPTION... [NAME=VALUE...]: settings hold for the description before them; they make large ones small enough
 * for an interpreter (tests/ladder.sets). */
int main(int argc, char **argv)
{
    enum { MOST_SETTINGS = 8 };
    for (int i = 1; i < argc;) {
        const char *file = argv[i++];
        Setting set[MOST_SETTINGS];
        int n = 0;
        for (char *eq; i < argc && n < MOST_SETTINGS && (eq = strchr(argv[i], '=')); i++) {
            *eq = '\0';
            set[n++] = (Setting){argv[i], eq + 1};
        }
        climb_file(file, set, n);
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed || !passed;
}
