/* Loading weights: which tensor of a file goes where, and what is said when they do not fit.
 *
 * In: a file, the model's state. Out: the state; a report.
 * Rule: a file is checked as a whole before the first weight changes. Names that all begin with
 * `module.` (PyTorch's DataParallel) are read without it. Not here: which file (session.c). */
#include "ckpt.h"
#include "err.h"
#include "model.h"
#include "tensor.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Load {
    RtState *s;
    const RtModel *m;
    unsigned roles;
    const RtSt *file;
    const RtFit *fit;
    size_t skip; /* letters of every name in the file that are not the model's */
    RtFitted done;
    RtNames shapes; /* tensors of another shape */
    const RtStTensor *shape;
} Load;

static bool wanted(const Load *l, const RtTensor *t)
{
    return l->roles >> t->role & 1;
}

static void note(RtNames *x, const char *name)
{
    if (x->n < RT_NAMES_SHOWN) x->first[x->n] = name;
    x->n++;
}

/* "missing 'a', 'b', 'c' (+4 more)"; NULL: there are none. */
static char *names_text(const char *what, const RtNames *x)
{
    if (x->n == 0) return NULL;
    char *text = rt_strdup(what);
    for (int i = 0; i < x->n && i < RT_NAMES_SHOWN; i++) {
        char *more = rt_format("%s%s '%s'", text, i ? "," : "", rt_esc(x->first[i]));
        free(text);
        text = more;
    }
    if (x->n <= RT_NAMES_SHOWN) return text;
    char *all = rt_format("%s (+%d more)", text, x->n - RT_NAMES_SHOWN);
    free(text);
    return all;
}

static char *join(char *a, const char *between, char *b)
{
    if (!a || !b) return a ? a : b;
    char *both = rt_format("%s%s%s", a, between, b);
    free(a);
    free(b);
    return both;
}

/* ---- names ---- */

static const char *name_in(const Load *l, const RtStTensor *x)
{
    return x->name + l->skip;
}

static const RtStTensor *find(const Load *l, const char *name)
{
    for (int i = 0; i < l->file->n; i++) {
        if (!strcmp(name_in(l, &l->file->tensor[i]), name)) return &l->file->tensor[i];
    }
    return NULL;
}

static size_t common_prefix(const RtSt *file, const RtModel *m)
{
    static const char prefix[] = "module.";
    const size_t n = sizeof prefix - 1;
    const RtTensor *t = rt_model_states(m);
    for (int i = 0; i < file->n; i++) {
        if (strncmp(file->tensor[i].name, prefix, n) != 0) return 0;
    }
    for (uint32_t i = 0; i < m->nstates; i++) {
        if (!strncmp(RT_STR(m, t[i].name), prefix, n)) return 0;
    }
    return n;
}

/* The name stands in one of the modules of a list "fc,layer4.1". */
static bool listed(const char *list, const char *name)
{
    for (const char *p = list; p && *p;) {
        size_t n = strcspn(p, ",");
        if (n && !strncmp(p, name, n) && (name[n] == '.' || !name[n])) return true;
        p += n + (p[n] == ',');
    }
    return false;
}

static void check_fresh(const Load *l)
{
    const RtTensor *t = rt_model_states(l->m);
    for (const char *p = l->fit->fresh; p && *p;) {
        bool found = false;
        size_t n = strcspn(p, ",");
        char *module = rt_format("%.*s", (int)n, p);
        for (uint32_t i = 0; i < l->m->nstates && !found; i++) {
            found = listed(module, RT_STR(l->m, t[i].name));
        }
        if (!found) {
            rt_fail(RT_EXIT_USAGE, "C002", "--reinit: the model has no weights under '%s'",
                    rt_esc(module));
        }
        free(module);
        p += n + (p[n] == ',');
    }
}

/* ---- checks ---- */

static bool same_shape(const RtTensor *t, const RtStTensor *x)
{
    return t->rank == x->rank && !memcmp(t->dim, x->dim, sizeof(int64_t) * t->rank);
}

/* The file's tensor for t; NULL: t keeps its value. */
static const RtStTensor *source(const Load *l, const RtTensor *t)
{
    const char *name = RT_STR(l->m, t->name);
    return wanted(l, t) && !listed(l->fit->fresh, name) ? find(l, name) : NULL;
}

