/* Loss scaling, on compiled kernels: a good step, a step whose gradients overflow, the scale's growth, a fixed scale,
 * clipping; and that what lies in the padding of gradients does not count. */
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

typedef struct Step { /* a training step of tests/golden/half.yaml */
    Graph *g;
    RefEnv *env;
    double **out;
} Step;

static double noise(const char *name, int64_t i)
{
    uint64_t x = 1469598103934665603u + (uint64_t)i * 0x9e3779b97f4a7c15u;
    while (*name) x = (x ^ (unsigned char)*name++) * 1099511628211u;
    x ^= x >> 29, x *= 0xbf58476d1ce4e5b9u, x ^= x >> 32;
    return (double)(float)((double)(x >> 11) / 9007199254740992.0 - 0.5);
}

static double *numbers(const char *name, int64_t n, double scale, double least)
{
    double *x = NEWN(arena, double, n + 1);
    for (int64_t i = 0; i < n; i++) x[i] = (double)(float)(scale * (noise(name, i) + least));
    return x;
}

static void set_state(RefEnv *env, const Graph *g, const char *name, double x)
{
    if (graph_find_state(g, name)) ref_set_state(env, graph_find_state(g, name), &x);
}

static VEC(RefEnv *) environments; /* of this test; in its arena */

static RefEnv *environment(const Graph *g, double scale, double good)
{
    RefEnv *env = ref_new(g);
    vec_push(arena, &environments, env);
    for (int i = 0; i < g->state.n; i++) {
        const State *s = g->state.v[i];
        int64_t n = shape_count(s->shape);
        if (!s->part) ref_set_state(env, s, numbers(s->name, n, 1, strstr(s->name, "var") ? 1 : 0));
    }
    set_state(env, g, "loss_scale", scale);
    set_state(env, g, "loss_scale.good", good);
    set_state(env, g, "loss_scale.skipped", 3);
    for (int i = 0; i < g->node.n; i++) {
        const Node *n = g->node.v[i];
        if (!op_is(n, "Input")) continue;
        double *x = numbers(n->name, shape_count(n->shape), 2, 0);
        for (int64_t k = 0; k < shape_count(n->shape) && n->dtype == DT_I32; k++) x[k] = (double)(k % 3);
        ref_set_input(env, n->name, x);
    }
    ref_set_scalar(env, "lr", 0.1);
    ref_run(env);
    return env;
}

static Step run(const Setting *set, int nset, double scale, double good)
{
    static const RunMode mode = {.machine = "native", .fused = true, .compiled = true, .reuse = true};
    Node *weights, *grads;
    Spec *s = spec_read(arena, "tests/golden/half.yaml", set, nset);
    assert_non_null(s);
    Step t = {.g = spec_graph(arena, s, true, BATCH)};
    grads = autodiff(t.g, &weights);
    assert_true(spec_optimizer(s, t.g, weights, grads));
    simplify(t.g, 2);
    lower_precision(t.g, machine_find(arena, mode.machine));
    t.env = environment(t.g, scale, good);
    t.out = run_graph(arena, t.g, t.env, &mode);
    return t;
}

/* The new value of a state, and by the reference; NULL: nothing assigns it. */
static const double *assigned(const Step *t, const char *name, const Node **as)
{
    int k = t->g->output.n;
    for (int i = 0; i < t->g->node.n; i++) {
        *as = t->g->node.v[i];
        if (!op_is(*as, "Assign")) continue;
        if (!strcmp((*as)->state->name, name)) return t->out[k];
        k++;
    }
    return NULL;
}

static double number(const Step *t, const char *name)
{
    const Node *as;
    const double *x = assigned(t, name, &as);
    assert_non_null(x);
    return *x;
}

/* Relative L2 distance of a state's new value from x. */
static double distance(const Step *t, const char *name, bool from_old)
{
    const Node *as;
    const double *got = assigned(t, name, &as);
    int64_t n = shape_count(as->shape);
    double *old = NEWN(arena, double, n + 1), d = 0, sum = 0;
    ref_get_state(t->env, as->state, old); /* the reference has run: these are its new values */
    const double *want = old;
    if (from_old) {
        double *first = NEWN(arena, double, n + 1), *to = first;
        for (int k = 0; k < as->state->npart; k++) {
            int64_t count = shape_count(as->state->part[k]->shape);
            memcpy(to, numbers(as->state->part[k]->name, count, 1, 0), sizeof *to * (size_t)count);
            to += count;
        }
        want = first;
    }
    for (int64_t i = 0; i < n; i++) {
        d += (got[i] - want[i]) * (got[i] - want[i]);
        sum += want[i] * want[i];
    }
    return sqrt(d / sum);
}

