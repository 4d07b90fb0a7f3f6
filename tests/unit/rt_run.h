/* A small data set in the scratch folder and what runs on it are held against. */
#ifndef RT_RUN_H
#define RT_RUN_H
#include "rt_cli.h"
#include "safetensors.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

enum { RUN_NTRAIN = 90, RUN_NTEST = 21 };
static char run_repository[128];

/* Images of 4x4 whose bright row tells the class, with some noise. */
static void run_write_idx(const char *images, const char *labels, int n, unsigned seed)
{
    FILE *f = fopen(images, "wb"), *g = fopen(labels, "wb");
    unsigned char head[16] = {0, 0, 8, 3, 0, 0, 0, (unsigned char)n, 0, 0, 0, 4, 0, 0, 0, 4};
    fwrite(head, 1, 16, f);
    head[3] = 1;
    fwrite(head, 1, 8, g);
    for (int i = 0; i < n; i++) {
        int label = i % FK;
        fputc(label, g);
        for (int k = 0; k < FD; k++) {
            seed = seed * 1103515245 + 12345;
            fputc((k / 4 == label ? 150 : 20) + (int)(seed >> 16) % 90, f);
        }
    }
    fclose(f);
    fclose(g);
}

static int run_begin(void **state)
{
    if (!getcwd(run_repository, sizeof run_repository)) return 1;
    if (cli_begin(state) || mkdir("data", 0700)) return 1;
    run_write_idx("data/train-images-idx3-ubyte", "data/train-labels-idx1-ubyte", RUN_NTRAIN, 1);
    run_write_idx("data/t10k-images-idx3-ubyte", "data/t10k-labels-idx1-ubyte", RUN_NTEST, 2);
    return 0;
}

static inline void run_must(int code, const char *line)
{
    int got = cli(line);
    if (got != code) print_error("'%s' gave %d\n%s%s", line, got, cli_out, cli_err);
    assert_int_equal(got, code);
}

/* The tensors of two checkpoints are the same bytes. */
static inline void run_same_tensors(const char *a, const char *b)
{
    RtSt *x = rt_st_open(a), *y = rt_st_open(b);
    assert_int_equal(x->n, y->n);
    for (int i = 0; i < x->n; i++) {
        const RtStTensor *t = rt_st_find(y, x->tensor[i].name);
        assert_non_null(t);
        assert_int_equal(t->bytes, x->tensor[i].bytes);
        assert_memory_equal(t->data, x->tensor[i].data, t->bytes);
    }
    static const char *const key[] = {"step",       "epoch",    "best",
                                      "best_epoch", "val/loss", "train/loss"};
    for (int i = 0; i < 6; i++) {
        const char *v = rt_st_meta(x, key[i]), *w = rt_st_meta(y, key[i]);
        assert_true(!v == !w);
        if (v) assert_string_equal(v, w);
    }
    rt_st_free(x);
    rt_st_free(y);
}
#endif
