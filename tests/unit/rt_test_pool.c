/* The thread pool: every task exactly once, steps in order, any number of threads. */
#include "thread.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TASKS = 1000, STEPS = 20, RUNS = 300 };

static void count(void *const *args, int64_t begin, int64_t end)
{
    _Atomic int *n = args[0];
    for (int64_t i = begin; i < end; i++) atomic_fetch_add(&n[i], 1);
}

/* Uneven tasks, so that ranges have to be stolen. */
static void uneven(void *const *args, int64_t begin, int64_t end)
{
    volatile double x = 1;
    for (int64_t i = begin; i < end; i++) {
        for (int64_t k = 0; k < (i < 20 ? 20000 : 10); k++) x = x * 1.0000001;
    }
    count(args, begin, end);
}

static void every_task_once(void **state)
{
    (void)state;
    static _Atomic int n[TASKS];
    void *args[] = {n};
    int sizes[] = {0, 1, 2, 3, 15, 16, 17, 33, 250, TASKS}, threads[] = {1, 2, 3, 7};
    for (int t = 0; t < 4; t++) {
        RtPool *p = rt_pool_new(threads[t]);
        for (int s = 0; s < 10; s++) {
            RtTaskStep step = {s % 2 ? uneven : count, args, sizes[s], false};
            RtWork *w = rt_work_new(p, &step, 1);
            memset(n, 0, sizeof n);
            for (int r = 0; r < 5; r++) rt_work_run(w, NULL);
            for (int i = 0; i < TASKS; i++) assert_int_equal(n[i], i < sizes[s] ? 5 : 0);
            rt_work_free(w);
        }
        rt_pool_free(p);
    }
}

/* out[i] = in[TASKS - 1 - i] + 1: wrong if a step begins before the one before it is over. */
static void shift(void *const *args, int64_t begin, int64_t end)
{
    const int *in = args[0];
    int *out = args[1];
    for (int64_t i = begin; i < end; i++) out[i] = in[TASKS - 1 - i] + 1;
}

static void steps_in_order(void **state)
{
    (void)state;
    static int a[TASKS], b[TASKS];
    void *ab[] = {a, b}, *ba[] = {b, a};
    RtTaskStep step[STEPS];
    for (int i = 0; i < STEPS; i++) step[i] = (RtTaskStep){shift, i % 2 ? ba : ab, TASKS, false};
    for (int threads = 1; threads <= 4; threads++) {
        RtPool *p = rt_pool_new(threads);
        RtWork *w = rt_work_new(p, step, STEPS);
        memset(a, 0, sizeof a);
        for (int r = 0; r < RUNS; r++) rt_work_run(w, NULL);
        for (int i = 0; i < TASKS; i++) assert_int_equal(a[i], STEPS * RUNS);
        rt_work_free(w);
        rt_pool_free(p);
    }
}

/* Steps 0..2 write different arrays without waiting, step 3 adds them up. */
static void add(void *const *args, int64_t begin, int64_t end)
{
    _Atomic int *const *in = (_Atomic int *const *)args;
    for (int64_t i = begin; i < end; i++) {
        int sum = 0;
        for (int k = 0; k < 3; k++) sum += in[k][TASKS - 1 - i];
        in[3][i] = sum;
    }
}

static void nowait(void **state)
{
    (void)state;
    static _Atomic int x[4][TASKS];
    void *args[4][1] = {{x[0]}, {x[1]}, {x[2]}, {x[3]}}, *all[] = {x[0], x[1], x[2], x[3]};
    RtTaskStep step[] = {{count, args[0], TASKS, true},
                         {uneven, args[1], TASKS, true},
                         {count, args[2], TASKS, false},
                         {add, all, TASKS, false}};
    RtPool *p = rt_pool_new(3);
    RtWork *w = rt_work_new(p, step, 4);
    memset(x, 0, sizeof x);
    for (int r = 1; r <= 20; r++) {
        double ns[4] = {0};
        rt_work_run(w, r % 2 ? NULL : ns);
        for (int i = 0; i < TASKS; i++) assert_int_equal(x[3][i], 3 * r);
        if (r % 2 == 0) assert_true(ns[1] > 0);
    }
    rt_work_free(w);
    rt_pool_free(p);
}

/* Several lists take turns on one pool; some are freed while workers may still look at them. */
static void many_lists(void **state)
{
    (void)state;
    static _Atomic int n[TASKS];
    void *args[] = {n};
    RtTaskStep step = {count, args, 7, false};
    RtPool *p = rt_pool_new(4);
    memset(n, 0, sizeof n);
    for (int r = 0; r < RUNS; r++) {
        RtWork *w = rt_work_new(p, &step, 1), *v = rt_work_new(p, &step, 1);
        rt_work_run(w, NULL);
        rt_work_run(v, NULL);
        rt_work_free(w);
        rt_work_run(v, NULL);
        rt_work_free(v);
    }
    for (int i = 0; i < 7; i++) assert_int_equal(n[i], 3 * RUNS);
    rt_pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_once),
        cmocka_unit_test(steps_in_order),
        cmocka_unit_test(nowait),
        cmocka_unit_test(many_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
