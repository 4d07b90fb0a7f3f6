/* Devices and plans: an operation graph goes to cuDNN's heuristics, their answers are sieved, the first that is left
 * becomes a plan that can be executed, measured, written down.
 *
 * In: an operation as data, a device. Not here: which groups of a model are convolutions (the compiler), where
 * tensors lie (its plan). Engines that cuDNN compiles at run time are not taken: they need a driver, so that a build
 * without one could not promise them, and take half a minute each. */
#include "cudnn_api.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CudnnDevice {
    void *properties;            /* of a described device, or NULL */
    struct cudnnContext *handle; /* of the current one, or NULL */
};
struct CudnnPlan {
    void *plan;
    void **part; /* it and the descriptors that it may look at again */
    int nparts;
};

/* ---- devices ---- */

static int give(Build *b, CudnnDevice **out, CudnnDevice d)
{
    *out = NULL;
    if (b->status) {
        dnn_discard(b->part, b->n);
        return (int)b->status;
    }
    *out = calloc(1, sizeof **out);
    if (*out) **out = d;
    return *out ? 0 : DNN_STATUS_NOT_SUPPORTED;
}

static int no_library(char *why)
{
    const char *missing = cudnn_missing();
    if (missing) snprintf(why, CUDNN_WHY, "%s", missing);
    return missing ? DNN_STATUS_NOT_SUPPORTED : 0;
}

int cudnn_device_described(const char *json, CudnnDevice **out, char *why)
{
    if (no_library(why)) return DNN_STATUS_NOT_SUPPORTED;
    Build b = {.why = why};
    void *d = dnn_make(&b, DNN_BACKEND_DEVICEPROP_DESCRIPTOR);
    dnn_set(&b, d, DNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, DNN_TYPE_CHAR, (int64_t)strlen(json), json);
    dnn_finish(&b, d, "the device's description");
    return give(&b, out, (CudnnDevice){.properties = d});
}

int cudnn_device_current(void *stream, CudnnDevice **out, char *why)
{
    if (no_library(why)) return DNN_STATUS_NOT_SUPPORTED;
    Build b = {.why = why};
    struct cudnnContext *handle = NULL;
    dnn_note(&b, dnn_api.cudnnCreate(&handle), "start");
    if (!b.status) dnn_note(&b, dnn_api.cudnnSetStream(handle, stream), "the stream");
    if (b.status && handle) dnn_api.cudnnDestroy(handle);
    return give(&b, out, (CudnnDevice){.handle = handle});
}

void cudnn_device_free(CudnnDevice *d)
{
    if (!d) return;
    if (d->properties) dnn_api.cudnnBackendDestroyDescriptor(d->properties);
    if (d->handle) dnn_api.cudnnDestroy(d->handle);
    free(d);
}

/* ---- plans ---- */

/* One kind of notes on an engine. -> how many; -1: it does not say */
static int64_t notes_of(void *engine, unsigned name, unsigned type, int64_t most, unsigned *note)
{
    int64_t n = 0;
    return dnn_api.cudnnBackendGetAttribute(engine, name, type, most, &n, note) ? -1 : n;
}

static bool has_note(const unsigned *note, int64_t n, unsigned which)
{
    for (int64_t i = 0; i < n; i++)
        if (note[i] == which) return true;
    return false;
}

static bool multiplies_float32(const CudnnConv *c)
{
    bool any = false;
    for (int t = 0; t < 3; t++) any = any || (t != (int)cudnn_conv_result(c) && c->type[t] == CUDNN_F32);
    return any;
}

/* Does the engine keep what the operation asks for, and is it there already? */
static bool engine_is_wanted(void *engine, const CudnnConv *c)
{
    static const unsigned never[] = {DNN_NUMERICAL_NOTE_NONDETERMINISTIC,
                                     DNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION},
                          coarse[] = {DNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS, DNN_NUMERICAL_NOTE_FFT,
                                      DNN_NUMERICAL_NOTE_WINOGRAD, DNN_NUMERICAL_NOTE_TENSOR_CORE};
    unsigned numeric[DNN_NUMERICAL_NOTE_TYPE_COUNT], behavior[DNN_BEHAVIOR_NOTE_TYPE_COUNT];
    int64_t n = notes_of(engine, DNN_ATTR_ENGINE_NUMERICAL_NOTE, DNN_TYPE_NUMERICAL_NOTE,
                         DNN_NUMERICAL_NOTE_TYPE_COUNT, numeric);
    int64_t m = notes_of(engine, DNN_ATTR_ENGINE_BEHAVIOR_NOTE, DNN_TYPE_BEHAVIOR_NOTE,
                         DNN_BEHAVIOR_NOTE_TYPE_COUNT, behavior);
    if (n < 0 || m < 0 || has_note(behavior, m, DNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION)) return false;
    for (int i = 0; i < 2; i++)
        if (has_note(numeric, n, never[i])) return false;
    /* tensor cores round float32 to TF32; of half precision they multiply what is there */
    int most = c->math != CUDNN_EXACT ? 0 : multiplies_float32(c) ? 4 : 3;
    for (int i = 0; i < most; i++)
        if (has_note(numeric, n, coarse[i])) return false;
    return true;
}

