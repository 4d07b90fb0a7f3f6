/* The legal keys of every block as one table, and what follows from it: unknown keys, values,
 * --set. In: the tree. Out: diag_errors with the nearest name; values as text. Rule: a key that
 * this table does not hold does not exist. Not here: the model itself (model.c). */
#include "spec/spec.h"
#include <math.h>
#include <string.h>

enum { MAX_NAMES = 256, MAX_UNKNOWN = 20 };

#define RT_FORMAT(word, masks, what) #word,
static const char *const formats[] = {
#include "../../runtime/data/formats.def"
    NULL};
#undef RT_FORMAT
#define RT_FORMAT(word, masks, what) masks,
static const bool format_masks[] = {
#include "../../runtime/data/formats.def"
};
#undef RT_FORMAT
static const char *const targets[] = {"label", "mask", "input", NULL};
static const char *const scales[] = {"half", "one", NULL};
static const char *const overs[] = {"batch", "dataset", NULL};
static const char *const monitors[] = {"val/loss", "val/accuracy", "val/f1_macro", "val/f1_weighted", "val/iou",
                                       "train/loss", "train/accuracy", NULL};
static const char *const inks[] = {"dark", "light", NULL};
static const char *const algorithms[] = {"fast", "exact", NULL};
#define BIG 2147483647.0

