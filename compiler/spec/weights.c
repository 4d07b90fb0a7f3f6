/* The block weights: what training begins with, and what it leaves alone.
 * In: weights: {load: F, reinit: [fc], freeze: ["*", "!fc"]}. Out: the options weights.load and
 * weights.reinit, which the program obeys when training starts; State.frozen.
 * Rule: a pattern names a module, everything below it included, or a parameter; `*` stands for any
 * characters, dots as well; of several that fit the last one decides, `!` excepts.
 * Not here: reading weights (runtime). */
#include "spec/spec.h"
#include <string.h>

enum { MAX_PATTERNS = 256 };

/* Does the glob fit the first n bytes of s? */
static bool fits(const char *glob, const char *s, size_t n)
{
    const char *star = NULL;
    size_t at = 0, back = 0;
    while (at < n) {
        if (*glob == '*') {
            star = glob++;
            back = at;
        } else if (*glob && (*glob == '?' || *glob == s[at])) {
            glob++;
            at++;
        } else if (star) {
            glob = star + 1;
            at = ++back;
        } else {
            return false;
        }
    }
    while (*glob == '*') glob++;
    return *glob == 0;
}

/* The path itself, or a module that it stands in. */
static bool names(const char *glob, const char *path)
{
    for (size_t n = 1; path[n - 1]; n++)
        if ((path[n] == '.' || !path[n]) && fits(glob, path, n)) return true;
    return false;
}

bool weights_frozen(const Spec *s, const char *path)
{
    for (int i = s->freeze.n - 1; i >= 0; i--)
        if (names(s->freeze.v[i].glob, path)) return !s->freeze.v[i].except;
    return false;
}

/* ---- reading ---- */

static bool legal(const char *text)
{
    const char *chars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.*?";
    size_t n = strlen(text);
    return n > 0 && n <= 200 && strspn(text, chars) == n;
}

typedef void Take(Spec *s, const Yaml *y);

static void read_list(Spec *s, const Yaml *y, const char *key, Take *take)
{
    if (!y || yaml_is_null(y)) return;
    if (y->kind == Y_MAP || y->item.n > MAX_PATTERNS) {
        diag_error(y->loc, "S014", "'%s' must be a list of at most %d names", key, MAX_PATTERNS);
        return;
    }
    if (y->kind == Y_SCALAR) take(s, y);
    for (int i = 0; y->kind == Y_LIST && i < y->item.n; i++) {
        if (y->item.v[i]->kind == Y_SCALAR)
            take(s, y->item.v[i]);
        else
            diag_error(y->item.v[i]->loc, "S014", "'%s' holds names, not lists", key);
    }
}

static void take_freeze(Spec *s, const Yaml *y)
{
    Pattern p = {y->text, *y->text == '!', y->loc};
    p.glob += p.except;
    if (legal(p.glob)) {
        vec_push(s->arena, &s->freeze, p);
        return;
    }
    diag_error(y->loc, "S014", "'%s' is not a pattern", yaml_show(s->arena, y->text));
    diag_help("patterns are names such as layer4.*, with ! in front for what stays trained: "
              "[\"*\", \"!fc\"]");
}

static void take_reinit(Spec *s, const Yaml *y)
{
    if (legal(y->text) && strcspn(y->text, "*?") == strlen(y->text)) {
        vec_push(s->arena, &s->reinit, y);
        return;
    }
    diag_error(y->loc, "S014", "'%s' is not the name of a module", yaml_show(s->arena, y->text));
}

void weights_read(Spec *s)
{
    const Yaml *y = yaml_get(s->root, "weights");
    if (!y || yaml_is_null(y) || !schema_check_keys(s->arena, y, "weights")) return;
    const Yaml *load = yaml_get(y, "load");
    const char *file =
        load ? schema_value(s->arena, schema_find("weights", "load"), load, NULL) : NULL;
    if (file) options_add(s, "weights.load", file);
    read_list(s, yaml_get(y, "reinit"), "reinit", take_reinit);
    read_list(s, yaml_get(y, "freeze"), "freeze", take_freeze);
    const char *all = "";
    for (int i = 0; i < s->reinit.n; i++)
        all = arena_printf(s->arena, "%s%s%s", all, i ? "," : "", s->reinit.v[i]->text);
    if (s->reinit.n) options_add(s, "weights.reinit", all);
    if (s->reinit.n && !load) {
        diag_warning(s->reinit.v[0]->loc, "S013", "'reinit' does nothing without 'load'");
        diag_help("every weight begins afresh unless a file is loaded");
    }
}

/* ---- the graph ---- */

static void unknown(const Graph *g, const char *key, const char *name, Loc loc)
{
    Arena *a = arena_new();
    const char **all = NEWN(a, const char *, 2 * g->state.n + 1);
    int n = 0;
    for (int i = 0; i < g->state.n; i++) { /* the parameters and the modules that hold them */
        const char *path = g->state.v[i]->name, *dot = strrchr(path, '.');
        all[n++] = path;
        if (dot) all[n++] = arena_strndup(a, path, (size_t)(dot - path));
    }
    all[n] = NULL;
    const char *near = diag_nearest(name, all), *shown = yaml_show(a, name);
    if (near)
        diag_error(loc, "S021", "'%s: %s': no such weights; did you mean '%s'?", key, shown, near);
    else
        diag_error(loc, "S021", "'%s: %s': no such weights", key, shown);
    arena_free(a);
}

static bool any(const Graph *g, const char *glob)
{
    for (int i = 0; i < g->state.n; i++)
        if (names(glob, g->state.v[i]->name)) return true;
    return false;
}

void weights_apply(const Spec *s, Graph *g)
{
    for (int i = 0; i < g->state.n; i++) {
        State *state = g->state.v[i];
        if (state->kind != STATE_PARAM) continue;
        if (weights_frozen(s, state->name)) state->frozen = true;
        state->keep_shape = s->l2.there; /* the penalty reads it in training */
    }
    for (int i = 0; i < s->freeze.n; i++)
        if (!any(g, s->freeze.v[i].glob))
            unknown(g, "freeze", s->freeze.v[i].glob, s->freeze.v[i].loc);
    for (int i = 0; i < s->reinit.n; i++)
        if (!any(g, s->reinit.v[i]->text))
            unknown(g, "reinit", s->reinit.v[i]->text, s->reinit.v[i]->loc);
}
