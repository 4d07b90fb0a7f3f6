/* `sinter doctor`: a line for each thing that builds or built programs use. What only GPUs need may be missing. */
#include "doctor.h"
#include "cuda/cudnn.h"
#include "link.h"
#include "nvrtc/cubin.h"
#include "support/diag.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void row(const char *name, const char *what)
{
    printf("%-8s %s\n", name, what);
}

/* Asks a driver as a built program does. Functions and numbers: NVIDIA, CUDA Driver API. */
static const char *driver(Arena *a, const char *library)
{
    int version = 0, devices = 0;
    char first[128] = "?";
    void *lib = dlopen(library, RTLD_LAZY);
    if (!lib) return NULL;
    int (*init)(unsigned), (*get_version)(int *), (*count)(int *), (*name)(char *, int, int);
    *(void **)&init = dlsym(lib, "cuInit");
    *(void **)&get_version = dlsym(lib, "cuDriverGetVersion");
    *(void **)&count = dlsym(lib, "cuDeviceGetCount");
    *(void **)&name = dlsym(lib, "cuDeviceGetName");
    if (!init || !get_version || !count || !name) return "there, and no CUDA driver";
    int result = init(0);
    if (result) return arena_printf(a, "there, and gives no device: cuInit says %d", result);
    get_version(&version);
    count(&devices);
    name(first, sizeof first, 0);
    return arena_printf(a, "CUDA %d.%d, %d device%s: %s", version / 1000, version % 1000 / 10,
                        devices, devices == 1 ? "" : "s", first);
}

/* The library is what `--provider cudnn` builds with; the built program looks for its own. */
static const char *cudnn(Arena *a)
{
    size_t v = cudnn_version();
    return v ? arena_printf(a, "%zu.%zu.%zu, with --provider cudnn", v / 10000, v / 100 % 100, v % 100)
             : cudnn_missing();
}

int doctor(void)
{
    Arena *a = arena_new();
    const Machine *m = machine_find(a, "native");
    const char *rt = link_library_path(a, "libsinter_rt.a", "SINTER_RT");
    const char *virtual = link_library_path(a, "libsinter_cuda_virtual.so", "SINTER_CUDA_VIRTUAL");
    bool cc = !access("/usr/bin/cc", X_OK) || getenv("SINTER_CC");
    row("cpu", arena_printf(a, "%s, %d float lanes, %d vector registers (%s)", m->name, m->lanes,
                            m->vregs, m->isa));
    row("llvm", llvm_version());
    row("nvrtc", cuda_missing() ? cuda_missing() : "there: --target=cuda works");
    const char *gpu = driver(a, "libcuda.so.1"), *none = virtual ? driver(a, virtual) : NULL;
    row("cuda",
        gpu ? gpu : "no driver (libcuda.so.1): programs run on the CPU, or on the virtual device");
    row("cudnn", cudnn(a));
    row("virtual", none ? arena_printf(a, "%s, with --device cuda:virtual (%s)", none, virtual)
                        : "libsinter_cuda_virtual.so is missing: run make, or make install");
    row("runtime", rt ? rt : "libsinter_rt.a is missing: run make, or make install");
    row("linker", cc ? "cc" : "cc is missing: apt-get install gcc libc6-dev");
    arena_free(a);
    return rt && cc ? EXIT_OK : EXIT_TOOL;
}
