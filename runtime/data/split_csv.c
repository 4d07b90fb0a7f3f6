/* split.csv: who trains, who validates, who tests, written down and read back.
 *
 * In: d's splits, or a file of ours. Out: the file, with its SHA-256; or d's splits as the file has them. Rule: an item
 * is known by its name; a row that names none, or another class than the data give it, or an item twice, is D021 with
 * its line. Items that no row names are left out; that is said.
 */
#include "../sha256.h"
#include "csv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- writing ---- */

static void write_csv(const RtData *d, FILE *f)
{
    static const char *const name[RT_NSPLITS] = {"train", "val", "test"};
    fputs("split,item,label,class\n", f);
    for (int s = 0; s < RT_NSPLITS; s++)
        for (int64_t i = 0; i < d->split[s].n; i++) {
            int32_t label = rt_data_label(d, (enum RtSplit)s, i);
            fprintf(f, "%s,", name[s]);
            rt_csv_put(f, rt_data_item_name(d, (enum RtSplit)s, i));
            if (label >= 0) fprintf(f, ",%d,", (int)label);
            if (label >= 0)
                rt_csv_put(f, rt_data_class_name(d, label));
            else
                fputs(",,", f); /* a mask */
            fputc('\n', f);
        }
}

static char *text_of(const RtData *d, size_t *n, RtError *e)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, n);
    if (f) write_csv(d, f);
    if (f && fclose(f) == 0 && text) return text;
    free(text);
    rt_data_no_memory(e, "the split", (uint64_t)d->nitems);
    return NULL;
}

static bool write_file(const char *path, const char *text, size_t n)
{
    FILE *f = fopen(path, "we");
    if (!f) return false;
    bool ok = fwrite(text, 1, n, f) == n;
    int error = errno;
    if (fclose(f) == 0 && ok) return true;
    if (!ok) errno = error;
    return false;
}

bool rt_data_save_split(const RtData *d, const char *path, char *hash, RtError *e)
{
    size_t len = strlen(path) + 5, n = 0;
    char *temp = rt_data_alloc(len, 1, "a file name", e);
    char *text = temp ? text_of(d, &n, e) : NULL;
    bool ok = text != NULL;
    if (ok && hash) {
        RtSha256 sha;
        rt_sha256_begin(&sha);
        rt_sha256_add(&sha, text, n);
        rt_sha256_hex(&sha, hash);
    }
    if (ok) {
        snprintf(temp, len, "%s.tmp", path);
        ok = write_file(temp, text, n) && rename(temp, path) == 0;
        int error = errno;
        if (!ok) {
            unlink(temp);
            bool create = error == ENOENT || error == EACCES || error == EROFS || error == ENOTDIR;
            rt_data_fail(e, RT_EXIT_WRITE, create ? "C005" : error == ENOSPC ? "E001" : "E002", "cannot %s '%s': %s",
                         create ? "create" : "write", rt_esc(path), strerror(error));
        }
    }
    free(text);
    free(temp);
    return ok;
}

/* ---- reading ---- */

typedef struct Named {
    char *name;
    int64_t item;
    int split; /* -1: no row yet */
} Named;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const Named *)a)->name, ((const Named *)b)->name);
}

static void free_names(Named *list, int64_t n)
{
    for (int64_t i = 0; list && i < n; i++) free(list[i].name);
    free(list);
}

static Named *names_of(const RtData *d, RtError *e)
{
    char buf[64];
    Named *list = rt_data_alloc((uint64_t)d->nitems, sizeof *list, "the split", e);
    for (int64_t i = 0; list && i < d->nitems; i++) {
        list[i] = (Named){strdup(d->item_name(d, i, buf, sizeof buf)), i, -1};
        if (list[i].name) continue;
        free_names(list, i);
        rt_data_no_memory(e, "the split", (uint64_t)d->nitems);
        return NULL;
    }
    if (list) qsort(list, (size_t)d->nitems, sizeof *list, by_name);
    return list;
}

typedef struct Columns {
    int split, item, class, n;
} Columns;

static bool read_header(RtCsv *c, Columns *k, RtError *e)
{
    int state = rt_csv_next(c, e);
    if (state < 0) return false;
    if (state == 1) {
        *k = (Columns){rt_csv_column(c, "split"), rt_csv_column(c, "item"), rt_csv_column(c, "class"), c->n};
        if (k->split >= 0 && k->item >= 0) return true;
    }
    return rt_csv_fail(c, e, "the header must name the columns 'split' and 'item'");
}

/* One row; *gone counts items that are not in this run: of classes not chosen, or damaged and skipped. */
static bool one_row(const RtData *d, const RtCsv *c, const Columns *k, Named *list, int64_t *gone, RtError *e)
{
    if (c->n != k->n) return rt_csv_fail(c, e, "%d fields, the header has %d", c->n, k->n);
    int split = rt_csv_split(c->field[k->split]);
    if (split < 0) return rt_csv_fail(c, e, "split '%s' is none of train, val, test", rt_esc(c->field[k->split]));
    Named key = {.name = c->field[k->item]}, *x = bsearch(&key, list, (size_t)d->nitems, sizeof *list, by_name);
    if (!x && !d->nbad) return rt_csv_fail(c, e, "the data have no item '%s'", rt_esc(key.name));
    int32_t label = x ? d->label[x->item] : -1;
    if (label < 0) {
        ++*gone;
        return true;
    }
    if (x->split >= 0) return rt_csv_fail(c, e, "item '%s' is there twice", rt_esc(key.name));
    const char *class = k->class >= 0 ? c->field[k->class] : "";
    if (*class && !d->masks && strcmp(class, d->class_name[label]))
        return rt_csv_fail(c, e, "item '%s' is of class '%s', here it is '%s'", rt_esc(key.name),
                           rt_esc(d->class_name[label]), rt_esc(class));
    x->split = split;
    return true;
}

static int by_item(const void *a, const void *b)
{
    int64_t x = ((const Named *)a)->item, y = ((const Named *)b)->item;
    return x < y ? -1 : x > y;
}

static bool take_over(RtData *d, Named *list, int64_t gone, RtError *e)
{
    int64_t left = 0;
    qsort(list, (size_t)d->nitems, sizeof *list, by_item);
    for (int64_t i = 0; i < d->nitems; i++) left += list[i].split < 0 && d->label[i] >= 0;
    for (int s = 0; s < RT_NSPLITS; s++) {
        int64_t *items = rt_data_alloc((uint64_t)d->nitems, sizeof *items, "the split", e);
        if (!items) return false;
        free(d->split[s].item);
        d->split[s] = (RtItems){0, items};
        for (int64_t i = 0; i < d->nitems; i++)
            if (list[i].split == s) items[d->split[s].n++] = i;
    }
    if (left) rt_data_note(d, "note: %" PRId64 " items that the split file does not name are left out", left);
    if (gone) rt_data_note(d, "note: %" PRId64 " rows of the split file name items that are not in this run", gone);
    return true;
}

bool rt_split_read(RtData *d, const char *path, RtError *e)
{
    RtCsv c;
    Columns k = {0};
    int64_t gone = 0;
    Named *list = names_of(d, e);
    if (!list || !rt_csv_open(&c, path, path, e)) {
        free_names(list, d->nitems);
        return false;
    }
    bool ok = read_header(&c, &k, e);
    int state = 1;
    while (ok && (state = rt_csv_next(&c, e)) == 1) ok = one_row(d, &c, &k, list, &gone, e);
    ok = ok && state == 0 && take_over(d, list, gone, e);
    rt_csv_close(&c);
    free_names(list, d->nitems);
    return ok;
}
