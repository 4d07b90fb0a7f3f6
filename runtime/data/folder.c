/* Image folders: root/CLASS/... dealt out by fractions, or root/{train,val,test}/CLASS/... taken as
 * they are.
 *
 * rule: classes are the directories, sorted by bytes (or data.classes, in its order); below a class
 * every PNG and JPEG counts, subdirectories included; hidden entries and files that are no images
 * are left out. Without a val directory, val is taken out of train. not here: what is in the files
 * (files.c).
 */
#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { MAX_DEPTH = 32 };

/* ---- listing ---- */

typedef struct List {
    int64_t n;
    char **name;
} List;

static void list_free(List *l)
{
    for (int64_t i = 0; i < l->n; i++) free(l->name[i]);
    free(l->name);
    *l = (List){0, NULL};
}

static bool list_add(List *l, const char *name, int64_t *cap, RtError *e)
{
    if (l->n == *cap) {
        *cap = 2 * *cap + 64;
        char **grown = realloc(l->name, (size_t)*cap * sizeof *grown);
        if (!grown) return rt_data_no_memory(e, "a directory", (uint64_t)*cap * sizeof *grown);
        l->name = grown;
    }
    l->name[l->n] = strdup(name);
    if (!l->name[l->n]) return rt_data_no_memory(e, "a directory", strlen(name));
    l->n++;
    return true;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool cannot_read(const char *name, int error, RtError *e)
{
    if (error == ELOOP)
        return rt_data_fail(e, RT_EXIT_DATA, "D022", "directory loop at '%s'", rt_esc(name));
    return rt_data_fail(e, RT_EXIT_DATA, "D002", "cannot read '%s': %s", rt_esc(name),
                        strerror(error));
}

/* Names in a directory, sorted; what begins with a dot is hidden. */
static bool list_dir(const char *path, const char *shown, List *l, RtError *e)
{
    *l = (List){0, NULL};
    DIR *dir = opendir(path);
    if (!dir) return cannot_read(shown, errno, e);
    int64_t cap = 0;
    bool ok = true;
    struct dirent *entry;
    for (errno = 0; ok && (entry = readdir(dir)); errno = 0)
        if (entry->d_name[0] != '.') ok = list_add(l, entry->d_name, &cap, e);
    if (ok && errno) ok = cannot_read(shown, errno, e);
    closedir(dir);
    if (!ok)
        list_free(l);
    else if (l->n)
        qsort(l->name, (size_t)l->n, sizeof *l->name, by_bytes);
    return ok;
}

static bool is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Subdirectories of root/below. */
static bool list_classes(const char *root, const char *below, List *classes, RtError *e)
{
    List all = {0, NULL};
    char *base = rt_path_join(root, below, e);
    if (!base) return false;
    bool ok = list_dir(base, *below ? below : root, &all, e);
    *classes = (List){0, NULL};
    for (int64_t i = 0, cap = 0; ok && i < all.n; i++) {
        char *path = rt_path_join(base, all.name[i], e);
        ok = path && (!is_dir(path) || list_add(classes, all.name[i], &cap, e));
        free(path);
    }
    free(base);
    list_free(&all);
    if (!ok) list_free(classes);
    return ok;
}

static int64_t list_find(const List *l, const char *name)
{
    for (int64_t i = 0; i < l->n; i++)
        if (!strcmp(l->name[i], name)) return i;
    return -1;
}

/* ---- walking one class ---- */

typedef struct Walk {
    RtFolder *src;
    int32_t label;
    uint8_t split;
    int64_t ignored;
    int depth;
    struct {
        dev_t dev;
        ino_t ino;
    } above[MAX_DEPTH]; /* directories that we are in */
    RtError *e;
} Walk;

static bool has_extension(const char *name, const char *const *list)
{
    const char *dot = strrchr(name, '.');
    for (; dot && *list; list++)
        if (!strcasecmp(dot + 1, *list)) return true;
    return false;
}

/* Files that say they are images: those that we do not read are reported, not passed over. */
static bool is_image_name(const char *name)
{
    static const char *const images[] = {"png",  "jpg", "jpeg", "gif", "bmp", "tga",  "psd", "hdr",
                                         "webp", "tif", "tiff", "ppm", "pgm", "jfif", NULL};
    return has_extension(name, images);
}

static bool add_file(Walk *k, const char *path)
{
    RtFolder *src = k->src;
    if (src->n == src->cap) {
        int64_t cap = 2 * src->cap + 256;
        RtFile *grown = realloc(src->file, (size_t)cap * sizeof *grown);
        if (!grown) return rt_data_no_memory(k->e, "the file list", (uint64_t)cap * sizeof *grown);
        src->file = grown;
        src->cap = cap;
    }
    RtFile *f = &src->file[src->n];
    memset(f, 0, sizeof *f);
    f->path = strdup(path);
    if (!f->path) return rt_data_no_memory(k->e, "the file list", strlen(path));
    f->label = k->label;
    f->split = k->split;
    src->n++;
    return true;
}

static bool walk_dir(Walk *k, const char *rel);

static bool enter(Walk *k, const struct stat *st, const char *rel)
{
    bool loop = k->depth == MAX_DEPTH;
    for (int i = 0; i < k->depth; i++)
        loop = loop || (k->above[i].dev == st->st_dev && k->above[i].ino == st->st_ino);
    if (loop) return cannot_read(rel, ELOOP, k->e);
    k->above[k->depth].dev = st->st_dev;
    k->above[k->depth].ino = st->st_ino;
    k->depth++;
    bool ok = walk_dir(k, rel);
    k->depth--;
    return ok;
}

static bool visit(Walk *k, const char *rel)
{
    struct stat st;
    char *path = rt_path_join(k->src->root, rel, k->e);
    if (!path) return false;
    int error = stat(path, &st) == 0 ? 0 : errno;
    free(path);
    if (error == ELOOP) return cannot_read(rel, ELOOP, k->e);
    if (!error && S_ISDIR(st.st_mode)) return enter(k, &st, rel);
    if (is_image_name(rel))
        return add_file(k, rel); /* also a dangling link: files.c says what is wrong */
    k->ignored++;
    return true;
}

static bool walk_dir(Walk *k, const char *rel)
{
    List names;
    char *path = rt_path_join(k->src->root, rel, k->e);
    bool ok = path && list_dir(path, rel, &names, k->e);
    free(path);
    if (!ok) return false;
    for (int64_t i = 0; ok && i < names.n; i++) {
        char *child = rt_path_join(rel, names.name[i], k->e);
        ok = child && visit(k, child);
        free(child);
    }
    list_free(&names);
    return ok;
}

/* Files of all classes below root/below, in class order. */
static bool walk_classes(RtData *d, const char *below, uint8_t split, RtError *e)
{
    Walk k = {.src = d->source, .split = split, .e = e};
    for (int i = 0; i < d->nclasses; i++) {
        char *rel = rt_path_join(below, d->class_name[i], e);
        k.label = i;
        bool ok = rel && visit(&k, rel);
        free(rel);
        if (!ok) return false;
    }
    if (k.ignored)
        rt_data_note(d, "note: %" PRId64 " files%s%s that are not images left out", k.ignored,
                     *below ? " in " : "", below);
    return true;
}

/* ---- classes ---- */

static bool choose_classes(RtData *d, const RtDataConfig *c, const List *found, RtError *e)
{
    if (found->n == 0)
        return rt_data_fail(
            e, RT_EXIT_DATA, "D001",
            "no images found under '%s'\nan image folder has a directory for each class",
            rt_esc(c->root));
    if (found->n > INT32_MAX) return rt_data_no_memory(e, "class names", UINT64_MAX);
    if (!c->nclasses)
        return rt_data_set_classes(d, (int)found->n, (const char *const *)found->name, e);
    for (int i = 0; i < c->nclasses; i++) {
        if (list_find(found, c->classes[i]) < 0)
            return rt_data_fail(e, RT_EXIT_DATA, "D020",
                                "class '%s' has 0 images: no such directory in '%s'",
                                rt_esc(c->classes[i]), rt_esc(c->root));
        for (int j = 0; j < i; j++)
            if (!strcmp(c->classes[i], c->classes[j]))
                return rt_data_fail(e, RT_EXIT_SPEC, "D020",
                                    "data.classes: class '%s' is listed twice",
                                    rt_esc(c->classes[i]));
    }
    if (found->n > c->nclasses)
        rt_data_note(d, "note: %" PRId64 " classes of '%s' are not in data.classes and left out",
                     found->n - c->nclasses, rt_esc(c->root));
    return rt_data_set_classes(d, c->nclasses, c->classes, e);
}

/* val and test must have exactly train's classes; with data.classes, at least those. */
static bool same_classes(const RtData *d, const RtDataConfig *c, const char *which, RtError *e)
{
    List train, other = {0, NULL};
    if (!list_classes(c->root, "train", &train, e)) return false;
    bool ok = list_classes(c->root, which, &other, e);
    for (int64_t i = 0; ok && i < other.n; i++)
        if (list_find(&train, other.name[i]) < 0)
            ok = rt_data_fail(e, RT_EXIT_DATA, "D019", "%s has class '%s' not in train", which,
                              rt_esc(other.name[i]));
    for (int i = 0; ok && i < d->nclasses; i++)
        if (list_find(&other, d->class_name[i]) < 0)
            ok = rt_data_fail(e, RT_EXIT_DATA, "D019", "%s lacks class '%s' of train", which,
                              rt_esc(d->class_name[i]));
    list_free(&train);
    list_free(&other);
    return ok;
}

static bool check_filled(const RtData *d, const RtFolder *src, RtError *e)
{
    int64_t *count = rt_data_alloc((uint64_t)d->nclasses, sizeof *count, "class counts", e);
    if (!count) return false;
    for (int64_t i = 0; i < src->n; i++)
        if (src->file[i].split == RT_SPLIT_TRAIN || src->file[i].split == RT_NSPLITS)
            count[src->file[i].label]++;
    bool ok = true;
    for (int k = 0; ok && k < d->nclasses; k++)
        if (!count[k])
            ok = rt_data_fail(e, RT_EXIT_DATA, "D020", "class '%s' has 0 images",
                              rt_esc(d->class_name[k]));
    free(count);
    return ok;
}

/* ---- the format's functions ---- */

static const char *item_name(const RtData *d, int64_t item, char *buf, size_t n)
{
    (void)buf, (void)n;
    return ((const RtFolder *)d->source)->file[item].path;
}

static void close_source(void *source)
{
    RtFolder *src = source;
    for (int64_t i = 0; i < src->n; i++) {
        free(src->file[i].path);
        free(src->file[i].cache);
    }
    free(src->file);
    free(src->root);
    free(src);
}

/* Are there train/CLASS directories? A class may itself be called "train". */
static bool has_split(const RtDataConfig *c, const char *which)
{
    RtError ignored;
    List classes;
    char *path = rt_path_join(c->root, which, &ignored);
    bool yes = path && is_dir(path) && list_classes(c->root, which, &classes, &ignored);
    free(path);
    if (!yes) return false;
    yes = classes.n > 0;
    list_free(&classes);
    return yes;
}

static bool deal_out(RtData *d, const RtDataConfig *c, uint8_t from, RtFractions f, int64_t *pool,
                     RtError *e)
{
    const RtFolder *src = d->source;
    int64_t n = 0;
    for (int64_t i = 0; i < src->n; i++)
        if (src->file[i].split == from) pool[n++] = i;
    return rt_split_items(d, c, f, pool, n, e);
}

static bool make_splits(RtData *d, const RtDataConfig *c, bool dirs, bool has_val, RtError *e)
{
    static const RtFractions whole[RT_NSPLITS] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
    RtFractions f;
    if (!rt_split_fractions(c, dirs ? (RtFractions){0.9, 0.1, 0} : (RtFractions){0.8, 0.1, 0.1}, &f,
                            e))
        return false;
    int64_t *pool = rt_data_alloc((uint64_t)d->nitems, sizeof *pool, "the split", e);
    if (!pool) return false;
    if (dirs) f = has_val ? whole[RT_SPLIT_TRAIN] : (RtFractions){1 - f.val, f.val, 0};
    bool ok = deal_out(d, c, dirs ? RT_SPLIT_TRAIN : RT_NSPLITS, f, pool, e) &&
              deal_out(d, c, RT_SPLIT_VAL, whole[RT_SPLIT_VAL], pool, e) &&
              deal_out(d, c, RT_SPLIT_TEST, whole[RT_SPLIT_TEST], pool, e);
    free(pool);
    return ok;
}

static bool find_files(RtData *d, const RtDataConfig *c, bool dirs, bool has_val, bool has_test,
                       RtError *e)
{
    List found;
    if (!list_classes(c->root, dirs ? "train" : "", &found, e)) return false;
    bool ok = choose_classes(d, c, &found, e);
    list_free(&found);
    if (!dirs) return ok && walk_classes(d, "", RT_NSPLITS, e);
    return ok && (!has_val || same_classes(d, c, "val", e)) &&
           (!has_test || same_classes(d, c, "test", e)) &&
           walk_classes(d, "train", RT_SPLIT_TRAIN, e) &&
           (!has_val || walk_classes(d, "val", RT_SPLIT_VAL, e)) &&
           (!has_test || walk_classes(d, "test", RT_SPLIT_TEST, e));
}

bool rt_folder_open(RtData *d, const RtDataConfig *c, RtError *e)
{
    RtFolder *src = d->source = rt_data_alloc(1, sizeof *src, "the data set", e);
    if (!src) return false;
    d->close = close_source;
    d->fetch = rt_files_fetch;
    d->item_name = item_name;
    d->prefix = rt_pipe_shared(&d->train, &d->eval);
    bool dirs = has_split(c, "train"), has_val = dirs && has_split(c, "val"),
         has_test = dirs && has_split(c, "test");
    src->root = strdup(c->root);
    if (!src->root) return rt_data_no_memory(e, "a file name", strlen(c->root));
    if (!find_files(d, c, dirs, has_val, has_test, e)) return false;
    if (src->n == 0)
        return rt_data_fail(e, RT_EXIT_DATA, "D001", "no images found under '%s'", rt_esc(c->root));
    if (!rt_files_check(d, c, e) || !check_filled(d, src, e)) return false;
    d->nitems = src->n;
    d->label = rt_data_alloc((uint64_t)d->nitems, sizeof *d->label, "the labels", e);
    if (!d->label) return false;
    for (int64_t i = 0; i < src->n; i++) d->label[i] = src->file[i].label;
    if (!make_splits(d, c, dirs, has_val, e)) return false;
    rt_files_duplicates(d);
    return true;
}
