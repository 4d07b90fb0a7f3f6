/* How near a picture is to the one that it stands for. Values are in 0..1, [channels][height][width]. */
#ifndef RUNTIME_QUALITY_H
#define RUNTIME_QUALITY_H

/* 10 log10(1 / mean squared error); infinite for equal pictures. */
double rt_psnr(const float *a, const float *b, int channels, int height, int width);
/* Wang et al. 2004: windows of 11x11 under a Gaussian of sigma 1.5 that lie wholly inside, K1 = 0.01, K2 = 0.03, the mean
 * over windows and channels. NaN for pictures with a side below 11. */
double rt_ssim(const float *a, const float *b, int channels, int height, int width);
#endif
