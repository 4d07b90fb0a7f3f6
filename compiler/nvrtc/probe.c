/* Kernels -> what each of them is made of, compiled apart from the others.
 * In: loop IR. Out: CudaStats. Rule: they depend on the kernel's text, the architecture and NVRTC, and on no name: equal
 * kernels of any models are compiled once and their counts kept. What the cache lacks is compiled by threads, a few kernels
 * at a time: reading the prelude takes as long as a small kernel. Not here: code that runs (backend.c). */
#include "nvrtc/cache.h"
#include "nvrtc/skeleton.h"
#include "nvrtc/stats.h"
#include "support/cache.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TOGETHER = 4, MOST_THREADS = 16 };

typedef struct Missing { /* a kernel that the cache does not have */
    const Func *f;
    const char *key; /* NULL: there is no cache */
    CudaStats *out;
} Missing;

typedef struct Queue {
    const char *arch;
    int n;
    Missing *v;
    atomic_int next;
} Queue;

static void print_as(Buf *out, const Func *f, const char *name)
{
    Func named = *f, *p = &named;
    named.name = name;
    cuda_kernels(out, &p, 1);
}

static const char *key_of(Arena *a, const Func *f, const char *arch)
{
    Buf material = {0};
    buf_printf(&material, "stats %zu %d ", sizeof(CudaStats), SASS_NOPS);
    cuda_describe(&material, arch);
    cuda_prelude(&material);
    print_as(&material, f, "k");
    const char *key = cache_key(a, &material);
    buf_free(&material);
    return key;
}

static bool take(Arena *a, const char *key, CudaStats *out)
{
    size_t n = 0;
    const void *p = key ? cache_get(a, key, &n, NULL) : NULL;
    if (!p || n != sizeof *out) return false;
    memcpy(out, p, n);
    return true;
}

static void compile_some(Arena *a, const char *arch, const Missing *m, int n)
{
    Buf source = {0}, log = {0};
    Object cubin, ptx;
    int have;
    cuda_prelude(&source);
    for (int i = 0; i < n; i++) print_as(&source, m[i].f, arena_printf(a, "k%d", i));
    cuda_compile(source.s, arch, &cubin, &ptx, &log);
    const CudaStats *all = cuda_stats(a, &cubin, log.s, &have);
    for (int i = 0; i < n; i++) {
        *m[i].out = *cuda_stats_find(all, have, arena_printf(a, "k%d", i));
        m[i].out->name = NULL;
        if (m[i].key) cache_put(m[i].key, m[i].out, sizeof *m[i].out, 0600);
    }
    free(cubin.data);
    free(ptx.data);
    buf_free(&source);
    buf_free(&log);
}

static void *work(void *arg)
{
    Queue *q = arg;
    Arena *a = arena_new();
    for (int i; (i = atomic_fetch_add(&q->next, TOGETHER)) < q->n;)
        compile_some(a, q->arch, &q->v[i], q->n - i < TOGETHER ? q->n - i : TOGETHER);
    arena_free(a);
    return NULL;
}

static void compile_all(Queue *q)
{
    pthread_t thread[MOST_THREADS];
    int n = 0, most = (int)sysconf(_SC_NPROCESSORS_ONLN) - 1;
    while (n < most && n < MOST_THREADS && (n + 1) * TOGETHER < q->n && !pthread_create(&thread[n], NULL, work, q)) n++;
    work(q);
    while (n) pthread_join(thread[--n], NULL);
}

CudaStats *cuda_probe(Arena *a, Func *const *f, int n, const char *arch, bool use_cache)
{
    CudaStats *out = NEWN(a, CudaStats, n + 1);
    Queue q = {.arch = arch, .v = NEWN(a, Missing, n + 1)};
    use_cache = use_cache && !cuda_missing();
    for (int i = 0; i < n; i++) {
        const char *key = use_cache ? key_of(a, f[i], arch) : NULL;
        if (!take(a, key, &out[i])) q.v[q.n++] = (Missing){f[i], key, &out[i]};
    }
    compile_all(&q);
    for (int i = 0; i < n; i++) out[i].name = f[i]->name;
    return out;
}
