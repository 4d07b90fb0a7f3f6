/* Arguments against a table of attributes: order, names, kinds, ranges, defaults.
 * In: Use (from a call string or the long form). Out: AttrVal[], each with its place.
 * Rule: every error is under the argument that is wrong; nothing is said twice. Not here: what
 * attributes mean. */
#include "spec/args.h"
#include "spec/numbers.h"
#include <math.h>
#include <string.h>

enum { MAX_NAMES = 512 };

static bool in_list(const char *const *list, const char *word)
{
    for (int i = 0; list && list[i]; i++)
        if (strcmp(list[i], word) == 0) return true;
    return false;
}

static void add_arg(Arena *a, Use *u, Arg arg)
{
    if (arg.val.kind == VAL_NOTHING) u->failed = true;
    vec_push(a, &u->arg, arg);
}

static Use *read_long(Arena *a, const Yaml *y, const Scope *scope, const char *const *skip)
{
    const Yaml *type = yaml_get(y, "type");
    if (!type) {
        diag_error(y->loc, "S013", "the long form needs 'type'");
        diag_help("for example {type: Conv2d, out_channels: 64, kernel_size: 3}");
        return NULL;
    }
    if (type->kind != Y_SCALAR || !expr_is_name(type->text)) {
        diag_error(type->loc, "S014", "'type' must be a name such as Conv2d");
        return NULL;
    }
    Use *u = NEW(a, Use);
    *u = (Use){.name = type->text, .loc = type->loc, .name_loc = type->loc, .scope = scope};
    for (int i = 0; i < y->key.n; i++) {
        const Yaml *key = y->key.v[i];
        if (strcmp(key->text, "type") == 0 || in_list(skip, key->text)) continue;
        add_arg(a, u, (Arg){key->text, key->loc, expr_eval_yaml(a, y->item.v[i], scope)});
    }
    return u;
}

Use *use_read(Arena *a, const Yaml *y, const Scope *scope, bool bare, const char *const *skip)
{
    if (y->kind == Y_MAP) return read_long(a, y, scope, skip);
    if (y->kind == Y_LIST) {
        diag_error(y->loc, "S014", "expected a call such as ReLU(), got a list");
        return NULL;
    }
    const Call *c = expr_parse_call(a, y, bare);
    if (!c) return NULL;
    Use *u = NEW(a, Use);
    *u = (Use){.name = c->name, .loc = c->loc, .name_loc = c->name_loc, .scope = scope};
    for (int i = 0; i < c->arg.n; i++) {
        const CallArg *arg = &c->arg.v[i];
        add_arg(a, u, (Arg){arg->key, arg->key_loc, expr_eval(a, arg->term, scope)});
    }
    return u;
}

/* ---- names ---- */

/* Attributes of the language; hidden ones come after them. */
static int count_defs(const AttrDef *defs)
{
    int n = 0;
    while (defs && defs[n].name && !defs[n].hidden) n++;
    return n;
}

static const char *default_text(Arena *a, const AttrDef *d)
{
    if (d->by_other) return d->other;
    if (d->kind == ATTR_NUMBERS) return d->text;
    if (d->kind == ATTR_CHOICE) return d->words[(int)d->def];
    if (d->none) return "None";
    if (d->kind == ATTR_FPAIR)
        return arena_printf(a, "(%s,%s)", val_number(a, d->def), val_number(a, d->def2));
    if (d->kind == ATTR_BOOL) return d->def != 0 ? "true" : "false";
    if (d->kind == ATTR_INT || d->kind == ATTR_PAIR) return arena_printf(a, "%.0f", d->def);
    return val_number(a, d->def);
}

const char *use_signature(Arena *a, const char *name, const AttrDef *defs)
{
    const char *s = arena_printf(a, "%s(", name);
    for (int i = 0; i < count_defs(defs); i++) {
        const AttrDef *d = &defs[i];
        s = arena_printf(a, "%s%s%s", s, i ? ", " : "", d->name);
        if (!d->required) s = arena_printf(a, "%s=%s", s, default_text(a, d));
    }
    return arena_printf(a, "%s)", s);
}

