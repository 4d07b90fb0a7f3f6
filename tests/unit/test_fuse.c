/* Every rule of fusion (band: test_band.c): a graph whose nodes it joins, what is left when the rule is switched off,
 * and graphs that it must leave alone, with the reason it gives. */
#include "groups.h"
#include "stages.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const Machine *machine; /* NULL: any CPU */
static const char *const nest_names[] = {
    [NEST_POINTWISE] = "pointwise", [NEST_REDUCE] = "reduce",     [NEST_CONTRACT] = "contract",
    [NEST_WINDOW] = "window",       [NEST_WINDOW_T] = "window_t", [NEST_RESAMPLE] = "resample",
    [NEST_GATHER] = "gather",       [NEST_COPY] = "copy"};
static const char *const stage_names[] = {"pre", "anchor", "post", "pool", "last"};

/* A line for each group: "contract: %1 anchor, %2 post; first node's reason". */
static const char *text_of(Arena *a, const Groups *gs)
{
    Buf b = {0};
    for (int i = 0; i < gs->group.n; i++) {
        const Group *g = gs->group.v[i];
        const char *why = NULL;
        buf_printf(&b, "%s%s%s:", nest_names[g->nest], g->row ? " row" : "",
                   g->prep ? " prepare" : "");
        for (int k = 0; k < g->node.n; k++) {
            const Node *n = g->node.v[k];
            buf_printf(&b, "%s %%%d %s", k ? "," : "", n->id, stage_names[gs->stage[n->id]]);
            if (!why) why = gs->why[n->id];
        }
        buf_printf(&b, "%s%s\n", why ? "; " : "", why ? why : "");
    }
    char *s = arena_strdup(a, b.s ? b.s : "");
    buf_free(&b);
    return s;
}

static void expect_mode(const char *text, bool enable, const char *no_rule, const char *want)
{
    Arena *a = arena_new();
    Graph *g = graph_parse(a, "test", text);
    if (!g) diag_flush();
    assert_non_null(g);
    Groups *gs = fuse(a, g, enable, no_rule, machine);
    groups_verify(gs);
    assert_string_equal(text_of(a, gs), want);
    arena_free(a);
}

static void expect(const char *text, const char *want)
{
    expect_mode(text, true, NULL, want);
}

/* The reason why node `id` did not join. */
static void expect_why(const char *text, int id, const char *want)
{
    Arena *a = arena_new();
    Graph *g = graph_parse(a, "test", text);
    if (!g) diag_flush();
    assert_non_null(g);
    Groups *gs = fuse(a, g, true, NULL, machine);
    groups_verify(gs);
    if (!gs->why[id]) fail_msg("%%%d has joined:\n%s", id, text_of(a, gs));
    assert_string_equal(gs->why[id], want);
    arena_free(a);
}

#define T          "graph training\n"
#define READS_MANY "; it reads every input element many times: its input must be stored\n"

/* ---- row ---- */

#define SOFTMAX                                                                                    \
    T "%0 = Input f32 [4,10] #x\n%1 = Max %0 axes=2\n%2 = Sub %0 %1\n%3 = Exp %2\n"                \
      "%4 = Sum %3 axes=2\n%5 = Div %3 %4\noutput y %5\n"

static void rule_row(void **state)
{
    (void)state;
    expect(SOFTMAX, "reduce row: %1 anchor, %2 pre, %3 pre, %4 anchor, %5 pre\n");
    expect_mode(SOFTMAX, true, "row",
                "reduce row: %1 anchor\n"
                "pointwise: %2 pre, %3 pre; their loops have nothing in common\n"
                "reduce row: %4 anchor; their loops have nothing in common\n"
                "pointwise: %5 pre; their loops have nothing in common\n");
    /* elementwise work before becomes part of the row */
    expect(T "%0 = Input f32 [4,10] #x\n%1 = Exp %0\n%2 = Sum %1 axes=2\n%3 = Div %1 %2\n"
             "output y %3\n",
           "reduce row: %1 pre, %2 anchor, %3 pre\n");
    expect_why(T "state w param f32 [10,5] const(0,0)\n%0 = Input f32 [4,5] #x\n%1 = State @w\n"
                 "%2 = Linear %0 %1\n%3 = Sum %2 axes=2\noutput y %3\n",
               3,
               "a sum over channels needs whole rows, which its producer's kernel does not hold");
    expect_why(T "%0 = Input f32 [2,16,4,4] #x\n%1 = Sum %0 axes=2\n%2 = Sub %0 %1\n"
                 "%3 = MaxPool2d %2 kernel_size=(2,2)\noutput y %3\n",
               3, "it does not work on one row at a time");
    expect_why(T "%0 = Input f32 [4,10] #x\n%1 = Sum %0 axes=2\n%2 = Input f32 [4,7] #z\n"
                 "%3 = Mul %2 %1\noutput y %3\n",
               3, "its rows have another shape");
}

