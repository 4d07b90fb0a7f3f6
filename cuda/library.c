/* Steps that cuDNN computes: the plan that the build wrote down, or where this cuDNN is another, one made anew.
 *
 * A plan made here must do with the scratch that the build reserved. Execution only appends to the stream, so that it
 * can be captured like any kernel. */
#include "err.h"
#include "internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CudaPlan {
    Cuda *cuda;
    const RtStep *step;
    CudnnPlan *plan;
    void *tensor[CUDNN_MOST_TENSORS], *scratch;
};

bool cuda_load_cudnn(const RtModel *m, RtError *e)
{
    const char *why = m->nlibraries ? cudnn_missing() : NULL;
    if (!why) return true;
    *e = (RtError){.exit = RT_EXIT_DEVICE, .id = "G007"};
    snprintf(e->text, sizeof e->text,
             "this program's convolutions are cuDNN's: %s\nsinter build %s --provider sinter builds it without", why,
             RT_STR(m, m->spec_file));
    return false;
}

static _Noreturn void failed(const Cuda *c, const RtStep *s, const char *why)
{
    rt_fail(RT_EXIT_DEVICE, "G007", "cuDNN, %s (%s, %s:%u) on '%s': %s\nsinter build %s --provider sinter builds it without",
            RT_STR(c->model, s->nest), RT_STR(c->model, s->layers), RT_STR(c->model, c->model->spec_file), s->line,
            rt_esc(c->name), why, RT_STR(c->model, c->model->spec_file));
}

static CudnnPlan *plan_of(const Cuda *c, const RtStep *s, const RtLibrary *x)
{
    char why[CUDNN_WHY];
    CudnnPlan *p;
    bool same = x->plan && x->version == cudnn_version();
    if (same && !cudnn_plan_read(c->cudnn, RT_STR(c->model, x->plan), &p, why)) return p;
    if (cudnn_plan_make(c->cudnn, RT_AT(c->model, CudnnConv, x->op), (int64_t)x->scratch, &p, why))
        failed(c, s, why);
    return p;
}

CudaPlan *cuda_plan(Cuda *c, const RtStep *s, void *const *args)
{
    char why[CUDNN_WHY];
    const RtLibrary *x = &RT_AT(c->model, RtLibrary, c->model->libraries)[s->kernel];
    if (x->op_size != sizeof(CudnnConv)) failed(c, s, "the operation is another version's");
    if (!c->cudnn && cudnn_device_current(c->stream, &c->cudnn, why)) failed(c, s, why);
    CudaPlan *p = rt_alloc(1, sizeof *p, "a plan");
    *p = (CudaPlan){.cuda = c, .step = s, .plan = plan_of(c, s, x)};
    for (uint32_t i = 0; i < s->nargs; i++) {
        if (x->tensor[i] == RT_LIBRARY_SCRATCH)
            p->scratch = args[i];
        else if (x->tensor[i] < CUDNN_MOST_TENSORS)
            p->tensor[x->tensor[i]] = args[i];
    }
    return p;
}

void cuda_plan_start(const CudaPlan *p)
{
    char why[CUDNN_WHY];
    if (cudnn_plan_run(p->cuda->cudnn, p->plan, p->tensor, CUDNN_MOST_TENSORS, p->scratch, why))
        failed(p->cuda, p->step, why);
}

void cuda_plan_free(CudaPlan *p)
{
    if (!p) return;
    cudnn_plan_free(p->plan);
    free(p);
}
