/* The graph: SSA over logical tensors (NCHW as PyTorch sees them; layouts come later, as data).
 * One output per node. State (weights, running statistics, optimizer moments) is named tensors that
 * nodes read through op `State` and write through op `Assign`, which is a root.
 * Creation order is a topological order: an input always has a smaller id than its user. */
#ifndef GRAPH_GRAPH_H
#define GRAPH_GRAPH_H
#include "support/arena.h"
#include "support/buf.h"
#include "support/diag.h"
#include "support/vec.h"
#include <stdbool.h>
#include <stdint.h>

enum { MAX_RANK = 5, MAX_ATTR = 16 };

typedef enum DType { DT_F32, DT_I32, DT_U8 } DType;

/* How numbers are stored between kernels: a decision of the schedule (schedule_storage.c). Nodes stay DT_F32, and
 * kernels compute in f32. TF32: in 32 bits, on GPUs rounded to the 10
 * bits of fraction that matrix units multiply. */
typedef enum Precision { PRECISION_FP32, PRECISION_TF32, PRECISION_FP16, PRECISION_BF16 } Precision;

typedef struct Shape {
    int rank;              /* 0: a scalar */
    int64_t dim[MAX_RANK]; /* each >= 1 */
} Shape;

/* The value of one attribute. Which member counts is in the operator's attribute table. */
typedef struct AttrVal {
    int64_t i[MAX_RANK + 1]; /* int, bool: i[0]; int pair (h, w): i[0], i[1]; shape: rank, dims; quad: i[0..3] */
    double f, f2;            /* float: f; float pair: f, f2 */
    const double *list;      /* floats: nlist of them */
    int nlist;
    const char *s; /* choice: one of the table's words (interned there) */
    bool infer;    /* `_` was written: the shape rule fills it in */
    Loc loc;       /* of the argument; file NULL if it was left to its default */
} AttrVal;

typedef enum StateKind {
    STATE_PARAM,  /* trained by the optimizer, saved */
    STATE_BUFFER, /* running statistics and the like: saved, not trained */
    STATE_MOMENT, /* optimizer state */
} StateKind;

typedef enum InitKind { INIT_CONST, INIT_UNIFORM, INIT_NORMAL } InitKind;
typedef struct Init {
    InitKind kind;
    double a, b; /* const: a; uniform: [a, b); normal: mean a, standard deviation b */
} Init;

typedef struct State {
    const char *name; /* torch key, "layer1.0.conv1.weight" */
    StateKind kind;
    DType dtype;
    Shape shape; /* as PyTorch has it */
    Shape view;  /* same elements, the dims that the kernels index (Linear behind Flatten: [O,C,H,W]);
                    rank 0 means: same as shape */
    Init init;
    Loc loc;
    bool frozen;           /* not trained */
    bool keep_shape;       /* in some program more than contractions read it: no other view */
    struct State **part;   /* not NULL: a group, the parts laid end to end (shape = [sum of elements]) */
    int npart;
    int id;
} State;

typedef struct OpDef OpDef; /* ops/op.h */
typedef struct Node Node;
struct Node {
    int id; /* index in graph->node */
    const OpDef *op;
    Node **in;
    int nin;
    AttrVal attr[MAX_ATTR]; /* by the operator's attribute table */
    Shape shape;
    DType dtype;
    State *state;      /* ops State and Assign */
    const char *name;  /* module path: "layer1.0.conv1"; "" for helpers */
    Loc loc;           /* the layer's place in the YAML; gradient nodes inherit it */
    bool is_grad;      /* made by autodiff: said as "in the gradient of ..." */
    Node *fwd;         /* free for a pass's own notes */
};

typedef struct Output {
    const char *name;
    Node *node;
} Output;

typedef struct Graph {
    Arena *arena;
    bool training; /* layers were built in training mode */
    Precision precision;
    bool exact;    /* convolutions as the sums that define them: no algorithm that rounds otherwise */
    VEC(Node *) node;
    VEC(State *) state;
    VEC(Output) output; /* roots besides Assign: "output", "loss", ... */
    Loc cur_loc;        /* given to new nodes */
    const char *cur_name;
    bool cur_grad;
} Graph;

Graph *graph_new(Arena *a);
/* Appends a node; takes a copy of in[]; attr may be NULL (zeros). Calls the shape rule. NULL if the rule
 * reported an error. */
Node *graph_add(Graph *g, const OpDef *op, Node *const *in, int nin, const AttrVal *attr);
Node *graph_input(Graph *g, const char *name, DType t, Shape s);
Node *graph_scalar(Graph *g, const char *name);           /* op Scalar: a run-time value */
Node *graph_read(Graph *g, State *s);                     /* op State */
Node *graph_assign(Graph *g, State *s, Node *value);      /* op Assign: the state's value after the run */
State *graph_state(Graph *g, const char *name, StateKind kind, Shape shape, Init init);
State *graph_state_group(Graph *g, const char *name, StateKind kind, State *const *part, int npart);
State *graph_find_state(const Graph *g, const char *name);
void graph_output(Graph *g, const char *name, Node *n);
Node *graph_find_output(const Graph *g, const char *name);
void graph_replace(Graph *g, Node *from, Node *to); /* every use, outputs included */
void graph_sweep(Graph *g); /* drops nodes that reach no root; renumbers; restores topological order */
void graph_print(Buf *b, const Graph *g);
/* Reads what graph_print wrote; reports through diag; NULL on error. */
Graph *graph_parse(Arena *a, const char *file, const char *text);
/* bug_if()s unless: topological ids, inputs in the graph, shape rule gives the stored shape again. */
void graph_verify(const Graph *g, const char *after);

int64_t shape_count(Shape s);
bool shape_eq(Shape a, Shape b);
Shape shape_make(int rank, ...);                /* int64_t dims */
const char *shape_str(Arena *a, Shape s);       /* "[N,64,56,56]" style: "[8,64,56,56]" */
int dtype_size(DType t);
const char *dtype_name(DType t);
extern const char *const precision_names[]; /* by Precision: "fp32", ...; ends with NULL */
/* Broadcasting, one convention: equal shapes; or dim 1 against n; or rank 0 (scalar) against anything;
 * or rank 1 [C] against rank >= 2, along axis 1 (channels). false if they do not fit. */
bool shape_broadcast(Shape a, Shape b, Shape *out);

/* What the graph needs to know of operators; defined in ops/table.c. */
const OpDef *op_find(const char *name);
const char *op_name(const OpDef *op);
int op_inputs(const OpDef *op); /* -1: any number */
bool op_infer_shape(Node *n);
void op_default_attrs(const OpDef *op, AttrVal *attr);   /* attr[MAX_ATTR] */
bool op_attrs_eq(const Node *a, const Node *b);          /* the same op: equal values, whatever their places */
bool op_is_root(const OpDef *op);                        /* Assign */
void op_print_attrs(Buf *b, const Node *n);              /* " stride=(2,2) padding=(1,1)" */
bool op_parse_attr(Arena *a, Node *n, const char *key, const char *value);
#endif
