/* Storage in 16 bits: conversions of every half, of every boundary between two of them and of random numbers, against
 * an oracle that searches the nearest; as software, interpreted, compiled for every level of x86-64 and as CUDA C. And
 * what the code looks like. */
#include "kernel_load.h"
#include "loop/stored.h"
#include "simt/simt.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { HALVES = 1 << 16, RANDOM = 1 << 16, MOST = 10 * HALVES };

static Arena *arena;
static const LType types[] = {LT_F16, LT_BF16};

/* ---- the oracle ---- */

/* The value as IEEE 754 defines it, from the widths of exponent and fraction alone; infinity as the power of two that
 * follows the largest number. */
static double value_of(LType t, unsigned h)
{
    int fbits = t == LT_F16 ? 10 : 7, bias = t == LT_F16 ? 15 : 127;
    int e = (int)(h & 0x7fff) >> fbits;
    double f = (double)(h & ((1u << fbits) - 1)) / (1 << fbits);
    double x = e ? ldexp(1 + f, e - bias) : ldexp(f, 1 - bias);
    return h & 0x8000 ? -x : x;
}

static unsigned infinity_of(LType t)
{
    return t == LT_F16 ? 0x7c00 : 0x7f80;
}

/* The largest h with value_of(h) <= |x|, or its successor if that is nearer, or as near and even. */
static unsigned nearest(LType t, float x)
{
    unsigned lo = 0, hi = infinity_of(t), sign = signbit(x) ? 0x8000 : 0;
    double a = fabs((double)x);
    if (a >= value_of(t, hi)) return sign | hi;
    while (hi - lo > 1) {
        unsigned mid = (lo + hi) / 2;
        *(value_of(t, mid) <= a ? &lo : &hi) = mid;
    }
    double down = a - value_of(t, lo), up = value_of(t, hi) - a;
    return sign | (down < up || (down == up && lo % 2 == 0) ? lo : hi);
}

static bool is_nan(LType t, unsigned h)
{
    return (h & 0x7fff) > infinity_of(t);
}

/* ---- the points ---- */

static float from_bits(uint32_t u)
{
    float x;
    memcpy(&x, &u, 4);
    return x;
}

/* Around every number and around the middle of every two, both signs. -> how many */
static int points(LType t, float *x)
{
    int n = 0;
    for (unsigned h = 0; h < infinity_of(t); h++) {
        float v = (float)value_of(t, h), m = (float)((value_of(t, h) + value_of(t, h + 1)) / 2);
        const float p[] = {v, m, nextafterf(m, 0), nextafterf(m, INFINITY)};
        for (int k = 0; k < 8; k++) x[n++] = k < 4 ? p[k] : -p[k - 4];
    }
    unsigned r = 1;
    for (int i = 0; i < RANDOM; i++) x[n++] = from_bits(r = r * 1664525u + 1013904223u);
    const uint32_t special[] = {0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x7f800001, 0x7f7fffff,
                                1,          0x80000001, 0x007fffff, 0x477fefff, 0x477ff000, 0x33000000};
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) x[n++] = from_bits(special[i]);
    for (; n % 16; n++) x[n] = 0;
    return n;
}

static void check_narrow(const char *who, LType t, const float *x, const uint16_t *h, int n)
{
    for (int i = 0; i < n; i++) {
        bool ok = isnan(x[i]) ? is_nan(t, h[i]) : h[i] == nearest(t, x[i]);
        if (!ok) fail_msg("%s: %s(%a) is %04x, not %04x", who, ltype_name(t), x[i], h[i], nearest(t, x[i]));
    }
}

static void check_wide(const char *who, LType t, const float *x)
{
    for (unsigned h = 0; h < HALVES; h++) {
        double want = (h & 0x7fff) == infinity_of(t) ? copysign(INFINITY, value_of(t, h)) : value_of(t, h);
        bool ok = is_nan(t, h) ? isnan(x[h]) : (double)x[h] == want && !signbit(x[h]) == !signbit(want);
        if (!ok) fail_msg("%s: f32(%s %04x) is %a, not %a", who, ltype_name(t), h, x[h], want);
    }
}

static void software(void **state)
{
    (void)state;
    float *x = malloc(sizeof *x * MOST);
    uint16_t *h = malloc(sizeof *h * MOST);
    for (int k = 0; k < 2; k++) {
        int n = points(types[k], x);
        for (int i = 0; i < n; i++) h[i] = stored_from_f32(types[k], x[i]);
        check_narrow("software", types[k], x, h, n);
        for (int i = 0; i < HALVES; i++) x[i] = stored_to_f32(types[k], (uint16_t)i);
        check_wide("software", types[k], x);
    }
    free(x);
    free(h);
}

