/* Contractions by every algorithm that may compute them, run on this computer.
 *
 * In: the loops of a program, once for each algorithm. Out: by group, the fastest algorithm. Rules: what has the same loops
 * is measured once, and not at all if the cache has it; the candidates of a contraction take turns, each on numbers of its
 * own, and the least time of each counts; the model's choice stays unless another one, the plain sum
 * among them, is faster by more than the clock's noise. One thread runs them. Not here: what differs in a kernel's sizes alone. */
#include "measure.h"
#include "load.h"
#include "support/cache.h"
#include "support/diag.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ALIGN = 64, MOST_ARGS = 64, LEAST_TURNS = 5, MOST_TURNS = 100 };
static const double noise = 0.03, enough = 0.05 /* seconds for a candidate */;
static const char *const names[NALGORITHMS] = {"as modelled", "sum", "F(2x2)", "F(4x4)", "F(5x5)", "F(6x6)"};

typedef struct Candidate { /* a group's launches in one round */
    VEC(const Kernel *) kernel;
    char *text;      /* of its loops; NULL: the algorithm does not apply, or is another candidate's */
    double seconds;
    int first; /* of its kernels among those that are loaded */
} Candidate;

typedef struct Contest { /* of the candidates of a group */
    Candidate by[NALGORITHMS];
    const char *key;      /* of all their texts */
    const char *layers;
    int same;             /* a group with the same candidates, before it; -1: none */
    bool known;           /* the seconds are there */
    Algorithm best;
} Contest;

struct Measuring {
    Arena *a;
    const Groups *groups;
    const Machine *m;
    bool use_cache;
    int round;
    Algorithm *by;    /* by group id */
    Contest *contest; /* by group id */
};

Measuring *measure_begin(Arena *a, const Groups *g, const Machine *m, bool use_cache)
{
    Measuring *t = NEW(a, Measuring);
    *t = (Measuring){.a = a, .groups = g, .m = m, .use_cache = use_cache, .round = -1};
    t->by = NEWN(a, Algorithm, g->group.n + 1);
    t->contest = NEWN(a, Contest, g->group.n + 1);
    return t;
}

const Algorithm *measure_next(Measuring *t)
{
    if (++t->round == NALGORITHMS) return NULL;
    for (int i = 0; i < t->groups->group.n; i++) t->by[i] = (Algorithm)t->round;
    return t->by;
}

/* ---- the candidates ---- */

static char *text_of(Arena *a, const Candidate *c)
{
    Buf b = {0};
    for (int i = 0; i < c->kernel.n; i++) {
        Func f = *c->kernel.v[i]->func;
        f.name = "k";
        f.comment = "";
        func_print(&b, &f);
    }
    char *text = arena_strndup(a, b.s ? b.s : "", b.n);
    buf_free(&b);
    return text;
}

/* As an earlier candidate of the group: there is nothing to compare. */
static bool is_repeated(const Contest *c, int round)
{
    for (int i = 0; i < round; i++)
        if (c->by[i].text && !strcmp(c->by[i].text, c->by[round].text)) return true;
    return false;
}

void measure_take(Measuring *t, const Loops *l)
{
    for (int i = 0; i < l->kernel.n; i++) {
        const Kernel *k = &l->kernel.v[i];
        if (!k->func || !k->group || k->group->nest != NEST_CONTRACT || k->prep) continue;
        Contest *c = &t->contest[k->group->id];
        vec_push(t->a, &c->by[t->round].kernel, k);
        c->layers = k->layers;
    }
    for (int i = 0; i < t->groups->group.n; i++) {
        Candidate *c = &t->contest[i].by[t->round];
        if (!c->kernel.n) continue;
        c->text = text_of(t->a, c);
        if (is_repeated(&t->contest[i], t->round)) c->text = NULL;
    }
}

static int candidates(const Contest *c)
{
    int n = 0;
    for (int r = 0; r < NALGORITHMS; r++) n += c->by[r].text != NULL;
    return n;
}

static const char *key_of(const Measuring *t, const Contest *c)
{
    Buf b = {0};
    buf_printf(&b, "seconds %zu %s %s %s ", sizeof c->by[0].seconds, t->m->name, t->m->features, llvm_version());
    for (int r = 0; r < NALGORITHMS; r++) buf_printf(&b, "%d %s", r, c->by[r].text ? c->by[r].text : "");
    const char *key = cache_key(t->a, &b);
    buf_free(&b);
    return key;
}

