/* The CPU backend: kernels -> objects, side by side.
 * In: Funcs, a machine, the model's blob. Out: objects in memory.
 * Rule: kernels are dealt to a fixed number of modules by size, so that the objects do not depend
 * on how many threads compile them; a module, its context and its target machine belong to one
 * thread. */
#include "backend.h"
#include "support/diag.h"
#include "llvm/module.h"
#include <llvm-c/Core.h>
#include <llvm-c/Support.h>
#include <llvm-c/Target.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_UNITS = 8 };

static void init_targets(void)
{
    /* Addresses come as one pointer plus constants, which is what the target takes. Loop strength
     * reduction would give every row of a tile a pointer of its own and spill them. */
    static const char *const options[] = {"sinter", "-disable-lsr"};
    LLVMParseCommandLineOptions(2, options, NULL);
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeAArch64TargetInfo();
    LLVMInitializeAArch64Target();
    LLVMInitializeAArch64TargetMC();
    LLVMInitializeAArch64AsmPrinter();
}

static pthread_once_t targets = PTHREAD_ONCE_INIT;

/* ---- how much code a kernel becomes ---- */

static int64_t weight(const Stmt *s, int64_t copies, int lanes)
{
    int64_t n = 0;
    if (!s) return 0;
    if (s->kind == S_STORE || s->kind == S_LET) return copies;
    if (s->kind == S_FOR && s->fkind == FOR_UNROLL) copies *= s->extent->c.i;
    if (s->kind == S_FOR && s->fkind == FOR_VECTOR) copies *= (s->extent->c.i + lanes - 1) / lanes;
    for (int i = 0; i < s->seq.n; i++) n += weight(s->seq.v[i], copies, lanes);
    return n + weight(s->body, copies, lanes) + weight(s->other, copies, lanes);
}

typedef struct Sized {
    int64_t weight;
    int at;
} Sized;

static int by_weight(const void *x, const void *y)
{
    const Sized *p = x, *q = y;
    if (p->weight != q->weight) return p->weight < q->weight ? 1 : -1;
    return p->at - q->at;
}

/* Largest first, each to the lightest unit. */
static int deal(Arena *a, Func *const *f, int nfunc, int lanes, Unit *unit)
{
    int n = nfunc < MAX_UNITS ? nfunc : MAX_UNITS;
    Sized *order = NEWN(a, Sized, nfunc);
    for (int i = 0; i < nfunc; i++) order[i] = (Sized){20 + weight(f[i]->body, 1, lanes), i};
    qsort(order, (size_t)nfunc, sizeof *order, by_weight);
    for (int i = 0; i < nfunc; i++) {
        Unit *u = unit;
        for (int k = 1; k < n; k++)
            if (unit[k].weight < u->weight) u = &unit[k];
        u->weight += order[i].weight;
        vec_push(a, &u->f, f[order[i].at]);
    }
    return n;
}

/* ---- threads ---- */

typedef struct Work {
    Unit *unit;
    int n;
    atomic_int next;
    const Machine *m;
    const CodegenOptions *o;
} Work;

static void *worker(void *arg)
{
    Work *w = arg;
    int i;
    while ((i = atomic_fetch_add(&w->next, 1)) < w->n) module_kernels(&w->unit[i], w->m, w->o);
    return NULL;
}

static void run(Work *w)
{
    pthread_t thread[MAX_UNITS];
    int n = 0, want = w->o->threads < w->n ? w->o->threads : w->n;
    for (int i = 1; i < want; i++)
        if (!pthread_create(&thread[n], NULL, worker, w)) n++;
    worker(w);
    for (int i = 0; i < n; i++) pthread_join(thread[i], NULL);
}

static void collect(Buf *to, Buf *from)
{
    if (to && from->n) buf_write(to, from->s, from->n);
    buf_free(from);
}

static int compile(Func *const *f, int nfunc, const void *blob, size_t blob_size, const Machine *m,
                   const CodegenOptions *o, Object **out, Buf *ir, Buf *as)
{
    pthread_once(&targets, init_targets);
    Arena *a = arena_new();
    Unit unit[MAX_UNITS + 1] = {0};
    int n = deal(a, f, nfunc, m->lanes, unit);
    Work w = {.unit = unit, .n = n, .m = m, .o = o};
    run(&w);
    module_data(&unit[n++], f, nfunc, blob, blob_size, m);
    *out = calloc((size_t)n, sizeof **out);
    if (!*out) fatal(EXIT_MEMORY, "out of memory");
    for (int i = 0; i < n; i++) {
        (*out)[i] = unit[i].object;
        collect(ir, &unit[i].ir);
        collect(as, &unit[i].as);
    }
    arena_free(a);
    return n;
}

const Backend backend_llvm = {.name = "cpu", .compile = compile};

void llvm_host(char **triple, char **cpu, char **features)
{
    pthread_once(&targets, init_targets);
    *triple = LLVMGetDefaultTargetTriple();
    *cpu = LLVMGetHostCPUName();
    *features = LLVMGetHostCPUFeatures();
}

/* The library's version, as LLVM reports it. */
const char *llvm_version(void)
{
    static char text[32];
    unsigned major, minor, patch;
    LLVMGetVersion(&major, &minor, &patch);
    snprintf(text, sizeof text, "%u.%u.%u", major, minor, patch);
    return text;
}
