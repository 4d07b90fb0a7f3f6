/* t-SNE: neighbours have the perplexity, the numbers are scikit-learn's (1.9.1, tests/data/tsne_reference.py), clusters
 * stay clusters, and neither threads nor chance change a bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tsne.h"

static uint32_t random_state;

static double real(void)
{
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 8) / 16777216.0;
}

static float near_normal(void)
{
    double sum = 0;
    for (int i = 0; i < 12; i++) sum += real();
    return (float)(sum - 6);
}

/* n points of d dimensions in `kinds` clusters, `apart` from each other. */
static float *points(int n, int d, int kinds, double apart)
{
    float *x = malloc((size_t)(n * d) * sizeof *x);
    random_state = 12345;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < d; k++)
            x[i * d + k] = (float)(near_normal() + (kinds && k == i % kinds ? apart : 0));
    return x;
}

static void perplexities(void **state)
{
    (void)state;
    enum { N = 90, D = 5 };
    static const double asked[] = {2, 5, 20, 29.6};
    float *x = points(N, D, 3, 4), *p = malloc(N * N * sizeof *p);
    memcpy(x + D, x, D * sizeof *x); /* two points in one place */
    for (int t = 0; t < 4; t++) {
        assert_true(rt_tsne_neighbours(x, N, D, asked[t], NULL, p));
        for (int i = 0; i < N; i++) {
            double entropy = 0, sum = 0;
            for (int k = 0; k < N; k++) {
                double v = p[i * N + k];
                sum += v;
                entropy -= v > 0 ? v * log(v) : 0;
            }
            assert_true(p[i * N + i] == 0 && fabs(sum - 1) < 1e-5);
            assert_true(fabs(exp(entropy) - asked[t]) < 1e-3 * asked[t]);
        }
    }
    free(x);
    free(p);
}

static void as_others_count(void **state)
{
    (void)state;
    static const float joint[4][4] = {{0.00000000f, 0.00058614f, 0.00000731f, 0.00012892f},
                                      {0.00058614f, 0.00000000f, 0.01470656f, 0.02447337f},
                                      {0.00000731f, 0.01470656f, 0.00000000f, 0.00337049f},
                                      {0.00012892f, 0.02447337f, 0.00337049f, 0.00000000f}};
    float *x = points(12, 3, 0, 0), p[12 * 12];
    assert_true(rt_tsne_neighbours(x, 12, 3, 3, NULL, p));
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 4; k++) {
            float both = (p[12 * i + k] + p[12 * k + i]) / 24;
            assert_true(fabsf(both - joint[i][k]) <
                        2e-3f * joint[i][k] + 1e-8f); /* it stops at 1e-5 nats */
        }
    free(x);
    x = points(150, 8, 5, 6);
    for (int seed = 0; seed < 3; seed++) { /* scikit-learn: 0.151, 0.145, 0.144 */
        float y[150 * 2];
        RtTsne t = {.dims = 2, .perplexity = 20, .iterations = 1000, .seed = (uint64_t)seed};
        assert_true(rt_tsne_run(&t, x, 150, 8, y));
        assert_true(t.divergence > 0.135 && t.divergence < 0.165);
    }
    free(x);
}

/* The share of the points whose nearest five are of their own cluster. */
static double together(const float *y, int n, int dims, int kinds)
{
    int good = 0;
    for (int i = 0; i < n; i++) {
        double nearest[5] = {INFINITY, INFINITY, INFINITY, INFINITY, INFINITY};
        int who[5] = {0};
        for (int k = 0; k < n; k++) {
            double far = 0;
            for (int a = 0; a < dims; a++) far += pow(y[i * dims + a] - y[k * dims + a], 2);
            if (k == i) continue;
            for (int r = 0; r < 5; r++) {
                if (far >= nearest[r]) continue;
                memmove(nearest + r + 1, nearest + r, (size_t)(4 - r) * sizeof *nearest);
                memmove(who + r + 1, who + r, (size_t)(4 - r) * sizeof *who);
                nearest[r] = far;
                who[r] = k;
                break;
            }
        }
        bool own = true;
        for (int r = 0; r < 5; r++) own = own && who[r] % kinds == i % kinds;
        good += own;
    }
    return (double)good / n;
}

static void clusters_stay(void **state)
{
    (void)state;
    enum { N = 301, D = 10 };
    float *x = points(N, D, 7, 9), y[N * 3];
    for (int dims = 2; dims <= 3; dims++) {
        RtTsne t = {.dims = dims, .perplexity = 25, .iterations = 500, .seed = 3}, few = t;
        assert_true(rt_tsne_run(&t, x, N, D, y));
        assert_true(together(y, N, dims, 7) > 0.99);
        double mean = 0;
        for (int i = 0; i < N * dims; i++) mean += y[i] / (N * dims);
        assert_true(fabs(mean) < 1e-3);
        few.iterations = 1;
        assert_true(rt_tsne_run(&few, x, N, D, y));
        assert_true(t.divergence < 0.5 * few.divergence);
        for (int more = 300; more <= 400;
             more += 100) { /* once exaggeration is over, it only falls */
            few.iterations = more;
            assert_true(rt_tsne_run(&few, x, N, D, y));
            assert_true(t.divergence < few.divergence);
        }
    }
    free(x);
}

static void same_bits(void **state)
{
    (void)state;
    enum { N = 133, D = 6 };
    float *x = points(N, D, 4, 5), y[4][N * 2];
    for (int threads = 1; threads <= 3; threads++) {
        RtTsne t = {.dims = 2,
                    .perplexity = 10,
                    .iterations = 300,
                    .seed = 8,
                    .pool = rt_pool_new(threads)};
        assert_true(rt_tsne_run(&t, x, N, D, y[threads - 1]));
        rt_pool_free(t.pool);
    }
    assert_memory_equal(y[0], y[1], sizeof y[0]);
    assert_memory_equal(y[0], y[2], sizeof y[0]);
    assert_true(rt_tsne(x, N, D, 2, 10, 300, 8, y[3]));
    assert_memory_equal(y[0], y[3], sizeof y[0]);
    assert_true(rt_tsne(x, N, D, 2, 10, 300, 9, y[3]));
    assert_memory_not_equal(y[0], y[3], sizeof y[0]);
    free(x);
}

static void what_is_refused(void **state)
{
    (void)state;
    float x[8] = {1, 2, 3, 4, 5, 6, 7, 8}, y[24];
    assert_true(rt_tsne(x, 4, 2, 2, 30, 50, 0, y)); /* perplexity 1 is what four points can have */
    for (int i = 0; i < 8; i++) assert_true(isfinite(y[i]));
    assert_false(rt_tsne(x, 3, 2, 2, 1, 50, 0, y));
    assert_false(rt_tsne(x, 4, 2, 4, 1, 50, 0, y));
    x[5] = NAN;
    assert_false(rt_tsne(x, 4, 2, 2, 1, 50, 0, y));
    memset(x, 0, sizeof x); /* all in one place */
    assert_true(rt_tsne(x, 8, 1, 3, 2, 300, 0, y));
    for (int i = 0; i < 24; i++) assert_true(isfinite(y[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(perplexities),    cmocka_unit_test(as_others_count),
        cmocka_unit_test(clusters_stay),   cmocka_unit_test(same_bits),
        cmocka_unit_test(what_is_refused),
    };
    return cmocka_run_group_tests_name("runtime t-SNE", tests, NULL, NULL);
}
