/* Modules: PTX text, read by the interpreter. A cubin is machine code, which nothing here can run: it is refused
 * as code for another device is, so that callers turn to their PTX. */
#include "internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Finds a directive at the beginning of a line, as in ".target sm_90a"; NULL: there is none. */
static const char *directive(const char *text, const char *name)
{
    size_t len = strlen(name);
    for (const char *p = text; p; p = strchr(p, '\n')) {
        p += strspn(p, " \t\r\n");
        if (!strncmp(p, name, len) && (p[len] == ' ' || p[len] == '\t'))
            return p + len + strspn(p + len, " \t");
        if (!*p) break;
    }
    return NULL;
}

/* Versions of PTX and of the CUDA that brought them: NVIDIA, PTX ISA, "Release Notes". 10 * major + minor. */
static int cuda_of_ptx(int ptx)
{
    static const struct {
        int ptx, cuda;
    } later[] = {{86, 12070}, {87, 12080}, {88, 12090}};
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++)
        if (later[i].ptx == ptx) return later[i].cuda;
    return ptx < 70 ? 10000 : (ptx / 10 + 4) * 1000 + ptx % 10 * 10;
}

/* Whether this device and driver take the text; the interpreter says whether it is well formed. */
static CUresult check_header(const char *text, char *why, size_t size)
{
    int major = 0, minor = 0, arch = 0;
    char suffix = 0;
    const char *version = directive(text, ".version"), *target = directive(text, ".target");
    if (!version || sscanf(version, "%d.%d", &major, &minor) != 2 || !target ||
        sscanf(target, "sm_%d%c", &arch, &suffix) < 1) {
        snprintf(why, size, "this is no PTX: it lacks .version or .target");
        return CUDA_ERROR_INVALID_IMAGE;
    }
    if (cuda_of_ptx(10 * major + minor) > device.driver) {
        snprintf(why, size, "PTX %d.%d needs a driver of CUDA %d.%d; this one is of CUDA %d.%d",
                 major, minor, cuda_of_ptx(10 * major + minor) / 1000,
                 cuda_of_ptx(10 * major + minor) % 1000 / 10, device.driver / 1000,
                 device.driver % 1000 / 10);
        return CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
    }
    if (arch > device.chip->arch || (suffix == 'a' && arch != device.chip->arch)) {
        snprintf(why, size, "the PTX is for sm_%d%s, the device is sm_%d", arch,
                 suffix == 'a' ? "a" : "", device.chip->arch);
        return CUDA_ERROR_INVALID_PTX;
    }
    return CUDA_SUCCESS;
}

typedef struct Log { /* what the caller gave for errors, or NULL */
    char *text;
    size_t size;
} Log;

static Log error_log(unsigned n, const CUjit_option *options, void **values)
{
    Log log = {0};
    for (unsigned i = 0; i < n; i++) {
        if (options[i] == CU_JIT_ERROR_LOG_BUFFER) log.text = values[i];
        if (options[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES)
            log.size = (size_t)(uintptr_t)values[i];
    }
    return log;
}

static void explain(Log log, const char *why)
{
    if (log.text && log.size)
        snprintf(log.text, log.size, "%s", why);
    else
        fprintf(stderr, "sinter virtual device: %s\n", why);
}

static CUresult load(Context *c, Module **module, const char *text, Log log)
{
    char why[160], *error = NULL;
    CUresult e = check_header(text, why, sizeof why);
    if (e) {
        explain(log, why);
        return e;
    }
    PtxModule *ptx = ptx_load(text, &error);
    if (!ptx) {
        explain(log, error ? error : "the PTX is not valid");
        free(error);
        return CUDA_ERROR_INVALID_PTX;
    }
    *module = object_new(sizeof **module, KIND_MODULE, c);
    (*module)->ptx = ptx;
    return CUDA_SUCCESS;
}

CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned noptions,
                            CUjit_option *options, void **values)
{
    GUARDED Guard g = enter(UNSAFE_IN_CAPTURE);
    if (g.error) return g.error;
    if (!module || !image || (noptions && (!options || !values))) return CUDA_ERROR_INVALID_VALUE;
    if (!memcmp(image, "\177ELF", 4)) return CUDA_ERROR_NO_BINARY_FOR_GPU;
    return load(g.context, module, image, error_log(noptions, options, values));
}

CUresult cuModuleLoadData(CUmodule *module, const void *image)
{
    return cuModuleLoadDataEx(module, image, 0, NULL, NULL);
}

/* ---- what a module holds ---- */

static void *append(void *list, int n, void *item)
{
    void **grown = realloc(list, (size_t)(n + 1) * sizeof *grown);
    if (!grown) abort();
    grown[n] = item;
    return grown;
}

