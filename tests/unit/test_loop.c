/* Loop IR: folding, canonical text, the verifier's findings, the interpreter. */
#include "loop/loop.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static Arena *arena;
static Func *func;
static LB lb;

static LB *begin(const char *name, const char *comment)
{
    func = func_new(arena, name, comment);
    lb = lb_begin(arena, func);
    return &lb;
}

/* ---- folding ---- */

static void assert_i(const Expr *x, int64_t want)
{
    int64_t c = 0;
    assert_true(expr_const(x, &c));
    assert_int_equal(c, want);
}

static void folds_integers(void **state)
{
    (void)state;
    LB *b = begin("k00", "");
    Expr *t = x_task(b), *e = x_addi(b, x_muli(b, x_addi(b, t, 3), 16), 5);
    assert_int_equal(e->op, B_ADD);
    assert_i(e->x[1], 53);
    assert_ptr_equal(e->x[0]->x[0], t);
    assert_i(x_divi(b, x_i64(b, 17), 5), 3);
    assert_i(x_modi(b, x_muli(b, t, 32), 16), 0);
    assert_ptr_equal(x_divi(b, x_muli(b, t, 16), 16), t);
    assert_ptr_equal(x_addi(b, x_sub(b, x_addi(b, t, 7), x_i64(b, 7)), 0), t);
    assert_i(x_mul(b, t, x_i64(b, 0)), 0);
    assert_i(x_sub(b, t, t), 0);
    assert_i(x_bin(b, B_MAX, x_i64(b, 3), x_i64(b, 8)), 8);
    assert_i(x_mul(b, x_i32(b, 0x7fffffff), x_i32(b, 3)), 0x7ffffffd);
    assert_i(x_bin(b, B_SHR, x_i32(b, -1), x_i32(b, 28)), 15);
    assert_i(x_cast(b, LT_U8, x_i32(b, 300)), 44);
    assert_i(x_cast(b, LT_I32, x_f32(b, -2.7)), -2);
}

static void folds_floats(void **state)
{
    (void)state;
    LB *b = begin("k00", "");
    LBuf *u = lb_arg(b, LT_F32, 4);
    Expr *x = x_load(b, u, x_i64(b, 0));
    assert_ptr_equal(x_mul(b, x, x_f32(b, 1)), x);
    assert_int_equal(x_add(b, x, x_f32(b, 0))->kind, E_BIN); /* -0 + 0 is +0 */
    assert_int_equal(x_mul(b, x, x_f32(b, 0))->kind, E_BIN); /* NaN * 0 is NaN */
    assert_true(x_add(b, x_f32(b, 1), x_f32(b, 1e-9))->c.f == 1);
    assert_true(x_f32(b, 0.1)->c.f == (double)0.1f);
    assert_true(x_bin(b, B_MIN, x_f32(b, NAN), x_f32(b, 2))->c.f == 2);
    assert_true(isnan(x_bin(b, B_MIN, x_f32(b, 2), x_f32(b, NAN))->c.f));
    assert_ptr_equal(x_select(b, x_cmp(b, C_LT, x_f32(b, 1), x_f32(b, 2)), x, x_f32(b, 0)), x);
}

static void coefficients(void **state)
{
    (void)state;
    LB *b = begin("k00", "");
    Expr *t = x_task(b), *i = lb_for_n(b, FOR_SERIAL, 8, "i");
    Expr *x = x_sub(b, x_muli(b, x_add(b, x_muli(b, t, 3), i), 4), i);
    int64_t c;
    assert_true(expr_coef(x, func->task, &c));
    assert_int_equal(c, 12);
    assert_true(expr_coef(x, i->var, &c));
    assert_int_equal(c, 3);
    assert_false(expr_coef(x_modi(b, x, 5), i->var, &c));
    assert_true(expr_coef(x_add(b, x_modi(b, t, 5), i), i->var, &c));
    lb_end(b);
}

/* ---- text ---- */

