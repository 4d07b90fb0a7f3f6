/* Opening a data set for `sinter data`.
 *
 * In: a folder, whose format is guessed, or a description. Out: RtData, opened to be looked at: nothing about sizes,
 * channels or empty classes is refused. Rule: a guess looks at names only, the first row that fits is it. */
#include "data/set.h"
#include "runtime/data/folder.h"
#include "runtime/data/memory.h"
#include "runtime/err.h"
#include "stages.h"
#include "support/diag.h"
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- the guess ---- */

static const struct {
    const char *format, *pattern, *other; /* both must be there; other may be NULL */
} signs[] = {
    {"csv", "labels.csv", NULL},
    {"idx", "train-images-idx3-ubyte*", NULL},
    {"cifar10", "data_batch_1.bin", NULL},
    {"cifar10", "cifar-10-batches-bin/data_batch_1.bin", NULL},
    {"cifar100", "train.bin", "test.bin"},
    {"cifar100", "cifar-100-binary/train.bin", NULL},
    {"svhn", "train_32x32.mat", NULL},
    {"nist36", "nist36_train.mat", NULL},
    {"voc_segmentation", "ImageSets/Segmentation", NULL},
    {"voc_segmentation", "VOC20*/ImageSets/Segmentation", NULL},
    {"voc_segmentation", "VOCdevkit/VOC20*/ImageSets/Segmentation", NULL},
    {"cityscapes", "leftImg8bit", "gtFine/*/*/*_gtFine_labelIds.png"},
    {"idd", "leftImg8bit", "gtFine/*/*/*_gtFine_labelids.png"},
    {"mask_folder", "images", "masks"},
    {"mask_folder", "train/images", "train/masks"},
};

static bool there(const char *root, const char *pattern)
{
    char path[4096];
    glob_t g;
    size_t n = 0;
    for (; *root && n < 2048; root++) { /* a name may hold what glob takes for a pattern */
        if (strchr("*?[\\", *root)) path[n++] = '\\';
        path[n++] = *root;
    }
    if ((size_t)snprintf(path + n, sizeof path - n, "/%s", pattern) >= sizeof path - n) return false;
    bool yes = glob(path, GLOB_NOSORT, NULL, &g) == 0;
    if (yes) globfree(&g);
    return yes;
}

const char *set_guess(const char *root)
{
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (there(root, signs[i].pattern) && (!signs[i].other || there(root, signs[i].other))) return signs[i].format;
    return "image_folder";
}

/* Formats are parts, linked where somebody names them: here, all of them. */
__attribute__((used)) static const RtFormat *const all_formats[] = {
#define RT_FORMAT(word, masks, what) &rt_format_##word,
#include "runtime/data/formats.def"
#undef RT_FORMAT
};

/* ---- the command line ---- */

static const char *const flags[] = {"--format", "--json", "--limit", "--class-map", "--split-file", "--max-bad", NULL};

static int64_t whole(const char *flag, const char *text)
{
    char *end;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end || v < 0) rt_fail(RT_EXIT_USAGE, "C002", "%s: '%s' is not a number", flag, rt_esc(text));
    return v;
}

static void set_flag(DataSet *s, const char *verb, const char *flag, const char *value)
{
    RtDataConfig *c = &s->config;
    if (!strcmp(flag, "--format"))
        c->format = value;
    else if (!strcmp(flag, "--json"))
        s->json = value;
    else if (!strcmp(flag, "--limit"))
        c->limit = whole(flag, value);
    else if (!strcmp(flag, "--class-map"))
        c->class_map = value;
    else if (!strcmp(flag, "--split-file"))
        c->split_file = value;
    else {
        const char *near = diag_nearest(flag, flags);
        rt_fail(RT_EXIT_USAGE, "C001", "unknown option '%s'%s%s%s\nsinter data %s --help", rt_esc(flag),
                near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "", verb);
    }
}

