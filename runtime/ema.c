/* Averages of weights, and their length. Moments lie as their parameters do. */
#include "ema.h"
#include "err.h"
#include "model.h"
#include "tensor.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const RtTensor *average_of(const RtModel *m, const RtTensor *t)
{
    char name[512];
    snprintf(name, sizeof name, "%s.ema", RT_STR(m, t->name));
    return t->role == RT_PARAM ? rt_model_state(m, name) : NULL;
}

static void swap(char *a, char *b, size_t n)
{
    char room[4096];
    for (size_t k; n; a += k, b += k, n -= k) {
        k = n < sizeof room ? n : sizeof room;
        memcpy(room, a, k);
        memcpy(a, b, k);
        memcpy(b, room, k);
    }
}

void rt_ema_swap(RtState *s)
{
    const RtTensor *t = rt_model_states(s->model);
    for (uint32_t i = 0; i < s->model->nstates; i++, t++) {
        const RtTensor *ema = average_of(s->model, t);
        if (ema) swap(rt_state_write(s, t), rt_state_write(s, ema), (size_t)t->layout.count * 4);
    }
}

double rt_weight_norm2(RtState *s)
{
    double sum = 0;
    const RtTensor *t = rt_model_states(s->model);
    for (uint32_t i = 0; i < s->model->nstates; i++, t++) {
        if (t->role != RT_PARAM || t->frozen || t->rank < 2) continue;
        size_t n = (size_t)rt_tensor_count(t);
        float *plain = rt_alloc(n, sizeof *plain, "weights");
        rt_unpack(t, rt_state_read(s, t), plain);
        for (size_t k = 0; k < n; k++) sum += (double)plain[k] * plain[k];
        free(plain);
    }
    return sum;
}
