#include "ptx_pool.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 256 << 10, ALIGN = 64 };

typedef struct PtxChunk {
    struct PtxChunk *next;
    size_t used, size; /* bytes, this head included */
} PtxChunk;

static PtxChunk *chunk_new(size_t bytes)
{
    size_t size = bytes + ALIGN < CHUNK ? CHUNK : (bytes + ALIGN + ALIGN - 1) / ALIGN * ALIGN;
    PtxChunk *c = aligned_alloc(ALIGN, size);
    if (!c) {
        fprintf(stderr, "out of memory: %zu bytes for the PTX interpreter\n", size);
        exit(6);
    }
    memset(c, 0, size);
    c->used = ALIGN;
    c->size = size;
    return c;
}

void *pool_alloc(PtxPool *p, size_t bytes)
{
    bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (!p->chunk || p->chunk->size - p->chunk->used < bytes) {
        PtxChunk *c = chunk_new(bytes);
        c->next = p->chunk;
        p->chunk = c;
    }
    void *at = (char *)p->chunk + p->chunk->used;
    p->chunk->used += bytes;
    return at;
}

char *pool_text(PtxPool *p, const char *s, size_t n)
{
    char *t = pool_alloc(p, n + 1);
    memcpy(t, s, n);
    return t;
}

void pool_free(PtxPool *p)
{
    for (PtxChunk *c = p->chunk, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    p->chunk = NULL;
}

void list_grow(PtxPool *p, void **v, int n, int *room, size_t size)
{
    if (n < *room) return;
    int more = *room ? *room * 2 : 16;
    void *w = pool_alloc(p, (size_t)more * size);
    if (n) memcpy(w, *v, (size_t)n * size);
    *v = w;
    *room = more;
}
