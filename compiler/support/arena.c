/* Arena: a list of blocks; allocation moves a pointer in the newest one.
 * In: sizes. Out: zeroed memory that lives until reset or free.
 * Rule: a size that does not fit a normal block gets a block of its own, so nothing is ever moved.
 * Not here: growing lists (vec.h), text (buf.h). */
#include "support/arena.h"
#include "support/diag.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_SIZE = 64 * 1024, HEAD = 64, ALIGN_BIG = 64, ALIGN_SMALL = 16 };

typedef struct Block Block;
struct Block {
    Block *next;
    size_t used, size; /* bytes behind the head */
};
_Static_assert(sizeof(Block) <= HEAD, "the head is one cache line");

struct Arena {
    Block *first; /* the block that is being filled; full ones follow */
};

static void no_memory(size_t size)
{
    fatal(EXIT_MEMORY, "cannot allocate %zu bytes", size);
}

static Block *block_new(size_t size)
{
    if (size > SIZE_MAX / 2) no_memory(size);
    size_t all = (HEAD + size + ALIGN_BIG - 1) / ALIGN_BIG * ALIGN_BIG;
    Block *b = aligned_alloc(ALIGN_BIG, all);
    if (!b) no_memory(size);
    memset(b, 0, all);
    b->size = all - HEAD;
    return b;
}

Arena *arena_new(void)
{
    Arena *a = calloc(1, sizeof *a);
    if (!a) no_memory(sizeof *a);
    return a;
}

void arena_reset(Arena *a)
{
    while (a->first) {
        Block *next = a->first->next;
        free(a->first);
        a->first = next;
    }
}

void arena_free(Arena *a)
{
    if (!a) return;
    arena_reset(a);
    free(a);
}

/* A block of its own goes behind the one being filled, whose rest stays in use. */
static void *alloc_alone(Arena *a, size_t size)
{
    Block *b = block_new(size);
    b->used = b->size;
    if (a->first) {
        b->next = a->first->next;
        a->first->next = b;
    } else {
        a->first = b;
    }
    return (char *)b + HEAD;
}

void *arena_alloc(Arena *a, size_t size)
{
    if (size > BLOCK_SIZE / 4) return alloc_alone(a, size);
    size_t align = size >= ALIGN_BIG ? ALIGN_BIG : ALIGN_SMALL;
    Block *b = a->first;
    size_t at = b ? (b->used + align - 1) / align * align : 0;
    if (!b || at + size > b->size) {
        b = block_new(BLOCK_SIZE);
        b->next = a->first;
        a->first = b;
        at = 0;
    }
    b->used = at + size;
    return (char *)b + HEAD + at;
}

char *arena_strndup(Arena *a, const char *s, size_t n)
{
    char *p = arena_alloc(a, n + 1);
    memcpy(p, s, n);
    return p;
}

char *arena_strdup(Arena *a, const char *s)
{
    return arena_strndup(a, s, strlen(s));
}

char *arena_printf(Arena *a, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    bug_if(n < 0, "bad format '%s'", fmt);
    char *p = arena_alloc(a, (size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(ap);
    return p;
}
