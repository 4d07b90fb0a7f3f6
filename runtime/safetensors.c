/* Reading safetensors: nothing is believed before it is checked.
 *
 * In: the bytes of a file. Out: names, shapes and pointers into these bytes; or W001 .. W006.
 * Rule: the header is a JSON object of known members; the tensors' bytes follow one another without
 * hole or overlap from the first byte after the header to the last byte of the file; every size
 * equals dtype times shape. Not here: elements (safetensors_values.c), writing
 * (safetensors_write.c), PyTorch's files (weights/), fitting tensors to a model (ckpt.c). */
#include "safetensors.h"
#include "err.h"
#include "file.h"
#include "sha256.h"
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HEADER_MAX = 100000000, DEPTH_MAX = 4 };

static bool fail(RtError *e, const char *id, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static bool fail(RtError *e, const char *id, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    e->exit = RT_EXIT_DATA;
    e->id = id;
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    return false;
}

static const struct {
    const char *name;
    unsigned size;
} dtypes[] = {{"F32", 4},  {"I64", 8},  {"I32", 4}, {"F64", 8},     {"F16", 2},
              {"BF16", 2}, {"BOOL", 1}, {"U8", 1},  {"I8", 1},      {"I16", 2},
              {"U16", 2},  {"U32", 4},  {"U64", 8}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};

unsigned rt_st_dtype_size(const char *s)
{
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        if (!strcmp(s, dtypes[i].name)) return dtypes[i].size;
    }
    return 0;
}

/* Depth of nesting, without recursion: brackets outside strings. jansson itself would follow 2048
 * levels. */
static bool too_deep(const char *s, size_t n)
{
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < n; i++) {
        if (quoted && s[i] == '\\')
            i++;
        else if (s[i] == '"')
            quoted = !quoted;
        else if (!quoted && (s[i] == '{' || s[i] == '[') && ++depth > DEPTH_MAX)
            return true;
        else if (!quoted && (s[i] == '}' || s[i] == ']'))
            depth--;
    }
    return false;
}

static json_t *read_header(const RtSt *s, const char *text, size_t n, RtError *e)
{
    if (n == 0 || text[0] != '{' || too_deep(text, n)) {
        fail(e, "W002", "'%s': header is not a flat JSON object", rt_esc(s->name));
        return NULL;
    }
    json_error_t err;
    json_t *j = json_loadb(text, n, JSON_REJECT_DUPLICATES, &err);
    if (j) return j;
    if (json_error_code(&err) == json_error_duplicate_key) {
        fail(e, "W003", "'%s': a name is listed twice: %s", rt_esc(s->name), rt_esc(err.text));
    } else {
        fail(e, "W002", "'%s': header is not valid JSON at byte %d", rt_esc(s->name), err.position);
    }
    return NULL;
}

static bool read_meta(RtSt *s, json_t *meta, RtError *e)
{
    const char *key;
    json_t *v;
    if (!json_is_object(meta))
        return fail(e, "W002", "'%s': __metadata__ is not an object", rt_esc(s->name));
    s->meta = rt_alloc(json_object_size(meta), sizeof *s->meta, "metadata");
    json_object_foreach(meta, key, v)
    {
        if (!json_is_string(v)) {
            return fail(e, "W002", "'%s': metadata '%s' is not a string", rt_esc(s->name),
                        rt_esc(key));
        }
        s->meta[s->nmeta++] = (RtPair){rt_strdup(key), rt_strdup(json_string_value(v))};
    }
    return true;
}

static bool read_shape(RtStTensor *t, json_t *shape, RtError *e)
{
    size_t i;
    json_t *v;
    if (!json_is_array(shape) || json_array_size(shape) > RT_ST_RANK) {
        return fail(e, "W006", "'%s': shape is not a list of at most %d numbers", rt_esc(t->name),
                    RT_ST_RANK);
    }
    t->count = 1;
    json_array_foreach(shape, i, v)
    {
        if (!json_is_integer(v) || json_integer_value(v) < 0) {
            return fail(e, "W006", "'%s': shape holds something that is not a whole number",
                        rt_esc(t->name));
        }
        t->dim[t->rank++] = json_integer_value(v);
        if (__builtin_mul_overflow(t->count, t->dim[t->rank - 1], &t->count)) {
            return fail(e, "W005", "'%s': shape is too large", rt_esc(t->name));
        }
    }
    return true;
}

