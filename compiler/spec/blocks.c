/* What bends the sequential flow: from, if, repeat, do; and blocks, the reusable bodies with
 * arguments. In: a mapping with these keys. Out: the module's output in the graph. Rule:
 * `in.channels` is of the module's own input; `from: in` is the input of the body that the module
 * stands in. A module whose `if` is false gives its input. Not here: layers (model.c). */
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

const Scope *blocks_scope(Build *b, const Scope *scope, const Flow *in)
{
    const Node *n = in->in[0];
    Val channels = {.kind = n ? VAL_INT : VAL_NOTHING}, size = {.kind = n ? VAL_LIST : VAL_NOTHING};
    if (n && n->shape.rank < 2) return scope;
    channels.i = n ? n->shape.dim[1] : 0;
    scope = scope_add(b->arena, scope, "in.channels", channels);
    if (n && n->shape.rank != 4) return scope;
    for (int d = 2; n && d < 4; d++) {
        Val v = {.kind = VAL_INT, .i = n->shape.dim[d]};
        vec_push(b->arena, &size.list, v);
    }
    return scope_add(b->arena, scope, "in.size", size);
}

/* ---- from ---- */

static const Made *find_made(const Build *b, const char *path)
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
        if (find_made(b, model_path(b, body->path, key->text))) names[n++] = key->text;
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
        const Made *m = find_made(b, model_path(b, at->path, y->text));
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