static const Setting dynamic[] = {{"precision", "fp16"}};
static const Setting fixed[] = {{"precision.type", "fp16"}, {"precision.loss_scale", "1024"}};

static void good_step(void **state)
{
    (void)state;
    Step t = run(dynamic, 1, 1024, 5);
    assert_true(number(&t, "loss_scale") == 1024);
    assert_true(number(&t, "loss_scale.good") == 6);
    assert_true(number(&t, "loss_scale.skipped") == 3);
    assert_true(distance(&t, "weights", true) > 1e-3); /* they have moved, and to the right place */
    assert_true(distance(&t, "weights", false) < 1e-3);
    assert_true(distance(&t, "momentum_buffer", false) < 2e-2);
}

static void overflow(void **state)
{
    (void)state;
    Step t = run(dynamic, 1, 0x1p40, 5);
    assert_true(number(&t, "loss_scale") == 0x1p39);
    assert_true(number(&t, "loss_scale.good") == 0);
    assert_true(number(&t, "loss_scale.skipped") == 4);
    assert_true(distance(&t, "weights", true) == 0);
    assert_true(distance(&t, "momentum_buffer", true) == 0);
}

static void growth(void **state)
{
    (void)state;
    Step t = run(dynamic, 1, 1024, 1998);
    assert_true(number(&t, "loss_scale") == 1024 && number(&t, "loss_scale.good") == 1999);
    t = run(dynamic, 1, 1024, 1999);
    assert_true(number(&t, "loss_scale") == 2048 && number(&t, "loss_scale.good") == 0);
}

static void fixed_scale(void **state)
{
    (void)state;
    const Node *as;
    Step t = run(fixed, 2, 1024, 1999);
    assert_null(assigned(&t, "loss_scale", &as));
    assert_true(distance(&t, "weights", false) < 1e-3);
    t = run(fixed, 2, 0x1p40, 0);
    assert_true(number(&t, "loss_scale.skipped") == 4);
    assert_true(distance(&t, "weights", true) == 0);
}

static void bf16_has_none(void **state)
{
    (void)state;
    static const Setting bf16[] = {{"precision", "bf16"}};
    Step t = run(bf16, 1, 1, 0);
    assert_null(graph_find_state(t.g, "loss_scale"));
    assert_true(distance(&t, "weights", false) < 1e-2);
}

static void clipped(void **state)
{
    (void)state;
    static const Setting clip[] = {{"precision", "fp16"}, {"train.clip_grad_norm", "0.01"}};
    Step t = run(clip, 2, 1024, 0);
    assert_true(distance(&t, "momentum_buffer", false) < 2e-2);
    assert_true(distance(&t, "weights", false) < 1e-4);
}

/* 10 of 16 channels: in the padding, log(0) is infinite, and so is its gradient. */
static void padding_does_not_count(void **state)
{
    (void)state;
    static const char text[] = "graph training\n"
                               "precision fp16\n"
                               "state w param f32 [10,8,1,1] const(0.1,0)\n"
                               "%0 = Input f32 [4,8,3,3] #input\n"
                               "%1 = State @w f32 [10,8,1,1] #conv\n"
                               "%2 = Conv2d %0 %1 in_channels=8 out_channels=10 kernel_size=(1,1) bias=0 #conv\n"
                               "%3 = Abs %2 #abs\n"
                               "%4 = Log %3 #log\n"
                               "%5 = Sum %4 axes=15 #loss\n"
                               "output loss %5\n";
    static const RunMode mode = {.machine = "native", .fused = true, .compiled = true, .reuse = true};
    Graph *g = graph_parse(arena, "padding", text);
    assert_non_null(g);
    Node *weights, *pack = autodiff(g, &weights);
    AttrVal axes[MAX_ATTR] = {{.i = {1}}};
    Node *bad = g_op_attr(g, "Max", axes, 1, g_op(g, "NonFinite", 1, pack));
    graph_output(g, "bad", bad);
    simplify(g, 2);
    lower_precision(g, machine_find(arena, mode.machine));
    double **out = run_graph(arena, g, environment(g, 1, 0), &mode);
    for (int i = 0; i < g->output.n; i++)
        if (!strcmp(g->output.v[i].name, "bad")) assert_true(*out[i] == 0);
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
    for (int i = 0; i < environments.n; i++) ref_free(environments.v[i]);
    memset(&environments, 0, sizeof environments);
    arena_free(arena);
    return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(good_step),   TEST(overflow),      TEST(growth), TEST(fixed_scale),
                                       TEST(bf16_has_none), TEST(clipped), TEST(padding_does_not_count)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
