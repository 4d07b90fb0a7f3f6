/* Zip: the directory at the end (with its 64-bit form), stored and deflated entries. Source:
 * PKWARE's APPNOTE.TXT 6.3, sections 4.3 and 4.5. Not here: encryption, archives in parts. */
#include "weights/zip.h"
#include "err.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
    END_SIG = 0x06054b50,
    END64_AT_SIG = 0x07064b50,
    END64_SIG = 0x06064b50,
    ENTRY_SIG = 0x02014b50,
    LOCAL_SIG = 0x04034b50,
    END_SIZE = 22,
    END64_AT_SIZE = 20,
    END64_SIZE = 56,
    ENTRY_SIZE = 46,
    LOCAL_SIZE = 30,
    COMMENT_MAX = 65535,
    STORED = 0,
    DEFLATED = 8
};

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

static uint64_t get(const unsigned char *p, int width)
{
    uint64_t v = 0;
    while (width-- > 0) v = v << 8 | p[width];
    return v;
}

typedef struct Directory {
    uint64_t at, size, count;
} Directory;

static bool inside(uint64_t at, uint64_t size, uint64_t n)
{
    return at <= n && size <= n - at;
}

/* The 64-bit end record, where the one at `end` has no room for the numbers. */
static bool read_end64(const RtZip *z, size_t end, Directory *d)
{
    if (end < END64_AT_SIZE || get(z->p + end - END64_AT_SIZE, 4) != END64_AT_SIG) return true;
    uint64_t at = get(z->p + end - END64_AT_SIZE + 8, 8);
    if (!inside(at, END64_SIZE, z->n) || get(z->p + at, 4) != END64_SIG) return false;
    *d = (Directory){get(z->p + at + 48, 8), get(z->p + at + 40, 8), get(z->p + at + 32, 8)};
    return true;
}

static bool find_directory(const RtZip *z, Directory *d, RtError *e)
{
    size_t lowest = z->n > END_SIZE + COMMENT_MAX ? z->n - END_SIZE - COMMENT_MAX : 0;
    for (size_t at = z->n >= END_SIZE ? z->n - END_SIZE + 1 : 0; at-- > lowest;) {
        const unsigned char *p = z->p + at;
        if (get(p, 4) != END_SIG || at + END_SIZE + get(p + 20, 2) != z->n) continue;
        *d = (Directory){get(p + 16, 4), get(p + 12, 4), get(p + 10, 2)};
        if (read_end64(z, at, d) && inside(d->at, d->size, at) && d->count <= d->size / ENTRY_SIZE)
            return true;
    }
    return fail(e, "W001", "'%s': the zip archive has no directory: the file is cut off or damaged",
                rt_esc(z->file));
}

/* Field 1 of the extra part: the numbers that were all ones above, in this order. */
static bool read_extra64(RtZipEntry *x, const unsigned char *p, size_t n)
{
    while (n >= 4) {
        size_t id = get(p, 2), size = get(p + 2, 2);
        p += 4;
        n -= 4;
        if (size > n) return false;
        uint64_t *field[] = {&x->size, &x->packed, &x->at};
        for (int i = 0; id == 1 && i < 3; i++) {
            if (*field[i] != UINT32_MAX) continue;
            if (size < 8) return false;
            *field[i] = get(p, 8);
            p += 8;
            n -= 8;
            size -= 8;
        }
        p += size;
        n -= size;
    }
    return true;
}

/* One entry of the directory at p; returns its length, 0: damaged. */
static size_t read_entry(const unsigned char *p, size_t n, RtZipEntry *x)
{
    if (n < ENTRY_SIZE || get(p, 4) != ENTRY_SIG) return 0;
    size_t name = get(p + 28, 2), extra = get(p + 30, 2), comment = get(p + 32, 2);
    if (name + extra + comment > n - ENTRY_SIZE || get(p + 8, 2) & 1) return 0;
    *x = (RtZipEntry){.name = (const char *)p + ENTRY_SIZE,
                      .name_len = name,
                      .method = (uint16_t)get(p + 10, 2),
                      .crc = (uint32_t)get(p + 16, 4),
                      .packed = get(p + 20, 4),
                      .size = get(p + 24, 4),
                      .at = get(p + 42, 4)};
    if (!read_extra64(x, p + ENTRY_SIZE + name, extra)) return 0;
    return ENTRY_SIZE + name + extra + comment;
}

static int compare(const char *a, size_t n, const char *b, size_t m)
{
    int c = memcmp(a, b, n < m ? n : m);
    return c ? c : n < m ? -1 : n > m;
}

