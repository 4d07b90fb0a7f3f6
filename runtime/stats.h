/* Statistics of timings. */
#ifndef RUNTIME_STATS_H
#define RUNTIME_STATS_H

/* Sorts x; the q-quantile of sorted values (0..1), linear between neighbours. */
void rt_sort(double *x, int n);
double rt_quantile(const double *sorted, int n, double q);
/* Of two interleaved series (pair i was measured side by side): median(a) / median(b) and its 95 %
 * interval from a paired bootstrap. The same numbers always give the same interval. */
void rt_ratio(const double *a, const double *b, int n, double *ratio, double *lo, double *hi);
#endif
