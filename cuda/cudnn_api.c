/* cuDNN's functions by dlopen, and its descriptors: created, given attributes, finalized. */
#include "cudnn_api.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

struct DnnApi dnn_api;

static const char *load(void)
{
    static const char *const names[] = {"libcudnn.so.9", "/usr/local/cuda/lib64/libcudnn.so.9",
                                        "/usr/local/cuda/lib/libcudnn.so.9"};
    const char *asked = getenv("SINTER_CUDNN");
    void *lib = asked ? dlopen(asked, RTLD_NOW) : NULL;
    if (asked && !lib) return "SINTER_CUDNN names no library that can be loaded";
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !lib; i++)
        lib = dlopen(names[i], RTLD_NOW);
    if (!lib) return "libcudnn.so.9 is not installed (cuDNN 9.8 or later)";
#define FUNCTION(result, name, parameters)                                                         \
    *(void **)&dnn_api.name = dlsym(lib, #name);                                                       \
    if (!dnn_api.name) return "libcudnn.so.9 has no " #name;
#include "cudnn.def"
    enum { DESCRIBED_DEVICES = 90800 };
    return dnn_api.cudnnGetVersion() < DESCRIBED_DEVICES ? "libcudnn.so.9 is older than cuDNN 9.8" : NULL;
}

const char *cudnn_missing(void)
{
    static bool tried;
    static const char *why;
    if (!tried) why = load();
    tried = true;
    return why;
}

size_t cudnn_version(void)
{
    return cudnn_missing() ? 0 : dnn_api.cudnnGetVersion();
}

/* ---- descriptors ---- */

void dnn_note(Build *b, unsigned status, const char *doing)
{
    if (!status || b->status) return;
    char detail[256] = "";
    dnn_api.cudnnGetLastErrorString(detail, sizeof detail);
    b->status = status;
    snprintf(b->why, CUDNN_WHY, "%s: %s%s%s", doing, dnn_api.cudnnGetErrorString(status),
             *detail ? ": " : "", detail);
}

void *dnn_make(Build *b, unsigned kind)
{
    void *d = NULL;
    if (b->status || b->n == DNN_MOST_PARTS) return NULL;
    dnn_note(b, dnn_api.cudnnBackendCreateDescriptor(kind, &d), "a descriptor");
    if (d) b->part[b->n++] = d;
    return d;
}

void dnn_set(Build *b, void *d, unsigned name, unsigned type, int64_t count, const void *v)
{
    if (b->status) return;
    char doing[32];
    snprintf(doing, sizeof doing, "attribute %u", name);
    dnn_note(b, dnn_api.cudnnBackendSetAttribute(d, name, type, count, v), doing);
}

void dnn_set_int(Build *b, void *d, unsigned name, int64_t v)
{
    dnn_set(b, d, name, DNN_TYPE_INT64, 1, &v);
}

void dnn_set_enum(Build *b, void *d, unsigned name, unsigned type, unsigned v)
{
    dnn_set(b, d, name, type, 1, &v);
}

void dnn_set_part(Build *b, void *d, unsigned name, void *part)
{
    dnn_set(b, d, name, DNN_TYPE_BACKEND_DESCRIPTOR, 1, &part);
}

void dnn_set_double(Build *b, void *d, unsigned name, double v)
{
    dnn_set(b, d, name, DNN_TYPE_DOUBLE, 1, &v);
}

void dnn_finish(Build *b, void *d, const char *what)
{
    if (!b->status) dnn_note(b, dnn_api.cudnnBackendFinalize(d), what);
}

void dnn_discard(void **part, int n)
{
    while (n > 0) dnn_api.cudnnBackendDestroyDescriptor(part[--n]);
}
