/* The callbacks of ThreadSanitizer's instrumentation, as clang emits calls to them (its library is not linked): each
 * load and store of a checked module comes here first. */
#include "internal.h"
#include <string.h>

void __tsan_init(void);
void __tsan_init(void)
{
}

static void aligned(const void *p, size_t bytes, SimtAccess a, const void *site)
{
    if ((uintptr_t)p % bytes) simt_fault(SIMT_MISALIGNED, site, "%s %zu bytes", a == SIMT_LOAD ? "loads" : "stores", bytes);
    simt_shadow_access(p, bytes, a, site);
}

#define ACCESS(name, check, bytes, access)                                                                             \
    void __tsan_##name(const void *p);                                                                                 \
    void __tsan_##name(const void *p)                                                                                  \
    {                                                                                                                  \
        check(p, bytes, access, __builtin_return_address(0));                                                          \
    }
#define SIZE(n)                                                                                                        \
    ACCESS(read##n, aligned, n, SIMT_LOAD)                                                                             \
    ACCESS(write##n, aligned, n, SIMT_STORE)                                                                           \
    ACCESS(unaligned_read##n, simt_shadow_access, n, SIMT_LOAD)                                                        \
    ACCESS(unaligned_write##n, simt_shadow_access, n, SIMT_STORE)
SIZE(1)
SIZE(2)
SIZE(4)
SIZE(8)
SIZE(16)

/* Copies of structures. Older versions call the C library, which the module is linked to find here. */
static void *copy(void *to, const void *from, size_t n, const void *site)
{
    simt_shadow_access(from, n, SIMT_LOAD, site);
    simt_shadow_access(to, n, SIMT_STORE, site);
    return memmove(to, from, n);
}

static void *fill(void *to, int byte, size_t n, const void *site)
{
    simt_shadow_access(to, n, SIMT_STORE, site);
    return memset(to, byte, n);
}

#define COPY(name)                                                                                                     \
    void *name(void *to, const void *from, size_t n);                                                                  \
    void *name(void *to, const void *from, size_t n)                                                                   \
    {                                                                                                                  \
        return copy(to, from, n, __builtin_return_address(0));                                                         \
    }
#define FILL(name)                                                                                                     \
    void *name(void *to, int byte, size_t n);                                                                          \
    void *name(void *to, int byte, size_t n)                                                                           \
    {                                                                                                                  \
        return fill(to, byte, n, __builtin_return_address(0));                                                         \
    }
COPY(__tsan_memcpy)
COPY(__tsan_memmove)
COPY(__wrap_memcpy)
COPY(__wrap_memmove)
FILL(__tsan_memset)
FILL(__wrap_memset)

void simt_atomic(const void *p, unsigned bytes)
{
    aligned(p, bytes, SIMT_ATOMIC, __builtin_return_address(0));
}