void set_parse(DataSet *s, const char *verb, int argc, char **argv,
               bool (*own)(DataSet *s, const char *flag, const char *value))
{
    *s = (DataSet){.arena = arena_new()};
    rt_data_config_init(&s->config);
    const char *place = NULL;
    const char **value = NEWN(s->arena, const char *, argc + 1), **flag = NEWN(s->arena, const char *, argc + 1);
    int n = 0;
    for (int i = 0; i < argc; i++) {
        char *eq = argv[i][0] == '-' ? strchr(argv[i], '=') : NULL;
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            s->help = true;
        } else if (!strcmp(argv[i], "--force")) {
            s->force = true;
        } else if (argv[i][0] != '-') {
            if (place) rt_fail(RT_EXIT_USAGE, "C001", "extra argument '%s'", rt_esc(argv[i]));
            place = argv[i];
        } else {
            if (!eq && i + 1 == argc) rt_fail(RT_EXIT_USAGE, "C001", "%s needs a value", rt_esc(argv[i]));
            if (eq) *eq = 0;
            flag[n] = argv[i];
            value[n++] = eq ? eq + 1 : argv[++i];
        }
    }
    if (s->help) return;
    if (!place) rt_fail(RT_EXIT_USAGE, "C001", "'data %s' needs a folder or a description", verb);
    set_place(s, place);
    for (int i = 0; i < n; i++)
        if (!own || !own(s, flag[i], value[i])) set_flag(s, verb, flag[i], value[i]);
    if (!s->config.format) {
        s->guessed = true;
        s->config.format = set_guess(s->config.root);
    }
}

/* ---- a description ---- */

static const char *option(const Setting *o, int n, const char *key)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(o[i].key, key)) return o[i].value;
    return NULL;
}

static double real(const Setting *o, int n, const char *key, double otherwise)
{
    const char *v = option(o, n, key);
    return v ? strtod(v, NULL) : otherwise;
}

static void take_classes(DataSet *s, const char *list)
{
    char *text = arena_strdup(s->arena, list);
    const char **name = NEWN(s->arena, const char *, strlen(list) + 1);
    for (char *word = strtok(text, ","); word; word = strtok(NULL, ",")) name[s->config.nclasses++] = word;
    s->config.classes = name;
}

static void of_description(DataSet *s, const char *path)
{
    Spec *spec = spec_read(s->arena, path, NULL, 0);
    if (!spec || diag_errors()) exit(diag_flush());
    int n;
    const Setting *o = spec_options(spec, &n);
    RtDataConfig *c = &s->config;
    c->format = option(o, n, "data.format");
    c->root = option(o, n, "data.root");
    c->train = real(o, n, "data.split.train", 0);
    c->val = real(o, n, "data.split.val", 0);
    c->test = real(o, n, "data.split.test", 0);
    c->seed = (uint64_t)real(o, n, "data.split.seed", 0);
    c->limit = (int64_t)real(o, n, "data.limit", 0);
    c->split_file = option(o, n, "data.split.file");
    c->class_map = option(o, n, "data.class_map");
    c->ignore_index = (int)real(o, n, "data.ignore_index", RT_LABEL_IGNORE);
    const char *stratify = option(o, n, "data.split.stratify"), *classes = option(o, n, "data.classes");
    c->stratify = !stratify || !strcmp(stratify, "true");
    if (classes) take_classes(s, classes);
    if (!c->root) rt_fail(RT_EXIT_SPEC, "S013", "%s: 'data' needs 'root'", rt_esc(path));
}

void set_place(DataSet *s, const char *place)
{
    struct stat st;
    s->config.stratify = true;
    if (stat(place, &st) == 0 && !S_ISDIR(st.st_mode))
        of_description(s, place);
    else
        s->config.root = place; /* also one that is not there: the runtime says so */
}

/* ---- the set ---- */

RtData *set_open(DataSet *s)
{
    RtError e;
    s->config.channels = s->config.height = s->config.width = 1;
    s->config.look = true;
    s->config.max_bad = INT64_MAX - 1;
    RtData *d = rt_data_open(&s->config, &e);
    if (!d) rt_fail(e.exit, e.id, "%s", e.text);
    return d;
}

int set_item_size(const RtData *d, int64_t item, int *h, int *w)
{
    if (!d->files) {
        const RtMemory *m = d->source;
        *h = m->h, *w = m->w;
        return m->c;
    }
    const RtFile *f = &((const RtFolder *)d->source)->file[item];
    *h = f->h, *w = f->w;
    return f->channels;
}

int64_t *set_counts(const RtData *d, enum RtSplit s)
{
    int64_t *count = rt_alloc((size_t)d->nclasses + 1, sizeof *count, "counts");
    for (int64_t i = 0; i < d->split[s].n; i++) {
        int64_t item = d->split[s].item[i];
        if (!d->masks) {
            count[d->label[item]]++;
            continue;
        }
        const RtMaskFile *f = ((const RtFolder *)d->source)->file[item].mask;
        for (int k = 0; k < d->nclasses; k++) count[k] += f->seen[k / 8] >> k % 8 & 1;
    }
    return count;
}
