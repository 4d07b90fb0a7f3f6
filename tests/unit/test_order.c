/* How threads share tasks (schedule_order.c): which groups go by rows of the plane and which by blocks of channels; and that
 * tasks, however they are counted, come by every tile once. */
/* clang-format off: cmocka wants these before it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include "graph/graph.h"
#include "schedule.h"
#include "support/diag.h"
#include <stdlib.h>

/* A bottleneck of MobileNetV2: 1x1 into `wide` channels, a depthwise window (a kernel of its own: no bands), 1x1 back; then
 * pooling. */
#define BOTTLENECK(images, narrow, wide, plane)                                                                            \
    "graph\nstate e param f32 [" wide "," narrow ",1,1] const(0,0)\nstate d param f32 [" wide ",1,3,3] const(0,0)\n"          \
    "state p param f32 [" narrow "," wide ",1,1] const(0,0)\n%0 = Input f32 [" images "," narrow "," plane "," plane "] #x\n"  \
    "%1 = State @e\n%2 = State @d\n%3 = State @p\n%4 = Conv2d %0 %1\n%5 = ReLU %4\n"                                       \
    "%6 = Conv2d %5 %2 groups=(" wide ") padding=(1,1)\n%7 = ReLU %6\n%8 = Conv2d %7 %3\n%9 = ReLU %8\n"                     \
    "%10 = AvgPool2d %9 kernel_size=(3,3) stride=(2,2)\noutput output %10\n"

static const Schedule *schedule_of(Arena *a, const char *text, const char *machine)
{
    Graph *g = graph_parse(a, "test", text);
    if (!g) diag_flush();
    assert_non_null(g);
    const Machine *m = machine_find(a, machine);
    return schedule(a, fuse(a, g, true, "band", m), m);
}

static const GroupSchedule *group_of(const Schedule *s, int node)
{
    return &s->group[s->groups->of[node]->id];
}

enum { EXPAND = 4, DEPTHWISE = 6, PROJECT = 8, POOL = 10 };

static void expect(const char *text, const char *machine, bool expand, bool depthwise, bool project, bool pool)
{
    Arena *a = arena_new();
    const Schedule *s = schedule_of(a, text, machine);
    assert_int_equal(group_of(s, EXPAND)->rows_first, expand);
    assert_int_equal(group_of(s, DEPTHWISE)->rows_first, depthwise);
    assert_int_equal(group_of(s, PROJECT)->rows_first, project);
    assert_int_equal(group_of(s, POOL)->rows_first, pool);
    arena_free(a);
}

static void which_way(void **state)
{
    (void)state;
    expect(BOTTLENECK("1", "64", "384", "14"), "x86-64-v4", true, true, true, true);
    expect(BOTTLENECK("1", "160", "960", "7"), "x86-64-v4", false, false, false, false); /* many weights; the others as they are made */
    expect(BOTTLENECK("2", "64", "384", "14"), "x86-64-v4", true, true, true, true);
    expect(BOTTLENECK("1", "64", "384", "14"), "sm_80", false, false, false, false);     /* one L2 for all */
}

/* What a gradient by weights makes is no plane: it has as many rows as windows. */
static void gradients(void **state)
{
    (void)state;
    Arena *a = arena_new();
    Graph *g = graph_parse(a, "test",
                           "graph\nstate w param f32 [128,64,3,3] const(0,0)\n%0 = Input f32 [1,64,32,32] #x\n%1 = State @w\n"
                           "%2 = Conv2d %0 %1 stride=(2,2) padding=(1,1)\noutput y %2\n");
    assert_non_null(g);
    Node *y = g->node.v[2], *dw, *dy = graph_input(g, "dy", DT_F32, y->shape);
    g->training = true;
    assert_true(autodiff_of(g, y, dy, &y->in[1], 1, &dw));
    graph_output(g, "grads", g_op(g, "Pack", 1, dw)); /* it lies as weights do */
    const Machine *m = machine_find(a, "x86-64-v4");
    const Schedule *s = schedule(a, fuse(a, g, true, NULL, m), m);
    const GroupSchedule *gs = group_of(s, dw->id);
    bool taps = false; /* that look like rows of a plane */
    for (int k = 0; k < gs->con[0].nloop; k++) {
        const ConLoop *l = &gs->con[0].loop[k];
        taps = taps || (l->role == ROLE_ROW && l->parallel && l->extent == 3);
    }
    assert_true(taps);
    assert_false(gs->rows_first);
    assert_true(group_of(s, y->id)->rows_first);
    arena_free(a);
}

/* Every tile of the parallel loops has one task. */
static void expect_each_once(const char *text, int node)
{
    Arena *a = arena_new();
    const GroupSchedule *gs = group_of(schedule_of(a, text, "x86-64-v4"), node);
    const ConSchedule *c = &gs->con[0];
    TaskLoop loop[CON_MAX_LOOPS + 1];
    int n = schedule_task_loops(gs, c, loop);
    int *seen = NEWN(a, int, c->ntasks);
    for (int64_t task = 0; task < c->ntasks; task++) {
        int64_t at[CON_MAX_LOOPS] = {0}, rest = task, number = 0;
        for (int i = n - 1; i >= 0; i--) {
            at[loop[i].loop] += rest % loop[i].extent * loop[i].stride;
            rest /= loop[i].extent;
        }
        for (int k = 0; k < c->nloop; k++) {
            int64_t tiles = (c->loop[k].extent + c->loop[k].tile - 1) / c->loop[k].tile;
            if (!c->loop[k].parallel) continue;
            assert_in_range(at[k], 0, tiles - 1);
            number = number * tiles + at[k];
        }
        seen[number]++;
    }
    for (int64_t i = 0; i < c->ntasks; i++) assert_int_equal(seen[i], 1);
    arena_free(a);
}

static void each_once(void **state)
{
    (void)state;
    for (int node = EXPAND; node <= PROJECT; node += 2) {
        expect_each_once(BOTTLENECK("1", "64", "384", "28"), node); /* four parts of seven rows */
        expect_each_once(BOTTLENECK("1", "64", "384", "14"), node); /* two */
        expect_each_once(BOTTLENECK("1", "64", "384", "13"), node); /* row by row */
        expect_each_once(BOTTLENECK("3", "64", "384", "14"), node);
        expect_each_once(BOTTLENECK("1", "160", "960", "7"), node);
    }
}

/* The first half of the tasks, one thread's of two, makes the upper half of all channels. */
static void halves(void **state)
{
    (void)state;
    Arena *a = arena_new();
    const GroupSchedule *gs = group_of(schedule_of(a, BOTTLENECK("1", "64", "384", "14"), "x86-64-v4"), EXPAND);
    TaskLoop loop[CON_MAX_LOOPS + 1];
    int n = schedule_task_loops(gs, &gs->con[0], loop);
    assert_int_equal(n, 3);
    assert_int_equal(loop[0].extent, 2);
    assert_int_equal(loop[0].stride, 7);
    assert_int_equal(loop[0].loop, loop[2].loop);
    assert_int_equal(gs->con[0].loop[loop[1].loop].role, ROLE_BLK);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(which_way), cmocka_unit_test(gradients), cmocka_unit_test(each_once),
                                       cmocka_unit_test(halves)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
