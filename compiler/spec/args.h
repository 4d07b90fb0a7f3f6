/* A use of something with arguments - layer, loss, optimizer, metric, transform - as a call string
 * or in long form, and its arguments held against a table of attributes. */
#ifndef SPEC_ARGS_H
#define SPEC_ARGS_H
#include "graph/graph.h"
#include "ops/op.h"
#include "spec/expr.h"

typedef struct Arg {
    const char *key; /* NULL: by position */
    Loc key_loc;
    Val val;
} Arg;

typedef struct Use {
    const char *name;
    Loc loc, name_loc; /* of the whole call; of its name */
    VEC(Arg) arg;
    const Scope *scope; /* of the arguments, for hints */
    bool failed;        /* an argument had an error, which is reported */
} Use;

/* Call string or {type: Name, key: value}; skip: keys of the long form that are not arguments, or
 * NULL. NULL after a diag_error. */
Use *use_read(Arena *a, const Yaml *y, const Scope *scope, bool bare, const char *const *skip);

/* Fills out[] with the values or the defaults. who: "Conv2d 'conv1'". given (or NULL): bit i is set
 * if attribute i was written. false if anything was wrong; all errors are reported. */
bool use_bind(Arena *a, const Use *u, const char *who, const AttrDef *defs, AttrVal *out,
              unsigned *given);

/* "Conv2d(in_channels, out_channels, kernel_size, stride=1)" */
const char *use_signature(Arena *a, const char *name, const AttrDef *defs);
/* The arguments that were given: required ones by position, others by name:
 * "RandomCrop(28,padding=2)". */
const char *use_text(Arena *a, const char *name, const AttrDef *defs, const AttrVal *v,
                     unsigned given, const char *comma);

/* An operator of the given use (OP_LAYER, OP_LOSS, OP_OPTIMIZER); NULL after "unknown layer '...'".
 */
const OpDef *use_op(Arena *a, const Use *u, int op_use);
#endif