/* ---- epilogue ---- */

#define CONV                                                                                       \
    T "state w param f32 [16,3,3,3] const(0,0)\nstate b param f32 [16] const(0,0)\n"               \
      "%0 = Input f32 [2,3,8,8] #x\n%1 = State @w\n%2 = State @b\n"                                \
      "%3 = Conv2d %0 %1 padding=(1,1)\n%4 = Add %3 %2\n%5 = ReLU %4\n"

static void rule_epilogue(void **state)
{
    (void)state;
    expect(CONV "output y %5\n", "contract: %3 anchor, %4 post, %5 post" READS_MANY);
    expect_mode(CONV "output y %5\n", true, "epilogue",
                "contract: %3 anchor" READS_MANY
                "pointwise: %4 pre; their loops have nothing in common\n"
                "pointwise: %5 pre; their loops have nothing in common\n");
    /* behind a reduction, on its few results */
    expect(T "%0 = Input f32 [2,3,8,8] #x\n%1 = Sum %0 axes=13\n%2 = Exp %1\noutput y %2\n",
           "reduce: %1 anchor, %2 post\n");
    expect_why(T "%0 = Input f32 [2,3,2,2] #x\n%1 = Flatten %0\n%2 = Exp %1\noutput y %2\n", 2,
               "its producer rearranges memory");
    expect_why(T "%0 = Input f32 [16] #x\n%1 = Exp %0\n%2 = Input f32 [2,16,4,4] #z\n"
                 "%3 = Mul %2 %1\noutput y %3\n",
               3, "its elements are not those of its producer's kernel");
    expect_why(T "%0 = Input f32 [2,3,1,1] #x\n%1 = Exp %0\n%2 = Sum %1 axes=12\n%3 = Add %1 %2\n"
                 "output y %3\n",
               3, "it needs the reduction's input again");
    expect_why(CONV "%6 = MaxPool2d %5 kernel_size=(1,1)\n%7 = Add %6 %5\noutput y %7\n", 7,
               "it needs the values before pooling again");
}

/* ---- pool ---- */

#define POOL(attrs) CONV "%6 = MaxPool2d %5 " attrs "\noutput y %6\n"

static void rule_pool(void **state)
{
    (void)state;
    expect(POOL("kernel_size=(2,2)"), "contract: %3 anchor, %4 post, %5 post, %6 pool" READS_MANY);
    expect_mode(POOL("kernel_size=(2,2)"), true, "pool",
                "contract: %3 anchor, %4 post, %5 post" READS_MANY
                "window: %6 anchor; their loops have nothing in common\n");
    /* the maximum, its place, and what follows */
    expect(CONV "%6 = MaxPool2d %5 kernel_size=(2,2)\n%7 = MaxPoolIndex %5 kernel_size=(2,2)\n"
                "%8 = Exp %6\noutput y %8\noutput i %7\n",
           "contract: %3 anchor, %4 post, %5 post, %6 pool, %7 pool, %8 last" READS_MANY);
    expect_why(POOL("kernel_size=(2,2) stride=(1,1)"), 6, "its windows overlap or are padded");
    expect_why(POOL("kernel_size=(2,2) padding=(1,1)"), 6, "its windows overlap or are padded");
    expect_why(POOL("kernel_size=(4,4)"), 6, "its windows are larger than the accumulator tile");
    expect_why(POOL("kernel_size=(3,1)"), 6, "the plane is not a multiple of the window");
    expect_why(CONV "%6 = MaxPool2d %5 kernel_size=(2,2)\n%7 = AvgPool2d %5 kernel_size=(1,2)\n"
                    "output y %6\noutput z %7\n",
               7, "another pooling already ends this kernel");
    expect_why(T "state w param f32 [4,3,3,3] const(0,0)\n%0 = Input f32 [2,3,8,8] #x\n"
                 "%1 = State @w\n%2 = Conv2d %0 %1 padding=(1,1)\n"
                 "%3 = MaxPool2d %2 kernel_size=(2,2)\noutput y %3\n",
               3, "there are too few channels for a vector");
    expect_why(T "state w param f32 [16,4,3,3] const(0,0)\n%0 = Input f32 [2,8,8,8] #x\n"
                 "%1 = State @w\n%2 = Conv2d %0 %1 padding=(1,1) groups=2\n"
                 "%3 = MaxPool2d %2 kernel_size=(2,2)\noutput y %3\n",
               3, "channel groups may cut vectors");
    expect_why(T "state w param f32 [8,16,2,2] const(0,0)\n%0 = Input f32 [2,8,4,4] #dy\n"
                 "%1 = State @w\n%2 = ConvDgrad %0 %1 stride=(2,2) size=(8,8)\n"
                 "%3 = MaxPool2d %2 kernel_size=(2,2)\noutput y %3\n",
               3, "the contraction comes in phases");
}