static void unknown_argument(Arena *a, const Use *u, const Arg *arg, const AttrDef *defs)
{
    const char *names[MAX_NAMES + 1];
    int n = 0;
    for (; n < count_defs(defs); n++) names[n] = defs[n].name;
    names[n] = NULL;
    const char *near = diag_nearest(arg->key, names);
    const char *shown = yaml_show(a, arg->key);
    if (near)
        diag_error(arg->key_loc, "S012", "unknown argument '%s' in %s; did you mean '%s'?", shown,
                   u->name, near);
    else
        diag_error(arg->key_loc, "S012", "unknown argument '%s' in %s", shown, u->name);
    diag_help("%s", use_signature(a, u->name, defs));
}

/* Which attribute is argument k? -1 after an error. */
static int find_attr(Arena *a, const Use *u, int k, int position, const AttrDef *defs)
{
    const Arg *arg = &u->arg.v[k];
    int n = count_defs(defs);
    if (!arg->key) {
        if (position < n) return position;
        diag_error(arg->val.loc, "S025", "%s takes at most %d argument%s", u->name, n,
                   n == 1 ? "" : "s");
        diag_help("%s", use_signature(a, u->name, defs));
        return -1;
    }
    for (int i = 0; i < n; i++)
        if (strcmp(defs[i].name, arg->key) == 0) return i;
    unknown_argument(a, u, arg, defs);
    return -1;
}

/* ---- values ---- */

static bool is_float(const AttrDef *d)
{
    return d->kind == ATTR_FLOAT || d->kind == ATTR_FPAIR || d->kind == ATTR_FLOATS;
}

static const char *range_text(Arena *a, const AttrDef *d)
{
    const char *min = val_number(a, d->min), *max = val_number(a, d->max);
    bool whole = !is_float(d);
    if (whole) min = arena_printf(a, "%.0f", d->min), max = arena_printf(a, "%.0f", d->max);
    if (d->max >= (whole ? 2147483647.0 : 1e30)) return arena_printf(a, "at least %s", min);
    return arena_printf(a, "%s..%s", min, max);
}

static bool bad_range(Arena *a, const AttrDef *d, const Val *v)
{
    diag_error(v->loc, is_float(d) ? "S016" : "S015", "'%s' must be %s, got %s", d->name,
               range_text(a, d), val_text(a, v));
    return false;
}

static const char *wanted_text(Arena *a, const AttrDef *d)
{
    switch (d->kind) {
    case ATTR_INT:
        return "an integer, written in decimal";
    case ATTR_FLOAT:
        return "a number";
    case ATTR_BOOL:
        return "true or false";
    case ATTR_PAIR:
        return "an integer or a pair such as (3,5)";
    case ATTR_FPAIR:
        return "a pair of numbers such as (0.9,0.999)";
    case ATTR_SHAPE:
        return "a list of integers such as [3,7,5]";
    case ATTR_QUAD:
        return "an integer or four such as (1,1,2,2)";
    case ATTR_FLOATS:
        return "a list of numbers such as [0.2,0.8]";
    case ATTR_NUMBERS:
        return numbers_wanted(a, d);
    case ATTR_CHOICE:
        break;
    }
    const char *s = "one of ";
    for (int i = 0; d->words[i]; i++) s = arena_printf(a, "%s%s%s", s, i ? ", " : "", d->words[i]);
    return s;
}

static const char *nearest_name(const Use *u, const char *word)
{
    const char *names[MAX_NAMES + 1];
    int n = 0;
    for (const Scope *s = u->scope; s && n < MAX_NAMES; s = s->up) names[n++] = s->name;
    names[n] = NULL;
    return diag_nearest(word, names);
}

static bool bad_kind(Arena *a, const Use *u, const AttrDef *d, const Val *v)
{
    const char *shown = val_text(a, v);
    const char *near = NULL;
    if (v->kind == VAL_WORD) near = d->kind == ATTR_CHOICE ? diag_nearest(v->s, d->words) : NULL;
    if (v->kind == VAL_WORD && !near) near = nearest_name(u, v->s);
    if (v->kind == VAL_NONE)
        diag_error(v->loc, "S014", "'%s' must be %s, got no value", d->name, wanted_text(a, d));
    else if (near && d->kind != ATTR_CHOICE)
        diag_error(v->loc, "S046", "unknown name '%s'; did you mean '%s'?", shown, near);
    else
        diag_error(v->loc, "S014", "'%s' must be %s, got %s '%s'%s%s%s", d->name, wanted_text(a, d),
                   val_kind(v), shown, near ? "; did you mean '" : "", near ? near : "",
                   near ? "'?" : "");
    return false;
}

