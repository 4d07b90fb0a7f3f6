/* What `sinter verify` judges with: planted errors are found, rounding and ties are not errors; contractions from
 * their description agree with the references on every sample of every contraction, and on sizes that threads share. */
#include "ops/op.h"
#include "verify.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { COUNT = 1000 };
static const double TOLERANCE = 1e-5;

static void fill(double *x, int64_t n, const char *name)
{
    for (int64_t i = 0; i < n; i++) x[i] = 2 * verify_random(1, name, (uint64_t)i) - 1;
}

/* ---- comparing ---- */

static void rounding_passes(void **state)
{
    (void)state;
    double x[COUNT], y[COUNT];
    fill(x, COUNT, "x");
    for (int i = 0; i < COUNT; i++) y[i] = (double)(float)x[i];
    VerifyDiff d = verify_compare(y, x, NULL, COUNT, TOLERANCE);
    assert_true(d.ok);
    assert_true(d.l2 > 0 && d.l2 < 1e-7);
}

static void one_element_is_found(void **state)
{
    (void)state;
    double x[COUNT], y[COUNT];
    fill(x, COUNT, "x");
    memcpy(y, x, sizeof x);
    y[417] += 2e-4;
    VerifyDiff d = verify_compare(y, x, NULL, COUNT, TOLERANCE);
    assert_false(d.ok);
    assert_int_equal(d.at, 417);
    assert_int_equal(d.differ, 1);
    assert_true(d.got == y[417] && d.want == x[417]);
}

/* No element is far off, but all of them are a little. */
static void a_factor_is_found(void **state)
{
    (void)state;
    double x[COUNT], y[COUNT];
    fill(x, COUNT, "x");
    for (int i = 0; i < COUNT; i++) y[i] = x[i] * (1 + 3e-5);
    VerifyDiff d = verify_compare(y, x, NULL, COUNT, TOLERANCE);
    assert_false(d.ok);
    assert_int_equal(d.differ, 0);
    assert_true(fabs(d.l2 - 3e-5) < 1e-9);
}

static void zeros_and_scale(void **state)
{
    (void)state;
    double zero[4] = {0}, tiny[4] = {1e-9, -2e-9, 3e-9, 1e-9}, off[4] = {1e-9, -2e-9, 3e-9, 2e-9};
    assert_true(verify_compare(zero, zero, NULL, 4, TOLERANCE).ok);
    assert_false(verify_compare(tiny, zero, NULL, 4, TOLERANCE).ok);
    assert_false(verify_compare(zero, tiny, NULL, 4, TOLERANCE).ok);
    assert_false(
        verify_compare(off, tiny, NULL, 4, TOLERANCE).ok); /* small numbers are not small errors */
    assert_true(verify_compare(zero, zero, NULL, 0, TOLERANCE).ok);
}

static void not_finite(void **state)
{
    (void)state;
    double want[3] = {1, INFINITY, NAN}, same[3] = {1, INFINITY, NAN},
           other[3] = {1, -INFINITY, NAN};
    double missing[3] = {NAN, INFINITY, NAN}, plain[3] = {1, 2, 3};
    assert_true(verify_compare(same, want, NULL, 3, TOLERANCE).ok);
    assert_false(verify_compare(other, want, NULL, 3, TOLERANCE).ok);
    VerifyDiff d = verify_compare(missing, want, NULL, 3, TOLERANCE);
    assert_false(d.ok);
    assert_int_equal(d.at, 0);
    assert_false(verify_compare(same, plain, NULL, 3, TOLERANCE).ok);
}

static void noise_explains_what_it_can(void **state)
{
    (void)state;
    double want[4] = {1, 1e-3, -1, 2}, got[4] = {1, 2e-3, -1, 2}, noise[4] = {0, 2e-3, 0, 0};
    assert_false(verify_compare(got, want, NULL, 4, TOLERANCE).ok);
    assert_true(verify_compare(got, want, noise, 4, TOLERANCE).ok);
    got[2] = -1.1;
    assert_false(verify_compare(got, want, noise, 4, TOLERANCE).ok);
}

/* ---- places of maxima ---- */

static Graph *pool_index(Arena *a, Node **index)
{
    Graph *g = graph_new(a);
    Node *x = graph_input(g, "input", DT_F32, shape_make(4, 1, 1, 2, 4));
    AttrVal attr[MAX_ATTR];
    op_default_attrs(op_find("MaxPoolIndex"), attr);
    int k = attr_index(op_find("MaxPoolIndex"), "kernel_size"),
        s = attr_index(op_find("MaxPoolIndex"), "stride");
    attr[k].i[0] = attr[k].i[1] = attr[s].i[0] = attr[s].i[1] = 2;
    *index = g_op_attr(g, "MaxPoolIndex", attr, 1, x);
    return g;
}

