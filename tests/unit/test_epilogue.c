/* What contractions do with their results: sums over channels (schedule_sums.c), which reductions they serve and
 * which not; pooling along strips (nests/contract_strip.c). And that the numbers are the reference's, by loops, as CUDA C
 * on the host and as PTX. */
/* clang-format off: cmocka wants these before it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include "nvrtc/cubin.h"
#include "random_data.h"
#include "run_graph.h"
#include "simt/simt.h"
#include <stdio.h>
#include <string.h>

/* What BatchNorm asks of a convolution: the sums of its distances from m, and of their squares. */
#define STATISTICS                                                                                                     \
    "%4 = Sub %2 %3\n%5 = Sum %4 axes=13\n%6 = Mul %4 %4\n%7 = Sum %6 axes=13\noutput output %2\noutput s %5\noutput q %7\n"
#define CONV(in, out, attrs)                                                                                           \
    "graph training\nstate w param f32 " out ",3,3] const(0,0)\n%0 = Input f32 " in "] #x\n%1 = State @w\n"            \
    "%2 = Conv2d %0 %1" attrs "\n%3 = Input f32 [32] #m\n"
#define WIDE CONV("[3,16,19,21", "[32,16", " padding=(1,1)")
#define FIRST CONV("[3,3,19,21", "[32,3", " padding=(1,1)")
/* Small tiles, the last of them not full, and a block of columns that is not: three partials. */
#define RAGGED                                                                                                         \
    "graph training\nstate w param f32 [48,16,3,3] const(0,0)\n%0 = Input f32 [3,16,11,13] #x\n%1 = State @w\n"       \
    "%2 = Conv2d %0 %1 padding=(1,1)\n%3 = Input f32 [48] #m\n" STATISTICS
/* The gradient through a stride comes in four phases; behind it ReLU's, and the two sums of BatchNorm's gradient. */
#define PHASES                                                                                                         \
    "graph training\nstate w param f32 [128,64,3,3] const(0,0)\n%0 = Input f32 [2,128,14,13] #x\n%1 = State @w\n"      \
    "%2 = Input f32 [2,64,27,26] #z\n%3 = ConvDgrad %0 %1 size=(27,26) stride=(2,2) padding=(1,1)\n"                   \
    "%4 = ReLUGrad %3 %2\n%5 = Sum %4 axes=13\n%6 = Mul %4 %2\n%7 = Sum %6 axes=13\noutput output %4\noutput s %5\n"         \
    "output q %7\n"

typedef struct Planned {
    Graph *g;
    RefEnv *env;
    Run *run;
    const Schedule *s;
} Planned;

/* processors: how many the machine is said to have; 0: its own number. */
static Planned plan_text(Arena *a, const char *text, const char *machine, int processors)
{
    Planned p = {.g = graph_parse(a, "test", text)};
    Machine *m = NEW(a, Machine);
    *m = *machine_find(a, machine);
    if (processors) m->processors = processors;
    if (!p.g) diag_flush();
    assert_non_null(p.g);
    p.env = data_run(a, p.g, &(Data){.kind = DATA_TRAINING, .seed = 3});
    p.run = run_plan_for(a, p.g, p.env, &(RunMode){.fused = true, .reuse = true}, NULL, m);
    p.s = run_loops(p.run)->plan->schedule;
    return p;
}

/* Reductions that a contraction serves, and the tiles that do. */
static int served(const Schedule *s, int64_t *tiles)
{
    int n = 0;
    *tiles = 0;
    for (int i = 0; i < s->groups->group.n; i++) {
        const GroupSchedule *r = &s->group[i];
        if (!r->summed_by) continue;
        assert_ptr_equal(s->group[r->summed_by->id].sums, s->groups->group.v[i]);
        *tiles += r->red_tiles;
        n++;
    }
    return n;
}

static void expect(const char *text, const char *machine, int want)
{
    Arena *a = arena_new();
    int64_t tiles;
    Planned p = plan_text(a, text, machine, 0);
    int n = served(p.s, &tiles);
    if (n != want) fail_msg("%d reductions are served on %s, not %d:\n%s", n, machine, want, text);
    ref_free(p.env);
    arena_free(a);
}