static bool read_place(RtStTensor *t, json_t *offsets, uint64_t area, RtError *e)
{
    json_t *b = json_array_get(offsets, 0), *f = json_array_get(offsets, 1);
    if (!json_is_array(offsets) || json_array_size(offsets) != 2 || !json_is_integer(b) ||
        !json_is_integer(f)) {
        return fail(e, "W004", "'%s': data_offsets is not a pair of whole numbers",
                    rt_esc(t->name));
    }
    json_int_t begin = json_integer_value(b), end = json_integer_value(f);
    if (begin < 0 || begin > end || (uint64_t)end > area) {
        return fail(e, "W004", "'%s': data at [%lld,%lld), the file has %llu bytes of data",
                    rt_esc(t->name), (long long)begin, (long long)end, (unsigned long long)area);
    }
    t->offset = (uint64_t)begin;
    t->bytes = (uint64_t)(end - begin);
    return true;
}

static bool read_tensor(RtStTensor *t, const char *name, json_t *info, uint64_t area, RtError *e)
{
    t->name = rt_strdup(name);
    json_t *dtype = json_object_get(info, "dtype"), *shape = json_object_get(info, "shape");
    json_t *offsets = json_object_get(info, "data_offsets");
    if (!json_is_object(info) || !dtype || !shape || !offsets || json_object_size(info) != 3) {
        return fail(e, "W002", "'%s': needs dtype, shape, data_offsets and nothing else",
                    rt_esc(name));
    }
    const char *dt = json_is_string(dtype) ? json_string_value(dtype) : "";
    unsigned size = rt_st_dtype_size(dt);
    if (!size) return fail(e, "W006", "'%s': dtype %s not supported", rt_esc(name), rt_esc(dt));
    snprintf(t->dtype, sizeof t->dtype, "%s", dt);
    if (!read_shape(t, shape, e) || !read_place(t, offsets, area, e)) return false;
    uint64_t bytes;
    if (__builtin_mul_overflow((uint64_t)t->count, (uint64_t)size, &bytes) || bytes != t->bytes) {
        return fail(e, "W005", "'%s': %s of %lld elements does not fill %llu bytes", rt_esc(name),
                    dt, (long long)t->count, (unsigned long long)t->bytes);
    }
    return true;
}

static int by_place(const void *x, const void *y)
{
    const RtStTensor *a = x, *b = y;
    if (a->offset != b->offset) return a->offset < b->offset ? -1 : 1;
    if (a->bytes != b->bytes) return a->bytes < b->bytes ? -1 : 1;
    return strcmp(a->name, b->name);
}

/* Tensors must tile the data area. */
static bool check_places(RtSt *s, uint64_t area, RtError *e)
{
    uint64_t at = 0;
    if (s->n) qsort(s->tensor, (size_t)s->n, sizeof *s->tensor, by_place);
    for (int i = 0; i < s->n; i++) {
        const RtStTensor *t = &s->tensor[i];
        if (t->offset != at) {
            return fail(
                e, "W004",
                "data of '%s' at [%llu,%llu) does not follow the one before, which ends at %llu",
                rt_esc(t->name), (unsigned long long)t->offset,
                (unsigned long long)(t->offset + t->bytes), (unsigned long long)at);
        }
        at += t->bytes;
    }
    if (at == area) return true;
    return fail(e, "W004", "'%s': %llu bytes after the last tensor", rt_esc(s->name),
                (unsigned long long)(area - at));
}

static bool read_all(RtSt *s, json_t *j, char *data, uint64_t area, RtError *e)
{
    const char *key;
    json_t *v;
    s->tensor = rt_alloc(json_object_size(j), sizeof *s->tensor, "tensor names");
    json_object_foreach(j, key, v)
    {
        if (!strcmp(key, "__metadata__")) {
            if (!read_meta(s, v, e)) return false;
        } else if (!read_tensor(&s->tensor[s->n++], key, v, area, e))
            return false;
    }
    if (!check_places(s, area, e)) return false;
    for (int i = 0; i < s->n; i++) s->tensor[i].data = data + s->tensor[i].offset;
    return true;
}

