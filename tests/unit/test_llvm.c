/* The CPU backend: compiled kernels against the loop interpreter, to the bit; exp and its like
 * against libm; a matrix product's inner kernel without spills; objects that do not depend on the
 * number of threads. */
#include "backend.h"
#include "kernel_load.h"
#include "kernel_random.h"
#include "support/file.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static Arena *arena;

/* Machines whose code this computer runs, widest last. */
static int machines(const Machine **m)
{
    static const char *const names[] = {"x86-64-v3", "x86-64-v4", "native"};
    const Machine *native = machine_find(arena, "native");
    int n = 0;
    for (int i = 0; i < 3; i++) {
        const Machine *k = machine_find(arena, names[i]);
        bool x86 = !strncmp(k->triple, "x86", 3) == !strncmp(native->triple, "x86", 3);
        if (x86 && k->lanes <= native->lanes) m[n++] = k;
    }
    return n;
}

/* ---- random kernels ---- */

enum { KERNELS = 60 };

typedef struct Data {
    void *arg[RANDOM_ARGS];
} Data;

static const size_t element[RANDOM_ARGS] = {4, 4, 1, 8, 4, 4, 1, 8};

static Data new_data(void)
{
    Data d;
    unsigned r = 1;
    for (int i = 0; i < RANDOM_ARGS; i++) d.arg[i] = arena_alloc(arena, element[i] * RANDOM_COUNT);
    for (int i = 0; i < RANDOM_COUNT; i++) {
        r = r * 1664525u + 1013904223u;
        ((float *)d.arg[0])[i] = (float)(int)(r >> 8) / 65536 - 120;
        ((int32_t *)d.arg[1])[i] = (int32_t)(r >> 12) % RANDOM_COUNT;
        ((uint8_t *)d.arg[2])[i] = (uint8_t)(r >> 11);
        ((double *)d.arg[3])[i] = (int)(r >> 8) / 65536.0 - 120;
    }
    return d;
}

/* Equal bits, or both NaN. */
static bool same(int arg, const void *x, const void *y, int i)
{
    const char *p = (const char *)x + element[arg] * (size_t)i,
               *q = (const char *)y + element[arg] * (size_t)i;
    if (!memcmp(p, q, element[arg])) return true;
    if (arg == 4) return isnan(((const float *)x)[i]) && isnan(((const float *)y)[i]);
    return arg == 7 && isnan(((const double *)x)[i]) && isnan(((const double *)y)[i]);
}

static void compare(const Func *f, const Machine *m, const Data *want, const Data *got)
{
    for (int a = 4; a < RANDOM_ARGS; a++)
        for (int i = 0; i < RANDOM_COUNT; i++)
            if (!same(a, want->arg[a], got->arg[a], i)) {
                Buf b = {0};
                func_print(&b, f);
                fail_msg("%s: a%d[%d] differs\n%s", m->name, a, i, b.s);
            }
}

static void equals_interpreter(void **state)
{
    (void)state;
    const Machine *m[3];
    Func *f[KERNELS];
    for (int i = 0; i < KERNELS; i++) {
        f[i] = kernel_random(arena, arena_printf(arena, "k%02d", i), (unsigned)i);
        func_verify(f[i], "test");
    }
    for (int k = machines(m) - 1; k >= 0; k--) {
        const KernelFn *fn = kernels_load(f, KERNELS, m[k]);
        for (int i = 0; i < KERNELS; i++) {
            Data want = new_data(), got = new_data();
            func_interp(f[i], want.arg, 0, 4);
            fn[i](got.arg, 0, 1);
            fn[i](got.arg, 1, 1);
            fn[i](got.arg, 1, 4);
            compare(f[i], m[k], &want, &got);
        }
    }
}

/* ---- functions ---- */

enum { POINTS = 1 << 16 };

static double exact(CallFn fn, double x)
{
    switch (fn) {
    case F_EXP:
        return exp(x);
    case F_LOG:
        return log(x);
    case F_TANH:
        return tanh(x);
    default:
        return erf(x);
    }
}

/* Distance in units of the last place of the f32 nearest to want. */
static double ulps(float got, double want)
{
    float w = (float)want;
    if (isnan(w) || isinf(w)) return isnan(w) ? (isnan(got) ? 0 : 1e9) : (got == w ? 0 : 1e9);
    if (isnan(got) || isinf(got)) return 1e9;
    double ulp = fmax((double)nextafterf(fabsf(w), INFINITY) - (double)fabsf(w), 0x1p-149);
    return fabs((double)got - want) / ulp;
}

