/* A description to begin with.
 * In: a template of templates/init, a folder of data. Out: the template with the folder's classes,
 * sizes and format in the place of @names@.
 * Rule: only the names of folders, the head of one file and the labels are looked at. Not here:
 * whether the data are sound (runtime). */
#include "init.h"
#include "data/set.h"
#include "spec/unit.h"
#include "support/buf.h"
#include "support/diag.h"
#include "support/file.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_TEMPLATE = 1 << 16, MOST_DEPTH = 8, LABELS = 4096 };

const char *const init_kinds[] = {"cnn",           "mlp", "autoencoder", "resnet18-ft",
                                  "squeezenet-ft", "fcn", NULL};

typedef struct Looked {
    const char *root;
    const char *format;
    bool whole, masks, has_train; /* whole: images of one size; has_train: root/train/CLASS instead of root/CLASS */
    int classes, channels, height, width;
} Looked;

/* ---- image folders ---- */

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool head_of(const char *path, Looked *l)
{
    RtError e;
    RtImageInfo info;
    uint8_t *bytes;
    size_t n;
    if (!rt_image_read(path, path, &bytes, &n, &e)) return false;
    bool ok = rt_image_check(bytes, n, path, &info, &e);
    free(bytes);
    if (!ok) return false;
    l->channels = info.c < 3 ? 1 : 3;
    l->height = info.h;
    l->width = info.w;
    return true;
}

/* The first image in or below a folder, by name. */
static bool first_image(Arena *a, const char *folder, int depth, Looked *l)
{
    struct dirent **entry;
    int n = depth < MOST_DEPTH ? scandir(folder, &entry, NULL, alphasort) : -1;
    bool found = false;
    for (int i = 0; i < n; i++) {
        const char *name = entry[i]->d_name, *dot = strrchr(name, '.');
        const char *path = arena_printf(a, "%s/%s", folder, name);
        bool image = dot && (strcasecmp(dot, ".png") == 0 || strcasecmp(dot, ".jpg") == 0 ||
                             strcasecmp(dot, ".jpeg") == 0);
        if (!found && *name != '.')
            found =
                image ? head_of(path, l) : is_folder(path) && first_image(a, path, depth + 1, l);
        free(entry[i]);
    }
    if (n >= 0) free(entry);
    return found;
}

static int count_folders(Arena *a, const char *folder)
{
    DIR *d = opendir(folder);
    int n = 0;
    for (struct dirent *e; d && (e = readdir(d));)
        n += *e->d_name != '.' && is_folder(arena_printf(a, "%s/%s", folder, e->d_name));
    if (d) closedir(d);
    return n;
}

/* ---- IDX ---- */

/* The first n bytes of a file, plain or .gz: -> how many there are, -1: no such file */
static int64_t read_head(Arena *a, const char *root, const char *name, uint8_t *to, size_t n,
                         RtSource **rest)
{
    RtError e;
    const char *path = arena_printf(a, "%s/%s", root, name);
    bool gz = access(path, R_OK) != 0;
    if (gz) path = arena_printf(a, "%s.gz", path);
    if (access(path, R_OK) != 0) return -1;
    *rest = rt_source_open(path, gz, &e);
    return *rest ? rt_source_read(*rest, to, n, &e) : -1;
}

