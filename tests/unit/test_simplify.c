/* Every rule of simplify: a graph that it rewrites, the graph that comes out, one that it must
 * leave alone. What comes out must also compute the same. */
#include "ref.h"
#include "simplify.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static double noise(uint64_t *s)
{
    *s = *s * 6364136223846793005u + 1442695040888963407u;
    return (double)(*s >> 33) / (double)(1u << 31) + 0.1;
}

/* Sum of all outputs and new states, each weighted by its place, on fixed values of inputs and
 * states. */
static double fingerprint(Arena *a, const Graph *g)
{
    RefEnv *env = ref_new(g);
    uint64_t seed = 1;
    double sum = 0;
    for (int i = 0; i < g->state.n; i++) {
        const State *s = g->state.v[i];
        double *x = NEWN(a, double, shape_count(s->shape));
        for (int64_t k = 0; k < shape_count(s->shape); k++) x[k] = noise(&seed);
        if (!s->part) ref_set_state(env, s, x);
    }
    for (int i = 0; i < g->node.n; i++) {
        const Node *n = g->node.v[i];
        if (!op_is(n, "Input")) continue;
        double *x = NEWN(a, double, shape_count(n->shape));
        uint64_t own = 7;
        for (const char *p = n->name; *p; p++) own = own * 31 + (uint64_t)*p;
        for (int64_t k = 0; k < shape_count(n->shape); k++) x[k] = noise(&own) - 0.6;
        ref_set_input(env, n->name, x);
    }
    ref_set_scalar(env, "seed", 3);
    ref_set_scalar(env, "step", 4);
    ref_set_scalar(env, "lr", 0.1);
    ref_run(env);
    for (int i = 0; i < g->output.n; i++) {
        const Node *n = g->output.v[i].node;
        for (int64_t k = 0; k < shape_count(n->shape); k++)
            sum += ref_value(env, n)[k] * (1 + sin((double)(k + 31 * i)));
    }
    ref_free(env);
    return sum;
}

static char *text_of(Arena *a, const Graph *g)
{
    Buf b = {0};
    graph_print(&b, g);
    char *s = arena_strdup(a, b.s);
    buf_free(&b);
    return s;
}

/* want NULL: the rule must not apply. */
static void expect(const char *rule, const char *before, const char *want)
{
    Arena *a = arena_new();
    Graph *g = graph_parse(a, "before", before);
    if (!g) diag_flush();
    assert_non_null(g);
    double value = fingerprint(a, g);
    const char *old = text_of(a, g);
    bool changed = simplify_rule(g, rule);
    graph_verify(g, rule);
    assert_int_equal(changed, want != NULL);
    Graph *w = want ? graph_parse(a, "want", want) : NULL;
    if (want && !w) diag_flush();
    assert_string_equal(text_of(a, g), want ? text_of(a, w) : old);
    assert_true(fabs(fingerprint(a, g) - value) <= 1e-9 * fmax(1, fabs(value)));
    arena_free(a);
}

static void rule_expand(void **state)
{
    (void)state;
    expect("expand", "%0 = Input f32 [2,3] #x\n%1 = Softmax %0\noutput y %1\n",
           "%0 = Input f32 [2,3] #x\n%1 = Max %0 axes=2\n%2 = Sub %0 %1\n%3 = Exp %2\n"
           "%4 = Sum %3 axes=2\n%5 = Div %3 %4\noutput y %5\n");
    expect("expand", "%0 = Input f32 [2,3] #x\n%1 = ReLU %0\noutput y %1\n", NULL);
}

static void rule_merge_copies(void **state)
{
    (void)state;
    expect("merge-copies",
           "%0 = Input f32 [2,3,2,1] #x\n%1 = Flatten %0\n%2 = Reshape %1 shape=[2,3,2,1]\n"
           "%3 = Neg %2\noutput y %3\n",
           "%0 = Input f32 [2,3,2,1] #x\n%1 = Neg %0\noutput y %1\n");
    expect("merge-copies", "%0 = Input f32 [2,3,2,1] #x\n%1 = Flatten %0\noutput y %1\n", NULL);
}

