/* Parts of a Concat that are written in place: where they are, where they are not, and that nothing else changes. */
/* clang-format off: cmocka wants these before it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include "unit/run_graph.h"
#include <math.h>

static Node *conv(Graph *g, Node *x, const char *name, int64_t out, int64_t kernel)
{
    int64_t in = x->shape.dim[1], pad = kernel / 2;
    AttrVal attr[MAX_ATTR] = {{.i = {in}}, {.i = {out}}, {.i = {kernel, kernel}}, {.i = {1, 1}}, {.i = {pad, pad}}, {.i = {1, 1}}, {.i = {1}}};
    State *w = graph_state(g, name, STATE_PARAM, shape_make(4, out, in, kernel, kernel), (Init){0});
    return g_op_attr(g, "Conv2d", attr, 2, x, graph_read(g, w));
}

typedef struct Net {
    Arena *a;
    Graph *g;
    Node *a_part, *b_part, *whole;
} Net;

/* Two convolutions of one input, joined, and a third of both. what: "plain"; "odd": 20 channels in front; "input": the
 * input itself is a part; "output": a part is the user's; "halo": a 3x3 convolution reads a part, which the whole's
 * readers, of 1x1, do not need a border for; "twice": one part, two times. */
static Net net(const char *what)
{
    Net n = {.a = arena_new()};
    Graph *g = n.g = graph_new(n.a);
    bool halo = what[0] == 'h';
    Node *x = graph_input(g, "input", DT_F32, shape_make(4, 2l, 16l, 6l, 5l));
    n.a_part = g_op(g, "ReLU", 1, conv(g, x, "a", what[1] == 'd' ? 20 : 32, 3));
    n.b_part = what[0] == 'i' ? x : what[0] == 't' ? n.a_part : g_op(g, "ReLU", 1, conv(g, x, "b", 16, 1));
    AttrVal dim[MAX_ATTR] = {{.i = {1}}};
    n.whole = g_op_attr(g, "Concat", dim, 2, n.a_part, n.b_part);
    graph_output(g, "output", conv(g, n.whole, "c", 16, halo ? 1 : 3));
    if (halo) graph_output(g, "more", conv(g, n.b_part, "d", 16, 3));
    if (what[0] == 'o' && what[1] == 'u') graph_output(g, "part", n.b_part);
    return n;
}

static void choice(void **state)
{
    static const struct {
        const char *what;
        bool joined;
    } want[] = {{"plain", true}, {"odd", false}, {"input", false}, {"output", false}, {"halo", false}, {"twice", false}};
    (void)state;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        Net n = net(want[i].what);
        Groups *gs = fuse(n.a, n.g, true, NULL, NULL);
        const Schedule *s = schedule(n.a, gs, machine_find(n.a, "x86-64-v3"));
        const Layout *whole = &s->value[n.whole->id], *b = &s->value[n.b_part->id];
        if (s->group[gs->of[n.whole->id]->id].joined != want[i].joined) fail_msg("%s: %d expected", want[i].what, want[i].joined);
        assert_true((s->within[n.b_part->id] == n.whole) == want[i].joined);
        if (want[i].joined) {
            assert_int_equal(b->base, whole->base + 32 / BLOCK * whole->outer[1]);
            assert_int_equal(b->outer[0], whole->outer[0]);
            assert_int_equal(groups_at_work(s), gs->group.n - 1);
            const Plan *p = plan(n.a, s, true);
            plan_verify(p);
            assert_int_equal(p->value[n.b_part->id].offset, p->value[n.whole->id].offset);
        }
        arena_free(n.a);
    }
}

/* Interpreted, compiled, and as CUDA C on the host with every access checked. */
static void numbers(void **state)
{
    static const RunMode modes[] = {{.machine = "x86-64-v3", .fused = true, .reuse = true},
                                    {.machine = "native", .fused = true, .compiled = true, .reuse = true},
                                    {.machine = "sm_80", .fused = true, .reuse = true, .simt = true, .checked = true}};
    (void)state;
    for (size_t k = 0; k < sizeof modes / sizeof *modes; k++) {
        Net n = net("plain");
        RefEnv *env = ref_new(n.g);
        double x[48 * 48 * 9];
        for (size_t i = 0; i < sizeof x / sizeof *x; i++) x[i] = (double)(float)sin((double)(i * i % 1009));
        ref_set_input(env, "input", x);
        for (int i = 0; i < n.g->state.n; i++) ref_set_state(env, n.g->state.v[i], x + i);
        ref_run(env);
        double **out = run_graph(n.a, n.g, env, &modes[k]);
        const Node *y = n.g->output.v[0].node;
        for (int64_t i = 0; i < shape_count(y->shape); i++)
            if (!(fabs(out[0][i] - ref_value(env, y)[i]) < 1e-3)) fail_msg("mode %zu, element %lld: %g", k, (long long)i, out[0][i]);
        ref_free(env);
        arena_free(n.a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(choice), cmocka_unit_test(numbers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
