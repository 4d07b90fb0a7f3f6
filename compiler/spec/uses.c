/* Reusable bodies with arguments: blocks, and the models and blocks of imported files.
 * In: a use such as BasicBlock(64, stride=2) and the flow into it. Out: its output in the graph.
 * Rule: a body sees its arguments, the params of its own file, and `in`; nothing of its user. In an
 * imported model `input.channels` and `input.size` are those of what flows into it.
 * Not here: reading files (unit.c), layers (model.c). */
#include "spec/model.h"
#include <string.h>

enum { MAX_NAMES = 256 };

/* ---- names ---- */

static bool has_name(const char *const *names, const char *word)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], word) == 0) return true;
    return false;
}

bool uses_find(const Build *b, const char *name, Callee *c)
{
    *c = (Callee){.unit = b->unit, .block = yaml_get(yaml_get(b->unit->root, "blocks"), name)};
    if (c->block) return true;
    const char *dot = strchr(name, '.');
    const char *first = dot ? arena_strndup(b->arena, name, (size_t)(dot - name)) : name;
    const Import *import = unit_find(b->unit, first);
    if (!import) return false;
    c->imported = true;
    c->unit = import->unit;
    if (dot && c->unit) c->block = yaml_get(yaml_get(c->unit->root, "blocks"), dot + 1);
    if (c->unit) c->block_missing = dot && !c->block;
    return true;
}

static void unknown_block(const Build *b, const Callee *c, const Use *u)
{
    const char *names[MAX_NAMES + 1], *dot = strchr(u->name, '.');
    const Yaml *blocks = yaml_get(c->unit->root, "blocks");
    int n = 0;
    for (; blocks && n < blocks->key.n && n < MAX_NAMES; n++) names[n] = blocks->key.v[n]->text;
    names[n] = NULL;
    const char *near = diag_nearest(dot + 1, names), *shown = yaml_show(b->arena, dot + 1);
    if (near)
        diag_error(u->name_loc, "S017", "%s has no block '%s'; did you mean '%s'?", c->unit->shown,
                   shown, near);
    else
        diag_error(u->name_loc, "S017", "%s has no block '%s'", c->unit->shown, shown);
}

static void unknown_use(const Build *b, const Use *u)
{
    const char *names[MAX_NAMES + 1], *shown = yaml_show(b->arena, u->name);
    const Yaml *blocks = yaml_get(b->unit->root, "blocks");
    int n = 0;
    for (; blocks && n < blocks->key.n && n < MAX_NAMES / 2; n++) names[n] = blocks->key.v[n]->text;
    for (int i = 0; i < b->unit->import.n; i++) names[n++] = b->unit->import.v[i].name;
    names[n] = NULL;
    const char *near = diag_nearest(u->name, names);
    if (near)
        diag_error(u->name_loc, "S017", "unknown block or import '%s'; did you mean '%s'?", shown,
                   near);
    else
        diag_error(u->name_loc, "S017", "unknown block or import '%s'", shown);
    if (op_find(u->name)) diag_help("a layer stands in `do:`");
}

Node *uses_named(Build *b, const Use *u, const char *path, const Flow *in, const Yaml *until)
{
    Callee c;
    if (uses_find(b, u->name, &c)) return uses_call(b, &c, u, path, in, until);
    unknown_use(b, u);
    return NULL;
}

