/* CUDA C from loop IR: NVRTC takes it for every architecture, and it says nothing but what the kernels need. That it
 * computes the right numbers is the ladder's last rung. */
/* clang-format off: cmocka wants these before it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include "loops.h"
#include "need.h"
#include "nvrtc/cubin.h"
#include "nvrtc/emit.h"
#include "nvrtc/skeleton.h"
#include "stages.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const Loops *kernels_for(Arena *a, const char *file, const char *precision,
                                const char *machine)
{
    Node *weights, *grads;
    const Setting set = {"precision", precision};
    Spec *s = spec_read(a, file, &set, 1);
    assert_non_null(s);
    Graph *g = spec_graph(a, s, true, 4);
    assert_non_null(g);
    grads = autodiff(g, &weights);
    assert_true(spec_optimizer(s, g, weights, grads));
    simplify(g, 2);
    const Machine *m = machine_find(a, machine);
    lower_precision(g, m);
    return lower(a, plan(a, schedule(a, fuse(a, g, true, NULL, m), m), true), m);
}

static const Loops *training_kernels(Arena *a, const char *file, const char *precision)
{
    return kernels_for(a, file, precision, "sm_80");
}

static void emit_all(Buf *out, const Loops *l)
{
    cuda_prelude(out);
    for (int i = 0; i < l->kernel.n; i++) cuda_emit(out, l->kernel.v[i].func);
}

static void names_stay_out(void **state)
{
    (void)state;
    Arena *a = arena_new();
    Buf text = {0};
    emit_all(&text, training_kernels(a, "tests/fixtures/bn_small.yaml", "fp32"));
    assert_non_null(strstr(text.s, "__global__"));
    assert_null(strstr(text.s, "conv")); /* the description's names are data, never code */
    assert_null(strstr(text.s, "#include"));
    buf_free(&text);
    arena_free(a);
}

static void compile_kernels_for(Arena *a, const char *precision, int narch)
{
    Buf text = {0}, log = {0};
    Object cubin, ptx;
    const Loops *l = training_kernels(a, "tests/fixtures/bn_small.yaml", precision);
    emit_all(&text, l);
    for (int i = 0; machine_cuda_names[i] && i < narch; i++) {
        log.n = 0;
        cuda_compile(text.s, machine_cuda_names[i], &cubin, &ptx, &log);
        assert_memory_equal(cubin.data, "\177ELF", 4);
        for (int k = 0; k < l->kernel.n; k++)
            assert_non_null(strstr(ptx.data, l->kernel.v[k].func->name));
        free(cubin.data);
        free(ptx.data);
    }
    buf_free(&text);
    buf_free(&log);
}

/* What matrix units multiply was rounded where it was stored, but for an input of the program; on a CPU tf32 is fp32. */
static void tf32_is_rounded(void **state)
{
    (void)state;
    Arena *a = arena_new();
    const Schedule *gpu = kernels_for(a, "models/bn_cnn.yaml", "tf32", "sm_80")->plan->schedule;
    const Schedule *cpu = kernels_for(a, "models/bn_cnn.yaml", "tf32", "native")->plan->schedule;
    int rounded = 0, cut = 0;
    for (int i = 0; i < gpu->groups->graph->node.n; i++) {
        const Node *n = gpu->groups->graph->node.v[i];
        const Group *g = gpu->groups->of[n->id];
        if (!g || n->op->nest != NEST_CONTRACT || gpu->group[g->id].con->tile.math != TILE_TF32)
            continue;
        for (int k = 0; k < 2; k++)
            *(gpu->type[n->in[k]->id] == LT_TF32 ? &rounded : &cut) += !op_is(n->in[k], "Input");
    }
    assert_true(rounded >= 4 && !cut);
    for (int i = 0; i < cpu->groups->graph->node.n; i++)
        assert_int_not_equal(cpu->type[i], LT_TF32);
    arena_free(a);
}

/* A chain of maxima of maxima is as long as it has members. */
static void text_grows_with_the_kernel(void **state)
{
    enum { CHAIN = 40, SHORT = 8192 };
    (void)state;
    Arena *a = arena_new();
    Buf text = {0};
    Func *f = func_new(a, "k", "");
    LB b = lb_begin(a, f);
    f->ntasks = 1;
    LBuf *in = lb_arg(&b, LT_F32, CHAIN), *out = lb_arg(&b, LT_F32, 1);
    Expr *x = x_load(&b, in, x_i64(&b, 0));
    for (int i = 1; i < CHAIN; i++) x = x_bin(&b, B_MAX, x, x_load(&b, in, x_i64(&b, i)));
    lb_store(&b, out, x_i64(&b, 0), x);
    cuda_emit(&text, f);
    assert_true(text.n < SHORT);
    buf_free(&text);
    arena_free(a);
}

static void nvrtc_takes_it(void **state)
{
    (void)state;
    need(cuda_missing());
    Arena *a = arena_new();
    compile_kernels_for(a, "fp32", 99);
    compile_kernels_for(a, "tf32", 1);
    compile_kernels_for(a, "fp16", 1);
    compile_kernels_for(a, "bf16", 1);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_stay_out), cmocka_unit_test(tf32_is_rounded),
        cmocka_unit_test(text_grows_with_the_kernel), cmocka_unit_test(nvrtc_takes_it)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
