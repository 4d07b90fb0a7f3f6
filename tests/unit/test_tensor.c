/* Contractions on tiles: kernels from templates/kernels/contract.cu, as the schedule specialises them for a GPU, give the
 * reference's numbers (on the SIMT shim), and NVRTC makes code of them that keeps what a tile promises. */
/* clang-format off: cmocka wants these before it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include "layers.h"
#include "nvrtc/cubin.h"
#include "nvrtc/skeleton.h"
#include "nvrtc/stats.h"
#include "random_data.h"
#include "run_graph.h"
#include "simt/simt.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct TensorCase {
    const char *op, *attrs, *more; /* more: a layer behind it, NULL: none */
    Shape x;
    int skeletons;  /* kernels from templates: of the value and of both gradients, phases counted */
    int processors; /* of the GPU; 1: tiles are as large as fits; 0: the machine's own number */
} TensorCase;

static const TensorCase cases[] = {
    {"Conv2d", "out_channels=48 kernel_size=3 padding=1", "ReLU", {4, {2, 32, 12, 13}}, 3, 0},
    {"Conv2d", "out_channels=64 kernel_size=3 padding=1 stride=2", NULL, {4, {3, 48, 13, 12}}, 3, 0},
    {"Conv2d", "out_channels=32 kernel_size=(5,3) dilation=(1,2) padding=(2,1)", NULL, {4, {2, 32, 10, 9}}, 3, 0},
    {"Conv2d", "out_channels=80 kernel_size=1", "Sigmoid", {4, {3, 64, 11, 7}}, 3, 0},
    {"Conv2d", "out_channels=96 kernel_size=3 groups=2 padding=1", NULL, {4, {2, 64, 9, 10}}, 3, 0},
    {"Conv2d", "out_channels=20 kernel_size=3 padding=1", NULL, {4, {2, 32, 14, 15}}, 2, 0},
    {"Conv2d", "out_channels=32 kernel_size=3 padding=1", "MaxPool2d", {4, {2, 32, 12, 12}}, 3, 0},
    {"ConvTranspose2d", "out_channels=32 kernel_size=4 stride=2 padding=1", NULL, {4, {2, 64, 9, 8}}, 6, 0},
    {"Linear", "out_features=144", "ReLU", {2, {150, 96}}, 3, 0},
    {"Conv2d", "out_channels=128 kernel_size=1", NULL, {4, {1, 128, 8, 16}}, 3, 1},
    {"Conv2d", "out_channels=64 kernel_size=1", NULL, {4, {1, 128, 11, 15}}, 3, 1},
    {"Conv2d", "out_channels=64 kernel_size=1 groups=1", NULL, {4, {1, 64, 16, 16}}, 3, 1},
};
enum { NCASES = sizeof cases / sizeof cases[0], MOST_CONFIGS = 32 };

static Graph *build(Arena *a, const TensorCase *c)
{
    Graph *g = graph_new(a);
    g->training = true;
    Node *x = graph_input(g, "x", DT_F32, c->x), *y = make_layer(g, c->op, "layer", c->attrs, x, NULL);
    if (c->more) y = make_layer(g, c->more, "more", strcmp(c->more, "MaxPool2d") ? "" : "kernel_size=2", y, NULL);
    Node *dy = graph_input(g, "dy", DT_F32, y->shape), *w = NULL, *grad[2];
    for (int i = 0; i < g->node.n && !w; i++)
        if (op_is(g->node.v[i], "State") && g->node.v[i]->shape.rank >= 2) w = g->node.v[i];
    assert_true(autodiff_of(g, y, dy, (Node *[]){x, w}, 2, grad));
    graph_output(g, "output", y);
    graph_output(g, "dx", grad[0]);
    graph_output(g, "dw", g_op(g, "Pack", 1, grad[1])); /* so that it lies as the weights do */
    simplify(g, 2);
    return g;
}

typedef struct Built {
    Graph *g;
    RefEnv *env;
    Run *run;
    Func **func;
    int nfunc, skeletons;
} Built;

static Built plan_case(Arena *a, const TensorCase *c, const char *machine)
{
    Built b = {.g = build(a, c)};
    Machine *m = NEW(a, Machine);
    *m = *machine_find(a, machine);
    if (c->processors) m->processors = c->processors;
    b.env = data_run(a, b.g, &(Data){.kind = DATA_TRAINING, .seed = 7});
    b.run = run_plan_for(a, b.g, b.env, &(RunMode){.fused = true, .reuse = true}, NULL, m);
    const Loops *l = run_loops(b.run);
    b.func = NEWN(a, Func *, l->kernel.n + 1);
    for (; b.nfunc < l->kernel.n; b.nfunc++) {
        b.func[b.nfunc] = l->kernel.v[b.nfunc].func;
        b.skeletons += b.func[b.nfunc]->skeleton != NULL;
    }
    return b;
}

/* Which configurations the kernels of a case have: bit 2*i of operands by rows, 2*i+1 by columns. */
static uint64_t configs_of(const Built *b)
{
    uint64_t seen = 0;
    int n;
    const Schedule *s = run_loops(b->run)->plan->schedule;
    const TileConfig *config = tile_configs(&n);
    assert_true(n <= MOST_CONFIGS);
    for (int i = 0; i < s->groups->group.n; i++)
        for (int p = 0; p < s->group[i].nphase; p++) {
            const ConTile *t = &s->group[i].con[p].tile;
            if (t->config) seen |= 1ull << (2 * (t->config - config) + t->a_columns);
        }
    return seen;
}

