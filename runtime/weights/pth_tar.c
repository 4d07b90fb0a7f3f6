/* The form before PyTorch 0.2: a tar archive of three members.
 *   storages: pickled number of them; of each a pickled (key, location, class), its number of
 *             elements (64 bits) and its bytes; a pickled list of (key, key of the whole, first
 *             element, elements) for parts of storages
 *   tensors:  pickled number of them; of each a pickled (key, storage's key, class), the rank (64
 *             bits), sizes, strides, offset (64 bits each)
 *   pickle:   the object, in which a tensor is its key, as decimal text */
#include "err.h"
#include "weights/pth.h"
#include <stdlib.h>
#include <string.h>

enum { RECORD = 512, SIZE_AT = 124, SIZE_LEN = 12, MAX_TENSORS = 1 << 20 };

typedef struct Member {
    const unsigned char *p;
    size_t n, at;
} Member;

typedef struct Named {
    int64_t key;
    RtValue *tensor;
} Named;

typedef struct Tar {
    RtPth *f;
    Member storages, tensors, object;
    Named *tensor;
    size_t ntensor;
} Tar;

/* ---- members ---- */

static bool octal(const unsigned char *p, size_t n, uint64_t *v)
{
    *v = 0;
    for (size_t i = 0; i < n && p[i] && p[i] != ' '; i++) {
        if (p[i] < '0' || p[i] > '7') return false;
        *v = *v << 3 | (uint64_t)(p[i] - '0');
    }
    return true;
}

static bool is_named(const unsigned char *record, const char *name)
{
    const char *s = (const char *)record;
    if (!strncmp(s, "./", 2)) s += 2;
    return !strncmp(s, name, strlen(name) + 1);
}

static bool find_members(Tar *t)
{
    RtPth *f = t->f;
    struct {
        const char *name;
        Member *m;
    } want[] = {{"storages", &t->storages}, {"tensors", &t->tensors}, {"pickle", &t->object}};
    for (size_t at = 0; f->n - at >= RECORD && f->p[at];) {
        uint64_t size;
        const unsigned char *record = f->p + at;
        at += RECORD;
        if (!octal(record + SIZE_AT, SIZE_LEN, &size) || size > f->n - at)
            return rt_pth_fail(f, "W004", "'%s': a member of the tar archive is damaged",
                               rt_esc(f->name));
        for (int i = 0; i < 3; i++) {
            if (is_named(record, want[i].name)) *want[i].m = (Member){f->p + at, size, 0};
        }
        uint64_t whole = (size + RECORD - 1) / RECORD * RECORD;
        at = whole > f->n - at ? f->n : at + whole;
    }
    if (t->storages.p && t->tensors.p && t->object.p) return true;
    return rt_pth_fail(f, "W001", "'%s': a tar archive, but not of torch.save", rt_esc(f->name));
}

static RtValue *next(Tar *t, Member *m)
{
    size_t used = 0;
    RtValue *v = rt_pickle_read(t->f->pickle, m->p + m->at, m->n - m->at, &used);
    m->at += used;
    return v;
}

static bool next_number(Member *m, int64_t *v)
{
    if (m->n - m->at < sizeof *v) return false;
    memcpy(v, m->p + m->at, sizeof *v);
    m->at += sizeof *v;
    return true;
}

static bool damaged(Tar *t, const char *what)
{
    return rt_pth_fail(t->f, "W004", "'%s': %s of the tar archive are damaged", rt_esc(t->f->name),
                       what);
}

/* A pickled number of things that take at least a byte each; -1: damaged. */
static int64_t next_count(Tar *t, Member *m, const char *what)
{
    const RtValue *v = next(t, m);
    if (!v) return -1;
    if (v->kind == RT_P_INT && v->i >= 0 && v->i <= MAX_TENSORS && (size_t)v->i <= m->n)
        return v->i;
    damaged(t, what);
    return -1;
}

/* ---- storages ---- */

static bool read_storage(Tar *t, Member *m)
{
    const RtValue *v = next(t, m);
    if (!v) return false;
    RtValue *const *x = rt_value_tuple(v, 3);
    const char *dtype = x ? rt_pickle_dtype(x[2]) : NULL;
    int64_t count;
    if (!dtype || x[0]->kind != RT_P_INT || !next_number(m, &count) || count < 0 ||
        (uint64_t)count > (m->n - m->at) / rt_st_dtype_size(dtype))
        return damaged(t, "storages");
    rt_pth_add(t->f, (RtPthStore){x[0], dtype, (const char *)m->p + m->at, count});
    m->at += (size_t)count * rt_st_dtype_size(dtype);
    return true;
}