static void points(CallFn fn, float *x)
{
    static const float special[] = {0,       -0.0f,    INFINITY,       -INFINITY, NAN,
                                    1,       -1,       0x1p-149f,      0x1p-126f, -0x1p-140f,
                                    88.72f,  88.73f,   -87.4f,         -103.9f,   -104.1f,
                                    3.4e38f, -3.4e38f, 0.625f,         0.9f,      1e-20f,
                                    9.1f,    4.1f,     0x1.fffffep-1f, 2};
    unsigned r = 7;
    for (int i = 0; i < POINTS; i++) {
        r = r * 1664525u + 1013904223u;
        float u = (float)(r >> 8) * 0x1p-24f;
        if (fn == F_LOG)
            x[i] = i % 2 ? ldexpf(1 + u, i % 250 - 126) : 0.5f + u;
        else if (fn == F_EXP)
            x[i] = u * 195 - 105;
        else
            x[i] = (u - 0.5f) * (i % 3 ? 4 : 20) * (i % 5 ? 1 : 1e-3f);
    }
    memcpy(x, special, sizeof special);
}

static Func *call_kernel(const char *name, CallFn fn)
{
    Func *f = func_new(arena, name, "");
    f->ntasks = POINTS / 16;
    LB b = lb_begin(arena, f);
    LBuf *in = lb_arg(&b, LT_F32, POINTS), *out = lb_arg(&b, LT_F32, POINTS);
    Expr *v = lb_for_n(&b, FOR_VECTOR, 16, "v"), *at = x_add(&b, x_muli(&b, x_task(&b), 16), v);
    lb_store(&b, out, at, x_call(&b, fn, x_load(&b, in, at)));
    lb_end(&b);
    return f;
}

static void functions_are_close(void **state)
{
    (void)state;
    static const CallFn fns[] = {F_EXP, F_LOG, F_TANH, F_ERF};
    static const char *const names[] = {"exp", "log", "tanh", "erf"};
    const Machine *m[3];
    Func *f[4];
    for (int i = 0; i < 4; i++) f[i] = call_kernel(names[i], fns[i]);
    const KernelFn *fn = kernels_load(f, 4, m[machines(m) - 1]);
    float *x = NEWN(arena, float, POINTS), *y = NEWN(arena, float, POINTS);
    for (int i = 0; i < 4; i++) {
        double worst = 0;
        points(fns[i], x);
        fn[i]((void *[]){x, y}, 0, POINTS / 16);
        for (int k = 0; k < POINTS; k++) {
            double e = ulps(y[k], exact(fns[i], x[k]));
            if (e > 2.5) fail_msg("%s(%a) = %a", names[i], x[k], y[k]);
            worst = e > worst ? e : worst;
            assert_true(x[k] != 0 || fns[i] == F_EXP || fns[i] == F_LOG ||
                        signbit(y[k]) == signbit(x[k]));
        }
        printf("  %-5s at most %.2f ulp\n", names[i], worst);
    }
}

/* ---- the inner kernel of a matrix product ---- */

enum { L = 16, K = 256, U = 4 };

/* tile[rows][blocks*16] (+)= over the lanes: what the three loops below have in common */
typedef struct Tile {
    LB b;
    int rows, blocks;
    LBuf *acc;
    Expr *m, *j, *v, *at;
} Tile;

static void tile_begin(Tile *t)
{
    t->m = lb_for_n(&t->b, FOR_UNROLL, t->rows, "m");
    t->j = lb_for_n(&t->b, FOR_UNROLL, t->blocks, "j");
    t->v = lb_for_n(&t->b, FOR_VECTOR, L, "v");
    Expr *jv = x_add(&t->b, x_muli(&t->b, t->j, L), t->v);
    t->at = x_add(&t->b, x_muli(&t->b, t->m, t->blocks * L), jv);
}

static void tile_end(Tile *t)
{
    lb_end(&t->b);
    lb_end(&t->b);
    lb_end(&t->b);
}