static void rule_sink_copies(void **state)
{
    (void)state;
    expect("sink-copies",
           "%0 = Input f32 [2,3,2,1] #x\n%1 = Input f32 [2,3,2,1] #z\n%2 = Flatten %0\n"
           "%3 = Flatten %1\n%4 = Add %2 %3\noutput y %4\n",
           "%0 = Input f32 [2,3,2,1] #x\n%1 = Input f32 [2,3,2,1] #z\n%2 = Add %0 %1\n"
           "%3 = Reshape %2 shape=[2,6]\noutput y %3\n");
    expect("sink-copies",
           "%0 = Input f32 [2,3,2,1] #x\n%1 = Scalar i32 [] #seed\n%2 = Scalar i32 [] #step\n"
           "%3 = Flatten %0\n%4 = Dropout %3 %1 %2 number=1\noutput y %4\n",
           "%0 = Input f32 [2,3,2,1] #x\n%1 = Scalar i32 [] #seed\n%2 = Scalar i32 [] #step\n"
           "%3 = Dropout %0 %1 %2 number=1\n%4 = Reshape %3 shape=[2,6]\noutput y %4\n");
    /* a vector along the channels means something else before the copy */
    expect("sink-copies",
           "%0 = Input f32 [2,3,2,1] #x\n%1 = Input f32 [6] #b\n%2 = Flatten %0\n%3 = Add %2 %1\n"
           "output y %3\n",
           NULL);
    expect("sink-copies",
           "%0 = Input f32 [2,3,2,1] #x\n%1 = Input f32 [2,2,3,1] #z\n%2 = Flatten %0\n"
           "%3 = Flatten %1\n%4 = Add %2 %3\noutput y %4\n",
           NULL);
}

static void rule_flatten_linear(void **state)
{
    (void)state;
    const char *before = "state w param f32 [5,12] const(1,0)\n%0 = Input f32 [2,3,2,2] #x\n"
                         "%1 = State @w\n%2 = Flatten %0\n%3 = Linear %2 %1\n"
                         "%4 = LinearDgrad %3 %1\noutput y %3\noutput dx %4\n";
    const char *after = "state w param f32 [5,12] const(1,0) view [5,3,2,2]\n"
                        "%0 = Input f32 [2,3,2,2] #x\n%1 = State @w\n%2 = Linear %0 %1\n"
                        "%3 = LinearDgrad %2 %1\n%4 = Reshape %3 shape=[2,12]\n"
                        "output y %2\noutput dx %4\n";
    expect("flatten-linear", before, after);
    /* not an image; a state with a reader of another kind */
    expect("flatten-linear",
           "state w param f32 [5,12] const(1,0)\n%0 = Input f32 [2,12] #x\n%1 = State @w\n"
           "%2 = Linear %0 %1\noutput y %2\n",
           NULL);
    expect("flatten-linear",
           "state w param f32 [5,12] const(1,0)\n%0 = Input f32 [2,3,2,2] #x\n%1 = State @w\n"
           "%2 = Flatten %0\n%3 = Linear %2 %1\n%4 = Neg %1\noutput y %3\noutput z %4\n",
           NULL);
}

static void rule_flatten_wgrad(void **state)
{
    (void)state;
    expect("flatten-wgrad",
           "%0 = Input f32 [2,3,2,2] #x\n%1 = Input f32 [2,5] #dy\n%2 = Flatten %0\n"
           "%3 = LinearWgrad %2 %1\noutput dw %3\n",
           "%0 = Input f32 [2,3,2,2] #x\n%1 = Input f32 [2,5] #dy\n%2 = LinearWgrad %0 %1\n"
           "%3 = Reshape %2 shape=[5,12]\noutput dw %3\n");
    expect("flatten-wgrad",
           "%0 = Input f32 [2,12] #x\n%1 = Input f32 [2,5] #dy\n%2 = LinearWgrad %0 %1\n"
           "output dw %2\n",
           NULL);
}

static void rule_pack_copies(void **state)
{
    (void)state;
    expect("pack-copies",
           "%0 = Input f32 [2,3] #x\n%1 = Reshape %0 shape=[6]\n%2 = Pack %1 %0\noutput y %2\n",
           "%0 = Input f32 [2,3] #x\n%1 = Pack %0 %0\noutput y %1\n");
    expect("pack-copies", "%0 = Input f32 [2,3] #x\n%1 = Pack %0\noutput y %1\n", NULL);
    /* the parameter's kernels index [6], those of its gradient [1,6] */
    expect("pack-copies",
           "state w param f32 [2,3] const(0,0) view [6]\ngroup weights param w\n"
           "%0 = Input f32 [1,6] #x\n%1 = Reshape %0 shape=[6]\n%2 = Pack %1\noutput y %2\n",
           NULL);
}

