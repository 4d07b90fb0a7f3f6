/* The files of an image folder: checked once at the start, decoded when first needed, then kept.
 *
 * rule: decoded pixels stay in memory up to CACHE_BYTES over the whole set; past that they are
 * decoded for each batch. A file that changed since it was checked is an error, not a different
 * image.
 */
#include "folder.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define CACHE_BYTES ((uint64_t)1 << 30)

char *rt_path_join(const char *a, const char *b, RtError *e)
{
    size_t n = strlen(a) + strlen(b) + 2;
    char *path = rt_data_alloc(n, 1, "a file name", e);
    if (path) snprintf(path, n, "%s%s%s", a, *a && *b ? "/" : "", b);
    return path;
}

static uint64_t hash_of(const uint8_t *bytes, size_t n)
{
    return (uint64_t)adler32_z(1, bytes, n) << 32 | crc32_z(0, bytes, n);
}

static bool read_file(const RtFolder *src, const RtFile *f, uint8_t **bytes, size_t *n, RtError *e)
{
    char *path = rt_path_join(src->root, f->path, e);
    if (!path) return false;
    bool ok = rt_image_read(path, f->path, bytes, n, e);
    free(path);
    return ok;
}

/* ---- the first look ---- */

typedef struct Tally {
    int64_t converted, alpha;
    FILE *list;
    RtError first;
} Tally;

static bool check_one(RtData *d, const RtDataConfig *c, RtFile *f, Tally *t, RtError *e)
{
    RtImageInfo info;
    uint8_t *bytes;
    size_t n;
    if (!read_file(d->source, f, &bytes, &n, e)) return false;
    bool ok = rt_image_check(bytes, n, f->path, &info, e) &&
              rt_image_channels(info.c, d->c, c->convert_channels, f->path, e) &&
              rt_data_fits(d, info.h, info.w, f->path, e);
    if (ok) {
        const RtTransform *bad;
        RtPipe shared = d->train;
        shared.n = d->prefix;
        f->size = n;
        f->hash = hash_of(bytes, n);
        f->h = info.h;
        f->w = info.w;
        rt_pipe_size(&shared, 0, &f->h, &f->w, &bad);
        t->converted += info.c != d->c;
        t->alpha += info.c % 2 == 0 && info.c != d->c;
    }
    free(bytes);
    return ok;
}

static bool note_bad(RtData *d, const RtDataConfig *c, Tally *t, const RtError *bad, RtError *e)
{
    if (d->nbad++ == 0) {
        t->first = *bad;
        if (c->bad_list && !(t->list = fopen(c->bad_list, "we")))
            return rt_data_fail(e, RT_EXIT_WRITE, "C005", "cannot create '%s': %s",
                                rt_esc(c->bad_list), strerror(errno));
    }
    if (t->list) fprintf(t->list, "%s\t%.*s\n", bad->id, (int)strcspn(bad->text, "\n"), bad->text);
    if (d->nbad <= c->max_bad) return true;
    if (c->max_bad == 0)
        *e = *bad;
    else
        rt_data_fail(e, RT_EXIT_DATA, "D018",
                     "%" PRId64 " bad images (limit %" PRId64 ")%s%s\nthe first: %s", d->nbad,
                     c->max_bad, t->list ? "; list in " : "", t->list ? rt_esc(c->bad_list) : "",
                     t->first.text);
    return false;
}

/* A failure that says nothing about the image. */
static bool is_ours(const RtError *e)
{
    return e->exit != RT_EXIT_DATA;
}

bool rt_files_check(RtData *d, const RtDataConfig *c, RtError *e)
{
    RtFolder *src = d->source;
    Tally t = {0};
    int64_t kept = 0;
    bool ok = true;
    for (int64_t i = 0; i < src->n; i++) {
        RtError bad;
        RtFile f = src->file[i];
        bool good = ok && check_one(d, c, &f, &t, &bad);
        if (ok && !good) {
            if (is_ours(&bad)) {
                *e = bad;
                ok = false;
            } else {
                ok = note_bad(d, c, &t, &bad, e);
            }
        }
        if (good || !ok)
            src->file[kept++] = f;
        else
            free(f.path);
    }
    src->n = kept;
    if (t.list && fclose(t.list) != 0 && ok)
        ok = rt_data_fail(e, RT_EXIT_WRITE, "E002", "cannot write '%s': %s", rt_esc(c->bad_list),
                          strerror(errno));
    if (ok && d->nbad)
        rt_data_note(
            d, "warning[D018]: %" PRId64 " bad images skipped (limit %" PRId64 "), the first: %.*s",
            d->nbad, c->max_bad, (int)strcspn(t.first.text, "\n"), t.first.text);
    if (ok && t.converted)
        rt_data_note(d, "note: %" PRId64 " images converted to the model's %d channel%s%s",
                     t.converted, d->c, d->c == 1 ? "" : "s",
                     t.alpha ? ", alpha laid over white" : "");
    return ok;
}

