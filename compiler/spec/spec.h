/* A description that has been read and checked against the schema. Private to spec/. */
#ifndef SPEC_SPEC_H
#define SPEC_SPEC_H
#include "spec/args.h"
#include "stages.h"

typedef enum Target { TARGET_LABEL, TARGET_INPUT } Target;

/* A loss or an optimizer, bound to its table of attributes. op NULL: the description has none. */
typedef struct Chosen {
    const OpDef *op;
    AttrVal attr[MAX_ATTR];
    unsigned given;
    Loc loc;
    const char *text; /* "Adam(lr=0.001)" */
} Chosen;

typedef struct Param {
    const char *name;
    Val val;
} Param;

struct Spec {
    Arena *arena;
    const char *file, *name;
    Yaml *root;
    VEC(Param) param;
    const Yaml *declared; /* params as written, before --set */
    const Scope *scope;   /* params, input.channels, input.size */
    Shape input;          /* without the batch */
    Loc input_loc;
    Target target;
    int64_t batch;
    int64_t classes; /* 0: not said */
    Loc classes_loc;
    Chosen loss, optimizer;
    VEC(Setting) option;
};

/* options.c: the blocks data, train, metrics -> s->option and the fields above */
void options_read(Spec *s);
const char *options_get(const Spec *s, const char *key); /* NULL: not set */
void options_add(Spec *s, const char *key, const char *value);

/* schema.c: the table of legal keys. */
typedef enum KeyKind {
    KEY_INT,
    KEY_FLOAT,
    KEY_BOOL,
    KEY_WORD,
    KEY_TEXT,
    KEY_OWN,
    KEY_BLOCK
} KeyKind;
typedef struct KeyDef {
    const char *block, *key; /* "train.early_stopping", "patience" */
    KeyKind kind;
    double min, max;
    const char *const *words;
    const char *def; /* option's value when the key is absent; NULL: none */
    const char *help;
} KeyDef;
extern const KeyDef schema_keys[];
const KeyDef *schema_find(const char *block, const char *key);
/* Unknown keys of a mapping are errors; false if it is no mapping. */
bool schema_check_keys(Arena *a, const Yaml *map, const char *block);
/* The text of a value of kind KEY_INT .. KEY_TEXT, checked; NULL after a diag_error. */
const char *schema_value(Arena *a, const KeyDef *d, const Yaml *y, const Scope *scope);
bool schema_name_ok(const char *s, bool dots); /* [A-Za-z_][A-Za-z0-9_]{0,63}; dots: also . and - */
/* Puts the values of --set into the tree; names of params are left to params_read. */
void schema_settings(Spec *s, const Setting *set, int nset);

/* params.c: params and input */
void params_read(Spec *s);
void input_read(Spec *s);
#endif
