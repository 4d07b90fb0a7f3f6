/* A description that has been read and checked against the schema. Private to spec/.
 *
 * Identifiers of the errors; one stands for one sense, whatever the text says:
 *   S001 no such file       S016 real out of range        S040 YAML has cut a call at its comma
 *   S002 not a regular file S017 unknown layer, loss ...  S041 not supported by this version
 *   S003 empty              S018 version of the language  S042 --set: unknown name
 *   S004 YAML syntax        S019 name of an operator      S043 not a call, order of arguments
 *   S005 not UTF-8          S020 name is not legal        S044 loss and target do not fit
 *   S006 too large          S021 no such layer            S045 expression syntax
 *   S007 nested too deep    S022 cycle                    S046 unknown name
 *   S008 aliases expand     S023 output is not reached    S047 division by zero
 *   S009 alias unusable     S024 number of inputs         S048 overflow
 *   S010 second document    S025 too many arguments       H001 shape of the input
 *   S011 given twice        S030 too many layers          H007 classes against outputs
 *   S012 unknown key        S032 too many params          H010 tensor too large
 *   S013 missing key        S033 blocks too deep          N002 standard deviation of 0
 *   S014 wrong type, tag    S015 integer out of range     (other H: the operators' shape rules) */
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
