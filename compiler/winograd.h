/* Winograd's minimal filtering, as matrices made by Cook and Toom's construction in exact rationals.
 *
 * F(m, r): m outputs of a correlation with r taps from n = m + r - 1 inputs by n multiplications,
 *     y = at [(g w) * (bt d)],   in two dimensions   Y = at [(g w g^T) * (bt d bt^T)] at^T
 * with n - 1 finite points and infinity. Sources: A. Toom 1963, S. Winograd 1980 (Arithmetic Complexity of
 * Computations), A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural Networks, 2015. The points are 0, 1, -1,
 * 1/2, -2, 2, -1/2, as many as there are needed: B. Barabasz et al., 2018 (Error Analysis and Improving the Accuracy of
 * Winograd Convolution), show that mixing a point with the negative reciprocal keeps float32's error small. That of F(5, 3)
 * and F(6, 3) is 2.6 times that of F(4, 3), the least of all points that were tried (64 channels, random numbers). */
#ifndef WINOGRAD_H
#define WINOGRAD_H

enum { WINOGRAD_MOST = 8 }; /* n */
/* Taps along a side of the windows that are taken: of step 1; and of step 2, whose phases are channels and have 3 or 4. */
enum { WINOGRAD_TAPS = 3, WINOGRAD_LEAST_STRIDED = 5, WINOGRAD_MOST_STRIDED = 8 };

typedef struct WinogradMatrices {
    int m, r, n;
    double at[WINOGRAD_MOST][WINOGRAD_MOST]; /* m x n */
    double g[WINOGRAD_MOST][WINOGRAD_MOST];  /* n x r */
    double bt[WINOGRAD_MOST][WINOGRAD_MOST]; /* n x n */
} WinogradMatrices;

/* m + r - 1 is 4 to WINOGRAD_MOST. */
WinogradMatrices winograd_matrices(int m, int r);
/* One transform with a matrix as a straight line of sums: a value is an input, number 0 .. cols - 1, or what a step makes,
 * cols + its number. Pairs of terms that several rows have in the same ratio are summed once; rows of opposite points are the sum and the
 * difference of their even and their odd part. */
typedef struct WinogradSums {
    int nsteps; /* multiplications and additions, an FMA counting once */
    struct {
        int a, b;      /* values; b < 0: none */
        double factor; /* a + factor * b, or factor * a */
    } step[64];
    int row[WINOGRAD_MOST]; /* the value that is row i of the result */
} WinogradSums;
WinogradSums winograd_sums(const double (*matrix)[WINOGRAD_MOST], int rows, int cols);
/* How many of its steps make rows first .. first + some - 1 of the result, from `cols` inputs. */
int winograd_steps(const WinogradSums *s, int cols, int first, int some);
#endif
