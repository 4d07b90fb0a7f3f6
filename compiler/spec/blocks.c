/* What bends the sequential flow: from, if, repeat, do, use.
 * In: a mapping with these keys. Out: the module's output in the graph.
 * Rule: `in.channels` is of the module's own input; `from: in` is the input of the body that the
 * module stands in. A module whose `if` is false gives its input. Not here: layers (model.c),
 * blocks and imports (uses.c). */
#include "spec/model.h"
#include <string.h>

enum { MAX_NAMES = 256 };

const char *const blocks_keys[] = {"from", "if", NULL};
static const char *const directive_keys[] = {"do", "from", "if", "repeat", "use", "until", NULL};

static bool is_key(const char *const *keys, const char *word)
{
    for (int i = 0; keys[i]; i++)
        if (strcmp(keys[i], word) == 0) return true;
    return false;
}

bool blocks_is_directive(const Yaml *map)
{
    for (int i = 0; i < map->key.n; i++)
        if (is_key(directive_keys, map->key.v[i]->text)) return true;
    return false;
}

const Scope *blocks_shape_names(Arena *a, const Scope *scope, const Node *n, const char *prefix)
{
    Val channels = {.kind = n ? VAL_INT : VAL_NOTHING}, size = {.kind = n ? VAL_LIST : VAL_NOTHING};
    if (n && n->shape.rank < 2) return scope;
    channels.i = n ? n->shape.dim[1] : 0;
    scope = scope_add(a, scope, arena_printf(a, "%s.channels", prefix), channels);
    if (n && n->shape.rank != 4) return scope;
    for (int d = 2; n && d < 4; d++) {
        Val v = {.kind = VAL_INT, .i = n->shape.dim[d]};
        vec_push(a, &size.list, v);
    }
    return scope_add(a, scope, arena_printf(a, "%s.size", prefix), size);
}

const Scope *blocks_scope(Build *b, const Scope *scope, const Flow *in)
{
    return blocks_shape_names(b->arena, scope, in->in[0], "in");
}

/* ---- from ---- */

const Made *blocks_made(const Build *b, const char *path)
{
    for (int i = b->made.n - 1; i >= 0; i--)
        if (!b->made.v[i].layer && strcmp(b->made.v[i].path, path) == 0) return &b->made.v[i];
    return NULL;
}

static void missing_module(Build *b, const Yaml *y, const Frame *body)
{
    const char *names[MAX_NAMES + 2];
    int n = 0;
    bool later = false;
    for (int i = 0; i < body->src->key.n && n < MAX_NAMES; i++) {
        const Yaml *key = body->src->key.v[i];
        if (strcmp(key->text, y->text) == 0) later = true;
        if (blocks_made(b, model_path(b, body->path, key->text))) names[n++] = key->text;
    }
    names[n++] = "in";
    names[n] = NULL;
    const char *shown = yaml_show(b->arena, y->text);
    const char *near = diag_nearest(y->text, names);
    if (later)
        diag_error(y->loc, "S022", "'from: %s' comes before '%s' itself: layers would form a cycle",
                   shown, shown);
    else if (near)
        diag_error(y->loc, "S021", "'from: %s': no such layer; did you mean '%s'?", shown, near);
    else
        diag_error(y->loc, "S021", "'from: %s': no such layer", shown);
}

static bool find_from(Build *b, const Yaml *y, const Frame *body, Node **out)
{
    if (y->kind != Y_SCALAR) {
        diag_error(y->loc, "S014", "'from' must be a name or a list of names");
        return false;
    }
    *out = body->in;
    if (strcmp(y->text, "in") == 0) return true;
    for (const Frame *at = body; at; at = at->up) {
        const Made *m = blocks_made(b, model_path(b, at->path, y->text));
        if (!m) continue;
        *out = m->node;
        return true;
    }
    missing_module(b, y, body);
    return false;
}

bool blocks_from(Build *b, const Yaml *map, const Flow *in, const Frame *body, Flow *out)
{
    const Yaml *from = yaml_get(map, "from");
    *out = *in;
    if (!from) return true;
    out->n = from->kind == Y_LIST ? from->item.n : 1;
    if (out->n < 1 || out->n > MAX_INPUTS) {
        diag_error(from->loc, "S024", "'from' must name 1..%d layers", MAX_INPUTS);
        return false;
    }
    bool ok = true;
    for (int i = 0; i < out->n; i++) {
        const Yaml *y = from->kind == Y_LIST ? from->item.v[i] : from;
        ok = find_from(b, y, body, &out->in[i]) && ok;
    }
    return ok;
}

/* ---- if, repeat, do ---- */

