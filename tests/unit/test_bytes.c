/* Bytes that a GPU moves for an image of ResNet-18 in fp16, fused and unfused, in evaluation and in a training step.
 *
 * How they are counted: of every kernel, each element of an argument that it loads or stores, once (loop/work.h): what
 * must pass between memory and the chip if no kernel finds anything in a cache, and none reads anything twice. It is the
 * manifest's number; here it is taken from the loops, and needs neither NVRTC nor a device. */
/* clang-format off: cmocka wants these before it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include "loop/work.h"
#include "loops.h"
#include "stages.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 256 };

typedef struct Case {
    bool training, fused;
} Case;

static Loops *compile_model(Arena *a, const Case *c, const Setting *set, int nset, int64_t batch)
{
    Spec *s = spec_read(a, "models/resnet18.yaml", set, nset);
    if (!s) diag_flush();
    assert_non_null(s);
    Graph *g = spec_graph(a, s, c->training, batch);
    Node *weights;
    g->precision = PRECISION_FP16;
    if (c->training) {
        Node *grads = autodiff(g, &weights);
        assert_true(grads && spec_optimizer(s, g, weights, grads));
    }
    simplify(g, c->fused ? 2 : 1);
    lower_precision(g);
    const Machine *m = machine_find(a, "sm_80");
    return lower(a, plan(a, schedule(a, fuse(a, g, c->fused, NULL), m), true), m);
}

static double bytes_of(Arena *a, const Loops *l)
{
    double sum = 0;
    bool list = getenv("BYTES");
    for (int i = 0; i < l->kernel.n; i++) {
        const Kernel *k = &l->kernel.v[i];
        double moved = k->prep ? 0 : func_work(a, k->func).moved;
        if (list && moved > 0) printf("%10.2f MB  %s  %s\n", 1e-6 * moved, k->nest, k->layers);
        sum += moved;
    }
    return sum;
}

static double per_image(bool training, bool fused, int64_t batch)
{
    Arena *a = arena_new();
    Loops *l = compile_model(a, &(Case){training, fused}, NULL, 0, batch);
    double mb = 1e-6 * bytes_of(a, l) / (double)batch;
    printf("%s, %s, batch %lld: %d kernels, %.2f MB an image\n", training ? "training" : "evaluation",
           fused ? "fused" : "unfused", (long long)batch, l->kernel.n, mb);
    arena_free(a);
    return mb;
}

static void evaluation(void **state)
{
    (void)state;
    for (int64_t b = 32; b <= MOST; b *= 2) per_image(false, true, b), per_image(false, false, b);
    assert_true(per_image(false, true, MOST) <= 12);
}

static void training(void **state)
{
    (void)state;
    for (int64_t b = 32; b <= MOST; b *= 2) per_image(true, true, b), per_image(true, false, b);
    assert_true(per_image(true, true, MOST) <= 66);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(evaluation), cmocka_unit_test(training)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
