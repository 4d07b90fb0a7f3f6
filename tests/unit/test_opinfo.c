/* Every layer, loss and optimizer against PyTorch: tests/fixtures/opinfo lists the cases, and
 * opinfo.safetensors holds outputs and gradients (tests/torch/make_opinfo.py, which also says how
 * inputs and weights are made again from their names). Each case runs by the reference in double and
 * as compiled kernels, fused. OP=name: one operator. Run from the root. */
#include "layers.h"
#include "ref.h"
#include "run_graph.h"
#include "stages.h"
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_IN = 8, MAX_OUT = 16, STEPS = 3 };
#define FIXTURE "tests/fixtures/opinfo"

/* ---- the file of tensors ---- */
static json_t *header;
static char *data;
static size_t compared; /* tensors, with the reference */

static void read_tensors(void)
{
    FILE *f = fopen(FIXTURE ".safetensors", "rb");
    uint64_t n;
    assert_non_null(f);
    assert_int_equal(fread(&n, 8, 1, f), 1);
    char *text = malloc(n + 1);
    assert_int_equal(fread(text, 1, n, f), n);
    header = json_loadb(text, n, 0, NULL);
    assert_non_null(header);
    free(text);
    data = malloc(1 << 20);
    assert_true(fread(data, 1, 1 << 20, f) < 1 << 20);
    fclose(f);
}

/* NULL: there is none of this name with this many elements. */
static const float *tensor(const char *name, int64_t count)
{
    json_t *at = json_object_get(json_object_get(header, name), "data_offsets");
    if (!at) return NULL;
    int64_t from = json_integer_value(json_array_get(at, 0));
    int64_t to = json_integer_value(json_array_get(at, 1));
    return to - from == count * (int64_t)sizeof(float) ? (float *)(data + from) : NULL;
}

/* ---- numbers from names, as make_opinfo.py makes them ---- */
static double *numbers(Arena *a, const char *name, int64_t count, char kind, double n)
{
    uint64_t s = 0xcbf29ce484222325u;
    double *x = NEWN(a, double, count + 1);
    for (const char *p = name; *p; p++) s = (s ^ (uint64_t)*p) * 0x100000001b3u;
    for (int64_t i = 0; i < count; i++) {
        s = s * 6364136223846793005u + 1442695040888963407u;
        double u = (double)(s >> 40) / (1 << 23) - 1;
        x[i] = kind == 'f' ? 2 * u : kind == 'p' ? 0.5 + 0.45 * u : floor((u + 1) / 2 * n);
        x[i] = (double)(float)x[i];
    }
    return x;
}

/* ---- a case ---- */
typedef struct Case {
    Arena *a;
    char name[64], mode[16], op[64];
    char *inputs, *attrs;
    Graph *g;
    RefEnv *env;
    int nin, nout;
    Node *in[MAX_IN];
    struct {
        const char *name;
        double tol;
    } out[MAX_OUT];
} Case;

static const char *in_case(const Case *c, const char *prefix, const char *key)
{
    return arena_printf(c->a, "%s/%s%s", c->name, prefix, key);
}

static void add_input(Case *c, const char *word)
{
    Shape s = {0};
    const char *p = strchr(word, '[') + 1;
    for (; *p && *p != ']'; p += *p == ',') s.dim[s.rank++] = strtoll(p, (char **)&p, 10);
    const char *name = arena_printf(c->a, "in%d", c->nin);
    c->in[c->nin++] = graph_input(c->g, name, *word == 'i' ? DT_I32 : DT_F32, s);
}

static void set_input(Case *c, const Node *n, const char *key, char kind, double max)
{
    int64_t count = shape_count(n->shape);
    ref_set_input(c->env, n->name, numbers(c->a, in_case(c, "", key), count, kind, max));
}

/* The key under which PyTorch has a state of the layer "m". */
static const char *key_of(const State *s)
{
    return !strncmp(s->name, "m.", 2) ? s->name + 2 : s->name;
}

static void set_values(Case *c)
{
    char *save = NULL, *words = arena_strdup(c->a, c->inputs);
    c->env = ref_new(c->g);
    int i = 0;
    for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save), i++)
        set_input(c, c->in[i], c->in[i]->name, *w, atof(w + 1));
    for (i = 0; i < c->g->state.n; i++) {
        const State *s = c->g->state.v[i];
        if (s->part || s->kind == STATE_MOMENT || !strcmp(key_of(s), "num_batches_tracked"))
            continue;
        char kind = strcmp(key_of(s), "running_var") ? 'f' : 'p';
        const char *name = in_case(c, "", key_of(s));
        ref_set_state(c->env, s, numbers(c->a, name, shape_count(s->shape), kind, 0));
    }
}

