/* Events: a mark in a stream that others wait for. */
#include "internal.h"
#include <stdlib.h>

CUresult cuEventCreate(CUevent *event, unsigned flags)
{
    GUARDED Guard g = enter(IN_CONTEXT);
    if (g.error) return g.error;
    if (!event || (flags & ~(unsigned)(CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING)))
        return CUDA_ERROR_INVALID_VALUE;
    *event = object_new(sizeof **event, KIND_EVENT, g.context);
    (*event)->timing = !(flags & CU_EVENT_DISABLE_TIMING);
    return CUDA_SUCCESS;
}

static void forget_record(Event *e)
{
    if (e->work) work_unref(e->work);
    capture_unref(e->capture);
    tips_free(&e->tips);
    e->work = NULL;
    e->capture = NULL;
}

CUresult cuEventDestroy_v2(CUevent event)
{
    GUARDED Guard g = enter(IN_CONTEXT);
    if (g.error) return g.error;
    Event *e = object_find(event, KIND_EVENT, g.context);
    if (!e) return CUDA_ERROR_INVALID_HANDLE;
    object_forget(e);
    forget_record(e);
    free(e);
    return CUDA_SUCCESS;
}

static void record_in_capture(Event *e, Stream *s)
{
    forget_record(e);
    e->capture = s->capture;
    e->capture->refs++;
    tips_merge(&e->tips, &s->tips);
}

CUresult cuEventRecord(CUevent event, CUstream stream)
{
    GUARDED Guard g = enter(IN_CONTEXT);
    if (g.error) return g.error;
    Event *e = object_find(event, KIND_EVENT, g.context);
    Stream *s = stream_get(g.context, stream);
    if (!e || !s) return CUDA_ERROR_INVALID_HANDLE;
    if (s->capture && s->capture->invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    if (s->capture) {
        record_in_capture(e, s);
        return CUDA_SUCCESS;
    }
    Work *mark;
    CUresult error = stream_submit(g.context, s, (Op){0}, NULL, &mark);
    if (error) return error;
    forget_record(e);
    e->work = mark;
    return CUDA_SUCCESS;
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags)
{
    GUARDED Guard g = enter(IN_CONTEXT);
    if (g.error) return g.error;
    Event *e = object_find(event, KIND_EVENT, g.context);
    Stream *s = stream_get(g.context, stream);
    if (!e || !s) return CUDA_ERROR_INVALID_HANDLE;
    if (flags) return CUDA_ERROR_INVALID_VALUE;
    if (s->capture || e->capture) return capture_wait(g.context, s, e);
    return e->work ? stream_submit(g.context, s, (Op){0}, e->work, NULL) : CUDA_SUCCESS;
}

/* The event, which must not have been recorded in a capture. */
static CUresult find(const Guard *g, CUevent handle, Event **e)
{
    if (g->error) return g->error;
    *e = object_find(handle, KIND_EVENT, g->context);
    if (!*e) return CUDA_ERROR_INVALID_HANDLE;
    if (!(*e)->capture) return CUDA_SUCCESS;
    (*e)->capture->invalid = true;
    return CUDA_ERROR_CAPTURED_EVENT;
}

CUresult cuEventSynchronize(CUevent event)
{
    GUARDED Guard g = enter(IN_CONTEXT);
    Event *e;
    CUresult error = find(&g, event, &e);
    if (error) return error;
    if (e->work && !e->work->done) stream_run_until(g.context, e->work);
    return g.context->error;
}

CUresult cuEventQuery(CUevent event)
{
    GUARDED Guard g = enter(IN_CONTEXT);
    Event *e;
    CUresult error = find(&g, event, &e);
    if (error) return error;
    if (!e->work || e->work->done) return CUDA_SUCCESS;
    stream_progress(g.context, e->work->stream);
    return g.context->error ? g.context->error : CUDA_ERROR_NOT_READY;
}

CUresult cuEventElapsedTime(float *ms, CUevent start, CUevent end)
{
    GUARDED Guard g = enter(IN_CONTEXT);
    Event *a, *b;
    CUresult error = find(&g, start, &a);
    if (!error) error = find(&g, end, &b);
    if (error) return error;
    if (!ms) return CUDA_ERROR_INVALID_VALUE;
    if (!a->timing || !b->timing || !a->work || !b->work) return CUDA_ERROR_INVALID_HANDLE;
    if (!a->work->done || !b->work->done) return CUDA_ERROR_NOT_READY;
    *ms = (float)(b->work->time - a->work->time);
    return CUDA_SUCCESS;
}

CUresult cuEventElapsedTime_v2(float *ms, CUevent start, CUevent end)
{
    return cuEventElapsedTime(ms, start, end);
}
