/* The image that suits a device: the cubin of its major capability with the highest minor that is not above its own, or
 * the one that is for its capability and no other;
 * else PTX, which the driver compiles. A driver that takes no cubin (the virtual one) gets the PTX, too. */
#include "err.h"
#include "internal.h"
#include <stdio.h>
#include <string.h>

enum { LOG = 2048 };

/* Is the image's code for this device? */
static bool is_for(const Cuda *c, const RtCode *x)
{
    int arch = (int)x->arch, own = c->capability;
    if (x->exact) return arch == own;
    return arch <= own && (x->kind == RT_PTX || arch / 10 == own / 10);
}

static const RtCode *best_cubin(const Cuda *c)
{
    const RtCode *x = RT_AT(c->model, RtCode, c->model->images), *best = NULL;
    for (uint32_t i = 0; i < c->model->nimages; i++, x++) {
        if (x->kind == RT_CUBIN && is_for(c, x) && (!best || x->arch >= best->arch)) best = x;
    }
    return best;
}

static const RtCode *ptx(const Cuda *c)
{
    const RtCode *x = RT_AT(c->model, RtCode, c->model->images);
    for (uint32_t i = 0; i < c->model->nimages; i++, x++) {
        if (x->kind == RT_PTX && is_for(c, x)) return x;
    }
    return NULL;
}

static int load(Cuda *c, const RtCode *x, char log[LOG])
{
    int option[2] = {CU_JIT_ERROR_LOG, CU_JIT_ERROR_LOG_SIZE};
    void *value[2] = {log, (void *)(uintptr_t)LOG};
    log[0] = 0;
    int result = cu.cuModuleLoadDataEx(&c->module, RT_AT(c->model, char, x->data), 2, option, value);
    log[LOG - 1] = 0;
    return result;
}

/* "sm_80, sm_90" */
static void architectures(const Cuda *c, char *text, size_t size)
{
    size_t n = 0;
    const RtCode *x = RT_AT(c->model, RtCode, c->model->images);
    text[0] = 0;
    for (uint32_t i = 0; i < c->model->nimages && n < size; i++, x++) {
        if (x->kind == RT_CUBIN)
            n += (size_t)snprintf(text + n, size - n, "%ssm_%u%s", n ? ", " : "", x->arch, x->exact ? "a" : "");
    }
}

static void refuse(const Cuda *c, RtError *e)
{
    char have[96];
    architectures(c, have, sizeof have);
    *e = (RtError){.exit = RT_EXIT_DEVICE, .id = "G004"};
    snprintf(e->text, sizeof e->text,
             "this program has code for %s, not for '%s', which is sm_%d\nsinter build %s --target=cuda:sm_%d", have,
             rt_esc(c->name), c->capability, RT_STR(c->model, c->model->spec_file), c->capability);
}

static void refuse_driver(const Cuda *c, RtError *e)
{
    char have[16], need[16];
    *e = (RtError){.exit = RT_EXIT_DEVICE, .id = "G002"};
    snprintf(e->text, sizeof e->text, "the CUDA driver is too old: it is for CUDA %s, this program for CUDA %s",
             cu_version(c->driver, have), cu_version((int)c->model->cuda_version, need));
}

bool cuda_load_module(Cuda *c, RtError *e)
{
    char log[LOG];
    const RtCode *x = best_cubin(c);
    int result = CU_NO_BINARY;
    if (c->driver / 1000 < (int)c->model->cuda_version / 1000) return refuse_driver(c, e), false;
    if (x) result = load(c, x, log);
    if (result == CU_NO_BINARY || result == CU_INVALID_IMAGE) {
        if (!(x = ptx(c))) return refuse(c, e), false;
        result = load(c, x, log);
    }
    if (result == CU_UNSUPPORTED_PTX) return refuse_driver(c, e), false;
    if (!result) return true;
    *e = (RtError){.exit = RT_EXIT_DEVICE, .id = "G005"};
    snprintf(e->text, sizeof e->text, "CUDA: the kernels for sm_%u do not load: %s%s%.300s", x->arch, cu_reason(result),
             log[0] ? "\n" : "", rt_esc(log));
    return false;
}
