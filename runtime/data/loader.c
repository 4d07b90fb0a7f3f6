/* Threads that keep up to `depth` batches ready while the pool computes.
 *
 * in:  an order of items
 * out: batches in that order; what a batch holds is decided by its place in the order, so that
 *      neither the number of workers nor timing can change it
 * rule: a ring of slots, all memory taken at the start; everybody sleeps on a condition, nobody
 *      spins. Workers take pieces of batches, in order; whoever ends the last piece of a batch mixes
 *      it (MixUp). Of several failures the one that comes first in the order is reported.
 */
#include "internal.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

typedef struct Slot { /* batch b lives in slot b % depth */
    float *input;
    int32_t *label;
    double share; /* of MixUp and CutMix */
    int n, left;  /* items; those that are not done yet */
    bool done;
} Slot;

typedef struct Piece {
    int64_t batch;
    int first, n; /* items of the batch */
} Piece;

struct RtLoader {
    RtData *data;
    enum RtSplit split;
    bool train;
    uint64_t seed, epoch;
    int64_t *order, n;
    int64_t nbatches;
    int batch, depth, piece;
    size_t item_size;
    Slot *slot;
    float *input, *spare; /* spare: an image for each worker */
    int32_t *label;
    double share; /* of the batch that was taken last */

    int nworkers;
    pthread_t *worker;
    pthread_mutex_t lock;
    pthread_cond_t filled, freed;
    Piece next;                    /* that nobody has taken */
    int64_t made, taken, released; /* batches: made >= taken >= released */
    int started, busy;             /* workers */
    bool stop, failed;
    int64_t failed_at; /* item of the order */
    RtError error;
};

/* ---- workers; the lock is held unless it says otherwise ---- */

static bool take_piece(RtLoader *l, Piece *p)
{
    while (!l->stop && !l->failed && l->next.batch < l->nbatches &&
           l->next.batch - l->released >= l->depth)
        pthread_cond_wait(&l->freed, &l->lock);
    if (l->stop || l->failed || l->next.batch >= l->nbatches) return false;
    Slot *s = &l->slot[l->next.batch % l->depth];
    if (l->next.first == 0) {
        int64_t left = l->n - l->next.batch * l->batch;
        s->n = s->left = left < l->batch ? (int)left : l->batch;
        s->done = false;
    }
    *p = l->next;
    p->n = s->n - p->first < l->piece ? s->n - p->first : l->piece;
    l->next.first += p->n;
    if (l->next.first == s->n) l->next = (Piece){.batch = p->batch + 1};
    return true;
}

/* Without the lock. */
static bool make_piece(RtLoader *l, const Piece *p, RtError *e)
{
    Slot *s = &l->slot[p->batch % l->depth];
    int64_t at = p->batch * l->batch + p->first;
    return rt_data_batch(l->data, l->split, l->order + at, p->n, l->train, l->seed, l->epoch,
                         s->input + (size_t)p->first * l->item_size,
                         s->label + p->first * l->data->label_size, e);
}

static void fail(RtLoader *l, const Piece *p, const RtError *e)
{
    int64_t at = p->batch * l->batch + p->first;
    if (!l->failed || at < l->failed_at) {
        l->error = *e;
        l->failed_at = at;
    }
    l->failed = true;
    pthread_cond_broadcast(&l->freed);
}

static void publish(RtLoader *l)
{
    while (l->made < l->next.batch && l->slot[l->made % l->depth].done) {
        l->slot[l->made % l->depth].done = false;
        l->made++;
    }
}

static void end_piece(RtLoader *l, const Piece *p, float *spare)
{
    Slot *s = &l->slot[p->batch % l->depth];
    s->left -= p->n;
    if (s->left) return;
    if (l->train && l->data->mix.n) {
        RtDraw draw = {l->seed, l->epoch, (uint64_t)l->order[p->batch * l->batch]};
        RtBatchImages b = {s->input, spare, s->n, l->data->c, l->data->h, l->data->w};
        pthread_mutex_unlock(&l->lock);
        s->share = rt_mix(&l->data->mix, draw, &b);
        pthread_mutex_lock(&l->lock);
    }
    s->done = true;
    publish(l);
}

