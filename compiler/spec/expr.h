/* The closed expression grammar of the language, and calls. Nothing is executed: names are
 * parameters, arguments and what is known of a module's input ("in.channels").
 *
 *   expr  = or ["if" or "else" expr]          or  = and {"or" and}        and = not {"and" not}
 *   not   = "not" not | cmp                   cmp = sum [("=="|"!="|"<"|">"|"<="|">=") sum]
 *   sum   = term {("+"|"-") term}             term = sign {("*"|"//"|"%") sign}
 *   sign  = ("-"|"+") sign | part             part = atom {"[" expr "]"}
 *   atom  = number | string | name | "_" | "(" list ")" | "[" list "]"
 *   call  = name "(" [arg {"," arg} [","]] ")"        arg = [name "="] expr */
#ifndef SPEC_EXPR_H
#define SPEC_EXPR_H
#include "spec/yaml_tree.h"
#include <stdbool.h>
#include <stdint.h>

typedef enum ValKind {
    VAL_NOTHING, /* an error that has been reported, or not known because of one: accepted silently
                  */
    VAL_INT,
    VAL_FLOAT,
    VAL_BOOL,
    VAL_WORD,  /* a string, or a lone name that is in no scope */
    VAL_NONE,  /* None, null, ~ */
    VAL_INFER, /* _ */
    VAL_LIST,
} ValKind;

typedef struct Val Val;
struct Val {
    ValKind kind;
    int64_t i; /* int, bool */
    double f;  /* float */
    const char *s;
    VEC(Val) list;
    Loc loc;
};

typedef struct Scope Scope;
struct Scope { /* a chain; the nearest name counts */
    const Scope *up;
    const char *name;
    Val val;
};
const Scope *scope_add(Arena *a, const Scope *up, const char *name, Val v);
const Val *scope_find(const Scope *s, const char *name); /* NULL: no such name */

typedef struct Term Term;
typedef struct CallArg {
    const char *key; /* NULL: by position */
    Loc key_loc;
    const Term *term;
} CallArg;
typedef struct Call {
    const char *name;
    Loc loc, name_loc;
    VEC(CallArg) arg;
} Call;

/* NULL after a diag_error. bare: a name without parentheses is a call without arguments. */
const Term *expr_parse(Arena *a, const Yaml *scalar);
const Call *expr_parse_call(Arena *a, const Yaml *scalar, bool bare);
bool expr_is_name(const char *s); /* [A-Za-z_][A-Za-z0-9_]*, not a word of the grammar */

Loc expr_loc(const Term *t);
Val expr_eval(Arena *a, const Term *t, const Scope *s);
Val expr_eval_yaml(Arena *a, const Yaml *y, const Scope *s); /* scalar, or list of scalars */
const char *val_text(Arena *a, const Val *v);                /* "(3,5)", "0.1", "true" */
const char *val_kind(const Val *v);                          /* "an integer" */
const char *val_number(Arena *a, double f); /* shortest text that reads back the same */
#endif