static void compare(const Case *c, const char *leg, const char *key, const double *x, int64_t count,
                    double tol)
{
    const float *want = tensor(in_case(c, "", key), count);
    double worst = 0;
    if (!want) fail_msg("%s: no tensor %s of %lld elements", c->name, key, (long long)count);
    for (int64_t i = 0; i < count; i++) {
        double d = fabs(x[i] - (double)want[i]) / fmax(1, fabs((double)want[i]));
        if (!(d <= worst)) worst = d;
    }
    compared += !strcmp(leg, "reference");
    if (!(worst <= tol))
        fail_msg("%s %s {%s}: %s: %s differs by %g", c->name, c->op, c->attrs, leg, key, worst);
}

static void add_output(Case *c, const char *name, Node *n)
{
    graph_output(c->g, name, n);
    c->out[c->nout++].name = name;
}

/* Gradients of the float inputs and of the parameters that are read. */
static void add_gradients(Case *c, Node *y)
{
    Node *wrt[MAX_OUT], *grad[MAX_OUT];
    const char *name[MAX_OUT];
    int n = 0;
    for (int i = 0; i < c->nin; i++) {
        if (c->in[i]->dtype != DT_F32) continue;
        name[n] = arena_printf(c->a, "d.%s", c->in[i]->name);
        wrt[n++] = c->in[i];
    }
    for (int i = 0; i < c->g->node.n; i++) {
        Node *s = c->g->node.v[i];
        if (!op_is(s, "State") || s->state->kind != STATE_PARAM) continue;
        name[n] = arena_printf(c->a, "d.%s", key_of(s->state));
        wrt[n++] = s;
    }
    Node *dy = graph_input(c->g, "dy", DT_F32, y->shape);
    assert_true(autodiff_of(c->g, y, dy, wrt, n, grad));
    for (int i = 0; i < n; i++)
        if (grad[i]) add_output(c, name[i], grad[i]);
}

static void compare_running(const Case *c)
{
    for (int i = 0; i < c->g->state.n; i++) {
        const State *s = c->g->state.v[i];
        if (strncmp(key_of(s), "running", 7) != 0 || strcmp(c->mode, "train") != 0) continue;
        double *x = NEWN(c->a, double, shape_count(s->shape));
        ref_get_state(c->env, s, x);
        compare(c, "reference", arena_printf(c->a, "new.%s", key_of(s)), x, shape_count(s->shape),
                1e-6);
    }
}

static void run_layer(Case *c)
{
    c->g->training = !strcmp(c->mode, "train");
    Node *y = make_layer_of(c->g, c->op, "m", c->attrs, c->in, c->nin);
    if (!y) fail_msg("%s: %s was refused", c->name, c->op);
    add_output(c, "out", y);
    add_gradients(c, y);
    simplify(c->g, 1);
    set_values(c);
    ref_set_input(c->env, "dy", numbers(c->a, in_case(c, "", "dy"), shape_count(y->shape), 'f', 0));
    ref_run(c->env);
    double **x =
        run_graph(c->a, c->g, c->env,
                  &(RunMode){.machine = "native", .fused = true, .compiled = true, .reuse = true});
    for (int i = 0; i < c->nout; i++) {
        const Node *n = c->g->output.v[i].node;
        int64_t count = shape_count(n->shape);
        compare(c, "reference", c->out[i].name, ref_value(c->env, n), count, 1e-6);
        compare(c, "compiled", c->out[i].name, x[i], count, 2e-5);
    }
    compare_running(c);
}

/* ---- optimizers: three steps ---- */
static double *last_weights(Case *c, const State *w)
{
    double **x =
        run_graph(c->a, c->g, c->env,
                  &(RunMode){.machine = "native", .fused = true, .compiled = true, .reuse = true});
    int k = c->g->output.n;
    for (int i = 0; i < c->g->node.n; i++) {
        if (!op_is(c->g->node.v[i], "Assign")) continue;
        if (c->g->node.v[i]->state == w) return x[k];
        k++;
    }
    return NULL;
}