/* out[task*16 + v] = f(in[..]); noise: builds things on the side that are not used. */
static Func *sample(const char *name, const char *comment, bool noise)
{
    LB *b = begin(name, comment);
    func->ntasks = 4;
    LBuf *in = lb_arg(b, LT_F32, 64), *out = lb_arg(b, LT_F32, 64);
    if (noise) x_muli(b, x_task(b), 12345);
    LBuf *acc = lb_alloc(b, BUF_REGISTER, LT_F32, 16);
    Expr *v = lb_for_n(b, FOR_VECTOR, 16, "v"), *at = x_add(b, x_muli(b, x_task(b), 16), v);
    Expr *x = lb_let(b, x_load(b, in, at), "x");
    if (noise) x_f32(b, 3);
    lb_store(b, acc, v, x_mul(b, x, x_add(b, x, x_f32(b, 0.5))));
    Expr *y = x_load(b, acc, v);
    lb_store(b, out, at, x_call(b, F_EXP, x_add(b, x_mul(b, y, y), y)));
    lb_end(b);
    return func;
}

static char *text_of(const Func *f)
{
    Buf b = {0};
    func_print(&b, f);
    char *s = arena_strdup(arena, b.s);
    buf_free(&b);
    return s;
}

static void prints_canonically(void **state)
{
    (void)state;
    char *x = text_of(sample("k00", "conv1 */ int x", false));
    char *y = text_of(sample("k17", "conv2\nrelu", true));
    assert_string_equal(x, "func k00 /* conv1 *\\/ int x */ ntasks=4\n"
                           "  a0: f32[64]\n"
                           "  a1: f32[64] written\n"
                           "  register r0: f32[16]\n"
                           "  vector %v1 < 16 {\n"
                           "    %x2 = a0[%task * 16 + %v1]\n"
                           "    r0[%v1] = %x2 * (%x2 + 0.5f)\n"
                           "    a1[%task * 16 + %v1] = exp(r0[%v1] * r0[%v1] + r0[%v1])\n"
                           "  }\n");
    assert_string_not_equal(x, y);
    assert_string_equal(strchr(x, '\n'), strchr(y, '\n'));
}

/* x = x*x thirty times: a tree of 2^30 nodes. */
static void prints_shared_parts_once(void **state)
{
    (void)state;
    LB *b = begin("k00", "");
    LBuf *u = lb_arg(b, LT_F32, 1);
    Expr *x = x_load(b, u, x_i64(b, 0));
    for (int i = 0; i < 30; i++) x = x_mul(b, x, x);
    lb_store(b, u, x_i64(b, 0), x);
    assert_true(strlen(text_of(func)) < 2000);
    func_verify(func, "test");
    float v = 1;
    func_interp(func, (void *[]){&v}, 0, 1);
    assert_true(v == 1);
}

/* ---- verifier ---- */

static bool dies(void (*build)(void))
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        if (!freopen("/dev/null", "w", stderr)) _exit(1);
        build();
        func_verify(func, "test");
        _exit(0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 70;
}

static Expr *zero(LB *b)
{
    return x_f32(b, 0);
}

static void index_too_large(void)
{
    LB *b = begin("k00", "");
    func->ntasks = 5;
    LBuf *u = lb_arg(b, LT_F32, 16 * 5 - 1);
    Expr *v = lb_for_n(b, FOR_VECTOR, 16, "v");
    lb_store(b, u, x_add(b, x_muli(b, x_task(b), 16), v), zero(b));
    lb_end(b);
}

static void index_negative(void)
{
    LB *b = begin("k00", "");
    LBuf *u = lb_arg(b, LT_F32, 16);
    Expr *i = lb_for_n(b, FOR_SERIAL, 4, "i");
    lb_store(b, u, x_addi(b, i, 0), x_load(b, u, x_addi(b, i, -1)));
    lb_end(b);
}

static void index_behind_condition(void)
{
    LB *b = begin("k00", "");
    LBuf *u = lb_arg(b, LT_F32, 16);
    Expr *i = lb_for_n(b, FOR_SERIAL, 40, "i");
    lb_if(b, x_cmp(b, C_LT, i, x_i64(b, 17)));
    lb_store(b, u, i, zero(b));
    lb_end(b);
    lb_end(b);
}

static void variable_out_of_scope(void)
{
    LB *b = begin("k00", "");
    LBuf *u = lb_arg(b, LT_F32, 16);
    Expr *i = lb_for_n(b, FOR_SERIAL, 4, "i");
    lb_end(b);
    lb_store(b, u, i, zero(b));
}

