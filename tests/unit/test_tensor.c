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
#include "need.h"
#include "nvrtc/cubin.h"
#include "nvrtc/skeleton.h"
#include "nvrtc/stats.h"
#include "random_data.h"
#include "run_graph.h"
#include "simt/simt.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* x -> Sigmoid -> layer -> more: what the layer's kernels read are activations, which half precision keeps in 16 bits.
 * All of it is smooth: a ReLU's gradient would jump where rounding moves what is nearly 0. */
typedef struct TensorCase {
    const char *op, *attrs, *more;
    Shape x;
    int skeletons;  /* kernels from templates: of the value and of both gradients, phases counted */
    int processors; /* of the GPU; 1: tiles are as large as fits; 0: the machine's own number */
    bool ptx;       /* on the PTX interpreter as well: NVRTC takes its time */
} TensorCase;

static const TensorCase cases[] = {
    {"Conv2d", "out_channels=48 kernel_size=3 padding=1", "SiLU", {4, {2, 32, 12, 13}}, 3, 0, true},
    {"Conv2d", "out_channels=64 kernel_size=3 padding=1 stride=2", "Sigmoid", {4, {3, 48, 13, 12}}, 3, 0, true},
    {"Conv2d", "out_channels=32 kernel_size=(5,3) dilation=(1,2) padding=(2,1)", "SiLU", {4, {2, 32, 10, 9}}, 3, 0, false},
    {"Conv2d", "out_channels=80 kernel_size=1", "Sigmoid", {4, {3, 64, 11, 7}}, 3, 0, false},
    {"Conv2d", "out_channels=96 kernel_size=3 groups=2 padding=1", "SiLU", {4, {2, 64, 9, 10}}, 3, 0, true},
    {"Conv2d", "out_channels=20 kernel_size=3 padding=1", "SiLU", {4, {2, 32, 14, 15}}, 2, 0, false},
    {"Conv2d", "out_channels=32 kernel_size=3 padding=1", "AvgPool2d", {4, {2, 32, 12, 12}}, 3, 0, true},
    {"ConvTranspose2d", "out_channels=32 kernel_size=4 stride=2 padding=1", "SiLU", {4, {2, 64, 9, 8}}, 6, 0, false},
    {"Linear", "out_features=144", "SiLU", {2, {150, 96}}, 3, 0, true},
    {"Conv2d", "out_channels=128 kernel_size=1", "Tanh", {4, {1, 128, 8, 16}}, 3, 1, true},
    {"Conv2d", "out_channels=64 kernel_size=1", "Tanh", {4, {1, 128, 8, 16}}, 3, 1, false},
    {"Conv2d", "out_channels=64 kernel_size=1", "Tanh", {4, {1, 64, 16, 16}}, 3, 1, false},
    {"Conv2d", "out_channels=128 kernel_size=1", "Tanh", {4, {1, 256, 16, 16}}, 3, 1, true},
    {"Conv2d", "out_channels=64 kernel_size=1", "Tanh", {4, {1, 256, 15, 17}}, 3, 1, false},
};
enum { NCASES = sizeof cases / sizeof cases[0], MOST_CONFIGS = 32 };

static Graph *build(Arena *a, const TensorCase *c, Precision precision)
{
    Graph *g = graph_new(a);
    g->training = true;
    g->precision = precision;
    Node *x = graph_input(g, "x", DT_F32, c->x), *w = NULL, *grad[2];
    Node *y = make_layer(g, c->op, "layer", c->attrs, make_layer(g, "Sigmoid", "first", "", x, NULL), NULL);
    y = make_layer(g, c->more, "more", strcmp(c->more, "AvgPool2d") ? "" : "kernel_size=2", y, NULL);
    Node *dy = graph_input(g, "dy", DT_F32, y->shape);
    for (int i = 0; i < g->node.n && !w; i++)
        if (op_is(g->node.v[i], "State") && g->node.v[i]->shape.rank >= 2) w = g->node.v[i];
    assert_true(autodiff_of(g, y, dy, (Node *[]){x, w}, 2, grad));
    graph_output(g, "output", y);
    graph_output(g, "dx", grad[0]);
    graph_output(g, "dw", g_op(g, "Pack", 1, grad[1])); /* so that it lies as the weights do */
    simplify(g, 2);
    lower_precision(g, machine_find(a, "sm_80"));
    return g;
}

