/* The blocks params and input: the names that expressions may use.
 * In: the tree after --set. Out: s->param, s->scope, s->input. Not here: expressions themselves
 * (value.c). */
#include "spec/spec.h"
#include <string.h>

enum { MAX_PARAMS = 256, MAX_DIM = 65536 };

static bool param_name_ok(const char *name)
{
    static const char *const taken[] = {"in", "input", "training", NULL};
    bool ok = expr_is_name(name) && schema_name_ok(name, false);
    for (int i = 0; taken[i]; i++) ok = ok && strcmp(name, taken[i]) != 0;
    return ok;
}

static bool check_param_name(Arena *a, const Yaml *key)
{
    if (param_name_ok(key->text)) return true;
    diag_error(key->loc, "S020", "'%s' cannot be the name of a parameter", yaml_show(a, key->text));
    diag_help("names are [A-Za-z_][A-Za-z0-9_]{0,63} and no words of the language");
    return false;
}

/* --set must give a value of the kind that the description has. */
static bool check_override(const Spec *s, const char *name, const Val *v)
{
    const Yaml *old = yaml_get(s->declared, name);
    if (!v->loc.file || strcmp(v->loc.file, "--set") != 0 || !old) return true;
    Val was = expr_eval_yaml(s->arena, old, s->scope);
    bool number = was.kind == VAL_INT || was.kind == VAL_FLOAT;
    bool same = was.kind == v->kind || (was.kind == VAL_FLOAT && v->kind == VAL_INT);
    if (same || (!number && was.kind != VAL_BOOL) || v->kind == VAL_NOTHING) return true;
    diag_error(v->loc, "S014", "'%s' must be of the kind %s, as in the description; got %s '%s'",
               name, val_kind(&was), val_kind(v), val_text(s->arena, v));
    return false;
}

static void read_param(Spec *s, const Yaml *key, const Yaml *y)
{
    if (!param_name_ok(key->text)) return;
    Val v = expr_eval_yaml(s->arena, y, s->scope);
    if (v.kind == VAL_NONE || v.kind == VAL_INFER) {
        diag_error(v.loc, "S014", "'%s' has no value", key->text);
        v.kind = VAL_NOTHING;
    }
    if (!check_override(s, key->text, &v)) v.kind = VAL_NOTHING;
    Param p = {key->text, v};
    vec_push(s->arena, &s->param, p);
    s->scope = scope_add(s->arena, s->scope, key->text, v);
}

bool params_check(Spec *s, const Yaml *params)
{
    if (!params || yaml_is_null(params)) return false;
    if (params->kind != Y_MAP) {
        diag_error(params->loc, "S014", "'params' must be a mapping such as {width: 32}");
        return false;
    }
    if (params->key.n > MAX_PARAMS) {
        diag_error(params->loc, "S032", "more than %d params", MAX_PARAMS);
        return false;
    }
    bool ok = true;
    for (int i = 0; i < params->key.n; i++) ok = check_param_name(s->arena, params->key.v[i]) && ok;
    return ok;
}

void params_read(Spec *s)
{
    const Yaml *params = yaml_get(s->root, "params");
    params_check(s, params);
    if (!params || params->kind != Y_MAP || params->key.n > MAX_PARAMS) return;
    for (int i = 0; i < params->key.n; i++) read_param(s, params->key.v[i], params->item.v[i]);
}

/* ---- input ---- */

static void bad_input(const Spec *s, Loc loc, const Val *v, bool image)
{
    const char *wanted =
        image ? "input must be [C,H,W], each 1..65536" : "input must be [D], 1..65536";
    if (v->kind == VAL_NOTHING) return;
    diag_error(loc, "H001", "%s; got %s", wanted, val_text(s->arena, v));
}

