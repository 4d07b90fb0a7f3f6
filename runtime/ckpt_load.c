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

/* Rows [begin, end) of a tensor on their way, by whichever thread. */
typedef struct Piece {
    const RtView *view;
    void *storage;
    const char *plain; /* of row `begin` */
    int64_t begin, end, row; /* row: elements of one */
    int64_t bad, first;      /* values that are not finite, and the first of them, from `begin` on */
    bool check;
} Piece;

typedef struct Tensor {
    const RtStTensor *from; /* NULL: keeps its value */
    const void *plain;
    void *own; /* the plain values' memory, where they do not lie in the file's */
    RtView view;
    int piece, npieces;
} Tensor;

static void check_pieces(void *const *args, int64_t begin, int64_t end)
{
    Piece *p = args[0];
    for (int64_t i = begin; i < end; i++)
        if (p[i].check) p[i].bad = rt_st_nonfinite(p[i].plain, (p[i].end - p[i].begin) * p[i].row, &p[i].first);
}

static void pack_pieces(void *const *args, int64_t begin, int64_t end)
{
    const Piece *p = args[0];
    for (int64_t i = begin; i < end; i++) rt_view_pack(p[i].view, p[i].storage, p[i].plain, p[i].begin, p[i].end);
}

static void host_tasks(RtDevice *d, RtKernel k, void *args, int64_t n)
{
    void *const list[] = {args};
    if (d->tasks)
        d->tasks(d, k, list, n);
    else
        k(list, 0, n);
}

/* Cuts a tensor into pieces of some 64 thousand elements and of whole blocks of rows; into NULL: only counts them. */
static int cut(const Tensor *t, Piece *to)
{
    enum { PIECE = 1 << 16, ROWS = 16 };
    int64_t rows = t->view.dim[0], row = rows ? t->from->count / rows : 0, step = row ? PIECE / row : rows;
    int n = 0;
    step = (step / ROWS + 1) * ROWS;
    for (int64_t at = 0; at < rows; at += step, n++) {
        if (!to) continue;
        int64_t end = at + step < rows ? at + step : rows;
        to[n] = (Piece){.view = &t->view, .plain = (const char *)t->plain + 4 * at * row, .begin = at, .end = end};
        to[n].row = row;
        to[n].check = !t->own;
    }
    return n;
}

/* The first tensor with values that are not finite ends the program. */
static void refuse(const Tensor *t, const Piece *piece)
{
    int64_t bad = 0, first = 0;
    RtError e;
    for (int i = 0; i < t->npieces; i++) {
        const Piece *p = &piece[t->piece + i];
        if (p->bad && !bad) first = p->begin * p->row + p->first;
        bad += p->bad;
    }
    if (!bad) return;
    rt_st_refuse_nonfinite(t->from, bad, first, &e);
    rt_fail(e.exit, e.id, "%s", e.text);
}

static void copy(const Load *l)
{
    const RtTensor *state = rt_model_states(l->m);
    uint32_t n = l->m->nstates;
    Tensor *t = rt_alloc(n, sizeof *t, "weights");
    int pieces = 0;
    for (uint32_t i = 0; i < n; i++) {
        RtError e;
        if (!(t[i].from = source(l, &state[i]))) continue;
        t[i].plain = state[i].dtype == RT_F32 ? rt_st_f32(t[i].from) : NULL;
        if (!t[i].plain && !(t[i].plain = t[i].own = values(l, t[i].from, &state[i], &e))) rt_fail(e.exit, e.id, "%s", e.text);
        rt_view_init(&t[i].view, &state[i].layout);
        t[i].piece = pieces;
        pieces += t[i].npieces = cut(&t[i], NULL);
    }
    Piece *piece = rt_alloc((size_t)pieces, sizeof *piece, "weights");
    for (uint32_t i = 0; i < n; i++)
        if (t[i].from) cut(&t[i], piece + t[i].piece);
    host_tasks(l->s->device, check_pieces, piece, pieces);
    for (uint32_t i = 0; i < n; i++) refuse(&t[i], piece);
    for (uint32_t i = 0; i < n; i++) {
        if (!t[i].from) continue;
        void *storage = rt_state_replace(l->s, &state[i]);
        for (int k = 0; k < t[i].npieces; k++) piece[t[i].piece + k].storage = storage;
    }
    host_tasks(l->s->device, pack_pieces, piece, pieces);
    for (uint32_t i = 0; i < n; i++) {
        free(t[i].own);
        if (t[i].from) rt_view_free(&t[i].view);
    }
    free(piece);
    free(t);
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
