/* Numbers about probabilities and pictures against scikit-learn's and scikit-image's (rt_numbers.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "quality.h"
#include "rt_numbers.h"
#include "scores.h"

static uint32_t random_state;

static int draw(int n)
{
    random_state = random_state * 1103515245u + 12345u;
    return (int)(random_state >> 16) % n;
}

static void item(double *p, int *truth, int classes, int truths)
{
    int w[8], sum = 0;
    for (int k = 0; k < classes; k++) w[k] = 1 + draw(16);
    *truth = draw(truths);
    w[*truth] += draw(24);
    for (int k = 0; k < classes; k++) sum += w[k];
    for (int k = 0; k < classes; k++) p[k] = (double)w[k] / sum;
}

static RtScores *scores(int n, int classes, int truths, bool pixels)
{
    RtScores *s = rt_scores_new(classes, pixels);
    for (int i = 0; i < n; i++) {
        double p[8];
        int truth;
        item(p, &truth, classes, truths);
        rt_scores_add(s, truth, p);
    }
    return s;
}

static void near(double got, double want, double off)
{
    if (isnan(want) ? !isnan(got) : !(fabs(got - want) <= off)) print_error("%.17g is not %.17g\n", got, want);
    assert_true(isnan(want) ? isnan(got) : fabs(got - want) <= off);
}

static void five(RtScores *s, double off)
{
    RtScoreNumbers x;
    rt_scores_numbers(s, &x);
    assert_int_equal(x.n, 200);
    for (int k = 0; k < 5; k++) {
        near(x.average_precision[k], five_ap[k], off);
        near(x.roc_auc[k], five_auc[k], off);
        near(rt_scores_topk(s, k + 1), five_topk[k], 1e-12);
    }
    near(x.mean_average_precision, five_means[0], off);
    near(x.roc_auc_macro, five_means[1], off);
    near(x.roc_auc_weighted, five_means[2], off);
    near(x.ece, five_means[3], 1e-12);
    near(x.brier, five_means[4], 1e-12);
    uint64_t n = 0;
    for (int i = 0; i < RT_CALIBRATION_BINS; i++) n += x.bin[i].n;
    assert_int_equal(n, 200);
    rt_scores_numbers_free(&x);
    rt_scores_free(s);
}

static void as_scikit_learn(void **state)
{
    (void)state;
    random_state = 1;
    five(scores(200, 5, 4, false), 1e-12);
    RtScores *s = scores(150, 2, 2, false);
    RtScoreNumbers x;
    rt_scores_numbers(s, &x);
    near(x.roc_auc[1], two[0], 1e-12);
    near(x.average_precision[1], two[1], 1e-12);
    near(x.brier, two[2], 1e-12);
    rt_scores_numbers_free(&x);
    rt_scores_free(s);
}

/* In steps of 1/4096 the ranks of these items stay what they are. */
static void pixels_in_steps(void **state)
{
    (void)state;
    random_state = 1;
    five(scores(200, 5, 4, true), 1e-3);
}

static void nothing_counted(void **state)
{
    (void)state;
    RtScores *s = rt_scores_new(3, false);
    RtScoreNumbers x;
    double p[] = {.2, .3, .5};
    rt_scores_add(s, 3, p);
    rt_scores_add(s, -1, p);
    rt_scores_numbers(s, &x);
    assert_int_equal(x.n, 0);
    near(x.mean_average_precision, NAN, 0);
    near(x.ece, NAN, 0);
    near(rt_scores_topk(s, 1), NAN, 0);
    rt_scores_numbers_free(&x);
    rt_scores_add(s, 2, p);
    near(rt_scores_topk(s, 9), 1, 0);
    double broken[] = {NAN, INFINITY, 1};
    rt_scores_add(s, 2, broken);
    rt_scores_numbers(s, &x);
    near(x.average_precision[2], 1, 0);
    near(x.average_precision[0], NAN, 0);
    rt_scores_numbers_free(&x);
    rt_scores_free(s);
}

static void as_scikit_image(void **state)
{
    (void)state;
    float a[2 * 16 * 20], b[2 * 16 * 20];
    random_state = 1;
    rt_scores_free(scores(200, 5, 4, false));
    rt_scores_free(scores(150, 2, 2, false));
    for (int i = 0; i < 2 * 16 * 20; i++) a[i] = (float)(draw(1000) / 999.0);
    for (int i = 0; i < 2 * 16 * 20; i++) {
        double v = a[i] + draw(1000) / 4000.0 - .1;
        b[i] = (float)(v < 0 ? 0 : v > 1 ? 1 : v);
    }
    near(rt_psnr(a, b, 2, 16, 20), pictures[0], 1e-5);
    near(rt_ssim(a, b, 2, 16, 20), pictures[1], 1e-6);
    near(rt_ssim(a, a, 2, 16, 20), 1, 1e-12);
    near(rt_ssim(a, b, 1, 10, 20), NAN, 0);
    assert_true(isinf(rt_psnr(a, a, 2, 16, 20)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_scikit_learn),
        cmocka_unit_test(pixels_in_steps),
        cmocka_unit_test(nothing_counted),
        cmocka_unit_test(as_scikit_image),
    };
    return cmocka_run_group_tests_name("runtime scores", tests, NULL, NULL);
}