/* The checksum that the file carries, if it does. */
static bool check_sum(const RtSt *s, const char *header, size_t n, uint64_t area, RtError *e)
{
    const char *want = rt_st_meta(s, RT_ST_SHA);
    if (!want) return true;
    size_t len = strlen(want);
    char *copy = rt_alloc(n, 1, "a header"), *at, got[RT_SHA256_HEX + 1] = "";
    memcpy(copy, header, n);
    if (len == RT_SHA256_HEX && (at = memmem(copy, n, want, len))) {
        RtSha256 sum;
        memset(at, '0', len);
        rt_sha256_begin(&sum);
        rt_sha256_add(&sum, copy, n);
        rt_sha256_add(&sum, header + n, area);
        rt_sha256_hex(&sum, got);
    }
    free(copy);
    if (!strcmp(got, want)) return true;
    return fail(e, "W011", "'%s': its checksum does not match: the file is damaged",
                rt_esc(s->name));
}

static RtSt *parse(void *file, size_t size, size_t mapped, const char *name, RtError *e)
{
    RtSt *s = rt_alloc(1, sizeof *s, "a tensor file");
    s->name = rt_strdup(name);
    s->format = "safetensors";
    s->file = file;
    s->mapped = mapped;
    unsigned char *p = file;
    uint64_t header = 0;
    for (int i = 7; i >= 0 && size >= 8; i--) header = header << 8 | p[i];
    json_t *j = NULL;
    bool ok = false;
    if (size < 8) {
        fail(e, "W001", "'%s': not a safetensors file: %zu bytes", rt_esc(name), size);
    } else if (header > size - 8 || header > HEADER_MAX) {
        fail(e, "W001", "'%s': not a safetensors file: header length %llu", rt_esc(name),
             (unsigned long long)header);
    } else if ((j = read_header(s, (char *)p + 8, header, e))) {
        const char *text = (char *)p + 8;
        uint64_t area = size - 8 - header;
        ok = read_all(s, j, (char *)p + 8 + header, area, e) && check_sum(s, text, header, area, e);
    }
    json_decref(j);
    if (ok) return s;
    rt_st_free(s);
    return NULL;
}

RtSt *rt_st_parse(void *file, size_t size, const char *name, RtError *e)
{
    return parse(file, size, 0, name, e);
}

RtSt *rt_st_parse_map(void *file, size_t size, const char *name, RtError *e)
{
    return parse(file, size, size, name, e);
}

RtSt *rt_st_read(const char *path, RtError *e)
{
    size_t n;
    const char *why;
    char *file = rt_file_map(path, &n, &why);
    if (file) return rt_st_parse_map(file, n, path, e);
    fail(e, "W001", "cannot read '%s': %s", rt_esc(path), why);
    return NULL;
}

RtSt *rt_st_open(const char *path)
{
    RtError e;
    RtSt *s = rt_st_read(path, &e);
    if (!s) rt_fail(e.exit, e.id, "%s", e.text);
    return s;
}

void rt_st_free(RtSt *s)
{
    if (!s) return;
    for (int i = 0; i < s->n; i++) {
        free(s->tensor[i].name);
        free(s->tensor[i].own);
    }
    for (int i = 0; i < s->nmeta; i++) {
        free(s->meta[i].key);
        free(s->meta[i].value);
    }
    for (size_t i = 0; i < s->nown; i++) free(s->own[i]);
    free(s->own);
    free(s->tensor);
    free(s->meta);
    if (s->mapped)
        munmap(s->file, s->mapped);
    else
        free(s->file);
    free(s->name);
    free(s);
}

const RtStTensor *rt_st_find(const RtSt *s, const char *name)
{
    for (int i = 0; i < s->n; i++) {
        if (!strcmp(s->tensor[i].name, name)) return &s->tensor[i];
    }
    return NULL;
}

const char *rt_st_meta(const RtSt *s, const char *key)
{
    for (int i = 0; i < s->nmeta; i++) {
        if (!strcmp(s->meta[i].key, key)) return s->meta[i].value;
    }
    return NULL;
}
