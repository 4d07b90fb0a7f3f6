/* Whole models: gradients of a training graph against finite differences, simplified against not,
 * evaluation against training's statistics, optimizers against PyTorch's formulas written out. */
#include "layers.h"
#include "ref.h"
#include "stages.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { BATCH = 3, CLASSES = 4 };

static uint64_t seed;

static double uniform(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(seed >> 11) / 9007199254740992.0 - 0.5;
}

/* conv + bn + relu + pool, a residual block, grouped strided conv, dropout, flatten, two Linear
 * layers. */
static Graph *model(Arena *a, bool training)
{
    Graph *g = graph_new(a);
    g->training = training;
    Node *x = graph_input(g, "image", DT_F32,
                          shape_make(4, (int64_t)BATCH, (int64_t)3, (int64_t)9, (int64_t)7));
    x = make_layer(g, "Conv2d", "conv1", "out_channels=4 kernel_size=3 padding=1", x, NULL);
    x = make_layer(g, "BatchNorm2d", "bn1", "", x, NULL);
    x = make_layer(g, "ReLU", "relu1", "", x, NULL);
    Node *in = x = make_layer(g, "MaxPool2d", "pool1", "kernel_size=2", x, NULL);
    x = make_layer(g, "Conv2d", "conv2", "out_channels=4 kernel_size=3 padding=1 bias=false", x,
                   NULL);
    x = make_layer(g, "BatchNorm2d", "bn2", "", x, NULL);
    x = make_layer(g, "Add", "add", "", x, in);
    x = make_layer(g, "LeakyReLU", "relu2", "negative_slope=0.1", x, NULL);
    x = make_layer(g, "Conv2d", "conv3",
                   "out_channels=6 kernel_size=(3,1) stride=2 padding=1 groups=2", x, NULL);
    x = make_layer(g, "Flatten", "flat", "", x, NULL);
    x = make_layer(g, "Tanh", "tanh", "", x, NULL);
    x = make_layer(g, "Dropout", "drop", "p=0.25", x, NULL);
    x = make_layer(g, "Linear", "fc1", "out_features=5", x, NULL);
    x = make_layer(g, "Sigmoid", "act", "", x, NULL);
    x = make_layer(g, "Linear", "fc2", "out_features=4", x, NULL);
    graph_output(g, "output", x);
    Node *t = graph_input(g, "target", DT_I32, shape_make(2, (int64_t)BATCH, (int64_t)1));
    graph_output(g, "loss", make_layer(g, "CrossEntropyLoss", "", "", x, t));
    return g;
}

/* The same values for the same names, whatever else is in the graph. */
static void set_values(Arena *a, const Graph *g, RefEnv *env)
{
    double image[BATCH * 3 * 9 * 7];
    seed = 5;
    for (size_t i = 0; i < sizeof image / sizeof *image; i++) image[i] = 2 * uniform();
    ref_set_input(env, "image", image);
    ref_set_input(env, "target", (double[]){2, -1, 0});
    ref_set_scalar(env, "seed", 11);
    ref_set_scalar(env, "step", 2);
    ref_set_scalar(env, "lr", 0.1);
    ref_set_scalar(env, "bias_correction1", 1 - 0.9);
    ref_set_scalar(env, "bias_correction2", 1 - 0.999);
    for (int i = 0; i < g->state.n; i++) {
        const State *s = g->state.v[i];
        if (s->part || s->kind == STATE_MOMENT) continue;
        bool var = strstr(s->name, "running_var") != NULL;
        double *x = NEWN(a, double, shape_count(s->shape));
        seed = 9;
        for (const char *p = s->name; *p; p++) seed = seed * 31 + (uint64_t)*p;
        for (int64_t k = 0; k < shape_count(s->shape); k++) x[k] = var ? 1 + uniform() : uniform();
        ref_set_state(env, s, x);
    }
}

static double loss_of(const Graph *g, RefEnv *env)
{
    ref_run(env);
    return *ref_value(env, graph_find_output(g, "loss"));
}