/* ---- gather ---- */

#define POOLED(attrs)                                                                              \
    T "%0 = Input f32 [2,16,4,4] #dy\n%1 = Input f32 [2,16,8,8] #x\n"                              \
      "%2 = MaxPoolIndex %1 " attrs "\n%3 = MaxPoolGrad %0 %2 " attrs " size=(8,8)\n"
#define THREE "kernel_size=(3,3) stride=(2,2) padding=(1,1)"

static void rule_gather(void **state)
{
    (void)state;
    expect(POOLED(THREE) "%4 = Mul %3 %1\n%5 = Sum %4 axes=13\noutput s %5\n",
           "window: %2 anchor\nreduce: %3 pre, %4 pre, %5 anchor; it gathers from whole windows: its input must be stored\n");
    expect(POOLED(THREE) "%4 = Sum %3 axes=13\noutput s %4\n",
           "window: %2 anchor\nreduce: %3 pre, %4 anchor; it gathers from whole windows: its input must be stored\n");
    expect_mode(POOLED(THREE) "%4 = Mul %3 %1\n%5 = Sum %4 axes=13\noutput s %5\n", true, "gather",
                "window: %2 anchor\n"
                "window_t: %3 anchor; it gathers from whole windows: its input must be stored\n"
                "reduce: %4 pre, %5 anchor; only sums read it: they compute it where they sum\n");
    expect_why(POOLED(THREE) "%4 = Mul %3 %1\n%5 = Sum %4 axes=13\noutput s %5\noutput x %3\n", 4,
               "only sums read it: they compute it where they sum");
    expect_why(POOLED(THREE) "%4 = Sum %3 axes=13\noutput s %4\noutput x %3\n", 4,
               "a sum is not taken inside of its producer's kernel");
    /* 25 taps at a distance of 1: 25 windows */
    expect_why(T "%0 = Input f32 [2,16,8,8] #dy\n%1 = Input f32 [2,16,8,8] #x\n"
                 "%2 = MaxPoolIndex %1 kernel_size=(5,5) stride=(1,1) padding=(2,2)\n"
                 "%3 = MaxPoolGrad %0 %2 kernel_size=(5,5) stride=(1,1) padding=(2,2) size=(8,8)\n"
                 "%4 = Sum %3 axes=13\noutput s %4\n",
               4, "a sum is not taken inside of its producer's kernel");
    /* a mean over part of a window would need its size */
    expect_why(T "%0 = Input f32 [2,16,4,4] #dy\n%1 = AvgPoolGrad %0 kernel_size=(3,3) stride=(2,2) padding=(1,1) "
                 "size=(8,8)\n%2 = Sum %1 axes=13\noutput s %2\n",
               2, "a sum is not taken inside of its producer's kernel");
}

/* ---- prologue ---- */

#define SQUARES T "%0 = Input f32 [2,3,8,8] #x\n%1 = Mul %0 %0\n%2 = Sum %1 axes=13\noutput y %2\n"

