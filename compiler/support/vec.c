/* Growing pointer lists: doubles the storage in the arena; the old storage is left to the arena. */
#include "support/vec.h"
#include "support/diag.h"
#include <limits.h>
#include <string.h>

void *vec_grow_(Arena *a, void *v, int n, int *cap, size_t size)
{
    if (n < *cap) return v;
    bug_if(*cap > INT_MAX / 2, "a list of %d items", n);
    int more = *cap ? *cap * 2 : 8;
    void *w = arena_alloc(a, (size_t)more * size);
    if (n) memcpy(w, v, (size_t)n * size);
    *cap = more;
    return w;
}