static void rule_identity(void **state)
{
    (void)state;
    expect("identity",
           "%0 = Input f32 [2,3] #x\n%1 = Const value=1\n%2 = Const\n%3 = Mul %1 %0\n"
           "%4 = Sub %3 %2\n%5 = Div %4 %1\n%6 = Add %2 %5\noutput y %6\n",
           "%0 = Input f32 [2,3] #x\noutput y %0\n");
    /* 0 - x, 1 / x, and a scalar that is broadcast */
    expect("identity",
           "%0 = Input f32 [2,3] #x\n%1 = Const value=1\n%2 = Const\n%3 = Sub %2 %0\n"
           "%4 = Div %1 %3\n%5 = Input f32 [] #s\n%6 = Mul %5 %1\n%7 = Add %4 %6\noutput y %7\n",
           "%0 = Input f32 [2,3] #x\n%1 = Const value=1\n%2 = Const\n%3 = Sub %2 %0\n"
           "%4 = Div %1 %3\n%5 = Input f32 [] #s\n%6 = Add %4 %5\noutput y %6\n");
    expect("identity", "%0 = Input f32 [2] #x\n%1 = Const value=2\n%2 = Mul %0 %1\noutput y %2\n",
           NULL);
}

static void rule_fold_constants(void **state)
{
    (void)state;
    expect("fold-constants",
           "%0 = Const value=2\n%1 = Const value=3\n%2 = Add %0 %1\n%3 = Mul %2 %2\noutput y %3\n",
           "%0 = Const value=25\noutput y %0\n");
    expect("fold-constants",
           "%0 = Const\n%1 = Const value=1\n%2 = Div %1 %0\n%3 = Exp %2\n"
           "%4 = Input f32 [] #x\noutput y %4\n",
           NULL);
}

static void rule_merge_scales(void **state)
{
    (void)state;
    expect("merge-scales",
           "%0 = Input f32 [2] #x\n%1 = Const value=2\n%2 = Const value=3\n%3 = Mul %0 %1\n"
           "%4 = Mul %3 %2\noutput y %4\n",
           "%0 = Input f32 [2] #x\n%1 = Const value=6\n%2 = Mul %0 %1\noutput y %2\n");
    expect("merge-scales",
           "%0 = Input f32 [2] #x\n%1 = Const value=2\n%2 = Const value=3\n%3 = Mul %0 %1\n"
           "%4 = Mul %3 %2\noutput y %4\noutput z %3\n",
           NULL);
}

static void rule_drop_broadcast(void **state)
{
    (void)state;
    expect("drop-broadcast",
           "%0 = Input f32 [2,3] #x\n%1 = Input f32 [] #s\n%2 = Broadcast %1 shape=[2,3]\n"
           "%3 = Mul %2 %0\noutput y %3\n",
           "%0 = Input f32 [2,3] #x\n%1 = Input f32 [] #s\n%2 = Mul %1 %0\noutput y %2\n");
    expect("drop-broadcast",
           "%0 = Input f32 [] #s\n%1 = Const value=2\n%2 = Broadcast %0 shape=[2,3]\n"
           "%3 = Mul %2 %1\noutput y %3\n",
           NULL);
}

static void rule_cse(void **state)
{
    (void)state;
    expect("cse",
           "%0 = Input f32 [2,3] #x\n%1 = Exp %0\n%2 = Exp %0\n%3 = Add %1 %2\noutput y %3\n",
           "%0 = Input f32 [2,3] #x\n%1 = Exp %0\n%2 = Add %1 %1\noutput y %2\n");
    expect(
        "cse",
        "%0 = Input f32 [2,3] #x\n%1 = LeakyReLU %0\n%2 = LeakyReLU %0 negative_slope=0.5\n"
        "%3 = Sub %1 %2\n%4 = Sub %2 %1\n%5 = Scalar f32 [] #lr\n%6 = Mul %3 %5\n%7 = Mul %4 %6\n"
        "output y %7\n",
        NULL);
    /* parts of a Pack: each has a place of its own in it */
    expect("cse",
           "%0 = Input f32 [2,3] #x\n%1 = Exp %0\n%2 = Exp %0\n%3 = Reshape %2 shape=[6]\n"
           "%4 = Pack %1 %3\noutput y %4\n",
           NULL);
}

#define POOLED                                                                                     \
    "%0 = Input f32 [2,3,4,4] #x\n%1 = Input f32 [2,3,2,2] #dp\n%2 = ReLU %0\n"                    \
    "%3 = MaxPool2d %2 kernel_size=(2,2)\n"