static void rule_prologue(void **state)
{
    (void)state;
    expect(SQUARES, "reduce: %1 pre, %2 anchor\n");
    expect_mode(SQUARES, true, "prologue",
                "pointwise: %1 pre\nreduce: %2 anchor; their loops have nothing in common\n");
    /* a value that is wanted is stored on the way */
    expect(SQUARES "output z %1\n", "reduce: %1 pre, %2 anchor\n");
    expect_why(CONV "%6 = Sum %3 axes=13\noutput y %6\noutput z %5\n", 6,
               "a sum is not taken inside of its producer's kernel");
    expect_why(T "%0 = Input f32 [8] #x\n%1 = Mul %0 %0\n%2 = Sum %1 axes=1\noutput y %2\n", 2,
               "its producer works on a vector");
}

#define SHIFTED                                                                                    \
    T "state b param f32 [16] const(0,0)\n%0 = Input f32 [2,16,8,8] #x\n%1 = State @b\n"           \
      "%2 = Add %0 %1\n%3 = ReLU %2\n%4 = MaxPool2d %3 kernel_size=(3,3) stride=(2,2) padding=(1,1)\n"

static void window_prologue(void **state)
{
    (void)state;
    expect(SHIFTED "output y %4\n", "window: %2 pre, %3 pre, %4 anchor\n");
    /* with its place beside it */
    expect(SHIFTED "%5 = MaxPoolIndex %3 kernel_size=(3,3) stride=(2,2) padding=(1,1)\noutput y %4\noutput i %5\n",
           "window: %2 pre, %3 pre, %4 anchor, %5 anchor\n");
    expect_mode(SHIFTED "output y %4\n", true, "prologue",
                "pointwise: %2 pre, %3 pre\nwindow: %4 anchor; their loops have nothing in common\n");
    /* a second window that will not join the first one reads what must be stored, then */
    expect_mode(SHIFTED "%5 = MaxPoolIndex %3 kernel_size=(3,3) stride=(2,2) padding=(1,1)\noutput y %4\noutput i %5\n", true, "sibling",
                "pointwise: %2 pre, %3 pre\nwindow: %4 anchor; others read its input, which is stored anyway\n"
                "window: %5 anchor; others read its input, which is stored anyway\n");
    /* stored anyway: for its own sake, or for others */
    expect_why(SHIFTED "output y %4\noutput z %3\n", 4, "others read its input, which is stored anyway");
    expect_why(SHIFTED "%5 = AvgPool2d %2 kernel_size=(2,2)\noutput y %4\noutput z %5\n", 4,
               "others read its input, which is stored anyway");
    /* not several times what takes long; once is as good as anywhere */
    expect_why(T "%0 = Input f32 [2,16,8,8] #x\n%1 = Exp %0\n"
                 "%2 = MaxPool2d %1 kernel_size=(3,3) stride=(1,1)\noutput y %2\n",
               2, "its windows overlap: its input would be computed several times");
    expect(T "%0 = Input f32 [2,16,8,8] #x\n%1 = Exp %0\n%2 = MaxPool2d %1 kernel_size=(2,2)\noutput y %2\n",
           "window: %1 pre, %2 anchor\n");
}

/* ---- sibling ---- */

#define MAXIMUM                                                                                    \
    T "%0 = Input f32 [2,16,8,8] #x\n%1 = MaxPool2d %0 kernel_size=(3,3)\n"                        \
      "%2 = MaxPoolIndex %0 kernel_size=(3,3)\noutput y %1\noutput i %2\n"