/* acc[m][j] += A[a + m*stride] * B[b + j*16 ...] */
static void step(Tile *t, LBuf *A, Expr *a, int64_t stride, LBuf *B, Expr *bb, LBuf *breg)
{
    LB *b = &t->b;
    Expr *j = lb_for_n(b, FOR_UNROLL, t->blocks, "j"), *v = lb_for_n(b, FOR_VECTOR, L, "v");
    Expr *jv = x_add(b, x_muli(b, j, L), v);
    lb_store(b, breg, jv, x_load(b, B, x_add(b, bb, jv)));
    lb_end(b);
    lb_end(b);
    Expr *m = lb_for_n(b, FOR_UNROLL, t->rows, "m");
    Expr *x = lb_let(b, x_load(b, A, x_add(b, x_muli(b, m, stride), a)), "a");
    j = lb_for_n(b, FOR_UNROLL, t->blocks, "j");
    v = lb_for_n(b, FOR_VECTOR, L, "v");
    jv = x_add(b, x_muli(b, j, L), v);
    Expr *at = x_add(b, x_muli(b, m, t->blocks * L), jv);
    lb_store(b, t->acc, at, x_fma(b, x, x_load(b, breg, jv), x_load(b, t->acc, at)));
    tile_end(t);
}

static void clear_tile(Tile *t)
{
    tile_begin(t);
    lb_store(&t->b, t->acc, t->at, x_f32(&t->b, 0));
    tile_end(t);
}

static void store_tile(Tile *t, LBuf *C, Expr *base)
{
    LB *b = &t->b;
    tile_begin(t);
    Expr *y = x_bin(b, B_MAX, x_load(b, t->acc, t->at), x_f32(b, 0));
    lb_store(b, C, base ? x_add(b, base, t->at) : t->at, y);
    tile_end(t);
}

static Func *gemm(const char *name, int rows, int blocks)
{
    Func *f = func_new(arena, name, "gemm");
    Tile t = {.b = lb_begin(arena, f), .rows = rows, .blocks = blocks};
    LB *b = &t.b;
    LBuf *A = lb_arg(b, LT_F32, rows * K), *B = lb_arg(b, LT_F32, K * blocks * L);
    LBuf *C = lb_arg(b, LT_F32, rows * blocks * L);
    t.acc = lb_alloc(b, BUF_REGISTER, LT_F32, rows * blocks * L);
    LBuf *breg = lb_alloc(b, BUF_REGISTER, LT_F32, blocks * L);
    clear_tile(&t);
    Expr *r = lb_for_n(b, FOR_SERIAL, K / U, "r"), *u = lb_for_n(b, FOR_UNROLL, U, "u");
    Expr *k = x_add(b, x_muli(b, r, U), u);
    step(&t, A, k, K, B, x_muli(b, k, blocks * L), breg);
    lb_end(b);
    lb_end(b);
    store_tile(&t, C, NULL);
    return f;
}

/* A 3x3 convolution over 32x32 pixels of 2 blocks of 16 channels, with halo: seven loops round the
 * tile. */
static Func *conv(const char *name, int rows, int blocks)
{
    enum { W = 34, PLANE = W * W * L };
    Func *f = func_new(arena, name, "conv");
    f->ntasks = 4;
    Tile t = {.b = lb_begin(arena, f), .rows = rows, .blocks = blocks};
    LB *b = &t.b;
    int64_t taps = 2 * 9 * L;
    LBuf *A = lb_arg(b, LT_F32, 4 * 2 * PLANE), *B = lb_arg(b, LT_F32, taps * blocks * L);
    LBuf *C = lb_arg(b, LT_F32, 4 * 32 * 2 * rows * blocks * L);
    Expr *y = lb_for_n(b, FOR_SERIAL, 32, "y"), *x = lb_for_n(b, FOR_SERIAL, 2, "x");
    t.acc = lb_alloc(b, BUF_REGISTER, LT_F32, rows * blocks * L);
    LBuf *breg = lb_alloc(b, BUF_REGISTER, LT_F32, blocks * L);
    clear_tile(&t);
    Expr *c = lb_for_n(b, FOR_SERIAL, 2, "c"), *r = lb_for_n(b, FOR_SERIAL, 3, "r");
    Expr *s = lb_for_n(b, FOR_SERIAL, 3, "s"), *i = lb_for_n(b, FOR_SERIAL, L / U, "i");
    Expr *u = lb_for_n(b, FOR_UNROLL, U, "u"), *k = x_add(b, x_muli(b, i, U), u);
    Expr *tap = x_add(b, x_muli(b, x_add(b, x_muli(b, c, 3), r), 3), s);
    Expr *pixel = x_add(b, x_muli(b, x_add(b, y, r), W), x_add(b, x_muli(b, x, rows), s));
    Expr *plane = x_muli(b, x_add(b, x_muli(b, x_task(b), 2), c), PLANE);
    Expr *weight = x_muli(b, x_add(b, x_muli(b, tap, L), k), blocks * L);
    step(&t, A, x_add(b, plane, x_add(b, x_muli(b, pixel, L), k)), L, B, weight, breg);
    for (int n = 0; n < 5; n++) lb_end(b);
    Expr *at = x_add(b, x_muli(b, x_add(b, x_muli(b, x_task(b), 32), y), 2), x);
    store_tile(&t, C, x_muli(b, at, rows * blocks * L));
    lb_end(b);
    lb_end(b);
    return f;
}