static bool read_dims(Spec *s, const Yaml *y, bool image)
{
    Val v = expr_eval_yaml(s->arena, y, s->scope);
    int rank = image ? 3 : 1;
    if (v.kind == VAL_INT && !image) {
        Val one = v;
        v = (Val){.kind = VAL_LIST, .loc = v.loc};
        vec_push(s->arena, &v.list, one);
    }
    if (v.kind != VAL_LIST || v.list.n != rank) {
        bad_input(s, v.loc.file ? v.loc : y->loc, &v, image);
        return false;
    }
    Shape shape = {.rank = rank};
    for (int d = 0; d < rank; d++) {
        const Val *x = &v.list.v[d];
        if (x->kind != VAL_INT || x->i < 1 || x->i > MAX_DIM) {
            bad_input(s, x->loc, x, image);
            return false;
        }
        shape.dim[d] = x->i;
    }
    s->input = shape;
    s->input_loc = y->loc;
    return true;
}

static void add_input_names(Spec *s)
{
    Val c = {.kind = VAL_INT, .i = s->input.dim[0], .loc = s->input_loc};
    s->scope = scope_add(s->arena, s->scope, "input.channels", c);
    if (s->input.rank != 3) return;
    Val size = {.kind = VAL_LIST, .loc = s->input_loc};
    for (int d = 1; d < 3; d++) {
        Val x = {.kind = VAL_INT, .i = s->input.dim[d], .loc = s->input_loc};
        vec_push(s->arena, &size.list, x);
    }
    s->scope = scope_add(s->arena, s->scope, "input.size", size);
}

bool params_input_min(const Spec *s, const Yaml *min, Shape shape, const char *who, Loc loc)
{
    Val v = expr_eval_yaml(s->arena, min, NULL);
    if (v.kind == VAL_NOTHING) return false;
    if (v.kind != VAL_INT || v.i < 1 || v.i > MAX_DIM) {
        diag_error(min->loc, "S015", "'min' must be an integer 1..%d", MAX_DIM);
        return false;
    }
    int r = shape.rank;
    if (r < 3 || (shape.dim[r - 1] >= v.i && shape.dim[r - 2] >= v.i)) return true;
    diag_error(loc, "H012", "%s: an input of %lldx%lld is below its minimum, %lldx%lld", who,
               (long long)shape.dim[r - 2], (long long)shape.dim[r - 1], (long long)v.i,
               (long long)v.i);
    diag_help("enlarge the images (input and transforms: Resize), or lower `min` of its input");
    return false;
}

/* image or features: the key that says what goes in */
static int find_kind(Spec *s, const Yaml *input)
{
    static const char *const kinds[] = {"image", "features", "min", NULL};
    int at = -1, n = 0;
    for (int i = 0; i < input->key.n; i++) {
        const Yaml *key = input->key.v[i];
        if (strcmp(key->text, "min") == 0) continue;
        n++;
        at = i;
        if (strcmp(key->text, "image") == 0 || strcmp(key->text, "features") == 0) continue;
        const char *near = diag_nearest(key->text, kinds), *shown = yaml_show(s->arena, key->text);
        if (near)
            diag_error(key->loc, "S012", "unknown key '%s' in input; did you mean '%s'?", shown,
                       near);
        else
            diag_error(key->loc, "S012", "unknown key '%s' in input: it takes image or features",
                       shown);
        return -1;
    }
    if (n == 1) return at;
    diag_error(input->loc, "H001", "'input' must be {image: [C,H,W]} or {features: [D]}");
    return -1;
}

void input_read(Spec *s)
{
    const Yaml *input = yaml_get(s->root, "input");
    if (!input) return; /* said as a missing key */
    if (input->kind != Y_MAP) {
        diag_error(input->loc, "H001", "'input' must be {image: [C,H,W]} or {features: [D]}");
        return;
    }
    int at = find_kind(s, input);
    if (at < 0) return;
    bool image = strcmp(input->key.v[at]->text, "image") == 0;
    if (!read_dims(s, input->item.v[at], image)) return;
    add_input_names(s);
    const Yaml *min = yaml_get(input, "min");
    if (min) params_input_min(s, min, s->input, s->name, s->input_loc);
}
