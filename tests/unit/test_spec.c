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

static int count_ops(const Graph *g, const char *op)
{
    int n = 0;
    for (int i = 0; i < g->node.n; i++) n += strcmp(op_name(g->node.v[i]->op), op) == 0;
    return n;
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
        {"list[1]", 6},
        {"list[a - 4] + [1, 2][1]", 7},
        {"nested[1][0]", 7},
        {"in.size[0]", 8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *text =
            arena_printf(arena,
                         INPUT "params: {a: 4, b: a - 1, mode: wide, list: [5, 6], nested: [[1], "
                               "[7]]}\nmodel: {c: \"Conv2d(_, %s, 1)\"}\n",
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
    assert_null(option(s, "data.split.val")); /* each format has its own */
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
    assert_state(g, "four.weight", "[2,6,1,1]"); /* all programs share their states */
    assert_shape(graph_find_output(g, "output")->shape, "[1,6,4,4]");
    assert_int_equal(count_ops(g, "Conv2d"), 3);
    g = graph(residual, true, 1);
    assert_state(g, "four.weight", "[2,6,1,1]");
}

static void write_file(const char *name, const char *text)
{
    assert_true(
        file_write_atomic(arena_printf(arena, "%s/%s", dir, name), text, strlen(text), 0600));
}

static const char part[] = INPUT "params: {width: 4, twice: width * 2, up: input.channels}\n"
                                 "blocks:\n"
                                 "  Pair:\n"
                                 "    args: {planes: twice}\n"
                                 "    body: ['Conv2d(_, planes, 1)', ReLU()]\n"
                                 "model:\n"
                                 "  a: Conv2d(_, width, 3, padding=1)\n"
                                 "  b: Pair()\n"
                                 "  c: Conv2d(_, input.channels, 1)\n"
                                 "  d: {do: Add(), from: [in, c]}\n"
                                 "  e: Flatten()\n";

static void imports(void **state)
{
    (void)state;
    write_file("part.yaml", part);
    Graph *g = graph("imports: {part: part.yaml}\n" INPUT "params: {width: 100}\n"
                     "model:\n"
                     "  first: Conv2d(_, 5, 1)\n"
                     "  whole: {use: part(width=6), until: d}\n"
                     "  block: part.Pair()\n"
                     "  again: {repeat: 2, use: 'part(1, 2)', until: b}\n"
                     "  sum: {do: Add(), from: [first, whole.c]}\n"
                     "  last: part()\n"
                     "outputs: [last, again]\n",
                     false, 1);
    assert_state(g, "whole.a.weight", "[6,5,3,3]");
    assert_state(g, "whole.b.0.weight", "[12,6,1,1]");
    assert_state(g, "whole.c.weight", "[5,12,1,1]"); /* input.channels: of what flows in */
    assert_state(g, "block.0.weight", "[8,5,1,1]");
    assert_state(g, "again.1.b.0.weight", "[2,1,1,1]");
    assert_shape(graph_find_output(g, "output")->shape, "[1,320]");
    assert_shape(graph_find_output(g, "again")->shape, "[1,2,8,8]");
}

static void whole_model(void **state)
{
    (void)state;
    write_file("part.yaml", part);
    Graph *g = graph("imports: {part: part.yaml}\n" INPUT "model: part(width=2)\n", false, 1);
    assert_state(g, "a.weight", "[2,3,3,3]");
    g = graph("imports: {part: part.yaml}\n" INPUT "model: {use: part, until: a}\n", false, 1);
    assert_state(g, "a.weight", "[4,3,3,3]");
    assert_null(graph_find_state(g, "c.weight"));
}

static const char heads[] = INPUT "model:\n"
                                  "  body: Conv2d(_, 4, 3)\n"
                                  "  flat: Flatten()\n"
                                  "  main: Linear(_, 5)\n"
                                  "  side: {from: flat, if: training, do: 'Linear(_, 7)'}\n"
                                  "  side2: {if: training, do: 'Linear(_, 5)'}\n"
                                  "  last: {from: main, do: ReLU()}\n"
                                  "train:\n"
                                  "  loss:\n"
                                  "    - CrossEntropyLoss()\n"
                                  "    - {use: CrossEntropyLoss(), on: side2, weight: 0.5}\n"
                                  "    - {use: 'CrossEntropyLoss()', on: main}\n";

static void several_losses(void **state)
{
    (void)state;
    const char *loss, *optimizer;
    spec_texts(spec_of(heads), &loss, &optimizer);
    assert_string_equal(loss, "CrossEntropyLoss() + 0.5*CrossEntropyLoss() on side2 + "
                              "CrossEntropyLoss() on main");
    Graph *t = graph(heads, true, 2), *e = graph(heads, false, 2);
    assert_int_equal(count_ops(t, "CrossEntropyLoss"), 3);
    assert_int_equal(count_ops(e, "CrossEntropyLoss"), 2);
    assert_int_equal(count_ops(t, "Linear"), 3);
    assert_int_equal(count_ops(e, "Linear"), 1);
    assert_int_equal(t->state.n, e->state.n);
    for (int i = 0; i < t->state.n; i++) {
        assert_string_equal(t->state.v[i]->name, e->state.v[i]->name);
        assert_int_equal(e->state.v[i]->id, i);
        assert_false(e->state.v[i]->frozen);
    }
}

/* What no loss reads has no gradient. */
static void unread(void **state)
{
    (void)state;
    const char *text = INPUT "model:\n"
                             "  flat: Flatten()\n"
                             "  spare: Linear(_, 7)\n"
                             "  main: {from: flat, do: 'Linear(_, 5)'}\n"
                             "outputs: [main, spare]\n"
                             "train: {}\n";
    for (int training = 0; training < 2; training++) {
        Graph *g = graph(text, training, 2);
        assert_true(graph_find_state(g, "spare.weight")->frozen);
        assert_false(graph_find_state(g, "main.weight")->frozen);
        assert_true((graph_find_output(g, "spare") == NULL) == training);
    }
}

static void frozen(void **state)
{
    (void)state;
    const char *text = INPUT "model:\n"
                             "  conv: Conv2d(_, 4, 3, bias=false)\n"
                             "  bn: BatchNorm2d(_)\n"
                             "  conv2: Conv2d(_, 4, 3)\n"
                             "  bn2: BatchNorm2d(_)\n"
                             "  flat: Flatten()\n"
                             "  fc: Linear(_, 5)\n"
                             "weights: {load: net.pth, reinit: [fc, bn2], freeze: %s}\n"
                             "train: {}\n";
    static const struct {
        const char *freeze;
        const char *names; /* what stays trained */
        int moving;        /* BatchNorm layers whose statistics move */
    } cases[] = {
        {"[]",
         "conv.weight bn.weight bn.bias conv2.weight conv2.bias bn2.weight bn2.bias "
         "fc.weight fc.bias ",
         2},
        {"['*', '!fc']", "fc.weight fc.bias ", 0},
        {"[conv, bn]", "conv2.weight conv2.bias bn2.weight bn2.bias fc.weight fc.bias ", 1},
        {"['*', '!bn*', bn.bias]", "bn.weight bn2.weight bn2.bias ", 2},
        {"['*', '!*.bias']", "bn.bias conv2.bias bn2.bias fc.bias ", 0},
        {"'c?nv'",
         "bn.weight bn.bias conv2.weight conv2.bias bn2.weight bn2.bias "
         "fc.weight fc.bias ",
         2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *yaml = arena_printf(arena, text, cases[i].freeze), *names = "";
        Graph *g = graph(yaml, true, 2);
        for (int k = 0; k < g->state.n; k++) {
            const State *s = g->state.v[k];
            if (s->kind == STATE_PARAM && !s->frozen)
                names = arena_printf(arena, "%s%s ", names, s->name);
        }
        assert_string_equal(names, cases[i].names);
        assert_int_equal(count_ops(g, "BatchNorm2d"), cases[i].moving);
        assert_int_equal(count_ops(g, "Assign"), 3 * cases[i].moving);
    }
    Spec *s = spec_of(arena_printf(arena, text, "[fc.bias]"));
    assert_string_equal(option(s, "weights.load"), "net.pth");
    assert_string_equal(option(s, "weights.reinit"), "fc,bn2");
}

static void schedule_texts(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"StepLR(30)", "StepLR(step_size=30,gamma=0.1)"},
        {"MultiStepLR([30, 60], 0.5)", "MultiStepLR(milestones=[30,60],gamma=0.5)"},
        {"MultiStepLR(gamma=0.5, milestones=(7,))", "MultiStepLR(milestones=[7],gamma=0.5)"},
        {"ExponentialLR(0.9)", "ExponentialLR(gamma=0.9)"},
        {"CosineAnnealingLR(T_max=n)", "CosineAnnealingLR(T_max=40,eta_min=0)"},
        {"CosineAnnealingLR()", "CosineAnnealingLR(eta_min=0)"},
        {"OneCycleLR(0.1, anneal_strategy=linear)",
         "OneCycleLR(max_lr=0.1,pct_start=0.3,anneal_strategy=linear,div_factor=25,"
         "final_div_factor=1e+04)"},
        {"ReduceLROnPlateau(factor=0.5)", "ReduceLROnPlateau(mode=min,factor=0.5,patience=10,"
                                          "threshold=0.0001,cooldown=0,min_lr=0)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Spec *s = spec_of(arena_printf(arena,
                                       INPUT "params: {n: 40}\nmodel: [Flatten()]\n"
                                             "train:\n  warmup: %s\n  schedule: %s\n",
                                       i % 2 ? "3" : "500 steps", cases[i][0]));
        assert_string_equal(option(s, "train.schedule"), cases[i][1]);
        assert_string_equal(option(s, "train.warmup"), i % 2 ? "3 epochs" : "500 steps");
    }
}

