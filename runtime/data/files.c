/* The files of an image folder: checked once at the start, decoded when first needed, then kept.
 *
 * rule: decoded pixels stay in memory up to RtDataConfig.cache bytes over the whole set; past that they are
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

bool rt_files_read(const RtFolder *src, const char *name, uint8_t **bytes, size_t *n, uint64_t *hash,
                   RtError *e)
{
    char *path = rt_path_join(src->root, name, e);
    if (!path) return false;
    bool ok = rt_image_read(path, name, bytes, n, e);
    free(path);
    if (ok) *hash = hash_of(*bytes, *n);
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

static void note_duplicates(RtData *d)
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

/* ---- the list ---- */

static void free_file(RtFile *f)
{
    if (f->mask) free(f->mask->path);
    free(f->mask);
    free(f->path);
    free(f->cache);
}

static const char *item_name(const RtData *d, int64_t item, char *buf, size_t n)
{
    (void)buf, (void)n;
    return ((const RtFolder *)d->source)->file[item].path;
}

static void close_source(void *source)
{
    RtFolder *src = source;
    for (int64_t i = 0; i < src->n; i++) free_file(&src->file[i]);
    free(src->masks);
    free(src->file);
    free(src->root);
    free(src);
}

bool rt_files_open(RtData *d, const RtDataConfig *c, RtError *e)
{
    RtFolder *src = d->source = rt_data_alloc(1, sizeof *src, "the data set", e);
    if (!src) return false;
    d->close = close_source;
    d->fetch = rt_files_fetch;
    d->item_name = item_name;
    d->find_leaks = note_duplicates;
    d->files = true;
    d->prefix = rt_pipe_shared(&d->train, &d->eval);
    src->cache = c->cache;
    src->root = strdup(c->root);
    return src->root || rt_data_no_memory(e, "a file name", strlen(c->root));
}

static bool grow(RtFolder *src, RtError *e)
{
    if (src->n < src->cap) return true;
    int64_t cap = 2 * src->cap + 256;
    RtFile *grown = realloc(src->file, (size_t)cap * sizeof *grown);
    if (!grown) return rt_data_no_memory(e, "the file list", (uint64_t)cap * sizeof *grown);
    src->file = grown;
    src->cap = cap;
    return true;
}

bool rt_files_add(RtData *d, const char *path, const char *mask, int32_t label, int split, RtError *e)
{
    RtFolder *src = d->source;
    if (!grow(src, e)) return false;
    RtFile *f = &src->file[src->n];
    memset(f, 0, sizeof *f);
    f->label = label;
    f->split = (uint8_t)split;
    f->path = strdup(path);
    if (mask) f->mask = calloc(1, sizeof *f->mask);
    if (f->mask) f->mask->path = strdup(mask);
    if (f->path && (!mask || (f->mask && f->mask->path))) {
        src->n++;
        return true;
    }
    free_file(f);
    return rt_data_no_memory(e, "the file list", strlen(path));
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
    const RtFolder *src = d->source;
    if (!rt_files_read(src, f->path, &bytes, &n, &f->hash, e)) return false;
    bool ok = rt_image_check(bytes, n, f->path, &info, e) &&
              (c->look || rt_image_channels(info.c, d->c, c->convert_channels, f->path, e)) &&
              rt_data_fits(d, info.h, info.w, f->path, e) &&
              (!f->mask || src->check_mask(d, f->mask, info.h, info.w, e));
    if (ok) {
        const RtTransform *bad;
        RtPipe shared = d->train;
        shared.n = d->prefix;
        f->size = n;
        f->channels = (uint8_t)info.c;
        f->info = info;
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
    if (c->on_bad) c->on_bad(c->on_bad_to, bad);
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
            free_file(&f);
    }
    src->n = kept;
    if (t.list && fclose(t.list) != 0 && ok)
        ok = rt_data_fail(e, RT_EXIT_WRITE, "E002", "cannot write '%s': %s", rt_esc(c->bad_list),
                          strerror(errno));
    if (ok && d->nbad && !c->look)
        rt_data_note(
            d, "warning[D018]: %" PRId64 " bad images skipped (limit %" PRId64 "), the first: %.*s",
            d->nbad, c->max_bad, (int)strcspn(t.first.text, "\n"), t.first.text);
    if (ok && t.converted && !c->look)
        rt_data_note(d, "note: %" PRId64 " images converted to the model's %d channel%s%s",
                     t.converted, d->c, d->c == 1 ? "" : "s",
                     t.alpha ? ", alpha laid over white" : "");
    return ok;
}

/* ---- splits ---- */

