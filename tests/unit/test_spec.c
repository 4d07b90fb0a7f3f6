/* Descriptions -> Spec -> Graph: values, names, options. Messages are in tests/errors. */
#include "stages.h"
#include "support/file.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static Arena *arena;
static char *dir;

static int setup(void **state)
{
    (void)state;
    arena = arena_new();
    dir = file_temp_dir(arena);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    file_remove_tree(dir);
    arena_free(arena);
    return 0;
}

static Spec *read_set(const char *text, const Setting *set, int nset)
{
    const char *path = arena_printf(arena, "%s/my-net.yaml", dir);
    assert_true(file_write_atomic(path, text, strlen(text), 0600));
    Spec *s = spec_read(arena, path, set, nset);
    if (!s) diag_flush();
    return s;
}

static Spec *spec_of(const char *text)
{
    Spec *s = read_set(text, NULL, 0);
    assert_non_null(s);
    return s;
}

static Graph *graph(const char *text, bool training, int64_t batch)
{
    Graph *g = spec_graph(arena, spec_of(text), training, batch);
    if (!g) diag_flush();
    assert_non_null(g);
    graph_verify(g, "spec");
    return g;
}

static const char *option(const Spec *s, const char *key)
{
    int n;
    const Setting *o = spec_options(s, &n);
    for (int i = 0; i < n; i++)
        if (strcmp(o[i].key, key) == 0) return o[i].value;
    return NULL;
}

static void assert_shape(Shape s, const char *text)
{
    assert_string_equal(shape_str(arena, s), text);
}

static void assert_state(const Graph *g, const char *name, const char *shape)
{
    const State *s = graph_find_state(g, name);
    assert_non_null(s);
    assert_shape(s->shape, shape);
}

#define INPUT "input: {image: [3, 8, 8]}\n"

static void forms_agree(void **state)
{
    (void)state;
    const char *texts[] = {
        INPUT "model:\n  c: Conv2d(_, 8, (3,5), padding=1)\n",
        INPUT "model:\n  c: \"Conv2d( _ ,8,kernel_size=(3, 5),padding = (1,1),)\"\n",
        INPUT "model: {c: {type: Conv2d, out_channels: 8, kernel_size: [3, 5], padding: 1}}\n",
        INPUT
        "model:\n  c: {type: Conv2d, in_channels: _, out_channels: '8', kernel_size: '(3,5)', "
        "padding: [1, 1]}\n",
        INPUT "params: {k: [3, 5], w: 2}\nmodel: {c: 'Conv2d(_, w*4, k, padding=w//2)'}\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        Graph *g = graph(texts[i], false, 2);
        assert_state(g, "c.weight", "[8,3,3,5]");
        assert_state(g, "c.bias", "[8]");
        assert_shape(graph_find_output(g, "output")->shape, "[2,8,8,6]");
    }
}

/* Each expression is the number of channels of a layer. */
static void expressions(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int value;
    } cases[] = {
        {"1 + 2 * 3", 7},
        {"(1 + 2) * 3", 9},
        {"7 // 2", 3},
        {"-7 // 2 + 10", 6},
        {"-7 % 4", 1},
        {"10 - 3 - 2", 5},
        {"- -5", 5},
        {"a if a > b else b", 4},
        {"a if a < b else b", 3},
        {"1 if not true else 2 if false else 9", 9},
        {"5 if a == 4 and b != 4 or 1 // 0 == 1 else 6", 5},
        {"5 if 0.5 + 0.5 == 1 else 6", 5},
        {"3 if true else 1 // 0", 3},
        {"5 if 2 <= 2 and 3 >= 3 and not 2 < 2 else 6", 5},
        {"in.channels * 2", 6},
        {"input.channels + 1", 4},
        {"((((7))))", 7},
        {"8 if mode == 'wide' else 1", 8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *text = arena_printf(
            arena, INPUT "params: {a: 4, b: a - 1, mode: wide}\nmodel: {c: \"Conv2d(_, %s, 1)\"}\n",
            cases[i].text);
        Graph *g = graph(text, false, 1);
        assert_int_equal(graph_find_output(g, "output")->shape.dim[1], cases[i].value);
    }
}

