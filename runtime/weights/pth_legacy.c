/* The form before PyTorch 1.6: pickles of a magic number, a version, the machine, the object and
 * the storages' keys; then each storage as its number of elements (64 bits) and its bytes. */
#include "err.h"
#include "weights/pth.h"
#include <string.h>

enum { VERSION = 1001 };

static const unsigned char magic[10] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};

static RtValue *next(RtPth *f, size_t *at)
{
    size_t used = 0;
    RtValue *v = rt_pickle_read(f->pickle, f->p + *at, f->n - *at, &used);
    *at += used;
    return v;
}

static bool read_head(RtPth *f, size_t *at)
{
    const RtValue *v = next(f, at);
    if (!v) return false;
    if (v->kind != RT_P_BIG || v->text.n != sizeof magic ||
        memcmp(v->text.s, magic, sizeof magic) != 0)
        return rt_pth_fail(f, "W001", "'%s': a pickle, but not of torch.save", rt_esc(f->name));
    if (!(v = next(f, at))) return false;
    if (v->kind != RT_P_INT || v->i != VERSION)
        return rt_pth_fail(f, "W001", "'%s': unknown version of torch.save", rt_esc(f->name));
    if (!(v = next(f, at))) return false;
    const RtValue *little = rt_value_get(v, "little_endian");
    if (!little || little->kind != RT_P_BOOL || !little->i)
        return rt_pth_fail(f, "W006", "'%s' was written on a big-endian machine", rt_esc(f->name));
    return true;
}

/* The storages that the object named, each once. */
static bool merge(RtPth *f)
{
    size_t n = 0;
    rt_pth_sort(f);
    for (size_t i = 0; i < f->nstore; i++) {
        const RtPthStore *s = &f->store[i], *last = n ? &f->store[n - 1] : NULL;
        if (!last || rt_value_compare(last->key, s->key) != 0) {
            f->store[n++] = *s;
        } else if (s->dtype != last->dtype || s->count != last->count)
            return rt_pth_fail(f, "W005", "'%s': one storage as two things", rt_esc(f->name));
    }
    f->nstore = n;
    return true;
}

static bool read_storage(RtPth *f, const RtValue *key, size_t *at)
{
    RtPthStore *s = key->kind == RT_P_TEXT ? (RtPthStore *)(uintptr_t)rt_pth_find(f, key) : NULL;
    int64_t count;
    if (!s || s->data)
        return rt_pth_fail(f, "W004", "'%s': a storage that nothing names, or twice",
                           rt_esc(f->name));
    if (f->n - *at < sizeof count)
        return rt_pth_fail(f, "W004", "'%s' ends before its last storage", rt_esc(f->name));
    memcpy(&count, f->p + *at, sizeof count);
    *at += sizeof count;
    unsigned size = rt_st_dtype_size(s->dtype);
    if (count != s->count || (uint64_t)count > (f->n - *at) / size) {
        return rt_pth_fail(f, "W004", "'%s': a storage of %lld elements where %lld are to be",
                           rt_esc(f->name), (long long)count, (long long)s->count);
    }
    s->data = (const char *)f->p + *at;
    *at += (size_t)count * size;
    return true;
}

bool rt_pth_legacy(RtPth *f)
{
    size_t at = 0;
    f->pickle = rt_pickle_new(f->name, rt_pth_storage_id, f, f->e);
    if (!read_head(f, &at) || !(f->root = next(f, &at)) || !merge(f)) return false;
    const RtValue *keys = next(f, &at);
    if (!keys) return false;
    if (keys->kind != RT_P_LIST)
        return rt_pth_fail(f, "W002", "'%s': no list of storages", rt_esc(f->name));
    for (size_t i = 0; i < keys->list.n; i++) {
        if (!read_storage(f, keys->list.v[i], &at)) return false;
    }
    if (at == f->n) return true;
    return rt_pth_fail(f, "W004", "'%s': %zu bytes after the last storage", rt_esc(f->name),
                       f->n - at);
}
