/* An operator is one file and one line in ops.def. It says WHAT is computed: shape rule, gradient rule,
 * scalar body, reference. It never mentions a backend, a loop order, a layout, or another operator's file
 * (it may look operators up by name: op_find("Mul")).
 *
 * Exactly one of these tells how a node is executed:
 *   NEST_POINTWISE  .body       every output element from the elements of the inputs at the same place
 *                               (shape_broadcast rules)
 *   NEST_REDUCE     .reduce     a sum or maximum over some axes
 *   NEST_CONTRACT   .contract   sum over axes of A[..] * B[..], indices affine in the axes (convolution,
 *                               Linear, and their gradients)
 *   NEST_WINDOW     .window + .wstate/.winit/.wstep/.wdone      pooling: over the taps of a window
 *   NEST_WINDOW_T   .window + .wterm      its transpose: over the windows that hold an element
 *   NEST_RESAMPLE   .range + .weight     separable resampling of the plane (Upsample, padding, their gradients)
 *   NEST_GATHER     .gather              each element from computed places of the inputs (Concat, slices)
 *   NEST_COPY       .body = NULL: same elements in another shape (Reshape, Flatten)
 *   NEST_LEAF       Input, State, Scalar, Const, Assign, Pack: no code of their own
 *   NEST_EXPAND     .expand     a composition of smaller nodes, made by simplify after autodiff
 */
#ifndef OPS_OP_H
#define OPS_OP_H
#include "graph/graph.h"
#include "loop/loop.h"

typedef enum NestKind {
    NEST_LEAF, NEST_POINTWISE, NEST_REDUCE, NEST_CONTRACT, NEST_WINDOW, NEST_WINDOW_T,
    NEST_RESAMPLE,
    NEST_GATHER, NEST_COPY,
    NEST_EXPAND
} NestKind;

/* ---- attributes: the table drives the schema check, `sinter ops`, graph text and the docs ---- */
typedef enum AttrKind {
    ATTR_INT, ATTR_FLOAT, ATTR_BOOL, ATTR_PAIR /* (h, w) or one int for both */, ATTR_CHOICE,
    ATTR_FPAIR /* two floats: AttrVal f, f2 */, ATTR_SHAPE /* [2,3,7,5], or one int for rank 1 */,
    ATTR_QUAD /* four ints, or one for all */, ATTR_FLOATS /* [0.2,0.8] */,
    ATTR_NUMBERS /* of a transform: one number or a few, as counts and rules say */
} AttrKind;
typedef struct AttrDef {
    const char *name;          /* PyTorch's argument name, in PyTorch's order; NULL ends the table */
    AttrKind kind;
    bool required;             /* no default */
    double def;                /* default (pair: both; bool: 0 or 1); kind CHOICE: index into words */
    double min, max;           /* inclusive range; for floats also */
    const char *const *words;  /* CHOICE; ends with NULL */
    bool infer;                /* `_` is allowed */
    bool none;                 /* the default is None: not given, zeros in the AttrVal */
    bool by_other;             /* the default is another attribute's value (MaxPool2d: stride = kernel_size) */
    const char *other;         /* (0 in the AttrVal says the same: the rules take the other's value) */
    double def2;               /* FPAIR: default of the second */
    unsigned counts, rules;    /* NUMBERS: bits as in runtime/data/attr.h */
    const char *text;          /* NUMBERS: the default */
    bool hidden;               /* not part of the language: set by the layer or by a gradient rule */
} AttrDef;

