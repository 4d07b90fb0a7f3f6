/* Scalars by name: lr, seed, step, bias_correction1, bias_correction2, dataset_size (of the training
 * split, or of the rows given to `step`; l2 divides by it), l2.lambda; update, grad_share and ema_rate, which
 * compiler/spec/steps.c explains. Where gradients are summed over N steps, update u is step u * N, and the optimizer
 * counts updates.
 *
 * Rule: bias corrections are 1 - beta^step in double, rounded once: in float the power would drift.
 */
#include "scalars.h"
#include "err.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Flags that need something in the program. */
static const struct {
    const char *key, *flag, *scalar, *text;
} built[] = {
    {"train.l2.lambda", "l2", "l2.lambda", "l2: {lambda: 0}"},
    {"train.accumulate", "accumulate", "update", "accumulate: 2"},
    {"train.ema", "ema", "ema_rate", "ema: 0.999"},
};

void rt_scalars_set(RtState *s, const char *name, double value)
{
    uint32_t dtype;
    void *p = rt_state_scalar_write(s, name, &dtype);
    if (!p) return;
    if (dtype == RT_I32)
        *(int32_t *)p = (int32_t)(uint32_t)(int64_t)value;
    else
        *(float *)p = (float)value;
}

double rt_scalars_get(const RtState *s, const char *name, double otherwise)
{
    uint32_t dtype;
    const void *p = rt_state_scalar(s, name, &dtype);
    if (!p) return otherwise;
    if (dtype == RT_I32) return *(const int32_t *)p;
    char text[32]; /* 0.001 was rounded to a float: give 0.001 back, not its neighbour */
    snprintf(text, sizeof text, "%.7g", *(const float *)p);
    return strtod(text, NULL);
}

void rt_scalars_start(RtState *s, const RtOptions *o)
{
    if (rt_option_known(o, "train.lr")) rt_scalars_set(s, "lr", rt_option_num(o, "train.lr", 0));
    rt_scalars_set(s, "seed", (double)rt_option_int(o, "train.seed", 0));
    rt_scalars_set(s, "dataset_size", 1);
    rt_scalars_set(s, "l2.lambda", rt_option_num(o, "train.l2.lambda", 0));
    for (size_t i = 0; i < sizeof built / sizeof *built; i++) {
        if (!rt_option_given(o, built[i].key) || rt_state_scalar(s, built[i].scalar, NULL)) continue;
        rt_fail(RT_EXIT_USAGE, "C003", "--%s: this program was built without\nadd `%s` to the description's train block",
                built[i].flag, built[i].text);
    }
}

void rt_scalars_step(RtState *s, const RtOptions *o, int64_t step)
{
    int64_t every = rt_option_int(o, "train.accumulate", 1);
    double update = (double)((step + every - 1) / every);
    rt_scalars_set(s, "step", (double)step);
    rt_scalars_set(s, "update", step % every == 0);
    rt_scalars_set(s, "grad_share", 1 / (double)every);
    rt_scalars_set(s, "ema_rate", update > 1 ? 1 - rt_option_num(o, "train.ema", 0) : 1);
    double beta1 = rt_option_num(o, "train.beta1", 0.9),
           beta2 = rt_option_num(o, "train.beta2", 0.999);
    rt_scalars_set(s, "bias_correction1", 1 - pow(beta1, update));
    rt_scalars_set(s, "bias_correction2", 1 - pow(beta2, update));
}
