/* A model as the compiler would emit it, made by hand: a linear classifier with cross-entropy and
 * Adam, whose kernels are C functions below. Lets the runtime be tested from end to end without a
 * compiler.
 *
 *   input [B,1,4,4] with a halo of 1; weight [3,16], stored in blocks of 2 rows (so one row is
 * padding); bias [3] fused variant: forward and loss in one kernel; unfused: two. */
#ifndef FAKE_MODEL_H
#define FAKE_MODEL_H
#include "abi.h"
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { FK = 3, FD = 16, FSIDE = 4, FHALO = 6, FB = 8, FW_COUNT = 64 };

/* ---- where things lie ---- */
enum { S_W = 0, S_B = 256, S_MW = 320, S_MB = 576, S_VW = 640, S_VB = 896, S_SIZE = 960 };
/* slab of batch n: input | logits | dlogits | row losses | loss | target | gW | gb */
typedef struct FakeSlab {
    uint64_t input, logits, dlogits, rows, loss, target, gw, gb, size;
} FakeSlab;

static FakeSlab fake_slab(uint64_t n)
{
    FakeSlab s;
    uint64_t at = 0;
    uint64_t *place[] = {&s.input, &s.logits, &s.dlogits, &s.rows,
                         &s.loss,  &s.target, &s.gw,      &s.gb};
    uint64_t bytes[] = {n * FHALO * FHALO * 4, n * FK * 4, n * FK * 4, n * 4, 4, n * 4,
                        FW_COUNT * 4,          FK * 4};
    for (int i = 0; i < 8; i++) {
        *place[i] = at;
        at += (bytes[i] + 63) / 64 * 64;
    }
    s.size = at;
    return s;
}

static int64_t fake_w(int k, int i)
{
    return k / 2 * (2 * FD) + i * 2 + k % 2;
}

static int64_t fake_x(int64_t n, int i)
{
    return n * FHALO * FHALO + (i / FSIDE + 1) * FHALO + i % FSIDE + 1;
}

/* ---- kernels ---- */

/* args: input, weight, bias, logits */
static void fake_forward(void *const *args, int64_t begin, int64_t end)
{
    const float *x = args[0], *w = args[1], *b = args[2];
    float *y = args[3];
    for (int64_t n = begin; n < end; n++) {
        for (int k = 0; k < FK; k++) {
            float s = b[k];
            for (int i = 0; i < FD; i++) s += x[fake_x(n, i)] * w[fake_w(k, i)];
            y[n * FK + k] = s;
        }
    }
}

/* args: logits, target, dlogits, row losses, batch is in the divisor scalar */
static void fake_loss_rows(void *const *args, int64_t begin, int64_t end)
{
    const float *y = args[0];
    const int32_t *t = args[1];
    float *d = args[2], *rows = args[3], batch = *(const float *)args[4];
    for (int64_t n = begin; n < end; n++) {
        const float *r = y + n * FK;
        float top = fmaxf(r[0], fmaxf(r[1], r[2])), sum = 0;
        for (int k = 0; k < FK; k++) sum += expf(r[k] - top);
        rows[n] = t[n] < 0 ? 0 : logf(sum) + top - r[t[n]];
        for (int k = 0; k < FK; k++) d[n * FK + k] = (expf(r[k] - top) / sum - (k == t[n])) / batch;
    }
}

/* args: input, weight, bias, logits, target, dlogits, row losses, batch */
static void fake_forward_loss(void *const *args, int64_t begin, int64_t end)
{
    fake_forward(args, begin, end);
    fake_loss_rows(args + 3, begin, end);
}

/* args: row losses, loss, batch */
static void fake_loss(void *const *args, int64_t begin, int64_t end)
{
    float s = 0, batch = *(const float *)args[2];
    for (int64_t n = 0; begin < end && n < (int64_t)batch; n++) s += ((const float *)args[0])[n];
    *(float *)args[1] = s / batch;
}

/* args: input, dlogits, gw, gb, batch; a task a class */
static void fake_grad(void *const *args, int64_t begin, int64_t end)
{
    const float *x = args[0], *d = args[1];
    float *gw = args[2], *gb = args[3];
    int64_t batch = (int64_t) * (const float *)args[4];
    for (int64_t k = begin; k < end; k++) {
        gb[k] = 0;
        for (int64_t n = 0; n < batch; n++) gb[k] += d[n * FK + k];
        for (int i = 0; i < FD; i++) {
            float s = 0;
            for (int64_t n = 0; n < batch; n++) s += d[n * FK + k] * x[fake_x(n, i)];
            gw[fake_w((int)k, i)] = s;
        }
    }
}

