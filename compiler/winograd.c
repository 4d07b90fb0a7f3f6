/* The matrices of winograd.h. In: sizes. Out: matrices, rounded once at the end: everything before is a fraction. */
#include "winograd.h"
#include "support/diag.h"
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Fraction {
    int64_t p, q; /* p / q, q > 0 */
} Fraction;

static const Fraction points[WINOGRAD_MOST - 1] = {{0, 1}, {1, 1}, {-1, 1}, {1, 2}, {-2, 1}, {2, 1}, {-1, 2}};

static int64_t divisor(int64_t a, int64_t b)
{
    if (a < 0) a = -a;
    return b ? divisor(b, a % b) : a;
}

static Fraction reduced(int64_t p, int64_t q)
{
    int64_t d = divisor(p, q);
    if (q < 0) d = -d;
    return d ? (Fraction){p / d, q / d} : (Fraction){0, 1};
}

static Fraction times(Fraction a, Fraction b)
{
    return reduced(a.p * b.p, a.q * b.q);
}

static Fraction minus(Fraction a, Fraction b)
{
    return reduced(a.p * b.q - b.p * a.q, a.q * b.q);
}

static double rounded(Fraction a)
{
    return (double)a.p / (double)a.q;
}

static Fraction power(Fraction a, int k)
{
    Fraction x = {1, 1};
    while (k-- > 0) x = times(x, a);
    return x;
}

/* Coefficients, lowest first, of the product of (x - point) over all points but `without`. */
static void product(int npoints, int without, Fraction *c)
{
    int degree = 0;
    for (int i = 0; i <= npoints; i++) c[i] = (Fraction){i == 0, 1};
    for (int k = 0; k < npoints; k++) {
        if (k == without) continue;
        degree++;
        for (int i = degree; i >= 0; i--) {
            Fraction shifted = i ? c[i - 1] : (Fraction){0, 1};
            c[i] = minus(shifted, times(points[k], c[i]));
        }
    }
}

/* How the product at a point is scaled: 1 / product of its distances from the others. In `at`: there are fewer results to
 * transform than weights of a small plane, or tiles of a gradient by weights. */
static Fraction scale(int npoints, int k)
{
    Fraction d = {1, 1};
    for (int i = 0; i < npoints; i++)
        if (i != k) d = times(d, minus(points[k], points[i]));
    return reduced(d.q, d.p);
}

WinogradMatrices winograd_matrices(int m, int r)
{
    WinogradMatrices w = {.m = m, .r = r, .n = m + r - 1};
    int last = w.n - 1; /* number of finite points; row of infinity */
    Fraction c[WINOGRAD_MOST];
    bug_if(w.n < 4 || w.n > WINOGRAD_MOST, "no points for F(%d, %d)", m, r);
    for (int k = 0; k < last; k++) {
        for (int i = 0; i < m; i++) w.at[i][k] = rounded(times(scale(last, k), power(points[k], i)));
        for (int i = 0; i < r; i++) w.g[k][i] = rounded(power(points[k], i));
        product(last, k, c);
        for (int i = 0; i < w.n; i++) w.bt[k][i] = rounded(c[i]);
    }
    product(last, -1, c);
    for (int i = 0; i < w.n; i++) w.bt[last][i] = rounded(c[i]);
    w.at[m - 1][last] = w.g[last][r - 1] = 1;
    return w;
}

/* ---- sums ---- */

enum { MOST_VALUES = 32 };

typedef struct Terms {
    int rows, values;
    double of[WINOGRAD_MOST][MOST_VALUES]; /* coefficients of the values so far */
    int with[WINOGRAD_MOST]; /* row i and this one are the sum and the difference of what stands in of[]; -1: as it stands */
    WinogradSums sums;
} Terms;

static int add_step(Terms *t, int a, int b, double factor)
{
    int k = t->sums.nsteps++;
    bug_if(k >= (int)(sizeof t->sums.step / sizeof *t->sums.step), "a transform of more steps than there is room for");
    t->sums.step[k].a = a;
    t->sums.step[k].b = b;
    t->sums.step[k].factor = factor;
    return t->values++;
}

/* Does the row have a + ratio * b, but for a factor? */
static bool has_pair(const double *row, int a, int b, double ratio)
{
    return row[a] != 0 && row[b] != 0 && fabs(row[b] / row[a] - ratio) < 1e-12 * fabs(ratio);
}