static bool set_choice(Arena *a, const Use *u, const AttrDef *d, const Val *v, AttrVal *out)
{
    for (int i = 0; v->kind == VAL_WORD && d->words[i]; i++) {
        if (strcmp(d->words[i], v->s) != 0) continue;
        out->s = d->words[i];
        return true;
    }
    if (v->kind == VAL_BOOL || v->kind == VAL_INT || v->kind == VAL_NONE) { /* 2, None as words */
        Val w = {.kind = VAL_WORD, .s = val_text(a, v), .loc = v->loc};
        return in_list(d->words, w.s) ? set_choice(a, u, d, &w, out) : bad_kind(a, u, d, v);
    }
    return bad_kind(a, u, d, v);
}

static bool in_range(const AttrDef *d, double x)
{
    return x >= d->min && x <= d->max;
}

/* Kinds that hold more than two numbers. One integer: a shape of rank 1, or the same four times. */
static bool set_list(Arena *a, const Use *u, const AttrDef *d, const Val *v, AttrVal *out)
{
    bool floats = d->kind == ATTR_FLOATS, one = v->kind == VAL_INT && !floats;
    int n = one ? 1 : v->list.n, most = d->kind == ATTR_QUAD ? 4 : MAX_RANK - 1;
    if (!one && v->kind != VAL_LIST) return bad_kind(a, u, d, v);
    if (d->kind == ATTR_QUAD ? n != 1 && n != 4 : n < 1 || (!floats && n > most))
        return bad_kind(a, u, d, v);
    double *x = floats ? NEWN(a, double, n) : NULL;
    int64_t *dims = d->kind == ATTR_SHAPE ? out->i + 1 : out->i;
    for (int k = 0; k < n; k++) {
        const Val *part = one ? v : &v->list.v[k];
        if (part->kind != VAL_INT && !(floats && part->kind == VAL_FLOAT))
            return bad_kind(a, u, d, v);
        double value = part->kind == VAL_INT ? (double)part->i : part->f;
        if (!in_range(d, value)) return bad_range(a, d, part);
        if (floats)
            x[k] = value;
        else
            dims[k] = part->i;
    }
    for (int k = n; d->kind == ATTR_QUAD && k < 4; k++) dims[k] = dims[0];
    if (d->kind == ATTR_SHAPE) out->i[0] = n;
    out->list = x;
    out->nlist = floats ? n : 0;
    return true;
}