static void register_by_loop(void)
{
    LB *b = begin("k00", "");
    LBuf *r = lb_alloc(b, BUF_REGISTER, LT_F32, 16);
    Expr *i = lb_for_n(b, FOR_SERIAL, 4, "i");
    lb_store(b, r, i, zero(b));
    lb_end(b);
}

static void condition_in_vector(void)
{
    LB *b = begin("k00", "");
    LBuf *u = lb_arg(b, LT_F32, 16);
    Expr *v = lb_for_n(b, FOR_VECTOR, 16, "v");
    lb_if(b, x_cmp(b, C_LT, v, x_i64(b, 3)));
    lb_store(b, u, v, zero(b));
    lb_end(b);
    lb_end(b);
}

static void lanes_store_apart(void)
{
    LB *b = begin("k00", "");
    LBuf *u = lb_arg(b, LT_F32, 64);
    Expr *v = lb_for_n(b, FOR_VECTOR, 16, "v");
    lb_store(b, u, x_muli(b, v, 2), zero(b));
    lb_end(b);
}

static void lanes_sum_up(void)
{
    LB *b = begin("k00", "");
    LBuf *u = lb_arg(b, LT_F32, 64);
    lb_for_n(b, FOR_VECTOR, 16, "v");
    lb_store(b, u, x_i64(b, 0), x_add(b, x_load(b, u, x_i64(b, 0)), x_f32(b, 1)));
    lb_end(b);
}

static void lanes_overlap(void)
{
    LB *b = begin("k00", "");
    LBuf *u = lb_arg(b, LT_F32, 64);
    Expr *v = lb_for_n(b, FOR_VECTOR, 16, "v");
    lb_store(b, u, x_addi(b, v, 1), x_load(b, u, v));
    lb_end(b);
}

static void alloc_out_of_scope(void)
{
    LB *b = begin("k00", "");
    LBuf *u = lb_arg(b, LT_F32, 64);
    lb_for_n(b, FOR_SERIAL, 16, "i");
    LBuf *l = lb_alloc(b, BUF_LOCAL, LT_F32, 4);
    lb_end(b);
    lb_store(b, u, x_i64(b, 0), x_load(b, l, x_i64(b, 0)));
}

static void foreign_variable(void)
{
    LB *b = begin("k00", "");
    Expr *t = x_task(b);
    b = begin("k01", "");
    LBuf *u = lb_arg(b, LT_F32, 64);
    Expr *i = lb_for_n(b, FOR_SERIAL, 16, "i");
    i->var = t->var;
    lb_store(b, u, i, zero(b));
    lb_end(b);
    func->task->id = func->nvars; /* nobody binds what the index names */
}

static void wrong_type(void)
{
    LB *b = begin("k00", "");
    LBuf *u = lb_arg(b, LT_F32, 64);
    Expr *x = x_add(b, x_load(b, u, x_task(b)), x_f32(b, 1));
    x->x[1] = x_i32(b, 1);
    lb_store(b, u, x_task(b), x);
}

static void half_in_arithmetic(void)
{
    LB *b = begin("k00", "");
    LBuf *u = lb_arg(b, LT_F32, 64), *h = lb_arg(b, LT_F16, 64);
    Expr *x = x_add(b, x_load(b, u, x_task(b)), x_load(b, u, x_task(b)));
    x->x[0] = x->x[1] = x_load(b, h, x_task(b));
    x->type = LT_F16;
    lb_store(b, h, x_task(b), x);
}

static void half_in_a_variable(void)
{
    LB *b = begin("k00", "");
    LBuf *h = lb_arg(b, LT_BF16, 64);
    lb_let(b, x_load(b, h, x_task(b)), "x");
}

static void half_of_another_kind(void)
{
    LB *b = begin("k00", "");
    LBuf *h = lb_arg(b, LT_BF16, 64), *u = lb_arg(b, LT_F32, 64);
    Expr *x = x_cast(b, LT_F32, x_load(b, h, x_task(b)));
    x->type = LT_F64;
    lb_store(b, u, x_task(b), x_cast(b, LT_F32, x));
}

static void prefetch_by_lane(void)
{
    LB *b = begin("k00", "");
    LBuf *u = lb_arg(b, LT_F32, 64);
    Expr *v = lb_for_n(b, FOR_VECTOR, 16, "v");
    lb_prefetch(b, u, v);
    lb_store(b, u, v, zero(b));
}

