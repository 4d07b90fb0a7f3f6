/* First values: constant, uniform or normal, from counter-based random numbers.
 *
 * Element i (row-major, as PyTorch counts) of tensor `name` comes from Philox with key = seed and
 * counter = (i / 4, i / 4 >> 32, fnv1a64(name), its upper half), word i % 4: uniform  a + (b - a) *
 * (word >> 8) / 2^24 normal   a + b * sqrt(-2 ln((w0 + 1) / 2^32)) * cos(2 pi w1 / 2^32), words 0,
 * 1 of counter i Rule: padding is not touched; it is zero from the start and stays zero. */
#include "init.h"
#include "err.h"
#include "model.h"
#include "rng.h"
#include "tensor.h"
#include <math.h>
#include <stdlib.h>

static uint64_t fnv1a(const char *s)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *s; s++) h = (h ^ (unsigned char)*s) * 0x100000001b3u;
    return h;
}

static RtRandom4 draw(uint64_t seed, uint64_t tensor, uint64_t i)
{
    uint32_t counter[4] = {(uint32_t)i, (uint32_t)(i >> 32), (uint32_t)tensor,
                           (uint32_t)(tensor >> 32)};
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    return rt_philox(counter, key);
}

static void uniform(const RtTensor *t, uint64_t seed, uint64_t tensor, uint64_t n, float *out)
{
    RtRandom4 r = {{0}};
    for (uint64_t i = 0; i < n; i++) {
        if (i % 4 == 0) r = draw(seed, tensor, i / 4);
        out[i] = (float)(t->init_a + (t->init_b - t->init_a) * (r.v[i % 4] >> 8) * 0x1p-24);
    }
}

static void normal(const RtTensor *t, uint64_t seed, uint64_t tensor, uint64_t n, float *out)
{
    for (uint64_t i = 0; i < n; i++) {
        RtRandom4 r = draw(seed, tensor, i);
        double radius = sqrt(-2 * log((r.v[0] + 1.0) * 0x1p-32));
        double angle = 2 * 3.14159265358979323846 * r.v[1] * 0x1p-32;
        out[i] = (float)(t->init_a + t->init_b * radius * cos(angle));
    }
}

static void constant(const RtTensor *t, uint64_t n, void *plain)
{
    for (uint64_t i = 0; i < n; i++) {
        if (t->dtype == RT_I32)
            ((int32_t *)plain)[i] = (int32_t)t->init_a;
        else
            ((float *)plain)[i] = (float)t->init_a;
    }
}

static void fill(const RtTensor *t, const char *name, uint64_t seed, void *plain)
{
    uint64_t n = (uint64_t)rt_tensor_count(t), id = fnv1a(name);
    if (t->init == RT_INIT_UNIFORM)
        uniform(t, seed, id, n, plain);
    else if (t->init == RT_INIT_NORMAL)
        normal(t, seed, id, n, plain);
    else
        constant(t, n, plain);
}

static bool is_zero(const RtTensor *t)
{
    return t->init != RT_INIT_UNIFORM && t->init != RT_INIT_NORMAL && t->init_a == 0;
}

static void first_values(RtState *s)
{
    const RtTensor *t = rt_model_states(s->model);
    for (uint32_t i = 0; i < s->model->nstates; i++, t++) {
        if (s->given[i] || is_zero(t)) continue; /* memory is zero from the start */
        void *plain = rt_alloc((size_t)rt_tensor_count(t), 4, "first weights");
        fill(t, RT_STR(s->model, t->name), s->seed, plain);
        rt_pack(t, rt_state_replace(s, t), plain);
        free(plain);
    }
}

void rt_init_state(RtState *s, uint64_t seed)
{
    s->seed = seed;
    s->first = first_values;
}