static bool has_const(const Graph *g, double v)
{
    for (int i = 0; i < g->node.n; i++)
        if (strcmp(op_name(g->node.v[i]->op), "Const") == 0 && g->node.v[i]->attr[0].f == v)
            return true;
    return false;
}

static void penalty(void **state)
{
    (void)state;
    static const struct {
        const char *l2;
        double factor;
        bool dataset;
    } cases[] = {
        {"{lambda: 0.5}", 0.5, false},
        {"{lambda: 0, scale: one}", 1, false}, /* a run may still give another lambda */
        {"{lambda: 0.5, over: batch}", 0.125, false},
        {"{lambda: 0.5, scale: one, over: dataset}", 1, true},
    };
    int statistics = count_ops(graph(INPUT "model: [BatchNorm2d(_)]\n", true, 4), "Sum");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *text = arena_printf(arena,
                                        INPUT "model:\n  bn: BatchNorm2d(_)\n  flat: Flatten()\n"
                                              "  a: Linear(_, 6)\n  b: Linear(_, 5)\n"
                                              "train: {l2: %s}\n",
                                        cases[i].l2);
        Graph *t = graph(text, true, 4), *e = graph(text, false, 4);
        assert_int_equal(count_ops(t, "Sum") - statistics, 2); /* two matrices */
        assert_true(has_const(t, cases[i].factor));
        assert_int_equal(count_ops(t, "Scalar"), 1 + cases[i].dataset); /* lambda is a run-time value */
        assert_int_equal(count_ops(e, "Scalar"), 0);
        assert_int_equal(graph_find_output(t, "loss")->shape.rank, 0);
    }
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

