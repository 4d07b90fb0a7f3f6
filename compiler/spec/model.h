/* What model.c (layers and bodies) and blocks.c (from, if, repeat, blocks) share. Private to spec/.
 */
#ifndef SPEC_MODEL_H
#define SPEC_MODEL_H
#include "spec/spec.h"

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

typedef struct Build {
    Arena *arena;
    const Spec *spec;
    Graph *graph;
    const Scope *scope; /* params, input.*, training */
    VEC(Made) made;
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
const Yaml *blocks_find(const Build *b, const char *name); /* an entry of `blocks:` */
Node *blocks_use(Build *b, const Yaml *block, const Use *u, const char *path, const Flow *in);
/* The scope in which a module's arguments are read: in.channels, in.size. */
const Scope *blocks_scope(Build *b, const Scope *scope, const Flow *in);
#endif