const KeyDef schema_keys[] = {
    {"", "spec", KEY_INT, 0, BIG, NULL, NULL, "version of the language: 1"},
    {"", "name", KEY_TEXT, 0, 0, NULL, NULL, "name of the model"},
    {"", "params", KEY_BLOCK, 0, 0, NULL, NULL, "values that --set name=value overrides"},
    {"", "input", KEY_BLOCK, 0, 0, NULL, NULL, "{image: [C,H,W]} or {features: [D]}"},
    {"", "blocks", KEY_BLOCK, 0, 0, NULL, NULL, "bodies with arguments, used as layers"},
    {"", "model", KEY_BLOCK, 0, 0, NULL, NULL, "modules in order"},
    {"", "data", KEY_BLOCK, 0, 0, NULL, NULL, "where the data are and how they are prepared"},
    {"", "train", KEY_BLOCK, 0, 0, NULL, NULL, "loss, optimizer, epochs"},
    {"", "metrics", KEY_OWN, 0, 0, NULL, NULL, "list of metrics"},
    {"", "report", KEY_BLOCK, 0, 0, NULL, NULL, "what the report shows"},
    {"", "ocr", KEY_BLOCK, 0, 0, NULL, NULL, "how characters lie in the images: `OUT ocr` reads pages"},
    {"ocr", "ink", KEY_WORD, 0, 0, inks, "dark", "dark characters on light ground, or light ones on dark"},
    {"ocr", "fill", KEY_FLOAT, 0.2, 1, NULL, "0.73", "part of the image's side that a character's longer side takes"},
    {"ocr", "words", KEY_BOOL, 0, 1, NULL, "true", "what looks like a letter and like a digit goes by its word"},
    {"", "keep", KEY_OWN, 0, 0, NULL, NULL, "modules whose values the program can give: `OUT features`, `OUT tsne`"},
    {"", "outputs", KEY_OWN, 0, 0, NULL, NULL,
     "modules that are outputs; the first is the main one"},
    {"", "precision", KEY_OWN, 0, 0, precision_names, NULL,
     "how activations are stored: fp32, tf32, fp16, bf16"},
    {"precision", "type", KEY_WORD, 0, 0, precision_names, NULL, "fp32, tf32, fp16, bf16"},
    {"precision", "loss_scale", KEY_FLOAT, 1, 16777216, NULL, NULL,
     "of fp16: a fixed one; left out: it grows and shrinks"},
    {"", "algorithm", KEY_WORD, 0, 0, algorithms, NULL,
     "fast: convolutions as Winograd where that pays; exact: the sums that define them"},
    {"", "imports", KEY_BLOCK, 0, 0, NULL, NULL, "other descriptions"},
    {"", "weights", KEY_BLOCK, 0, 0, NULL, NULL, "weights to begin with"},
    {"report", "tsne", KEY_BLOCK, 0, 0, NULL, NULL, "points for items, by their features"},
    {"report.tsne", "layer", KEY_TEXT, 0, 0, NULL, NULL, "module whose output are the features [the model's]"},
    {"report.tsne", "dims", KEY_OWN, 0, 0, NULL, NULL, "list of 2, 3, or both [both]"},
    {"report.tsne", "items", KEY_INT, 10, 5000, NULL, NULL, "at most this many of each split [500]"},
    {"report.tsne", "perplexity", KEY_FLOAT, 1, 500, NULL, NULL, "how many neighbours count [30]"},
    {"report", "misclassified", KEY_BLOCK, 0, 0, NULL, NULL, "pictures of mistakes"},
    {"report.misclassified", "per_class", KEY_INT, 0, 100, NULL, NULL, "how many of each class [3]"},
    {"weights", "load", KEY_TEXT, 0, 0, NULL, NULL, "file to begin with"},
    {"weights", "reinit", KEY_OWN, 0, 0, NULL, NULL, "modules that begin afresh all the same"},
    {"weights", "freeze", KEY_OWN, 0, 0, NULL, NULL, "patterns of what is not trained"},
    {"data", "format", KEY_WORD, 0, 0, formats, NULL, "how the data are stored"},
    {"data", "root", KEY_TEXT, 0, 0, NULL, NULL, "folder of the data"},
    {"data", "split", KEY_BLOCK, 0, 0, NULL, NULL, "shares of train, val and test"},
    {"data", "cache", KEY_INT, 0, 1000000000, NULL, NULL, "MiB of decoded images that stay in memory"},
    {"data", "workers", KEY_INT, 1, 256, NULL, NULL, "threads that read and transform images"},
    {"data", "limit", KEY_INT, 1, BIG, NULL, NULL, "use the first N of each split"},
    {"data", "classes", KEY_OWN, 0, 0, NULL, NULL, "classes to use, in this order"},
    {"data", "class_map", KEY_OWN, 0, 0, NULL, NULL, "of masks: {7: road, '#804080': road}"},
    {"data", "ignore_index", KEY_INT, 0, 255, NULL, NULL, "of masks: a number that is no class"},
    {"data", "num_classes", KEY_INT, 1, 65536, NULL, NULL, "number of classes"},
    {"data", "normalize", KEY_OWN, 0, 0, NULL, NULL, "imagenet, or {mean: ..., std: ...}"},
    {"data", "transforms", KEY_BLOCK, 0, 0, NULL, NULL, "changes of each image"},
    {"data.split", "train", KEY_FLOAT, 0, 1, NULL, NULL, "share"},
    {"data.split", "val", KEY_FLOAT, 0, 1, NULL, NULL, "share"},
    {"data.split", "test", KEY_FLOAT, 0, 1, NULL, NULL, "share"},
    {"data.split", "file", KEY_TEXT, 0, 0, NULL, NULL, "a split.csv, instead of shares"},
    {"data.split", "stratify", KEY_BOOL, 0, 1, NULL, NULL, "equal shares of each class"},
    {"data.split", "seed", KEY_INT, 0, BIG, NULL, NULL, "which random split"},
    {"data.transforms", "train", KEY_OWN, 0, 0, NULL, NULL, "list of transforms"},
    {"data.transforms", "eval", KEY_OWN, 0, 0, NULL, NULL, "list of transforms"},
    {"data.transforms", "batch", KEY_OWN, 0, 0, NULL, NULL, "MixUp, CutMix; one is drawn for each batch"},
    {"data.transforms", "normalize", KEY_OWN, 0, 0, NULL, NULL, "as data.normalize"},
    {"train", "loss", KEY_OWN, 0, 0, NULL, NULL, "CrossEntropyLoss() and others"},
    {"train", "optimizer", KEY_OWN, 0, 0, NULL, NULL, "Adam(lr=0.001) and others"},
    {"train", "epochs", KEY_INT, 1, 1000000, NULL, "10", "passes over the data"},
    {"train", "batch_size", KEY_INT, 1, 65536, NULL, "32", "samples in a step"},
    {"train", "lr", KEY_FLOAT, 0, 1e30, NULL, NULL, "instead of the optimizer's"},
    {"train", "beta1", KEY_FLOAT, 0, 1, NULL, NULL, "instead of the optimizer's"},
    {"train", "beta2", KEY_FLOAT, 0, 1, NULL, NULL, "instead of the optimizer's"},
    {"train", "seed", KEY_INT, 0, BIG, NULL, "0", "of weights, shuffling, dropout"},
    {"train", "target", KEY_WORD, 0, 0, targets, "label", "what the loss compares with"},
    {"train", "shuffle", KEY_BOOL, 0, 1, NULL, "true", "new order in every epoch"},
    {"train", "schedule", KEY_OWN, 0, 0, NULL, NULL, "how the learning rate changes"},
    {"train", "warmup", KEY_OWN, 0, 0, NULL, NULL, "epochs, or `500 steps`, in which it rises"},
    {"train", "clip_grad_norm", KEY_FLOAT, 1e-30, 1e30, NULL, NULL, "longest gradient"},
    {"train", "accumulate", KEY_INT, 1, 65536, NULL, NULL, "steps whose gradients are summed for one update"},
    {"train", "ema", KEY_FLOAT, 0, 0.99999999, NULL, NULL, "decay of an average of the weights, which is evaluated"},
    {"train", "l2", KEY_BLOCK, 0, 0, NULL, NULL, "penalty in the loss"},
    {"train.l2", "lambda", KEY_FLOAT, 0, 1e30, NULL, NULL, "its weight"},
    {"train.l2", "scale", KEY_WORD, 0, 0, scales, NULL, "lambda/2 or lambda"},
    {"train.l2", "over", KEY_WORD, 0, 0, overs, NULL,
     "divided by the size of the batch or data set"},
    {"train", "early_stopping", KEY_BLOCK, 0, 0, NULL, NULL, "stop when nothing improves"},
    {"train.early_stopping", "monitor", KEY_WORD, 0, 0, monitors, "val/loss", "what must improve"},
    {"train.early_stopping", "patience", KEY_INT, 1, 1000000, NULL, "5", "epochs to wait"},
    {"train.early_stopping", "min_delta", KEY_FLOAT, 0, 1e6, NULL, "0", "smaller changes are none"},
    {"train.early_stopping", "restore_best", KEY_BOOL, 0, 1, NULL, "true", "keep the best weights"},
    {NULL, NULL, KEY_INT, 0, 0, NULL, NULL, NULL},
};

