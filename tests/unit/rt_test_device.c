/* A device with memory of its own: what exec.c and the mirrors send and fetch, and when. The device here is the CPU's
 * with other addresses: kernels run on its own copy, which only copies reach. */
#include "exec.h"
#include "fake_model.h"
#include "init.h"
#include "model.h"
#include "options.h"
#include "scalars.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

typedef struct Apart {
    RtDevice device;
    RtDevice *cpu;
    int uploads, downloads, sends;
} Apart;

struct RtChannel {
    Apart *a;
    void *to, *here;
    size_t bytes;
};

static Apart *the; /* lists and channels of the CPU know no device */

static void *alloc(RtDevice *d, size_t bytes, const char *what)
{
    return the->cpu->alloc(((Apart *)d)->cpu, bytes, what);
}

static void release(RtDevice *d, void *p, size_t bytes)
{
    the->cpu->free(((Apart *)d)->cpu, p, bytes);
}

static void upload(RtDevice *d, void *to, const void *from, size_t bytes)
{
    memcpy(to, from, bytes);
    ((Apart *)d)->uploads++;
}

static void download(RtDevice *d, void *to, const void *from, size_t bytes)
{
    memcpy(to, from, bytes);
    ((Apart *)d)->downloads++;
}

static RtChannel *channel(RtDevice *d, void *to, size_t bytes)
{
    RtChannel *c = calloc(1, sizeof *c);
    *c = (RtChannel){(Apart *)d, to, calloc(1, bytes), bytes};
    return c;
}

static void *fill(RtChannel *c)
{
    return c->here;
}

static void send_it(RtChannel *c)
{
    memcpy(c->to, c->here, c->bytes);
    c->a->sends++;
}

static void close_channel(RtChannel *c)
{
    free(c->here);
    free(c);
}

static RtList *list(RtDevice *d, const RtModel *m, const RtLaunch *launch, int n)
{
    return the->cpu->list(((Apart *)d)->cpu, m, launch, n);
}

static Apart *open_apart(RtDevice *cpu)
{
    Apart *a = calloc(1, sizeof *a);
    a->device = *cpu;
    a->cpu = cpu;
    a->device.host = false;
    a->device.alloc = alloc;
    a->device.free = release;
    a->device.upload = upload;
    a->device.download = download;
    a->device.channel = channel;
    a->device.fill = fill;
    a->device.send = send_it;
    a->device.close_channel = close_channel;
    a->device.list = list;
    return the = a;
}

static void batch(RtExec *e)
{
    float x[FB * FD];
    int32_t t[FB];
    for (int i = 0; i < FB * FD; i++) x[i] = (float)((i * 37) % 11) / 11 - 0.4f;
    for (int i = 0; i < FB; i++) t[i] = i % FK;
    rt_exec_set(e, "input", x);
    rt_exec_set(e, "target", t);
}

/* Five steps; what is fetched after each is the loss alone. */
static void train(RtDevice *d, const RtModel *m, char weights[S_SIZE], float *loss)
{
    RtOptions o;
    rt_options_parse(&o, m, RT_VERB_TRAIN, 0, NULL);
    RtState *s = rt_state_new(d, m);
    rt_init_state(s, 5);
    RtExec *e = rt_exec_new(rt_model_program(m, RT_CPU, RT_TRAIN, RT_FUSED, 0), s);
    for (int i = 0; i < 5; i++) {
        batch(e);
        rt_scalars_step(s, &o, i + 1);
        rt_exec_run(e);
        rt_exec_get(e, "loss", loss);
    }
    memcpy(weights, rt_mirror_read(&s->state), S_SIZE);
    rt_exec_free(e);
    rt_state_free(s);
    rt_options_free(&o);
}

static void computes_the_same(void **state)
{
    (void)state;
    const RtModel *m = fake_model("Adam(lr=0.01)");
    RtPool *pool = rt_pool_new(2);
    RtDevice *cpu = rt_cpu_device(pool, fake_kernels);
    Apart *a = open_apart(cpu);
    char here[S_SIZE], there[S_SIZE];
    float loss, loss_there;
    train(cpu, m, here, &loss);
    train(&a->device, m, there, &loss_there);
    assert_memory_equal(here, there, S_SIZE);
    assert_true(loss == loss_there);
    assert_int_equal(a->uploads, 1);         /* the first weights */
    assert_int_equal(a->downloads, 5 + 1);   /* losses; the last weights */
    assert_int_equal(a->sends, 5 * (2 + 1)); /* input, target, scalars */
    free(a);
    cpu->close(cpu);
    rt_pool_free(pool);
}

/* The newer side wins, and nothing is copied twice. */
static void newer_side(void **state)
{
    (void)state;
    const RtModel *m = fake_model("Adam(lr=0.01)");
    RtPool *pool = rt_pool_new(1);
    RtDevice *cpu = rt_cpu_device(pool, fake_kernels);
    Apart *a = open_apart(cpu);
    RtState *s = rt_state_new(&a->device, m);
    rt_init_state(s, 5);
    RtExec *e = rt_exec_new(rt_model_program(m, RT_CPU, RT_TRAIN, RT_FUSED, 0), s);
    const RtTensor *w = rt_model_state(m, "fc.weight"), *g = rt_exec_tensor(e, "fc.weight");
    batch(e);
    rt_exec_run(e);
    float after = *(const float *)rt_state_read(s, w);
    int downloads = a->downloads;
    assert_true(after == *(const float *)rt_state_read(s, w));
    assert_int_equal(a->downloads, downloads); /* read twice, fetched once */
    *(float *)rt_state_write(s, w) = 3;
    assert_int_equal(a->downloads, downloads);
    rt_scalars_set(s, "lr", 0);
    rt_exec_run(e);
    assert_int_equal(a->uploads, 2);
    assert_true(*(const float *)rt_state_read(s, w) ==
                3); /* written here, gone there, unchanged by lr 0 */
    const float *grad = rt_exec_read(e, g);
    assert_true(isfinite(grad[0]) && grad == rt_exec_read(e, g));
    *(float *)rt_state_write(s, w) =
        1; /* first fetched, so that the neighbours stay as the run left them */
    rt_exec_run(e);
    assert_int_equal(a->uploads, 3);
    rt_exec_free(e);
    rt_state_free(s);
    free(a);
    cpu->close(cpu);
    rt_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(computes_the_same),
                                       cmocka_unit_test(newer_side)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