static void rule_sibling(void **state)
{
    (void)state;
    expect(MAXIMUM, "window: %1 anchor, %2 anchor\n");
    expect_mode(MAXIMUM, true, "sibling", "window: %1 anchor\nwindow: %2 anchor\n");
    /* sums of a tensor and of its squares */
    expect(T "%0 = Input f32 [2,3,8,8] #x\n%1 = Sum %0 axes=13\n%2 = Mul %0 %0\n"
             "%3 = Sum %2 axes=13\noutput y %1\noutput z %3\n",
           "reduce: %1 anchor, %2 pre, %3 anchor\n");
    /* other windows, other axes */
    expect(T "%0 = Input f32 [2,16,9,9] #x\n%1 = MaxPool2d %0 kernel_size=(3,3)\n"
             "%2 = AvgPool2d %0 kernel_size=(2,2)\noutput y %1\noutput z %2\n",
           "window: %1 anchor\nwindow: %2 anchor\n");
    expect(T "%0 = Input f32 [2,3,8,8] #x\n%1 = Sum %0 axes=13\n%2 = Sum %0 axes=12\n"
             "output y %1\noutput z %2\n",
           "reduce: %1 anchor\nreduce: %2 anchor\n");
    /* the second sum needs the first one */
    expect(
        T "%0 = Input f32 [2,3,8,8] #x\n%1 = Sum %0 axes=13\n%2 = Sub %0 %1\n%3 = Mul %2 %2\n"
          "%4 = Sum %3 axes=13\noutput y %4\n",
        "reduce: %1 anchor\n"
        "reduce: %2 pre, %3 pre, %4 anchor; its elements are not those of its producer's kernel\n");
    /* no more than a kernel has accumulators for */
    expect(T "%0 = Input f32 [2,3,8,8] #x\n%1 = Sum %0 axes=13\n%2 = Sum %0 axes=13\n"
             "%3 = Sum %0 axes=13\n%4 = Sum %0 axes=13\n%5 = Sum %0 axes=13\n"
             "%6 = Sum %0 axes=13\n%7 = Sum %0 axes=13\n%8 = Sum %0 axes=13\n"
             "%9 = Sum %0 axes=13\n%10 = Pack %1 %2 %3 %4 %5 %6 %7 %8 %9\noutput y %10\n",
           "reduce: %1 anchor, %2 anchor, %3 anchor, %4 anchor, %5 anchor, %6 anchor, %7 anchor, "
           "%8 anchor\nreduce: %9 anchor\n");
}

/* ---- what is not a rule of the table ---- */

static void producers_come_along(void **state)
{
    (void)state;
    /* sigmoid of another input, multiplied into a convolution's result: no kernel of its own */
    expect(T "state w param f32 [16,3,3,3] const(0,0)\n%0 = Input f32 [2,3,8,8] #x\n"
             "%1 = State @w\n%2 = Input f32 [2,16,6,6] #z\n%3 = Sigmoid %2\n%4 = Conv2d %0 %1\n"
             "%5 = Mul %4 %3\noutput y %5\n",
           "contract: %3 post, %4 anchor, %5 post" READS_MANY);
    /* the convolution reads it as well: it must be in memory first */
    expect(T "state w param f32 [16,16,1,1] const(0,0)\n%0 = Input f32 [2,16,8,8] #x\n"
             "%1 = State @w\n%2 = ReLU %0\n%3 = Conv2d %2 %1\n%4 = Add %2 %3\noutput y %4\n",
           "pointwise: %2 pre\ncontract: %3 anchor, %4 post" READS_MANY);
    /* so does a window */
    expect(T "%0 = Input f32 [2,16,8,8] #x\n%1 = ReLU %0\n"
             "%2 = MaxPool2d %1 kernel_size=(3,3) stride=(1,1) padding=(1,1)\n%3 = Add %1 %2\n"
             "output y %3\n",
           "pointwise: %1 pre\nwindow: %2 anchor, %3 post; others read its input, which is stored anyway\n");
}

static void only_sums_read_it(void **state)
{
    (void)state;
    expect(
        CONV "%6 = Sum %5 axes=13\noutput y %6\n",
        "contract: %3 anchor" READS_MANY
        "reduce: %4 pre, %5 pre, %6 anchor; only sums read it: they compute it where they sum\n");
}

static void scalars_are_recomputed(void **state)
{
    (void)state;
    expect(T "state w param f32 [5,3] const(0,0)\n%0 = State @w\n%1 = Scalar f32 [] #lr\n"
             "%2 = Scalar f32 [] #bias_correction1\n%3 = Div %1 %2\n%4 = Mul %0 %3\n"
             "%5 = Assign %4 @w\n",
           "pointwise: %4 pre\n");
    /* one that is an output is stored */
    expect(T "%0 = Scalar f32 [] #lr\n%1 = Neg %0\noutput y %1\n", "pointwise: %1 pre\n");
}