static void settings(void **state)
{
    (void)state;
    const char *text = INPUT "params: {w: 8, double: w * 2}\nmodel:\n  c: Conv2d(_, double, 3)\n"
                             "  f: Flatten()\n"
                             "train: &t {epochs: 3, optimizer: 'Adam(lr=0.5, betas=(0.8, 0.9))'}\n";
    Spec *s = spec_of(text);
    assert_string_equal(option(s, "train.lr"), "0.5");
    assert_string_equal(option(s, "train.beta1"), "0.8");
    assert_string_equal(option(s, "train.beta2"), "0.9");
    Setting set[] = {{"w", "2*3"},
                     {"train.lr", "0.25"},
                     {"train.epochs", "7"},
                     {"data.split.val", "0.5"},
                     {"data.classes", "[3, 7]"},
                     {"name", "other"}};
    s = read_set(text, set, 6);
    assert_non_null(s);
    assert_string_equal(option(s, "train.lr"), "0.25");
    assert_string_equal(option(s, "train.beta1"), "0.8");
    assert_string_equal(option(s, "train.epochs"), "7");
    assert_string_equal(option(s, "data.split.val"), "0.5");
    assert_string_equal(option(s, "data.classes"), "3,7");
    assert_string_equal(spec_name(s), "other");
    const char *loss, *optimizer;
    spec_texts(s, &loss, &optimizer);
    assert_string_equal(loss, "CrossEntropyLoss()");
    assert_string_equal(optimizer, "Adam(lr=0.25, betas=(0.8,0.9))");
}

static void defaults(void **state)
{
    (void)state;
    const char *loss, *optimizer;
    Spec *s = spec_of(INPUT "model: [Flatten()]\n");
    spec_texts(s, &loss, &optimizer);
    assert_null(loss);
    assert_null(optimizer);
    assert_string_equal(spec_name(s), "my-net");
    assert_int_equal(spec_batch(s), 32);
    assert_string_equal(option(s, "train.epochs"), "10");
    assert_string_equal(option(s, "data.split.val"), "0.1");
    assert_string_equal(option(s, "metrics"), "accuracy");
    assert_null(option(s, "train.lr"));
    s = spec_of(INPUT "model: [Flatten()]\ntrain: {target: input, batch_size: 4}\n");
    spec_texts(s, &loss, &optimizer);
    assert_string_equal(loss, "MSELoss()");
    assert_string_equal(optimizer, "Adam(lr=0.001)");
    assert_int_equal(spec_batch(s), 4);
}

static void options(void **state)
{
    (void)state;
    Spec *s =
        spec_of(INPUT "model: [Flatten(), 'Linear(_, 2)']\n"
                      "params: {size: 8}\n"
                      "data:\n"
                      "  format: image_folder\n"
                      "  root: some/where else\n"
                      "  split: {train: 0.7, val: 0.1, test: 0.2, stratify: true, seed: 42}\n"
                      "  classes: [cat, snow leopard]\n"
                      "  limit: 100\n"
                      "  transforms:\n"
                      "    train: ['RandomCrop(size, padding=2)', RandomHorizontalFlip()]\n"
                      "    eval: ['Resize((size, 9))', CenterCrop(size)]\n"
                      "    normalize: imagenet\n"
                      "train: {early_stopping: {patience: 3}, shuffle: false}\n"
                      "metrics: [accuracy, f1, precision(average=macro), confusion_matrix]\n");
    assert_string_equal(option(s, "data.root"), "some/where else");
    assert_string_equal(option(s, "data.split.stratify"), "true");
    assert_string_equal(option(s, "data.split.test"), "0.2");
    assert_string_equal(option(s, "data.classes"), "cat,snow leopard");
    assert_string_equal(option(s, "data.limit"), "100");
    assert_string_equal(option(s, "data.transforms.train"),
                        "RandomCrop(8,padding=2);RandomHorizontalFlip()");
    assert_string_equal(option(s, "data.transforms.eval"), "Resize((8,9));CenterCrop(8)");
    assert_string_equal(option(s, "data.normalize.std"), "0.229,0.224,0.225");
    assert_string_equal(option(s, "train.early_stopping.monitor"), "val/loss");
    assert_string_equal(option(s, "train.early_stopping.patience"), "3");
    assert_string_equal(option(s, "train.shuffle"), "false");
    assert_string_equal(option(s, "metrics"),
                        "accuracy,f1(average=weighted),precision(average=macro),confusion_matrix");
}