static void gradients(void **state)
{
    (void)state;
    Arena *a = arena_new();
    Graph *g = model(a, true), *plain = model(a, true);
    Node *weights, *grads = autodiff(g, &weights);
    assert_non_null(grads);
    graph_output(g, "weights", weights);
    graph_verify(g, "autodiff");
    simplify(g, 1);
    graph_verify(g, "simplify");
    RefEnv *env = ref_new(g), *probe = ref_new(plain);
    set_values(a, g, env);
    ref_run(env);
    const double *d = ref_value(env, graph_find_output(g, "grads"));
    const State *group = graph_find_state(g, "weights");
    assert_int_equal(group->npart, 13);
    for (int p = 0; p < group->npart; p++) {
        int64_t count = shape_count(group->part[p]->shape);
        for (int64_t k = 0; k < count; k += 1 + count / 7) {
            const double eps = 1e-5;
            double slope = 0, *x = NEWN(a, double, count);
            const State *s = graph_find_state(plain, group->part[p]->name);
            for (int side = -1; side <= 1; side += 2) {
                set_values(a, plain, probe); /* a run moves the running statistics */
                ref_get_state(probe, s, x);
                x[k] += side * eps;
                ref_set_state(probe, s, x);
                slope += side * loss_of(plain, probe) / (2 * eps);
            }
            if (fabs(slope - d[k]) > 1e-7)
                fail_msg("%s[%d]: %g, not %g", s->name, (int)k, d[k], slope);
        }
        d += count;
    }
    ref_free(env);
    ref_free(probe);
    arena_free(a);
}

static int count_ops(const Graph *g, const char *op)
{
    int n = 0;
    for (int i = 0; i < g->node.n; i++) n += op_is(g->node.v[i], op);
    return n;
}

/* Level 0 and 1 give the same outputs and the same new states. */
static void simplified_training(void **state)
{
    (void)state;
    static const char *const optimizer[][2] = {{"SGD", "momentum=0.9 nesterov=1 weight_decay=0.01"},
                                               {"Adam", "weight_decay=0.1"},
                                               {"AdamW", ""}};
    for (int o = 0; o < 3; o++) {
        Arena *a = arena_new();
        Graph *g[2];
        RefEnv *env[2];
        for (int level = 0; level < 2; level++) {
            Node *weights;
            g[level] = model(a, true);
            Node *grads = autodiff(g[level], &weights);
            assert_non_null(
                make_layer(g[level], optimizer[o][0], "", optimizer[o][1], weights, grads));
            simplify(g[level], level);
            graph_verify(g[level], "simplify");
            env[level] = ref_new(g[level]);
            set_values(a, g[level], env[level]);
            for (int step = 0; step < 2; step++) ref_run(env[level]);
        }
        assert_true(g[1]->node.n < g[0]->node.n);
        assert_int_equal(count_ops(g[1], "ConvDgrad"), 2); /* not for the first convolution */
        assert_int_equal(count_ops(g[1], "Flatten") + count_ops(g[1], "Broadcast"), 0);
        for (int i = 0; i < g[0]->state.n; i++) {
            const State *s = g[0]->state.v[i];
            int64_t count = shape_count(s->shape);
            double *x = NEWN(a, double, count), *y = NEWN(a, double, count);
            ref_get_state(env[0], s, x);
            ref_get_state(env[1], graph_find_state(g[1], s->name), y);
            for (int64_t k = 0; k < count; k++) assert_true(fabs(x[k] - y[k]) < 1e-9);
        }
        ref_free(env[0]);
        ref_free(env[1]);
        arena_free(a);
    }
}

/* BatchNorm disappears into the convolutions; the states have the same view as in training. */
static void evaluation(void **state)
{
    (void)state;
    Arena *a = arena_new();
    Graph *g = model(a, false), *plain = model(a, false), *train = model(a, true);
    simplify(g, 1);
    simplify(train, 1);
    graph_verify(g, "simplify");
    RefEnv *env = ref_new(g), *want = ref_new(plain);
    set_values(a, g, env);
    set_values(a, plain, want);
    ref_run(env);
    ref_run(want);
    const double *x = ref_value(env, graph_find_output(g, "output"));
    const double *y = ref_value(want, graph_find_output(plain, "output"));
    for (int i = 0; i < BATCH * CLASSES; i++) assert_true(fabs(x[i] - y[i]) < 1e-9);
    for (int i = 0; i < g->node.n; i++) {
        const Node *n = g->node.v[i];
        if (op_is(n, "Mul") && n->shape.rank == 4) assert_int_not_equal(n->shape.dim[0], BATCH);
        assert_string_not_equal(op_name(n->op), "Dropout");
    }
    for (int i = 0; i < g->state.n; i++) {
        const State *s = graph_find_state(train, g->state.v[i]->name);
        assert_true(shape_eq(s->view, g->state.v[i]->view));
    }
    assert_int_equal(graph_find_state(g, "fc1.weight")->view.rank, 4);
    ref_free(env);
    ref_free(want);
    arena_free(a);
}