bool schema_has_masks(const char *format)
{
    for (int i = 0; formats[i]; i++)
        if (strcmp(format, formats[i]) == 0) return format_masks[i];
    return false;
}

const KeyDef *schema_find(const char *block, const char *key)
{
    for (const KeyDef *d = schema_keys; d->key; d++)
        if (strcmp(d->block, block) == 0 && strcmp(d->key, key) == 0) return d;
    return NULL;
}

bool schema_name_ok(const char *s, bool dots)
{
    size_t n = strlen(s);
    if (n == 0 || n > 64 || (*s >= '0' && *s <= '9') || *s == '.' || *s == '-') return false;
    const char *legal = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    return strspn(s, legal) == n && (dots || strcspn(s, ".-") == n);
}

static const char *nearest_key(const char *block, const char *word)
{
    const char *names[MAX_NAMES + 1];
    int n = 0;
    for (const KeyDef *d = schema_keys; d->key; d++)
        if (strcmp(d->block, block) == 0) names[n++] = d->key;
    names[n] = NULL;
    return diag_nearest(word, names);
}

static void help_keys(Arena *a, const char *block)
{
    const char *s = "";
    for (const KeyDef *d = schema_keys; d->key; d++)
        if (strcmp(d->block, block) == 0) s = arena_printf(a, "%s%s%s", s, *s ? ", " : "", d->key);
    diag_help("the keys are %s", s);
}

