/* Arenas: large zeroed blocks straight from the kernel. */
#ifndef RUNTIME_SLAB_H
#define RUNTIME_SLAB_H
#include <stddef.h>

void *rt_map(size_t bytes,
             const char *what); /* zeroed, page-aligned, never NULL; exit 6 when refused */
void rt_unmap(void *p, size_t bytes);
#endif
