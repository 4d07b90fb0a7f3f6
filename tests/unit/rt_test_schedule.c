/* Schedules against what PyTorch 2's lr_scheduler classes give, texts that are none, and bit-exact
 * resuming in every part of a schedule. */
#include "rt_cli.h"
#include "rt_run.h"
#include "schedule.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void init(RtSchedule *s, const char *schedule, const char *warmup, double lr, int64_t epochs,
                 int64_t batches)
{
    static RtOptions o;
    char *argv[4] = {"--schedule", (char *)(uintptr_t)schedule, "--warmup",
                     (char *)(uintptr_t)warmup};
    rt_options_free(&o);
    rt_options_parse(&o, fake_model("Adam(lr=0.01)"), RT_VERB_TRAIN, warmup ? 4 : 2, argv);
    rt_schedule_init(s, &o, lr, epochs, batches);
    rt_options_free(&o);
}

enum { N = 8 };

static void like_pytorch(void **state)
{
    (void)state;
    static const struct {
        const char *schedule, *warmup;
        double lr, want[N];
    } t[] = {
        {"StepLR(step_size=3,gamma=0.5)",
         NULL,
         0.1,
         {0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025}},
        {"MultiStepLR(milestones=[2,3,6],gamma=0.1)",
         NULL,
         0.1,
         {0.1, 0.1, 0.01, 0.001, 0.001, 0.001, 0.0001, 0.0001}},
        {"ExponentialLR(gamma=0.9)",
         NULL,
         0.2,
         {0.2, 0.18, 0.162, 0.1458, 0.13122, 0.118098, 0.1062882, 0.09565938}},
        {"CosineAnnealingLR(T_max=6,eta_min=0.001)",
         NULL,
         0.1,
         {0.1, 0.093368257487329728, 0.07525, 0.0505, 0.02575, 0.0076317425126702842, 0.001,
          0.0076317425126702842}},
        {"OneCycleLR(max_lr=0.4)",
         NULL,
         0.1,
         {0.016, 0.32771004195687686, 0.38877671095500926, 0.32469826157990522, 0.22239360564908064,
          0.11322439928347969, 0.030656637533702562, 1.6e-06}},
        {"OneCycleLR(max_lr=0.4,pct_start=0.5,anneal_strategy=linear,div_factor=10,"
         "final_div_factor=100)",
         NULL,
         0.1,
         {0.04, 0.16, 0.28, 0.4, 0.3001, 0.2002, 0.1003, 0.0004}},
        {"ExponentialLR(gamma=0.9)",
         "5 steps",
         0.1,
         {0.02, 0.036, 0.0486, 0.05832, 0.06561, 0.059049, 0.0531441, 0.04782969}},
        {"none", "4", 0.1, {0.025, 0.05, 0.075, 0.1, 0.1, 0.1, 0.1, 0.1}},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        RtSchedule s;
        init(&s, t[i].schedule, t[i].warmup, t[i].lr, N, 1);
        for (int k = 0; k < N; k++) {
            double got = rt_schedule_lr(&s, k, k);
            if (fabs(got - t[i].want[k]) > 1e-12)
                fail_msg("%s: %.17g in epoch %d, PyTorch has %.17g", t[i].schedule, got, k,
                         t[i].want[k]);
        }
    }
}

static void check_plateau(const char *text, const double *value, const double *want, int n)
{
    RtSchedule s;
    init(&s, text, NULL, 0.1, n, 1);
    for (int i = 0; i < n; i++) {
        rt_schedule_epoch(&s, value[i]);
        assert_true(fabs(rt_schedule_lr(&s, i, i) - want[i]) < 1e-15);
    }
}

static void plateau(void **state)
{
    (void)state;
    static const double v[] = {1,   0.9, 0.9, 0.91, 0.9, 0.95, 0.8,
                               0.8, 0.8, 0.8, 0.8,  0.8, 0.8,  0.8};
    static const double lr[] = {0.1,  0.1,   0.1,   0.05,  0.05,  0.05, 0.05,
                                0.05, 0.025, 0.025, 0.025, 0.025, 0.02, 0.02};
    check_plateau("ReduceLROnPlateau(factor=0.5,patience=1,cooldown=2,min_lr=0.02)", v, lr, 14);
    static const double up[] = {.1, .2, .2, .2, .3, .3, .3, .3};
    static const double down[] = {0.1, 0.1, 0.01, 0.001, 0.001, 0.0001, 0.00001, 0.000001};
    check_plateau("ReduceLROnPlateau(mode=max,factor=0.1,patience=0)", up, down, 8);
}

