/* Values of expressions.
 * In: Term and Scope. Out: Val; VAL_NOTHING after a diag_error at the guilty part.
 * Rule: integers are 64 bit and checked for overflow; `//` and `%` round down as Python's do; only
 * the chosen side of `if`, `and`, `or` is evaluated. Not here: parsing (expr.c). */
#include "spec/expr.h"
#include "spec/term.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SCOPE_NAMES = 256 };

const Scope *scope_add(Arena *a, const Scope *up, const char *name, Val v)
{
    Scope *s = NEW(a, Scope);
    *s = (Scope){up, name, v};
    return s;
}

const Val *scope_find(const Scope *s, const char *name)
{
    for (; s; s = s->up)
        if (strcmp(s->name, name) == 0) return &s->val;
    return NULL;
}

const char *val_number(Arena *a, double f)
{
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, f);
        if (strtod(text, NULL) == f) break;
    }
    return arena_strdup(a, text);
}

const char *val_text(Arena *a, const Val *v)
{
    switch (v->kind) {
    case VAL_NOTHING:
        return "?";
    case VAL_INT:
        return arena_printf(a, "%lld", (long long)v->i);
    case VAL_FLOAT:
        return val_number(a, v->f);
    case VAL_BOOL:
        return v->i ? "true" : "false";
    case VAL_WORD:
        return yaml_show(a, v->s);
    case VAL_NONE:
        return "None";
    case VAL_INFER:
        return "_";
    case VAL_LIST:
        break;
    }
    const char *all = "(";
    for (int i = 0; i < v->list.n; i++) {
        if (i == 8) return arena_printf(a, "%s,...)", all);
        all = arena_printf(a, "%s%s%s", all, i ? "," : "", val_text(a, &v->list.v[i]));
    }
    return arena_printf(a, "%s)", all);
}

const char *val_kind(const Val *v)
{
    static const char *const names[] = {"nothing", "integer",  "number", "boolean",
                                        "string",  "no value", "`_`",    "list"};
    return names[v->kind];
}

static Val nothing(Loc loc)
{
    return (Val){.kind = VAL_NOTHING, .loc = loc};
}

static Val make_int(Loc loc, int64_t i)
{
    return (Val){.kind = VAL_INT, .i = i, .loc = loc};
}

static Val make_bool(Loc loc, bool b)
{
    return (Val){.kind = VAL_BOOL, .i = b, .loc = loc};
}

static bool is_number(const Val *v)
{
    return v->kind == VAL_INT || v->kind == VAL_FLOAT;
}

static double as_float(const Val *v)
{
    return v->kind == VAL_INT ? (double)v->i : v->f;
}

static Val unknown_name(Arena *a, const Term *t, const Scope *s)
{
    const char *names[MAX_SCOPE_NAMES + 1];
    int n = 0;
    for (; s && n < MAX_SCOPE_NAMES; s = s->up) names[n++] = s->name;
    names[n] = NULL;
    const char *near = diag_nearest(t->val.s, names);
    const char *shown = yaml_show(a, t->val.s);
    if (near)
        diag_error(t->loc, "S046", "unknown name '%s'; did you mean '%s'?", shown, near);
    else
        diag_error(t->loc, "S046", "unknown name '%s'", shown);
    if (!near) diag_help("names are declared in `params:`");
    return nothing(t->loc);
}

static Val wrong_operand(Arena *a, const Term *t, const Val *v, const char *wanted)
{
    diag_error(v->loc, "S014", "'%s' needs %s, got %s '%s'", t->op_text, wanted, val_kind(v),
               val_text(a, v));
    return nothing(t->loc);
}

static Val overflow(const Term *t)
{
    diag_error(t->loc, "S048", "the result does not fit in 64 bits");
    return nothing(t->loc);
}

static Val divide(const Term *t, int64_t x, int64_t y)
{
    if (y == 0) {
        diag_error(t->b->loc, "S047", "division by zero");
        return nothing(t->loc);
    }
    if (x == INT64_MIN && y == -1) return overflow(t);
    int64_t q = x / y, r = x % y;
    if (r != 0 && (r < 0) != (y < 0)) q--, r += y;
    return make_int(t->loc, t->op == OP_DIV ? q : r);
}

