#include "loss_scale.h"
#include "model.h"

static double value(RtState *s, const char *name)
{
    const RtTensor *t = rt_model_state(s->model, name);
    return t ? (double)*(const float *)rt_state_read(s, t) : 0;
}

RtLossScale rt_loss_scale(RtState *s)
{
    if (!rt_model_state(s->model, "loss_scale")) return (RtLossScale){.scale = 1};
    return (RtLossScale){true, value(s, "loss_scale"), value(s, "loss_scale.skipped")};
}
