/* `sinter data check DIR|SPEC`: what would spoil an experiment before it begins.
 *
 * In: a data set. Out: damaged files by name with the reason; items that are in two splits, or in two classes, by the
 * hash of their bytes; classes that train lacks. Rule: every file is read and decoded, as training would; one problem
 * or more is exit code 1. The same item twice in one split and class is a note. */
#include "data/data.h"
#include "data/set.h"
#include "runtime/data/folder.h"
#include "runtime/data/memory.h"
#include "runtime/err.h"
#include "runtime/image.h"
#include "runtime/json.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const split_name[RT_NSPLITS] = {"train", "val", "test"};
enum { SHOWN = 20 };

typedef struct Check {
    DataSet set;
    RtData *data;
    RtJson json;
    bool text, as_json;
    int64_t damaged, leaks, conflicts, empty, copies;
} Check;

/* ---- damage ---- */

static void on_bad(void *to, const RtError *e)
{
    Check *k = to;
    int n = (int)strcspn(e->text, "\n");
    if (k->text && k->damaged++ < SHOWN) printf("damaged[%s]: %.*s\n", e->id, n, e->text);
    else if (!k->text) k->damaged++;
    rt_json_object(&k->json, NULL);
    rt_json_str(&k->json, "id", e->id);
    char *line = rt_format("%.*s", n, e->text);
    rt_json_str(&k->json, "text", line);
    free(line);
    rt_json_end_object(&k->json);
}

/* The files passed the check of their form; a decoder may still refuse what is inside. */
static void decode_all(Check *k)
{
    RtData *d = k->data;
    if (!d->files) return;
    const RtFolder *src = d->source;
    for (int64_t i = 0; i < src->n; i++) {
        RtImageInfo info;
        RtImage img = {0};
        RtError e;
        uint8_t *bytes;
        size_t n;
        uint64_t hash;
        const char *name = src->file[i].path;
        bool ok = rt_files_read(src, name, &bytes, &n, &hash, &e);
        if (ok) {
            ok = rt_image_check(bytes, n, name, &info, &e) && rt_image_decode(bytes, n, &info, 0, name, &img, &e);
            free(bytes);
            free(img.px);
        }
        if (!ok) on_bad(k, &e);
    }
}

/* ---- the same item twice ---- */

typedef struct Print {
    uint64_t hash, size;
    int64_t item;
    int split;
    int32_t label;
} Print;

static int by_print(const void *a, const void *b)
{
    const Print *x = a, *y = b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    if (x->size != y->size) return x->size < y->size ? -1 : 1;
    return x->split != y->split ? x->split - y->split : x->item < y->item ? -1 : x->item > y->item;
}