static int truth(Build *b, const Yaml *y, const Scope *scope)
{
    Val v = expr_eval_yaml(b->arena, y, scope);
    if (v.kind == VAL_BOOL) return v.i != 0;
    if (v.kind != VAL_NOTHING)
        diag_error(y->loc, "S014", "'if' must be true or false, got %s '%s'", val_kind(&v),
                   val_text(b->arena, &v));
    return -1;
}

int blocks_if(Build *b, const Yaml *map, const Scope *scope)
{
    const Yaml *y = yaml_get(map, "if");
    int now = y ? truth(b, y, scope) : 1;
    if (!y || b->graph->training) return now;
    Val yes = {.kind = VAL_BOOL, .i = 1};
    int then = truth(b, y, scope_add(b->arena, scope, "training", yes));
    if (now >= 0 && then >= 0 && now != then) b->differs = true;
    return now;
}

/* 1 when it is not known, so that the body is still checked */
static int64_t repeat_count(Build *b, const Yaml *map, const Scope *scope)
{
    const Yaml *y = yaml_get(map, "repeat");
    Val v = expr_eval_yaml(b->arena, y, scope);
    if (v.kind == VAL_INT && v.i >= 0 && v.i <= MAX_LAYERS) return v.i;
    if (v.kind == VAL_INT)
        diag_error(y->loc, "S015", "'repeat' must be 0..%d, got %s", MAX_LAYERS,
                   val_text(b->arena, &v));
    else if (v.kind != VAL_NOTHING)
        diag_error(y->loc, "S014", "'repeat' must be an integer, got %s '%s'", val_kind(&v),
                   val_text(b->arena, &v));
    return 1;
}

/* The body of a directive, once: `do`, or the block or import that `use` names. */
static Node *run(Build *b, const Yaml *map, const char *path, const Flow *in, const Frame *body,
                 const Scope *scope)
{
    const Yaml *use = yaml_get(map, "use");
    if (!use) return model_run(b, yaml_get(map, "do"), path, in, body, scope);
    const Use *u = use_read(b->arena, use, blocks_scope(b, scope, in), true, NULL);
    return u ? uses_named(b, u, path, in, yaml_get(map, "until")) : NULL;
}

static Node *repeat(Build *b, const Yaml *map, const char *path, int *index, Flow in,
                    const Frame *body, const Scope *scope)
{
    int own = 0;
    int64_t n = repeat_count(b, map, blocks_scope(b, scope, &in));
    if (!index) index = &own;
    for (int64_t i = 0; i < n && !b->stopped; i++) {
        const char *name = arena_printf(b->arena, "%d", (*index)++);
        const char *each = model_path(b, path, name);
        Node *out = run(b, map, each, &in, body, scope);
        model_made(b, each, out, map->loc, false);
        in = (Flow){{out}, 1};
    }
    return in.in[0];
}

static bool check_directive(Build *b, const Yaml *map)
{
    bool ok = true, use = yaml_get(map, "use") != NULL;
    for (int i = 0; i < map->key.n; i++) {
        const Yaml *key = map->key.v[i];
        const char *shown = yaml_show(b->arena, key->text);
        if (is_key(directive_keys, key->text)) continue;
        ok = false;
        const char *near = diag_nearest(key->text, directive_keys);
        if (near)
            diag_error(key->loc, "S012", "unknown key '%s' beside 'do'; did you mean '%s'?", shown,
                       near);
        else
            diag_error(key->loc, "S012", "unknown key '%s' beside 'do'", shown);
        if (!near) diag_help("layers stand inside of `do:`");
    }
    if (!ok) return false;
    if (use && yaml_get(map, "do")) {
        diag_error(map->loc, "S012", "a module has 'do' or 'use', not both");
        return false;
    }
    if (!use && yaml_get(map, "until")) {
        diag_error(yaml_get(map, "until")->loc, "S013", "'until' needs 'use'");
        return false;
    }
    if (use || yaml_get(map, "do")) return true;
    diag_error(map->loc, "S013", "a module with from, if or repeat needs 'do'");
    return false;
}

static Node *skip(Build *b, const char *path, Node *in)
{
    vec_push(b->arena, &b->skipped, path);
    return in;
}

Node *blocks_directive(Build *b, const Yaml *map, const char *path, int *index, const Flow *in,
                       const Frame *body, const Scope *scope)
{
    Flow from;
    if (!check_directive(b, map)) return NULL;
    if (!blocks_from(b, map, in, body, &from)) return NULL;
    int yes = blocks_if(b, map, blocks_scope(b, scope, &from));
    if (yes == 0) return skip(b, path, from.in[0]);
    Node *n = yaml_get(map, "repeat") ? repeat(b, map, path, index, from, body, scope)
                                      : run(b, map, path, &from, body, scope);
    return yes == 1 ? n : NULL;
}
