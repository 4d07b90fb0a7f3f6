/* NVRTC takes seconds for a model. What it made of a source is kept, by the hash of the source, the architecture,
 * the options and NVRTC's version.
 * An entry: the sizes of its three parts, then cubin, PTX and ptxas' log. */
#include "nvrtc/cache.h"
#include "support/cache.h"
#include "support/diag.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct Head {
    uint64_t cubin, ptx, log; /* bytes */
} Head;

static char *key_of(Arena *a, const char *source, const char *arch)
{
    Buf material = {0};
    cuda_describe(&material, arch);
    buf_puts(&material, source);
    char *key = cache_key(a, &material);
    buf_free(&material);
    return key;
}

static Object copy(const char *p, size_t n)
{
    Object o = {malloc(n + 1), n};
    if (!o.data) fatal(EXIT_MEMORY, "out of memory");
    memcpy(o.data, p, n);
    return o;
}

static bool take(Arena *a, const char *key, Object *cubin, Object *ptx, Buf *log)
{
    size_t n = 0;
    Head h;
    const char *p = cache_get(a, key, &n, NULL);
    if (!p || n < sizeof h) return false;
    memcpy(&h, p, sizeof h);
    p += sizeof h;
    *cubin = copy(p, h.cubin);
    *ptx = copy(p + h.cubin, h.ptx);
    buf_write(log, p + h.cubin + h.ptx, h.log);
    return true;
}

static void keep(const char *key, const Object *cubin, const Object *ptx, const char *log,
                 size_t nlog)
{
    Buf b = {0};
    Head h = {cubin->size, ptx->size, nlog};
    buf_write(&b, &h, sizeof h);
    buf_write(&b, cubin->data, cubin->size);
    buf_write(&b, ptx->data, ptx->size);
    buf_write(&b, log, nlog);
    cache_put(key, b.s, b.n, 0600);
    buf_free(&b);
}

void cuda_compile_cached(const char *source, const char *arch, bool use, Object *cubin, Object *ptx,
                         Buf *log)
{
    Arena *a = arena_new();
    const char *key = use && !cuda_missing() ? key_of(a, source, arch) : NULL;
    if (!key || !take(a, key, cubin, ptx, log)) {
        size_t before = log->n;
        cuda_compile(source, arch, cubin, ptx, log);
        if (key) keep(key, cubin, ptx, log->s + before, log->n - before);
    }
    arena_free(a);
}