static void run_optimizer(Case *c)
{
    int64_t count = shape_count(c->in[0]->shape);
    State *s = graph_state(c->g, "w", STATE_PARAM, c->in[0]->shape, (Init){INIT_CONST, 0, 0});
    Node *pack = graph_add(c->g, op_find("Pack"), c->in, 1, NULL);
    State *group = graph_state_group(c->g, "weights", STATE_PARAM, &s, 1);
    Node *w = graph_read(c->g, group);
    assert_non_null(make_layer(c->g, c->op, "optimizer", c->attrs, w, pack));
    simplify(c->g, 1);
    set_values(c);
    double x[64], *compiled = NULL;
    ref_set_scalar(c->env, "lr", atof(strstr(c->attrs, "lr=") + 3));
    for (int t = 1; t <= STEPS; t++) {
        const char *name = arena_printf(c->a, "%s/g%d", c->name, t);
        ref_set_input(c->env, "in0", numbers(c->a, name, count, 'f', 0));
        ref_set_scalar(c->env, "step", t);
        ref_set_scalar(c->env, "bias_correction1", 1 - pow(0.9, t));
        ref_set_scalar(c->env, "bias_correction2", 1 - pow(0.999, t));
        ref_run(c->env);
        compiled = last_weights(c, group);
    }
    ref_get_state(c->env, s, x);
    compare(c, "reference", "out", x, count, 1e-6);
    compare(c, "compiled", "out", compiled, count, 2e-5);
}

static void run_case(char *line)
{
    Case c = {.a = arena_new()};
    int at = 0;
    char *bar = strstr(line, " |");
    assert_non_null(bar);
    *bar = '\0';
    assert_int_equal(sscanf(line, "%63s %15s %63s %n", c.name, c.mode, c.op, &at), 3);
    c.inputs = line + at;
    c.attrs = bar[2] ? bar + 3 : bar + 2;
    const char *only = getenv("OP");
    if (!only || !strcmp(only, c.op)) {
        const OpDef *op = op_find(c.op);
        char *save = NULL, *words = arena_strdup(c.a, c.inputs);
        if (!op) fail_msg("%s: no operator %s", c.name, c.op);
        c.g = graph_new(c.a);
        for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save))
            add_input(&c, w);
        (op->use == OP_OPTIMIZER ? run_optimizer : run_layer)(&c);
        ref_free(c.env);
    }
    arena_free(c.a);
}

static void every_case(void **state)
{
    char line[1024];
    int cases = 0;
    FILE *f = fopen(FIXTURE, "r");
    (void)state;
    assert_non_null(f);
    read_tensors();
    for (; fgets(line, sizeof line, f); cases++) {
        line[strcspn(line, "\n")] = '\0';
        run_case(line);
    }
    fclose(f);
    assert_true(cases > 100);
    if (!getenv("OP")) assert_int_equal(compared, json_object_size(header));
    free(data);
    json_decref(header);
}

/* A channel of an image is kept whole, and scaled, or it is 0; so is its gradient. */
static void dropout_of_channels(void **state)
{
    enum { IMAGES = 4, CHANNELS = 5, PLANE = 6 };
    (void)state;
    Case c = {.a = arena_new(), .name = "dropout2d"};
    c.g = graph_new(c.a);
    c.g->training = true;
    add_input(&c, "f[4,5,3,2]");
    Node *y = make_layer(c.g, "Dropout2d", "m", "p=0.25", c.in[0], NULL);
    add_output(&c, "out", y);
    add_gradients(&c, y);
    simplify(c.g, 1);
    c.env = ref_new(c.g);
    double ones[IMAGES * CHANNELS * PLANE], *kept;
    for (int i = 0; i < IMAGES * CHANNELS * PLANE; i++) ones[i] = 1;
    ref_set_input(c.env, "dy", ones);
    ref_set_scalar(c.env, "seed", 7);
    ref_set_scalar(c.env, "step", 1);
    set_input(&c, c.in[0], "in0", 'f', 0);
    ref_run(c.env);
    double **x =
        run_graph(c.a, c.g, c.env,
                  &(RunMode){.machine = "native", .fused = true, .compiled = true, .reuse = true});
    const double *in = numbers(c.a, "dropout2d/in0", IMAGES * CHANNELS * PLANE, 'f', 0);
    int dropped = 0;
    for (int i = 0; i < IMAGES * CHANNELS * PLANE; i++) {
        kept = &x[1][i - i % PLANE];
        assert_true(*kept == 0 || fabs(*kept - 4.0 / 3) < 1e-6);
        assert_true(x[1][i] == *kept && fabs(x[0][i] - in[i] * *kept) < 1e-6);
        assert_true(fabs(x[0][i] - ref_value(c.env, c.g->output.v[0].node)[i]) < 1e-6);
        dropped += i % PLANE == 0 && *kept == 0;
    }
    assert_in_range(dropped, 1, 12);
    ref_free(c.env);
    arena_free(c.a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_case),
                                       cmocka_unit_test(dropout_of_channels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