static void targets(void **state)
{
    (void)state;
    Graph *g = graph(INPUT "model: [Flatten(), 'Linear(_, 5)']\ntrain: {}\n", true, 6);
    const Node *loss = graph_find_output(g, "loss");
    assert_int_equal(loss->shape.rank, 0);
    assert_true(g->training);
    bool found = false;
    for (int i = 0; i < g->node.n; i++) {
        const Node *n = g->node.v[i];
        if (strcmp(op_name(n->op), "Input") != 0 || strcmp(n->name, "target") != 0) continue;
        found = true;
        assert_int_equal(n->dtype, DT_I32);
        assert_shape(n->shape, "[6,1]");
    }
    assert_true(found);
    g = graph(INPUT "model: [Sigmoid()]\ntrain: {target: input}\n", false, 2);
    assert_false(g->training);
    assert_non_null(graph_find_output(g, "loss"));
    g = graph(INPUT "model: [Sigmoid()]\n", true, 2);
    assert_null(graph_find_output(g, "loss"));
}

static void optimizer(void **state)
{
    (void)state;
    Spec *s = spec_of("input: {features: [4]}\nmodel: {fc: 'Linear(_, 2)'}\ntrain: {}\n");
    Graph *g = spec_graph(arena, s, true, 2);
    assert_non_null(g);
    State *parts[] = {graph_find_state(g, "fc.weight"), graph_find_state(g, "fc.bias")};
    State *all = graph_state_group(g, "weights", STATE_PARAM, parts, 2);
    Node *gradients = graph_input(g, "gradients", DT_F32, all->shape);
    assert_true(spec_optimizer(s, g, graph_read(g, all), gradients));
    int assigns = 0;
    for (int i = 0; i < g->node.n; i++) assigns += strcmp(op_name(g->node.v[i]->op), "Assign") == 0;
    assert_true(assigns >= 3); /* the weights and two moments */
    s = spec_of("input: {features: [4]}\nmodel: {fc: 'Linear(_, 2)'}\n");
    assert_false(spec_optimizer(s, g, NULL, NULL));
}

static void nested_names(void **state)
{
    (void)state;
    Graph *g = graph(INPUT "model:\n"
                           "  features:\n"
                           "    - Conv2d(_, 4, 3)\n"
                           "    - {repeat: 2, do: 'Conv2d(_, 4, 3)'}\n"
                           "    - Conv2d(_, 5, 1)\n"
                           "  head:\n"
                           "    a: {repeat: 2, do: ['Conv2d(_, 6, 1)', ReLU()]}\n",
                     false, 1);
    assert_state(g, "features.0.weight", "[4,3,3,3]");
    assert_state(g, "features.1.weight", "[4,4,3,3]");
    assert_state(g, "features.2.weight", "[4,4,3,3]");
    assert_state(g, "features.3.weight", "[5,4,1,1]");
    assert_state(g, "head.a.0.0.weight", "[6,5,1,1]");
    assert_state(g, "head.a.1.0.weight", "[6,6,1,1]");
}

