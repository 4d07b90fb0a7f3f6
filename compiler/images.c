/* Kernels -> a cubin and PTX for each architecture.
 *
 * In: the kernels of all GPU programs. Out: images in memory. Rule: a thread an architecture; results do not depend
 * on it. Not here: how a kernel is compiled (the machines' backend), where images are kept (blob.c). */
#include "images.h"
#include "support/diag.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef struct Job { /* one architecture */
    Func *const *f;
    int nfunc;
    const CodegenOptions *o;
    Image *out;
    Buf source;
} Job;

static void *compile(void *arg)
{
    Job *j = arg;
    Object *o;
    const Machine *m = j->out->machine;
    const Backend *b = backend_find(m->backend);
    int n = b->compile(j->f, j->nfunc, NULL, 0, m, j->o, &o, &j->source, NULL);
    bug_if(n != 3, "a backend of GPUs gives a cubin, PTX and a log");
    j->out->cubin = o[0];
    j->out->ptx = o[1];
    j->out->log = o[2];
    free(o);
    return NULL;
}

static void compile_all(Job *job, int n)
{
    pthread_t thread[MOST_ARCHS];
    bool started[MOST_ARCHS] = {false};
    for (int i = 1; i < n; i++) started[i] = !pthread_create(&thread[i], NULL, compile, &job[i]);
    for (int i = 0; i < n; i++)
        if (!started[i]) compile(&job[i]);
    for (int i = 1; i < n; i++)
        if (started[i]) pthread_join(thread[i], NULL);
}

void images_compile(Images *out, Func *const *f, int nfunc, const Machine *const *m, int nm,
                    const CodegenOptions *o)
{
    Job job[MOST_ARCHS];
    *out = (Images){.n = nm};
    for (int i = 0; i < nm; i++) {
        const char *digits = strpbrk(m[i]->cpu, "0123456789");
        out->v[i] = (Image){.machine = m[i], .arch = digits ? (unsigned)atoi(digits) : 0};
        out->v[i].exact = digits && strchr(digits, 'a');
        job[i] = (Job){.f = f, .nfunc = nfunc, .o = o, .out = &out->v[i]};
    }
    compile_all(job, nm);
    out->toolkit = backend_find(m[0]->backend)->toolkit();
    out->source = job[0].source;
    for (int i = 1; i < nm; i++) buf_free(&job[i].source);
}

void images_free(Images *i)
{
    for (int k = 0; k < i->n; k++) {
        free(i->v[k].cubin.data);
        free(i->v[k].ptx.data);
        free(i->v[k].log.data);
    }
    buf_free(&i->source);
    i->n = 0;
}
