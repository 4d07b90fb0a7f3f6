/* Entry points that need no context: initialisation, versions, errors, the device's description, looking up entry
 * points. */
#include "internal.h"
#include <stdio.h>
#include <string.h>

CUresult cuInit(unsigned flags)
{
    GUARDED Guard g = enter(INITIALISED);
    if (flags) return CUDA_ERROR_INVALID_VALUE;
    if (g.error == CUDA_ERROR_NOT_INITIALIZED && !device_describe()) return CUDA_ERROR_UNKNOWN;
    if (!device.count) return CUDA_ERROR_NO_DEVICE;
    initialised = true;
    return CUDA_SUCCESS;
}

/* May be called before cuInit, and then reads the description for itself. */
CUresult cuDriverGetVersion(int *version)
{
    GUARDED Guard g = enter(INITIALISED);
    if (!version) return CUDA_ERROR_INVALID_VALUE;
    if (g.error && !device_describe()) return CUDA_ERROR_UNKNOWN;
    *version = device.driver;
    return CUDA_SUCCESS;
}

static const struct {
    CUresult error;
    const char *name, *text;
} errors[] = {
#define E(name, number, text) {name, #name, text},
#include "errors.def"
#undef E
};

static CUresult find_error(CUresult error, bool name, const char **found)
{
    if (!found) return CUDA_ERROR_INVALID_VALUE;
    *found = NULL;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (errors[i].error == error) *found = name ? errors[i].name : errors[i].text;
    return *found ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGetErrorName(CUresult error, const char **name)
{
    return find_error(error, true, name);
}

CUresult cuGetErrorString(CUresult error, const char **text)
{
    return find_error(error, false, text);
}

/* ---- looking up entry points ---- */

static const struct Entry {
    const char *name;
    int since;
    void *function;
} entries[] = {
#define X(symbol, base, since, params) {#base, since, (void *)symbol},
#include "api.def"
#undef X
};

CUresult cuGetProcAddress_v2(const char *symbol, void **function, int version, cuuint64_t flags,
                             CUdriverProcAddressQueryResult *status)
{
    const struct Entry *best = NULL;
    bool known = false;
    if (!symbol || !function || flags > 2)
        return CUDA_ERROR_INVALID_VALUE; /* 1: legacy, 2: per-thread default stream */
    for (const struct Entry *e = entries; e < entries + sizeof entries / sizeof entries[0]; e++) {
        if (strcmp(e->name, symbol)) continue;
        known = true;
        if (e->since <= version && (!best || e->since > best->since)) best = e;
    }
    *function = best ? best->function : NULL;
    if (status)
        *status = best    ? CU_GET_PROC_ADDRESS_SUCCESS
                  : known ? CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT
                          : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    return best || status ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

CUresult cuGetProcAddress(const char *symbol, void **function, int version, cuuint64_t flags)
{
    return cuGetProcAddress_v2(symbol, function, version, flags, NULL);
}

/* ---- the device ---- */

CUresult cuDeviceGetCount(int *count)
{
    GUARDED Guard g = enter(INITIALISED);
    if (g.error) return g.error;
    if (!count) return CUDA_ERROR_INVALID_VALUE;
    *count = device.count;
    return CUDA_SUCCESS;
}

static CUresult check_device(const Guard *g, CUdevice d)
{
    if (g->error) return g->error;
    return d < 0 || d >= device.count ? CUDA_ERROR_INVALID_DEVICE : CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *d, int ordinal)
{
    GUARDED Guard g = enter(INITIALISED);
    CUresult e = check_device(&g, ordinal);
    if (e) return e;
    if (!d) return CUDA_ERROR_INVALID_VALUE;
    *d = ordinal;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char *name, int len, CUdevice d)
{
    GUARDED Guard g = enter(INITIALISED);
    CUresult e = check_device(&g, d);
    if (e) return e;
    if (!name || len < 1) return CUDA_ERROR_INVALID_VALUE;
    snprintf(name, (size_t)len, "%s", device.name);
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice d)
{
    GUARDED Guard g = enter(INITIALISED);
    CUresult e = check_device(&g, d);
    if (e) return e;
    const Chip *c = device.chip;
    const struct {
        int number, value;
    } attributes[] = {
#define A(name, number, value) {name, value},
#include "attributes.def"
#undef A
    };
    if (!value) return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++)
        if (attributes[i].number == attribute) {
            *value = attributes[i].value;
            return CUDA_SUCCESS;
        }
    return CUDA_ERROR_INVALID_VALUE;
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice d)
{
    GUARDED Guard g = enter(INITIALISED);
    CUresult e = check_device(&g, d);
    if (e) return e;
    if (!bytes) return CUDA_ERROR_INVALID_VALUE;
    *bytes = device.memory;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice d)
{
    GUARDED Guard g = enter(INITIALISED);
    CUresult e = check_device(&g, d);
    if (e) return e;
    if (!uuid) return CUDA_ERROR_INVALID_VALUE;
    memset(uuid, 0, sizeof *uuid);
    snprintf(uuid->bytes, sizeof uuid->bytes, "virtual sm_%d", device.chip->arch);
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice d)
{
    return cuDeviceGetUuid_v2(uuid, d);
}
