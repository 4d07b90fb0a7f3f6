#include "nvrtc/cubin.h"
#include "support/diag.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct NvrtcProgramTag *NvrtcProgram;

/* The library's functions, by name. */
static struct {
#define X(type, name, parameters) type(*name) parameters;
#include "nvrtc/api.def"
#undef X
} api;

static const char *load_api(void)
{
    static const char *const names[] = {"libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12",
                                        "/usr/local/cuda/lib64/libnvrtc.so"};
    void *lib = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !lib; i++)
        lib = dlopen(names[i], RTLD_NOW);
    if (!lib) return "libnvrtc.so is not installed (package cuda-nvrtc of the CUDA toolkit)";
#define X(type, name, parameters)                                                                  \
    *(void **)&api.name = dlsym(lib, #name);                                                       \
    if (!api.name) return "libnvrtc.so is too old: it has no " #name;
#include "nvrtc/api.def"
#undef X
    return NULL;
}

static const char *why_missing;

static void open_api(void)
{
    why_missing = load_api();
}

const char *cuda_missing(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, open_api);
    return why_missing;
}

static void check(int result, const char *what)
{
    if (result) fatal(EXIT_TOOL, "NVRTC: %s: %s", what, api.nvrtcGetErrorString(result));
}

static void append_log(NvrtcProgram p, Buf *log)
{
    size_t n = 0;
    check(api.nvrtcGetProgramLogSize(p, &n), "log");
    char *text = calloc(1, n + 1);
    if (!text) fatal(EXIT_MEMORY, "out of memory");
    check(api.nvrtcGetProgramLog(p, text), "log");
    buf_puts(log, text);
    free(text);
}

static Object take(NvrtcProgram p, int (*size)(NvrtcProgram, size_t *),
                   int (*get)(NvrtcProgram, char *))
{
    Object o = {0};
    check(size(p, &o.size), "size of the result");
    o.data = malloc(o.size + 1);
    if (!o.data) fatal(EXIT_MEMORY, "out of memory");
    check(get(p, o.data), "result");
    return o;
}

/* --fmad=false: multiplications and additions are fused where the loop IR says so, and nowhere else */
static const char *const fixed[] = {"--fmad=false", "--ptxas-options=-v", "--std=c++17"};
enum { NFIXED = sizeof fixed / sizeof fixed[0] };

unsigned cuda_toolkit(void)
{
    int major = 0, minor = 0;
    check(api.nvrtcVersion(&major, &minor), "version");
    return (unsigned)(1000 * major + 10 * minor);
}

void cuda_describe(Buf *out, const char *arch)
{
    buf_printf(out, "NVRTC %u %s", cuda_toolkit(), arch);
    for (int i = 0; i < NFIXED; i++) buf_printf(out, " %s", fixed[i]);
    buf_putc(out, 0);
}

/* From its line on: warnings come first, and are many. */
static const char *first_error(const char *log)
{
    const char *at = strstr(log, "error");
    while (at && at > log && at[-1] != '\n') at--;
    return at ? at : log;
}

void cuda_compile(const char *source, const char *arch, Object *cubin, Object *ptx, Buf *log)
{
    const char *why = cuda_missing();
    if (why) fatal(EXIT_TOOL, "cannot compile for %s: %s", arch, why);
    char target[32];
    NvrtcProgram p;
    snprintf(target, sizeof target, "--gpu-architecture=%s", arch);
    const char *options[NFIXED + 1] = {target};
    memcpy(options + 1, fixed, sizeof fixed);
    check(api.nvrtcCreateProgram(&p, source, "kernels.cu", 0, NULL, NULL), "create");
    int result = api.nvrtcCompileProgram(p, NFIXED + 1, options);
    append_log(p, log);
    bug_if(result, "NVRTC rejects generated code: %s\n%s", api.nvrtcGetErrorString(result),
           first_error(log->s));
    *cubin = take(p, api.nvrtcGetCUBINSize, api.nvrtcGetCUBIN);
    *ptx = take(p, api.nvrtcGetPTXSize, api.nvrtcGetPTX);
    api.nvrtcDestroyProgram(&p);
}
