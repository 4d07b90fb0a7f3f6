/* Normalisation, metrics: named things with arguments that only the runtime knows how to do, and
 * what lists of such things share. In: the tree. Out: options such as "metrics" =
 * "accuracy,f1(average=macro)". Rule: each is a table of attributes like an operator's, so that the
 * errors are the same. Not here: transforms (transforms.c). */
#include "spec/lists.h"
#include <string.h>

static const char *const averages[] = {"weighted", "macro", NULL};
static const AttrDef average_attrs[] = {{.name = "average", .kind = ATTR_CHOICE, .words = averages},
                                        {0}};

static const AttrDef topk_attrs[] = {{.name = "k", .kind = ATTR_INT, .def = 5, .min = 1, .max = 1000}, {0}};
static const AttrDef per_class_attrs[] = {{.name = "per_class", .kind = ATTR_BOOL, .def = 1}, {0}};

static const ListDef metrics[] = {
    {"accuracy", NULL, false},
    {"f1", average_attrs, false},
    {"precision", average_attrs, false},
    {"recall", average_attrs, false},
    {"confusion_matrix", NULL, false},
    {"topk", topk_attrs, false},
    {"average_precision", NULL, false},
    {"roc_auc", NULL, false},
    {"calibration", NULL, false},
    {"pixel_accuracy", NULL, false},
    {"iou", per_class_attrs, false},
    {"dice", per_class_attrs, false},
    {"psnr", NULL, false},
    {"ssim", NULL, false},
    {NULL, NULL, false},
};

const ListDef *lists_find(Spec *s, const Use *u, const ListDef *defs, const char *what)
{
    const char *names[LISTS_MOST + 1];
    int n = 0;
    const ListDef *d = defs;
    for (; d->name && strcmp(d->name, u->name) != 0; d++)
        if (!d->later) names[n++] = d->name;
    names[n] = NULL;
    const char *shown = yaml_show(s->arena, u->name);
    if (d->name && !d->later) return d;
    const char *near = d->name ? NULL : diag_nearest(u->name, names);
    if (d->name)
        diag_error(u->name_loc, "S041", "%s '%s' is not supported by this version", what, shown);
    else if (near)
        diag_error(u->name_loc, "S017", "unknown %s '%s'; did you mean '%s'?", what, shown, near);
    else
        diag_error(u->name_loc, "S017", "unknown %s '%s'", what, shown);
    if (near) return NULL;
    const char *all = "";
    for (d = defs; d->name; d++)
        if (!d->later) all = arena_printf(s->arena, "%s%s%s", all, *all ? ", " : "", d->name);
    diag_help("there are %s", all);
    return NULL;
}

/* One item as normalised text; NULL after an error. */
static const char *metric_text(Spec *s, const Yaml *y)
{
    AttrVal attr[MAX_ATTR];
    unsigned given;
    Use *u = use_read(s->arena, y, s->scope, true, NULL);
    const ListDef *d = u ? lists_find(s, u, metrics, "metric") : NULL;
    if (!d || !use_bind(s->arena, u, d->name, d->attrs, attr, &given)) return NULL;
    if (d->attrs == average_attrs || d->attrs == topk_attrs) given = 1; /* always said */
    return given ? use_text(s->arena, d->name, d->attrs, attr, given, ",") : d->name;
}

bool lists_is(const Yaml *y, const char *what)
{
    if (!y || yaml_is_null(y)) return false;
    if (y->kind == Y_LIST && y->item.n <= LISTS_MOST) return true;
    diag_error(y->loc, "S014", "expected a list of at most %d %ss", LISTS_MOST, what);
    return false;
}

void lists_read_metrics(Spec *s)
{
    const Yaml *y = yaml_get(s->root, "metrics");
    if (!y && s->target == TARGET_LABEL) options_add(s, "metrics", "accuracy");
    if (!lists_is(y, "metric")) return;
    const char *all = "";
    for (int i = 0; i < y->item.n; i++) {
        const char *t = metric_text(s, y->item.v[i]);
        if (t) all = arena_printf(s->arena, "%s%s%s", all, i ? "," : "", t);
    }
    options_add(s, "metrics", all);
}

