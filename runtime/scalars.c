/* Scalars by name: lr, seed, step, bias_correction1, bias_correction2, dataset_size (of the training
 * split, or of the rows given to `step`; l2 divides by it).
 *
 * Rule: bias corrections are 1 - beta^step in double, rounded once: in float the power would drift.
 */
#include "scalars.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

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
}

void rt_scalars_step(RtState *s, const RtOptions *o, int64_t step)
{
    rt_scalars_set(s, "step", (double)step);
    double beta1 = rt_option_num(o, "train.beta1", 0.9),
           beta2 = rt_option_num(o, "train.beta2", 0.999);
    rt_scalars_set(s, "bias_correction1", 1 - pow(beta1, (double)step));
    rt_scalars_set(s, "bias_correction2", 1 - pow(beta2, (double)step));
}