static Val int_op(const Term *t, int64_t x, int64_t y)
{
    int64_t r = 0;
    bool bad = false;
    switch (t->op) {
    case OP_ADD:
        bad = __builtin_add_overflow(x, y, &r);
        break;
    case OP_SUB:
        bad = __builtin_sub_overflow(x, y, &r);
        break;
    case OP_MUL:
        bad = __builtin_mul_overflow(x, y, &r);
        break;
    default:
        return divide(t, x, y);
    }
    return bad ? overflow(t) : make_int(t->loc, r);
}

static Val float_op(const Term *t, double x, double y)
{
    double r = 0;
    if ((t->op == OP_DIV || t->op == OP_MOD) && y == 0) return divide(t, 0, 0);
    switch (t->op) {
    case OP_ADD:
        r = x + y;
        break;
    case OP_SUB:
        r = x - y;
        break;
    case OP_MUL:
        r = x * y;
        break;
    case OP_DIV:
        r = floor(x / y);
        break;
    default:
        r = x - y * floor(x / y);
        break;
    }
    if (isfinite(r)) return (Val){.kind = VAL_FLOAT, .f = r, .loc = t->loc};
    diag_error(t->loc, "S048", "the result is not finite");
    return nothing(t->loc);
}

static bool equal(const Val *x, const Val *y)
{
    if (is_number(x) && is_number(y)) return as_float(x) == as_float(y);
    if (x->kind != y->kind) return false;
    if (x->kind == VAL_WORD) return strcmp(x->s, y->s) == 0;
    return x->i == y->i;
}

static bool compare(TermOp op, double x, double y)
{
    switch (op) {
    case OP_LT:
        return x < y;
    case OP_GT:
        return x > y;
    case OP_LE:
        return x <= y;
    default:
        return x >= y;
    }
}

static Val infix(Arena *a, const Term *t, const Val *x, const Val *y)
{
    if (t->op == OP_EQ || t->op == OP_NE) {
        const Val *list = x->kind == VAL_LIST ? x : y;
        if (list->kind == VAL_LIST) return wrong_operand(a, t, list, "single values");
        return make_bool(t->loc, equal(x, y) == (t->op == OP_EQ));
    }
    if (!is_number(x)) return wrong_operand(a, t, x, "numbers");
    if (!is_number(y)) return wrong_operand(a, t, y, "numbers");
    if (t->op >= OP_LT && t->op <= OP_GE)
        return make_bool(t->loc, x->kind == VAL_INT && y->kind == VAL_INT
                                     ? (t->op == OP_LT   ? x->i < y->i
                                        : t->op == OP_GT ? x->i > y->i
                                        : t->op == OP_LE ? x->i <= y->i
                                                         : x->i >= y->i)
                                     : compare(t->op, as_float(x), as_float(y)));
    if (x->kind == VAL_INT && y->kind == VAL_INT) return int_op(t, x->i, y->i);
    return float_op(t, as_float(x), as_float(y));
}

/* list[i], counted from 0 */
static Val item_of(Arena *a, const Term *t, const Val *x, const Val *y)
{
    if (x->kind != VAL_LIST) return wrong_operand(a, t, x, "a list");
    if (y->kind != VAL_INT) return wrong_operand(a, t, y, "an integer");
    if (y->i < 0 || y->i >= x->list.n) {
        diag_error(y->loc, "S049", "index %lld: the list has %d item%s, counted from 0",
                   (long long)y->i, x->list.n, x->list.n == 1 ? "" : "s");
        return nothing(t->loc);
    }
    Val v = x->list.v[y->i];
    v.loc = t->loc;
    return v;
}