/* ---- kernels ---- */

/* out[task*16 + v] = cast(in[...]), with lanes or element by element. */
static Func *convert(LType from, LType to, int64_t count, bool lanes, const char *name)
{
    Func *f = func_new(arena, name, "");
    LB b = lb_begin(arena, f);
    f->ntasks = count / 16;
    LBuf *in = lb_arg(&b, from, count), *out = lb_arg(&b, to, count);
    Expr *v = lb_for_n(&b, lanes ? FOR_VECTOR : FOR_SERIAL, 16, "v");
    Expr *at = x_add(&b, x_muli(&b, x_task(&b), 16), v);
    lb_store(&b, out, at, x_cast(&b, to, x_load(&b, in, at)));
    lb_end(&b);
    func_verify(f, "test");
    return f;
}

static void *memory(size_t bytes) /* aligned as kernels want their arguments */
{
    return aligned_alloc(64, (bytes + 63) / 64 * 64);
}

typedef struct Kernels { /* narrow and widen, each with lanes and without, of both types */
    Func *f[8];
    float *x[2], *wide;
    uint16_t *h, *all;
    int n[2];
} Kernels;

static Kernels make_kernels(void)
{
    Kernels k;
    for (int i = 0; i < 2; i++) {
        k.x[i] = memory(sizeof(float) * MOST);
        k.n[i] = points(types[i], k.x[i]);
        for (int v = 0; v < 2; v++) {
            const char *name = arena_printf(arena, "k%d%d", i, v), *back = arena_printf(arena, "w%d%d", i, v);
            k.f[4 * i + v] = convert(LT_F32, types[i], k.n[i], v, name);
            k.f[4 * i + 2 + v] = convert(types[i], LT_F32, HALVES, v, back);
        }
    }
    k.wide = memory(sizeof(float) * HALVES);
    k.h = memory(sizeof(uint16_t) * MOST);
    k.all = memory(sizeof(uint16_t) * HALVES);
    for (int i = 0; i < HALVES; i++) k.all[i] = (uint16_t)i;
    return k;
}

static void run(const Func *f, KernelFn fn, void *in, void *out)
{
    if (fn)
        fn((void *[]){in, out}, 0, f->ntasks);
    else
        func_interp(f, (void *[]){in, out}, 0, f->ntasks);
}

static void check_kernels(Kernels *k, const char *who, const KernelFn *fn)
{
    for (int i = 0; i < 8; i++) {
        LType t = types[i / 4];
        bool narrow = i % 4 < 2;
        run(k->f[i], fn ? fn[i] : NULL, narrow ? (void *)k->x[i / 4] : k->all, narrow ? (void *)k->h : k->wide);
        if (narrow)
            check_narrow(who, t, k->x[i / 4], k->h, k->n[i / 4]);
        else
            check_wide(who, t, k->wide);
    }
}

static void kernels(void **state)
{
    (void)state;
    static const char *const names[] = {"x86-64-v2", "x86-64-v3", "x86-64-v4", "native"};
    const Machine *native = machine_find(arena, "native");
    Kernels k = make_kernels();
    check_kernels(&k, "interpreter", NULL);
    for (int i = 0; i < 4; i++) {
        const Machine *m = machine_find(arena, names[i]);
        bool x86 = !strncmp(m->triple, "x86", 3) == !strncmp(native->triple, "x86", 3);
        if (x86 && m->lanes <= native->lanes) check_kernels(&k, m->name, kernels_load(k.f, 8, m));
    }
    check_kernels(&k, "CUDA C", simt_load(k.f, 8, false));
    free(k.x[0]), free(k.x[1]), free(k.wide), free(k.h), free(k.all);
}

/* ---- tf32 ---- */

/* To a multiple of 2^-10 of the power of two below, half away from 0; subnormals step by 2^-136. */
static double nearest_tf32(float x)
{
    int e;
    frexp((double)x, &e);
    double step = ldexp(1, (e < -125 ? -125 : e) - 11);
    return copysign(floor(fabs((double)x) / step + 0.5) * step, (double)x);
}

static void check_tf32(const char *who, const float *x, const float *y, int n)
{
    for (int i = 0; i < n; i++) {
        double want = isfinite(x[i]) ? nearest_tf32(x[i]) : (double)x[i];
        if (fabs(want) >= 0x1p128) want = copysign(INFINITY, want);
        if (isnan(x[i]) ? !isnan(y[i]) : (double)y[i] != want)
            fail_msg("%s: tf32(%a) is %a, not %a", who, x[i], y[i], want);
    }
}

