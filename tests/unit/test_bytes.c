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
#include "need.h"
#include "nvrtc/cubin.h"
#include "random_data.h"
#include "run_graph.h"
#include "stages.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 256 }; /* what is done for the weights alone is shared by the images of a batch */

typedef struct Case {
    bool training, fused;
    const char *size; /* of the images */
    int64_t batch;
} Case;

static Graph *graph_of(Arena *a, const Case *c)
{
    Setting size = {"size", c->size};
    Spec *s = spec_read(a, "models/resnet18.yaml", &size, 1);
    if (!s) diag_flush();
    assert_non_null(s);
    Graph *g = spec_graph(a, s, c->training, c->batch);
    Node *weights;
    g->precision = PRECISION_FP16;
    if (c->training) {
        Node *grads = autodiff(g, &weights);
        assert_true(grads && spec_optimizer(s, g, weights, grads));
    }
    simplify(g, c->fused ? 2 : 1);
    lower_precision(g, machine_find(a, "sm_80"));
    return g;
}

/* What is computed once for many batches does not count. BYTES=1 in the environment lists the kernels. */
static double bytes_of(Arena *a, const Loops *l)
{
    double sum = 0;
    for (int i = 0; i < l->kernel.n; i++) {
        const Kernel *k = &l->kernel.v[i];
        double moved = k->prep ? 0 : func_work(a, k->func).moved;
        if (getenv("BYTES") && moved > 0) printf("%10.2f MB  %s  %s\n", 1e-6 * moved, k->nest, k->layers);
        sum += moved;
    }
    return sum;
}

static double per_image(const Case *c)
{
    Arena *a = arena_new();
    const Machine *m = machine_find(a, "sm_80");
    Graph *g = graph_of(a, c);
    Loops *l = lower(a, plan(a, schedule(a, fuse(a, g, c->fused, NULL, m), m), true), m);
    double mb = 1e-6 * bytes_of(a, l) / (double)c->batch;
    printf("%s, %s, batch %lld: %.2f MB an image\n", c->training ? "training" : "evaluation",
           c->fused ? "fused" : "unfused", (long long)c->batch, mb);
    arena_free(a);
    return mb;
}

static void check_bytes(bool training, double most)
{
    for (int64_t batch = 64; batch < BATCH; batch *= 2) per_image(&(Case){training, true, "224", batch});
    double fused = per_image(&(Case){training, true, "224", BATCH});
    double unfused = per_image(&(Case){training, false, "224", BATCH});
    if (!(fused <= most)) fail_msg("%.2f MB are more than %.0f", fused, most);
    assert_true(fused < 0.4 * unfused);
}

static void evaluation(void **state)
{
    (void)state;
    check_bytes(false, 12);
}

static void training(void **state)
{
    (void)state;
    check_bytes(true, 66);
}

/* ---- the same on the virtual device ---- */

typedef struct Sum { /* bytes: as they are counted, and as sectors of 32 that passed */
    double counted, passed;
} Sum;

/* Kernels that meet every element once. Windows and contractions read some of theirs again. */
static bool reads_once(const Kernel *k)
{
    return !strcmp(k->nest, "pointwise") || !strcmp(k->nest, "reduce") || !strcmp(k->nest, "contract combine");
}

static void add_kernel(Arena *a, const Kernel *k, const PtxProfile *p, Sum *stores, Sum *once)
{
    enum { SECTOR = 32 };
    Work w = func_work(a, k->func);
    double stored = 0, loaded = 0;
    for (int i = 0; i < k->func->nargs; i++) *(k->func->buf.v[i]->written ? &stored : &loaded) += w.bytes[i];
    double sectors = (double)p->load_sectors * SECTOR;
    if (sectors < 0.95 * loaded) fail_msg("%s: %.0f bytes were loaded, not %.0f", k->layers, sectors, loaded);
    stores->counted += stored;
    stores->passed += (double)p->store_sectors * SECTOR;
    if (!reads_once(k)) return;
    once->counted += loaded;
    once->passed += sectors;
}

static void check_sum(const char *what, const Sum *s, double tolerance)
{
    double e = s->passed / s->counted - 1;
    printf("%s: %.3f MB counted, %.3f MB in sectors\n", what, 1e-6 * s->counted, 1e-6 * s->passed);
    if (!(e > -tolerance && e < tolerance)) fail_msg("%s: %+.1f %%", what, 100 * e);
}

/* A small plane, on a GPU with one processor, so that few images fill it as many do the real one. Stores agree within 5 %,
 * loads of what is met once within 25 % (rows of weights meet their channel's factors again); and no kernel loads less
 * than is counted. */
static void on_virtual_device(void **state)
{
    (void)state;
    need(cuda_missing());
    Arena *a = arena_new();
    Machine m = *machine_find(a, "sm_80");
    m.processors = 1;
    Graph *g = graph_of(a, &(Case){false, true, "64", 2});
    RefEnv *env = data_run(a, g, &(Data){.kind = DATA_INFERENCE, .seed = 1});
    Run *r = run_plan_for(a, g, env, &(RunMode){.fused = true, .reuse = true}, NULL, &m);
    const Loops *l = run_loops(r);
    PtxProfile *p = NEWN(a, PtxProfile, l->kernel.n + 1);
    Buf source = {0};
    char *fault;
    ptx_emit(&source, l, "");
    PtxModule *code = ptx_compile(source.s);
    run_profile(r, p);
    if (!run_ptx(r, code, "", &fault)) fail_msg("%s", fault);
    Sum stores = {0}, once = {0};
    for (int i = 0; i < l->kernel.n; i++) add_kernel(a, &l->kernel.v[i], &p[i], &stores, &once);
    check_sum("stores", &stores, 0.05);
    check_sum("loads of elements that are met once", &once, 0.25);
    ptx_unload(code);
    buf_free(&source);
    ref_free(env);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(evaluation), cmocka_unit_test(training),
                                       cmocka_unit_test(on_virtual_device)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
