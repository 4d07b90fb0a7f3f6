/* Winograd's minimal filtering, as matrices made by Cook and Toom's construction in exact rationals.
 *
 * F(m, r): m outputs of a correlation with r taps from n = m + r - 1 inputs by n multiplications,
 *     y = at [(g w) * (bt d)],   in two dimensions   Y = at [(g w g^T) * (bt d bt^T)] at^T
 * with n - 1 finite points and infinity. Sources: A. Toom 1963, S. Winograd 1980 (Arithmetic Complexity of
 * Computations), A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural Networks, 2015. The points are 0, 1, -1,
 * 1/2, -2: B. Barabasz et al., 2018 (Error Analysis and Improving the Accuracy of Winograd Convolution), show that mixing
 * a point with the negative reciprocal keeps float32's error small. */
#ifndef WINOGRAD_H
#define WINOGRAD_H

enum { WINOGRAD_MOST = 6 }; /* n */

typedef struct WinogradMatrices {
    int m, r, n;
    double at[WINOGRAD_MOST][WINOGRAD_MOST]; /* m x n */
    double g[WINOGRAD_MOST][WINOGRAD_MOST];  /* n x r */
    double bt[WINOGRAD_MOST][WINOGRAD_MOST]; /* n x n */
} WinogradMatrices;

/* m + r - 1 is 4, 5 or 6. */
WinogradMatrices winograd_matrices(int m, int r);
/* Multiplications and additions of one transform with a matrix of rows x cols, an FMA counting once. */
int winograd_operations(const double (*matrix)[WINOGRAD_MOST], int rows, int cols);
#endif
