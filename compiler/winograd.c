/* The matrices of winograd.h. In: sizes. Out: matrices, rounded once at the end: everything before is a fraction. */
#include "winograd.h"
#include "support/diag.h"
#include <stdint.h>

typedef struct Fraction {
    int64_t p, q; /* p / q, q > 0 */
} Fraction;

static const Fraction points[WINOGRAD_MOST - 1] = {{0, 1}, {1, 1}, {-1, 1}, {1, 2}, {-2, 1}};

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

/* How the evaluation at a point is scaled: 1 / product of its distances from the others. */
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
        for (int i = 0; i < m; i++) w.at[i][k] = rounded(power(points[k], i));
        for (int i = 0; i < r; i++)
            w.g[k][i] = rounded(times(scale(last, k), power(points[k], i)));
        product(last, k, c);
        for (int i = 0; i < w.n; i++) w.bt[k][i] = rounded(c[i]);
    }
    product(last, -1, c);
    for (int i = 0; i < w.n; i++) w.bt[last][i] = rounded(c[i]);
    w.at[m - 1][last] = w.g[last][r - 1] = 1;
    return w;
}

int winograd_operations(const double (*matrix)[WINOGRAD_MOST], int rows, int cols)
{
    int n = 0;
    for (int i = 0; i < rows; i++) {
        int terms = 0, ones = 0;
        for (int j = 0; j < cols; j++) {
            terms += matrix[i][j] != 0;
            ones += matrix[i][j] == 1;
        }
        n += terms - (ones > 0);
    }
    return n;
}