static void fake_adam1(float *w, float *m, float *v, float g, void *const *scalar)
{
    float lr = *(const float *)scalar[0], c1 = *(const float *)scalar[1],
          c2 = *(const float *)scalar[2];
    *m = 0.9f * *m + 0.1f * g;
    *v = 0.999f * *v + 0.001f * g * g;
    *w -= lr * (*m / c1) / (sqrtf(*v / c2) + 1e-8f);
}

/* args: w, b, mw, mb, vw, vb, gw, gb, lr, c1, c2; a task a class */
static void fake_adam(void *const *args, int64_t begin, int64_t end)
{
    float *w = args[0], *b = args[1], *mw = args[2], *mb = args[3], *vw = args[4], *vb = args[5];
    const float *gw = args[6], *gb = args[7];
    for (int64_t k = begin; k < end; k++) {
        fake_adam1(&b[k], &mb[k], &vb[k], gb[k], args + 8);
        for (int i = 0; i < FD; i++) {
            int64_t at = fake_w((int)k, i);
            fake_adam1(&w[at], &mw[at], &vw[at], gw[at], args + 8);
        }
    }
}

enum { K_FORWARD, K_LOSS_ROWS, K_FORWARD_LOSS, K_LOSS, K_GRAD, K_ADAM, K_COUNT };
static const RtKernel fake_kernels[K_COUNT] = {fake_forward, fake_loss_rows, fake_forward_loss,
                                               fake_loss,    fake_grad,      fake_adam};

/* ---- the blob ---- */

typedef struct Blob {
    char *data;
    uint64_t size;
} Blob;

enum { BLOB_MAX = 1 << 16 };

static RtRef blob_put(Blob *b, const void *p, size_t n)
{
    uint64_t at = (b->size + 7) / 8 * 8;
    memcpy(b->data + at, p, n);
    b->size = at + n;
    return (RtRef)at;
}

static RtRef blob_str(Blob *b, const char *s)
{
    return blob_put(b, s, strlen(s) + 1);
}

static RtLayout fake_plain(int rank, int64_t d0, int64_t d1)
{
    RtLayout l = {
        .rank = rank, .block = {1, 1, 1, 1, 1}, .dim = {d0, d1}, .outer = {rank == 2 ? d1 : 1, 1}};
    l.count = rank == 0 ? 1 : rank == 1 ? d0 : d0 * d1;
    return l;
}

static RtTensor fake_tensor(Blob *b, const char *name, int role, int arena, uint64_t offset,
                            RtLayout l)
{
    RtTensor t = {.role = (uint8_t)role,
                  .rank = (uint8_t)l.rank,
                  .arena = (uint32_t)arena,
                  .offset = offset,
                  .layout = l};
    t.name = blob_str(b, name);
    memcpy(t.dim, l.dim, sizeof t.dim);
    return t;
}

static RtLayout fake_w_layout(void)
{
    RtLayout l = {.rank = 2,
                  .block = {2, 1},
                  .dim = {FK, FD},
                  .outer = {2 * FD, 2},
                  .inner = {1, 0},
                  .count = FW_COUNT};
    return l;
}

static RtLayout fake_input_layout(int64_t n)
{
    RtLayout l = {.rank = 4,
                  .block = {1, 1, 1, 1},
                  .dim = {n, 1, FSIDE, FSIDE},
                  .outer = {FHALO * FHALO, FHALO * FHALO, FHALO, 1},
                  .base = FHALO + 1,
                  .count = n * FHALO * FHALO};
    return l;
}

static RtRef fake_states(Blob *b, uint32_t *n)
{
    RtTensor t[6];
    static const char *const name[] = {"fc.weight", "fc.bias",     "m.fc.weight",
                                       "m.fc.bias", "v.fc.weight", "v.fc.bias"};
    static const uint64_t offset[] = {S_W, S_B, S_MW, S_MB, S_VW, S_VB};
    for (int i = 0; i < 6; i++) {
        t[i] = fake_tensor(b, name[i], i < 2 ? RT_PARAM : RT_MOMENT, RT_STATE, offset[i],
                           i % 2 ? fake_plain(1, FK, 0) : fake_w_layout());
    }
    t[0].init = RT_INIT_UNIFORM;
    t[0].init_a = -0.25;
    t[0].init_b = 0.25;
    *n = 6;
    return blob_put(b, t, sizeof t);
}

