/* Draws digits as SVHN has them, for run.sh: 32x32 in colour, cut out of a longer number, so that its neighbours show.
 *
 *   digits DIR TRAIN TEST      DIR/train_32x32.mat and DIR/test_32x32.mat: MAT-files of version 5 with X [32,32,3,N] and
 *                              y [N,1], where label 10 is the digit 0
 *
 * Rule: the same numbers give the same bytes on every machine.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 32, PIXELS = 3 * SIDE * SIDE };

static const char *const font[10][7] = {
    {" ### ", "#   #", "#  ##", "# # #", "##  #", "#   #", " ### "}, {"  #  ", " ##  ", "  #  ", "  #  ", "  #  ", "  #  ", " ### "},
    {" ### ", "#   #", "    #", "   # ", "  #  ", " #   ", "#####"}, {"#####", "   # ", "  #  ", "   # ", "    #", "#   #", " ### "},
    {"   # ", "  ## ", " # # ", "#  # ", "#####", "   # ", "   # "}, {"#####", "#    ", "#### ", "    #", "    #", "#   #", " ### "},
    {"  ## ", " #   ", "#    ", "#### ", "#   #", "#   #", " ### "}, {"#####", "    #", "   # ", "  #  ", " #   ", " #   ", " #   "},
    {" ### ", "#   #", "#   #", " ### ", "#   #", "#   #", " ### "}, {" ### ", "#   #", "#   #", " ####", "    #", "   # ", " ##  "},
};

static uint64_t state = 1;

static double uniform(double from, double to) /* splitmix64 */
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return from + (to - from) * (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

static int below(int n)
{
    return (int)uniform(0, n);
}

/* Is there ink at (x, y) of the digit's 5x7 squares? Left and right of it are its neighbours. */
static int ink(const int digit[3], double x, double y)
{
    int which = 1;
    if (x < -1) which = 0, x += 6;
    if (x >= 6) which = 2, x -= 6;
    return x >= 0 && x < 5 && y >= 0 && y < 7 && font[digit[which]][(int)y][(int)x] == '#';
}

/* One picture: planes of columns, as MATLAB stores them. */
static void draw(uint8_t *px, int digit)
{
    int digits[3] = {below(10), digit, below(10)};
    double paper[3], pen[3], contrast = 0;
    do {
        contrast = 0;
        for (int c = 0; c < 3; c++) {
            paper[c] = uniform(20, 235), pen[c] = uniform(20, 235);
            contrast += (pen[c] - paper[c]) * (pen[c] - paper[c]);
        }
    } while (contrast < 60 * 60);
    double scale = uniform(2.6, 4.2), slant = uniform(-0.3, 0.3), light = uniform(-1.5, 1.5);
    double x0 = 16 + uniform(-2, 2), y0 = 16 + uniform(-2, 2), noise = uniform(2, 25);
    for (int x = 0; x < SIDE; x++)
        for (int y = 0; y < SIDE; y++) {
            double part = 0; /* of four places in the pixel */
            for (int k = 0; k < 4; k++) {
                double u = x + 0.25 + 0.5 * (k & 1) - x0, v = y + 0.25 + 0.25 * (k & 2) - y0;
                part += 0.25 * ink(digits, (u + slant * v) / scale + 2.5, v / scale + 3.5);
            }
            for (int c = 0; c < 3; c++) {
                double value = paper[c] + part * (pen[c] - paper[c]) + light * (x - 16) + uniform(-noise, noise);
                px[(c * SIDE + x) * SIDE + y] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
            }
        }
}

static void put(FILE *f, const uint32_t *v, size_t n)
{
    fwrite(v, 4, n, f);
}

/* A variable of bytes: flags, dimensions, name, values; each padded to eight bytes. */
static void put_array(FILE *f, const char *name, const uint32_t *dim, uint32_t ndim, const uint8_t *v, uint32_t n)
{
    uint32_t dims = (ndim + 1) / 2 * 8, padded = (n + 7) / 8 * 8;
    put(f, (uint32_t[]){14, 16 + 8 + dims + 8 + 8 + 8 + padded}, 2);
    put(f, (uint32_t[]){6, 8, 9, 0}, 4);
    put(f, (uint32_t[]){5, 4 * ndim}, 2);
    put(f, dim, dims / 4);
    put(f, (uint32_t[]){1, 1}, 2);
    fwrite((char[8]){name[0]}, 1, 8, f);
    put(f, (uint32_t[]){2, n}, 2);
    fwrite(v, 1, n, f);
    fwrite((char[8]){0}, 1, padded - n, f);
}

static int save(const char *dir, const char *file, uint32_t n)
{
    char path[4096], head[129] = "MATLAB 5.0 MAT-file, digits drawn for an example";
    uint8_t *x = malloc((size_t)n * PIXELS), *y = malloc(n);
    snprintf(path, sizeof path, "%s/%s", dir, file);
    FILE *f = fopen(path, "wb");
    if (!x || !y || !f) return perror(path), 1;
    for (uint32_t i = 0; i < n; i++) {
        int digit = below(10);
        draw(x + (size_t)i * PIXELS, digit);
        y[i] = (uint8_t)(digit ? digit : 10);
    }
    memset(head + strlen(head), ' ', 124 - strlen(head));
    memcpy(head + 124, "\0\1IM", 4); /* version 1.0, little-endian */
    fwrite(head, 1, 128, f);
    put_array(f, "X", (uint32_t[]){SIDE, SIDE, 3, n}, 4, x, n * PIXELS);
    put_array(f, "y", (uint32_t[]){n, 1}, 2, y, n);
    free(x);
    free(y);
    return fclose(f) ? (perror(path), 1) : 0;
}

int main(int argc, char **argv)
{
    int train = argc == 4 ? atoi(argv[2]) : 0, test = argc == 4 ? atoi(argv[3]) : 0;
    if (train < 1 || test < 1 || train > 100000 || test > 100000) {
        fprintf(stderr, "usage: digits DIR TRAIN TEST\n");
        return 2;
    }
    return save(argv[1], "train_32x32.mat", (uint32_t)train) || save(argv[1], "test_32x32.mat", (uint32_t)test);
}