int blocks_if(Build *b, const Yaml *map, const Scope *scope)
{
    const Yaml *y = yaml_get(map, "if");
    if (!y) return 1;
    Val v = expr_eval_yaml(b->arena, y, scope);
    if (v.kind == VAL_BOOL) return v.i != 0;
    if (v.kind != VAL_NOTHING)
        diag_error(y->loc, "S014", "'if' must be true or false, got %s '%s'", val_kind(&v),
                   val_text(b->arena, &v));
    return -1;
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

static Node *repeat(Build *b, const Yaml *map, const char *path, int *index, Flow in,
                    const Frame *body, const Scope *scope)
{
    const Yaml *what = yaml_get(map, "do");
    int own = 0;
    int64_t n = repeat_count(b, map, blocks_scope(b, scope, &in));
    if (!index) index = &own;
    for (int64_t i = 0; i < n && !b->stopped; i++) {
        const char *name = arena_printf(b->arena, "%d", (*index)++);
        const char *each = model_path(b, path, name);
        Node *out = model_run(b, what, each, &in, body, scope);
        model_made(b, each, out, what->loc, false);
        in = (Flow){{out}, 1};
    }
    return in.in[0];
}

static bool check_directive(Build *b, const Yaml *map)
{
    bool ok = true;
    for (int i = 0; i < map->key.n; i++) {
        const Yaml *key = map->key.v[i];
        const char *shown = yaml_show(b->arena, key->text);
        if (strcmp(key->text, "use") == 0 || strcmp(key->text, "until") == 0) {
            diag_error(key->loc, "S041", "'%s' is not supported by this version", shown);
            return false;
        }
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
    if (!ok || yaml_get(map, "do")) return ok;
    diag_error(map->loc, "S013", "a module with from, if or repeat needs 'do'");
    return false;
}

Node *blocks_directive(Build *b, const Yaml *map, const char *path, int *index, const Flow *in,
                       const Frame *body, const Scope *scope)
{
    Flow from;
    if (!check_directive(b, map)) return NULL;
    if (!blocks_from(b, map, in, body, &from)) return NULL;
    int yes = blocks_if(b, map, blocks_scope(b, scope, &from));
    if (yes == 0) return from.in[0];
    Node *n = yaml_get(map, "repeat") ? repeat(b, map, path, index, from, body, scope)
                                      : model_run(b, yaml_get(map, "do"), path, &from, body, scope);
    return yes == 1 ? n : NULL;
}

/* ---- blocks ---- */

const Yaml *blocks_find(const Build *b, const char *name)
{
    return yaml_get(yaml_get(b->spec->root, "blocks"), name);
}

static const Arg *find_arg(const Use *u, const char *name, int position)
{
    for (int i = 0; i < u->arg.n; i++) {
        const Arg *arg = &u->arg.v[i];
        if (arg->key ? strcmp(arg->key, name) == 0 : i == position) return arg;
    }
    return NULL;
}

static bool check_args(Build *b, const Use *u, const Yaml *args)
{
    const char *names[MAX_NAMES + 1];
    int n = 0;
    bool ok = true;
    for (; args && n < args->key.n && n < MAX_NAMES; n++) names[n] = args->key.v[n]->text;
    names[n] = NULL;
    for (int i = 0; i < u->arg.n; i++) {
        const Arg *arg = &u->arg.v[i];
        if (arg->key ? is_key(names, arg->key) : i < n) continue;
        ok = false;
        if (!arg->key) {
            diag_error(arg->val.loc, "S025", "block %s takes at most %d argument%s", u->name, n,
                       n == 1 ? "" : "s");
            break;
        }
        const char *near = diag_nearest(arg->key, names), *shown = yaml_show(b->arena, arg->key);
        if (near)
            diag_error(arg->key_loc, "S012", "unknown argument '%s' in %s; did you mean '%s'?",
                       shown, u->name, near);
        else
            diag_error(arg->key_loc, "S012", "unknown argument '%s' in %s", shown, u->name);
    }
    return ok;
}

/* Params and the block's arguments; NULL after an error. */
static const Scope *block_scope(Build *b, const Use *u, const Yaml *args)
{
    const Scope *scope = b->scope;
    bool ok = check_args(b, u, args);
    for (int i = 0; args && i < args->key.n; i++) {
        const Yaml *key = args->key.v[i], *y = args->item.v[i];
        const Arg *arg = find_arg(u, key->text, i);
        Val v = {0};
        if (arg) {
            v = arg->val;
        } else if (!y->required) {
            v = expr_eval_yaml(b->arena, y, scope);
        } else {
            diag_error(u->loc, "S013", "%s needs '%s'", u->name, yaml_show(b->arena, key->text));
            diag_note(key->loc, "the argument is declared here");
            ok = false;
        }
        scope = scope_add(b->arena, scope, key->text, v);
    }
    return ok ? scope : NULL;
}

static bool check_block(const Yaml *block, const Yaml **args, const Yaml **body)
{
    static const char *const keys[] = {"args", "body", NULL};
    *args = yaml_get(block, "args");
    *body = yaml_get(block, "body");
    if (!*body || (*args && (*args)->kind != Y_MAP)) {
        diag_error(block->loc, "S013", "a block is {args: {...}, body: ...}");
        return false;
    }
    for (int i = 0; i < block->key.n; i++) {
        if (is_key(keys, block->key.v[i]->text)) continue;
        diag_error(block->key.v[i]->loc, "S012", "a block has only the keys args and body");
        return false;
    }
    for (int i = 0; *args && i < (*args)->key.n; i++) {
        if (expr_is_name((*args)->key.v[i]->text)) continue;
        diag_error((*args)->key.v[i]->loc, "S020", "this cannot be the name of an argument");
        return false;
    }
    return true;
}

Node *blocks_use(Build *b, const Yaml *block, const Use *u, const char *path, const Flow *in)
{
    const Yaml *args, *body;
    if (!check_block(block, &args, &body)) return NULL;
    const Scope *scope = block_scope(b, u, args);
    if (!scope) return NULL;
    if (b->depth == MAX_BLOCK_DEPTH) {
        diag_error(u->loc, "S033", "blocks nested deeper than %d levels: does '%s' use itself?",
                   MAX_BLOCK_DEPTH, u->name);
        b->stopped = true;
        return NULL;
    }
    b->depth++;
    Frame own = {NULL, path, in->in[0], body};
    Node *n = model_run(b, body, path, in, &own, scope);
    b->depth--;
    return n;
}
