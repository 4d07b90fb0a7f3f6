/* From the values of a pickle and the storages of a file to tensors.
 *
 * The dict of tensors is the pickle's value itself or stands under one of the names that training
 * scripts use. A view whose elements lie in row-major order points into the file; any other one is
 * copied, as far as the budget reaches: strides of 0 make large tensors of nothing. */
#include "weights/pth.h"
#include "err.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { TAR_MAGIC = 257, SMALL = 64 << 20, BUDGET_FACTOR = 16, NAME_MAX_LEN = 4096 };

bool rt_pth_fail(RtPth *f, const char *id, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    f->e->exit = RT_EXIT_DATA;
    f->e->id = id;
    vsnprintf(f->e->text, sizeof f->e->text, fmt, ap);
    va_end(ap);
    return false;
}

/* ---- storages ---- */

void rt_pth_add(RtPth *f, RtPthStore s)
{
    if (f->nstore == f->max_store) {
        size_t max = f->max_store ? 2 * f->max_store : 64;
        RtPthStore *v = rt_alloc(max, sizeof *v, "storages");
        if (f->nstore) memcpy(v, f->store, f->nstore * sizeof *v);
        free(f->store);
        f->store = v;
        f->max_store = max;
    }
    f->store[f->nstore++] = s;
}

static int by_key(const void *x, const void *y)
{
    const RtPthStore *a = x, *b = y;
    return rt_value_compare(a->key, b->key);
}

void rt_pth_sort(RtPth *f)
{
    if (f->nstore) qsort(f->store, f->nstore, sizeof *f->store, by_key);
}

const RtPthStore *rt_pth_find(const RtPth *f, const RtValue *key)
{
    RtPthStore wanted = {.key = key};
    return f->nstore ? bsearch(&wanted, f->store, f->nstore, sizeof wanted, by_key) : NULL;
}

/* (view_key, offset, count): the storage is a part of the one that the key names. */
static bool read_part(RtStorage *s, const RtValue *view)
{
    if (view->kind == RT_P_NONE) return true;
    RtValue *const *part = rt_value_tuple(view, 3);
    if (!part || part[1]->kind != RT_P_INT || part[2]->kind != RT_P_INT) return false;
    s->first = part[1]->i;
    s->part = part[2]->i;
    return s->first >= 0 && s->part >= 0;
}

RtValue *rt_pth_storage_id(void *ctx, RtPickle *k, const RtValue *id)
{
    RtPth *f = ctx;
    RtValue *const *v = rt_value_tuple(id, 5);
    const char *dtype = v ? rt_pickle_dtype(v[1]) : NULL;
    bool ok = dtype && rt_value_is_text(v[0], "storage") && v[2]->kind == RT_P_TEXT &&
              v[4]->kind == RT_P_INT && v[4]->i >= 0;
    RtValue *s = ok ? rt_pickle_storage(k) : NULL;
    if (s) *s->storage = (RtStorage){dtype, v[2], v[4]->i, 0, v[4]->i};
    if (!ok || (s && id->list.n > 5 && !read_part(s->storage, v[5])))
        return rt_pickle_fail(k, "W002", "'%s': a storage of an unknown form", rt_esc(f->name));
    if (s) rt_pth_add(f, (RtPthStore){.key = v[2], .dtype = dtype, .count = v[4]->i});
    return s;
}

/* ---- the dict of tensors ---- */

static bool holds_tensors(const RtValue *v)
{
    for (size_t i = 1; v && v->kind == RT_P_DICT && i < v->list.n; i += 2) {
        if (v->list.v[i]->kind == RT_P_TENSOR) return true;
    }
    return false;
}

static const RtValue *find_tensors(const RtValue *root)
{
    static const char *const names[] = {"state_dict", "model_state_dict", "model", "net",
                                        "weights"};
    if (holds_tensors(root)) return root;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const RtValue *v = rt_value_get(root, names[i]);
        if (holds_tensors(v)) return v;
    }
    return NULL;
}

/* ---- tensors ---- */

/* The last element of the view lies in the storage. */
static bool fits(const RtTensorView *t, int64_t first, int64_t count, int64_t elements)
{
    int64_t last = t->offset;
    if (t->offset < 0 || t->offset > count || first < 0) return false;
    for (int a = 0; a < t->rank; a++) {
        int64_t span;
        if (t->stride[a] < 0) return false;
        if (elements == 0) continue;
        if (__builtin_mul_overflow(t->size[a] - 1, t->stride[a], &span) ||
            __builtin_add_overflow(last, span, &last))
            return false;
    }
    return elements == 0 || last < count;
}

static bool row_major(const RtTensorView *t)
{
    int64_t step = 1;
    for (int a = t->rank - 1; a >= 0; a--) {
        if (t->size[a] != 1 && t->stride[a] != step) return false;
        step *= t->size[a];
    }
    return true;
}

/* Copies the view row-major; returns where it stopped writing. */
static char *gather(const RtTensorView *t, int axis, const char *from, char *to, unsigned size)
{
    if (axis == t->rank) {
        memcpy(to, from, size);
        return to + size;
    }
    for (int64_t i = 0; i < t->size[axis]; i++) {
        to = gather(t, axis + 1, from + i * t->stride[axis] * size, to, size);
    }
    return to;
}

static bool shape(RtPth *f, RtStTensor *x, const RtTensorView *t)
{
    x->rank = t->rank;
    x->count = 1;
    for (int a = 0; a < t->rank; a++) {
        x->dim[a] = t->size[a];
        if (t->size[a] < 0 || __builtin_mul_overflow(x->count, t->size[a], &x->count))
            return rt_pth_fail(f, "W005", "'%s': shape is too large", rt_esc(x->name));
    }
    return true;
}