static void *work(void *arg)
{
    RtLoader *l = arg;
    Piece p;
    RtError e;
    pthread_mutex_lock(&l->lock);
    float *spare = l->spare + (size_t)l->started++ * l->item_size;
    while (take_piece(l, &p)) {
        l->busy++;
        pthread_mutex_unlock(&l->lock);
        bool ok = make_piece(l, &p, &e);
        pthread_mutex_lock(&l->lock);
        if (ok)
            end_piece(l, &p, spare);
        else
            fail(l, &p, &e);
        l->busy--;
        pthread_cond_signal(&l->filled);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* ---- start and end ---- */

static bool make_slots(RtLoader *l)
{
    RtError e;
    uint64_t floats, bytes, labels;
    /* Slots begin on cache lines: each is rounded up to 16 floats. */
    if (__builtin_mul_overflow(l->item_size, (uint64_t)l->batch, &floats) ||
        floats > PTRDIFF_MAX / 8)
        return false;
    floats = (floats + 15) / 16 * 16;
    if (__builtin_mul_overflow(floats * sizeof(float), (uint64_t)l->depth, &bytes)) return false;
    labels = (uint64_t)l->batch * (uint64_t)l->data->label_size;
    l->slot = rt_data_alloc((uint64_t)l->depth, sizeof *l->slot, "batches", &e);
    l->label = labels <= UINT64_MAX / 4096
                   ? rt_data_alloc((uint64_t)l->depth * labels, sizeof *l->label, "batches", &e)
                   : NULL;
    l->order = rt_data_alloc((uint64_t)l->n, sizeof *l->order, "batches", &e);
    l->worker = rt_data_alloc((uint64_t)l->nworkers, sizeof *l->worker, "batches", &e);
    l->spare = rt_data_alloc((uint64_t)l->nworkers * l->item_size, sizeof *l->spare, "batches", &e);
    l->input = bytes <= PTRDIFF_MAX ? aligned_alloc(64, bytes) : NULL;
    if (!l->slot || !l->label || !l->order || !l->input || !l->worker || !l->spare) return false;
    for (int i = 0; i < l->depth; i++)
        l->slot[i] = (Slot){.input = l->input + (uint64_t)i * floats,
                            .label = l->label + (uint64_t)i * labels,
                            .share = 1};
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
    free(l->worker);
    free(l->spare);
    free(l->input);
    free(l);
}

/* At least one worker; those that cannot be started are done without. */
static bool start_workers(RtLoader *l)
{
    sigset_t all, old;
    int n = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are the main thread's */
    while (n < l->nworkers && pthread_create(&l->worker[n], NULL, work, l) == 0) n++;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    l->nworkers = n;
    return n > 0;
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
    l->item_size = (size_t)d->c * (size_t)d->h * (size_t)d->w;
    l->nworkers = d->workers > 1 ? d->workers : 1;
    l->piece = l->nworkers == 1 ? batch : (batch - 1) / (4 * l->nworkers) + 1;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->filled, NULL);
    pthread_cond_init(&l->freed, NULL);
    bool ok = make_slots(l);
    if (ok && n) memcpy(l->order, order, (size_t)n * sizeof *order);
    if (ok && start_workers(l)) return l;
    release(l);
    return NULL;
}

/* ---- the other side ---- */

int rt_loader_next(RtLoader *l, float **input, int32_t **labels, int *n, RtError *e)
{
    *n = 0;
    pthread_mutex_lock(&l->lock);
    if (l->released < l->taken) {
        l->released = l->taken;
        pthread_cond_broadcast(&l->freed);
    }
    if (l->taken == l->nbatches) {
        pthread_mutex_unlock(&l->lock);
        return 0;
    }
    while (l->made == l->taken && !(l->failed && !l->busy)) pthread_cond_wait(&l->filled, &l->lock);
    bool ok = l->made > l->taken;
    if (ok) {
        Slot *s = &l->slot[l->taken++ % l->depth];
        *input = s->input;
        *labels = s->label;
        *n = s->n;
        l->share = s->share;
    } else {
        *e = l->error;
    }
    pthread_mutex_unlock(&l->lock);
    return ok ? 1 : -1;
}

double rt_loader_share(const RtLoader *l)
{
    return l->share;
}

void rt_loader_stop(RtLoader *l)
{
    if (!l) return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_broadcast(&l->freed);
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < l->nworkers; i++) pthread_join(l->worker[i], NULL);
    release(l);
}
