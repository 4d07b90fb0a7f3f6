/* The blocks data, train and metrics: checked, and flattened to the run-time values of the program.
 * In: the tree, the params. Out: s->option ("train.epochs" = "10"), target, batch, classes. Rule:
 * an option is there when the description gives it or when the table has a default. The keys are a
 * contract with the runtime. Not here: transforms and metrics (lists.c), losses (losses.c), the
 * optimizer and its schedule (train.c), the graph (model.c). */
#include "spec/lists.h"
#include "spec/spec.h"
#include "spec/yaml_file.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_CLASSES = 65536, MAX_KEPT = 16 };

void options_add(Spec *s, const char *key, const char *value)
{
    Setting o = {key, value};
    vec_push(s->arena, &s->option, o);
}

const char *options_get(const Spec *s, const char *key)
{
    for (int i = 0; i < s->option.n; i++)
        if (strcmp(s->option.v[i].key, key) == 0) return s->option.v[i].value;
    return NULL;
}

static const char *path_of(Spec *s, const KeyDef *d)
{
    return arena_printf(s->arena, "%s.%s", d->block, d->key);
}

/* Simple values of a block and of the blocks below it. */
static void read_block(Spec *s, const Yaml *map, const char *block)
{
    if (!map || yaml_is_null(map) || !schema_check_keys(s->arena, map, block)) return;
    for (int i = 0; i < map->key.n; i++) {
        const KeyDef *d = schema_find(block, map->key.v[i]->text);
        if (!d || d->kind == KEY_OWN) continue;
        if (d->kind == KEY_BLOCK) {
            read_block(s, map->item.v[i], path_of(s, d));
            continue;
        }
        const char *value = schema_value(s->arena, d, map->item.v[i], s->scope);
        if (value) options_add(s, path_of(s, d), value);
    }
}

static void add_defaults(Spec *s, const char *block)
{
    for (const KeyDef *d = schema_keys; d->key; d++)
        if (strcmp(d->block, block) == 0 && d->def && !options_get(s, path_of(s, d)))
            options_add(s, path_of(s, d), d->def);
}

/* ---- data ---- */

static void read_split(Spec *s, const Yaml *data)
{
    static const char *const parts[] = {"data.split.train", "data.split.val", "data.split.test"};
    const Yaml *split = yaml_get(data, "split");
    if (!split) return; /* each format has its own */
    double sum = 0;
    const Yaml *file = yaml_get(split, "file");
    for (int i = 0; i < 3; i++) {
        const char *v = options_get(s, parts[i]);
        if (v) sum += strtod(v, NULL);
        if (!v || !file) continue;
        diag_error(file->loc, "S014", "'split' has shares and a file; the file says who trains");
        diag_note(yaml_get(split, strrchr(parts[i], '.') + 1)->loc, "a share");
        return;
    }
    if (sum > 1 + 1e-9)
        diag_error(split->loc, "S016", "the shares of 'split' add up to %s, which is more than 1",
                   arena_printf(s->arena, "%.6g", sum));
}

/* One class: a number or a name; NULL after an error. */
static const char *class_text(Spec *s, const Yaml *item)
{
    const char *t = item->kind == Y_SCALAR ? item->text : "";
    bool ok = *t != 0 && strlen(t) <= 255;
    for (const char *c = t; *c; c++)
        ok = ok && (unsigned char)*c >= 0x20 && *c != 0x7f && *c != ',';
    if (ok) return t;
    diag_error(item->loc, "S014", "a class is a number or a name without commas, got '%s'",
               yaml_show(s->arena, t));
    return NULL;
}

/* `--set data.classes=[3,7]` is one scalar that holds a list. */
static const Yaml *as_list(Spec *s, const Yaml *y)
{
    if (y->kind == Y_LIST) return y;
    Val v = expr_eval_yaml(s->arena, y, s->scope);
    if (v.kind == VAL_NOTHING) return NULL;
    Yaml *list = NEW(s->arena, Yaml);
    *list = (Yaml){.kind = Y_LIST, .loc = y->loc};
    for (int i = 0; v.kind == VAL_LIST && i < v.list.n; i++) {
        const Val *x = &v.list.v[i];
        vec_push(s->arena, &list->item, yaml_scalar(s->arena, val_text(s->arena, x), x->loc));
    }
    return list;
}

static bool check_repeats(Spec *s, const Yaml *list)
{
    Yaml *seen = yaml_map(s->arena, list->loc);
    for (int i = 0; i < list->item.n && list->item.n <= 1000; i++) {
        Yaml *item = list->item.v[i];
        if (item->kind == Y_SCALAR && yaml_get(seen, item->text)) {
            diag_error(item->loc, "S011", "class '%s' given twice",
                       yaml_show(s->arena, item->text));
            return false;
        }
        if (item->kind == Y_SCALAR) yaml_put(s->arena, seen, item, item);
    }
    return true;
}