enum { SC_LR, SC_STEP, SC_SEED, SC_C1, SC_C2, SC_BATCH, SC_ONE, SC_COUNT };

static RtRef fake_scalars(Blob *b)
{
    static const char *const name[] = {
        "lr", "step", "seed", "bias_correction1", "bias_correction2", "batch", "one"};
    RtScalar s[SC_COUNT];
    memset(s, 0, sizeof s);
    for (int i = 0; i < SC_COUNT; i++) s[i].name = blob_str(b, name[i]);
    s[SC_LR].value = 0.01;
    s[SC_STEP].dtype = s[SC_SEED].dtype = RT_I32;
    s[SC_C1].value = s[SC_C2].value = s[SC_ONE].value = 1;
    s[SC_BATCH].value = FB;
    return blob_put(b, s, sizeof s);
}

static RtArg fake_arg(uint32_t arena, uint64_t offset)
{
    return (RtArg){arena, 0, offset};
}

static RtStep fake_step(Blob *b, uint32_t kernel, const RtArg *args, uint32_t n, uint32_t tasks,
                        bool nowait)
{
    static const char *const layers[] = {"fc", "loss", "fc+loss", "loss", "fc", "optimizer"};
    RtStep s = {
        .kernel = kernel, .nargs = n, .ntasks = tasks, .nowait = nowait, .line = 7 + kernel};
    s.args = blob_put(b, args, n * sizeof *args);
    s.layers = blob_str(b, layers[kernel]);
    s.nest = blob_str(b, "fake");
    s.flops = 2.0 * FK * FD * FB;
    s.bytes = 4.0 * FD * FB;
    return s;
}

/* forward and loss, then (training) gradients and Adam */
static uint32_t fake_steps(Blob *b, RtStep *out, uint32_t n, bool fused, bool train)
{
    FakeSlab l = fake_slab(n);
    uint32_t k = 0;
    RtArg count = fake_arg(RT_SCALAR, 64 * (n == 1 ? SC_ONE : SC_BATCH));
    RtArg fwd[] = {fake_arg(RT_SLAB, l.input),  fake_arg(RT_STATE, S_W),
                   fake_arg(RT_STATE, S_B),     fake_arg(RT_SLAB, l.logits),
                   fake_arg(RT_SLAB, l.target), fake_arg(RT_SLAB, l.dlogits),
                   fake_arg(RT_SLAB, l.rows),   count};
    if (fused)
        out[k++] = fake_step(b, K_FORWARD_LOSS, fwd, 8, n, false);
    else {
        out[k++] = fake_step(b, K_FORWARD, fwd, 4, n, false);
        out[k++] = fake_step(b, K_LOSS_ROWS, fwd + 3, 5, n, false);
    }
    RtArg loss[] = {fake_arg(RT_SLAB, l.rows), fake_arg(RT_SLAB, l.loss), count};
    out[k] = fake_step(b, K_LOSS, loss, 3, 1, train);
    out[k++].for_loss = !train;
    if (!train) return k;
    RtArg grad[] = {fake_arg(RT_SLAB, l.input), fake_arg(RT_SLAB, l.dlogits),
                    fake_arg(RT_SLAB, l.gw), fake_arg(RT_SLAB, l.gb), count};
    out[k++] = fake_step(b, K_GRAD, grad, 5, FK, false);
    RtArg adam[] = {fake_arg(RT_STATE, S_W),         fake_arg(RT_STATE, S_B),
                    fake_arg(RT_STATE, S_MW),        fake_arg(RT_STATE, S_MB),
                    fake_arg(RT_STATE, S_VW),        fake_arg(RT_STATE, S_VB),
                    fake_arg(RT_SLAB, l.gw),         fake_arg(RT_SLAB, l.gb),
                    fake_arg(RT_SCALAR, 64 * SC_LR), fake_arg(RT_SCALAR, 64 * SC_C1),
                    fake_arg(RT_SCALAR, 64 * SC_C2)};
    out[k++] = fake_step(b, K_ADAM, adam, 11, FK, false);
    return k;
}

