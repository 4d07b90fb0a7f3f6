/* A list of files: root/labels.csv with the columns file and label, and perhaps split (train, val, test).
 *
 * In: a header, then a row for each image; paths are below the root. Out: classes are the labels, sorted (numbers as
 * numbers), or data.classes; rows of no split are dealt out. Rule: a row that is wrong is D021 with its line; a path
 * may neither be absolute nor go through '..'.
 */
#include "csv.h"
#include "folder.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char list_name[] = "labels.csv";

typedef struct Columns {
    int file, label, split, n;
} Columns;

static bool leaves(const char *path)
{
    if (*path == '/') return true;
    for (const char *p = path; p; p = strchr(p, '/'), p += p != NULL)
        if (p[0] == '.' && p[1] == '.' && (p[2] == '/' || !p[2])) return true;
    return false;
}

static bool read_header(RtCsv *c, Columns *k, RtError *e)
{
    int state = rt_csv_next(c, e);
    if (state < 0) return false;
    if (state == 0) return rt_csv_fail(c, e, "empty: expected a header 'file,label' or 'file,label,split'");
    *k = (Columns){rt_csv_column(c, "file"), rt_csv_column(c, "label"), rt_csv_column(c, "split"), c->n};
    return (k->file >= 0 && k->label >= 0) ||
           rt_csv_fail(c, e, "the header must name the columns 'file' and 'label'");
}

/* ---- classes ---- */

static bool is_number(const char *s)
{
    size_t n = strspn(s, "0123456789");
    return n > 0 && n < 10 && !s[n];
}

static int by_label(const void *a, const void *b)
{
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    bool nx = is_number(x), ny = is_number(y);
    if (nx && ny && atoi(x) != atoi(y)) return atoi(x) < atoi(y) ? -1 : 1;
    return nx != ny ? ny - nx : strcmp(x, y);
}

static void sort_labels(RtList *l)
{
    int64_t kept = 0;
    if (l->n) qsort(l->name, (size_t)l->n, sizeof *l->name, by_label);
    for (int64_t i = 0; i < l->n; i++) {
        if (kept && !strcmp(l->name[kept - 1], l->name[i]))
            free(l->name[i]);
        else
            l->name[kept++] = l->name[i];
    }
    l->n = kept;
}

/* Distinct labels among the last `fresh` are merged when they became many: memory follows the classes, not the rows. */
static bool add_label(RtList *l, const char *label, int64_t *distinct, RtError *e)
{
    if (l->n && !strcmp(l->name[l->n - 1], label)) return true;
    if (!rt_list_add(l, label, e)) return false;
    if (l->n < 2 * *distinct + 1024) return true;
    sort_labels(l);
    *distinct = l->n;
    return true;
}

static int32_t find_class(char *const *name, int n, const char *label)
{
    int lo = 0, hi = n;
    while (lo < hi) {
        int mid = (lo + hi) / 2, order = by_label(&label, &name[mid]);
        if (order == 0) return mid;
        if (order < 0) hi = mid;
        else lo = mid + 1;
    }
    return -1;
}

static int32_t class_of(const RtData *d, const RtDataConfig *c, const char *label)
{
    if (!c->nclasses) return find_class(d->class_name, d->nclasses, label);
    for (int i = 0; i < d->nclasses; i++)
        if (!strcmp(d->class_name[i], label)) return i;
    return -1;
}

/* ---- rows ---- */

static bool check_row(const RtCsv *c, const Columns *k, RtError *e)
{
    if (c->n != k->n) return rt_csv_fail(c, e, "%d fields, the header has %d", c->n, k->n);
    if (!*c->field[k->file]) return rt_csv_fail(c, e, "no file");
    if (!*c->field[k->label]) return rt_csv_fail(c, e, "no label");
    if (leaves(c->field[k->file])) return rt_csv_fail(c, e, "path leaves the data directory");
    if (k->split >= 0 && *c->field[k->split] && rt_csv_split(c->field[k->split]) < 0)
        return rt_csv_fail(c, e, "split '%s' is none of train, val, test", rt_esc(c->field[k->split]));
    return true;
}

/* Every row once: labels are collected (l), or files added (l NULL). */
static bool read_rows(RtData *d, const RtDataConfig *c, const char *path, RtList *l, int64_t *left_out, RtError *e)
{
    RtCsv csv;
    Columns k = {0};
    int64_t distinct = 0;
    if (!rt_csv_open(&csv, path, list_name, e)) return false;
    bool ok = read_header(&csv, &k, e);
    int state = 1;
    while (ok && (state = rt_csv_next(&csv, e)) == 1) {
        ok = check_row(&csv, &k, e);
        const char *label = ok ? csv.field[k.label] : "";
        if (ok && l) {
            ok = add_label(l, label, &distinct, e);
            continue;
        }
        int32_t class = ok ? class_of(d, c, label) : -1;
        if (ok && class < 0) ++*left_out;
        int split = ok && k.split >= 0 ? rt_csv_split(csv.field[k.split]) : -1;
        if (ok && class >= 0) ok = rt_files_add(d, csv.field[k.file], NULL, class, split < 0 ? RT_NSPLITS : split, e);
    }
    rt_csv_close(&csv);
    return ok && state == 0;
}

static bool set_classes(RtData *d, const RtDataConfig *c, const char *path, RtError *e)
{
    if (c->nclasses) return rt_data_set_classes(d, c->nclasses, c->classes, e);
    RtList l = {0};
    bool ok = read_rows(d, c, path, &l, NULL, e);
    sort_labels(&l);
    if (ok && (l.n == 0 || l.n > INT_MAX))
        ok = rt_data_fail(e, RT_EXIT_DATA, "D001", "'%s' lists no images", rt_esc(path));
    ok = ok && rt_data_set_classes(d, (int)l.n, (const char *const *)l.name, e);
    rt_list_free(&l);
    return ok;
}

static bool open_list(RtData *d, const RtDataConfig *c, RtError *e)
{
    int64_t left_out = 0;
    if (!rt_files_open(d, c, e)) return false;
    char *path = rt_path_join(c->root, list_name, e);
    bool ok = path && set_classes(d, c, path, e) && read_rows(d, c, path, NULL, &left_out, e);
    free(path);
    if (left_out)
        rt_data_note(d, "note: %" PRId64 " rows of %s have classes that are not in data.classes", left_out, list_name);
    return ok && rt_files_check(d, c, e) && rt_files_split(d, c, e);
}

const RtFormat rt_format_csv = {open_list};
