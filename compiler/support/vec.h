/* Growing pointer lists in an arena. */
#ifndef SUPPORT_VEC_H
#define SUPPORT_VEC_H
#include "support/arena.h"

/* VEC(T) is a list {T *v; int n, cap;}. vec_push(arena, &list, item) appends. */
#define VEC(T)                                                                                     \
    struct {                                                                                       \
        T *v;                                                                                      \
        int n, cap;                                                                                \
    }
void *vec_grow_(Arena *a, void *v, int n, int *cap, size_t size);
#define vec_push(a, list, item)                                                                    \
    ((list)->v = vec_grow_((a), (list)->v, (list)->n, &(list)->cap, sizeof *(list)->v),            \
     (list)->v[(list)->n++] = (item))
#endif
