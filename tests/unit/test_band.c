/* Windows of few rows behind a contraction (fuse_band.c, nests/contract_band.c): which join it and which do not, and why;
 * and that the numbers are the reference's, by loops and compiled, in any order of tasks. */
/* clang-format off: cmocka wants these before it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include "random_data.h"
#include "run_graph.h"
#include "support/diag.h"
#include <stdio.h>
#include <string.h>

/* A convolution of `channels` channels of a plane into `out` ones, plus a bias, and ReLU. */
#define CONV(images, channels, plane, out, window, attrs)                                                              \
    "graph\nstate w param f32 [" out "," channels "," window "] const(0,0)\nstate b param f32 [" out "] const(0,0)\n"  \
    "state d param f32 [" out ",1,3,3] const(0,0)\nstate e param f32 [" out ",1,5,4] const(0,0)\n"                     \
    "%0 = Input f32 [" images "," channels "," plane "] #x\n%1 = State @w\n%2 = State @b\n%3 = State @d\n%4 = State @e\n"  \
    "%5 = Conv2d %0 %1" attrs "\n%6 = Add %5 %2\n%7 = ReLU %6\n"
#define ONES(images, channels, plane, out)  CONV(images, channels, plane, out, "1,1", "")
#define DEPTHWISE(groups, attrs) "%8 = Conv2d %7 %3 groups=(" groups ")" attrs "\n"
#define RESULT "output output %8\n"

/* A machine whose caches hold less than any image here; or that of a name. */
static const Machine *small_caches(Arena *a, const char *name)
{
    Machine *m = NEW(a, Machine);
    *m = *machine_find(a, name);
    m->l2 = 1 << 10;
    return m;
}

/* why: the window, node number 8, is not behind the contraction; NULL: it is. */
static void expect_exact(const char *text, const Machine *m, bool exact, const char *why)
{
    Arena *a = arena_new();
    Graph *g = graph_parse(a, "test", text);
    if (!g) diag_flush();
    assert_non_null(g);
    g->exact = exact;
    const Groups *gs = fuse(a, g, true, NULL, m);
    groups_verify(gs);
    bool joined = gs->of[8] == gs->of[5] && gs->of[5]->band;
    if (joined != !why) fail_msg("%s:\n%s", joined ? "has joined" : gs->why[8], text);
    if (why) assert_string_equal(gs->why[8], why);
    arena_free(a);
}

static void expect(const char *text, const Machine *m, const char *why)
{
    expect_exact(text, m, false, why);
}

static void who_joins(void **state)
{
    static const char rows[] = "its producer does not compute row by row", read[] = "others read its input, which is stored anyway";
    static const char held[] = "caches hold an image of its input, whose rows are too short for tiles";
    static const char few[] = "its windows are no few rows that follow each other";
    (void)state;
    Arena *a = arena_new();
    const Machine *m = small_caches(a, "x86-64-v3"), *large = machine_find(a, "x86-64-v3");
    expect(ONES("2", "16", "9,11", "32") DEPTHWISE("32", " padding=(1,1)") RESULT, m, NULL);
    expect(ONES("2", "16", "9,11", "32") DEPTHWISE("32", " stride=(2,2) padding=(1,1)") RESULT, m, NULL);
    expect(ONES("2", "16", "9,11", "32") DEPTHWISE("32", " padding=(1,1)") "%9 = ReLU %8\noutput output %9\n", m, NULL);
    expect(CONV("2", "2", "9,11", "32", "3,3", " padding=(1,1)") "%8 = MaxPool2d %7 kernel_size=(3,3) stride=(2,2)\n" RESULT, m, NULL);
    expect(CONV("2", "3", "9,11", "32", "3,3", " padding=(1,1)") "%8 = MaxPool2d %7 kernel_size=(3,3) stride=(2,2)\n" RESULT, m, rows);
    expect(ONES("2", "16", "8,8", "32") "%8 = MaxPool2d %7 kernel_size=(4,4)\n" RESULT, m, NULL);
    expect(ONES("2", "16", "9,11", "32") DEPTHWISE("32", " padding=(1,1)") RESULT, large, held);
    expect(ONES("2", "16", "9,14", "32") DEPTHWISE("32", " padding=(1,1)") RESULT, large, NULL);
    expect(ONES("2", "16", "9,11", "32") DEPTHWISE("32", " padding=(1,1)") RESULT "output z %7\n", m, read);
    expect(ONES("2", "16", "9,11", "32") DEPTHWISE("32", " padding=(1,1)") "%9 = Add %8 %7\noutput output %9\n", m, read);
    expect(ONES("2", "16", "9,11", "32") DEPTHWISE("32", " padding=(2,2) dilation=(2,2)") RESULT, m, few);
    expect(ONES("2", "16", "9,11", "32") DEPTHWISE("32", " stride=(4,4) padding=(1,1)") RESULT, m, few);
    expect(ONES("2", "16", "9,11", "32") DEPTHWISE("32", " padding=(2,2)") RESULT, m, few); /* more rows than it reads */
    expect(ONES("2", "16", "9,11", "4") DEPTHWISE("4", " padding=(1,1)") RESULT, m, "there are too few channels for a vector");
    expect(ONES("1", "16", "3,2724", "32") DEPTHWISE("32", " padding=(1,1)") RESULT, m, NULL);
    expect(ONES("1", "16", "3,2725", "32") DEPTHWISE("32", " padding=(1,1)") RESULT, m, "its rows are too long for a thread's stack");
    const char *wide = CONV("2", "16", "9,11", "32", "3,3", " padding=(1,1)") DEPTHWISE("32", "") RESULT;
    expect(wide, m, rows);
    expect_exact(wide, m, true, NULL); /* without Winograd's algorithm */
    expect(CONV("2", "16", "9,11", "32", "3,3", " stride=(2,2)") DEPTHWISE("32", "") RESULT, m, NULL);
    expect("graph\nstate w param f32 [32,8,3,3] const(0,0)\nstate d param f32 [32,1,3,3] const(0,0)\n"
           "%0 = Input f32 [2,32,9,11] #x\n%1 = State @w\n%2 = State @d\n%3 = Const value=0\n%4 = Const value=0\n"
           "%5 = Conv2d %0 %1 groups=(4)\n%6 = ReLU %5\n%7 = ReLU %6\n%8 = Conv2d %7 %2 groups=(32)\n" RESULT,
           m, rows);
    expect(ONES("2", "16", "9,11", "32") DEPTHWISE("32", " padding=(1,1)") RESULT, machine_find(a, "sm_80"),
           "it reads every input element many times: its input must be stored");
    expect(ONES("2", "16", "9,11", "32") DEPTHWISE("32", " padding=(1,1)") RESULT, NULL,
           "it reads every input element many times: its input must be stored");
    arena_free(a);
}

