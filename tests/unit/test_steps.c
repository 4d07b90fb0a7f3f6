/* Accumulated gradients and averaged weights, on compiled kernels: a step that only sums, a step that updates, both with
 * loss scaling and with clipping; the penalty's lambda is a run-time value. */
#include "run_graph.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BATCH = 4 };
static Arena *arena;
static RefEnv *env;

typedef struct Step {
    Graph *g;
    double **out;
} Step;

static double noise(const char *name, int64_t i)
{
    uint64_t x = 1469598103934665603u + (uint64_t)i * 0x9e3779b97f4a7c15u;
    while (*name) x = (x ^ (unsigned char)*name++) * 1099511628211u;
    x ^= x >> 29, x *= 0xbf58476d1ce4e5b9u, x ^= x >> 32;
    return (double)(float)((double)(x >> 11) / 9007199254740992.0 - 0.5);
}

static double *numbers(const char *name, int64_t n, double least)
{
    double *x = NEWN(arena, double, n + 1);
    for (int64_t i = 0; i < n; i++) x[i] = (double)(float)(noise(name, i) + least);
    return x;
}

static void set_values(const Graph *g, double scale)
{
    for (int i = 0; i < g->state.n; i++) {
        const State *s = g->state.v[i];
        double *x = numbers(s->name, s->part ? 1 : shape_count(s->shape), strstr(s->name, "var") ? 1 : 0);
        if (!strncmp(s->name, "loss_scale", 10)) *x = s->name[10] ? 0 : scale;
        if (!s->part) ref_set_state(env, s, x);
    }
    for (int i = 0; i < g->node.n; i++) {
        const Node *n = g->node.v[i];
        if (!op_is(n, "Input")) continue;
        double *x = numbers(n->name, shape_count(n->shape), 0);
        for (int64_t k = 0; k < shape_count(n->shape) && n->dtype == DT_I32; k++) x[k] = (double)(k % 3);
        ref_set_input(env, n->name, x);
    }
}

static Step run(const Setting *set, int nset, double update)
{
    static const RunMode mode = {.machine = "native", .fused = true, .compiled = true, .reuse = true};
    Node *weights, *grads;
    Spec *s = spec_read(arena, "tests/golden/half.yaml", set, nset);
    assert_non_null(s);
    Step t = {.g = spec_graph(arena, s, true, BATCH)};
    grads = autodiff(t.g, &weights);
    assert_true(spec_optimizer(s, t.g, weights, grads));
    graph_verify(t.g, "the optimizer");
    simplify(t.g, 2);
    lower_precision(t.g, machine_find(arena, mode.machine));
    env = ref_new(t.g);
    set_values(t.g, 1024);
    ref_set_scalar(env, "lr", 0.1);
    ref_set_scalar(env, "update", update);
    ref_set_scalar(env, "grad_share", 0.5);
    ref_set_scalar(env, "ema_rate", 0.25);
    ref_set_scalar(env, "l2.lambda", 0.5);
    ref_run(env);
    t.out = run_graph(arena, t.g, env, &mode);
    return t;
}

static const Node *find(const Step *t, const char *name, const double **value)
{
    int k = t->g->output.n;
    for (int i = 0; i < t->g->node.n; i++) {
        const Node *as = t->g->node.v[i];
        if (!op_is(as, "Assign")) continue;
        *value = t->out[k++];
        if (!strcmp(as->state->name, name)) return as;
    }
    return NULL;
}

/* What a state or group held before. */
static double *before(const State *s)
{
    double *all = NEWN(arena, double, shape_count(s->shape) + 1), *to = all;
    for (int k = 0; k < s->npart; k++) {
        int64_t n = shape_count(s->part[k]->shape);
        memcpy(to, numbers(s->part[k]->name, n, 0), sizeof *to * (size_t)n);
        to += n;
    }
    return all;
}

static double distance(const double *got, const double *want, int64_t n)
{
    double d = 0, sum = 1e-300;
    for (int64_t i = 0; i < n; i++) {
        d += (got[i] - want[i]) * (got[i] - want[i]);
        sum += want[i] * want[i];
    }
    return sqrt(d / sum);
}

/* From the reference, and from what was. */
static void held(const Step *t, const char *name, bool moved, double off)
{
    const double *got;
    const Node *as = find(t, name, &got);
    assert_non_null(as);
    int64_t n = shape_count(as->shape);
    double *want = NEWN(arena, double, n + 1), d;
    ref_get_state(env, as->state, want);
    d = distance(got, want, n);
    if (d > off) print_error("%s is %g off\n", name, d);
    assert_true(d <= off);
    d = distance(got, before(as->state), n);
    assert_true(moved ? d > 1e-4 : d == 0);
}