static uint64_t hash_bytes(const uint8_t *p, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a (Fowler, Noll, Vo), 64 bits */
    for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

static Print print_of(RtData *d, int64_t item, int split)
{
    Print p = {.item = item, .split = split, .label = d->masks ? 0 : d->label[item]};
    RtFetched f;
    RtError e;
    if (d->files) {
        const RtFile *file = &((const RtFolder *)d->source)->file[item];
        p.hash = file->hash;
        p.size = file->size;
    } else if (d->fetch(d, item, &f, &e)) {
        p.size = (uint64_t)f.px.c * (uint64_t)f.px.h * (uint64_t)f.px.w;
        p.hash = hash_bytes(f.px.px, (size_t)p.size);
    }
    return p;
}

static void name_pair(Check *k, const char *what, int64_t nth, const Print *a, const Print *b)
{
    char buf[2][64];
    const RtData *d = k->data;
    const char *x = d->item_name(d, a->item, buf[0], sizeof buf[0]), *y = d->item_name(d, b->item, buf[1], sizeof buf[1]);
    if (k->text && nth <= SHOWN)
        printf("%s: '%s' (%s, %s) and '%s' (%s, %s) are the same image\n", what, rt_esc(x), split_name[a->split],
               d->masks ? "mask" : rt_esc(d->class_name[a->label]), rt_esc(y), split_name[b->split],
               d->masks ? "mask" : rt_esc(d->class_name[b->label]));
    rt_json_object(&k->json, NULL);
    rt_json_str(&k->json, "kind", what);
    rt_json_str(&k->json, "a", x);
    rt_json_str(&k->json, "b", y);
    rt_json_str(&k->json, "split_a", split_name[a->split]);
    rt_json_str(&k->json, "split_b", split_name[b->split]);
    rt_json_end_object(&k->json);
}

/* Every image against the first of its kind. */
static void compare(Check *k, const Print *p, int64_t n)
{
    for (int64_t first = 0, i = 1; i < n; i++) {
        if (p[i].hash != p[first].hash || p[i].size != p[first].size) {
            first = i;
            continue;
        }
        if (p[i].label != p[first].label)
            name_pair(k, "two classes", ++k->conflicts, &p[first], &p[i]);
        else if (p[i].split != p[first].split)
            name_pair(k, "leak", ++k->leaks, &p[first], &p[i]);
        else
            k->copies++;
    }
}

static void find_same(Check *k)
{
    RtData *d = k->data;
    Print *p = rt_alloc((size_t)d->nitems + 1, sizeof *p, "a comparison");
    int64_t n = 0;
    for (int s = 0; s < RT_NSPLITS; s++)
        for (int64_t i = 0; i < d->split[s].n; i++) p[n++] = print_of(d, d->split[s].item[i], s);
    qsort(p, (size_t)n, sizeof *p, by_print);
    rt_json_array(&k->json, "same");
    compare(k, p, n);
    rt_json_end_array(&k->json);
    free(p);
}

/* ---- classes ---- */

static void find_empty(Check *k)
{
    const RtData *d = k->data;
    rt_json_array(&k->json, "empty");
    for (int s = 0; s < RT_NSPLITS; s++) {
        if (s != RT_SPLIT_TRAIN && !d->split[s].n) continue; /* no such split */
        int64_t *count = set_counts(d, (enum RtSplit)s);
        for (int c = 0; c < d->nclasses; c++) {
            if (count[c]) continue;
            k->empty++;
            if (k->text && k->empty <= SHOWN)
                printf("empty: class '%s' has no item in %s\n", rt_esc(d->class_name[c]), split_name[s]);
            rt_json_object(&k->json, NULL);
            rt_json_str(&k->json, "class", d->class_name[c]);
            rt_json_str(&k->json, "split", split_name[s]);
            rt_json_end_object(&k->json);
        }
        free(count);
    }
    rt_json_end_array(&k->json);
}

/* ---- the verdict ---- */

static void more(int64_t n, const char *what)
{
    if (n > SHOWN) printf("... and %" PRId64 " more %s\n", n - SHOWN, what);
}

static void open_set(Check *k)
{
    RtError e;
    RtDataConfig *c = &k->set.config;
    c->channels = c->height = c->width = 1;
    c->look = true;
    c->max_bad = INT64_MAX - 1;
    c->on_bad = on_bad;
    c->on_bad_to = k;
    rt_json_array(&k->json, "damaged");
    k->data = rt_data_open(c, &e);
    if (k->data)
        decode_all(k);
    else if (e.exit == RT_EXIT_DATA && strcmp(e.id, "D001") != 0)
        on_bad(k, &e); /* a set that lies in one file, or whose list is wrong */
    else
        rt_fail(e.exit, e.id, "%s", e.text);
    rt_json_end_array(&k->json);
}

static int finish(Check *k)
{
    int64_t items = k->data ? k->data->split[0].n + k->data->split[1].n + k->data->split[2].n : 0;
    int64_t wrong = k->damaged + k->leaks + k->conflicts + k->empty;
    if (k->text) {
        more(k->damaged, "damaged");
        more(k->leaks, "leaks");
        more(k->conflicts, "in two classes");
        more(k->empty, "empty");
        if (k->data) fputs(rt_data_notes(k->data), stderr);
        if (k->copies) printf("note: %" PRId64 " copies within a split\n", k->copies);
        printf("%s: %s, %" PRId64 " items: %" PRId64 " damaged, %" PRId64 " leaks between splits, %" PRId64
               " in two classes, %" PRId64 " empty classes%s\n",
               rt_esc(k->set.config.root), k->set.config.format, items, k->damaged, k->leaks, k->conflicts, k->empty,
               wrong ? "" : ": sound");
    }
    rt_json_int(&k->json, "items", items);
    rt_json_int(&k->json, "ndamaged", k->damaged);
    rt_json_int(&k->json, "leaks", k->leaks);
    rt_json_int(&k->json, "conflicts", k->conflicts);
    rt_json_int(&k->json, "copies", k->copies);
    rt_json_bool(&k->json, "sound", !wrong);
    if (k->as_json)
        rt_json_save(&k->json, k->set.json);
    else
        rt_json_free(&k->json);
    rt_data_close(k->data);
    arena_free(k->set.arena);
    return wrong ? RT_EXIT_CHECK : RT_EXIT_OK;
}

int data_check(int argc, char **argv)
{
    Check k = {0};
    set_parse(&k.set, "check", argc, argv, NULL);
    if (k.set.help) {
        puts("usage: sinter data check DIR|SPEC [--format F] [--class-map MAP] [--split-file F] [--json FILE|-]\n"
             "  Reads and decodes every file. Exit code 1: something is damaged, in two splits or classes, or a class "
             "is empty.");
        return RT_EXIT_OK;
    }
    k.as_json = k.set.json != NULL;
    k.text = !k.as_json || strcmp(k.set.json, "-") != 0;
    rt_json_begin(&k.json, true);
    rt_json_str(&k.json, "root", k.set.config.root);
    rt_json_str(&k.json, "format", k.set.config.format);
    open_set(&k);
    if (k.data) find_same(&k);
    if (k.data) find_empty(&k);
    return finish(&k);
}