/* ---- arguments ---- */

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
        if (arg->key ? has_name(names, arg->key) : i < n) continue;
        ok = false;
        if (!arg->key) {
            diag_error(arg->val.loc, "S025", "%s takes at most %d argument%s", u->name, n,
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

/* The arguments as names on top of `scope`; NULL after an error. u NULL: all at their defaults. */
static const Scope *bind(Build *b, const Use *u, const Yaml *args, const Scope *scope)
{
    bool ok = !u || check_args(b, u, args);
    for (int i = 0; args && i < args->key.n; i++) {
        const Yaml *key = args->key.v[i], *y = args->item.v[i];
        const Arg *arg = u ? find_arg(u, key->text, i) : NULL;
        Val v = {0};
        if (arg) {
            v = arg->val;
        } else if (!y->required) {
            v = expr_eval_yaml(b->arena, y, scope);
        } else {
            diag_error(u ? u->loc : key->loc, "S013", "%s needs '%s'", u ? u->name : "it",
                       yaml_show(b->arena, key->text));
            diag_note(key->loc, "the argument is declared here");
            ok = false;
        }
        scope = scope_add(b->arena, scope, key->text, v);
    }
    return ok ? scope : NULL;
}

/* ---- bodies ---- */

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
        if (has_name(keys, block->key.v[i]->text)) continue;
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

/* The body up to and including the module that `until` names. */
static bool cut(Build *b, const Yaml *until, const Yaml **body)
{
    const char *names[MAX_NAMES + 1];
    int n = 0;
    if (until->kind != Y_SCALAR || (*body)->kind != Y_MAP) {
        diag_error(until->loc, "S014", "'until' names a module of a body whose modules have names");
        return false;
    }
    for (int i = 0; i < (*body)->key.n; i++) {
        if (n < MAX_NAMES) names[n++] = (*body)->key.v[i]->text;
        if (strcmp((*body)->key.v[i]->text, until->text) != 0) continue;
        Yaml *head = NEW(b->arena, Yaml);
        *head = **body;
        head->key.n = head->item.n = i + 1;
        *body = head;
        return true;
    }
    names[n] = NULL;
    const char *near = diag_nearest(until->text, names), *shown = yaml_show(b->arena, until->text);
    if (near)
        diag_error(until->loc, "S021", "'until: %s': no such layer; did you mean '%s'?", shown,
                   near);
    else
        diag_error(until->loc, "S021", "'until: %s': no such layer", shown);
    return false;
}

static bool deeper(Build *b, const Use *u)
{
    if (++b->depth <= MAX_BLOCK_DEPTH) return true;
    diag_error(u->loc, "S033", "blocks nested deeper than %d levels: does '%s' use itself?",
               MAX_BLOCK_DEPTH, u->name);
    b->stopped = true;
    return false;
}

/* What a model sees of its own file: params, and input.* */
static const Scope *unit_scope(Build *b, const Unit *unit, const Use *u, const Node *in)
{
    const Scope *scope = blocks_shape_names(b->arena, b->training, in, "input");
    const Yaml *params = yaml_get(unit->root, "params");
    return bind(b, u, params && params->kind == Y_MAP ? params : NULL, scope);
}

static bool check_size(Build *b, const Unit *unit, const Node *in, const Use *u)
{
    const Yaml *min = yaml_get(yaml_get(unit->root, "input"), "min");
    return !min || !in || params_input_min(b->spec, min, in->shape, unit->shown, u->loc);
}

Node *uses_call(Build *b, const Callee *c, const Use *u, const char *path, const Flow *in,
                const Yaml *until)
{
    if (!c->unit) return NULL; /* it could not be read */
    if (c->block_missing) return unknown_block(b, c, u), NULL;
    const Yaml *args = NULL, *body = yaml_get(c->unit->root, "model");
    if (c->block && !check_block(c->block, &args, &body)) return NULL;
    if (!body) {
        diag_error(u->loc, "S013", "%s has no 'model'", c->unit->shown);
        return NULL;
    }
    if (!c->block && !check_size(b, c->unit, in->in[0], u)) return NULL;
    if (until && !cut(b, until, &body)) return NULL;
    const Unit *unit = b->unit;
    const Scope *scope = b->scope;
    Node *n = NULL;
    if (c->imported) b->scope = unit_scope(b, c->unit, c->block ? NULL : u, in->in[0]);
    const Scope *own = b->scope && c->block ? bind(b, u, args, b->scope) : b->scope;
    b->unit = c->unit;
    int before = diag_errors();
    if (own && deeper(b, u)) {
        Frame frame = {NULL, path, in->in[0], body};
        n = model_run(b, body, path, in, &frame, own);
        b->depth--;
    }
    if (c->imported && diag_errors() > before) diag_note(u->loc, "it is used here");
    b->unit = unit;
    b->scope = scope;
    return n;
}
