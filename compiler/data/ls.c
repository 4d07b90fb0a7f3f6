/* `sinter data ls DIR|SPEC`: what a data set is: format, splits, items of each class, sizes. */
#include "data/data.h"
#include "data/set.h"
#include "runtime/err.h"
#include "runtime/json.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const split_name[RT_NSPLITS] = {"train", "val", "test"};

typedef struct Size {
    int c, h, w;
    int64_t n;
} Size;

typedef struct Look {
    DataSet set;
    RtData *data;
    int64_t *count[RT_NSPLITS];
    Size *size; /* most frequent first */
    int64_t nsizes;
} Look;

static int by_size(const void *a, const void *b)
{
    return memcmp(a, b, 3 * sizeof(int));
}

static int by_count(const void *a, const void *b)
{
    const Size *x = a, *y = b;
    return x->n != y->n ? (x->n > y->n ? -1 : 1) : by_size(a, b);
}

static void collect_sizes(Look *l)
{
    const RtData *d = l->data;
    l->size = rt_alloc((size_t)d->nitems + 1, sizeof *l->size, "sizes");
    int64_t n = 0, kept = 0;
    for (int s = 0; s < RT_NSPLITS; s++)
        for (int64_t i = 0; i < d->split[s].n; i++, n++) {
            Size *z = &l->size[n];
            z->c = set_item_size(d, d->split[s].item[i], &z->h, &z->w);
            z->n = 1;
        }
    qsort(l->size, (size_t)n, sizeof *l->size, by_size);
    for (int64_t i = 0; i < n; i++) {
        if (kept && by_size(&l->size[kept - 1], &l->size[i]) == 0)
            l->size[kept - 1].n++;
        else
            l->size[kept++] = l->size[i];
    }
    qsort(l->size, (size_t)kept, sizeof *l->size, by_count);
    l->nsizes = kept;
}

static int64_t total(const RtData *d)
{
    return d->split[0].n + d->split[1].n + d->split[2].n;
}

/* Columns of a terminal that a name takes, near enough: bytes that begin a letter. */
static int width(const char *s)
{
    int n = 0;
    for (; *s; s++) n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static void print_row(int most, const char *name, const int64_t n[RT_NSPLITS])
{
    printf("  %s%*s", name, most - width(name), "");
    for (int s = 0; s < RT_NSPLITS; s++) printf(" %8" PRId64, n[s]);
    printf(" %8" PRId64 "\n", n[0] + n[1] + n[2]);
}

static void print_classes(const Look *l)
{
    const RtData *d = l->data;
    int most = d->masks ? 6 : 5;
    for (int k = 0; k < d->nclasses; k++)
        if (width(rt_esc(d->class_name[k])) > most) most = width(rt_esc(d->class_name[k]));
    printf("  %-*s %8s %8s %8s %8s\n", most, d->masks ? "images with" : "class", "train", "val", "test", "all");
    for (int k = 0; k < d->nclasses; k++)
        print_row(most, rt_esc(d->class_name[k]), (int64_t[]){l->count[0][k], l->count[1][k], l->count[2][k]});
    print_row(most, d->masks ? "images" : "all", (int64_t[]){d->split[0].n, d->split[1].n, d->split[2].n});
}

static const char *channels(int c)
{
    static const char *const name[] = {"", "grey", "grey with alpha", "colour", "colour with alpha"};
    return c >= 0 && c <= 4 ? name[c] : "";
}

static void print_sizes(const Look *l)
{
    enum { SHOWN = 4 };
    printf("sizes (height x width): ");
    for (int64_t i = 0; i < l->nsizes && i < SHOWN; i++)
        printf("%s%dx%d %s (%" PRId64 ")", i ? ", " : "", l->size[i].h, l->size[i].w, channels(l->size[i].c),
               l->size[i].n);
    if (l->nsizes > SHOWN) printf(", and %" PRId64 " others", l->nsizes - SHOWN);
    putchar('\n');
}

static void print_text(const Look *l)
{
    const RtDataConfig *c = &l->set.config;
    printf("%s: %s%s, %d classes, %" PRId64 " items\n", rt_esc(c->root), c->format, l->set.guessed ? " (guessed)" : "",
           l->data->nclasses, total(l->data));
    print_classes(l);
    print_sizes(l);
    if (l->data->nbad) printf("%" PRId64 " damaged: sinter data check names them\n", l->data->nbad);
}

static void write_json(const Look *l)
{
    RtJson j;
    const RtData *d = l->data;
    rt_json_begin(&j, true);
    rt_json_str(&j, "root", l->set.config.root);
    rt_json_str(&j, "format", l->set.config.format);
    rt_json_bool(&j, "guessed", l->set.guessed);
    rt_json_bool(&j, "masks", d->masks);
    rt_json_int(&j, "items", total(d));
    rt_json_int(&j, "damaged", d->nbad);
    rt_json_object(&j, "splits");
    for (int s = 0; s < RT_NSPLITS; s++) rt_json_int(&j, split_name[s], d->split[s].n);
    rt_json_end_object(&j);
    rt_json_array(&j, "classes");
    for (int k = 0; k < d->nclasses; k++) {
        rt_json_object(&j, NULL);
        rt_json_str(&j, "name", d->class_name[k]);
        for (int s = 0; s < RT_NSPLITS; s++) rt_json_int(&j, split_name[s], l->count[s][k]);
        rt_json_end_object(&j);
    }
    rt_json_end_array(&j);
    rt_json_array(&j, "sizes");
    for (int64_t i = 0; i < l->nsizes; i++) {
        rt_json_object(&j, NULL);
        rt_json_int(&j, "channels", l->size[i].c);
        rt_json_int(&j, "height", l->size[i].h);
        rt_json_int(&j, "width", l->size[i].w);
        rt_json_int(&j, "items", l->size[i].n);
        rt_json_end_object(&j);
    }
    rt_json_end_array(&j);
    rt_json_save(&j, l->set.json);
}

static int help(void)
{
    puts("usage: sinter data ls DIR|SPEC [--format F] [--class-map MAP] [--split-file F] [--limit N] [--json FILE|-]\n"
         "  The format of a folder is guessed from the names in it. formats:");
#define RT_FORMAT(word, masks, what) printf("    %-17s %s\n", #word, what);
#include "runtime/data/formats.def"
#undef RT_FORMAT
    return RT_EXIT_OK;
}

int data_ls(int argc, char **argv)
{
    Look l = {0};
    set_parse(&l.set, "ls", argc, argv, NULL);
    if (l.set.help) return help();
    l.data = set_open(&l.set);
    for (int s = 0; s < RT_NSPLITS; s++) l.count[s] = set_counts(l.data, (enum RtSplit)s);
    collect_sizes(&l);
    bool json_only = l.set.json && !strcmp(l.set.json, "-");
    if (!json_only) print_text(&l);
    fputs(rt_data_notes(l.data), stderr);
    if (l.set.json) write_json(&l);
    for (int s = 0; s < RT_NSPLITS; s++) free(l.count[s]);
    free(l.size);
    rt_data_close(l.data);
    arena_free(l.set.arena);
    return RT_EXIT_OK;
}