static void ties_pass_and_others_do_not(void **state)
{
    (void)state;
    Arena *a = arena_new();
    Node *index;
    pool_index(a, &index);
    /* windows of columns 0-1 and 2-3; in the second one two taps are as good as equal */
    const double x[8] = {0.1, 0.9, 0.5, 0.5 + 1e-8, 0.2, 0.3, 0.1, 0.2};
    const double want[2] = {1, 1}, tie[2] = {1, 0}, wrong[2] = {0, 1}, outside[2] = {1, 9};
    assert_true(verify_compare_whole(index, want, want, x, TOLERANCE).ok);
    assert_true(verify_compare_whole(index, tie, want, x, TOLERANCE).ok);
    VerifyDiff d = verify_compare_whole(index, wrong, want, x, TOLERANCE);
    assert_false(d.ok);
    assert_int_equal(d.at, 0);
    assert_false(verify_compare_whole(index, outside, want, x, TOLERANCE).ok);
    assert_false(verify_compare_whole(index, tie, want, NULL, TOLERANCE).ok);
    arena_free(a);
}

/* ---- contractions ---- */

/* "f[2,3,7,5] f[4,3,3,3]" -> an input of every shape. */
static int sample_inputs(Graph *g, const char *text, Node **in)
{
    int n = 0;
    for (const char *p = strchr(text, '['); p; p = strchr(p, '[')) {
        Shape s = {0};
        for (p++; *p && *p != ']'; p += *p == ',') s.dim[s.rank++] = strtoll(p, (char **)&p, 10);
        in[n] = graph_input(g, n ? "b" : "a", DT_F32, s);
        n++;
    }
    return n;
}

static void set_attrs(Arena *a, const OpDef *op, const char *text, AttrVal *attr)
{
    Node n = {.op = op};
    op_default_attrs(op, n.attr);
    char *words = arena_strdup(a, text), *rest = words, *word;
    while ((word = strtok_r(rest, " ", &rest))) {
        char *eq = strchr(word, '=');
        *eq = 0;
        assert_true(op_parse_attr(a, &n, word, eq + 1));
    }
    memcpy(attr, n.attr, sizeof n.attr);
}

static void against_reference(Arena *a, const Node *n)
{
    enum { THREADS = 3 };
    const double *in[2];
    int64_t count = shape_count(n->shape);
    double *want = NEWN(a, double, count + 1), *got = NEWN(a, double, count + 1);
    for (int i = 0; i < 2; i++) {
        double *x = NEWN(a, double, shape_count(n->in[i]->shape) + 1);
        fill(x, shape_count(n->in[i]->shape), i ? "b" : "a");
        in[i] = x;
    }
    n->op->ref(n, in, want);
    verify_contract(n, in[0], in[1], got, THREADS);
    VerifyDiff d = verify_compare(got, want, NULL, count, 1e-12);
    if (!d.ok)
        print_error("%s: element %lld is %g, should be %g\n", op_name(n->op), (long long)d.at,
                    d.got, d.want);
    assert_true(d.ok);
}

static void sample(const OpDef *op, const char *in, const char *attrs)
{
    Arena *a = arena_new();
    Graph *g = graph_new(a);
    Node *node[8];
    AttrVal attr[MAX_ATTR];
    set_attrs(a, op, attrs, attr);
    int n = sample_inputs(g, in, node);
    Node *out = graph_add(g, op, node, n, attr);
    assert_non_null(out);
    against_reference(a, out);
    arena_free(a);
}

static void contractions_agree(void **state)
{
    (void)state;
    int samples = 0;
    for (int i = 0; op_table[i]; i++) {
        if (op_table[i]->nest != NEST_CONTRACT) continue;
        for (const Sample *s = op_table[i]->samples; s->in; s++, samples++)
            sample(op_table[i], s->in, s->attrs);
    }
    assert_true(samples > 20);
}

static void threads_share(void **state)
{
    (void)state;
    sample(op_find("Conv2d"), "f[2,16,15,13] f[24,16,3,3]", "stride=2 padding=1");
    sample(op_find("ConvDgrad"), "f[2,24,8,7] f[24,16,3,3]", "size=(15,13) stride=2 padding=1");
    sample(op_find("ConvWgrad"), "f[2,16,15,13] f[2,24,8,7]", "size=(3,3) stride=2 padding=1");
    sample(op_find("ConvWgrad"), "f[2,16,16,16] f[2,24,14,14]",
           "size=(3,3)"); /* two axes of 14 are summed */
    sample(op_find("Linear"), "f[9,301] f[101,301]", "");
}

typedef struct Seen {
    int count[100];
} Seen;

static void see(void *x, int64_t begin, int64_t end)
{
    Seen *s = x;
    for (int64_t i = begin; i < end; i++) s->count[i]++;
}

static void parts_cover_everything_once(void **state)
{
    (void)state;
    for (int threads = 1; threads < 9; threads++)
        for (int n = 0; n < 100; n += 7) {
            Seen s = {0};
            verify_parallel(threads, n, see, &s);
            for (int i = 0; i < 100; i++) assert_int_equal(s.count[i], i < n);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounding_passes),
        cmocka_unit_test(one_element_is_found),
        cmocka_unit_test(a_factor_is_found),
        cmocka_unit_test(zeros_and_scale),
        cmocka_unit_test(not_finite),
        cmocka_unit_test(noise_explains_what_it_can),
        cmocka_unit_test(ties_pass_and_others_do_not),
        cmocka_unit_test(contractions_agree),
        cmocka_unit_test(threads_share),
        cmocka_unit_test(parts_cover_everything_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
