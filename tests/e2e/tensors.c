/* tensors FILE NAME SHAPE SEED [CLASSES]: writes one tensor of random numbers as .safetensors: F32 from a normal
 * distribution, or with CLASSES I64 class numbers. SHAPE: 4,3,32,32. The same arguments give the same bytes. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state;

static double uniform(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u; /* Knuth's LCG */
    return ((double)(state >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(void) /* Box-Muller */
{
    double u = uniform();
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * uniform());
}

static void put(FILE *f, long classes)
{
    float x = (float)normal();
    int64_t c = (int64_t)(uniform() * (double)classes);
    if (classes)
        fwrite(&c, sizeof c, 1, f);
    else
        fwrite(&x, sizeof x, 1, f);
}

static int64_t elements(const char *shape)
{
    int64_t n = 1;
    for (const char *p = shape; *p; p += *p == ',') n *= strtoll(p, (char **)&p, 10);
    return n;
}

int main(int argc, char **argv)
{
    if (argc < 5 || argc > 6) {
        fprintf(stderr, "usage: tensors FILE NAME SHAPE SEED [CLASSES]\n");
        return 2;
    }
    long classes = argc > 5 ? atol(argv[5]) : 0;
    int64_t n = elements(argv[3]);
    char header[512];
    snprintf(header, sizeof header, "{\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[0,%" PRId64 "]}}",
             argv[2], classes ? "I64" : "F32", argv[3], n * (classes ? 8 : 4));
    uint64_t size = strlen(header);
    FILE *f = fopen(argv[1], "wb");
    if (!f) return 1;
    fwrite(&size, sizeof size, 1, f);
    fwrite(header, 1, size, f);
    state = strtoull(argv[4], NULL, 10) + 1;
    for (int64_t i = 0; i < n; i++) put(f, classes);
    return fclose(f) ? 1 : 0;
}