/* ---- the same file twice ---- */

typedef struct Print {
    uint64_t hash, size;
    int split;
} Print;

static int by_print(const void *a, const void *b)
{
    const Print *x = a, *y = b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    if (x->size != y->size) return x->size < y->size ? -1 : 1;
    return x->split - y->split;
}

static void count_shared(const Print *p, int64_t n, int64_t shared[RT_NSPLITS])
{
    for (int64_t i = 0; i < n;) {
        bool in[RT_NSPLITS] = {false};
        int64_t j = i;
        for (; j < n && p[j].hash == p[i].hash && p[j].size == p[i].size; j++)
            in[p[j].split] = true;
        shared[RT_SPLIT_VAL] += in[RT_SPLIT_TRAIN] && in[RT_SPLIT_VAL];
        shared[RT_SPLIT_TEST] += in[RT_SPLIT_TRAIN] && in[RT_SPLIT_TEST];
        i = j;
    }
}

void rt_files_duplicates(RtData *d)
{
    RtError e;
    const RtFolder *src = d->source;
    int64_t n = 0, shared[RT_NSPLITS] = {0};
    Print *p = rt_data_alloc((uint64_t)d->nitems, sizeof *p, "a comparison", &e);
    if (!p) return; /* a warning is not worth failing for */
    for (int s = 0; s < RT_NSPLITS; s++)
        for (int64_t i = 0; i < d->split[s].n; i++) {
            const RtFile *f = &src->file[d->split[s].item[i]];
            p[n++] = (Print){f->hash, f->size, s};
        }
    qsort(p, (size_t)n, sizeof *p, by_print);
    count_shared(p, n, shared);
    free(p);
    if (shared[RT_SPLIT_VAL])
        rt_data_note(d, "warning[D027]: %" PRId64 " images are in both train and val",
                     shared[RT_SPLIT_VAL]);
    if (shared[RT_SPLIT_TEST])
        rt_data_note(d, "warning[D027]: %" PRId64 " images are in both train and test",
                     shared[RT_SPLIT_TEST]);
}

/* ---- decoding ---- */

static bool decode(RtData *d, const RtFile *f, RtImage *img, RtError *e)
{
    RtImageInfo info;
    uint8_t *bytes;
    size_t n;
    if (!read_file(d->source, f, &bytes, &n, e)) return false;
    bool ok = n == f->size && hash_of(bytes, n) == f->hash;
    if (!ok) rt_data_fail(e, RT_EXIT_DATA, "D025", "'%s' changed since start-up", rt_esc(f->path));
    ok = ok && rt_image_check(bytes, n, f->path, &info, e) &&
         rt_image_decode(bytes, n, &info, d->c, f->path, img, e);
    free(bytes);
    if (!ok) return false;
    if (d->prefix == 0 || rt_pipe_prefix(&d->train, d->prefix, img, NULL)) return true;
    free(img->px);
    return rt_data_no_memory(e, "an image", (uint64_t)f->h * (uint64_t)f->w);
}

bool rt_files_fetch(RtData *d, int64_t item, RtPixels *out, uint8_t **owned, RtError *e)
{
    RtFolder *src = d->source;
    RtFile *f = &src->file[item];
    RtImage img;
    *owned = NULL;
    *out = (RtPixels){atomic_load_explicit(&f->cache, memory_order_acquire), d->c, f->h, f->w};
    if (out->px) return true;
    if (!decode(d, f, &img, e)) return false;
    out->px = img.px;
    uint64_t bytes = (uint64_t)f->h * (uint64_t)f->w * (uint64_t)d->c;
    uint8_t *empty = NULL;
    if (atomic_fetch_add(&src->cached, bytes) + bytes <= CACHE_BYTES &&
        atomic_compare_exchange_strong(&f->cache, &empty, img.px))
        return true;
    atomic_fetch_sub(&src->cached, bytes); /* no room, or another thread was first */
    *owned = img.px;
    return true;
}