static const char many[] =
    "imports: {p: part.yaml, q: std:resnet18}\n" INPUT "params: {list: [1, 2], n: 'list[1] * 2'}\n"
    "model:\n"
    "  body: {use: 'p(width=n)', until: d}\n"
    "  side: {from: body.a, if: training, do: ['Conv2d(_, 7, 1)', Flatten()]}\n"
    "  more: {from: body, repeat: n, do: p.Pair(4)}\n"
    "  flat: Flatten()\n"
    "  fc: Linear(_, list[0] + 4)\n"
    "outputs: [fc, more.0]\n"
    "weights: {load: a.pth, reinit: [fc], freeze: ['*', '!fc', body.*]}\n"
    "train:\n"
    "  loss:\n"
    "    - {use: 'CrossEntropyLoss(weight=[1, 1, 1, 1, 1])', on: fc}\n"
    "    - {use: CrossEntropyLoss(), on: side, weight: 0.5}\n"
    "  schedule: MultiStepLR([3, 6], gamma=0.5)\n"
    "  warmup: 10 steps\n"
    "  clip_grad_norm: 1.5\n"
    "  l2: {lambda: 0.1, scale: one, over: dataset}\n";

/* Every truncation and many single-byte changes of a description end in an orderly way. */
static void damage(const char *whole)
{
    size_t n = strlen(whole);
    for (size_t i = 0; i < 2 * n; i++) {
        char *text = arena_strdup(arena, whole);
        if (i < n)
            text[i] = 0;
        else
            text[i - n] = "{}[]:,&*!'\"()-+_0 \n#"[(i * 7) % 20];
        const char *path = arena_printf(arena, "%s/damaged.yaml", dir);
        FILE *f = fopen(path, "w");
        fputs(text, f);
        fclose(f);
        Spec *s = spec_read(arena, path, NULL, 0);
        bool ok = s && spec_graph(arena, s, false, 2) && spec_graph(arena, s, true, 2);
        assert_true(ok == (diag_errors() == 0));
        int code = diag_flush();
        assert_true(code == (ok ? EXIT_OK : EXIT_SPEC));
    }
}

static void damaged(void **state)
{
    (void)state;
    write_file("part.yaml", part);
    assert_non_null(graph(many, true, 2));
    int quiet = dup(2);
    assert_non_null(freopen("/dev/null", "w", stderr));
    damage(residual);
    damage(many);
    fflush(stderr);
    dup2(quiet, 2);
    close(quiet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_agree),    cmocka_unit_test(expressions),
        cmocka_unit_test(settings),       cmocka_unit_test(defaults),
        cmocka_unit_test(options),        cmocka_unit_test(targets),
        cmocka_unit_test(optimizer),      cmocka_unit_test(nested_names),
        cmocka_unit_test(blocks),         cmocka_unit_test(places),
        cmocka_unit_test(printed),        cmocka_unit_test(damaged),
        cmocka_unit_test(imports),        cmocka_unit_test(whole_model),
        cmocka_unit_test(several_losses), cmocka_unit_test(unread),
        cmocka_unit_test(frozen),         cmocka_unit_test(schedule_texts),
        cmocka_unit_test(penalty),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