/* Of a vector: numbers for outer loops may well lie on the stack, and AArch64 saves its caller's
 * registers (x, d). */
static bool is_spill(const char *text, const char *at)
{
    while (at > text && at[-1] != '\n') at--;
    if (!strncmp(at, "\tst", 3)) return !strncmp(at, "\tstp\tq", 6) || !strncmp(at, "\tstr\tq", 6);
    return strncmp(strstr(at, "-byte") - 2, " 8", 2) != 0;
}

static int spills(Func *f, const Machine *m)
{
    CodegenOptions o = {.threads = 1, .want_asm = true};
    Object *obj;
    Buf as = {0};
    int nobj = backend_llvm.compile(&f, 1, NULL, 0, m, &o, &obj, NULL, &as), n = 0;
    for (const char *p = as.s; (p = strstr(p, " Spill")); p++) n += is_spill(as.s, p);
    for (int i = 0; i < nobj; i++) free(obj[i].data);
    free(obj);
    buf_free(&as);
    return n;
}

static void tiles_do_not_spill(void **state)
{
    (void)state;
    static const struct {
        const char *machine;
        int rows, blocks;
    } tile[] = {{"x86-64-v3", 6, 1},  {"x86-64-v3", 5, 1},  {"x86-64-v3", 4, 1},
                {"x86-64-v4", 14, 2}, {"x86-64-v4", 12, 2}, {"x86-64-v4", 16, 1},
                {"aarch64", 6, 1},    {"x86-64-v2", 2, 1}};
    for (size_t i = 0; i < sizeof tile / sizeof tile[0]; i++) {
        Func *f[2] = {gemm("k00", tile[i].rows, tile[i].blocks),
                      conv("k01", tile[i].rows, tile[i].blocks)};
        for (int k = 0; k < 2; k++) {
            func_verify(f[k], "test");
            int n = spills(f[k], machine_find(arena, tile[i].machine));
            if (n) fail_msg("%s %s %d: %d spills", tile[i].machine, f[k]->comment, tile[i].rows, n);
        }
    }
}

/* 12 independent vectors, acc = acc*x + acc: as many multiply-adds as the machine can start. */
static Func *peak_kernel(int lanes)
{
    Func *f = func_new(arena, "k99", "peak");
    LB b = lb_begin(arena, f);
    LBuf *C = lb_arg(&b, LT_F32, 12 * L), *acc = lb_alloc(&b, BUF_REGISTER, LT_F32, 12 * L);
    for (int pass = 0; pass < 3; pass++) {
        if (pass == 1) lb_for_n(&b, FOR_SERIAL, 4096, "r");
        Expr *m = lb_for_n(&b, FOR_UNROLL, 12, "m"), *v = lb_for_n(&b, FOR_VECTOR, lanes, "v");
        Expr *at = x_add(&b, x_muli(&b, m, lanes), v), *x = x_load(&b, pass ? acc : C, at);
        lb_store(&b, pass < 2 ? acc : C, at, pass == 1 ? x_fma(&b, x, x_f32(&b, 0.5), x) : x);
        lb_end(&b);
        lb_end(&b);
        if (pass == 1) lb_end(&b);
    }
    return f;
}

/* Best of a few runs, in GFLOP/s. */
static double rate(KernelFn fn, void **args, double flops)
{
    double best = 0;
    int reps = (int)(2e7 / flops) + 1;
    for (int q = 0; q < 20; q++) {
        double t = time_now();
        for (int i = 0; i < reps; i++) fn(args, 0, 1);
        double r = flops * reps / (time_now() - t) / 1e9;
        best = r > best ? r : best;
    }
    return best;
}

