/* The zip form: NAME/data.pkl is the pickle, NAME/data/KEY are the storages' bytes. */
#include "err.h"
#include "weights/pth.h"
#include "weights/zip.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_SIZE = 512 };

typedef struct Archive {
    RtPth *f;
    RtZip zip;
    char prefix[PATH_SIZE]; /* "NAME/" */
} Archive;

/* The entry NAME/data.pkl, of which there must be one; a file that was packed again may have none
 * or another NAME. */
static const RtZipEntry *find_pickle(Archive *a)
{
    static const char last[] = "data.pkl";
    const size_t n = sizeof last - 1;
    const RtZipEntry *found = NULL;
    for (size_t i = 0; i < a->zip.count; i++) {
        const RtZipEntry *x = &a->zip.entry[i];
        size_t before = x->name_len >= n ? x->name_len - n : 0;
        if (x->name_len < n || memcmp(x->name + before, last, n) != 0 || before >= PATH_SIZE ||
            (before && x->name[before - 1] != '/'))
            continue;
        if (found) {
            rt_pth_fail(a->f, "W003", "'%s': two pickles in one archive", rt_esc(a->f->name));
            return NULL;
        }
        found = x;
        memcpy(a->prefix, x->name, before);
        a->prefix[before] = 0;
    }
    if (!found)
        rt_pth_fail(a->f, "W001", "'%s': a zip archive, but not of torch.save: no data.pkl",
                    rt_esc(a->f->name));
    return found;
}

static const char *data_of(Archive *a, const RtZipEntry *x)
{
    RtPth *f = a->f;
    void *own;
    const char *p = rt_zip_data(&a->zip, x, &f->budget, &own, f->e);
    if (own) f->own[f->nown++] = own;
    return p;
}

static bool little_endian(Archive *a)
{
    char name[PATH_SIZE + 16];
    int n = snprintf(name, sizeof name, "%sbyteorder", a->prefix);
    const RtZipEntry *x = rt_zip_find(&a->zip, name, (size_t)n);
    const char *p = x ? data_of(a, x) : "little";
    if (!p) return false;
    if (x && (x->size != 6 || memcmp(p, "little", 6) != 0))
        return rt_pth_fail(a->f, "W006", "'%s' was written on a big-endian machine",
                           rt_esc(a->f->name));
    return true;
}

/* A storage stands in the list as often as the pickle named it. */
static bool same_as_last(const RtPth *f, size_t i)
{
    return i > 0 && rt_value_compare(f->store[i - 1].key, f->store[i].key) == 0;
}

static bool fill_store(Archive *a, RtPthStore *s)
{
    char name[PATH_SIZE + 256];
    RtPth *f = a->f;
    size_t key = s->key->text.n < 200 ? s->key->text.n : 200;
    int n = snprintf(name, sizeof name, "%sdata/", a->prefix);
    memcpy(name + n, s->key->text.s, key);
    const RtZipEntry *x = rt_zip_find(&a->zip, name, (size_t)n + key);
    const char *shown = rt_esc_n(name, (size_t)n + key);
    if (!x) return rt_pth_fail(f, "W004", "'%s': the archive has no '%s'", rt_esc(f->name), shown);
    uint64_t size = rt_st_dtype_size(s->dtype);
    if (x->size / size != (uint64_t)s->count || x->size % size) {
        return rt_pth_fail(f, "W005", "'%s': '%s' has %llu bytes, not %lld elements of %s",
                           rt_esc(f->name), shown, (unsigned long long)x->size, (long long)s->count,
                           s->dtype);
    }
    s->data = data_of(a, x);
    return s->data != NULL;
}

static bool fill_stores(Archive *a)
{
    RtPth *f = a->f;
    rt_pth_sort(f);
    for (size_t i = 0; i < f->nstore; i++) {
        RtPthStore *s = &f->store[i];
        if (!same_as_last(f, i)) {
            if (!fill_store(a, s)) return false;
            continue;
        }
        if (s->dtype != s[-1].dtype || s->count != s[-1].count)
            return rt_pth_fail(f, "W005", "'%s': one storage as two things", rt_esc(f->name));
        s->data = s[-1].data;
    }
    return true;
}

static bool read_archive(Archive *a)
{
    RtPth *f = a->f;
    const RtZipEntry *x = find_pickle(a);
    f->own = rt_alloc(a->zip.count + 1, sizeof *f->own, "a zip archive");
    if (!x || !little_endian(a)) return false;
    const char *p = data_of(a, x);
    size_t used;
    if (!p) return false;
    f->pickle = rt_pickle_new(f->name, rt_pth_storage_id, f, f->e);
    f->root = rt_pickle_read(f->pickle, p, x->size, &used);
    return f->root && fill_stores(a);
}

bool rt_pth_zip(RtPth *f)
{
    Archive a = {.f = f};
    bool ok = rt_zip_open(&a.zip, f->p, f->n, f->name, f->e) && read_archive(&a);
    rt_zip_close(&a.zip);
    return ok;
}
