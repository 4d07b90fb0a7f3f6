/* What model.c (layers and bodies), blocks.c (from, if, repeat), uses.c (blocks and imports) and
 * loss.c share. Private to spec/. */
#ifndef SPEC_MODEL_H
#define SPEC_MODEL_H
#include "spec/unit.h"

enum { MAX_LAYERS = 4096, MAX_MODULES = 16384, MAX_INPUTS = 8, MAX_BLOCK_DEPTH = 64 };

/* A node that may be NULL: the flow behind a layer that had an error. The layers that follow are
 * still checked as far as they can be without shapes. */
typedef struct Flow {
    Node *in[MAX_INPUTS];
    int n;
} Flow;

typedef struct Made { /* a module that `from:` may name */
    const char *path;
    Node *node;
    Loc loc;
    bool layer;
} Made;

typedef struct Callee { /* what a use names */
    const Unit *unit;   /* NULL: an import that could not be read */
    const Yaml *block;  /* NULL: the unit's model */
    bool imported, block_missing;
} Callee;

typedef struct Build {
    Arena *arena;
    const Spec *spec;
    Graph *graph;
    const Unit *unit;      /* the file whose body is being built */
    const Scope *scope;    /* its params, input.*, training */
    const Scope *training; /* training alone */
    VEC(Made) made;
    VEC(const char *) skipped; /* paths of modules whose `if` is false */
    bool differs;              /* in training other modules are there */
    LayerList *list;           /* NULL: nobody asks for it */
    int64_t batch;
    int layers, modules, depth;
    bool stopped; /* a bound was passed */
} Build;

/* A body: modules in order. `from: in` is its input; other names are looked up here, then in `up`.
 */
typedef struct Frame Frame;
struct Frame {
    const Frame *up; /* NULL: the model itself, or a block's body */
    const char *path;
    Node *in;
    const Yaml *src;
};

/* model.c. -> the module's output, NULL after an error (of its own or of what it reads) */
Node *model_run(Build *b, const Yaml *y, const char *path, const Flow *in, const Frame *body,
                const Scope *scope);
Node *model_body(Build *b, const Yaml *y, const Frame *body, const Scope *scope);
const char *model_path(Build *b, const char *path, const char *name);
void model_made(Build *b, const char *path, Node *n, Loc loc, bool layer);
bool model_check_name(Build *b, const Yaml *key);

/* blocks.c */
bool blocks_is_directive(const Yaml *map); /* has do, from, if, repeat, use or until */
extern const char *const blocks_keys[];    /* from, if: also legal beside `type` */
/* The inputs that `from` names, or *in. false after an error. */
bool blocks_from(Build *b, const Yaml *map, const Flow *in, const Frame *body, Flow *out);
/* The value of `if`: 1, 0, or -1 when it is not known */
int blocks_if(Build *b, const Yaml *map, const Scope *scope);
/* index: the next number in a list of modules, or NULL when the module has a name of its own */
Node *blocks_directive(Build *b, const Yaml *map, const char *path, int *index, const Flow *in,
                       const Frame *body, const Scope *scope);
/* The scope in which a module's arguments are read: in.channels, in.size. */
const Scope *blocks_scope(Build *b, const Scope *scope, const Flow *in);
/* PREFIX.channels and PREFIX.size of a node. */
const Scope *blocks_shape_names(Arena *a, const Scope *scope, const Node *n, const char *prefix);
const Made *blocks_made(const Build *b, const char *path); /* the module of that path, or NULL */

/* uses.c */
bool uses_find(const Build *b, const char *name, Callee *c); /* false: neither block nor import */
Node *uses_call(Build *b, const Callee *c, const Use *u, const char *path, const Flow *in,
                const Yaml *until);
/* As `use:` names it: an error if it is neither. */
Node *uses_named(Build *b, const Use *u, const char *path, const Flow *in, const Yaml *until);

/* loss.c */
enum { MAX_OUTPUTS = 16 };
/* The module that a path names: NULL after an error, or (*skipped) where its `if` is false. */
Node *loss_module(const Build *b, const Yaml *y, const char *key, bool *skipped);
/* The sum of the losses on `out` or on the modules they name -> *loss, NULL if there is none here;
 * on[]: what they read. false after an error. */
bool loss_build(Build *b, Node *out, Node *input, Node **loss);
/* What the losses read, without them. -> count */
int loss_reads(const Build *b, Node *out, Node **on);
/* Adds the penalty of `train.l2` on the trained parameters. */
Node *loss_penalty(Build *b, Node *loss);
#endif