static const char residual[] = INPUT "blocks:\n"
                                     "  Basic:\n"
                                     "    args: {planes: !required , stride: 1}\n"
                                     "    body:\n"
                                     "      conv: Conv2d(_, planes, 3, stride=stride, padding=1)\n"
                                     "      downsample:\n"
                                     "        from: in\n"
                                     "        if: stride != 1 or in.channels != planes\n"
                                     "        do: ['Conv2d(_, planes, 1, stride=stride)']\n"
                                     "      add: {do: Add(), from: [conv, downsample]}\n"
                                     "model:\n"
                                     "  one: Basic(3)\n"
                                     "  two: Basic(6, stride=2)\n"
                                     "  three: {do: Add(), from: [two, two.conv]}\n"
                                     "  four: {if: training, do: 'Conv2d(_, 2, 1)'}\n";

static void blocks(void **state)
{
    (void)state;
    Graph *g = graph(residual, false, 1);
    assert_state(g, "one.conv.weight", "[3,3,3,3]");
    assert_null(graph_find_state(g, "one.downsample.0.weight"));
    assert_state(g, "two.downsample.0.weight", "[6,3,1,1]");
    assert_null(graph_find_state(g, "four.weight"));
    assert_shape(graph_find_output(g, "output")->shape, "[1,6,4,4]");
    g = graph(residual, true, 1);
    assert_state(g, "four.weight", "[2,6,1,1]");
}

static void places(void **state)
{
    (void)state;
    Graph *g = graph(INPUT "model:\n  a: ReLU()\n  b:\n    - \"Conv2d(_, 4, 3)\"\n", false, 1);
    const Node *out = graph_find_output(g, "output");
    assert_int_equal(out->loc.line, 5);
    assert_int_equal(out->loc.col, 7);
    assert_int_equal(out->loc.len, 17);
    assert_string_equal(out->name, "b.0");
    for (int i = 0; i < g->node.n; i++)
        if (strcmp(op_name(g->node.v[i]->op), "Conv2d") == 0)
            assert_int_equal(g->node.v[i]->attr[1].loc.col, 18);
}

static void printed(void **state)
{
    (void)state;
    Buf b = {0};
    spec_print(
        &b, spec_of(INPUT "name: n\nparams: {w: 4}\nmodel: {c: 'Conv2d(_, w, 3)', d: [ReLU()]}\n"));
    assert_non_null(strstr(b.s, "spec n\n"));
    assert_non_null(strstr(b.s, "  w = 4\n"));
    assert_non_null(strstr(b.s, "  c: Conv2d(_, w, 3)\n  d:\n    0: ReLU()\n"));
    buf_free(&b);
}

/* Every truncation and many single-byte changes of a description end in an orderly way. */
static void damaged(void **state)
{
    (void)state;
    size_t n = strlen(residual);
    int quiet = dup(2);
    assert_non_null(freopen("/dev/null", "w", stderr));
    for (size_t i = 0; i < 2 * n; i++) {
        char *text = arena_strdup(arena, residual);
        if (i < n)
            text[i] = 0;
        else
            text[i - n] = "{}[]:,&*!'\"()-+_0 \n#"[(i * 7) % 20];
        const char *path = arena_printf(arena, "%s/damaged.yaml", dir);
        FILE *f = fopen(path, "w");
        fputs(text, f);
        fclose(f);
        Spec *s = spec_read(arena, path, NULL, 0);
        bool ok = s && spec_graph(arena, s, false, 1);
        assert_true(ok == (diag_errors() == 0));
        int code = diag_flush();
        assert_true(code == (ok ? EXIT_OK : EXIT_SPEC));
    }
    fflush(stderr);
    dup2(quiet, 2);
    close(quiet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_agree), cmocka_unit_test(expressions),  cmocka_unit_test(settings),
        cmocka_unit_test(defaults),    cmocka_unit_test(options),      cmocka_unit_test(targets),
        cmocka_unit_test(optimizer),   cmocka_unit_test(nested_names), cmocka_unit_test(blocks),
        cmocka_unit_test(places),      cmocka_unit_test(printed),      cmocka_unit_test(damaged),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