static void who_is_served(void **state)
{
    (void)state;
    expect(WIDE STATISTICS, "sm_80", 1);
    expect(RAGGED, "sm_80", 1);
    expect(PHASES, "sm_80", 1);
    expect(WIDE STATISTICS, "x86-64-v3", 1);
    expect(PHASES, "x86-64-v3", 0); /* z would be read apart from what is computed: no gain on a CPU */
    expect(FIRST STATISTICS, "sm_80", 1); /* by loops */
    expect("graph training\nstate w param f32 [9,3,3,3] const(0,0)\n%0 = Input f32 [3,3,19,21] #x\n%1 = State @w\n"
           "%2 = Conv2d %0 %1\n%3 = Input f32 [9] #m\n" STATISTICS,
           "sm_80", 0); /* no block of channels */
    expect(WIDE STATISTICS "output d %6\n", "sm_80", 1); /* which the contraction stores, too */
    /* other axes; a maximum; what is computed later; behind pooling; of two sums one behind the other, the first */
    expect(WIDE "%4 = Sum %2 axes=14\noutput output %2\noutput s %4\n", "sm_80", 0);
    expect(WIDE "%4 = Max %2 axes=13\noutput output %2\noutput s %4\n", "sm_80", 0);
    expect(WIDE "%4 = MaxPool2d %2 kernel_size=(3,3) stride=(1,1) padding=(1,1)\n%5 = Mul %2 %4\n%6 = Sum %5 axes=13\n"
                "output output %2\noutput s %6\n",
           "sm_80", 0);
    expect(CONV("[3,16,18,20", "[32,16", " padding=(1,1)") "%4 = MaxPool2d %2 kernel_size=(2,2)\n%5 = Sum %4 axes=13\n"
                                                              "output output %4\noutput s %5\n",
           "sm_80", 0);
    expect(WIDE "%4 = Sum %2 axes=13\n%5 = Sub %2 %4\n%6 = Mul %5 %5\n%7 = Sum %6 axes=13\noutput output %2\noutput q %7\n",
           "sm_80", 1);
}

static void compare(Arena *a, const Planned *p, const char *how, double **run, double tolerance)
{
    const char *where = "";
    Results want = results_of(a, p->g, p->env, NULL), got = results_of(a, p->g, p->env, run);
    double e = results_distance(&got, &want, false, &where);
    if (!(e <= tolerance)) fail_msg("%s: '%s' differs by %g", how, where, e);
}

static void check_run(Arena *a, const Planned *p, bool ptx)
{
    const Loops *l = run_loops(p->run);
    Func **f = NEWN(a, Func *, l->kernel.n + 1);
    char *fault;
    for (int i = 0; i < l->kernel.n; i++) f[i] = l->kernel.v[i].func;
    compare(a, p, "loops", run_execute(p->run, NULL, false), 1e-5);
    compare(a, p, "loops, backwards", run_execute(p->run, NULL, true), 1e-5);
    compare(a, p, "CUDA C", run_execute(p->run, simt_load(f, l->kernel.n, !simt_missing(true)), false), 1e-5);
    if (!ptx || cuda_missing()) return;
    Buf source = {0};
    ptx_emit(&source, l, "");
    PtxModule *m = ptx_compile(source.s);
    double **got = run_ptx(p->run, m, "", &fault);
    if (!got) fail_msg("%s", fault);
    compare(a, p, "PTX", got, 1e-5);
    ptx_unload(m);
    buf_free(&source);
}

static void check_numbers(const char *text, int64_t want_tiles, bool ptx)
{
    Arena *a = arena_new();
    Planned p = plan_text(a, text, "sm_80", 0);
    int64_t tiles;
    served(p.s, &tiles);
    assert_int_equal(tiles, want_tiles);
    check_run(a, &p, ptx);
    ref_free(p.env);
    arena_free(a);
}

static void numbers(void **state)
{
    (void)state;
    check_numbers(WIDE STATISTICS, 19, true); /* 1197 rows by 64 */
    check_numbers(RAGGED, 7, false);
    check_numbers(FIRST STATISTICS, 1197, true);
}

static void numbers_in_phases(void **state)
{
    (void)state;
    check_numbers(PHASES, 24, true); /* four times 351 rows or more by 64 */
}

/* More tiles than are added up at once. */
static void many_tiles(void **state)
{
    (void)state;
    check_numbers(CONV("[4,16,40,41", "[32,16", " padding=(1,1)") STATISTICS, 103, false);
}

/* Of those of x86-64-v3, how many the contraction leaves; by blocks of Winograd's algorithm where that is chosen. */
static void check_cpu(const char *text, bool winograd, int64_t parts)
{
    Arena *a = arena_new();
    Planned p = plan_text(a, text, "x86-64-v3", 0);
    int64_t tiles, at_work = 0;
    assert_int_equal(served(p.s, &tiles), 1);
    for (int i = 0; i < p.s->groups->group.n; i++) {
        const GroupSchedule *gs = &p.s->group[i];
        if (!gs->sums) continue;
        assert_int_equal(gs->winograd != NULL, winograd);
        assert_int_equal(gs->winograd ? gs->winograd->parts : 1, parts);
        at_work = gs->winograd ? gs->winograd->blocks : schedule_sum_count(&gs->con[0]);
    }
    assert_int_equal(tiles, at_work);
    compare(a, &p, "loops", run_execute(p.run, NULL, false), 1e-5);
    compare(a, &p, "loops, backwards", run_execute(p.run, NULL, true), 1e-5);
    ref_free(p.env);
    arena_free(a);
}