static Val prefix(Arena *a, const Term *t, Val v)
{
    if (t->op == OP_NOT)
        return v.kind == VAL_BOOL ? make_bool(t->loc, !v.i) : wrong_operand(a, t, &v, "a boolean");
    if (!is_number(&v)) return wrong_operand(a, t, &v, "a number");
    if (t->op == OP_NEG && v.kind == VAL_INT) {
        if (v.i == INT64_MIN) return overflow(t);
        v.i = -v.i;
    } else if (t->op == OP_NEG) {
        v.f = -v.f;
    }
    v.loc = t->loc;
    return v;
}

static Val eval(Arena *a, const Term *t, const Scope *s, bool lone);

static Val eval_op(Arena *a, const Term *t, const Scope *s)
{
    Val x = eval(a, t->a, s, false);
    if (x.kind == VAL_NOTHING) return x;
    if (!t->b) return prefix(a, t, x);
    bool logic = t->op == OP_AND || t->op == OP_OR;
    if (logic && x.kind != VAL_BOOL) return wrong_operand(a, t, &x, "booleans");
    if (logic && (x.i != 0) == (t->op == OP_OR)) return make_bool(t->loc, x.i);
    Val y = eval(a, t->b, s, false);
    if (y.kind == VAL_NOTHING) return y;
    if (logic && y.kind != VAL_BOOL) return wrong_operand(a, t, &y, "booleans");
    if (logic) return make_bool(t->loc, y.i);
    if (t->op == OP_INDEX) return item_of(a, t, &x, &y);
    return infix(a, t, &x, &y);
}

static Val eval_if(Arena *a, const Term *t, const Scope *s)
{
    Val c = eval(a, t->b, s, false);
    if (c.kind == VAL_NOTHING) return c;
    if (c.kind != VAL_BOOL) {
        diag_error(c.loc, "S014", "the condition must be a boolean, got %s '%s'", val_kind(&c),
                   val_text(a, &c));
        return nothing(t->loc);
    }
    Val v = eval(a, c.i ? t->a : t->c, s, true);
    v.loc = t->loc;
    return v;
}

/* lone: a name that is in no scope is a word */
static Val eval(Arena *a, const Term *t, const Scope *s, bool lone)
{
    Val v = t->val;
    v.loc = t->loc;
    switch (t->kind) {
    case TERM_VALUE:
        return v;
    case TERM_NAME: {
        const Val *known = scope_find(s, t->val.s);
        if (known) {
            v = *known;
            v.loc = t->loc;
        } else if (lone) {
            v.kind = VAL_WORD;
        } else {
            v = unknown_name(a, t, s);
        }
        return v;
    }
    case TERM_OP:
        return eval_op(a, t, s);
    case TERM_IF:
        return eval_if(a, t, s);
    case TERM_LIST:
        break;
    }
    v = (Val){.kind = VAL_LIST, .loc = t->loc};
    for (int i = 0; i < t->list.n; i++) {
        Val item = eval(a, t->list.v[i], s, true);
        if (item.kind == VAL_NOTHING) return item;
        vec_push(a, &v.list, item);
    }
    return v;
}

Val expr_eval(Arena *a, const Term *t, const Scope *s)
{
    return t ? eval(a, t, s, true) : (Val){0};
}

Val expr_eval_yaml(Arena *a, const Yaml *y, const Scope *s)
{
    if (y->required) {
        diag_error(y->loc, "S014", "only an argument of a block can be !required");
        return nothing(y->loc);
    }
    if (yaml_is_null(y)) return (Val){.kind = VAL_NONE, .loc = y->loc};
    if (y->kind == Y_SCALAR) return expr_eval(a, expr_parse(a, y), s);
    Val v = {.kind = VAL_LIST, .loc = y->loc};
    for (int i = 0; y->kind == Y_LIST && i < y->item.n; i++) {
        Val item = expr_eval_yaml(a, y->item.v[i], s);
        if (item.kind == VAL_NOTHING) return item;
        vec_push(a, &v.list, item);
    }
    if (y->kind != Y_MAP) return v;
    diag_error(y->loc, "S014", "expected a value, got a mapping");
    return nothing(y->loc);
}
