/* Quantiles, and the interval of a ratio of medians.
 *
 * Bootstrap: pairs are drawn with replacement, because both halves of a pair saw the same state of
 * the machine; the 2.5 % and 97.5 % quantiles of the redrawn ratios are the interval. Long series
 * are thinned first. */
#include "stats.h"
#include "err.h"
#include "rng.h"
#include <stdint.h>
#include <stdlib.h>

enum { DRAWS = 400, PAIRS_MAX = 500 };

static int ascending(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

void rt_sort(double *x, int n)
{
    if (n > 1) qsort(x, (size_t)n, sizeof *x, ascending);
}

double rt_quantile(const double *sorted, int n, double q)
{
    if (n == 0) return 0;
    double at = q * (n - 1);
    int i = (int)at;
    return i + 1 < n ? sorted[i] + (at - i) * (sorted[i + 1] - sorted[i]) : sorted[i];
}

/* m pairs into x and y: evenly thinned in round 0, drawn in the others. Returns the ratio of the
 * medians. */
static double draw(const double *a, const double *b, int n, double *x, double *y, int m,
                   uint32_t round)
{
    for (int i = 0; i < m; i++) {
        int64_t k = (int64_t)i * n / m;
        if (round) {
            uint32_t counter[4] = {(uint32_t)i, round, 0, 0}, key[2] = {0x626f6f74, 0};
            k = (int64_t)(((uint64_t)rt_philox(counter, key).v[0] * (uint64_t)n) >> 32);
        }
        x[i] = a[k];
        y[i] = b[k];
    }
    rt_sort(x, m);
    rt_sort(y, m);
    return rt_quantile(x, m, 0.5) / rt_quantile(y, m, 0.5);
}

void rt_ratio(const double *a, const double *b, int n, double *ratio, double *lo, double *hi)
{
    int m = n < PAIRS_MAX ? n : PAIRS_MAX;
    double *x = rt_alloc((size_t)m + 1, sizeof *x, "statistics"),
           *y = rt_alloc((size_t)m + 1, sizeof *y, "statistics");
    double drawn[DRAWS];
    *ratio = *lo = *hi = 0;
    if (n > 0) {
        *ratio = draw(a, b, n, x, y, m, 0);
        for (uint32_t i = 0; i < DRAWS; i++) drawn[i] = draw(a, b, n, x, y, m, i + 1);
        rt_sort(drawn, DRAWS);
        *lo = rt_quantile(drawn, DRAWS, 0.025);
        *hi = rt_quantile(drawn, DRAWS, 0.975);
    }
    free(x);
    free(y);
}
