/* The graph: shapes, building, replacing, sweeping, text; and what shape rules and layers report.
 */
#include "layers.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void broadcasting(void **state)
{
    (void)state;
    static const struct {
        Shape a, b, want;
        bool fits;
    } rows[] = {
        {{2, {2, 3}}, {2, {2, 3}}, {2, {2, 3}}, true},
        {{0, {0}}, {4, {2, 3, 4, 5}}, {4, {2, 3, 4, 5}}, true},
        {{4, {2, 3, 4, 5}}, {1, {3}}, {4, {2, 3, 4, 5}}, true},
        {{1, {3}}, {2, {7, 3}}, {2, {7, 3}}, true},
        {{4, {2, 3, 1, 1}}, {4, {2, 3, 4, 5}}, {4, {2, 3, 4, 5}}, true},
        {{4, {2, 1, 4, 5}}, {4, {2, 3, 1, 1}}, {4, {2, 3, 4, 5}}, true},
        {{4, {2, 3, 4, 5}}, {1, {5}}, {0, {0}}, false},
        {{2, {2, 3}}, {4, {2, 3, 1, 1}}, {0, {0}}, false},
        {{1, {3}}, {1, {4}}, {0, {0}}, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        Shape out;
        assert_int_equal(shape_broadcast(rows[i].a, rows[i].b, &out), rows[i].fits);
        if (rows[i].fits) assert_true(shape_eq(out, rows[i].want));
    }
}

static void shapes(void **state)
{
    (void)state;
    Arena *a = arena_new();
    Shape s = shape_make(3, (int64_t)2, (int64_t)3, (int64_t)4);
    assert_int_equal(shape_count(s), 24);
    assert_string_equal(shape_str(a, s), "[2,3,4]");
    assert_string_equal(shape_str(a, shape_make(0)), "[]");
    assert_int_equal(shape_count(shape_make(0)), 1);
    arena_free(a);
}

static void replace_and_sweep(void **state)
{
    (void)state;
    Arena *a = arena_new();
    Graph *g = graph_new(a);
    Node *x = graph_input(g, "x", DT_F32, shape_make(1, (int64_t)3));
    Node *dead = g_op(g, "Neg", 1, x);
    Node *y = g_op(g, "Exp", 1, x);
    Node *z = g_op(g, "Add", 2, y, y);
    graph_output(g, "z", z);
    Node *late = g_op(g, "Sqrt", 1, x); /* comes after its new user */
    graph_replace(g, y, late);
    graph_sweep(g);
    graph_verify(g, "sweep");
    assert_int_equal(g->node.n, 3);
    assert_ptr_equal(z->in[0], late);
    assert_ptr_equal(z->in[1], late);
    for (int i = 0; i < g->node.n; i++) assert_ptr_not_equal(g->node.v[i], dead);
    graph_replace(g, z, x);
    assert_ptr_equal(graph_find_output(g, "z"), x);
    arena_free(a);
}

static void sweep_keeps_roots(void **state)
{
    (void)state;
    Arena *a = arena_new();
    Graph *g = graph_new(a);
    State *s = graph_state(g, "s", STATE_BUFFER, shape_make(1, (int64_t)3), (Init){0});
    Node *read = graph_read(g, s);
    graph_assign(g, s, g_op(g, "Exp", 1, read));
    graph_sweep(g);
    assert_int_equal(g->node.n, 3);
    arena_free(a);
}

static char *text_of(Arena *a, const Graph *g)
{
    Buf b = {0};
    graph_print(&b, g);
    char *s = arena_strdup(a, b.s);
    buf_free(&b);
    return s;
}

static void text_round_trip(void **state)
{
    (void)state;
    Arena *a = arena_new();
    const char *text = "graph training\n"
                       "state c.weight param f32 [4,3,3,3] uniform(-0.25,0.25)\n"
                       "state c.bias param f32 [4] const(0,0) frozen\n"
                       "state fc.weight param f32 [5,12] normal(0,1) view [5,3,2,2]\n"
                       "group all param c.weight c.bias\n"
                       "%0 = Input f32 [2,3,7,5] #image\n"
                       "%1 = State @c.weight f32 [4,3,3,3]\n"
                       "%2 = Conv2d %0 %1 stride=(2,1) padding=(1,1) f32 [2,4,4,5] #c\n"
                       "%3 = State @c.bias f32 [4]\n"
                       "%4 = Add %2 %3 f32 [2,4,4,5] #c\n"
                       "%5 = MaxPoolIndex %4 kernel_size=(2,2) u8 [2,4,2,2] grad\n"
                       "%6 = Const value=0.10000000000000001 f32 []\n"
                       "%7 = Scalar i32 [] #step\n"
                       "%8 = Assign %3 @c.bias f32 [4]\n"
                       "%9 = State @fc.weight f32 [5,3,2,2]\n"
                       "output y %5\noutput k %6\noutput t %7\noutput w %9\n";
    Graph *g = graph_parse(a, "t", text);
    if (!g) diag_flush();
    assert_non_null(g);
    graph_verify(g, "parse");
    assert_string_equal(text_of(a, g), text);
    arena_free(a);
}

/* What diag_flush prints for the errors that f makes, and its exit code. */
static int errors_of(void (*f)(Graph *g), char *out, size_t size)
{
    Arena *a = arena_new();
    FILE *tmp = tmpfile();
    int old = dup(2), code;
    f(graph_new(a));
    fflush(stderr);
    dup2(fileno(tmp), 2);
    code = diag_flush();
    fflush(stderr);
    dup2(old, 2);
    close(old);
    rewind(tmp);
    out[fread(out, 1, size - 1, tmp)] = '\0';
    fclose(tmp);
    arena_free(a);
    return code;
}

static Node *image(Graph *g, int64_t n, int64_t c, int64_t h, int64_t w)
{
    return graph_input(g, "image", DT_F32, shape_make(4, n, c, h, w));
}

static void wrong_text(Graph *g)
{
    assert_null(graph_parse(g->arena, "t", "%0 = Input f32 [2] #x\n%1 = Wrong %0\n"));
}

static void wrong_kernel(Graph *g)
{
    assert_null(
        make_layer(g, "Conv2d", "c3", "out_channels=4 kernel_size=7", image(g, 1, 3, 4, 4), NULL));
}

static void wrong_groups(Graph *g)
{
    assert_null(make_layer(g, "Conv2d", "c2", "out_channels=6 kernel_size=1 groups=3",
                           image(g, 1, 64, 4, 4), NULL));
}

static void wrong_channels(Graph *g)
{
    assert_null(make_layer(g, "Conv2d", "c1", "in_channels=5 out_channels=6 kernel_size=1",
                           image(g, 1, 3, 4, 4), NULL));
}

static void wrong_add(Graph *g)
{
    Node *a = image(g, 1, 64, 56, 56);
    Node *b = graph_input(g, "b", DT_F32,
                          shape_make(4, (int64_t)1, (int64_t)128, (int64_t)28, (int64_t)28));
    assert_null(make_layer(g, "Add", "r1", "", a, b));
}

static void wrong_linear(Graph *g)
{
    assert_null(make_layer(g, "Linear", "fc", "out_features=10", image(g, 1, 512, 7, 7), NULL));
}

static void wrong_features(Graph *g)
{
    Node *x = make_layer(g, "Flatten", "flat", "", image(g, 1, 128, 8, 8), NULL);
    assert_null(make_layer(g, "Linear", "fc", "in_features=32768 out_features=10", x, NULL));
}

static void wrong_batch(Graph *g)
{
    g->training = true;
    assert_null(make_layer(g, "BatchNorm2d", "b1", "", image(g, 1, 8, 1, 1), NULL));
}

static void wrong_pad(Graph *g)
{
    assert_null(
        make_layer(g, "MaxPool2d", "p", "kernel_size=2 padding=2", image(g, 1, 8, 4, 4), NULL));
}

static void wrong_mask(Graph *g)
{
    Node *t = graph_input(g, "target", DT_I32,
                          shape_make(4, (int64_t)1, (int64_t)1, (int64_t)8, (int64_t)8));
    assert_null(make_layer(g, "CrossEntropyLoss", "", "", image(g, 1, 5, 4, 4), t));
}

static void wrong_nesterov(Graph *g)
{
    State *s = graph_state(g, "w", STATE_PARAM, shape_make(1, (int64_t)4), (Init){0});
    Node *w = graph_read(g, graph_state_group(g, "weights", STATE_PARAM, &s, 1));
    assert_null(make_layer(g, "SGD", "", "nesterov=1", w, w));
}

static void reports(void **state)
{
    (void)state;
    static const struct {
        void (*f)(Graph *g);
        const char *id, *text;
    } rows[] = {
        {wrong_text, "G001", "unknown operator 'Wrong'"},
        {wrong_kernel, "H002", "Conv2d 'c3': kernel 7x7 exceeds padded input 4x4"},
        {wrong_groups, "H004", "Conv2d 'c2': groups 3 do not divide in=64"},
        {wrong_channels, "H006", "declares in_channels=5, but its input has 3 channels"},
        {wrong_add, "H005", "Add 'r1': [1,64,56,56] vs [1,128,28,28]"},
        {wrong_linear, "H006", "Linear 'fc': got [1,512,7,7]"},
        {wrong_features, "H006", "declares in_features=32768, but its input has 8192"},
        {wrong_batch, "H011", "BatchNorm2d 'b1': 1 value per channel at batch 1"},
        {wrong_pad, "H014", "padding 2x2 is more than half of the kernel 2x2"},
        {wrong_mask, "H008", "output [1,5,4,4], target [1,1,8,8]"},
        {wrong_nesterov, "S016", "nesterov needs a momentum greater than 0"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[4096];
        assert_int_equal(errors_of(rows[i].f, text, sizeof text), EXIT_SPEC);
        if (!strstr(text, rows[i].id) || !strstr(text, rows[i].text)) fail_msg("%s", text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broadcasting),      cmocka_unit_test(shapes),
        cmocka_unit_test(replace_and_sweep), cmocka_unit_test(sweep_keeps_roots),
        cmocka_unit_test(text_round_trip),   cmocka_unit_test(reports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