static void recall(const Measuring *t, Contest *c)
{
    size_t n = 0;
    const double *p = t->use_cache ? cache_get(t->a, c->key, &n, NULL) : NULL;
    c->known = p && n == NALGORITHMS * sizeof *p;
    for (int r = 0; r < NALGORITHMS && c->known; r++) memcpy(&c->by[r].seconds, p + r, sizeof *p);
}

static void find_contests(Measuring *t)
{
    for (int i = 0; i < t->groups->group.n; i++) {
        Contest *c = &t->contest[i];
        c->same = -1;
        if (candidates(c) < 2) continue;
        c->key = key_of(t, c);
        for (int k = 0; k < i && c->same < 0; k++)
            if (t->contest[k].key && !strcmp(t->contest[k].key, c->key)) c->same = k;
        if (c->same < 0) recall(t, c);
    }
}

/* ---- compiling ---- */

static bool is_open(const Contest *c)
{
    return c->key && c->same < 0 && !c->known;
}

static Loaded compile_open(Measuring *t)
{
    VEC(Func *) f = {0};
    Object *obj;
    for (int i = 0; i < t->groups->group.n; i++)
        for (int r = 0; r < NALGORITHMS && is_open(&t->contest[i]); r++) {
            Candidate *c = &t->contest[i].by[r];
            c->first = f.n;
            for (int k = 0; k < c->kernel.n && c->text; k++) {
                Func *copy = NEW(t->a, Func);
                *copy = *c->kernel.v[k]->func;
                copy->name = arena_printf(t->a, "k%d", f.n);
                vec_push(t->a, &f, copy);
            }
        }
    if (!f.n) return (Loaded){0};
    CodegenOptions o = {.threads = 1};
    int n = backend_find(t->m->backend)->compile(f.v, f.n, NULL, 0, t->m, &o, &obj, NULL, NULL);
    Loaded l = load_kernels(t->a, obj, n);
    for (int i = 0; i < n; i++) free(obj[i].data);
    free(obj);
    return l;
}

/* ---- running ---- */

typedef struct Memory { /* of a candidate: what its kernels share lies in one place */
    VEC(KernelArg) at;
    VEC(int64_t) bytes;
    VEC(void *) data;
} Memory;

static int find_place(const Memory *m, KernelArg at)
{
    for (int i = 0; i < m->at.n; i++)
        if (m->at.v[i].arena == at.arena && m->at.v[i].offset == at.offset) return i;
    return -1;
}

static void lay_out(Arena *a, Memory *m, const Candidate *c)
{
    for (int k = 0; k < c->kernel.n; k++)
        for (int i = 0; i < c->kernel.v[k]->func->nargs; i++) {
            const LBuf *u = c->kernel.v[k]->func->buf.v[i];
            int64_t bytes = u->count * ltype_size(u->type);
            int at = find_place(m, c->kernel.v[k]->arg.v[i]);
            if (at < 0) {
                vec_push(a, &m->at, c->kernel.v[k]->arg.v[i]);
                vec_push(a, &m->bytes, bytes);
            } else if (bytes > m->bytes.v[at])
                m->bytes.v[at] = bytes;
        }
}

/* Ordinary floats: none so small that it is slow. Integers, which may be places of something, are 0. */
static void fill(void *p, int64_t bytes, LType t)
{
    unsigned r = 1;
    float *x = p;
    memset(p, 0, (size_t)bytes);
    for (int64_t i = 0; t == LT_F32 && i < bytes / 4; i++, r = r * 1664525u + 1013904223u)
        x[i] = (float)(r >> 8) * 0x1p-24f - 0.5f;
}

static LType type_at(const Candidate *c, KernelArg at)
{
    for (int k = 0; k < c->kernel.n; k++)
        for (int i = 0; i < c->kernel.v[k]->func->nargs; i++) {
            KernelArg x = c->kernel.v[k]->arg.v[i];
            if (x.arena == at.arena && x.offset == at.offset) return c->kernel.v[k]->func->buf.v[i]->type;
        }
    return LT_F32;
}

