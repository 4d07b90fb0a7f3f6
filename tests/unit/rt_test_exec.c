/* Layouts, first values and programs, on a model made by hand. */
#include "exec.h"
#include "fake_model.h"
#include "init.h"
#include "model.h"
#include "rng.h"
#include "scalars.h"
#include "tensor.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void philox_known_answers(void **state)
{
    (void)state; /* from the authors' test vectors */
    uint32_t zero[4] = {0}, ones[4] = {~0u, ~0u, ~0u, ~0u};
    RtRandom4 a = rt_philox(zero, zero), b = rt_philox(ones, ones);
    uint32_t wa[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    uint32_t wb[4] = {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd};
    assert_memory_equal(a.v, wa, sizeof wa);
    assert_memory_equal(b.v, wb, sizeof wb);
}

/* [3,5,2] with axis 1 in blocks of 4, halo on axis 2. */
static void layouts(void **state)
{
    (void)state;
    RtLayout l = {.rank = 3,
                  .block = {1, 4, 1},
                  .dim = {3, 5, 2},
                  .outer = {32, 16, 4},
                  .inner = {0, 1, 0},
                  .base = 4};
    l.count = 96 + 8;
    RtTensor t = {.rank = 3, .dim = {3, 5, 2}, .layout = l};
    float plain[30], back[30], store[104] = {0};
    for (int i = 0; i < 30; i++) plain[i] = (float)i + 1;
    rt_pack(&t, store, plain);
    int filled = 0;
    for (int i = 0; i < 104; i++) filled += store[i] != 0;
    assert_int_equal(filled, 30);
    assert_true(store[4 + 2 * 32 + 16 + 0 + 4] == plain[2 * 10 + 4 * 2 + 1]);
    rt_unpack(&t, store, back);
    assert_memory_equal(plain, back, sizeof plain);
    RtView v;
    rt_view_init(&v, &l);
    rt_view_unpack(&v, store, back, 1, 2);
    rt_view_free(&v);
    assert_memory_equal(plain + 10, back, 10 * sizeof(float));
}

/* Weights [37,21,3] in blocks of 16 by 16, as [3 blocks][2][3][16][16]: rows in lanes, and the rest of them. */
static void blocked_weights(void **state)
{
    (void)state;
    enum { O = 37, I = 21, K = 3, STORE = 3 * 2 * K * 256 };
    RtLayout l = {.rank = 3, .block = {16, 16, 1}, .dim = {O, I, K}, .count = STORE,
                  .outer = {2 * K * 256, K * 256, 256}, .inner = {1, 16, 0}};
    static float plain[O * I * K], back[O * I * K], whole[STORE], parts[STORE];
    RtView v;
    rt_view_init(&v, &l);
    for (int i = 0; i < O * I * K; i++) plain[i] = (float)i + 1;
    rt_view_pack(&v, whole, plain, 0, O);
    for (int o = 0; o < O; o++)
        for (int i = 0; i < I; i++)
            for (int k = 0; k < K; k++)
                assert_true(whole[o / 16 * 2 * K * 256 + i / 16 * K * 256 + k * 256 + i % 16 * 16 + o % 16] ==
                            plain[(o * I + i) * K + k]);
    static const int64_t cut[] = {0, 3, 16, 33, O};
    for (int p = 0; p < 4; p++) rt_view_pack(&v, parts, plain + cut[p] * I * K, cut[p], cut[p + 1]);
    assert_memory_equal(whole, parts, sizeof whole);
    rt_view_unpack(&v, whole, back, 0, O);
    assert_memory_equal(plain, back, sizeof plain);
    rt_view_free(&v);
}

static void first_values(void **state)
{
    (void)state;
    const RtModel *m = fake_model("Adam(lr=0.01)");
    RtDevice *d = rt_cpu_device(NULL, fake_kernels);
    RtState *a = rt_state_new(d, m), *b = rt_state_new(d, m), *c = rt_state_new(d, m);
    rt_init_state(a, 1);
    rt_init_state(b, 1);
    rt_init_state(c, 2);
    RtState *all[] = {a, b, c};
    for (int i = 0; i < 3; i++) rt_state_read(all[i], rt_model_states(m)); /* now they are needed */
    assert_memory_equal(a->state.here, b->state.here, S_SIZE);
    assert_memory_not_equal(a->state.here, c->state.here, S_SIZE);
    const float *w = (const float *)(a->state.here + S_W);
    for (int i = 0; i < FD; i++) {
        assert_true(w[fake_w(0, i)] >= -0.25f && w[fake_w(0, i)] < 0.25f && w[fake_w(0, i)] != 0);
        assert_true(w[fake_w(3, i)] == 0); /* padding */
    }
    rt_state_free(a);
    rt_state_free(b);
    rt_state_free(c);
    d->close(d);
}

/* What is replaced before anything is needed has no first value; the others have theirs. */
static void replaced_values(void **state)
{
    (void)state;
    const RtModel *m = fake_model("Adam(lr=0.01)");
    RtDevice *d = rt_cpu_device(NULL, fake_kernels);
    const RtTensor *t = rt_model_states(m), *bias = rt_model_state(m, "fc.bias");
    RtState *a = rt_state_new(d, m), *b = rt_state_new(d, m);
    rt_init_state(a, 1);
    rt_init_state(b, 1);
    *(float *)rt_state_replace(b, bias) = 7;
    for (uint32_t i = 0; i < m->nstates; i++) {
        if (&t[i] == bias) continue;
        assert_memory_equal(rt_state_read(a, &t[i]), rt_state_read(b, &t[i]), (size_t)rt_tensor_count(&t[i]) * 4);
    }
    assert_true(*(const float *)rt_state_read(b, bias) == 7);
    rt_state_free(a);
    rt_state_free(b);
    d->close(d);
}

/* The three kinds of program agree with each other and with arithmetic done here. */
static void programs(void **state)
{
    (void)state;
    const RtModel *m = fake_model("Adam(lr=0.01)");
    rt_model_check(m);
    float x[FB * FD], w[FK * FD], out[FB * FK], one[FK], loss, loss_unfused;
    int32_t t[FB];
    for (int i = 0; i < FB * FD; i++) x[i] = (float)((i * 37) % 11) / 11 - 0.4f;
    for (int i = 0; i < FB; i++) t[i] = i % FK;
    RtPool *pool = rt_pool_new(3);
    RtDevice *d = rt_cpu_device(pool, fake_kernels);
    RtState *s = rt_state_new(d, m);
    rt_init_state(s, 5);
    rt_unpack(rt_model_state(m, "fc.weight"), rt_state_read(s, rt_model_state(m, "fc.weight")), w);
    RtExec *e = rt_exec_new(rt_model_program(m, RT_CPU, RT_INFER, RT_FUSED, 0), s);
    RtExec *u = rt_exec_new(rt_model_program(m, RT_CPU, RT_INFER, RT_UNFUSED, 0), s);
    RtExec *single = rt_exec_new(rt_model_program(m, RT_CPU, RT_INFER, RT_FUSED, 1), s);
    assert_int_equal(rt_exec_program(e)->batch, FB);
    rt_exec_set(e, "input", x);
    rt_exec_set(e, "target", t);
    rt_exec_set(u, "input", x);
    rt_exec_set(u, "target", t);
    rt_exec_prepare(e);
    rt_exec_run(e);
    rt_exec_run(u);
    rt_exec_get(e, "output", out);
    rt_exec_get(e, "loss", &loss);
    rt_exec_get(u, "loss", &loss_unfused);
    assert_true(loss == loss_unfused && loss > 0.5f && loss < 2);
    for (int n = 0; n < FB; n++) {
        for (int k = 0; k < FK; k++) {
            double sum = 0;
            for (int i = 0; i < FD; i++) sum += (double)x[n * FD + i] * w[k * FD + i];
            assert_true(fabs(sum - out[n * FK + k]) < 1e-5);
        }
    }
    rt_exec_set(single, "input", x + 3 * FD);
    rt_exec_run(single);
    rt_exec_get(single, "output", one);
    assert_memory_equal(one, out + 3 * FK, sizeof one);
    rt_exec_free(e);
    rt_exec_free(u);
    rt_exec_free(single);
    rt_state_free(s);
    d->close(d);
    rt_pool_free(pool);
}

/* Left out on demand; what a profile says of the other steps stays theirs. */
static void without_loss(void **state)
{
    (void)state;
    const RtModel *m = fake_model("Adam(lr=0.01)");
    RtPool *pool = rt_pool_new(2);
    RtDevice *d = rt_cpu_device(pool, fake_kernels);
    RtState *s = rt_state_new(d, m);
    rt_init_state(s, 5);
    const RtProgram *p = rt_model_program(m, RT_CPU, RT_INFER, RT_UNFUSED, 0);
    RtExec *all = rt_exec_new(p, s), *some = rt_exec_new(p, s);
    float x[FB * FD], out[2][FB * FK], loss;
    double ns[2][8] = {{0}};
    int32_t t[FB] = {0};
    for (int i = 0; i < FB * FD; i++) x[i] = (float)((i * 37) % 11) / 11 - 0.4f;
    rt_exec_without_loss(some);
    RtExec *both[] = {all, some};
    for (int i = 0; i < 2; i++) {
        rt_exec_set(both[i], "input", x);
        rt_exec_set(both[i], "target", t);
        rt_exec_prepare(both[i]);
        rt_exec_run_profile(both[i], ns[i]);
        rt_exec_get(both[i], "output", out[i]);
    }
    rt_exec_get(all, "loss", &loss);
    assert_true(loss > 0);
    assert_memory_equal(out[0], out[1], sizeof out[0]);
    const RtStep *step = RT_AT(m, RtStep, p->steps);
    int left_out = 0;
    for (uint32_t i = 0; i < p->nsteps; i++) {
        assert_true(ns[0][i] > 0);
        assert_true((ns[1][i] > 0) == !step[i].for_loss);
        left_out += step[i].for_loss;
    }
    assert_int_equal(left_out, 1);
    rt_exec_free(all);
    rt_exec_free(some);
    rt_state_free(s);
    d->close(d);
    rt_pool_free(pool);
}

/* Training lowers the loss and gives the same bits for 1 and 3 threads. */
static void training(void **state)
{
    (void)state;
    const RtModel *m = fake_model("Adam(lr=0.01)");
    char weights[2][S_SIZE];
    for (int run = 0; run < 2; run++) {
        float x[FB * FD], loss, first = 0;
        int32_t t[FB];
        for (int i = 0; i < FB * FD; i++) x[i] = (float)((i * 37) % 11) / 11 - 0.4f;
        for (int i = 0; i < FB; i++) t[i] = i % FK;
        RtOptions o;
        rt_options_parse(&o, m, RT_VERB_TRAIN, 0, NULL);
        RtPool *pool = rt_pool_new(run ? 3 : 1);
        RtDevice *d = rt_cpu_device(pool, fake_kernels);
        RtState *s = rt_state_new(d, m);
        rt_init_state(s, 5);
        RtExec *e = rt_exec_new(rt_model_program(m, RT_CPU, RT_TRAIN, RT_FUSED, 0), s);
        rt_exec_set(e, "input", x);
        rt_exec_set(e, "target", t);
        for (int i = 0; i < 50; i++) {
            rt_scalars_step(s, &o, i + 1);
            rt_exec_run(e);
            rt_exec_get(e, "loss", &loss);
            if (i == 0) first = loss;
        }
        assert_true(loss < 0.7f * first);
        memcpy(weights[run], rt_mirror_read(&s->state), S_SIZE);
        rt_exec_free(e);
        rt_state_free(s);
        d->close(d);
        rt_pool_free(pool);
        rt_options_free(&o);
    }
    assert_memory_equal(weights[0], weights[1], S_SIZE);
}

static void scalars(void **state)
{
    (void)state;
    const RtModel *m = fake_model("Adam(lr=0.01)");
    char *argv[] = {"--lr", "0.25", "--seed=9"};
    RtOptions o;
    rt_options_parse(&o, m, RT_VERB_TRAIN, 3, argv);
    RtDevice *d = rt_cpu_device(NULL, fake_kernels);
    RtState *s = rt_state_new(d, m);
    assert_true(rt_scalars_get(s, "lr", 0) == 0.01);
    rt_scalars_start(s, &o);
    rt_scalars_step(s, &o, 3);
    assert_true(rt_scalars_get(s, "lr", 0) == 0.25);
    assert_true(rt_scalars_get(s, "seed", 0) == 9);
    assert_true(rt_scalars_get(s, "step", 0) == 3);
    assert_true(fabs(rt_scalars_get(s, "bias_correction1", 0) - (1 - 0.9 * 0.9 * 0.9)) < 1e-7);
    assert_true(rt_scalars_get(s, "nothing", -1) == -1);
    rt_state_free(s);
    d->close(d);
    rt_options_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_known_answers),
        cmocka_unit_test(layouts), cmocka_unit_test(blocked_weights),
        cmocka_unit_test(first_values), cmocka_unit_test(replaced_values),
        cmocka_unit_test(programs), cmocka_unit_test(without_loss),
        cmocka_unit_test(training),
        cmocka_unit_test(scalars),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