/* ---- layers: what a YAML call makes. Most operators of the language need no function: one input, one node ---- */
typedef struct Layer {
    Graph *g;
    const OpDef *op;
    const char *path;       /* "layer1.0.conv1": prefix of the states' names */
    Node *in[8];            /* a loss: prediction, target; an optimizer: weights, gradients */
    int nin;
    AttrVal attr[MAX_ATTR]; /* defaults filled in; .infer where `_` was written */
    Loc loc;                /* of the call */
    bool frozen;            /* not trained: its running statistics do not move either */
} Layer;
State *layer_state(Layer *l, const char *suffix, StateKind kind, Shape shape, Init init);
Node *layer_read(Layer *l, State *s);                          /* op State */
Node *layer_node(Layer *l, const char *op, Node *a, Node *b);  /* no attributes; b may be NULL */
Node *layer_build(Layer *l); /* op->layer, or one node of the op; places and names set. NULL after an error */

/* ---- contraction ---- */
enum { CON_MAX_AXES = 8, CON_MAX_PHASES = 64 };
/* One tensor's index: along dim d it is off[d] + sum over axes a of coef[d][a] * a.
 * A may be read outside of [0, dim): zero there. B and Out never are. */
typedef struct ConIndex {
    Shape view;             /* the dims the index speaks of; equal element count and order as the node's shape */
    int64_t off[MAX_RANK];
    int64_t coef[MAX_RANK][CON_MAX_AXES];
} ConIndex;
typedef struct Contract {
    int naxes;
    struct { const char *name; int64_t extent; } axis[CON_MAX_AXES]; /* extent 0: the sum is empty, Out = 0 */
    ConIndex a, b, out;     /* a: in[0], b: in[1]. Every element of Out is reached exactly once over all phases. */
} Contract;

/* ---- windows ---- */
typedef struct Window {
    int64_t kernel[2], stride[2], pad[2], dilation[2];
    bool adaptive;          /* window i of n covers [floor(i*H/n), ceil((i+1)*H/n)); the rest is unused */
    bool count_pad;         /* AvgPool2d: padded places count in the divisor */
} Window;

/* ---- reductions ---- */
typedef enum ReduceKind { REDUCE_SUM, REDUCE_MAX } ReduceKind;
/* Output shapes by the axes that are reduced: all but 1 -> [C];  only 1 -> dim 1 becomes 1;
 * all -> scalar;  2 and 3 -> [N,C,1,1]. */
typedef struct Reduce {
    ReduceKind kind;
    unsigned axes;          /* bit a: axis a is reduced */
} Reduce;

/* ---- what a scalar body may ask for ---- */
typedef struct Body Body;
struct Body {
    LB *b;
    Expr *(*coord)(Body *c, int axis); /* i64: logical index along an axis of the node's output */
    Expr *(*linear)(Body *c);          /* i64: logical row-major index of the element */
    /* NEST_GATHER only: input k at logical indexes (i64; NULL: the output's own index along that axis). Every index
     * must be inside the input: SELECT computes both sides, so clamp first. */
    Expr *(*load)(Body *c, int k, Expr *const *index);
    /* NEST_GATHER only: input k at the output's own index, but `by` further along an axis, or where that is outside
     * of the input at its first or last place. Whole blocks move where `by` is a multiple of them. */
    Expr *(*shifted)(Body *c, int k, int axis, int64_t by);
    void *owner;                       /* the nest's own */
};

typedef struct Sample { /* one test case; the input texts: "f[2,3,7,5]" normal floats, "p[4]" floats in (0.1, 2),
                           "i10[8,1]" integers 0..9 (dtype i32), "u[4]" floats in (0.05, 0.95), "g[2,3]" floats on a
                           grid without ties */
    const char *in;         /* "f[2,3,7,5] f[4,3,3,3]" */
    const char *attrs;      /* "stride=(2,2) padding=(1,1)"; "" for defaults */
} Sample;