static bool deal_out(RtData *d, const RtDataConfig *c, int from, RtFractions f, int64_t *pool, RtError *e)
{
    const RtFolder *src = d->source;
    int64_t n = 0;
    for (int64_t i = 0; i < src->n; i++)
        if (src->file[i].split == from) pool[n++] = i;
    return rt_split_items(d, c, f, pool, n, e);
}

bool rt_files_split(RtData *d, const RtDataConfig *c, RtError *e)
{
    static const RtFractions whole[RT_NSPLITS] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
    const RtFolder *src = d->source;
    RtFractions f;
    int64_t count[RT_NSPLITS + 1] = {0};
    d->nitems = src->n;
    d->label = rt_data_alloc((uint64_t)d->nitems, sizeof *d->label, "the labels", e);
    int64_t *pool = rt_data_alloc((uint64_t)d->nitems, sizeof *pool, "the split", e);
    bool ok = d->label && pool;
    for (int64_t i = 0; ok && i < src->n; i++) {
        d->label[i] = src->file[i].label;
        count[src->file[i].split]++;
    }
    bool dealt = count[RT_NSPLITS] > 0;
    ok = ok && rt_split_fractions(c, dealt ? (RtFractions){0.8, 0.1, 0.1} : (RtFractions){0.9, 0.1, 0}, &f, e);
    ok = ok && deal_out(d, c, RT_NSPLITS, f, pool, e) &&
         deal_out(d, c, RT_SPLIT_TRAIN,
                  dealt || count[RT_SPLIT_VAL] ? whole[RT_SPLIT_TRAIN] : (RtFractions){1 - f.val, f.val, 0}, pool, e) &&
         deal_out(d, c, RT_SPLIT_VAL, whole[RT_SPLIT_VAL], pool, e) &&
         deal_out(d, c, RT_SPLIT_TEST, whole[RT_SPLIT_TEST], pool, e);
    free(pool);
    return ok;
}

/* ---- decoding ---- */

/* A mask's pixels behind its image's. */
static bool append(RtImage *img, const RtImage *mask, RtError *e)
{
    size_t area = (size_t)img->h * (size_t)img->w, bytes = area * (size_t)img->c;
    uint8_t *both = realloc(img->px, bytes + area);
    if (!both) return rt_data_no_memory(e, "a mask", bytes + area);
    img->px = both;
    memcpy(both + bytes, mask->px, area);
    return true;
}

static bool decode(RtData *d, RtFile *f, RtImage *img, RtError *e)
{
    uint8_t *bytes;
    size_t n;
    uint64_t hash;
    const RtFolder *src = d->source;
    if (!rt_files_read(src, f->path, &bytes, &n, &hash, e)) return false;
    bool ok = n == f->size && hash == f->hash;
    if (!ok) rt_data_fail(e, RT_EXIT_DATA, "D025", "'%s' changed since start-up", rt_esc(f->path));
    /* The same bytes: what was found of them holds. */
    ok = ok && rt_image_decode(bytes, n, &f->info, d->c, f->path, img, e);
    free(bytes);
    if (!ok) return false;
    RtImage mask = {0};
    ok = !f->mask || src->read_mask(d, f->mask, img->h, img->w, &mask, e);
    if (ok && d->prefix && !rt_pipe_prefix(&d->train, d->prefix, img, f->mask ? &mask : NULL))
        ok = rt_data_no_memory(e, "an image", (uint64_t)f->h * (uint64_t)f->w);
    ok = ok && (!f->mask || append(img, &mask, e));
    free(mask.px);
    if (!ok) free(img->px);
    return ok;
}

bool rt_files_fetch(RtData *d, int64_t item, RtFetched *out, RtError *e)
{
    RtFolder *src = d->source;
    RtFile *f = &src->file[item];
    RtImage img;
    uint64_t area = (uint64_t)f->h * (uint64_t)f->w, bytes = area * (uint64_t)(d->c + (f->mask != NULL));
    *out = (RtFetched){.px = {atomic_load_explicit(&f->cache, memory_order_acquire), d->c, f->h, f->w}};
    bool kept = out->px.px != NULL;
    if (!kept && !decode(d, f, &img, e)) return false;
    if (!kept) out->px.px = img.px;
    if (f->mask) out->mask = (RtPixels){out->px.px + area * (uint64_t)d->c, 1, f->h, f->w};
    if (kept) return true;
    uint8_t *empty = NULL;
    if (atomic_fetch_add(&src->cached, bytes) + bytes <= src->cache &&
        atomic_compare_exchange_strong(&f->cache, &empty, img.px))
        return true;
    atomic_fetch_sub(&src->cached, bytes); /* no room, or another thread was first */
    out->owned = img.px;
    return true;
}