static void prints_speed(void **state)
{
    (void)state;
    const Machine *m[3];
    int n = machines(m);
    float *A = NEWN(arena, float, 28 * K), *B = NEWN(arena, float, K * 2 * L),
          *C = NEWN(arena, float, 28 * 2 * L);
    for (int i = 0; i < n; i++) {
        int rows = m[i]->lanes == 16                       ? 14
                   : m[i]->lanes == 8 || m[i]->vregs == 32 ? 6
                                                           : 2,
            blocks = m[i]->lanes == 16 ? 2 : 1;
        Func *f[2] = {gemm("k00", rows, blocks), peak_kernel(m[i]->lanes)};
        const KernelFn *fn = kernels_load(f, 2, m[i]);
        double speed = rate(fn[0], (void *[]){A, B, C}, 2.0 * rows * blocks * L * K);
        double peak = rate(fn[1], (void *[]){C}, 2.0 * 12 * m[i]->lanes * 4096);
        printf("  %s: tile %dx%d %.0f GFLOP/s, multiply-adds alone %.0f\n", m[i]->name, rows,
               blocks * L, speed, peak);
    }
}

static void fill(float *x, int64_t n, int period)
{
    for (int64_t i = 0; i < n; i++) x[i] = (float)(i % period) / 7 - 1;
}

static void tiles_are_right(void **state)
{
    (void)state;
    const Machine *m[3];
    Func *f[2] = {gemm("k00", 3, 2), conv("k01", 5, 1)};
    const KernelFn *fn = kernels_load(f, 2, m[machines(m) - 1]);
    for (int i = 0; i < 2; i++) {
        void *want[3], *got[3];
        for (int k = 0; k < 3; k++) {
            int64_t n = f[i]->buf.v[k]->count;
            want[k] = got[k] = NEWN(arena, float, n);
            fill(want[k], n, 17 + 6 * k);
        }
        size_t size = sizeof(float) * (size_t)f[i]->buf.v[2]->count;
        got[2] = arena_alloc(arena, size);
        memcpy(got[2], want[2], size);
        fn[i](got, 0, f[i]->ntasks);
        func_interp(f[i], want, 0, f[i]->ntasks);
        assert_memory_equal(want[2], got[2], size);
    }
}

/* ---- objects ---- */

static void objects_are_reproducible(void **state)
{
    (void)state;
    const Machine *m = machine_find(arena, "x86-64-v3");
    Func *f[20];
    for (int i = 0; i < 20; i++) {
        f[i] = kernel_random(arena, arena_printf(arena, "k%02d", i), (unsigned)i);
        f[i]->line = i + 1;
    }
    char blob[100] = "the model, as bytes";
    Object *obj[2];
    int n[2];
    for (int i = 0; i < 2; i++) {
        CodegenOptions o = {.threads = 1 + 2 * i, .source = "model.yaml", .want_ir = true};
        Buf ir = {0};
        n[i] = backend_llvm.compile(f, 20, blob, sizeof blob, m, &o, &obj[i], &ir, NULL);
        assert_non_null(strstr(ir.s, "@k07("));
        buf_free(&ir);
    }
    assert_int_equal(n[0], n[1]);
    for (int i = 0; i < n[0]; i++) {
        assert_int_equal(obj[0][i].size, obj[1][i].size);
        assert_memory_equal(obj[0][i].data, obj[1][i].data, obj[0][i].size);
    }
    Object *data = &obj[0][n[0] - 1];
    assert_non_null(memmem(data->data, data->size, blob, sizeof blob));
    for (int i = 0; i < n[0]; i++) {
        free(obj[0][i].data);
        free(obj[1][i].data);
    }
    free(obj[0]);
    free(obj[1]);
}

static void finds_machines(void **state)
{
    (void)state;
    for (const char *const *n = machine_names; *n; n++) {
        const Machine *m = machine_find(arena, *n);
        assert_non_null(m);
        assert_true(m->l1 > 0 && m->l2 >= m->l1 && m->l3 > 0 && m->vregs >= 16 && m->lanes >= 4);
    }
    assert_null(machine_find(arena, "z80"));
    assert_ptr_equal(backend_find("cpu"), &backend_llvm);
}

static int setup(void **state)
{
    (void)state;
    arena = arena_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(finds_machines),           TEST(equals_interpreter), TEST(functions_are_close),
        TEST(tiles_are_right),          TEST(tiles_do_not_spill), TEST(prints_speed),
        TEST(objects_are_reproducible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