static Memory *memory_of(Arena *a, const Candidate *c)
{
    Memory *m = NEW(a, Memory);
    lay_out(a, m, c);
    for (int i = 0; i < m->at.n; i++) {
        int64_t n = (m->bytes.v[i] + ALIGN - 1) / ALIGN * ALIGN;
        void *p = aligned_alloc(ALIGN, (size_t)n);
        if (!p) fatal(EXIT_MEMORY, "cannot allocate %lld bytes", (long long)n);
        fill(p, n, type_at(c, m->at.v[i]));
        vec_push(a, &m->data, p);
    }
    return m;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double run(const Candidate *c, const Loaded *l, const Memory *m)
{
    double start = now();
    for (int k = 0; k < c->kernel.n; k++) {
        const Kernel *x = c->kernel.v[k];
        void *arg[MOST_ARGS];
        bug_if(x->arg.n > MOST_ARGS, "%d arguments", x->arg.n);
        for (int i = 0; i < x->func->nargs; i++) arg[i] = m->data.v[find_place(m, x->arg.v[i])];
        l->kernel[c->first + k](arg, 0, x->func->ntasks);
    }
    return now() - start;
}

static void take_turns(Contest *c, const Loaded *l)
{
    Arena *a = arena_new();
    Memory *m[NALGORITHMS];
    double spent = 0;
    int n = candidates(c);
    for (int r = 0; r < NALGORITHMS; r++) {
        if (!c->by[r].text) continue;
        m[r] = memory_of(a, &c->by[r]);
        c->by[r].seconds = run(&c->by[r], l, m[r]);
    }
    for (int turn = 0; turn < LEAST_TURNS || (turn < MOST_TURNS && spent < n * enough); turn++)
        for (int r = 0; r < NALGORITHMS; r++) {
            if (!c->by[r].text) continue;
            double s = run(&c->by[r], l, m[r]);
            spent += s;
            if (s < c->by[r].seconds) c->by[r].seconds = s;
        }
    for (int r = 0; r < NALGORITHMS; r++)
        for (int i = 0; c->by[r].text && i < m[r]->data.n; i++) free(m[r]->data.v[i]);
    arena_free(a);
}

static void remember(const Measuring *t, const Contest *c)
{
    double seconds[NALGORITHMS];
    for (int r = 0; r < NALGORITHMS; r++) seconds[r] = c->by[r].seconds;
    if (t->use_cache) cache_put(c->key, seconds, sizeof seconds, 0600);
}

/* ---- the choice ---- */

static Algorithm fastest(const Contest *c)
{
    Algorithm best = BY_MODEL;
    for (int r = 0; r < NALGORITHMS; r++)
        if (c->by[r].text && c->by[r].seconds < c->by[best].seconds) best = (Algorithm)r;
    return c->by[best].seconds < (1 - noise) * c->by[BY_MODEL].seconds ? best : BY_MODEL;
}

static void print_contest(Buf *out, const Contest *c)
{
    buf_printf(out, "  %-32s", c->layers);
    for (int r = 0; r < NALGORITHMS; r++) {
        if (c->by[r].text)
            buf_printf(out, " %11.2f", 1e6 * c->by[r].seconds);
        else
            buf_printf(out, " %11s", "-");
    }
    buf_printf(out, "  %s\n", names[c->best]);
}

static void print_all(const Measuring *t, Buf *out)
{
    double modelled = 0, chosen = 0;
    int n = 0, changed = 0;
    for (int i = 0; i < t->groups->group.n; i++) {
        const Contest *c = &t->contest[i];
        if (!c->key) continue;
        modelled += c->by[BY_MODEL].seconds, chosen += c->by[c->best].seconds;
        n++, changed += c->best != BY_MODEL;
    }
    buf_printf(out, "%d of %d contractions otherwise than modelled: measured %.2f us instead of %.2f us on one thread\n",
               changed, n, 1e6 * chosen, 1e6 * modelled);
    if (n) buf_printf(out, "  %-32s %11s %11s %11s %11s  (us; -: the same, or not possible)\n", "layers", names[0], names[1], names[2], names[3]);
    for (int i = 0; i < t->groups->group.n; i++)
        if (t->contest[i].key) print_contest(out, &t->contest[i]);
}

const Algorithm *measure_end(Measuring *t, Buf *out)
{
    find_contests(t);
    Loaded l = compile_open(t);
    for (int i = 0; i < t->groups->group.n; i++) {
        Contest *c = &t->contest[i];
        if (is_open(c)) take_turns(c, &l), remember(t, c);
        for (int r = 0; r < NALGORITHMS && c->same >= 0; r++) c->by[r].seconds = t->contest[c->same].by[r].seconds;
        t->by[i] = c->best = c->key ? fastest(c) : BY_MODEL;
    }
    if (l.library) load_close(&l);
    print_all(t, out);
    return t->by;
}