/* In how many rows, and before all others of as many the one that needs no factor most often: n * (WINOGRAD_MOST + 1) and more. */
static int worth(const Terms *t, int a, int b, double ratio)
{
    int n = 0, ones = 0;
    for (int i = 0; i < t->rows; i++) {
        n += has_pair(t->of[i], a, b, ratio);
        ones += has_pair(t->of[i], a, b, ratio) && t->of[i][a] == 1;
    }
    return n * (WINOGRAD_MOST + 1) + ones;
}

/* The pair that most rows have becomes a value of its own. false: none is in two. */
static bool share_pair(Terms *t)
{
    int most = 0, best[2] = {0};
    double ratio = 0;
    for (int i = 0; i < t->rows; i++)
        for (int a = 0; a < t->values; a++)
            for (int b = 0; b < t->values; b++) {
                if (a == b || t->of[i][a] == 0 || t->of[i][b] == 0) continue;
                int n = worth(t, a, b, t->of[i][b] / t->of[i][a]);
                if (n <= most) continue;
                most = n;
                best[0] = a;
                best[1] = b;
                ratio = t->of[i][b] / t->of[i][a];
            }
    if (most < 2 * (WINOGRAD_MOST + 1)) return false;
    int value = add_step(t, best[0], best[1], ratio);
    for (int i = 0; i < t->rows; i++) {
        double *row = t->of[i];
        if (!has_pair(row, best[0], best[1], ratio)) continue;
        row[value] = row[best[0]];
        row[best[0]] = row[best[1]] = 0;
    }
    return true;
}

/* Adds up what is left of a row; begins with a term that needs no multiplication, if there is one. */
static int sum_row(Terms *t, const double *row, int values)
{
    int first = 0;
    while (first < values && row[first] != 1) first++;
    int sum = first < values ? first : -1;
    for (int j = 0; j < values; j++) {
        if (j == first || row[j] == 0) continue;
        sum = sum < 0 ? add_step(t, j, -1, row[j]) : add_step(t, sum, j, row[j]);
    }
    return sum;
}

/* From half sum and half difference to the rows themselves. */
static void part_rows(Terms *t, int i, int j)
{
    int sum = t->sums.row[i], difference = t->sums.row[j];
    t->sums.row[i] = add_step(t, sum, difference, 1);
    t->sums.row[j] = add_step(t, sum, difference, -1);
}

/* Rows i and j, of points p and -p, become half their sum and half their difference. */
static Terms pair_rows(Terms t, int i, int j)
{
    for (int k = 0; k < t.values; k++) {
        double sum = (t.of[i][k] + t.of[j][k]) / 2;
        t.of[j][k] = (t.of[i][k] - t.of[j][k]) / 2;
        t.of[i][k] = sum;
    }
    t.with[i] = j;
    t.with[j] = i;
    return t;
}

static WinogradSums sums_of(Terms t)
{
    while (t.values < MOST_VALUES && share_pair(&t)) {}
    for (int i = 0, values = t.values; i < t.rows; i++) t.sums.row[i] = sum_row(&t, t.of[i], values);
    for (int i = 0; i < t.rows; i++)
        if (t.with[i] > i) part_rows(&t, i, t.with[i]);
    return t.sums;
}

/* Pairs the two rows that save most. false: none do. */
static bool pair_best(Terms *t)
{
    Terms best = *t;
    int least = sums_of(*t).nsteps, before = least;
    for (int i = 0; i < t->rows; i++)
        for (int j = i + 1; j < t->rows; j++) {
            if (t->with[i] >= 0 || t->with[j] >= 0) continue;
            Terms paired = pair_rows(*t, i, j);
            int steps = sums_of(paired).nsteps;
            if (steps >= least) continue;
            least = steps;
            best = paired;
        }
    *t = best;
    return least < before;
}

WinogradSums winograd_sums(const double (*matrix)[WINOGRAD_MOST], int rows, int cols)
{
    Terms t = {.rows = rows, .values = cols};
    for (int i = 0; i < rows; i++) {
        t.with[i] = -1;
        for (int j = 0; j < cols; j++) t.of[i][j] = matrix[i][j];
    }
    while (pair_best(&t)) {}
    return sums_of(t);
}

int winograd_steps(const WinogradSums *s, int cols, int first, int some)
{
    bool needed[WINOGRAD_MOST + sizeof s->step / sizeof *s->step] = {false};
    int n = 0;
    for (int i = first; i < first + some; i++) needed[s->row[i]] = true;
    for (int i = s->nsteps - 1; i >= 0; i--) { /* a step's terms come before it */
        if (!needed[cols + i]) continue;
        needed[s->step[i].a] = true;
        if (s->step[i].b >= 0) needed[s->step[i].b] = true;
        n++;
    }
    return n;
}
