/* The table of allocations. */
#include "ptx_space.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct PtxSpace {
    Range *range; /* sorted by begin */
    int n, room;
};

PtxSpace *ptx_space_new(void)
{
    return calloc(1, sizeof(PtxSpace));
}

void ptx_space_free(PtxSpace *s)
{
    if (s) free(s->range);
    free(s);
}

/* The last range that begins at p or below, or -1. */
int range_find(const Range *r, int n, uint64_t p)
{
    int low = 0, high = n;
    while (low < high) {
        int mid = (low + high) / 2;
        if (r[mid].begin <= p)
            low = mid + 1;
        else
            high = mid;
    }
    return low - 1;
}

static uint64_t address(const void *p)
{
    return (uint64_t)(uintptr_t)p;
}

void ptx_space_add(PtxSpace *s, const void *base, size_t bytes)
{
    int at = range_find(s->range, s->n, address(base)) + 1;
    if (s->n == s->room) {
        s->room = s->room ? s->room * 2 : 16;
        s->range = realloc(s->range, (size_t)s->room * sizeof *s->range);
        if (!s->range) {
            fprintf(stderr, "out of memory: table of device allocations\n");
            exit(6);
        }
    }
    memmove(s->range + at + 1, s->range + at, (size_t)(s->n - at) * sizeof *s->range);
    s->range[at] = (Range){address(base), address(base) + bytes};
    s->n++;
}

bool ptx_space_remove(PtxSpace *s, const void *base)
{
    int at = range_find(s->range, s->n, address(base));
    if (at < 0 || s->range[at].begin != address(base)) return false;
    s->n--;
    memmove(s->range + at, s->range + at + 1, (size_t)(s->n - at) * sizeof *s->range);
    return true;
}

bool ptx_space_holds(const PtxSpace *s, const void *p, size_t bytes)
{
    int at = range_find(s->range, s->n, address(p));
    return at >= 0 && s->range[at].end - address(p) >= bytes && s->range[at].end >= address(p);
}

static int by_begin(const void *x, const void *y)
{
    const Range *p = x, *q = y;
    return p->begin < q->begin ? -1 : p->begin > q->begin;
}

Range *space_ranges(const PtxSpace *s, const Range *more, int nmore, int *n)
{
    int ns = s ? s->n : 0;
    Range *r = malloc(sizeof *r * (size_t)(ns + nmore + 1));
    *n = ns + nmore;
    if (!r) return NULL;
    if (ns) memcpy(r, s->range, sizeof *r * (size_t)ns);
    if (nmore) memcpy(r + ns, more, sizeof *r * (size_t)nmore);
    qsort(r, (size_t)*n, sizeof *r, by_begin);
    return r;
}