static void rule_pool_mask(void **state)
{
    (void)state;
    expect("pool-mask",
           POOLED "%4 = MaxPoolIndex %2 kernel_size=(2,2)\n"
                  "%5 = MaxPoolGrad %1 %4 kernel_size=(2,2) size=(4,4)\n%6 = ReLUGrad %2 %5\n"
                  "output y %3\noutput dx %6\n",
           POOLED "%4 = MaxPoolIndex %2 kernel_size=(2,2)\n%5 = ReLUGrad %3 %1\n"
                  "%6 = MaxPoolGrad %5 %4 kernel_size=(2,2) size=(4,4)\n"
                  "output y %3\noutput dx %6\n");
    /* the index is of another tensor than the mask; no pool of the same window */
    expect("pool-mask",
           POOLED "%4 = MaxPoolIndex %0 kernel_size=(2,2)\n"
                  "%5 = MaxPoolGrad %1 %4 kernel_size=(2,2) size=(4,4)\n%6 = ReLUGrad %2 %5\n"
                  "output y %3\noutput dx %6\n",
           NULL);
    expect("pool-mask",
           POOLED "%4 = MaxPoolIndex %2 kernel_size=(3,3) stride=(1,1)\n"
                  "%5 = MaxPoolGrad %1 %4 kernel_size=(3,3) stride=(1,1) size=(4,4)\n"
                  "%6 = ReLUGrad %2 %5\noutput y %3\noutput dx %6\n",
           NULL);
}

#define CONV                                                                                       \
    "state w param f32 [4,3,1,1] const(1,0)\nstate b param f32 [4] const(1,0)\n"                   \
    "state a buffer f32 [4] const(2,0)\n%0 = Input f32 [2,3,2,2] #x\n%1 = State @w\n"              \
    "%2 = State @b\n%3 = State @a\n"

static void rule_scale_over_bias(void **state)
{
    (void)state;
    expect("scale-over-bias",
           CONV "%4 = Conv2d %0 %1\n%5 = Add %4 %2\n%6 = Mul %5 %3\noutput y %6\n",
           CONV "%4 = Conv2d %0 %1\n%5 = Mul %4 %3\n%6 = Mul %2 %3\n%7 = Add %5 %6\noutput y %7\n");
    expect("scale-over-bias",
           CONV "%4 = Conv2d %0 %1\n%5 = Add %4 %2\n%6 = Mul %5 %3\noutput y %6\n"
                "output z %5\n",
           NULL);
}

static void rule_scale_into_weights(void **state)
{
    (void)state;
    expect("scale-into-weights",
           CONV "%4 = Conv2d %0 %1 padding=(1,1)\n%5 = Mul %4 %3\noutput y %5\n",
           "state w param f32 [4,3,1,1] const(1,0)\nstate b param f32 [4] const(1,0)\n"
           "state a buffer f32 [4] const(2,0)\n%0 = Input f32 [2,3,2,2] #x\n%1 = State @w\n"
           "%2 = State @a\n%3 = Reshape %2 shape=[4,1,1,1]\n%4 = Mul %1 %3\n"
           "%5 = Conv2d %0 %4 padding=(1,1)\noutput y %5\n");
    /* used twice; the factor is not a state's */
    expect("scale-into-weights",
           CONV "%4 = Conv2d %0 %1\n%5 = Mul %4 %3\n%6 = Add %4 %2\noutput y %5\noutput z %6\n",
           NULL);
    expect("scale-into-weights",
           CONV "%4 = Conv2d %0 %1\n%5 = Input f32 [4] #s\n%6 = Mul %4 %5\n%7 = Add %2 %3\n"
                "output y %6\noutput z %7\n",
           NULL);
}

static void rule_merge_biases(void **state)
{
    (void)state;
    expect("merge-biases", CONV "%4 = Conv2d %0 %1\n%5 = Add %4 %2\n%6 = Add %5 %3\noutput y %6\n",
           CONV "%4 = Conv2d %0 %1\n%5 = Add %2 %3\n%6 = Add %4 %5\noutput y %6\n");
    expect("merge-biases",
           CONV "%4 = Conv2d %0 %1\n%5 = Add %4 %2\n%6 = Add %5 %3\noutput y %6\noutput z %5\n",
           NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rule_expand),
        cmocka_unit_test(rule_merge_copies),
        cmocka_unit_test(rule_sink_copies),
        cmocka_unit_test(rule_flatten_linear),
        cmocka_unit_test(rule_flatten_wgrad),
        cmocka_unit_test(rule_pack_copies),
        cmocka_unit_test(rule_identity),
        cmocka_unit_test(rule_fold_constants),
        cmocka_unit_test(rule_merge_scales),
        cmocka_unit_test(rule_drop_broadcast),
        cmocka_unit_test(rule_cse),
        cmocka_unit_test(rule_pool_mask),
        cmocka_unit_test(rule_scale_over_bias),
        cmocka_unit_test(rule_scale_into_weights),
        cmocka_unit_test(rule_merge_biases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
