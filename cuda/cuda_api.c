/* Loading the driver and saying what it said.
 *
 * The virtual device's library is looked for where SINTER_CUDA_VIRTUAL says, beside the program, and where the system
 * looks; the program itself knows no path. */
#include "cuda_api.h"
#include "err.h"
#include <dlfcn.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DRIVER "libcuda.so.1"
#define VIRTUAL "libsinter_cuda_virtual.so"

CuApi cu;

static const RtError *refuse(RtError *e, const char *id, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static const RtError *refuse(RtError *e, const char *id, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    *e = (RtError){.exit = RT_EXIT_DEVICE, .id = id};
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    return e;
}

static void *open_virtual(void)
{
    const char *named = getenv("SINTER_CUDA_VIRTUAL");
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - sizeof VIRTUAL - 1);
    if (named) return dlopen(named, RTLD_NOW);
    char *slash = n > 0 ? memrchr(path, '/', (size_t)n) : NULL;
    if (slash) strcpy(slash + 1, VIRTUAL);
    return dlopen(slash && !access(path, F_OK) ? path : VIRTUAL, RTLD_NOW);
}

static const RtError *too_old(RtError *e, const char *symbol)
{
    char have[16];
    int version = 0;
    if (cu.cuDriverGetVersion) cu.cuDriverGetVersion(&version);
    return refuse(e, "G002", "the CUDA driver is too old: it is for CUDA %s, programs need CUDA 11.4 (no %s)",
                  cu_version(version, have), symbol);
}

const RtError *cu_load(bool virtual, RtError *e)
{
    void *lib = virtual ? open_virtual() : dlopen(DRIVER, RTLD_NOW);
    if (!lib && virtual)
        return refuse(e, "G001",
                      "no virtual CUDA device (%s)\n`sinter run` knows where it is; else SINTER_CUDA_VIRTUAL=FILE",
                      rt_esc(dlerror()));
    if (!lib) return refuse(e, "G001", "no CUDA driver (%s)", rt_esc(dlerror()));
#define X(symbol, parameters)                                                                                          \
    *(void **)&cu.symbol = dlsym(lib, #symbol);                                                                        \
    if (!cu.symbol) return too_old(e, #symbol);
#include "api.def"
#undef X
    int result = cu.cuInit(0);
    if (result == CU_NO_DEVICE) return refuse(e, "G003", "there is no CUDA device (the driver is installed)");
    if (result) return refuse(e, "G005", "the CUDA driver does not start: %s", cu_reason(result));
    return NULL;
}

const char *cu_reason(int result)
{
    static char text[256];
    const char *name = NULL, *words = NULL;
    if (cu.cuGetErrorName(result, &name)) name = NULL;
    if (cu.cuGetErrorString(result, &words)) words = NULL;
    snprintf(text, sizeof text, "%s (%s)", words ? words : "unknown error", name ? name : "no name");
    return text;
}

void cu_check(int result, const char *what)
{
    if (result) rt_fail(RT_EXIT_DEVICE, "G005", "CUDA: %s: %s", what, cu_reason(result));
}

const char *cu_version(int version, char *text)
{
    snprintf(text, 16, "%d.%d", version / 1000, version % 1000 / 10);
    return text;
}
