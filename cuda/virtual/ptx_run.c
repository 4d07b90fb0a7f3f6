/* A launch: blocks on host threads, faults, counts. */
#include "ptx_shadow.h"
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- faults ---- */

/* The text of a line, without its indentation. */
static const char *line_text(const PtxModule *m, uint32_t line, int *len)
{
    const char *p = m->text + m->line_at.v[line - 1];
    p += strspn(p, " \t");
    *len = (int)strcspn(p, "\n");
    return p;
}

static void describe_thread(const Warp *w, int lane, char *text, size_t size)
{
    const Block *b = w->block;
    if (lane < 0)
        snprintf(text, size, "block (%u,%u,%u), warp %u", b->id[0], b->id[1], b->id[2], w->index);
    else
        snprintf(text, size, "block (%u,%u,%u), thread (%u,%u,%u)", b->id[0], b->id[1], b->id[2],
                 WORD(w, w->module->special[SPECIAL_TID_X])[lane], WORD(w, w->module->special[SPECIAL_TID_Y])[lane],
                 WORD(w, w->module->special[SPECIAL_TID_Z])[lane]);
}

void ptx_fault(Warp *w, int lane, const char *fmt, ...)
{
    Block *b = w->block;
    char what[512], who[128];
    int len;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    describe_thread(w, lane, who, sizeof who);
    uint32_t line = w->module->code.v[w->pc - 1].line;
    const char *text = line_text(w->module, line, &len);
    if (asprintf(&b->fault, "kernel %s, %s, PTX line %u `%.*s`: %s", b->launch->kernel->body.name, who, line, len, text,
                 what) < 0)
        abort();
    longjmp(b->failed, 1);
}

/* ---- blocks of one host thread ---- */

static void fill(Warp *w, uint8_t class, uint32_t slot, uint64_t value)
{
    if (class == REG_PRED) PRED(w, slot) = (uint32_t)value;
    for (int l = 0; l < LANES && class != REG_PRED; l++) {
        if (class == REG_WORD)
            WORD(w, slot)[l] = (uint32_t)value;
        else
            LONG(w, slot)[l] = value;
    }
}

static void fill_constants(Warp *w, const Body *b)
{
    for (int i = 0; i < b->reg.n; i++)
        if (b->reg.v[i].constant) fill(w, b->reg.v[i].class, b->reg.v[i].slot, b->reg.v[i].value);
}

static void fill_lanes(Warp *w, const Launch *l)
{
    const PtxModule *m = w->module;
    const unsigned *n = l->in->block;
    for (unsigned lane = 0; lane < LANES; lane++) {
        unsigned t = w->index * LANES + lane;
        char *local = w->local + (size_t)lane * w->local_size;
        WORD(w, m->special[SPECIAL_TID_X])[lane] = t % n[0];
        WORD(w, m->special[SPECIAL_TID_Y])[lane] = t / n[0] % n[1];
        WORD(w, m->special[SPECIAL_TID_Z])[lane] = t / n[0] / n[1];
        WORD(w, m->special[SPECIAL_LANEID])[lane] = lane;
        WORD(w, m->special[SPECIAL_LANEMASK_EQ])[lane] = 1u << lane;
        WORD(w, m->special[SPECIAL_LANEMASK_LT])[lane] = (1u << lane) - 1;
        WORD(w, m->special[SPECIAL_LANEMASK_LE])[lane] = (2u << lane) - 1;
        WORD(w, m->special[SPECIAL_LANEMASK_GT])[lane] = ~((2u << lane) - 1);
        WORD(w, m->special[SPECIAL_LANEMASK_GE])[lane] = ~((1u << lane) - 1);
        LONG(w, m->special[SPECIAL_LOCAL_BASE])[lane] = (uint64_t)(uintptr_t)local;
        LONG(w, m->special[SPECIAL_FUNCTION_BASE])[lane] = (uint64_t)(uintptr_t)(local + w->function_local);
    }
}

static void fill_specials(Warp *w, const Launch *l, size_t dynamic_at, size_t shared)
{
    const PtxModule *m = w->module;
    const PtxLaunch *in = l->in;
    struct {
        Special s;
        uint64_t value;
    } same[] = {{SPECIAL_NTID_X, in->block[0]},
                {SPECIAL_NTID_Y, in->block[1]},
                {SPECIAL_NTID_Z, in->block[2]},
                {SPECIAL_NCTAID_X, in->grid[0]},
                {SPECIAL_NCTAID_Y, in->grid[1]},
                {SPECIAL_NCTAID_Z, in->grid[2]},
                {SPECIAL_WARPID, w->index},
                {SPECIAL_NWARPID, (unsigned)w->block->nwarps},
                {SPECIAL_NSMID, 1},
                {SPECIAL_DYNAMIC_SMEM, in->shared},
                {SPECIAL_TOTAL_SMEM, shared},
                {SPECIAL_DYNAMIC_WORD, dynamic_at},
                {SPECIAL_DYNAMIC_LONG, dynamic_at},
                {SPECIAL_PARAM_BASE, (uint64_t)(uintptr_t)l->params}};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        bool wide = same[i].s == SPECIAL_DYNAMIC_LONG || same[i].s == SPECIAL_PARAM_BASE;
        fill(w, wide ? REG_LONG : REG_WORD, m->special[same[i].s], same[i].value);
    }
    PRED(w, m->special[SPECIAL_TRUE]) = ~0u;
}