static int number(const uint8_t *p)
{
    return p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

static int count_labels(Arena *a, const char *root)
{
    uint8_t b[LABELS];
    RtSource *s = NULL;
    RtError e;
    int most = 0;
    if (read_head(a, root, "train-labels-idx1-ubyte", b, 8, &s) == 8)
        for (int64_t n; (n = rt_source_read(s, b, sizeof b, &e)) > 0;)
            for (int64_t i = 0; i < n; i++)
                if (b[i] > most) most = b[i];
    rt_source_close(s);
    return most + 1;
}

static bool look_idx(Arena *a, Looked *l)
{
    uint8_t head[16];
    RtSource *s = NULL;
    bool ok = read_head(a, l->root, "train-images-idx3-ubyte", head, 16, &s) == 16 &&
              number(head) == 0x803;
    rt_source_close(s);
    if (!ok) return false;
    *l = (Looked){.root = l->root, .format = "idx", .whole = true, .channels = 1};
    l->height = number(head + 8);
    l->width = number(head + 12);
    l->classes = count_labels(a, l->root);
    return true;
}

/* The other formats are opened: what is in them is known only then. */
static bool look_set(Arena *a, Looked *l)
{
    DataSet s = {.arena = a};
    rt_data_config_init(&s.config);
    s.config.root = l->root;
    s.config.format = l->format;
    RtData *d = set_open(&s);
    if (d->nitems) l->channels = set_item_size(d, 0, &l->height, &l->width) < 3 ? 1 : 3;
    l->classes = d->nclasses;
    l->masks = d->masks;
    l->whole = !d->files;
    l->has_train = is_folder(arena_printf(a, "%s/train", l->root));
    bool any = d->nitems > 0;
    rt_data_close(d);
    return any;
}

static bool look(Arena *a, Looked *l)
{
    if (look_idx(a, l)) return true;
    l->format = set_guess(l->root);
    if (strcmp(l->format, "image_folder") != 0) return look_set(a, l);
    const char *train = arena_printf(a, "%s/train", l->root);
    l->has_train = is_folder(train);
    l->classes = count_folders(a, l->has_train ? train : l->root);
    return l->classes > 0 && first_image(a, l->has_train ? train : l->root, 0, l);
}

/* ---- the template ---- */

/* Photographs come in all sizes: those are brought to one that a small network can take. */
static void choose_size(Looked *l)
{
    if (l->whole || (l->height <= 64 && l->width <= 64)) return;
    l->height = l->width = 128;
}

static const char *data_block(Arena *a, const char *kind, const Looked *l)
{
    const char *root = l->root, *quote = "", *normal = "";
    bool tuned = strstr(kind, "-ft") || l->masks, rebuilt = strcmp(kind, "autoencoder") == 0;
    for (const char *c = root; *c; c++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./-", *c))
            quote = "'";
    const char *count = rebuilt ? "" : "  num_classes: num_classes\n";
    if (tuned)
        normal = "  normalize: imagenet\n";
    else if (!rebuilt)
        normal = "  normalize: {mean: 0.5, std: 0.5}\n";
    int h = l->height, w = l->width;
    const char *fit = arena_printf(a, "'Resize((%d, %d))'", h, w);
    if (h == w) fit = arena_printf(a, "Resize(%d), CenterCrop(%d)", h, h);
    if (tuned) fit = "Resize(256), CenterCrop(224)";
    if (l->masks) fit = "'Resize((256, 256))'"; /* what the template takes */
    const char *flip = tuned ? ", RandomHorizontalFlip()" : "";
    const char *change = "";
    if (tuned || !l->whole)
        change =
            arena_printf(a, "  transforms:\n    train: [%s%s]\n    eval: [%s]\n", fit, flip, fit);
    bool dealt = !strcmp(l->format, "image_folder") || !strcmp(l->format, "csv") || !strcmp(l->format, "mask_folder");
    const char *split = l->whole                 ? "  split: {val: 0.1}\n"
                        : l->has_train || !dealt ? ""
                                       : "  split: {train: 0.8, val: 0.1, test: 0.1, "
                                         "stratify: true, seed: 0}\n";
    return arena_printf(a, "data:\n  format: %s\n  root: %s%s%s\n%s%s%s%s",
                        l->format, quote, root, quote, count, split, change,
                        normal);
}

typedef struct Name {
    const char *name, *value;
} Name;

static const char *fill(Arena *a, const char *text, const Name *names)
{
    Buf b = {0};
    while (*text) {
        const Name *n = names;
        while (n->name && strncmp(text, n->name, strlen(n->name)) != 0) n++;
        buf_puts(&b, n->name ? n->value : "");
        if (!n->name) buf_putc(&b, *text);
        text += n->name ? strlen(n->name) : 1;
    }
    const char *all = arena_strdup(a, b.s);
    buf_free(&b);
    return all;
}

static const char *template_text(Arena *a, const char *kind)
{
    const char *path = unit_shipped(a, "templates/init", arena_printf(a, "%s.yaml", kind)), *why;
    size_t len;
    const char *text = path ? file_read(a, path, MOST_TEMPLATE, &len, &why) : NULL;
    if (!text) fatal(EXIT_TOOL, "the templates are not beside the compiler: run make install");
    return text;
}

static bool may_write(const char *out, bool force)
{
    if (!out || force || access(out, F_OK) != 0) return true;
    diag_error((Loc){0}, "C004", "'%s' exists (use --force)", out);
    diag_exit_with(EXIT_WRITE);
    return false;
}

static bool find_data(Arena *a, const char *kind, const char *data, Looked *l)
{
    *l = (Looked){.root = "/usr/share/datasets/fashion-mnist", .format = "idx", .whole = true};
    l->classes = 10, l->channels = 1, l->height = l->width = 28;
    if (!data) return true;
    *l = (Looked){.root = data};
    if (strpbrk(data, "'\n")) {
        diag_error((Loc){0}, "C002", "--data: a folder whose name holds quotes or line breaks");
        diag_exit_with(EXIT_USAGE);
        return false;
    }
    if (look(a, l)) {
        if (l->masks == (strcmp(kind, "fcn") == 0)) return true;
        diag_error((Loc){0}, "C002", "--data: '%s' holds %s (%s)", data, l->masks ? "masks" : "no masks", l->format);
        diag_help(l->masks ? "sinter init fcn" : "sinter init cnn, or another kind");
        diag_exit_with(EXIT_USAGE);
        return false;
    }
    diag_error((Loc){0}, "D001", "no images found under '%s'", data);
    diag_help("expected %s/CLASS/*.png, %s/train/CLASS/*.jpg, or %s/train-images-idx3-ubyte[.gz]",
              data, data, data);
    diag_exit_with(EXIT_DATA);
    return false;
}

int init_write(const char *kind, const char *data, const char *out, bool force)
{
    Arena *a = arena_new();
    Looked l;
    if (may_write(out, force) && find_data(a, kind, data, &l)) {
        const char *seen = arena_printf(a, "%d classes, %dx%d %s", l.classes, l.height, l.width,
                                        l.channels == 1 ? "grey" : "colour");
        choose_size(&l);
        bool masks = strcmp(kind, "fcn") == 0 && !data;
        Name names[] = {{"@classes@", masks ? "21" : arena_printf(a, "%d", l.classes)},
                        {"@channels@", arena_printf(a, "%d", l.channels)},
                        {"@height@", arena_printf(a, "%d", l.height)},
                        {"@width@", arena_printf(a, "%d", l.width)},
                        {"@file@", out ? out : "SPEC.yaml"},
                        {"@data@", masks ? "" : data_block(a, kind, &l)},
                        {NULL, NULL}};
        const char *text = fill(a, template_text(a, kind), names);
        if (!out)
            fputs(text, stdout);
        else if (!file_write_atomic(out, text, strlen(text), 0666))
            fatal(EXIT_WRITE, "cannot write '%s':", out);
        else if (data)
            printf("looked at %s: %s; wrote %s\n", data, seen, out);
        else
            printf("wrote %s\n", out);
    }
    arena_free(a);
    return diag_flush();
}
