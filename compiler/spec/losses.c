/* train.loss and train.l2: what a step makes small.
 * In: the block train. Out: s->loss, one term or several with weights; s->l2.
 * Rule: all terms compare with the same target. Not here: the graph (loss.c). */
#include "spec/spec.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_LOSSES = 16 };

bool losses_has_labels(const OpDef *loss)
{
    return strcmp(loss->name, "CrossEntropyLoss") == 0 || strcmp(loss->name, "NLLLoss") == 0;
}

static bool check_keys(Spec *s, const Yaml *y)
{
    static const char *const keys[] = {"use", "on", "weight", NULL};
    bool ok = true;
    for (int i = 0; i < y->key.n; i++) {
        const Yaml *key = y->key.v[i];
        int k = 0;
        while (keys[k] && strcmp(keys[k], key->text) != 0) k++;
        if (keys[k]) continue;
        const char *near = diag_nearest(key->text, keys), *shown = yaml_show(s->arena, key->text);
        if (near)
            diag_error(key->loc, "S012", "unknown key '%s' beside 'use'; did you mean '%s'?", shown,
                       near);
        else
            diag_error(key->loc, "S012", "unknown key '%s' beside 'use'", shown);
        if (!near) diag_help("a loss is {use: CrossEntropyLoss(), on: MODULE, weight: 0.5}");
        ok = false;
    }
    return ok;
}

static bool read_weight(Spec *s, const Yaml *y, double *weight)
{
    if (!y) return true;
    Val v = expr_eval_yaml(s->arena, y, s->scope);
    *weight = v.kind == VAL_INT ? (double)v.i : v.f;
    if (v.kind == VAL_NOTHING) return false;
    if (v.kind != VAL_INT && v.kind != VAL_FLOAT) {
        diag_error(v.loc, "S014", "'weight' must be a number, got %s '%s'", val_kind(&v),
                   val_text(s->arena, &v));
        return false;
    }
    if (*weight > 0 && *weight <= 1e6) return true;
    diag_error(v.loc, "S016", "'weight' must be above 0 and at most 1e+06, got %s",
               val_text(s->arena, &v));
    return false;
}

static void read_term(Spec *s, const Yaml *y)
{
    LossTerm t = {.weight = 1};
    bool named = y->kind == Y_MAP && !yaml_get(y, "type");
    const Yaml *use = named ? yaml_get(y, "use") : y;
    if (named && !check_keys(s, y)) return;
    if (!use) {
        diag_error(y->loc, "S013", "a loss is {use: CrossEntropyLoss(), on: MODULE, weight: 0.5}");
        return;
    }
    if (!options_choose(s, use, OP_LOSS, &t.c)) return;
    if (named && !read_weight(s, yaml_get(y, "weight"), &t.weight)) return;
    t.on = named ? yaml_get(y, "on") : NULL;
    if (t.on && t.on->kind != Y_SCALAR) {
        diag_error(t.on->loc, "S014", "'on' is the name of a module");
        return;
    }
    t.c.text = use_text(s->arena, t.c.op->name, t.c.op->attrs, t.c.attr, t.c.given, ", ");
    vec_push(s->arena, &s->loss, t);
}

/* "CrossEntropyLoss() on out + 0.5*CrossEntropyLoss() on aux" */
static void name_losses(Spec *s)
{
    const char *text = "";
    for (int i = 0; i < s->loss.n; i++) {
        const LossTerm *t = &s->loss.v[i];
        const char *factor = "", *on = "";
        if (t->weight != 1) factor = arena_printf(s->arena, "%s*", val_number(s->arena, t->weight));
        if (t->on) on = arena_printf(s->arena, " on %s", yaml_show(s->arena, t->on->text));
        text = arena_printf(s->arena, "%s%s%s%s%s", text, i ? " + " : "", factor, t->c.text, on);
    }
    s->loss_text = s->loss.n ? text : NULL;
}

static void check_targets(const Spec *s)
{
    for (int i = 0; i < s->loss.n; i++) {
        const Chosen *c = &s->loss.v[i].c, *first = &s->loss.v[0].c;
        bool labels = losses_has_labels(c->op);
        if (labels && s->target == TARGET_INPUT) {
            diag_error(c->loc, "S044", "%s compares with classes, not with the input", c->op->name);
            diag_help("`target: input` goes with MSELoss() or BCEWithLogitsLoss()");
        } else if (labels != losses_has_labels(first->op)) {
            diag_error(c->loc, "S044", "%s and %s do not compare with the same target",
                       first->op->name, c->op->name);
        }
    }
}

static void read_l2(Spec *s, const Yaml *train)
{
    const Yaml *y = yaml_get(train, "l2");
    const char *over;
    if (!y || y->kind != Y_MAP) return;
    if (!yaml_get(y, "lambda")) diag_error(y->loc, "S013", "'l2' needs 'lambda'");
    if (!options_get(s, "train.l2.lambda")) return;
    const char *scale = options_get(s, "train.l2.scale");
    s->l2 = (L2){.there = true, .loc = yaml_get(y, "lambda")->loc};
    s->l2.half = !scale || strcmp(scale, "half") == 0;
    over = options_get(s, "train.l2.over");
    if (over) s->l2.over = strcmp(over, "batch") == 0 ? L2_BATCH : L2_DATASET;
}

void losses_read(Spec *s, const Yaml *train)
{
    const Yaml *y = yaml_get(train, "loss");
    const char *usual = s->target == TARGET_INPUT ? "MSELoss()" : "CrossEntropyLoss()";
    if (!y) y = yaml_scalar(s->arena, usual, train->loc);
    if (y->kind == Y_LIST && (y->item.n < 1 || y->item.n > MAX_LOSSES)) {
        diag_error(y->loc, "S014", "'loss' must be a loss or a list of 1..%d losses", MAX_LOSSES);
        return;
    }
    if (y->kind != Y_LIST) read_term(s, y);
    for (int i = 0; y->kind == Y_LIST && i < y->item.n; i++) read_term(s, y->item.v[i]);
    check_targets(s);
    name_losses(s);
    read_l2(s, train);
}