static uint32_t lanes_of(unsigned threads, unsigned warp)
{
    unsigned n = threads - warp * LANES;
    return n >= LANES ? ~0u : (1u << n) - 1;
}

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

static void new_warp(Warp *w, Block *b, unsigned index, PtxPool *pool)
{
    const Launch *l = b->launch;
    const PtxModule *m = l->kernel->module;
    const Body *k = &l->kernel->body;
    unsigned threads = l->in->block[0] * l->in->block[1] * l->in->block[2];
    w->block = b;
    w->module = m;
    w->index = index;
    w->present = lanes_of(threads, index);
    w->function_local = k->local;
    w->local_size = k->local + round_up(m->local, 16);
    w->local = pool_alloc(pool, w->local_size * LANES + 1);
    w->file_bytes = k->file_bytes;
    w->reg = pool_alloc(pool, w->file_bytes);
    w->image = pool_alloc(pool, w->file_bytes);
    memset(w->reg, 0xff, w->file_bytes); /* registers that nobody has written: NaN */
    fill_lanes(w, l);
    fill_specials(w, l, round_up(k->shared, 16), b->shared_size);
    for (int i = 0; i < m->function.n; i++) fill_constants(w, m->function.v[i]);
    fill_constants(w, k);
    memcpy(w->image, w->reg, w->file_bytes);
}

static bool new_block(Block *b, Launch *l, PtxPool *pool)
{
    unsigned threads = l->in->block[0] * l->in->block[1] * l->in->block[2];
    b->launch = l;
    b->pool = pool;
    b->nwarps = (int)((threads + LANES - 1) / LANES);
    b->warp = pool_alloc(pool, sizeof *b->warp * (size_t)b->nwarps);
    b->shared_size = (l->in->shared ? round_up(l->kernel->body.shared, 16) : l->kernel->body.shared) + l->in->shared;
    b->shared = pool_alloc(pool, b->shared_size + 1);
    for (int i = 0; i < b->nwarps; i++) new_warp(&b->warp[i], b, (unsigned)i, pool);
    return !l->in->check_races || shadow_new(b);
}

/* ---- host threads ---- */

typedef struct Workers {
    Launch *launch;
    pthread_mutex_t lock;
    uint64_t next, blocks;
    uint64_t fault_at; /* the first block with a fault; later ones need not run */
    char *fault;
    PtxProfile count;
} Workers;

static bool take_block(Workers *ws, uint64_t *linear)
{
    pthread_mutex_lock(&ws->lock);
    bool more = ws->next < ws->blocks && ws->next < ws->fault_at;
    *linear = ws->next;
    ws->next += more;
    pthread_mutex_unlock(&ws->lock);
    return more;
}

static void note_fault(Workers *ws, Block *b)
{
    pthread_mutex_lock(&ws->lock);
    if (b->linear < ws->fault_at) {
        free(ws->fault);
        ws->fault = b->fault;
        ws->fault_at = b->linear;
    } else {
        free(b->fault);
    }
    b->fault = NULL;
    pthread_mutex_unlock(&ws->lock);
}

static void add_counts(PtxProfile *to, const PtxProfile *from)
{
    uint64_t *t = (uint64_t *)to;
    const uint64_t *f = (const uint64_t *)from;
    for (size_t i = 0; i < sizeof *to / sizeof *t; i++) t[i] += f[i];
}

static void *work(void *arg)
{
    Workers *ws = arg;
    PtxPool pool = {0};
    Block *b = pool_alloc(&pool, sizeof *b);
    const unsigned *grid = ws->launch->in->grid;
    bool ready = new_block(b, ws->launch, &pool);
    if (!ready) {
        b->fault = strdup("out of memory for the check of races");
        note_fault(ws, b);
    }
    while (ready && take_block(ws, &b->linear)) {
        b->id[0] = (unsigned)(b->linear % grid[0]);
        b->id[1] = (unsigned)(b->linear / grid[0] % grid[1]);
        b->id[2] = (unsigned)(b->linear / grid[0] / grid[1]);
        block_run(b);
        if (b->fault) note_fault(ws, b);
    }
    pthread_mutex_lock(&ws->lock);
    for (int i = 0; i < b->nwarps; i++) add_counts(&ws->count, &b->warp[i].count);
    pthread_mutex_unlock(&ws->lock);
    shadow_free(b);
    pool_free(&pool);
    return NULL;
}