void module_release(Module *m)
{
    for (int i = 0; i < m->nfunctions; i++) {
        object_forget(m->functions[i]);
        free(m->functions[i]->name);
        free(m->functions[i]);
    }
    for (int i = 0; i < m->nglobals; i++) memory_drop(m->o.context, m->globals[i]);
    free(m->functions);
    free(m->globals);
    ptx_unload(m->ptx);
    free(m);
}

/* Unloading waits for all work, which may use the module. */
CUresult cuModuleUnload(CUmodule module)
{
    GUARDED Guard g = enter(UNSAFE_IN_CAPTURE);
    if (g.error) return g.error;
    Module *m = object_find(module, KIND_MODULE, g.context);
    if (!m) return CUDA_ERROR_INVALID_HANDLE;
    CUresult e = context_wait(g.context);
    object_forget(m);
    module_release(m);
    return e;
}

static Function *function_new(Module *m, const char *name, const PtxKernel *k)
{
    Function *f = object_new(sizeof *f, KIND_FUNCTION, m->o.context);
    f->module = m;
    f->kernel = k;
    f->name = strdup(name);
    size_t fixed = ptx_static_shared(k);
    f->max_dynamic = fixed < SHARED_DEFAULT ? SHARED_DEFAULT - (int)fixed : 0;
    m->functions = append(m->functions, m->nfunctions++, f);
    return f;
}

CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name)
{
    GUARDED Guard g = enter(IN_CONTEXT);
    if (g.error) return g.error;
    Module *m = object_find(module, KIND_MODULE, g.context);
    if (!m) return CUDA_ERROR_INVALID_HANDLE;
    if (!function || !name) return CUDA_ERROR_INVALID_VALUE;
    *function = NULL;
    for (int i = 0; i < m->nfunctions; i++)
        if (!strcmp(m->functions[i]->name, name)) *function = m->functions[i];
    const PtxKernel *k = ptx_kernel(m->ptx, name);
    if (!*function && k) *function = function_new(m, name, k);
    return *function ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

CUresult cuModuleGetGlobal_v2(CUdeviceptr *address, size_t *bytes, CUmodule module,
                              const char *name)
{
    GUARDED Guard g = enter(IN_CONTEXT);
    if (g.error) return g.error;
    Module *m = object_find(module, KIND_MODULE, g.context);
    if (!m) return CUDA_ERROR_INVALID_HANDLE;
    if (!name || (!address && !bytes)) return CUDA_ERROR_INVALID_VALUE;
    size_t size;
    void *p = ptx_variable(m->ptx, name, &size);
    if (!p) return CUDA_ERROR_NOT_FOUND;
    if (!memory_holds(g.context, p, size)) {
        memory_add(g.context, RANGE_GLOBAL, p, size);
        m->globals = append(m->globals, m->nglobals++, p);
    }
    if (address) *address = (CUdeviceptr)(uintptr_t)p;
    if (bytes) *bytes = size;
    return CUDA_SUCCESS;
}

/* ---- functions ---- */

static int optin(const Function *f)
{
    int most = device.chip->shared_sm - SHARED_RESERVED, fixed = (int)ptx_static_shared(f->kernel);
    return fixed < most ? most - fixed : 0;
}

/* Registers and local memory are what ptxas makes of the PTX; they are not known here. */
CUresult cuFuncGetAttribute(int *value, CUfunction_attribute attribute, CUfunction function)
{
    GUARDED Guard g = enter(IN_CONTEXT);
    if (g.error) return g.error;
    const Function *f = object_find(function, KIND_FUNCTION, g.context);
    if (!f) return CUDA_ERROR_INVALID_HANDLE;
    if (!value) return CUDA_ERROR_INVALID_VALUE;
    const int known[] = {
        [CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK] = (int)ptx_max_threads(f->kernel),
        [CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES] = (int)ptx_static_shared(f->kernel),
        [2] = -1,
        -1,
        -1,
        [CU_FUNC_ATTRIBUTE_PTX_VERSION] = ptx_target(f->module->ptx),
        [CU_FUNC_ATTRIBUTE_BINARY_VERSION] = device.chip->arch,
        [7] = -1,
        [CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES] = f->max_dynamic,
    };
    if (attribute < 0 || attribute >= (int)(sizeof known / sizeof known[0]))
        return CUDA_ERROR_NOT_SUPPORTED;
    if (known[attribute] < 0) return CUDA_ERROR_NOT_SUPPORTED;
    *value = known[attribute];
    return CUDA_SUCCESS;
}

CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value)
{
    GUARDED Guard g = enter(IN_CONTEXT);
    if (g.error) return g.error;
    Function *f = object_find(function, KIND_FUNCTION, g.context);
    if (!f) return CUDA_ERROR_INVALID_HANDLE;
    if (attribute == CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT) /* a hint */
        return value < -1 || value > 100 ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
    if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES)
        return CUDA_ERROR_NOT_SUPPORTED;
    if (value < 0 || value > optin(f)) return CUDA_ERROR_INVALID_VALUE;
    f->max_dynamic = value;
    return CUDA_SUCCESS;
}