static void read_classes(Spec *s, const Yaml *data)
{
    const Yaml *y = yaml_get(data, "classes");
    const char *count = options_get(s, "data.num_classes");
    if (count) {
        s->classes = strtoll(count, NULL, 10);
        s->classes_loc = yaml_get(data, "num_classes")->loc;
    }
    const Yaml *list = y ? as_list(s, y) : NULL;
    if (!list) return;
    if (list->item.n < 1 || list->item.n > MAX_CLASSES) {
        diag_error(y->loc, "S014", "'classes' must be a list of 1..%d classes", MAX_CLASSES);
        return;
    }
    Buf b = {0};
    bool ok = check_repeats(s, list);
    for (int i = 0; ok && i < list->item.n; i++) {
        const char *t = class_text(s, list->item.v[i]);
        ok = t != NULL;
        if (ok) buf_printf(&b, "%s%s", i ? "," : "", t);
    }
    if (ok) options_add(s, "data.classes", arena_strdup(s->arena, b.s));
    buf_free(&b);
    if (count && s->classes != list->item.n) {
        diag_error(s->classes_loc, "H007", "num_classes is %s, but 'classes' has %d", count,
                   list->item.n);
        diag_note(y->loc, "the classes");
    }
    s->classes = list->item.n;
    s->classes_loc = y->loc;
}

/* ---- class_map ---- */

/* A mask's number 0..255, or a colour '#rrggbb'. */
static bool map_key_ok(const char *t)
{
    if (*t == '#') return strlen(t) == 7 && strspn(t + 1, "0123456789abcdefABCDEF") == 6;
    size_t n = strspn(t, "0123456789");
    return n > 0 && n <= 3 && !t[n] && atoi(t) <= 255;
}

static const char *map_entry(Spec *s, const Yaml *key, const Yaml *value)
{
    if (!map_key_ok(key->text)) {
        diag_error(key->loc, "S014", "a mask's class is given by its number 0..255 or its colour '#rrggbb', got '%s'",
                   yaml_show(s->arena, key->text));
        if (!*key->text) diag_help("quote it: YAML takes what follows ' #' for a comment");
        return NULL;
    }
    const char *name = class_text(s, value);
    return name ? arena_printf(s->arena, "%s=%s", key->text, name) : NULL;
}

/* {7: road, 8: road} -> "7=road,8=road"; the classes are the different names. */
static void read_class_map(Spec *s, const Yaml *data)
{
    const Yaml *y = yaml_get(data, "class_map");
    if (!y) return;
    if (y->kind != Y_MAP || y->key.n < 1 || y->key.n > 512) {
        diag_error(y->loc, "S014", "'class_map' must be a mapping of 1..512 numbers or colours to classes");
        return;
    }
    const char *format = options_get(s, "data.format");
    if (format && !schema_has_masks(format))
        diag_error(y->loc, "S014", "'class_map' is for masks, the format is %s", format);
    Yaml *names = yaml_map(s->arena, y->loc);
    const char *all = "";
    for (int i = 0; i < y->key.n; i++) {
        const char *t = map_entry(s, y->key.v[i], y->item.v[i]);
        if (!t) return;
        all = arena_printf(s->arena, "%s%s%s", all, i ? "," : "", t);
        const char *name = y->item.v[i]->text;
        if (strcmp(name, "ignore") && !yaml_get(names, name)) yaml_put(s->arena, names, y->item.v[i], y->item.v[i]);
    }
    options_add(s, "data.class_map", all);
    if (yaml_get(data, "classes")) return; /* chosen from them */
    if (s->classes && s->classes != names->key.n) {
        diag_error(s->classes_loc, "H007", "num_classes is %d, but 'class_map' names %d", (int)s->classes,
                   names->key.n);
        diag_note(y->loc, "the classes");
    }
    s->classes = names->key.n;
    s->classes_loc = y->loc;
}

/* ---- train ---- */

bool options_choose(Spec *s, const Yaml *y, int op_use, Chosen *c)
{
    Use *u = use_read(s->arena, y, s->scope, false, NULL);
    const OpDef *op = u ? use_op(s->arena, u, op_use) : NULL;
    if (!op || !use_bind(s->arena, u, op->name, op->attrs, c->attr, &c->given)) return false;
    c->op = op;
    c->loc = u->loc;
    return true;
}

