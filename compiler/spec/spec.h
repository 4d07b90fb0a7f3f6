/* A description that has been read and checked against the schema. Private to spec/.
 *
 * Identifiers of the errors; one stands for one sense, whatever the text says:
 *   S001 no such file       S017 unknown layer, loss ...  S036 weights outside of training only
 *   S002 not a regular file S018 version of the language  S037 nothing is left to train
 *   S003 empty              S019 name is taken            S040 YAML has cut a call at its comma
 *   S004 YAML syntax        S020 name is not legal        S041 not supported by this version
 *   S005 not UTF-8          S021 no such layer            S042 --set: unknown name
 *   S006 too large          S022 cycle                    S043 not a call, order of arguments
 *   S007 nested too deep    S023 output is not reached    S044 loss and target do not fit
 *   S008 aliases expand     S024 number of inputs         S045 expression syntax
 *   S009 alias unusable     S025 too many arguments       S046 unknown name
 *   S010 second document    S030 too many layers          S047 division by zero
 *   S011 given twice        S031 too much memory          S048 overflow
 *   S012 unknown key        S032 too many params          S049 index of a list
 *   S013 missing key        S033 blocks too deep          H001 shape of the input
 *   S014 wrong type, tag    S034 import out of bounds     H007 classes against outputs
 *   S015 integer range      S035 too many imports         H010 tensor too large
 *   S016 real out of range  H012 input below its minimum  N002 standard deviation of 0
 *                                                         (other H: the operators' shape rules) */
#ifndef SPEC_SPEC_H
#define SPEC_SPEC_H
#include "spec/args.h"
#include "stages.h"

typedef enum Target { TARGET_LABEL, TARGET_INPUT, TARGET_MASK } Target;

/* A loss or an optimizer, bound to its table of attributes. op NULL: the description has none. */
typedef struct Chosen {
    const OpDef *op;
    AttrVal attr[MAX_ATTR];
    unsigned given;
    Loc loc;
    const char *text; /* "Adam(lr=0.001)" */
} Chosen;

/* One of the losses, which are added. */
typedef struct LossTerm {
    Chosen c;
    const Yaml *on; /* the module that it reads; NULL: the output */
    double weight;
} LossTerm;

/* train.l2: lambda * scale * sum of w^2 over the weights (of rank 2 and more), / over */
typedef enum L2Over { L2_NOTHING, L2_BATCH, L2_DATASET } L2Over;
typedef struct L2 {
    bool there;
    bool half;
    L2Over over;
    Loc loc;
} L2;

typedef struct Pattern { /* weights.freeze; a later one wins */
    const char *glob;
    bool except; /* "!fc" */
    Loc loc;
} Pattern;

typedef struct Unit Unit; /* unit.h */

typedef struct Param {
    const char *name;
    Val val;
} Param;

struct Spec {
    Arena *arena;
    const char *file, *name;
    Yaml *root;
    Unit *own;        /* the file itself */
    VEC(Unit *) unit; /* it and its imports */
    VEC(Param) param;
    const Yaml *declared; /* params as written, before --set */
    const Scope *scope;   /* params, input.channels, input.size */
    Shape input;          /* without the batch */
    Loc input_loc;
    Target target;
    int64_t batch;
    int64_t classes; /* 0: not said */
    Loc classes_loc;
    const char *mixes; /* data.transforms.batch: MixUp or CutMix, the first of them; NULL: none */
    Loc mixes_loc;
    VEC(LossTerm) loss;
    const char *loss_text;
    Chosen optimizer;
    double clip_norm; /* 0: none */
    bool accumulate, ema; /* gradients are summed over steps; weights are averaged */
    Precision precision;
    double loss_scale; /* of fp16; 0: dynamic */
    bool exact;       /* algorithm: exact */
    L2 l2;
    VEC(const Yaml *) output; /* `outputs:`, the first one is the main one; none: the last module */
    VEC(const Yaml *) feature; /* modules whose output somebody wants to look at, in evaluation */
    VEC(const Yaml *) reinit;
    VEC(Pattern) freeze;
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
bool schema_has_masks(const char *format); /* is a label of data.format a mask? */
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
bool params_check(Spec *s, const Yaml *params); /* their names */
void input_read(Spec *s);
/* `input: {min: 32}` against the height and width of a shape [.., H, W]; false after H012. */
bool params_input_min(const Spec *s, const Yaml *min, Shape shape, const char *who, Loc loc);

/* losses.c: train.loss, train.l2 */
void losses_read(Spec *s, const Yaml *train);
bool losses_has_labels(const OpDef *loss); /* it compares with class numbers */

/* train.c: the optimizer, the schedule of its learning rate, and what else bends the steps */
void train_read_optimizer(Spec *s, const Yaml *train);
bool options_choose(Spec *s, const Yaml *y, int op_use, Chosen *c);

/* precision.c: the key precision */
void precision_read(Spec *s);
/* scaling.c: loss scaling. begin: adds its states to a training graph. end: pack = the scaled gradients; the Assigns from
 * node `first` on keep the old value when one of them is not finite, and the scale moves on (scale NULL: there is none). */
void scaling_begin(const Spec *s, Graph *g);
void scaling_end(const Spec *s, Graph *g, Node *pack, Node *scale, int first);

Node *spec_old_value(Graph *g, State *s); /* before the step */

/* steps.c: accumulation and the average of the weights. begin -> what the optimizer takes for the gradients; end: after
 * the optimizer and scaling_end; total: what begin gave. */
Node *steps_begin(const Spec *s, Graph *g, const Node *weights, Node *gradients);
void steps_end(const Spec *s, Graph *g, const Node *weights, Node *total);

/* weights.c: the block weights */
void weights_read(Spec *s);
bool weights_frozen(const Spec *s, const char *path);
/* Sets `frozen` of the parameters and checks that every pattern and reinit names something. */
void weights_apply(const Spec *s, Graph *g);
#endif
