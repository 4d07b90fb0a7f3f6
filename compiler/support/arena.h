/* Arena: bump allocation that is freed all at once.
 * A function that allocates takes an Arena; one that does not, cannot. Memory is zeroed and 64-byte
 * aligned for sizes >= 64, 16-byte otherwise. Allocation never returns NULL (out of memory is fatal). */
#ifndef SUPPORT_ARENA_H
#define SUPPORT_ARENA_H
#include <stdarg.h>
#include <stddef.h>

typedef struct Arena Arena;

Arena *arena_new(void);
void arena_reset(Arena *a); /* frees every block; the arena stays usable */
void arena_free(Arena *a);
void *arena_alloc(Arena *a, size_t size);
char *arena_strdup(Arena *a, const char *s);
char *arena_strndup(Arena *a, const char *s, size_t n);
char *arena_printf(Arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define NEW(a, T) ((T *)arena_alloc((a), sizeof(T)))
#define NEWN(a, T, n) ((T *)arena_alloc((a), sizeof(T) * (size_t)(n)))
#endif