static void finds_errors(void **state)
{
    (void)state;
    assert_true(dies(index_too_large));
    assert_true(dies(index_negative));
    assert_true(dies(index_behind_condition));
    assert_true(dies(variable_out_of_scope));
    assert_true(dies(register_by_loop));
    assert_true(dies(condition_in_vector));
    assert_true(dies(lanes_store_apart));
    assert_true(dies(lanes_sum_up));
    assert_true(dies(lanes_overlap));
    assert_true(dies(alloc_out_of_scope));
    assert_true(dies(foreign_variable));
    assert_true(dies(wrong_type));
    assert_true(dies(half_in_arithmetic));
    assert_true(dies(half_in_a_variable));
    assert_true(dies(half_of_another_kind));
    assert_true(dies(prefetch_by_lane));
}

/* Right, though not at first sight. */
static void accepts_what_is_right(void **state)
{
    (void)state;
    LB *b = begin("k00", "");
    func->ntasks = 3;
    LBuf *u = lb_arg(b, LT_F32, 32), *w = lb_arg(b, LT_F32, 32), *k = lb_arg(b, LT_I32, 4);
    Expr *t = x_task(b), *i = lb_for_n(b, FOR_SERIAL, 40, "i");
    lb_if(b, x_bin(b, B_AND, x_cmp(b, C_GE, i, x_i64(b, 4)), x_cmp(b, C_LT, x_i64(b, 35), i)));
    lb_store(b, u, x_addi(b, i, -36), zero(b));
    lb_else(b);
    lb_store(b, w, x_modi(b, i, 32), zero(b));
    lb_end(b);
    lb_store(b, u, x_cast(b, LT_I64, x_load(b, k, t)), zero(b));
    lb_end(b);
    Expr *tail = x_bin(b, B_MIN, x_i64(b, 16), x_sub(b, x_i64(b, 32), x_muli(b, t, 14)));
    Expr *j = lb_for(b, FOR_SERIAL, tail, "j");
    lb_store(b, u, x_add(b, x_muli(b, t, 14), j), zero(b));
    lb_end(b);
    Expr *v = lb_for_n(b, FOR_VECTOR, 16, "v");
    Expr *flat = x_add(b, x_muli(b, t, 16), v); /* blocks of 16 split again */
    Expr *at = x_add(b, x_muli(b, x_divi(b, flat, 16), 8), x_modi(b, flat, 16));
    lb_store(b, w, at, x_add(b, x_load(b, w, at), x_load(b, u, x_modi(b, x_muli(b, v, 5), 32))));
    lb_end(b);
    func_verify(func, "test");
}

/* ---- interpreter ---- */

static void interprets(void **state)
{
    (void)state;
    Func *f = sample("k00", "", false);
    func_verify(f, "test");
    float in[64], out[64] = {0};
    for (int i = 0; i < 64; i++) in[i] = (float)i / 64;
    func_interp(f, (void *[]){in, out}, 1, 3);
    for (int i = 0; i < 64; i++) {
        float y = in[i] * (in[i] + 0.5f), want = (float)exp((double)(y * y + y));
        assert_true(out[i] == (i >= 16 && i < 48 ? want : 0));
    }
}

static void interpreter_checks_indexes(void **state)
{
    (void)state;
    LB *b = begin("k00", "");
    LBuf *u = lb_arg(b, LT_F32, 8), *k = lb_arg(b, LT_I32, 1);
    lb_store(b, u, x_cast(b, LT_I64, x_load(b, k, x_task(b))), zero(b));
    float v[8];
    int32_t good = 7, bad = 8;
    func_interp(func, (void *[]){v, &good}, 0, 1);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        if (freopen("/dev/null", "w", stderr)) func_interp(func, (void *[]){v, &bad}, 0, 1);
        _exit(0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
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
        TEST(folds_integers),
        TEST(folds_floats),
        TEST(coefficients),
        TEST(prints_canonically),
        TEST(prints_shared_parts_once),
        TEST(finds_errors),
        TEST(accepts_what_is_right),
        TEST(interprets),
        TEST(interpreter_checks_indexes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