static void run_workers(Workers *ws, int threads)
{
    enum { MOST = 256 };
    pthread_t t[MOST];
    int n = 0, want = threads < MOST ? threads : MOST;
    if ((uint64_t)want > ws->blocks) want = (int)ws->blocks;
    for (; n < want - 1; n++)
        if (pthread_create(&t[n], NULL, work, ws)) break;
    work(ws);
    while (n) pthread_join(t[--n], NULL);
}

/* ---- launches ---- */

static char *refuse(const PtxLaunch *l)
{
    char *error = NULL;
    const Body *k = &l->kernel->body;
    uint64_t threads = (uint64_t)l->block[0] * l->block[1] * l->block[2];
    uint64_t blocks = (uint64_t)l->grid[0] * l->grid[1] * l->grid[2];
    if (!threads || threads > k->max_threads) {
        if (asprintf(&error, "kernel %s: a block of %llu threads; it takes 1 to %u", k->name,
                     (unsigned long long)threads, k->max_threads) < 0)
            abort();
    } else if (!blocks) {
        if (asprintf(&error, "kernel %s: a grid without blocks", k->name) < 0) abort();
    }
    return error;
}

static void copy_params(const PtxLaunch *l, char *to)
{
    const Body *k = &l->kernel->body;
    for (int i = 0; i < k->param.n; i++) memcpy(to + k->param.v[i].offset, l->params[i], k->param.v[i].size);
}

static size_t param_bytes(const Body *k)
{
    return k->param.n ? k->param.v[k->param.n - 1].offset + k->param.v[k->param.n - 1].size : 0;
}

static Range *launch_ranges(const PtxModule *m, const PtxSpace *s, PtxPool *pool, int *n)
{
    Range *v = pool_alloc(pool, sizeof *v * (size_t)(m->variable.n + 1));
    for (int i = 0; i < m->variable.n; i++) {
        uint64_t at = (uint64_t)(uintptr_t)m->variable.v[i].at;
        v[i] = (Range){at, at + m->variable.v[i].size};
    }
    return space_ranges(s, v, m->variable.n, n);
}

static unsigned granule_of(const PtxKernel *k)
{
    uint32_t g = k->body.granule;
    for (int i = 0; i < k->module->function.n; i++) {
        const Body *f = k->module->function.v[i];
        if (f->defined && f->granule < g) g = f->granule;
    }
    return g;
}

static bool is_ordered(const PtxKernel *k)
{
    bool any = k->body.ordered;
    for (int i = 0; i < k->module->function.n; i++) any |= k->module->function.v[i]->ordered;
    return any;
}

char *ptx_run(const PtxLaunch *l, const PtxSpace *s, PtxProfile *profile)
{
    PtxPool pool = {0};
    char *error = refuse(l);
    if (error) return error;
    Launch launch = {.in = l, .kernel = l->kernel, .profiled = profile != NULL};
    Range *ranges = launch_ranges(l->kernel->module, s, &pool, &launch.nranges);
    if (!ranges) return strdup("out of memory");
    launch.range = ranges;
    launch.granule = granule_of(l->kernel);
    launch.params_size = param_bytes(&l->kernel->body);
    launch.params = pool_alloc(&pool, launch.params_size + 1);
    copy_params(l, launch.params);
    Workers ws = {.launch = &launch, .lock = PTHREAD_MUTEX_INITIALIZER, .fault_at = UINT64_MAX};
    ws.blocks = (uint64_t)l->grid[0] * l->grid[1] * l->grid[2];
    run_workers(&ws, l->check_races || is_ordered(l->kernel) ? 1 : l->threads);
    if (profile) add_counts(profile, &ws.count);
    free(ranges);
    pool_free(&pool);
    return ws.fault;
}

/* ---- what a module holds ---- */

const PtxKernel *ptx_kernel(const PtxModule *m, const char *name)
{
    for (int i = 0; i < m->kernel.n; i++)
        if (!strcmp(m->kernel.v[i]->body.name, name)) return m->kernel.v[i];
    return NULL;
}

void *ptx_variable(const PtxModule *m, const char *name, size_t *bytes)
{
    for (int i = 0; i < m->variable.n; i++) {
        if (strcmp(m->variable.v[i].name, name) != 0) continue;
        *bytes = m->variable.v[i].size;
        return m->variable.v[i].at;
    }
    return NULL;
}

int ptx_target(const PtxModule *m)
{
    return m->target;
}

int ptx_param_count(const PtxKernel *k)
{
    return k->body.param.n;
}

size_t ptx_param_size(const PtxKernel *k, int i)
{
    return k->body.param.v[i].size;
}

size_t ptx_static_shared(const PtxKernel *k)
{
    return k->body.shared;
}

unsigned ptx_max_threads(const PtxKernel *k)
{
    return k->body.max_threads;
}