bool schema_check_keys(Arena *a, const Yaml *map, const char *block)
{
    const char *where = *block ? block : "the description";
    if (map->kind != Y_MAP) {
        diag_error(map->loc, "S014", "'%s' must be a mapping", where);
        help_keys(a, block);
        return false;
    }
    for (int i = 0, unknown = 0; i < map->key.n && unknown < MAX_UNKNOWN; i++) {
        const Yaml *key = map->key.v[i];
        if (schema_find(block, key->text)) continue;
        unknown++;
        const char *near = nearest_key(block, key->text), *shown = yaml_show(a, key->text);
        if (near)
            diag_error(key->loc, "S012", "unknown key '%s' in %s; did you mean '%s'?", shown, where,
                       near);
        else
            diag_error(key->loc, "S012", "unknown key '%s' in %s", shown, where);
        if (!near) help_keys(a, block);
    }
    return true;
}

/* ---- values ---- */

static const char *bad_value(Arena *a, const KeyDef *d, const Val *v, const char *wanted)
{
    if (v->kind == VAL_NOTHING) return NULL;
    if (v->kind == VAL_NONE)
        diag_error(v->loc, "S014", "'%s' must be %s, got no value", d->key, wanted);
    else
        diag_error(v->loc, "S014", "'%s' must be %s, got %s '%s'", d->key, wanted, val_kind(v),
                   val_text(a, v));
    return NULL;
}

static const char *bad_range(Arena *a, const KeyDef *d, const Val *v)
{
    bool whole = d->kind == KEY_INT;
    const char *id = whole ? "S015" : "S016";
    const char *min = whole ? arena_printf(a, "%.0f", d->min) : val_number(a, d->min);
    const char *max = whole ? arena_printf(a, "%.0f", d->max) : val_number(a, d->max);
    if (d->max >= 1e30)
        diag_error(v->loc, id, "'%s' must be at least %s, got %s", d->key, min, val_text(a, v));
    else
        diag_error(v->loc, id, "'%s' must be %s..%s, got %s", d->key, min, max, val_text(a, v));
    return NULL;
}

static const char *number_value(Arena *a, const KeyDef *d, const Val *v)
{
    bool whole = d->kind == KEY_INT;
    if (v->kind != VAL_INT && (whole || v->kind != VAL_FLOAT))
        return bad_value(a, d, v, whole ? "an integer, written in decimal" : "a number");
    double x = v->kind == VAL_INT ? (double)v->i : v->f;
    if (!(x >= d->min && x <= d->max)) return bad_range(a, d, v);
    return val_text(a, v);
}

static const char *word_value(Arena *a, const KeyDef *d, const Yaml *y)
{
    const char *all = "one of ";
    for (int i = 0; d->words[i]; i++) {
        if (y->kind == Y_SCALAR && strcmp(y->text, d->words[i]) == 0) return d->words[i];
        all = arena_printf(a, "%s%s%s", all, i ? ", " : "", d->words[i]);
    }
    const char *text = y->kind == Y_SCALAR ? yaml_show(a, y->text) : "a list or mapping";
    const char *near = y->kind == Y_SCALAR ? diag_nearest(y->text, d->words) : NULL;
    if (near)
        diag_error(y->loc, "S014", "'%s' must be %s, got '%s'; did you mean '%s'?", d->key, all,
                   text, near);
    else
        diag_error(y->loc, "S014", "'%s' must be %s, got '%s'", d->key, all, text);
    return NULL;
}

static const char *text_value(Arena *a, const KeyDef *d, const Yaml *y)
{
    if (y->kind == Y_SCALAR && !y->required && !yaml_is_null(y) && *y->text) {
        for (const char *c = y->text; *c; c++)
            if ((unsigned char)*c < 0x20 || *c == 0x7f) {
                diag_error(y->loc, "S014", "'%s' holds a control character", d->key);
                return NULL;
            }
        return arena_strdup(a, y->text);
    }
    diag_error(y->loc, "S014", "'%s' must be a text", d->key);
    return NULL;
}

const char *schema_value(Arena *a, const KeyDef *d, const Yaml *y, const Scope *scope)
{
    if (d->words) return word_value(a, d, y);
    if (d->kind == KEY_TEXT) return text_value(a, d, y);
    Val v = expr_eval_yaml(a, y, scope);
    if (d->kind != KEY_BOOL) return number_value(a, d, &v);
    return v.kind == VAL_BOOL ? val_text(a, &v) : bad_value(a, d, &v, "true or false");
}