#define COMMON {"precision", "fp32"}, {"train.accumulate", "2"}, {"train.ema", "0.75"}
static const Setting both[] = {COMMON};
static const Setting clipped[] = {COMMON, {"train.clip_grad_norm", "0.01"}};
static const Setting scaled[] = {{"precision", "fp16"}, {"train.accumulate", "2"}, {"train.ema", "0.75"}};

static void only_sums(void **state)
{
    (void)state;
    Step t = run(both, 3, 0);
    held(&t, "weights", false, 1e-6);
    held(&t, "momentum_buffer", false, 1e-6);
    held(&t, "ema", false, 1e-6);
    held(&t, "grad_sum", true, 1e-5);
    const double *mean;
    assert_non_null(find(&t, "bn1.running_mean", &mean));
    assert_true(*mean != *numbers("bn1.running_mean", 1, 0)); /* these move in every step */
}

static void updates(void **state)
{
    (void)state;
    Step t = run(both, 3, 1);
    const double *w, *ema, *sum;
    held(&t, "weights", true, 1e-5);
    held(&t, "momentum_buffer", true, 1e-5);
    held(&t, "ema", true, 1e-5);
    find(&t, "weights", &w);
    const Node *as = find(&t, "ema", &ema), *summed = find(&t, "grad_sum", &sum);
    double *old = before(as->state);
    for (int64_t i = 0; i < shape_count(as->shape); i++) {
        assert_true(fabs(ema[i] - (old[i] + 0.25 * (w[i] - old[i]))) < 1e-6);
        assert_true(sum[i] == 0);
    }
    assert_int_equal(shape_count(summed->shape), shape_count(as->shape));
}

static void clips_the_sum(void **state)
{
    (void)state;
    Step t = run(clipped, 4, 1);
    held(&t, "weights", true, 1e-5);
    held(&t, "momentum_buffer", true, 1e-4);
}

static void with_loss_scaling(void **state)
{
    (void)state;
    Step t = run(scaled, 3, 0);
    const double *x;
    held(&t, "weights", false, 1e-6);
    find(&t, "loss_scale.good", &x);
    assert_true(*x == 0); /* nothing was decided */
    t = run(scaled, 3, 1);
    held(&t, "weights", true, 1e-3);
    find(&t, "loss_scale.good", &x);
    assert_true(*x == 1);
}

static void one_is_none(void **state)
{
    (void)state;
    static const Setting one[] = {{"precision", "fp32"}, {"train.accumulate", "1"}};
    Step t = run(one, 2, 0);
    assert_null(graph_find_state(t.g, "grad_sum"));
    held(&t, "weights", true, 1e-5);
}

static double loss_with(const char *scale, const char *over)
{
    Setting set[] = {{"precision", "fp32"}, {"train.l2.lambda", "0"}, {"train.l2.scale", scale}, {"train.l2.over", over}};
    Step t = run(set, over ? 4 : 3, 1); /* lambda is 0.5 at run time */
    for (int i = 0; i < t.g->output.n; i++)
        if (!strcmp(t.g->output.v[i].name, "loss")) return *t.out[i];
    return NAN;
}

static void lambda_at_run_time(void **state)
{
    (void)state;
    static const Setting none[] = {{"precision", "fp32"}};
    double sum = 0, plain = 0;
    Step t = run(none, 1, 1);
    for (int i = 0; i < t.g->output.n; i++)
        if (!strcmp(t.g->output.v[i].name, "loss")) plain = *t.out[i];
    for (int i = 0; i < t.g->state.n; i++) {
        const State *s = t.g->state.v[i];
        if (s->kind != STATE_PARAM || s->part || s->shape.rank < 2) continue;
        for (int64_t k = 0; k < shape_count(s->shape); k++) sum += noise(s->name, k) * noise(s->name, k);
    }
    assert_true(fabs(loss_with("one", NULL) - (plain + 0.5 * sum)) < 1e-4 * sum);
    assert_true(fabs(loss_with("half", NULL) - (plain + 0.25 * sum)) < 1e-4 * sum);
    assert_true(fabs(loss_with("half", "batch") - (plain + 0.25 * sum / BATCH)) < 1e-4 * sum);
}

static int setup(void **state)
{
    (void)state;
    arena = arena_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(only_sums),   TEST(updates),     TEST(clips_the_sum), TEST(with_loss_scaling),
                                       TEST(one_is_none), TEST(lambda_at_run_time)};
    return cmocka_run_group_tests_name("accumulation, averages, penalty", tests, NULL, NULL);
}
