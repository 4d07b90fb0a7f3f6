/* Handles: every object that a program can name is in one list, so that a handle which was destroyed, or never was
 * one, is found out. And what every entry point begins with: the lock, and the checks that are common to all. */
#include "internal.h"
#include <stdio.h>
#include <stdlib.h>

static Object *objects;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
bool initialised;

void *must_alloc(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size ? size : 1);
    if (p) return p;
    fprintf(stderr, "sinter virtual device: the host is out of memory\n");
    abort();
}

void *object_new(size_t size, Kind kind, Context *c)
{
    Object *o = must_alloc(1, size);
    o->kind = kind;
    o->context = c;
    o->next = objects;
    objects = o;
    return o;
}

void *object_find(const void *handle, Kind kind, const Context *c)
{
    for (Object *o = objects; o && handle; o = o->next)
        if (o == handle) return o->kind == kind && o->context == c ? o : NULL;
    return NULL;
}

void object_forget(void *object)
{
    for (Object **at = &objects; *at; at = &(*at)->next)
        if (*at == object) {
            *at = (*at)->next;
            return;
        }
}

void *object_any(Kind kind, const Context *c)
{
    for (Object *o = objects; o; o = o->next)
        if (o->kind == kind && o->context == c) return o;
    return NULL;
}

void object_each(Kind kind, void (*visit)(void *))
{
    for (Object *o = objects; o; o = o->next)
        if (o->kind == kind) visit(o);
}

static CUresult common_checks(Guard *g, int asks)
{
    if (!initialised) return CUDA_ERROR_NOT_INITIALIZED;
    if (!(asks & (IN_CONTEXT | UNSAFE_IN_CAPTURE))) return CUDA_SUCCESS;
    Context *c = context_current();
    if (!c) return CUDA_ERROR_INVALID_CONTEXT;
    if (!object_find(c, KIND_CONTEXT, NULL)) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    g->context = c;
    if (c->error) return c->error;
    if ((asks & UNSAFE_IN_CAPTURE) && capture_forbids_unsafe())
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    return CUDA_SUCCESS;
}

Guard enter(int asks)
{
    Guard g = {0};
    pthread_mutex_lock(&lock);
    g.error = common_checks(&g, asks);
    return g;
}

void leave(Guard *g)
{
    (void)g;
    pthread_mutex_unlock(&lock);
}