/* ---- numbers ---- */

static void compare(Arena *a, const Graph *g, const RefEnv *env, const char *how, double **run, const char *text)
{
    const char *where = "";
    Results want = results_of(a, g, env, NULL), got = results_of(a, g, env, run);
    double e = results_distance(&got, &want, false, &where);
    if (!(e <= 1e-5)) fail_msg("%s: '%s' differs by %g:\n%s", how, where, e, text);
}

/* By the machine's rules; compiled where it is this computer's. */
static void check(const char *text, const char *machine)
{
    Arena *a = arena_new();
    bool native = !strcmp(machine, "native");
    const Machine *m = small_caches(a, machine);
    Graph *g = graph_parse(a, "test", text);
    if (!g) diag_flush();
    assert_non_null(g);
    RefEnv *env = data_run(a, g, &(Data){.kind = DATA_TRAINING, .seed = 5});
    Run *r = run_plan_for(a, g, env, &(RunMode){.fused = true, .reuse = true}, NULL, m);
    const Loops *l = run_loops(r);
    if (!l->plan->schedule->groups->of[8]->band) fail_msg("no band:\n%s", text);
    compare(a, g, env, "loops", run_execute(r, NULL, false), text);
    compare(a, g, env, "loops, backwards", run_execute(r, NULL, true), text);
    if (native) {
        Func **f = NEWN(a, Func *, l->kernel.n + 1);
        for (int i = 0; i < l->kernel.n; i++) f[i] = l->kernel.v[i].func;
        const KernelFn *fn = kernels_load(f, l->kernel.n, m);
        compare(a, g, env, "compiled", run_execute(r, fn, false), text);
        compare(a, g, env, "compiled, backwards", run_execute(r, fn, true), text);
    }
    ref_free(env);
    arena_free(a);
}

static void numbers(void **state)
{
    static const char *const graphs[] = {
        ONES("2", "16", "9,11", "32") DEPTHWISE("32", " padding=(1,1)") RESULT,
        ONES("1", "17", "9,11", "37") DEPTHWISE("37", " padding=(1,1)") RESULT, /* blocks that are not full */
        ONES("3", "5", "12,16", "48") DEPTHWISE("48", " stride=(2,2) padding=(1,1)") RESULT,
        ONES("1", "8", "13,20", "20") DEPTHWISE("20", " stride=(2,1)") RESULT,
        ONES("1", "8", "13,20", "16") "%8 = Conv2d %7 %4 groups=(16) padding=(2,1)\n" RESULT,
        ONES("2", "8", "13,20", "16") "%8 = Conv2d %7 %4 groups=(16) stride=(3,2)\n%9 = Add %8 %2\n%10 = ReLU %9\noutput output %10\n",
        CONV("2", "3", "15,18", "24", "3,3", " stride=(2,2) padding=(1,1)") DEPTHWISE("24", " padding=(1,1)") RESULT,
        CONV("2", "2", "15,18", "24", "3,3", " padding=(1,1)") "%8 = MaxPool2d %7 kernel_size=(3,3) stride=(2,2) padding=(1,1)\n" RESULT,
        CONV("1", "2", "16,18", "32", "3,3", "") "%8 = MaxPool2d %7 kernel_size=(3,3) stride=(2,2) ceil_mode=(1)\n" RESULT,
        ONES("2", "16", "17,19", "80") "%8 = MaxPool2d %7 kernel_size=(4,4)\n" RESULT, /* rows that no window reads */
        ONES("1", "16", "40,8", "16") "%8 = MaxPool2d %7 kernel_size=(3,2) stride=(1,1) padding=(1,0)\n" RESULT,
        ONES("1", "4", "1,31", "16") DEPTHWISE("16", " padding=(1,1)") RESULT, /* windows that are left */
        /* a tensor is added in front of the window */
        "graph\nstate w param f32 [32,16,1,1] const(0,0)\nstate d param f32 [32,1,3,3] const(0,0)\n"
        "%0 = Input f32 [2,16,9,11] #x\n%1 = State @w\n%2 = State @d\n%3 = Input f32 [2,32,9,11] #z\n%4 = Const value=0\n"
        "%5 = Conv2d %0 %1\n%6 = Add %5 %3\n%7 = ReLU %6\n%8 = Conv2d %7 %2 groups=(32) padding=(1,1)\n" RESULT,
    };
    static const char *const machines[] = {"native", "x86-64-v2", "x86-64-v3", "x86-64-v4", "aarch64"};
    (void)state;
    for (size_t i = 0; i < sizeof graphs / sizeof *graphs; i++)
        for (size_t k = 0; k < sizeof machines / sizeof *machines; k++) check(graphs[i], machines[k]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(who_joins), cmocka_unit_test(numbers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