static int by_name(const void *x, const void *y)
{
    const RtZipEntry *a = x, *b = y;
    return compare(a->name, a->name_len, b->name, b->name_len);
}

static bool read_entries(RtZip *z, const Directory *d, RtError *e)
{
    const unsigned char *p = z->p + d->at;
    uint64_t left = d->size, claimed = 0;
    z->entry = rt_alloc(d->count, sizeof *z->entry, "a zip directory");
    for (; z->count < d->count; z->count++) {
        RtZipEntry *x = &z->entry[z->count];
        size_t used = read_entry(p, left, x);
        if (!used || !inside(x->at, LOCAL_SIZE, d->at) ||
            !inside(x->packed, claimed + LOCAL_SIZE, d->at)) {
            return fail(e, "W004", "'%s': entry %zu of the zip archive is damaged", rt_esc(z->file),
                        z->count + 1);
        }
        claimed += LOCAL_SIZE + x->packed; /* overlapping entries would claim more than there is */
        p += used;
        left -= used;
    }
    if (z->count) qsort(z->entry, z->count, sizeof *z->entry, by_name);
    for (size_t i = 1; i < z->count; i++) {
        const RtZipEntry *x = &z->entry[i];
        if (by_name(x - 1, x) == 0) {
            return fail(e, "W003", "'%s': the zip archive has two entries '%s'", rt_esc(z->file),
                        rt_esc_n(x->name, x->name_len));
        }
    }
    return true;
}

bool rt_zip_open(RtZip *z, const void *p, size_t n, const char *file, RtError *e)
{
    Directory d = {0};
    *z = (RtZip){.p = p, .n = n, .file = file};
    return find_directory(z, &d, e) && read_entries(z, &d, e);
}

void rt_zip_close(RtZip *z)
{
    free(z->entry);
}

const RtZipEntry *rt_zip_find(const RtZip *z, const char *name, size_t len)
{
    RtZipEntry key = {.name = name, .name_len = len};
    return z->count ? bsearch(&key, z->entry, z->count, sizeof key, by_name) : NULL;
}

/* z_stream counts in 32 bits; a pickle or storage that large is not deflated in practice. */
static bool unpack(const unsigned char *p, const RtZipEntry *x, void *out)
{
    z_stream s = {.next_in = (unsigned char *)(uintptr_t)p,
                  .avail_in = (uInt)x->packed,
                  .next_out = out,
                  .avail_out = (uInt)x->size};
    if (x->packed > UINT32_MAX || x->size > UINT32_MAX) return false;
    if (inflateInit2(&s, -MAX_WBITS) != Z_OK) return false;
    int got = inflate(&s, Z_FINISH);
    inflateEnd(&s);
    return got == Z_STREAM_END && s.total_out == x->size && s.total_in == x->packed;
}

static bool crc_fits(const unsigned char *p, const RtZipEntry *x)
{
    return crc32_z(0, p, x->size) == x->crc;
}

const void *rt_zip_data(const RtZip *z, const RtZipEntry *x, uint64_t *budget, void **own,
                        RtError *e)
{
    const unsigned char *local = z->p + x->at;
    const char *name = rt_esc_n(x->name, x->name_len);
    *own = NULL;
    uint64_t data = x->at + LOCAL_SIZE + get(local + 26, 2) + get(local + 28, 2);
    if (get(local, 4) != LOCAL_SIG || !inside(data, x->packed, z->n)) {
        fail(e, "W004", "'%s': entry '%s' is damaged", rt_esc(z->file), name);
        return NULL;
    }
    const unsigned char *p = z->p + data;
    if (x->method != STORED && x->method != DEFLATED) {
        fail(e, "W006", "'%s': entry '%s' is packed in a way that is not read", rt_esc(z->file),
             name);
        return NULL;
    }
    if (x->method == STORED && x->packed != x->size) {
        fail(e, "W004", "'%s': entry '%s' is damaged", rt_esc(z->file), name);
        return NULL;
    }
    if (x->method == DEFLATED) {
        if (x->size > *budget) {
            fail(e, "W005", "'%s': entry '%s' unpacks to %llu bytes, too much for this file",
                 rt_esc(z->file), name, (unsigned long long)x->size);
            return NULL;
        }
        *budget -= x->size;
        *own = rt_alloc(x->size, 1, "a zip entry");
        p = unpack(p, x, *own) ? *own : NULL;
    }
    if (p && crc_fits(p, x)) return p;
    fail(e, "W004", "'%s': checksum of entry '%s' does not match: the file is damaged",
         rt_esc(z->file), name);
    free(*own);
    *own = NULL;
    return NULL;
}