typedef struct Built {
    Graph *g;
    RefEnv *env;
    Run *run;
    Func **func;
    int nfunc, skeletons;
} Built;

static Built plan_tiled(Arena *a, const TensorCase *c, const char *machine, Precision precision, int tile)
{
    Built b = {.g = build(a, c, precision)};
    Machine *m = NEW(a, Machine);
    *m = *machine_find(a, machine);
    if (c->processors) m->processors = c->processors;
    b.env = data_run(a, b.g, &(Data){.kind = DATA_TRAINING, .seed = 7});
    b.run = run_plan_for(a, b.g, b.env, &(RunMode){.fused = true, .reuse = true, .tile = tile}, NULL, m);
    const Loops *l = run_loops(b.run);
    b.func = NEWN(a, Func *, l->kernel.n + 1);
    for (; b.nfunc < l->kernel.n; b.nfunc++) {
        b.func[b.nfunc] = l->kernel.v[b.nfunc].func;
        b.skeletons += b.func[b.nfunc]->skeleton != NULL;
    }
    return b;
}

static Built plan_case(Arena *a, const TensorCase *c, const char *machine, Precision precision)
{
    return plan_tiled(a, c, machine, precision, 0);
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

static uint64_t check_case(const TensorCase *c, Precision precision, double tolerance)
{
    Arena *a = arena_new();
    const char *where = "";
    Built b = plan_case(a, c, "sm_80", precision);
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

/* Every configuration of the table was met, with operands of both kinds. */
static void expect_all(uint64_t seen, TileMath math)
{
    int n;
    const TileConfig *c = tile_configs(&n);
    for (int i = 0; i < 2 * n; i++)
        if (c[i / 2].math == math && !(seen >> i & 1))
            fail_msg("no case runs on %dx%d %s", c[i / 2].bm, c[i / 2].bn, i % 2 ? "by columns" : "by rows");
}

static void check_all(Precision precision, TileMath math, double tolerance)
{
    uint64_t seen = 0;
    need(simt_missing(false));
    for (int i = 0; i < NCASES; i++) seen |= check_case(&cases[i], precision, tolerance);
    expect_all(seen, math);
}

static void fp32(void **state)
{
    (void)state;
    check_all(PRECISION_FP32, TILE_SIMT, 1e-5);
}

static void tf32(void **state)
{
    (void)state;
    check_all(PRECISION_TF32, TILE_TF32, 2e-3);
}

static void fp16(void **state)
{
    (void)state;
    check_all(PRECISION_FP16, TILE_F16, 2e-3);
}

static void bf16(void **state) /* three bits of fraction less */
{
    (void)state;
    check_all(PRECISION_BF16, TILE_F16, 1e-2);
}

/* ---- on the PTX interpreter: NVRTC's own code, every access checked and counted ---- */

typedef struct OnPtx {
    Arena *a;
    Built b[MOST_CONFIGS]; /* of cases, or of tiles */
    Buf source;
    PtxModule *module;
} OnPtx;

static const char *prefix_of(const OnPtx *t, int i)
{
    return arena_printf(t->a, "c%02d_", i);
}

/* Conflicts of banks there are none in the main loop; what little there is is the tail's, once per tile. */
static void check_profile(const TensorCase *c, const Func *f, const PtxProfile *p)
{
    const double most_phases = 1.02, least_used = 0.9;
    double phases = (double)p->shared_phases / (double)p->shared_requests;
    double used = (double)p->store_bytes / (32.0 * (double)p->store_sectors);
    if (p->loop_phases != p->loop_requests || !p->loop_requests)
        fail_msg("%s %s, %s: %g accesses of the main loop take %g turns", c->op, c->attrs, f->comment,
                 (double)p->loop_requests, (double)p->loop_phases);
    if (!(phases <= most_phases)) fail_msg("%s %s, %s: bank conflicts, %.3f", c->op, c->attrs, f->comment, phases);
    if (!(used >= least_used)) fail_msg("%s %s, %s: stores use %.2f of their sectors", c->op, c->attrs, f->comment, used);
}

static void check_on_ptx(OnPtx *t, int i, const TensorCase *c, double tolerance)
{
    const Built *b = &t->b[i];
    const char *where = "";
    char *fault;
    PtxProfile *p = NEWN(t->a, PtxProfile, b->nfunc + 1);
    run_profile(b->run, p);
    double **x = run_ptx(b->run, t->module, prefix_of(t, i), &fault);
    if (fault) fail_msg("%s %s: %s", c->op, c->attrs, fault);
    Results want = results_of(t->a, b->g, b->env, NULL), got = results_of(t->a, b->g, b->env, x);
    double e = results_distance(&got, &want, false, &where);
    if (!(e <= tolerance)) fail_msg("%s %s: %s differs by %g", c->op, c->attrs, where, e);
    for (int k = 0; k < b->nfunc; k++)
        if (b->func[k]->skeleton) check_profile(c, b->func[k], &p[k]);
}

static void on_ptx(Precision precision, double tolerance)
{
    OnPtx t = {.a = arena_new()};
    need(cuda_missing());
    for (int i = 0; i < NCASES; i++) {
        if (!cases[i].ptx) continue;
        t.b[i] = plan_case(t.a, &cases[i], "sm_80", precision);
        ptx_emit(&t.source, run_loops(t.b[i].run), prefix_of(&t, i));
    }
    t.module = ptx_compile(t.source.s);
    for (int i = 0; i < NCASES; i++) {
        if (!cases[i].ptx) continue;
        check_on_ptx(&t, i, &cases[i], tolerance);
        ref_free(t.b[i].env);
    }
    ptx_unload(t.module);
    buf_free(&t.source);
    arena_free(t.a);
}

/* Does the contraction have the i-th tile for any of its kernels? */
static bool is_tuned(const Built *b)
{
    const Schedule *s = run_loops(b->run)->plan->schedule;
    bool any = false;
    for (int i = 0; i < s->groups->group.n; i++)
        for (int p = 0; p < s->group[i].nphase; p++) any |= s->group[i].con[p].tile.config != s->group[i].con[p].tile.standard;
    return any;
}

/* Every tile that --tune may choose, on a convolution with a pooling behind it. */
static void tuned(Precision precision, double tolerance)
{
    OnPtx t = {.a = arena_new()};
    const TensorCase *c = &cases[6];
    int n = 0;
    need(cuda_missing());
    for (int more = true; more; n += more) {
        t.b[n] = plan_tiled(t.a, c, "sm_80", precision, n + 1);
        if ((more = is_tuned(&t.b[n]))) ptx_emit(&t.source, run_loops(t.b[n].run), prefix_of(&t, n));
    }
    assert_true(n >= 8 && n < 20);
    t.module = ptx_compile(t.source.s);
    for (int i = 0; i < n; i++) check_on_ptx(&t, i, c, tolerance);
    for (int i = 0; i <= n; i++) ref_free(t.b[i].env);
    ptx_unload(t.module);
    buf_free(&t.source);
    arena_free(t.a);
}

static void tuned_fp32(void **state)
{
    (void)state;
    tuned(PRECISION_FP32, 1e-5);
}
static void tuned_tf32(void **state)
{
    (void)state;
    tuned(PRECISION_TF32, 2e-3);
}
static void tuned_fp16(void **state)
{
    (void)state;
    tuned(PRECISION_FP16, 2e-3);
}

static void ptx_fp32(void **state)
{
    (void)state;
    on_ptx(PRECISION_FP32, 1e-5);
}
static void ptx_tf32(void **state)
{
    (void)state;
    on_ptx(PRECISION_TF32, 2e-3);
}
static void ptx_fp16(void **state)
{
    (void)state;
    on_ptx(PRECISION_FP16, 2e-3);
}

/* ---- code ---- */

typedef struct Code {
    Arena *a;
    const char *arch;
    Precision precision;
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

/* One kernel of each configuration and kind. */
static void collect(Code *c)
{
    for (int i = NCASES - 1; i >= 0; i--) {
        Built b = plan_case(c->a, &cases[i], c->arch, c->precision);
        for (int k = 0; k < b.nfunc; k++) {
            Func *f = b.func[k];
            if (!f->skeleton || !is_new(c, f->skeleton)) continue;
            f->name = arena_printf(c->a, "k%02d", c->func.n);
            vec_push(c->a, &c->func, f);
        }
        ref_free(b.env);
    }
}

static int columns_of(const Skeleton *s)
{
    for (int i = 0; i < s->define.n; i++)
        if (!strcmp(s->define.v[i].name, "A_COLUMNS")) return (int)s->define.v[i].value;
    return 0;
}

/* Issue slots for each product: of fp32 units little more than 1; a tensor core works for 4 (8 on an A100) on one. */
static void check_code(const Code *c, const Func *f, const CudaStats *s)
{
    enum { REGISTERS = 65536, WARP = 32, WARPS_OF_SIMT = 12, WARPS = 8 };
    bool simt = c->precision == PRECISION_FP32;
    double most = simt ? 1.25 : columns_of(f->skeleton) ? 5 : 4;
    int products = s->main.op[simt ? SASS_FFMA : SASS_HMMA];
    if (s->spill_st || s->spill_ld || s->stack)
        fail_msg("%s %s: %d bytes spilled, a stack of %d", c->arch, f->name, s->spill_st, s->stack);
    if (s->registers * WARP * (simt ? WARPS_OF_SIMT : WARPS) > REGISTERS)
        fail_msg("%s %s: %d registers", c->arch, f->name, s->registers);
    if (!products || s->main.total > most * products)
        fail_msg("%s %s: %d issue slots for %d products", c->arch, f->name, s->main.total, products);
}

static void compile_all(const char *arch, Precision precision, TileMath math)
{
    Code c = {.a = arena_new(), .arch = arch, .precision = precision};
    collect(&c);
    expect_all(c.seen, math);
    const CudaStats *s = cuda_probe(c.a, c.func.v, c.func.n, arch, true);
    for (int i = 0; i < c.func.n; i++) check_code(&c, c.func.v[i], &s[i]);
    arena_free(c.a);
}

static void code(Precision precision, TileMath math)
{
    need(cuda_missing());
    for (int i = 0; machine_cuda_names[i]; i++) compile_all(machine_cuda_names[i], precision, math);
}

static void code_fp32(void **state)
{
    (void)state;
    code(PRECISION_FP32, TILE_SIMT);
}

static void code_tf32(void **state)
{
    (void)state;
    code(PRECISION_TF32, TILE_TF32);
}

static void code_fp16(void **state)
{
    (void)state;
    code(PRECISION_FP16, TILE_F16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fp32),      cmocka_unit_test(tf32),      cmocka_unit_test(fp16),     cmocka_unit_test(bf16),
        cmocka_unit_test(ptx_fp32),  cmocka_unit_test(ptx_tf32),  cmocka_unit_test(ptx_fp16),
        cmocka_unit_test(tuned_fp32), cmocka_unit_test(tuned_tf32), cmocka_unit_test(tuned_fp16),
        cmocka_unit_test(code_fp32), cmocka_unit_test(code_tf32), cmocka_unit_test(code_fp16)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
