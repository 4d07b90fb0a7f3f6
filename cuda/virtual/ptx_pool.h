/* Memory that lives as long as its owner, and growing arrays in it. */
#ifndef CUDA_VIRTUAL_PTX_POOL_H
#define CUDA_VIRTUAL_PTX_POOL_H
#include <stddef.h>

typedef struct PtxPool {
    struct PtxChunk *chunk;
} PtxPool;
void *pool_alloc(PtxPool *p, size_t bytes); /* zeroed, aligned to 64 bytes; ends the program when memory is out */
char *pool_text(PtxPool *p, const char *s, size_t n);
void pool_free(PtxPool *p);

#define PTX_LIST(T)                                                                                                    \
    struct {                                                                                                           \
        T *v;                                                                                                          \
        int n, room;                                                                                                   \
    }
/* -> the new, zeroed last element */
#define list_add(pool, l) (list_grow((pool), (void **)&(l)->v, (l)->n, &(l)->room, sizeof *(l)->v), &(l)->v[(l)->n++])
void list_grow(PtxPool *p, void **v, int n, int *room, size_t size);
#endif
