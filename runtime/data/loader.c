/* A background thread that keeps up to `depth` batches ready while the pool computes.
 *
 * rule: a ring of slots, all memory taken at the start; both sides sleep on a condition, nobody
 * spins. What a batch holds is decided by its place in `order`, so timing cannot change it.
 */
#include "internal.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

typedef struct Slot {
    float *input;
    int32_t *label;
    int n;
} Slot;

struct RtLoader {
    RtData *data;
    enum RtSplit split;
    bool train;
    uint64_t seed, epoch;
    int64_t *order, n;
    int64_t nbatches;
    int batch, depth;
    Slot *slot; /* [depth]; batch b lives in slot b % depth */
    float *input;
    int32_t *label;

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t filled, freed;
    int64_t made, taken,
        released; /* batches: made >= taken >= released, made - released <= depth */
    bool stop, failed;
    RtError error; /* of batch `made`, if failed */
};

/* Waits for a free slot; false: stop. */
static bool wait_free(RtLoader *l, int64_t b)
{
    pthread_mutex_lock(&l->lock);
    while (!l->stop && b - l->released >= l->depth) pthread_cond_wait(&l->freed, &l->lock);
    bool go = !l->stop;
    pthread_mutex_unlock(&l->lock);
    return go;
}

static void publish(RtLoader *l, bool ok)
{
    pthread_mutex_lock(&l->lock);
    if (ok)
        l->made++;
    else
        l->failed = true;
    pthread_cond_signal(&l->filled);
    pthread_mutex_unlock(&l->lock);
}

static void *work(void *arg)
{
    RtLoader *l = arg;
    bool ok = true;
    for (int64_t b = 0; ok && b < l->nbatches && wait_free(l, b); b++) {
        Slot *s = &l->slot[b % l->depth];
        int64_t first = b * l->batch, left = l->n - first;
        s->n = left < l->batch ? (int)left : l->batch;
        ok = rt_data_batch(l->data, l->split, l->order + first, s->n, l->train, l->seed, l->epoch,
                           s->input, s->label, &l->error);
        publish(l, ok);
    }
    return NULL;
}

static bool make_slots(RtLoader *l)
{
    RtError e;
    uint64_t labels = (uint64_t)l->data->label_size * (uint64_t)l->batch;
    uint64_t size = (uint64_t)l->data->c * (uint64_t)l->data->h * (uint64_t)l->data->w, floats,
             bytes;
    /* Slots begin on cache lines: each is rounded up to 16 floats. */
    if (__builtin_mul_overflow(size, (uint64_t)l->batch, &floats) || floats > PTRDIFF_MAX / 8)
        return false;
    floats = (floats + 15) / 16 * 16;
    if (__builtin_mul_overflow(floats * sizeof(float), (uint64_t)l->depth, &bytes)) return false;
    l->slot = rt_data_alloc((uint64_t)l->depth, sizeof *l->slot, "batches", &e);
    l->label =
        rt_data_alloc((uint64_t)l->depth, labels * sizeof *l->label, "batches", &e);
    l->order = rt_data_alloc((uint64_t)l->n, sizeof *l->order, "batches", &e);
    l->input = bytes <= PTRDIFF_MAX ? aligned_alloc(64, bytes) : NULL;
    if (!l->slot || !l->label || !l->order || !l->input) return false;
    for (int i = 0; i < l->depth; i++)
        l->slot[i] = (Slot){l->input + (uint64_t)i * floats, l->label + (uint64_t)i * labels, 0};
    return true;
}

static void release(RtLoader *l)
{
    pthread_cond_destroy(&l->filled);
    pthread_cond_destroy(&l->freed);
    pthread_mutex_destroy(&l->lock);
    free(l->slot);
    free(l->label);
    free(l->order);
    free(l->input);
    free(l);
}

RtLoader *rt_loader_start(RtData *d, enum RtSplit s, const int64_t *order, int64_t n, int batch,
                          bool train, uint64_t seed, uint64_t epoch, int depth)
{
    if (n < 0 || batch < 1 || depth < 1) return NULL;
    RtLoader *l = calloc(1, sizeof *l);
    if (!l) return NULL;
    l->data = d;
    l->split = s;
    l->train = train;
    l->seed = seed;
    l->epoch = epoch;
    l->n = n;
    l->batch = batch;
    l->depth = depth;
    l->nbatches = n / batch + (n % batch != 0);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->filled, NULL);
    pthread_cond_init(&l->freed, NULL);
    sigset_t all, old;
    sigfillset(&all);
    bool ok = make_slots(l);
    if (ok) {
        if (n) memcpy(l->order, order, (size_t)n * sizeof *order);
        pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are the main thread's */
        ok = pthread_create(&l->thread, NULL, work, l) == 0;
        pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    if (ok) return l;
    release(l);
    return NULL;
}

int rt_loader_next(RtLoader *l, float **input, int32_t **labels, int *n, RtError *e)
{
    *n = 0;
    pthread_mutex_lock(&l->lock);
    if (l->released < l->taken) {
        l->released = l->taken;
        pthread_cond_signal(&l->freed);
    }
    if (l->taken == l->nbatches) {
        pthread_mutex_unlock(&l->lock);
        return 0;
    }
    while (l->made == l->taken && !l->failed) pthread_cond_wait(&l->filled, &l->lock);
    bool ok = l->made > l->taken;
    if (ok) {
        Slot *s = &l->slot[l->taken++ % l->depth];
        *input = s->input;
        *labels = s->label;
        *n = s->n;
    } else {
        *e = l->error;
    }
    pthread_mutex_unlock(&l->lock);
    return ok ? 1 : -1;
}

void rt_loader_stop(RtLoader *l)
{
    if (!l) return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_signal(&l->freed);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
    release(l);
}