static void match(Load *l)
{
    const RtTensor *t = rt_model_states(l->m);
    for (uint32_t i = 0; i < l->m->nstates; i++, t++) {
        const char *name = RT_STR(l->m, t->name);
        const RtStTensor *x = source(l, t);
        bool counter = rt_ckpt_is_counter(name);
        if (!wanted(l, t) || (counter && !x)) continue;
        l->done.wanted++;
        if (listed(l->fit->fresh, name)) {
            note(&l->done.fresh, name);
        } else if (!x) {
            note(&l->done.missing, name);
        } else if (!same_shape(t, x)) {
            if (!l->shapes.n) l->shape = x;
            note(&l->shapes, name);
        } else
            l->done.matched++;
    }
    for (int i = 0; i < l->file->n; i++) {
        const char *name = name_in(l, &l->file->tensor[i]);
        if (!rt_ckpt_is_counter(name) && !rt_model_state(l->m, name) &&
            !listed(l->fit->fresh, name))
            note(&l->done.extra, name);
    }
}

static void check_names(const Load *l)
{
    const RtFitted *d = &l->done;
    if (l->fit->lenient || d->missing.n + d->extra.n == 0) return;
    char *what = join(names_text("missing", &d->missing), "; ", names_text("extra", &d->extra));
    rt_fail(RT_EXIT_DATA, "W007",
            "'%s' does not fit the model: %s\n--strict=no goes on without them",
            rt_esc(l->file->name), what);
}

static void shape_text(char *out, size_t size, int rank, const int64_t *dim)
{
    size_t at = (size_t)snprintf(out, size, "[");
    for (int a = 0; a < rank && at < size; a++) {
        at += (size_t)snprintf(out + at, size - at, "%s%lld", a ? "," : "", (long long)dim[a]);
    }
    if (at < size) snprintf(out + at, size - at, "]");
}

static void check_shapes(const Load *l)
{
    if (!l->shapes.n) return;
    char has[200], wants[200], more[40] = "";
    const char *name = l->shapes.first[0], *dot = strrchr(name, '.');
    const RtTensor *t = rt_model_state(l->m, name);
    shape_text(has, sizeof has, l->shape->rank, l->shape->dim);
    shape_text(wants, sizeof wants, t->rank, t->dim);
    if (l->shapes.n > 1) snprintf(more, sizeof more, " (+%d more)", l->shapes.n - 1);
    rt_fail(
        RT_EXIT_DATA, "W008",
        "'%s': file %s, model %s%s\nto train it afresh add `%s` to weights.reinit, which --init "
        "obeys (%d of %d tensors match)",
        rt_esc(name), has, wants, more, rt_esc_n(name, dot ? (size_t)(dot - name) : strlen(name)),
        l->done.matched, l->done.wanted);
}

/* ---- values ---- */

/* PyTorch counts batches in I64; the program keeps every state that is no index in f32. */
static void *values(const Load *l, const RtStTensor *x, const RtTensor *t, RtError *e)
{
    bool counter = rt_ckpt_is_counter(RT_STR(l->m, t->name));
    if (t->dtype != RT_F32 || x->dtype[0] != 'I' || !counter)
        return rt_st_values(l->file, x, t->dtype == RT_F32, e);
    float *out = rt_alloc((size_t)x->count, sizeof *out, "weights");
    for (int64_t i = 0; i < x->count; i++) out[i] = (float)rt_st_element(x, i);
    return out;
}

static void copy(const Load *l)
{
    const RtTensor *t = rt_model_states(l->m);
    void **plain = rt_alloc(l->m->nstates, sizeof *plain, "weights");
    for (uint32_t i = 0; i < l->m->nstates; i++) {
        const RtStTensor *x = source(l, &t[i]);
        RtError e;
        if (x && !(plain[i] = values(l, x, &t[i], &e))) rt_fail(e.exit, e.id, "%s", e.text);
    }
    for (uint32_t i = 0; i < l->m->nstates; i++) {
        if (plain[i]) rt_pack(&t[i], rt_state_replace(l->s, &t[i]), plain[i]);
        free(plain[i]);
    }
    free(plain);
}

RtFitted rt_ckpt_load(RtState *s, unsigned roles, const RtSt *file, const RtFit *fit)
{
    static const RtFit exact;
    Load l = {.s = s, .m = s->model, .roles = roles, .file = file, .fit = fit ? fit : &exact};
    l.skip = common_prefix(file, l.m);
    check_fresh(&l);
    match(&l);
    check_names(&l);
    check_shapes(&l);
    copy(&l);
    return l.done;
}

char *rt_ckpt_report(const RtSt *file, const RtFitted *f)
{
    char *line =
        rt_format("%s: %d of %d tensors loaded", rt_esc(file->name), f->matched, f->wanted);
    line = join(line, "; ", names_text("begin afresh:", &f->fresh));
    line = join(line, "; ", names_text("missing:", &f->missing));
    return join(line, "; ", names_text("passed over:", &f->extra));
}
