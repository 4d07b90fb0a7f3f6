/* Image folders: root/CLASS/... dealt out by fractions, or root/{train,val,test}/CLASS/... taken as
 * they are.
 *
 * rule: classes are the directories, sorted by bytes (or data.classes, in its order); below a class
 * every PNG and JPEG counts, subdirectories included; hidden entries and files that are no images
 * are left out. Without a val directory, val is taken out of train. not here: what is in the files
 * (files.c).
 */
#include "folder.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_DEPTH = 32 };

/* ---- classes that are there ---- */

/* Subdirectories of root/below. */
static bool list_classes(const char *root, const char *below, RtList *classes, RtError *e)
{
    RtList all = {0};
    char *base = rt_path_join(root, below, e);
    if (!base) return false;
    bool ok = rt_list_dir(base, *below ? below : root, &all, e);
    *classes = (RtList){0};
    for (int64_t i = 0; ok && i < all.n; i++) {
        char *path = rt_path_join(base, all.name[i], e);
        ok = path && (!rt_is_dir(path) || rt_list_add(classes, all.name[i], e));
        free(path);
    }
    free(base);
    rt_list_free(&all);
    if (!ok) rt_list_free(classes);
    return ok;
}

static int64_t list_find(const RtList *l, const char *name)
{
    for (int64_t i = 0; i < l->n; i++)
        if (!strcmp(l->name[i], name)) return i;
    return -1;
}

/* ---- walking one class ---- */

typedef struct Walk {
    RtData *d;
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

static bool walk_dir(Walk *k, const char *rel);

static bool enter(Walk *k, const struct stat *st, const char *rel)
{
    bool loop = k->depth == MAX_DEPTH;
    for (int i = 0; i < k->depth; i++)
        loop = loop || (k->above[i].dev == st->st_dev && k->above[i].ino == st->st_ino);
    if (loop) return rt_cannot_read(rel, ELOOP, k->e);
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
    char *path = rt_path_join(((RtFolder *)k->d->source)->root, rel, k->e);
    if (!path) return false;
    int error = stat(path, &st) == 0 ? 0 : errno;
    free(path);
    if (error == ELOOP) return rt_cannot_read(rel, ELOOP, k->e);
    if (!error && S_ISDIR(st.st_mode)) return enter(k, &st, rel);
    if (rt_is_image_name(rel))
        return rt_files_add(k->d, rel, NULL, k->label, k->split, k->e); /* also a dangling link */
    k->ignored++;
    return true;
}

static bool walk_dir(Walk *k, const char *rel)
{
    RtList names;
    char *path = rt_path_join(((RtFolder *)k->d->source)->root, rel, k->e);
    bool ok = path && rt_list_dir(path, rel, &names, k->e);
    free(path);
    if (!ok) return false;
    for (int64_t i = 0; ok && i < names.n; i++) {
        char *child = rt_path_join(rel, names.name[i], k->e);
        ok = child && visit(k, child);
        free(child);
    }
    rt_list_free(&names);
    return ok;
}

/* Files of all classes below root/below, in class order. */
static bool walk_classes(RtData *d, const char *below, uint8_t split, RtError *e)
{
    Walk k = {.d = d, .split = split, .e = e};
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

static bool choose_classes(RtData *d, const RtDataConfig *c, const RtList *found, RtError *e)
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
    RtList train, other = {0};
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
    rt_list_free(&train);
    rt_list_free(&other);
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

/* ---- the whole ---- */

/* Are there train/CLASS directories? A class may itself be called "train". */
static bool has_split(const RtDataConfig *c, const char *which)
{
    RtError ignored;
    RtList classes;
    char *path = rt_path_join(c->root, which, &ignored);
    bool yes = path && rt_is_dir(path) && list_classes(c->root, which, &classes, &ignored);
    free(path);
    if (!yes) return false;
    yes = classes.n > 0;
    rt_list_free(&classes);
    return yes;
}

static bool find_files(RtData *d, const RtDataConfig *c, bool dirs, bool has_val, bool has_test,
                       RtError *e)
{
    RtList found;
    if (!list_classes(c->root, dirs ? "train" : "", &found, e)) return false;
    bool ok = choose_classes(d, c, &found, e);
    rt_list_free(&found);
    if (!dirs) return ok && walk_classes(d, "", RT_NSPLITS, e);
    return ok && (!has_val || same_classes(d, c, "val", e)) &&
           (!has_test || same_classes(d, c, "test", e)) &&
           walk_classes(d, "train", RT_SPLIT_TRAIN, e) &&
           (!has_val || walk_classes(d, "val", RT_SPLIT_VAL, e)) &&
           (!has_test || walk_classes(d, "test", RT_SPLIT_TEST, e));
}

static bool open_folder(RtData *d, const RtDataConfig *c, RtError *e)
{
    if (!rt_files_open(d, c, e)) return false;
    const RtFolder *src = d->source;
    bool dirs = has_split(c, "train"), has_val = dirs && has_split(c, "val"),
         has_test = dirs && has_split(c, "test");
    if (!find_files(d, c, dirs, has_val, has_test, e)) return false;
    if (src->n == 0)
        return rt_data_fail(e, RT_EXIT_DATA, "D001", "no images found under '%s'", rt_esc(c->root));
    return rt_files_check(d, c, e) && (c->look || check_filled(d, src, e)) && rt_files_split(d, c, e);
}

const RtFormat rt_format_image_folder = {open_folder};