/* Around numbers of tf32 and around their middles, of every exponent; and what is special. */
static int points_tf32(float *x)
{
    int n = 0;
    unsigned r = 1;
    for (unsigned k = 0; k < RANDOM; k++, r = r * 1664525u + 1013904223u)
        x[n++] = from_bits((r & 0xffffe000) + (k % 8 < 4 ? 0x1000 : 0) + k % 4 - 1);
    const uint32_t special[] = {0,          0x80000000, 0x7f800000, 0xff800000,
                                0x7fc00000, 0x7f800001, 0x7fffffff, 0x7f7fffff};
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) x[n++] = from_bits(special[i]);
    for (; n % 16; n++) x[n] = 0;
    return n;
}

static void tf32(void **state)
{
    (void)state;
    float *x = memory(sizeof *x * (RANDOM + 64)), *y = memory(sizeof *y * (RANDOM + 64));
    int n = points_tf32(x);
    Func *f[] = {convert(LT_F32, LT_TF32, n, true, "k0"), convert(LT_F32, LT_TF32, n, false, "k1"),
                 convert(LT_TF32, LT_F32, n, true, "k2")};
    const KernelFn *fn[] = {NULL, kernels_load(f, 3, machine_find(arena, "native")),
                            simt_load(f, 3, false)};
    for (int who = 0; who < 3; who++) {
        for (int k = 0; k < 2; k++) {
            run(f[k], fn[who] ? fn[who][k] : NULL, x, y);
            check_tf32(who == 0 ? "interpreter" : who == 1 ? "compiled" : "CUDA C", x, y, n);
        }
        run(f[2], fn[who] ? fn[who][2] : NULL, x, y);
        for (int i = 0; i < n; i++) assert_true(isnan(x[i]) ? isnan(y[i]) : x[i] == y[i]);
    }
    free(x), free(y);
}

/* ---- the code ---- */

static char *assembly(Func *f, const char *machine)
{
    CodegenOptions o = {.threads = 1, .want_asm = true};
    Buf ir = {0}, as = {0};
    Object *obj;
    int n = backend_llvm.compile(&f, 1, NULL, 0, machine_find(arena, machine), &o, &obj, &ir, &as);
    for (int i = 0; i < n; i++) free(obj[i].data);
    free(obj);
    char *text = arena_strdup(arena, as.s);
    buf_free(&ir);
    buf_free(&as);
    return text;
}

/* One conversion for all 16 lanes where the machine has it; never a call. */
static void code_is_short(void **state)
{
    (void)state;
    static const struct {
        const char *machine, *narrow, *widen;
    } want[] = {{"x86-64-v4", "vcvtps2ph\t$4, %zmm", "%zmm"},
                {"x86-64-v3", "vcvtps2ph\t$4, %ymm", "vcvtph2ps"},
                {"x86-64-v2", "addps", "mulps"},
                {"aarch64", "fcvtn", "fcvtl"}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        char *narrow = assembly(convert(LT_F32, LT_F16, 64, true, "k00"), want[i].machine);
        char *widen = assembly(convert(LT_F16, LT_F32, 64, true, "k00"), want[i].machine);
        if (!strstr(narrow, want[i].narrow) || !strstr(widen, want[i].widen))
            fail_msg("%s:\n%s\n%s", want[i].machine, narrow, widen);
        for (int v = 0; v < 2; v++)
            for (int k = 0; k < 2; k++) {
                char *to = assembly(convert(LT_F32, types[k], 64, v, "k00"), want[i].machine);
                char *from = assembly(convert(types[k], LT_F32, 64, v, "k00"), want[i].machine);
                assert_null(strstr(to, "call"));
                assert_null(strstr(from, "call"));
            }
    }
}

/* ---- only storage ---- */

static void folds_constants(void **state)
{
    (void)state;
    LB b = lb_begin(arena, func_new(arena, "k00", ""));
    Expr *x = x_cast(&b, LT_F32, x_cast(&b, LT_F16, x_f32(&b, 0.1)));
    assert_int_equal(x->kind, E_CONST);
    assert_true(x->c.f == value_of(LT_F16, nearest(LT_F16, 0.1f)));
    assert_int_equal(x_cast(&b, LT_BF16, x_f32(&b, 0.1))->kind, E_CAST);
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
    const struct CMUnitTest tests[] = {TEST(software), TEST(kernels), TEST(tf32), TEST(code_is_short), TEST(folds_constants)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