static void weights_are_prepared(void **state)
{
    (void)state;
    expect("state w param f32 [16,3,3,3] const(0,0)\nstate s buffer f32 [16,1,1,1] const(1,0)\n"
           "%0 = Input f32 [2,3,8,8] #x\n%1 = State @w\n%2 = State @s\n%3 = Mul %1 %2\n"
           "%4 = Conv2d %0 %3\noutput y %4\n",
           "pointwise prepare: %3 pre\ncontract: %4 anchor" READS_MANY);
    expect_why("state a param f32 [2,3] const(0,0)\n%0 = Input f32 [2,3] #x\n%1 = State @a\n"
               "%2 = Exp %1\n%3 = Add %0 %2\noutput y %3\n",
               3, "one of them runs only once after the weights changed");
    /* while training, the weights change in every step */
    expect(T "state a param f32 [2,3] const(0,0)\n%0 = Input f32 [2,3] #x\n%1 = State @a\n"
             "%2 = Exp %1\n%3 = Add %0 %2\noutput y %3\n",
           "pointwise: %2 pre, %3 pre\n");
}

static void cycles_are_refused(void **state)
{
    (void)state;
    /* %3 would join %1's kernel, but waits for %2, which waits for that kernel */
    expect(T "%0 = Input f32 [2,3,4,4] #x\n%1 = Exp %0\n%2 = Reshape %1 shape=[2,3,4,4]\n"
             "%3 = Add %1 %2\noutput y %3\n",
           "pointwise: %1 pre\ncopy: %2 anchor; it rearranges memory\n"
           "pointwise: %3 pre; its producer rearranges memory\n");
    /* an elementwise producer does not come along past what lies between */
    expect(CONV "%6 = Exp %0\n%7 = Sum %6 axes=15\n%8 = Mul %5 %7\noutput y %8\n",
           "reduce: %6 pre, %7 anchor\n"
           "contract: %3 anchor, %4 post, %5 post, %8 post" READS_MANY);
}

/* A tile of Winograd's results has room for windows that no registers hold. */
static void rule_pool_of_tiles(void **state)
{
    (void)state;
    static const struct {
        const char *channels, *window, *machine;
        bool exact, joins;
    } tries[] = {{"3", "4,4", "x86-64-v3", false, true}, {"16", "4,4", "x86-64-v4", false, true}, {"16", "2,4", "aarch64", false, true},
                 {"2", "4,4", "x86-64-v3", false, false}, {"3", "8,8", "x86-64-v3", false, false}, {"3", "4,4", "x86-64-v3", true, false},
                 {"3", "4,4", "sm_80", false, false}};
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        Arena *a = arena_new();
        const char *c = tries[i].channels;
        Graph *g = graph_parse(a, "test", arena_printf(a, "graph\nstate w param f32 [32,%s,3,3] const(0,0)\n%%0 = Input f32 [2,%s,16,16] #x\n"
                               "%%1 = State @w\n%%2 = Conv2d %%0 %%1 padding=(1,1)\n%%3 = MaxPool2d %%2 kernel_size=(%s)\noutput y %%3\n",
                               c, c, tries[i].window));
        assert_non_null(g);
        g->exact = tries[i].exact;
        Groups *gs = fuse(a, g, true, "band", machine_find(a, tries[i].machine));
        groups_verify(gs);
        assert_int_equal(gs->of[3] == gs->of[2], tries[i].joins);
        arena_free(a);
    }
}

static void switched_off(void **state)
{
    (void)state;
    expect_mode(CONV "output y %5\n", false, NULL,
                "contract: %3 anchor; fusion is off\npointwise: %4 pre; fusion is off\n"
                "pointwise: %5 pre; fusion is off\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rule_row),
        cmocka_unit_test(rule_epilogue),
        cmocka_unit_test(rule_pool),
        cmocka_unit_test(rule_pool_of_tiles),
        cmocka_unit_test(rule_gather),
        cmocka_unit_test(rule_prologue),
        cmocka_unit_test(window_prologue),
        cmocka_unit_test(rule_sibling),
        cmocka_unit_test(producers_come_along),
        cmocka_unit_test(only_sums_read_it),
        cmocka_unit_test(scalars_are_recomputed),
        cmocka_unit_test(weights_are_prepared),
        cmocka_unit_test(cycles_are_refused),
        cmocka_unit_test(switched_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