/* ---- normalisation ---- */

/* A number or a list of one per channel, as text; NULL after an error. */
static const char *channel_numbers(Spec *s, const Yaml *y, const char *name, bool positive)
{
    Val v = expr_eval_yaml(s->arena, y, s->scope);
    if (v.kind == VAL_NOTHING) return NULL;
    int n = v.kind == VAL_LIST ? v.list.n : 1;
    int channels = s->input.rank == 3 ? (int)s->input.dim[0] : 1;
    if (n != 1 && n != channels) {
        diag_error(v.loc, "S014", "'%s' has %d values, the input has %d channel%s", name, n,
                   channels, channels == 1 ? "" : "s");
        return NULL;
    }
    Buf b = {0};
    bool ok = true;
    for (int i = 0; ok && i < n; i++) {
        const Val *x = v.kind == VAL_LIST ? &v.list.v[i] : &v;
        double f = x->kind == VAL_INT ? (double)x->i : x->f;
        if (x->kind != VAL_INT && x->kind != VAL_FLOAT) {
            diag_error(x->loc, "S014", "'%s' must be numbers, got %s '%s'", name, val_kind(x),
                       val_text(s->arena, x));
            ok = false;
        } else if (positive && !(f > 0)) {
            diag_error(x->loc, "N002", "'%s' is %s for channel %d; it must be above 0", name,
                       val_number(s->arena, f), i);
            ok = false;
        } else {
            buf_printf(&b, "%s%s", i ? "," : "", val_number(s->arena, f));
        }
    }
    const char *all = ok ? arena_strdup(s->arena, b.s) : NULL;
    buf_free(&b);
    return all;
}

static void read_mean_std(Spec *s, const Yaml *y)
{
    static const char *const names[] = {"mean", "std", NULL};
    for (int i = 0; i < y->key.n; i++) {
        const Yaml *key = y->key.v[i];
        bool std = strcmp(key->text, "std") == 0;
        if (!std && strcmp(key->text, "mean") != 0) {
            const char *near = diag_nearest(key->text, names);
            diag_error(key->loc, "S012", "unknown key '%s' in normalize%s%s%s",
                       yaml_show(s->arena, key->text), near ? "; did you mean '" : "",
                       near ? near : "", near ? "'?" : "");
            continue;
        }
        const char *t = channel_numbers(s, y->item.v[i], key->text, std);
        if (t) options_add(s, std ? "data.normalize.std" : "data.normalize.mean", t);
    }
    for (int i = 0; names[i]; i++)
        if (!yaml_get(y, names[i])) diag_error(y->loc, "S013", "'normalize' needs '%s'", names[i]);
}

void lists_read_normalize(Spec *s, const Yaml *data)
{
    const Yaml *y = yaml_get(data, "normalize");
    const Yaml *inner = yaml_get(yaml_get(data, "transforms"), "normalize");
    if (y && inner) {
        diag_error(inner->loc, "S011", "'normalize' given twice");
        diag_note(y->loc, "the first one");
    }
    if (!y) y = inner;
    if (!y) return;
    if (y->kind == Y_MAP) {
        read_mean_std(s, y);
        return;
    }
    bool known = y->kind == Y_SCALAR && strcmp(y->text, "imagenet") == 0;
    if (!known) {
        diag_error(y->loc, "S014", "'normalize' must be imagenet or {mean: ..., std: ...}");
    } else if (s->input.rank && (s->input.rank != 3 || s->input.dim[0] != 3)) {
        diag_error(y->loc, "S014", "imagenet normalisation is for 3 channels, the input has %d",
                   (int)s->input.dim[0]);
    } else {
        options_add(s, "data.normalize.mean", "0.485,0.456,0.406");
        options_add(s, "data.normalize.std", "0.229,0.224,0.225");
    }
}
