/* PSNR and SSIM: see quality.h. Sums run in double. */
#include "quality.h"
#include <math.h>
#include <stddef.h>

enum { SIDE = 11 };

double rt_psnr(const float *a, const float *b, int channels, int height, int width)
{
    size_t n = (size_t)channels * (size_t)height * (size_t)width;
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return -10 * log10(sum / (double)n);
}

static void window_weights(double *g)
{
    double sum = 0;
    for (int i = 0; i < SIDE; i++) sum += g[i] = exp(-(i - SIDE / 2) * (i - SIDE / 2) / (2 * 1.5 * 1.5));
    for (int i = 0; i < SIDE; i++) g[i] /= sum;
}

/* One window whose first pixels are a and b. */
static double window(const float *a, const float *b, int width, const double *g)
{
    const double c1 = 0.01 * 0.01, c2 = 0.03 * 0.03;
    double ma = 0, mb = 0, aa = 0, bb = 0, ab = 0;
    for (int y = 0; y < SIDE; y++, a += width, b += width) {
        for (int x = 0; x < SIDE; x++) {
            double w = g[y] * g[x], u = a[x], v = b[x];
            ma += w * u, mb += w * v;
            aa += w * u * u, bb += w * v * v, ab += w * u * v;
        }
    }
    aa -= ma * ma, bb -= mb * mb, ab -= ma * mb;
    return (2 * ma * mb + c1) * (2 * ab + c2) / ((ma * ma + mb * mb + c1) * (aa + bb + c2));
}

double rt_ssim(const float *a, const float *b, int channels, int height, int width)
{
    double g[SIDE], sum = 0;
    if (height < SIDE || width < SIDE) return NAN;
    window_weights(g);
    size_t plane = (size_t)height * (size_t)width;
    for (int c = 0; c < channels; c++, a += plane, b += plane)
        for (int y = 0; y <= height - SIDE; y++)
            for (int x = 0; x <= width - SIDE; x++) sum += window(a + y * width + x, b + y * width + x, width, g);
    return sum / ((double)channels * (height - SIDE + 1) * (width - SIDE + 1));
}