static bool place(RtPth *f, RtStTensor *x, const RtTensorView *t)
{
    const RtStorage *s = t->storage;
    const RtPthStore *store = s ? rt_pth_find(f, s->key) : NULL;
    if (!store || !store->data)
        return rt_pth_fail(f, "W004", "'%s': the file does not hold its values", rt_esc(x->name));
    snprintf(x->dtype, sizeof x->dtype, "%s", store->dtype);
    unsigned size = rt_st_dtype_size(x->dtype);
    int64_t count = s->part;
    if (s->first > store->count || count > store->count - s->first ||
        !fits(t, s->first, count, x->count)) {
        return rt_pth_fail(f, "W004", "'%s' reaches beyond its storage of %lld elements",
                           rt_esc(x->name), (long long)store->count);
    }
    if (__builtin_mul_overflow((uint64_t)x->count, (uint64_t)size, &x->bytes))
        return rt_pth_fail(f, "W005", "'%s': shape is too large", rt_esc(x->name));
    x->data = store->data + (s->first + t->offset) * size;
    if (x->count == 0 || row_major(t)) return true;
    if (x->bytes > f->budget) {
        return rt_pth_fail(f, "W005", "'%s' needs %llu bytes, too much for this file",
                           rt_esc(x->name), (unsigned long long)x->bytes);
    }
    f->budget -= x->bytes;
    x->own = rt_alloc((size_t)x->count, size, "a tensor");
    gather(t, 0, x->data, x->own, size);
    x->data = x->own;
    return true;
}

static bool add_tensor(RtPth *f, RtSt *s, const RtValue *key, const RtTensorView *t)
{
    if (key->kind != RT_P_TEXT || key->text.n > NAME_MAX_LEN ||
        (key->text.n && memchr(key->text.s, 0, key->text.n)))
        return rt_pth_fail(f, "W002", "'%s': a tensor's name is no plain text", rt_esc(f->name));
    RtStTensor *x = &s->tensor[s->n++];
    x->name = rt_format("%.*s", (int)key->text.n, key->text.s);
    return shape(f, x, t) && place(f, x, t);
}

static int by_name(const void *x, const void *y)
{
    const RtStTensor *const *a = x, *const *b = y;
    return strcmp((*a)->name, (*b)->name);
}

static bool unique(RtPth *f, const RtSt *s)
{
    const RtStTensor **v = rt_alloc((size_t)s->n, sizeof *v, "tensor names");
    bool ok = true;
    for (int i = 0; i < s->n; i++) v[i] = &s->tensor[i];
    if (s->n) qsort(v, (size_t)s->n, sizeof *v, by_name);
    for (int i = 1; i < s->n && ok; i++) {
        if (strcmp(v[i - 1]->name, v[i]->name) == 0)
            ok = rt_pth_fail(f, "W003", "tensor '%s' is listed twice", rt_esc(v[i]->name));
    }
    free(v);
    return ok;
}

/* Values that are no tensors (epoch numbers, names) are passed over. */
static bool add_tensors(RtPth *f, RtSt *s)
{
    const RtValue *dict = find_tensors(f->root);
    if (!dict)
        return rt_pth_fail(f, "W002", "'%s' holds no dict of tensors (a state_dict)",
                           rt_esc(f->name));
    s->tensor = rt_alloc(dict->list.n / 2, sizeof *s->tensor, "tensor names");
    for (size_t i = 0; i + 1 < dict->list.n; i += 2) {
        const RtValue *v = dict->list.v[i + 1];
        if (v->kind == RT_P_TENSOR && !add_tensor(f, s, dict->list.v[i], v->tensor)) return false;
    }
    return unique(f, s);
}

/* ---- the whole ---- */

static bool is_zip(const unsigned char *p, size_t n)
{
    return n >= 4 && !memcmp(p, "PK\3\4", 4);
}

static bool is_tar(const unsigned char *p, size_t n)
{
    return n >= 512 && !memcmp(p + TAR_MAGIC, "ustar", 5);
}

static bool is_pickle(const unsigned char *p, size_t n)
{
    return n >= 2 && p[0] == 0x80 && p[1] >= 2 && p[1] <= 5;
}

bool rt_pth_is(const void *p, size_t n)
{
    return is_zip(p, n) || is_tar(p, n) || is_pickle(p, n);
}

static bool read_file(RtPth *f, RtSt *s)
{
    if (is_zip(f->p, f->n)) {
        s->format = "pth (zip)";
        return rt_pth_zip(f);
    }
    if (is_tar(f->p, f->n)) {
        s->format = "pth (tar)";
        return rt_pth_tar(f);
    }
    s->format = "pth (legacy)";
    return rt_pth_legacy(f);
}

RtSt *rt_pth_parse(void *file, size_t size, size_t mapped, const char *name, RtError *e)
{
    RtSt *s = rt_alloc(1, sizeof *s, "a tensor file");
    RtPth f = {.p = file, .n = size, .name = name, .e = e};
    s->name = rt_strdup(name);
    s->file = file;
    s->mapped = mapped;
    f.budget = (uint64_t)size * BUDGET_FACTOR + SMALL;
    bool ok = read_file(&f, s) && add_tensors(&f, s);
    s->own = f.own; /* tensors may lie there */
    s->nown = f.nown;
    if (f.pickle) rt_pickle_free(f.pickle);
    free(f.store);
    if (ok) return s;
    rt_st_free(s);
    return NULL;
}