static uint64_t check_case(const TensorCase *c, const char *machine, double tolerance)
{
    Arena *a = arena_new();
    const char *where = "";
    Built b = plan_case(a, c, machine);
    if (b.skeletons != c->skeletons)
        fail_msg("%s %s: %d kernels from templates, not %d", c->op, c->attrs, b.skeletons, c->skeletons);
    Results want = results_of(a, b.g, b.env, NULL);
    Results got = results_of(a, b.g, b.env, run_execute(b.run, simt_load(b.func, b.nfunc, !simt_missing(true)), false));
    double e = results_distance(&got, &want, false, &where);
    if (!(e <= tolerance)) fail_msg("%s %s: %s differs by %g", c->op, c->attrs, where, e);
    uint64_t seen = configs_of(&b);
    ref_free(b.env);
    arena_free(a);
    return seen;
}

static void need(const char *why)
{
    if (!why) return;
    printf("%s\n", why);
    skip();
}

/* Every configuration of the table was met, with operands of both kinds. */
static void expect_all(uint64_t seen, TileMath math)
{
    int n;
    const TileConfig *c = tile_configs(&n);
    for (int i = 0; i < 2 * n; i++)
        if (c[i / 2].math == math && !(seen >> i & 1))
            fail_msg("no case runs on %dx%d %s", c[i / 2].bm, c[i / 2].bn, i % 2 ? "by columns" : "by rows");
}

static void fp32(void **state)
{
    uint64_t seen = 0;
    (void)state;
    need(simt_missing(false));
    for (int i = 0; i < NCASES; i++) seen |= check_case(&cases[i], "sm_80", 1e-5);
    expect_all(seen, TILE_SIMT);
}

/* ---- code ---- */

typedef struct Code {
    Arena *a;
    const char *arch;
    VEC(Func *) func;
    uint64_t seen;
} Code;

static bool is_new(Code *c, const Skeleton *s)
{
    int n, columns = 0, math = 0, bm = 0, bn = 0;
    const TileConfig *t = tile_configs(&n);
    for (int i = 0; i < s->define.n; i++) {
        const Define *d = &s->define.v[i];
        if (!strcmp(d->name, "A_COLUMNS")) columns = (int)d->value;
        if (!strcmp(d->name, "MATH")) math = (int)d->value;
        if (!strcmp(d->name, "BM")) bm = (int)d->value;
        if (!strcmp(d->name, "BN")) bn = (int)d->value;
    }
    for (int i = 0; i < n; i++) {
        if ((int)t[i].math != math || t[i].bm != bm || t[i].bn != bn) continue;
        uint64_t bit = 1ull << (2 * i + columns);
        bool first = !(c->seen & bit);
        c->seen |= bit;
        return first;
    }
    fail_msg("a tile that is not in the table");
    return false;
}

/* One kernel of each configuration and kind, all in one program. */
static void collect(Code *c)
{
    for (int i = NCASES - 1; i >= 0; i--) {
        Built b = plan_case(c->a, &cases[i], c->arch);
        for (int k = 0; k < b.nfunc; k++) {
            Func *f = b.func[k];
            if (!f->skeleton || !is_new(c, f->skeleton)) continue;
            f->name = arena_printf(c->a, "k%02d", c->func.n);
            vec_push(c->a, &c->func, f);
        }
        ref_free(b.env);
    }
}

static void check_code(const char *arch, const Func *f, const CudaStats *s)
{
    enum { REGISTERS = 65536, WARPS_OF_SIMT = 12, WARP = 32 };
    if (s->spill_st || s->spill_ld || s->stack)
        fail_msg("%s %s: %d bytes spilled, a stack of %d", arch, f->name, s->spill_st, s->stack);
    if (s->registers * WARP * WARPS_OF_SIMT > REGISTERS) fail_msg("%s %s: %d registers", arch, f->name, s->registers);
    double slots = (double)s->main.total / (s->main.op[SASS_FFMA] ? s->main.op[SASS_FFMA] : 1);
    if (!(slots <= 1.25)) fail_msg("%s %s: %.2f issue slots for each FFMA", arch, f->name, slots);
}

static void compile_all(const char *arch)
{
    Code c = {.a = arena_new(), .arch = arch};
    Buf source = {0}, log = {0};
    Object cubin, ptx;
    int n;
    collect(&c);
    expect_all(c.seen, TILE_SIMT);
    cuda_prelude(&source);
    cuda_kernels(&source, c.func.v, c.func.n);
    cuda_compile(source.s, arch, &cubin, &ptx, &log);
    const CudaStats *s = cuda_stats(c.a, &cubin, log.s, &n);
    for (int i = 0; i < c.func.n; i++) check_code(arch, c.func.v[i], cuda_stats_find(s, n, c.func.v[i]->name));
    free(cubin.data);
    free(ptx.data);
    buf_free(&source);
    buf_free(&log);
    arena_free(c.a);
}

static void code(void **state)
{
    (void)state;
    need(cuda_missing());
    for (int i = 0; machine_cuda_names[i]; i++) compile_all(machine_cuda_names[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(fp32), cmocka_unit_test(code)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