static bool read_part(Tar *t, const RtValue *part, size_t nwhole)
{
    RtPth *f = t->f;
    RtValue *const *x = rt_value_tuple(part, 4);
    for (int i = 0; i < 4; i++) {
        if (!x || x[i]->kind != RT_P_INT) return damaged(t, "storages");
    }
    size_t all = f->nstore;
    f->nstore = nwhole; /* only these are in order */
    const RtPthStore *s = rt_pth_find(f, x[1]);
    f->nstore = all;
    int64_t first = x[2]->i, count = x[3]->i;
    if (!s || first < 0 || count < 0 || first > s->count || count > s->count - first)
        return damaged(t, "storages");
    const char *data = s->data + first * rt_st_dtype_size(s->dtype);
    rt_pth_add(f, (RtPthStore){x[0], s->dtype, data, count});
    return true;
}

static bool read_storages(Tar *t)
{
    Member *m = &t->storages;
    int64_t n = next_count(t, m, "storages");
    for (int64_t i = 0; i < n; i++) {
        if (!read_storage(t, m)) return false;
    }
    const RtValue *parts = n >= 0 ? next(t, m) : NULL;
    if (!parts) return false;
    if (parts->kind != RT_P_LIST) return damaged(t, "storages");
    rt_pth_sort(t->f);
    size_t whole = t->f->nstore;
    for (size_t i = 0; i < parts->list.n; i++) {
        if (!read_part(t, parts->list.v[i], whole)) return false;
    }
    rt_pth_sort(t->f);
    for (size_t i = 1; i < t->f->nstore; i++) {
        if (rt_value_compare(t->f->store[i - 1].key, t->f->store[i].key) == 0)
            return damaged(t, "storages");
    }
    return true;
}

/* ---- tensors ---- */

static bool read_view(Member *m, RtTensorView *v)
{
    int64_t rank; /* 32 bits and 32 bits of nothing */
    if (!next_number(m, &rank)) return false;
    v->rank = (int)(uint32_t)rank;
    if (v->rank < 0 || v->rank > RT_ST_RANK) return false;
    for (int a = 0; a < v->rank; a++) {
        if (!next_number(m, &v->size[a])) return false;
    }
    for (int a = 0; a < v->rank; a++) {
        if (!next_number(m, &v->stride[a])) return false;
    }
    return next_number(m, &v->offset);
}

static bool read_tensor(Tar *t, Member *m)
{
    const RtValue *v = next(t, m);
    if (!v) return false;
    RtValue *const *x = rt_value_tuple(v, 2), *tensor, *storage;
    if (!x || x[0]->kind != RT_P_INT || x[1]->kind != RT_P_INT) return damaged(t, "tensors");
    const RtPthStore *s = rt_pth_find(t->f, x[1]);
    if (!s) return damaged(t, "tensors");
    if (!(tensor = rt_pickle_tensor(t->f->pickle)) || !(storage = rt_pickle_storage(t->f->pickle)))
        return false;
    if (!read_view(m, tensor->tensor)) return damaged(t, "tensors");
    *storage->storage = (RtStorage){s->dtype, s->key, s->count, 0, s->count};
    tensor->tensor->storage = storage->storage;
    t->tensor[t->ntensor++] = (Named){x[0]->i, tensor};
    return true;
}

static int by_key(const void *x, const void *y)
{
    const Named *a = x, *b = y;
    return a->key < b->key ? -1 : a->key > b->key;
}

static bool read_tensors(Tar *t)
{
    Member *m = &t->tensors;
    int64_t n = next_count(t, m, "tensors");
    if (n < 0) return false;
    t->tensor = rt_alloc((size_t)n, sizeof *t->tensor, "tensors");
    for (int64_t i = 0; i < n; i++) {
        if (!read_tensor(t, m)) return false;
    }
    if (n) qsort(t->tensor, (size_t)n, sizeof *t->tensor, by_key);
    return true;
}

static bool key_of(const RtValue *id, int64_t *key)
{
    char text[24];
    *key = id->kind == RT_P_INT ? id->i : 0;
    if (id->kind != RT_P_TEXT) return id->kind == RT_P_INT;
    if (id->text.n == 0 || id->text.n >= sizeof text) return false;
    memcpy(text, id->text.s, id->text.n);
    text[id->text.n] = 0;
    *key = strtoll(text, NULL, 10);
    return strspn(text, "0123456789") == id->text.n;
}

static RtValue *tensor_of(void *ctx, RtPickle *k, const RtValue *id)
{
    Tar *t = ctx;
    Named wanted = {0};
    const Named *found = NULL;
    if (key_of(id, &wanted.key) && t->ntensor)
        found = bsearch(&wanted, t->tensor, t->ntensor, sizeof wanted, by_key);
    if (found) return found->tensor;
    return rt_pickle_fail(k, "W004", "'%s': a tensor that the tar archive does not hold",
                          rt_esc(t->f->name));
}

bool rt_pth_tar(RtPth *f)
{
    Tar t = {.f = f};
    f->pickle = rt_pickle_new(f->name, tensor_of, &t, f->e);
    bool ok = find_members(&t) && read_storages(&t) && read_tensors(&t) &&
              (f->root = next(&t, &t.object));
    free(t.tensor);
    return ok;
}
