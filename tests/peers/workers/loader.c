/* Reads an image folder as training does, and says how long it took.
 *
 *   loader ROOT WORKERS BATCH CACHE_MIB TRANSFORMS
 *
 * in:  a line for each pass over the training split
 * out: "IMAGES SECONDS CPU_SECONDS" for each; the first line says that the folder is open
 */
#include "data/data.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double cpu(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static int fail(const RtError *e)
{
    fprintf(stderr, "%s: %s\n", e->id, e->text);
    return 1;
}

static bool pass(RtData *d, const int64_t *order, int64_t n, int batch, uint64_t epoch, RtError *e)
{
    float *x;
    int32_t *label;
    int got, count;
    RtLoader *l = rt_loader_start(d, RT_SPLIT_TRAIN, order, n, batch, true, 0, epoch, 2);
    if (!l) return false;
    while ((got = rt_loader_next(l, &x, &label, &count, e)) == 1) {
    }
    rt_loader_stop(l);
    return got == 0;
}

int main(int argc, char **argv)
{
    RtDataConfig c;
    RtError e;
    char line[16];
    if (argc != 6) return 2;
    rt_data_config_init(&c);
    c.format = "image_folder";
    c.root = argv[1];
    c.train = 1;
    c.channels = 3;
    c.height = c.width = 224;
    c.workers = atoi(argv[2]);
    c.cache = strtoull(argv[4], NULL, 10) << 20;
    c.train_transforms = argv[5];
    c.eval_transforms = "Resize((224, 224))";
    for (int i = 0; i < 3; i++) c.mean[i] = 0.45, c.std[i] = 0.225;
    RtData *d = rt_data_open(&c, &e);
    if (!d) return fail(&e);
    int64_t n = rt_data_count(d, RT_SPLIT_TRAIN), *order = calloc((size_t)n, sizeof *order);
    for (int64_t i = 0; i < n; i++) order[i] = i;
    puts("ready");
    fflush(stdout);
    for (uint64_t epoch = 0; fgets(line, sizeof line, stdin); epoch++) {
        double begin = now(), spent = cpu();
        rt_shuffle(order, n, 0, epoch);
        if (!pass(d, order, n, atoi(argv[3]), epoch, &e)) return fail(&e);
        printf("%lld %.6f %.6f\n", (long long)n, now() - begin, cpu() - spent);
        fflush(stdout);
    }
    rt_data_close(d);
    free(order);
    return 0;
}