struct OpDef {
    const char *name;
    const char *doc;            /* one line for `sinter ops` */
    int nin;                    /* -1: any number */
    const AttrDef *attrs;       /* NULL: none */
    NestKind nest;
    enum { OP_INTERNAL, OP_LAYER, OP_LOSS, OP_OPTIMIZER, OP_ROOT } use;
    bool (*shape)(Node *n);     /* sets shape and dtype; false after a diag_error */
    Node *(*layer)(Layer *l);   /* NULL: one node of this op on in[0..nin) with the attributes */
    Node *(*expand)(Graph *g, const Node *n);
    /* On entry dx[i] is not NULL where a gradient is wanted; the rule sets dx[i], NULL: none flows there.
     * An operator with an expansion needs no rule: autodiff differentiates the expansion. */
    bool (*grad)(Graph *g, Node *n, Node *dy, Node **dx);
    Expr *(*body)(Body *c, const Node *n, Expr *const *in);
    Reduce (*reduce)(const Node *n);
    bool (*contract)(const Node *n, int phase, Contract *out); /* false: no such phase; phase 0 always is */
    Window (*window)(const Node *n); /* Conv2d has one, too: what a depthwise one reads of its channel */
    int wstate;                 /* scalars carried over the taps */
    void (*winit)(Body *c, const Node *n, Expr **state);
    /* value: the input at this tap; tap: its number (i32, row-major in the kernel); taps outside are skipped */
    void (*wstep)(Body *c, const Node *n, Expr **state, Expr *value, Expr *tap);
    Expr *(*wdone)(Body *c, const Node *n, Expr **state, Expr *count); /* count: f32, taps that counted */
    /* one (window, tap) pair: in[] are the inputs at the window */
    Expr *(*wterm)(Body *c, const Node *n, Expr *const *in, Expr *tap, Expr *count);
    /* RESAMPLE: y[n,c,i,j] = sum over p in [lo0, lo0+n0), q in [lo1, lo1+n1) of w0(i,p) * w1(j,q) * x[n,c,p,q].
     * dim: 0 rows, 1 columns; i, k: i64. range: lo inside of the input's plane, lo + count too; *count may be 0; a
     * constant count is unrolled. weight: f32. */
    void (*range)(Body *c, const Node *n, int dim, Expr *i, Expr **lo, Expr **count);
    Expr *(*weight)(Body *c, const Node *n, int dim, Expr *i, Expr *k);
    Expr *(*gather)(Body *c, const Node *n); /* uses c->load and c->coord */
    /* a GATHER that is its inputs, whole, side by side along dim 1: where input k begins. They may be written in place. */
    int64_t (*joins)(const Node *n, int k);
    /* unary gradients f(y, dy) with y the OUTPUT of the forward op, linear in dy, 0 at dy = 0 (ReLUGrad):
     * they commute with MaxPoolGrad */
    bool output_mask;
    bool light;                 /* elementwise: costs no more than the load of an operand */
    /* naive, in double, row-major logical arrays (integers as doubles); shares nothing with body.
     * n->in[i]->shape are the inputs' shapes, n->shape the output's. `scalars` by op Scalar's names. */
    void (*ref)(const Node *n, const double *const *in, double *out);
    const Sample *samples;      /* ends with in == NULL */
    struct { double fwd, grad; } tol; /* relative to max(1, |ref|) */
};

extern const OpDef *const op_table[]; /* ops.def, ends with NULL */

/* ---- short hands for rules ---- */
Node *g_op(Graph *g, const char *op, int nin, ...);  /* Node* inputs; attributes at their defaults; bug_if unknown */
Node *g_op_attr(Graph *g, const char *op, const AttrVal *attr, int nin, ...);
Node *g_const(Graph *g, double v);                   /* scalar */
Node *g_scalar(Graph *g, const char *name);          /* a run-time value: "lr", "seed", "step"... */
Node *g_sum(Graph *g, Node *x, unsigned axes);
int attr_index(const OpDef *op, const char *name);   /* bug_if unknown */
int64_t attr_int(const Node *n, const char *name);
double attr_float(const Node *n, const char *name);
const int64_t *attr_pair(const Node *n, const char *name);
bool attr_is(const Node *n, const char *name, const char *word);
bool op_is(const Node *n, const char *op);
/* The input that has n's own shape, if all others are vectors or scalars; else NULL. */
Node *op_only_tensor(const Node *n);
#endif