static bool set_value(Arena *a, const Use *u, const AttrDef *d, const Val *v, AttrVal *out)
{
    out->loc = v->loc;
    if (v->kind == VAL_INFER) {
        out->infer = d->infer;
        if (d->infer) return true;
        diag_error(v->loc, "S014", "'%s' cannot be inferred: write a value", d->name);
        return false;
    }
    if (d->kind == ATTR_CHOICE) return set_choice(a, u, d, v, out);
    if (d->kind == ATTR_NUMBERS) {
        NumbersFault fault = numbers_set(a, d, v, out);
        return fault == NUMBERS_FINE || (fault == NUMBERS_KIND && bad_kind(a, u, d, v));
    }
    if (d->kind == ATTR_SHAPE || d->kind == ATTR_QUAD || d->kind == ATTR_FLOATS)
        return set_list(a, u, d, v, out);
    if (d->kind == ATTR_BOOL && v->kind == VAL_BOOL) {
        out->i[0] = v->i;
        return true;
    }
    if (d->kind == ATTR_FLOAT && (v->kind == VAL_INT || v->kind == VAL_FLOAT)) {
        out->f = v->kind == VAL_INT ? (double)v->i : v->f;
        return in_range(d, out->f) ? true : bad_range(a, d, v);
    }
    bool whole = d->kind == ATTR_INT || d->kind == ATTR_PAIR;
    if (whole && v->kind == VAL_INT) {
        out->i[0] = out->i[1] = v->i;
        return in_range(d, (double)v->i) ? true : bad_range(a, d, v);
    }
    bool twice = d->kind == ATTR_FPAIR && d->def == d->def2; /* one number may stand for both */
    if (twice && (v->kind == VAL_INT || v->kind == VAL_FLOAT)) {
        out->f = out->f2 = v->kind == VAL_INT ? (double)v->i : v->f;
        return in_range(d, out->f) ? true : bad_range(a, d, v);
    }
    bool pair = d->kind == ATTR_PAIR || d->kind == ATTR_FPAIR;
    if (!pair || v->kind != VAL_LIST || v->list.n != 2) return bad_kind(a, u, d, v);
    double x[2];
    for (int k = 0; k < 2; k++) {
        const Val *part = &v->list.v[k];
        if (part->kind != VAL_INT && (whole || part->kind != VAL_FLOAT))
            return bad_kind(a, u, d, v);
        x[k] = part->kind == VAL_INT ? (double)part->i : part->f;
        if (!in_range(d, x[k])) return bad_range(a, d, part);
        out->i[k] = whole ? part->i : 0;
    }
    if (!whole) out->f = x[0], out->f2 = x[1];
    return true;
}

static void set_default(const AttrDef *d, AttrVal *out)
{
    *out = (AttrVal){0};
    if (d->kind == ATTR_CHOICE)
        out->s = d->words[(int)d->def];
    else if (is_float(d))
        out->f = d->def, out->f2 = d->def2;
    else if (d->kind != ATTR_SHAPE && d->kind != ATTR_FLOATS && d->kind != ATTR_NUMBERS)
        out->i[0] = out->i[1] = (int64_t)d->def;
}

/* One argument into its attribute. */
static bool bind_one(Arena *a, const Use *u, const Arg *arg, const AttrDef *d, AttrVal *out,
                     bool again)
{
    const Val *v = &arg->val;
    if (again) {
        diag_error(arg->key ? arg->key_loc : v->loc, "S011", "argument '%s' is given twice",
                   d->name);
        return false;
    }
    if (v->kind == VAL_NOTHING) return false;
    if (v->kind == VAL_NONE && (d->by_other || d->none))
        return true; /* as torch: stride=None, weight=None */
    return set_value(a, u, d, v, out);
}

static const AttrDef *find_def(const AttrDef *defs, const char *name)
{
    while (defs->name && strcmp(defs->name, name) != 0) defs++;
    bug_if(!defs->name, "no attribute '%s'", name);
    return defs;
}

static bool finish(Arena *a, const Use *u, const char *who, const AttrDef *defs, AttrVal *out,
                   unsigned given)
{
    bool ok = true;
    for (int i = 0; i < count_defs(defs); i++) {
        const AttrDef *d = &defs[i];
        if (given & 1u << i && (out[i].loc.file || !d->by_other)) continue;
        if (d->by_other) {
            memcpy(out[i].i, out[find_def(defs, d->other) - defs].i, sizeof out[i].i);
        } else if (d->required && d->infer) {
            out[i].infer = true;
        } else if (d->required) {
            diag_error(u->loc, "S013", "%s needs '%s'", who, d->name);
            diag_help("%s", use_signature(a, u->name, defs));
            ok = false;
        }
    }
    return ok;
}

bool use_bind(Arena *a, const Use *u, const char *who, const AttrDef *defs, AttrVal *out,
              unsigned *given)
{
    bool ok = !u->failed, named = false;
    unsigned bits = 0;
    bug_if(count_defs(defs) >= MAX_ATTR, "%s has too many attributes", u->name);
    for (int i = 0; defs && defs[i].name; i++) set_default(&defs[i], &out[i]);
    for (int k = 0, position = 0; k < u->arg.n; k++) {
        const Arg *arg = &u->arg.v[k];
        named |= arg->key != NULL;
        if (named && !arg->key) {
            diag_error(arg->val.loc, "S043", "an argument by position cannot follow one by name");
            return false;
        }
        int at = find_attr(a, u, k, position, defs);
        if (at < 0 && !arg->key) return false; /* said once */
        if (at < 0) {
            ok = false;
            continue;
        }
        if (!bind_one(a, u, arg, &defs[at], &out[at], bits >> at & 1)) ok = false;
        bits |= 1u << at;
        position = at + 1;
    }
    if (given) *given = bits;
    return finish(a, u, who, defs, out, bits) && ok;
}