static void read_train(Spec *s)
{
    const Yaml *train = yaml_get(s->root, "train");
    read_block(s, train, "train");
    if (yaml_get(train, "early_stopping")) add_defaults(s, "train.early_stopping");
    add_defaults(s, "train");
    s->batch = strtoll(options_get(s, "train.batch_size"), NULL, 10);
    const char *target = options_get(s, "train.target");
    s->target = strcmp(target, "input") == 0  ? TARGET_INPUT
                : strcmp(target, "mask") == 0 ? TARGET_MASK
                                              : TARGET_LABEL;
    if (!train || (train->kind != Y_MAP && !yaml_is_null(train))) return;
    losses_read(s, train);
    train_read_optimizer(s, train);
}

static void read_ocr(Spec *s)
{
    const Yaml *ocr = yaml_get(s->root, "ocr");
    if (!ocr) return;
    read_block(s, ocr, "ocr");
    add_defaults(s, "ocr");
}

static void read_dims(Spec *s, const Yaml *y)
{
    const Yaml *list = y ? as_list(s, y) : NULL;
    int seen = 0;
    for (int i = 0; list && i < list->item.n; i++) {
        const char *t = list->item.v[i]->kind == Y_SCALAR ? list->item.v[i]->text : "";
        seen |= !strcmp(t, "2") ? 1 : !strcmp(t, "3") ? 2 : 4;
    }
    if (list && (!seen || seen >= 4)) diag_error(y->loc, "S014", "'dims' must be a list of 2, 3, or both");
    if (list) options_add(s, "report.tsne.dims", seen == 1 ? "2" : seen == 2 ? "3" : "2,3");
}

static void read_tsne(Spec *s, const Yaml *tsne)
{
    const Yaml *layer = yaml_get(tsne, "layer");
    if (!tsne) return;
    options_add(s, "report.tsne", "yes");
    read_dims(s, yaml_get(tsne, "dims"));
    if (layer && layer->kind == Y_SCALAR) vec_push(s->arena, &s->feature, layer);
}

static void add_feature(Spec *s, const char *name, size_t n, Loc loc)
{
    const char *text = arena_printf(s->arena, "%.*s", (int)n, name);
    for (int i = 0; i < s->feature.n; i++)
        if (!strcmp(s->feature.v[i]->text, text)) return;
    if (s->feature.n == MAX_KEPT) diag_error(loc, "S014", "'keep' must be a list of at most %d modules", MAX_KEPT);
    if (s->feature.n < MAX_KEPT) vec_push(s->arena, &s->feature, yaml_scalar(s->arena, text, loc));
}

/* A list, or as --keep and --set give it: "a,b", "[a, b]". The program knows which layers it can give. */
static void read_keep(Spec *s)
{
    const Yaml *y = yaml_get(s->root, "keep");
    if (y && y->kind == Y_MAP) diag_error(y->loc, "S014", "'keep' must be a list of modules");
    for (int i = 0; y && y->kind == Y_LIST && i < y->item.n; i++) {
        const Yaml *name = y->item.v[i];
        if (name->kind == Y_SCALAR)
            add_feature(s, name->text, strlen(name->text), name->loc);
        else
            diag_error(name->loc, "S014", "what is kept is the name of a module");
    }
    for (const char *at = y && y->kind == Y_SCALAR ? y->text : ""; *at;) {
        size_t n = strcspn(at, "[], ");
        if (n) add_feature(s, at, n, y->loc);
        at += n + (at[n] != 0);
    }
    const char *all = NULL;
    for (int i = 0; i < s->feature.n; i++)
        all = all ? arena_printf(s->arena, "%s,%s", all, s->feature.v[i]->text) : s->feature.v[i]->text;
    if (all) options_add(s, "keep", all);
}

/* The report shows the description as it was written, and what --set changed. */
static void read_report(Spec *s)
{
    const Yaml *report = yaml_get(s->root, "report");
    size_t n;
    if (!report) return;
    read_block(s, report, "report");
    const char *text = yaml_file_read(s->arena, s->file, s->file, &n);
    read_tsne(s, yaml_get(report, "tsne"));
    options_add(s, "report", "yes");
    if (text) options_add(s, "report.description", text);
}

void options_read(Spec *s)
{
    const Yaml *data = yaml_get(s->root, "data");
    options_add(s, "model.name", s->name);
    read_block(s, data, "data");
    read_split(s, data);
    read_classes(s, data);
    read_class_map(s, data);
    lists_read_normalize(s, data);
    transforms_read(s, data);
    read_train(s);
    lists_read_metrics(s);
    read_ocr(s);
    read_report(s);
    read_keep(s);
}