static void per_step_or_epoch(void **state)
{
    (void)state;
    RtSchedule s;
    init(&s, "OneCycleLR()", "2 epochs", 0.1, 3, 10);
    assert_int_equal(s.total, 30);
    assert_int_equal(s.warmup, 20);
    assert_true(s.max_lr == 0.1);
    init(&s, "CosineAnnealingLR()", NULL, 0.1, 7, 10);
    assert_int_equal(s.period, 7);
    init(&s, "OneCycleLR(max_lr=1,pct_start=0)", NULL, 0.1, 1, 4);
    for (int i = 0; i < 6; i++) assert_true(isfinite(rt_schedule_lr(&s, 0, i)));
    init(&s, "OneCycleLR(max_lr=1,pct_start=1)", NULL, 0.1, 1, 1);
    for (int i = 0; i < 6; i++) assert_true(isfinite(rt_schedule_lr(&s, 0, i)));
}

static void refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "StepLR",          "StepLR()",           "StepLR(step_size=0)",
        "StepLR(size=3)",  "StepLR(step_size=3", "StepLR(step_size=3)x",
        "StepLR(3)",       "steplr(gamma=1)",    "MultiStepLR(milestones=[3,2])",
        "MultiStepLR()",   "ExponentialLR",      "ExponentialLR(gamma=nan)",
        "LambdaLR(f=exec)"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char line[256];
        snprintf(line, sizeof line, "train --data data --output-dir bad --schedule %s", bad[i]);
        run_must(2, line);
        assert_non_null(strstr(cli_err, "error[C002]: --schedule: '"));
    }
    run_must(2, "train --data data --output-dir bad --warmup 3x");
    run_must(2, "train --data data --output-dir bad --warmup -1");
}

/* Stopping in the middle and going on gives the run that was never stopped. */
static void resumes(void **state)
{
    (void)state;
    static const char *const schedule[] = {
        "OneCycleLR(max_lr=0.05)", "StepLR(step_size=1,gamma=0.5) --warmup 13steps",
        "ReduceLROnPlateau(patience=0,threshold=0.5)", "CosineAnnealingLR()"};
    for (int i = 0; i < 4; i++) {
        char line[256];
        snprintf(line, sizeof line, "train --data data --epochs 4 --output-dir w%d --schedule %s",
                 i, schedule[i]);
        run_must(0, line);
        for (int k = 3; k < 30; k += 9) {
            snprintf(line, sizeof line,
                     "train --data data --epochs 4 --output-dir p%d%d --max-steps %d --schedule %s",
                     i, k, k, schedule[i]);
            run_must(0, line);
            snprintf(line, sizeof line,
                     "train --data data --epochs 4 --output-dir p%d%d --resume auto --schedule %s",
                     i, k, schedule[i]);
            run_must(0, line);
            char a[64], b[64];
            snprintf(a, sizeof a, "w%d/optim.safetensors", i);
            snprintf(b, sizeof b, "p%d%d/optim.safetensors", i, k);
            run_same_tensors(a, b);
        }
    }
    run_must(0,
             "train --data data --epochs 4 --output-dir c --max-steps 5 --schedule OneCycleLR()");
    run_must(2,
             "train --data data --epochs 5 --output-dir c --resume auto --schedule OneCycleLR()");
    assert_non_null(strstr(cli_err, "error[C006]: --schedule OneCycleLR() total_steps="));
    run_must(2, "train --data data --epochs 4 --output-dir c --resume auto");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(like_pytorch),      cmocka_unit_test(plateau),
        cmocka_unit_test(per_step_or_epoch), cmocka_unit_test(refused),
        cmocka_unit_test(resumes),
    };
    return cmocka_run_group_tests(tests, run_begin, cli_end);
}
