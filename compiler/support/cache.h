/* Results that are expensive to compute, on disk, by the hash of everything that decides them. A help and nothing
 * else: where it cannot be read or written, things are computed. */
#ifndef SUPPORT_CACHE_H
#define SUPPORT_CACHE_H
#include "support/arena.h"
#include "support/buf.h"

/* `material` is all that the result depends on -> a name of 64 hex digits. */
char *cache_key(Arena *a, const Buf *material);
/* The entry's bytes. NULL: it is not there, or damaged. path (may be NULL): its file, which begins with them. */
void *cache_get(Arena *a, const char *key, size_t *n, const char **path);
/* Written whole or not at all; mode 0600 or 0700. Of entries beyond 1 GiB in all, the least recently used go. */
void cache_put(const char *key, const void *p, size_t n, int mode);
#endif
