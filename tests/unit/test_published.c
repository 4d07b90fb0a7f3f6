/* Values that textbooks give, on compiled kernels: cross entropies in nats and in bits, softmax far from 0, tanh by the
 * logistic function. */
#include "run_graph.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static Arena *arena;

/* The first output of a graph on given inputs, by compiled kernels. */
static const double *run(const char *text, const double *x, const double *y)
{
    static const RunMode mode = {.machine = "native", .fused = true, .compiled = true, .reuse = true};
    Graph *g = graph_parse(arena, "published", text);
    assert_non_null(g);
    simplify(g, 2);
    RefEnv *env = ref_new(g);
    if (x) ref_set_input(env, "input", x);
    if (y) ref_set_input(env, "target", y);
    ref_run(env);
    double **out = run_graph(arena, g, env, &mode);
    ref_free(env);
    return out[0];
}

static void near(double got, double want, double off)
{
    if (!(fabs(got - want) <= off)) print_error("%.9g is not %.9g\n", got, want);
    assert_true(fabs(got - want) <= off);
}

static double bce(int n, const char *base, const double *p, const double *y)
{
    return *run(arena_printf(arena,
                             "graph inference\n%%0 = Input f32 [%d,1] #input\n%%1 = Input f32 [%d,1] #target\n"
                             "%%2 = BCELoss %%0 %%1 reduction=mean log_base=%s #loss\noutput loss %%2\n",
                             n, n, base),
                p, y);
}

static void binary_cross_entropy(void **state)
{
    (void)state;
    const double p[] = {.9}, y[] = {0}, three[] = {.1, .2, .7}, labels[] = {1, 0, 0};
    near(bce(1, "e", p, y), 2.3026, 5e-5);
    near(bce(1, "2", p, y), 3.3219, 5e-5);
    near(bce(3, "e", three, labels), 1.2432, 5e-5);
    near(bce(3, "2", three, labels), 1.7936, 5e-5);
}

static double ce(const char *base, const double *x, const double *y)
{
    return *run(arena_printf(arena,
                             "graph inference\n%%0 = Input f32 [1,2] #input\n%%1 = Input i32 [1,1] #target\n"
                             "%%2 = CrossEntropyLoss %%0 %%1 ignore_index=-100 reduction=mean label_smoothing=0 log_base=%s #loss\n"
                             "output loss %%2\n",
                             base),
                x, y);
}

/* The same probability of 0.9 for the wrong class, from two logits. */
static void cross_entropy(void **state)
{
    (void)state;
    const double x[] = {0, 2.1972245773362196}, y[] = {0};
    near(ce("e", x, y), 2.3026, 5e-5);
    near(ce("2", x, y), 3.3219, 5e-5);
}

static const double *softmax(const double *x)
{
    return run("graph inference\n%0 = Input f32 [1,3] #input\n%1 = Softmax %0 dim=1 #s\noutput output %1\n", x, NULL);
}

static void softmax_does_not_move(void **state)
{
    (void)state;
    const double far[] = {1000, 1001, 999}, here[] = {-1, 0, -2};
    const double *a = softmax(far), *b = softmax(here);
    for (int i = 0; i < 3; i++) {
        near(a[i], b[i], 1e-7);
        near(a[i], exp(here[i]) / (exp(-1) + 1 + exp(-2)), 1e-6);
    }
    near(a[0] + a[1] + a[2], 1, 1e-6);
}

static void tanh_by_sigmoid(void **state)
{
    (void)state;
    double x[64], twice[64];
    for (int i = 0; i < 64; i++) x[i] = (i - 32) / 4.0, twice[i] = 2 * x[i];
    const double *t = run("graph inference\n%0 = Input f32 [64] #input\n%1 = Tanh %0 #t\noutput output %1\n", x, NULL);
    const double *s = run("graph inference\n%0 = Input f32 [64] #input\n%1 = Sigmoid %0 #s\noutput output %1\n", twice, NULL);
    for (int i = 0; i < 64; i++) near(t[i], 2 * s[i] - 1, 3e-7);
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
    const struct CMUnitTest tests[] = {TEST(binary_cross_entropy), TEST(cross_entropy), TEST(softmax_does_not_move),
                                       TEST(tanh_by_sigmoid)};
    return cmocka_run_group_tests_name("published values", tests, NULL, NULL);
}