static bool is_wanted(void *config, const CudnnConv *c)
{
    int64_t n = 0;
    void *engine = NULL;
    bool good = !dnn_api.cudnnBackendCreateDescriptor(DNN_BACKEND_ENGINE_DESCRIPTOR, &engine) &&
                !dnn_api.cudnnBackendGetAttribute(config, DNN_ATTR_ENGINECFG_ENGINE,
                                                  DNN_TYPE_BACKEND_DESCRIPTOR, 1, &n, &engine) &&
                engine_is_wanted(engine, c);
    if (engine) dnn_api.cudnnBackendDestroyDescriptor(engine);
    return good;
}

static void set_device(Build *b, void *d, unsigned properties, const CudnnDevice *device)
{
    if (device->properties) dnn_set_part(b, d, properties, device->properties);
}

/* The plan of one configuration; NULL: the engine will not take it after all. */
static void *plan_of(const CudnnDevice *d, void *config, char *why)
{
    Build b = {.why = why};
    void *plan = dnn_make(&b, DNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    if (d->handle) dnn_set(&b, plan, DNN_ATTR_EXECUTION_PLAN_HANDLE, DNN_TYPE_HANDLE, 1, &d->handle);
    set_device(&b, plan, DNN_ATTR_EXECUTION_PLAN_DEVICEPROP, d);
    dnn_set_part(&b, plan, DNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
    dnn_finish(&b, plan, "the plan");
    if (b.status) dnn_discard(b.part, b.n);
    return b.status ? NULL : plan;
}

enum { MOST_CONFIGS = 32 };

/* The ranked configurations of one heuristic. -> how many */
static int64_t configurations(Build *b, const CudnnDevice *d, void *graph, unsigned mode, void **config)
{
    int64_t n = 0;
    void *heuristic = dnn_make(b, DNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    for (int i = 0; i < MOST_CONFIGS; i++) config[i] = dnn_make(b, DNN_BACKEND_ENGINECFG_DESCRIPTOR);
    dnn_set_part(b, heuristic, DNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
    dnn_set_enum(b, heuristic, DNN_ATTR_ENGINEHEUR_MODE, DNN_TYPE_HEUR_MODE, mode);
    set_device(b, heuristic, DNN_ATTR_ENGINEHEUR_DEVICEPROP, d);
    dnn_finish(b, heuristic, "the heuristic");
    if (!b->status)
        dnn_note(b, dnn_api.cudnnBackendGetAttribute(heuristic, DNN_ATTR_ENGINEHEUR_RESULTS,
                                             DNN_TYPE_BACKEND_DESCRIPTOR, MOST_CONFIGS, &n, config),
             "the heuristic's results");
    return b->status ? 0 : n;
}

typedef struct Wish {
    const CudnnDevice *device;
    const CudnnConv *conv;
    int64_t most; /* bytes of workspace; -1: any */
    int refused;  /* engines that do not fit the wish */
    char *why;
} Wish;

static int64_t workspace_of(void *plan)
{
    int64_t size = 0, n = 0;
    dnn_api.cudnnBackendGetAttribute(plan, DNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, DNN_TYPE_INT64, 1, &n,
                                     &size);
    return size;
}

static void *wanted_plan(Wish *w, void *config)
{
    bool wanted = is_wanted(config, w->conv);
    void *plan = wanted ? plan_of(w->device, config, w->why) : NULL;
    if (plan && w->most >= 0 && workspace_of(plan) > w->most) {
        dnn_discard(&plan, 1);
        plan = NULL;
        wanted = false;
    }
    w->refused += !wanted;
    return plan;
}

/* Asks one heuristic. -> the first plan that is wanted, or NULL with the reason */
static void *ask(Wish *w, void *graph, unsigned mode)
{
    Build b = {.why = w->why};
    void *config[MOST_CONFIGS], *plan = NULL;
    int64_t n = configurations(&b, w->device, graph, mode, config);
    for (int64_t i = 0; i < n && !plan; i++) plan = wanted_plan(w, config[i]);
    dnn_discard(b.part, b.n);
    return plan;
}

/* Takes over the plan and all descriptors of b. */
static int give_plan(Build *b, void *plan, CudnnPlan **out)
{
    CudnnPlan *p = calloc(1, sizeof *p);
    void **part = malloc(sizeof *part * (size_t)(b->n + 1));
    if (!p || !part) {
        free(p);
        free(part);
        dnn_discard(b->part, b->n);
        snprintf(b->why, CUDNN_WHY, "out of memory");
        return DNN_STATUS_NOT_SUPPORTED;
    }
    memcpy(part, b->part, sizeof *part * (size_t)b->n);
    *p = (CudnnPlan){plan, part, b->n};
    *out = p;
    return 0;
}

int cudnn_plan_make(const CudnnDevice *d, const CudnnConv *c, int64_t most, CudnnPlan **out, char *why)
{
    Build b = {.why = why};
    Wish w = {d, c, most, 0, why};
    *out = NULL;
    *why = 0;
    void *graph = dnn_operation_graph(&b, c), *plan = NULL;
    if (!b.status) plan = ask(&w, graph, DNN_HEUR_MODE_A);
    if (!b.status && !plan) plan = ask(&w, graph, DNN_HEUR_MODE_FALLBACK);
    if (plan) {
        b.part[b.n++] = plan;
        return give_plan(&b, plan, out);
    }
    dnn_discard(b.part, b.n);
    if (b.status) return (int)b.status;
    if (w.refused)
        snprintf(why, CUDNN_WHY, "none of its %d engines is exact, repeatable and compiled already%s", w.refused,
                 most >= 0 ? ", and wants little memory" : "");
    else if (!*why)
        snprintf(why, CUDNN_WHY, "it has no engine for that");
    return DNN_STATUS_NOT_SUPPORTED;
}

int cudnn_plan_read(const CudnnDevice *d, const char *text, CudnnPlan **out, char *why)
{
    Build b = {.why = why};
    *out = NULL;
    void *plan = dnn_make(&b, DNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    if (d->handle) dnn_set(&b, plan, DNN_ATTR_EXECUTION_PLAN_HANDLE, DNN_TYPE_HANDLE, 1, &d->handle);
    set_device(&b, plan, DNN_ATTR_EXECUTION_PLAN_DEVICEPROP, d);
    dnn_set(&b, plan, DNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, DNN_TYPE_CHAR, (int64_t)strlen(text), text);
    dnn_finish(&b, plan, "a plan from its text");
    if (!b.status) return give_plan(&b, plan, out);
    dnn_discard(b.part, b.n);
    return (int)b.status;
}

int64_t cudnn_plan_workspace(const CudnnPlan *p)
{
    return workspace_of(p->plan);
}

char *cudnn_plan_text(const CudnnPlan *p)
{
    int64_t n = 0;
    char *text;
    unsigned name = DNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION;
    if (dnn_api.cudnnBackendGetAttribute(p->plan, name, DNN_TYPE_CHAR, 0, &n, NULL) || n <= 0) return NULL;
    text = calloc(1, (size_t)n + 1);
    if (text && !dnn_api.cudnnBackendGetAttribute(p->plan, name, DNN_TYPE_CHAR, n, &n, text)) return text;
    free(text);
    return NULL;
}

void cudnn_plan_free(CudnnPlan *p)
{
    if (!p) return;
    dnn_discard(p->part, p->nparts);
    free(p->part);
    free(p);
}

int cudnn_plan_run(const CudnnDevice *d, const CudnnPlan *p, void *const *tensor, int ntensor,
                   void *workspace, char *why)
{
    Build b = {.why = why};
    int64_t uid[CUDNN_MOST_TENSORS];
    void *at[CUDNN_MOST_TENSORS], *pack = dnn_make(&b, DNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    int n = 0;
    for (int i = 0; i < ntensor && i < CUDNN_MOST_TENSORS; i++) {
        if (!tensor[i]) continue;
        uid[n] = i;
        at[n++] = tensor[i];
    }
    dnn_set(&b, pack, DNN_ATTR_VARIANT_PACK_UNIQUE_IDS, DNN_TYPE_INT64, n, uid);
    dnn_set(&b, pack, DNN_ATTR_VARIANT_PACK_DATA_POINTERS, DNN_TYPE_VOID_PTR, n, at);
    dnn_set(&b, pack, DNN_ATTR_VARIANT_PACK_WORKSPACE, DNN_TYPE_VOID_PTR, 1, &workspace);
    dnn_finish(&b, pack, "the addresses");
    if (!b.status) dnn_note(&b, dnn_api.cudnnBackendExecute(d->handle, p->plan, pack), "execution");
    dnn_discard(b.part, b.n);
    return (int)b.status;
}
