/* Arenas: one mmap each, zeroed by the kernel and page-aligned; huge pages where the kernel gives
 * them.
 *
 * Pages come into being when they are first touched, so that `info` costs nothing. */
#include "slab.h"
#include "err.h"
#include <sys/mman.h>

enum { HUGE = 2 << 20 };

void *rt_map(size_t bytes, const char *what)
{
    if (bytes == 0) bytes = 64;
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        rt_fail(RT_EXIT_MEMORY, "E003", "cannot allocate %.1f MiB for %s", (double)bytes / 1048576,
                what);
    }
    if (bytes >= HUGE) madvise(p, bytes, MADV_HUGEPAGE);
    return p;
}

void rt_unmap(void *p, size_t bytes)
{
    if (p) munmap(p, bytes ? bytes : 64);
}
