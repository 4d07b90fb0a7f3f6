/* Device memory and pinned host memory.
 *
 * Every allocation has pages of its own. New memory is filled with 0xFF (NaN as float, -1 as integer), because a
 * real device gives what others left there. Freed addresses are never given out again, so that a use after free is
 * found. Device addresses are host addresses, but the pages are closed while no operation runs: a program that
 * reads device memory as its own stops with SIGSEGV here as it would on a real machine. */
#include "internal.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static size_t whole_pages(size_t bytes)
{
    return (bytes + 4095) & ~(size_t)4095;
}

static void *map(size_t bytes)
{
    void *p = mmap(NULL, whole_pages(bytes), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : memset(p, 0xFF, bytes);
}

/* Gives the memory back and keeps the addresses. */
static void unmap(void *p, size_t bytes)
{
    mmap(p, whole_pages(bytes), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
         -1, 0);
}

/* ---- the table of ranges ---- */

void memory_add(Context *c, RangeKind kind, void *base, size_t bytes)
{
    Range *grown = realloc(c->ranges, (size_t)(c->nranges + 1) * sizeof *grown);
    if (!grown) abort();
    c->ranges = grown;
    c->ranges[c->nranges++] = (Range){kind, base, bytes};
}

static Range *range_at(const Context *c, const void *base)
{
    for (int i = 0; i < c->nranges; i++)
        if (c->ranges[i].base == base) return &c->ranges[i];
    return NULL;
}

void memory_drop(Context *c, void *base)
{
    Range *r = range_at(c, base);
    if (r) *r = c->ranges[--c->nranges];
}

bool memory_holds(const Context *c, const void *p, size_t bytes)
{
    const unsigned char *a = p;
    for (int i = 0; i < c->nranges; i++) {
        const Range *r = &c->ranges[i];
        if (a >= r->base && a <= r->base + r->bytes && bytes <= (size_t)(r->base + r->bytes - a))
            return true;
    }
    return false;
}

bool memory_is_device(const Context *c, const void *p, size_t bytes)
{
    const unsigned char *a = p;
    for (int i = 0; i < c->nranges; i++) {
        const Range *r = &c->ranges[i];
        if (r->kind == RANGE_DEVICE && a < r->base + r->bytes && a + bytes > r->base) return true;
    }
    return false;
}

static void protect(Context *c, int protection)
{
    for (int i = 0; i < c->nranges; i++)
        if (c->ranges[i].kind == RANGE_DEVICE)
            mprotect(c->ranges[i].base, whole_pages(c->ranges[i].bytes), protection);
}

void memory_open(Context *c)
{
    protect(c, PROT_READ | PROT_WRITE);
}

void memory_close(Context *c)
{
    protect(c, PROT_NONE);
}

static void release(Context *c, Range *r)
{
    ptx_space_remove(c->space, r->base);
    if (r->kind == RANGE_DEVICE) device.used -= whole_pages(r->bytes);
    unmap(r->base, r->bytes);
    *r = c->ranges[--c->nranges];
}

void memory_release_all(Context *c)
{
    while (c->nranges) release(c, &c->ranges[c->nranges - 1]);
}

/* ---- entry points ---- */

CUresult cuMemGetInfo_v2(size_t *available, size_t *total)
{
    GUARDED Guard g = enter(IN_CONTEXT);
    if (g.error) return g.error;
    if (available) *available = device.memory - device.used;
    if (total) *total = device.memory;
    return CUDA_SUCCESS;
}

CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes)
{
    GUARDED Guard g = enter(UNSAFE_IN_CAPTURE);
    if (g.error) return g.error;
    if (!address || !bytes) return CUDA_ERROR_INVALID_VALUE;
    if (++device.allocations == device.oom_at) return CUDA_ERROR_OUT_OF_MEMORY;
    if (bytes > device.memory || whole_pages(bytes) > device.memory - device.used)
        return CUDA_ERROR_OUT_OF_MEMORY;
    void *p = map(bytes);
    if (!p) return CUDA_ERROR_OUT_OF_MEMORY;
    device.used += whole_pages(bytes);
    if (device.used > device.peak) device.peak = device.used;
    memory_add(g.context, RANGE_DEVICE, p, bytes);
    ptx_space_add(g.context->space, p, bytes);
    mprotect(p, whole_pages(bytes), PROT_NONE);
    *address = (CUdeviceptr)(uintptr_t)p;
    return CUDA_SUCCESS;
}

/* Freeing waits for all work of the context, which may use the memory. */
static CUresult free_range(Context *c, void *p, RangeKind kind)
{
    CUresult e = context_wait(c);
    if (e) return e;
    Range *r = range_at(c, p);
    if (!r || r->kind != kind) return CUDA_ERROR_INVALID_VALUE;
    release(c, r);
    return CUDA_SUCCESS;
}

CUresult cuMemFree_v2(CUdeviceptr address)
{
    GUARDED Guard g = enter(UNSAFE_IN_CAPTURE);
    if (g.error) return g.error;
    return address ? free_range(g.context, (void *)(uintptr_t)address, RANGE_DEVICE) : CUDA_SUCCESS;
}

CUresult cuMemHostAlloc(void **p, size_t bytes, unsigned flags)
{
    GUARDED Guard g = enter(UNSAFE_IN_CAPTURE);
    if (g.error) return g.error;
    if (!p || !bytes || flags > 7)
        return CUDA_ERROR_INVALID_VALUE; /* portable, mapped, write-combined: all alike here */
    if (!(*p = map(bytes))) return CUDA_ERROR_OUT_OF_MEMORY;
    memory_add(g.context, RANGE_HOST, *p, bytes);
    ptx_space_add(g.context->space, *p,
                  bytes); /* the device may read pinned memory: unified addressing */
    return CUDA_SUCCESS;
}

CUresult cuMemAllocHost_v2(void **p, size_t bytes)
{
    return cuMemHostAlloc(p, bytes, 0);
}

CUresult cuMemFreeHost(void *p)
{
    GUARDED Guard g = enter(UNSAFE_IN_CAPTURE);
    if (g.error) return g.error;
    return free_range(g.context, p, RANGE_HOST);
}