/* One weight, two steps, by hand. */
static void optimizer_steps(const char *op, const char *attrs, const double want[2])
{
    Arena *a = arena_new();
    Graph *g = graph_new(a);
    State *s =
        graph_state(g, "w", STATE_PARAM, shape_make(1, (int64_t)1), (Init){INIT_CONST, 1, 0});
    Node *w = graph_read(g, graph_state_group(g, "weights", STATE_PARAM, &s, 1));
    Node *d = graph_input(g, "d", DT_F32, shape_make(1, (int64_t)1));
    assert_non_null(make_layer(g, op, "", attrs, w, d));
    RefEnv *env = ref_new(g);
    ref_set_scalar(env, "lr", 0.1);
    ref_set_input(env, "d", (double[]){0.5});
    for (int t = 1; t <= 2; t++) {
        double x;
        ref_set_scalar(env, "bias_correction1", 1 - pow(0.9, t));
        ref_set_scalar(env, "bias_correction2", 1 - pow(0.999, t));
        ref_run(env);
        ref_get_state(env, s, &x);
        if (fabs(x - want[t - 1]) > 1e-12) fail_msg("%s {%s} step %d: %.17g", op, attrs, t, x);
    }
    ref_free(env);
    arena_free(a);
}

static void optimizers(void **state)
{
    (void)state;
    double b1 = 0.5, w1 = 1 - 0.1 * 0.5, b2 = 0.9 * b1 + 0.5;
    optimizer_steps("SGD", "", (double[]){w1, w1 - 0.05});
    optimizer_steps("SGD", "momentum=0.9", (double[]){w1, w1 - 0.1 * b2});
    double n1 = 1 - 0.1 * (0.5 + 0.9 * b1);
    optimizer_steps("SGD", "momentum=0.9 nesterov=1", (double[]){n1, n1 - 0.1 * (0.5 + 0.9 * b2)});
    double d1 = 1 - 0.1 * (0.5 + 0.2);
    optimizer_steps("SGD", "weight_decay=0.2", (double[]){d1, d1 - 0.1 * (0.5 + 0.2 * d1)});
    /* with a constant gradient Adam's corrected moments are the gradient and its square */
    double a1 = 1 - 0.1 * 0.5 / (0.5 + 1e-8);
    optimizer_steps("Adam", "", (double[]){a1, 2 * a1 - 1});
    double step = 1 - a1, v1 = 1 * (1 - 0.1 * 0.01) - step, v2 = v1 * (1 - 0.1 * 0.01) - step;
    optimizer_steps("AdamW", "", (double[]){v1, v2});
}

/* Running statistics after one step, with the unbiased variance. */
static void running_statistics(void **state)
{
    (void)state;
    Arena *a = arena_new();
    Graph *g = graph_new(a);
    g->training = true;
    Node *x = graph_input(g, "x", DT_F32, shape_make(2, (int64_t)3, (int64_t)1));
    graph_output(g, "y", make_layer(g, "BatchNorm1d", "bn", "momentum=0.1", x, NULL));
    simplify(g, 1);
    RefEnv *env = ref_new(g);
    double mean, var, batches;
    ref_set_input(env, "x", (double[]){1, 2, 6});
    ref_run(env);
    ref_get_state(env, graph_find_state(g, "bn.running_mean"), &mean);
    ref_get_state(env, graph_find_state(g, "bn.running_var"), &var);
    ref_get_state(env, graph_find_state(g, "bn.num_batches_tracked"), &batches);
    assert_true(fabs(mean - 0.3) < 1e-12);
    assert_true(fabs(var - (0.9 + 0.1 * 7)) < 1e-12);
    assert_true(batches == 1);
    ref_free(env);
    arena_free(a);
}

static void frozen_and_nothing(void **state)
{
    (void)state;
    Arena *a = arena_new();
    Graph *g = model(a, true);
    Node *weights;
    graph_find_state(g, "conv1.weight")->frozen = true;
    assert_non_null(autodiff(g, &weights));
    assert_int_equal(weights->state->npart, 12);
    for (int i = 0; i < weights->state->npart; i++)
        assert_string_not_equal(weights->state->part[i]->name, "conv1.weight");
    Graph *none = model(a, true);
    for (int i = 0; i < none->state.n; i++) none->state.v[i]->frozen = true;
    assert_null(autodiff(none, &weights));
    arena_free(a);
}

/* No label at all: the loss and its gradient are 0, not NaN. */
static void no_label(void **state)
{
    (void)state;
    Arena *a = arena_new();
    Graph *g = model(a, true);
    Node *weights;
    autodiff(g, &weights);
    simplify(g, 1);
    RefEnv *env = ref_new(g);
    set_values(a, g, env);
    ref_set_input(env, "target", (double[]){-1, -1, -1});
    assert_true(loss_of(g, env) == 0);
    const Node *d = graph_find_output(g, "grads");
    for (int64_t i = 0; i < shape_count(d->shape); i++) assert_true(ref_value(env, d)[i] == 0);
    ref_free(env);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients),          cmocka_unit_test(simplified_training),
        cmocka_unit_test(evaluation),         cmocka_unit_test(optimizers),
        cmocka_unit_test(running_statistics), cmocka_unit_test(frozen_and_nothing),
        cmocka_unit_test(no_label),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