static void numbers_on_a_cpu(void **state)
{
    (void)state;
    check_cpu(WIDE STATISTICS, true, 1);
    check_cpu(RAGGED, true, 1);
    check_cpu(FIRST STATISTICS, false, 1);
    check_cpu(CONV("[3,32,19,21", "[32,32", " stride=(2,2) padding=(1,1)") STATISTICS, false, 1);
    check_cpu("graph training\nstate w param f32 [128,128,3,3] const(0,0)\n%0 = Input f32 [1,128,14,16] #x\n%1 = State @w\n"
              "%2 = Conv2d %0 %1 padding=(1,1)\n%3 = Input f32 [128] #m\n" STATISTICS,
              true, 8); /* parts, with channels of their own */
}

/* ---- strips ---- */

#define SHIFTED(channels, plane, w)                                                                                    \
    "graph\nstate w param f32 [64," channels "," w "] const(0,0)\nstate b param f32 [64] const(0,0)\n"                 \
    "%0 = Input f32 [2," channels "," plane "] #x\n%1 = State @w\n%2 = State @b\n"                                    \
    "%3 = Conv2d %0 %1 padding=(1,1)\n%4 = Add %3 %2\n%5 = ReLU %4\n"
#define POOL   "%6 = MaxPool2d %5 kernel_size=(3,3) stride=(2,2) padding=(1,1)\n"
#define RESULT "output output %6\n"

static bool has_strip(const Schedule *s)
{
    for (int i = 0; i < s->groups->group.n; i++)
        if (s->groups->group.v[i]->strip) return true;
    return false;
}

static void expect_strip(const char *text, const char *machine, int processors, bool want)
{
    Arena *a = arena_new();
    Planned p = plan_text(a, text, machine, processors);
    if (has_strip(p.s) != want) fail_msg("%s on %s:\n%s", want ? "no strip" : "a strip", machine, text);
    ref_free(p.env);
    arena_free(a);
}

static void who_has_strips(void **state)
{
    (void)state;
    expect_strip(SHIFTED("3", "16,32", "3,3") POOL RESULT, "sm_80", 1, true);
    expect_strip(SHIFTED("3", "16,32", "3,3") POOL RESULT, "sm_80", 0, false);     /* 8 strips for 108 processors */
    expect_strip(SHIFTED("3", "16,32", "3,3") POOL RESULT, "x86-64-v3", 0, false); /* bytes are cheaper there */
    expect_strip(SHIFTED("32", "16,32", "3,3") POOL RESULT, "sm_80", 1, false);    /* a contraction for matrix units */
    expect_strip(SHIFTED("3", "16,44", "3,3") POOL RESULT, "sm_80", 1, false);     /* 22 windows in a row */
    expect_strip(SHIFTED("3", "17,32", "3,3") POOL RESULT, "sm_80", 1, false);     /* half a window at the bottom */
    expect_strip(SHIFTED("3", "16,32", "3,3") POOL RESULT "output z %5\n", "sm_80", 1, false);
    expect_strip(SHIFTED("3", "16,32", "3,3")
                 "%6 = AvgPool2d %5 kernel_size=(3,3) stride=(2,2) padding=(1,1)\n" RESULT, "sm_80", 1, false);
    expect_strip(SHIFTED("3", "16,32", "3,3") "%6 = MaxPool2d %5 kernel_size=(3,3) stride=(1,1) padding=(1,1)\n" RESULT,
                 "sm_80", 1, false);
    expect_strip(SHIFTED("3", "16,32", "3,3") "%6 = Input f32 [2,64,16,32] #z\n%7 = Add %5 %6\n"
                 "%8 = MaxPool2d %7 kernel_size=(3,3) stride=(2,2) padding=(1,1)\noutput output %8\n", "sm_80", 1, false);
}

static void check_strip(const char *text)
{
    Arena *a = arena_new();
    Planned p = plan_text(a, text, "sm_80", 1);
    assert_true(has_strip(p.s));
    check_run(a, &p, true);
    ref_free(p.env);
    arena_free(a);
}

static void numbers_of_strips(void **state)
{
    (void)state;
    check_strip(SHIFTED("3", "16,32", "3,3") POOL "%7 = Tanh %6\noutput output %7\n");
    /* other windows and strides; negative maxima, which padding must not beat */
    check_strip("graph\nstate w param f32 [64,5,5,3] const(0,0)\n%0 = Input f32 [3,5,20,50] #x\n%1 = State @w\n"
                "%2 = Conv2d %0 %1 stride=(1,2) padding=(1,0)\n"
                "%3 = MaxPool2d %2 kernel_size=(4,3) stride=(3,2) padding=(1,1)\noutput output %3\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(who_is_served), cmocka_unit_test(numbers),
                                       cmocka_unit_test(numbers_in_phases), cmocka_unit_test(many_tiles), cmocka_unit_test(numbers_on_a_cpu),
                                       cmocka_unit_test(who_has_strips), cmocka_unit_test(numbers_of_strips)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