static RtProgram fake_program(Blob *b, uint32_t n, bool fused, bool train)
{
    FakeSlab l = fake_slab(n);
    RtTensor t[6]; /* of inference programs the fifth is a second output */
    t[0] = fake_tensor(b, "input", RT_INPUT, RT_SLAB, l.input, fake_input_layout(n));
    t[1] = fake_tensor(b, "target", RT_TARGET, RT_SLAB, l.target, fake_plain(2, n, 1));
    t[1].dtype = RT_I32;
    t[2] = fake_tensor(b, "output", RT_OUTPUT, RT_SLAB, l.logits, fake_plain(2, n, FK));
    t[3] = fake_tensor(b, "loss", RT_OUTPUT, RT_SLAB, l.loss, fake_plain(0, 0, 0));
    t[4] = fake_tensor(b, "fc.weight", RT_GRAD, RT_SLAB, l.gw, fake_w_layout());
    t[5] = fake_tensor(b, "fc.bias", RT_GRAD, RT_SLAB, l.gb, fake_plain(1, FK, 0));
    if (!train) t[4] = fake_tensor(b, "aux", RT_OUTPUT, RT_SLAB, l.dlogits, fake_plain(2, n, FK));
    RtStep steps[8];
    memset(steps, 0, sizeof steps);
    RtProgram p = {
        .phase = train ? RT_TRAIN : RT_INFER, .variant = fused ? RT_FUSED : RT_UNFUSED, .batch = n};
    p.ntensors = train ? 6 : 5;
    p.tensors = blob_put(b, t, p.ntensors * sizeof *t);
    p.nsteps = fake_steps(b, steps, n, fused, train);
    p.steps = blob_put(b, steps, p.nsteps * sizeof *steps);
    p.slab_size = l.size;
    return p;
}

static RtRef fake_options(Blob *b, uint32_t *n)
{
    static const char *const text[][2] = {{"data.format", "idx"},
                                          {"train.epochs", "4"},
                                          {"train.batch_size", "8"},
                                          {"train.beta1", "0.9"},
                                          {"train.beta2", "0.999"}};
    RtOption o[5];
    memset(o, 0, sizeof o);
    for (int i = 0; i < 5; i++) {
        o[i].key = blob_str(b, text[i][0]);
        o[i].value = blob_str(b, text[i][1]);
        o[i].line = 20 + (uint32_t)i;
    }
    *n = 5;
    return blob_put(b, o, sizeof o);
}

/* optimizer: its text, "Adam(lr=0.01)". The model lives until the process ends. */
static const RtModel *fake_model(const char *optimizer)
{
    static char *all[64]; /* so that a leak checker finds them */
    static unsigned n;
    Blob b = {all[n++ % 64] = aligned_alloc(64, BLOB_MAX), sizeof(RtModel)};
    memset(b.data, 0, BLOB_MAX);
    RtModel m = {.magic = RT_MAGIC,
                 .abi = RT_ABI_VERSION,
                 .nkernels = K_COUNT,
                 .nprograms = 6,
                 .nscalars = SC_COUNT};
    m.name = blob_str(&b, "fake");
    m.spec_file = blob_str(&b, "fake.yaml");
    m.spec_hash = blob_str(&b, "0123456789abcdef");
    m.compiler = blob_str(&b, "by hand");
    m.target = blob_str(&b, "any");
    m.isa = blob_str(&b, "");
    m.loss = blob_str(&b, "CrossEntropyLoss()");
    m.optimizer = blob_str(&b, optimizer);
    m.states = fake_states(&b, &m.nstates);
    m.state_size = S_SIZE;
    m.scalars = fake_scalars(&b);
    m.options = fake_options(&b, &m.noptions);
    RtProgram p[6] = {fake_program(&b, FB, true, true),  fake_program(&b, FB, false, true),
                      fake_program(&b, FB, true, false), fake_program(&b, FB, false, false),
                      fake_program(&b, 1, true, false),  fake_program(&b, 1, false, false)};
    m.programs = blob_put(&b, p, sizeof p);
    m.size = b.size;
    memcpy(b.data, &m, sizeof m);
    return (const RtModel *)b.data;
}
#endif