/* ---- --set ---- */

static const char *key_path(Arena *a, const KeyDef *d)
{
    return *d->block ? arena_printf(a, "%s.%s", d->block, d->key) : d->key;
}

static const KeyDef *find_path(Arena *a, const char *path)
{
    for (const KeyDef *d = schema_keys; d->key; d++)
        if (d->kind != KEY_BLOCK && strcmp(key_path(a, d), path) == 0) return d;
    return NULL;
}

static void unknown_setting(Spec *s, const char *name, Loc loc)
{
    const char *names[MAX_NAMES + 1];
    int n = 0;
    const Yaml *params = yaml_get(s->root, "params");
    for (int i = 0; params && i < params->key.n && n < MAX_NAMES / 2; i++)
        names[n++] = params->key.v[i]->text;
    for (const KeyDef *d = schema_keys; d->key && n < MAX_NAMES; d++)
        if (d->kind != KEY_BLOCK) names[n++] = key_path(s->arena, d);
    names[n] = NULL;
    const char *near = diag_nearest(name, names), *shown = yaml_show(s->arena, name);
    if (near)
        diag_error(loc, "S042", "--set: unknown name '%s'; did you mean '%s'?", shown, near);
    else
        diag_error(loc, "S042", "--set: unknown name '%s'", shown);
    if (!near) diag_help("names are those of `params:` and paths such as train.epochs");
}

/* The mapping `name` below `map`, as a copy that may be changed (an alias may share the original).
 */
static Yaml *own_block(Arena *a, Yaml *map, const char *name, Loc loc)
{
    Yaml *old = yaml_get(map, name);
    if (old && old->kind != Y_MAP && !yaml_is_null(old)) return NULL;
    Yaml *copy = yaml_map(a, old ? old->loc : loc);
    for (int i = 0; old && i < old->key.n; i++) {
        vec_push(a, &copy->key, old->key.v[i]);
        vec_push(a, &copy->item, old->item.v[i]);
    }
    yaml_put(a, map, yaml_scalar(a, name, loc), copy);
    return copy;
}

/* A key of a block that has one value (`precision: fp16`) has no place. */
static void put_path(Arena *a, Yaml *root, const KeyDef *d, Yaml *value, Loc loc)
{
    Yaml *map = root;
    for (const char *p = d->block; *p && map;) {
        size_t n = strcspn(p, ".");
        map = own_block(a, map, arena_strndup(a, p, n), value->loc);
        p += n + (p[n] == '.');
    }
    if (map) {
        yaml_put(a, map, yaml_scalar(a, d->key, value->loc), value);
        return;
    }
    diag_error(loc, "S042", "--set: '%s' has one value, so it has no '%s'", d->block, d->key);
    diag_help("set the other keys of '%s' by their paths too", d->block);
}

/* The settings are shown in messages as the lines of a file "--set". */
void schema_settings(Spec *s, const Setting *set, int nset)
{
    Arena *a = s->arena;
    const char *text = "";
    for (int i = 0; i < nset; i++)
        text = arena_printf(a, "%s%s=%s\n", text, set[i].key, set[i].value);
    if (nset) diag_source("--set", text, strlen(text));
    for (int i = 0; i < nset; i++) {
        int keys = (int)strlen(set[i].key), values = (int)strlen(set[i].value);
        Loc key = {"--set", i + 1, 1, keys ? keys : 1};
        Yaml *value =
            yaml_scalar(a, set[i].value, (Loc){"--set", i + 1, keys + 2, values ? values : 1});
        const KeyDef *d = find_path(a, set[i].key);
        Yaml *params = yaml_get(s->root, "params");
        if (yaml_get(params, set[i].key)) {
            Yaml *own = own_block(a, s->root, "params", params->loc);
            yaml_put(a, own, yaml_scalar(a, set[i].key, key), value);
        } else if (d) {
            put_path(a, s->root, d, value, key);
        } else {
            unknown_setting(s, set[i].key, key);
        }
    }
}