/* ---- text ---- */

static const char *list_text(Arena *a, const AttrDef *d, const AttrVal *v)
{
    const int64_t *dims = d->kind == ATTR_SHAPE ? v->i + 1 : v->i;
    int n = d->kind == ATTR_FLOATS ? v->nlist : d->kind == ATTR_QUAD ? 4 : (int)v->i[0];
    const char *s = "[";
    for (int k = 0; k < n; k++) {
        const char *x =
            v->list ? val_number(a, v->list[k]) : arena_printf(a, "%lld", (long long)dims[k]);
        s = arena_printf(a, "%s%s%s", s, k ? "," : "", x);
    }
    return arena_printf(a, "%s]", s);
}

static const char *value_text(Arena *a, const AttrDef *d, const AttrVal *v)
{
    if (v->infer) return "_";
    switch (d->kind) {
    case ATTR_CHOICE:
        return v->s;
    case ATTR_FLOAT:
        return val_number(a, v->f);
    case ATTR_BOOL:
        return v->i[0] ? "true" : "false";
    case ATTR_SHAPE:
    case ATTR_QUAD:
    case ATTR_FLOATS:
        return list_text(a, d, v);
    case ATTR_NUMBERS:
        return numbers_text(a, v);
    case ATTR_FPAIR:
        return arena_printf(a, "(%s,%s)", val_number(a, v->f), val_number(a, v->f2));
    default:
        break;
    }
    if (d->kind == ATTR_PAIR && v->i[0] != v->i[1])
        return arena_printf(a, "(%lld,%lld)", (long long)v->i[0], (long long)v->i[1]);
    return arena_printf(a, "%lld", (long long)v->i[0]);
}

const char *use_text(Arena *a, const char *name, const AttrDef *defs, const AttrVal *v,
                     unsigned given, const char *comma)
{
    const char *s = arena_printf(a, "%s(", name), *sep = "";
    for (int i = 0; i < count_defs(defs); i++) {
        if (!(given & 1u << i)) continue;
        const char *text = value_text(a, &defs[i], &v[i]);
        s = defs[i].required ? arena_printf(a, "%s%s%s", s, sep, text)
                             : arena_printf(a, "%s%s%s=%s", s, sep, defs[i].name, text);
        sep = comma;
    }
    return arena_printf(a, "%s)", s);
}

/* ---- operators ---- */

static const char *use_word(int op_use)
{
    return op_use == OP_LOSS ? "loss" : op_use == OP_OPTIMIZER ? "optimizer" : "layer";
}

const OpDef *use_op(Arena *a, const Use *u, int op_use)
{
    const char *names[MAX_NAMES + 1];
    int n = 0;
    for (int i = 0; op_table[i] && n < MAX_NAMES; i++) {
        const OpDef *op = op_table[i];
        if ((int)op->use == op_use && strcmp(op->name, u->name) == 0) return op;
        if ((int)op->use == op_use) names[n++] = op->name;
    }
    names[n] = NULL;
    const char *shown = yaml_show(a, u->name), *word = use_word(op_use);
    const OpDef *other = op_find(u->name);
    if (other && other->use >= OP_LAYER && other->use <= OP_OPTIMIZER) {
        diag_error(u->name_loc, "S017", "'%s' is a kind of %s, not of %s", shown,
                   use_word((int)other->use), word);
        return NULL;
    }
    const char *near = diag_nearest(u->name, names);
    if (near)
        diag_error(u->name_loc, "S017", "unknown %s '%s'; did you mean '%s'?", word, shown, near);
    else
        diag_error(u->name_loc, "S017", "unknown %s '%s'", word, shown);
    if (!near) diag_help("`sinter ops` lists what exists");
    return NULL;
}
