/* The loop IR: the whole contract of a backend.
 *
 * A Func is one kernel. Its arguments are buffers (element type, element count); its body is a Stmt
 * that may use the variable `task` (0 .. ntasks-1): tasks are independent and may run on any thread.
 * Semantics are scalar: a FOR of kind VECTOR means "for each lane, one after the other", and the verifier
 * makes sure that a backend may run the lanes at once. Expressions are pure and shared freely (a DAG).
 *
 *   FOR kinds   SERIAL  a loop;  UNROLL  constant extent, replicated;  VECTOR  constant extent, lanes.
 *   ALLOC scopes REGISTER  indexed only by constants, unrolled and vector variables: becomes registers;
 *                LOCAL     a small array on the task's stack (also for per-task scratch).
 *                Contents are undefined until stored to, each time the ALLOC is passed.
 *   VECTOR rules: body holds LET, STORE, SEQ and UNROLL loops only; the extent is at most the machine's
 *                lanes or a multiple (a backend splits: the whole body for the first lanes, then for the next);
 *                a STORE inside has lane coefficient 1 in its index; no lane touches what another lane stores.
 *                A register array is best read as it was written: at the same multiples of the same extent.
 *   Arguments    do not overlap unless neither is written: what is updated in place is one argument, not two.
 *   SELECT       computes both sides: a LOAD in either must be in bounds.
 *   PREFETCH     does nothing: an argument's element will be wanted soon, if its index is one at all.
 *   F16, BF16, TF32  are how a buffer's elements are stored, no more: a value of theirs is a LOAD or a CAST from f32,
 *                and goes into a STORE or a CAST to f32. Casts round to the nearest (loop/stored.h); NaN stays NaN,
 *                with no more said of its bits.
 */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H
#include "support/arena.h"
#include "support/buf.h"
#include "support/vec.h"
#include <stdbool.h>
#include <stdint.h>

typedef enum LType { LT_F32, LT_F64, LT_I32, LT_I64, LT_U8, LT_BOOL, LT_F16, LT_BF16, LT_TF32 } LType;

typedef enum BufScope { BUF_ARG, BUF_REGISTER, BUF_LOCAL } BufScope;
typedef struct LBuf {
    int id;            /* args first, in argument order; then allocations */
    const char *name;  /* a0, a1 ... r0, l0: never from a description */
    LType type;
    int64_t count;     /* elements; every access must lie in [0, count) */
    int64_t touched;   /* args: the most of them that are read, where that is known to be less; 0: all */
    BufScope scope;
    bool written;      /* args: some STORE goes here */
    int align;         /* bytes, of the base address (args: 64) */
} LBuf;

typedef struct LVar {
    int id;
    const char *name;
} LVar;

typedef enum ExprKind {
    E_CONST, E_VAR, E_LOAD, E_BIN, E_FMA, E_CMP, E_SELECT, E_CAST, E_CALL
} ExprKind;
typedef enum BinOp { /* min, max: if either operand is NaN the result is the second operand (x86 MINPS) */
    B_ADD, B_SUB, B_MUL, B_DIV, B_MOD, B_MIN, B_MAX, B_AND, B_OR, B_XOR, B_SHL, B_SHR /* logical */
} BinOp;
typedef enum CmpOp { C_EQ, C_NE, C_LT, C_LE, C_GT, C_GE } CmpOp; /* floats: ordered, but NE is unordered */
typedef enum CallFn { F_EXP, F_LOG, F_SQRT, F_TANH, F_ABS, F_FLOOR, F_ERF } CallFn; /* f32 -> f32 (sqrt, abs: f64 too) */

typedef struct Expr Expr;
struct Expr {
    ExprKind kind;
    LType type;
    int id;             /* 0 .. Func.nexprs-1: an expression belongs to one Func */
    union {
        double f;       /* CONST of f32, f64 */
        int64_t i;      /* CONST of the rest */
    } c;
    LVar *var;          /* VAR */
    LBuf *buf;          /* LOAD buf[x[0]] */
    int op;             /* BinOp, CmpOp, CallFn */
    Expr *x[3];         /* FMA: x0*x1+x2;  SELECT: x0 ? x1 : x2 */
};

typedef enum StmtKind { S_SEQ, S_FOR, S_IF, S_LET, S_STORE, S_PREFETCH, S_ALLOC } StmtKind;
typedef enum ForKind { FOR_SERIAL, FOR_UNROLL, FOR_VECTOR } ForKind;

typedef struct Stmt Stmt;
struct Stmt {
    StmtKind kind;
    VEC(Stmt *) seq;    /* SEQ; a LET or ALLOC is visible in the rest of its SEQ */
    ForKind fkind;      /* FOR var = 0 .. extent-1 */
    LVar *var;          /* FOR, LET */
    Expr *extent;       /* FOR; CONST unless SERIAL */
    Expr *x;            /* LET: value; STORE: value; IF: condition */
    Expr *index;        /* STORE, PREFETCH */
    LBuf *buf;          /* STORE, PREFETCH, ALLOC */
    Stmt *body, *other; /* FOR, IF */
};

/* The same kernel as a template that is specialised, for backends that have the template (templates/kernels/NAME.cu): what
 * the body says task by task, blocks of threads do on shared memory. The body stays the kernel's meaning. The only code
 * in a skeleton is `tail`, what becomes of sums: its task is one 16-column piece of the rows that belong together. */
typedef struct Func Func;
typedef struct Define {
    const char *name;
    int64_t value;
} Define;
typedef struct Skeleton {
    const char *name;
    VEC(Define) define;
    int a, b;              /* arguments that are the operands */
    int sums;              /* and the one that takes the sums over what the tiles hold; -1: none is asked for */
    Func *tail;            /* its arguments: the kernel's, then sums f32, places i32, tile i32, as the template says */
    unsigned grid[3], threads;
    int64_t shared;        /* bytes of a block */
} Skeleton;

struct Func {
    const char *name;      /* k07: never from a description */
    const char *comment;   /* "conv2+relu+pool" and place; printed escaped, never compiled */
    int nargs;
    VEC(LBuf *) buf;       /* all buffers, args first */
    int nvars, nexprs;
    LVar *task;            /* i64 */
    int64_t ntasks;
    Stmt *body;
    int line;              /* YAML line of the first layer, for DWARF; 0: none */
    const Skeleton *skeleton; /* NULL: there is only the body */
};

/* ---- building (loop/build.c). Builders fold constants and identities (x+0, x*1, x*0 for integers,
 * (x+c)+d, min/max of constants), so that index arithmetic stays small. ---- */
typedef struct LOpen {
    Stmt *stmt, *outer; /* an open FOR or IF, and the SEQ that holds it */
} LOpen;
typedef struct LB { /* a builder: where statements go */
    Arena *a;
    Func *f;
    Stmt *seq;          /* current SEQ */
    VEC(LOpen) open;
} LB;

Func *func_new(Arena *a, const char *name, const char *comment);
LB lb_begin(Arena *a, Func *f); /* positioned in f->body */
LBuf *lb_arg(LB *b, LType t, int64_t count); /* at any time; moves the ids of allocations */
LBuf *lb_alloc(LB *b, BufScope scope, LType t, int64_t count);

/* Loops: lb_for opens one and makes its body current; lb_end closes the innermost open FOR or IF.
 * The returned expression is the loop variable (i64). */
Expr *lb_for(LB *b, ForKind k, Expr *extent, const char *name);
Expr *lb_for_n(LB *b, ForKind k, int64_t extent, const char *name);
void lb_if(LB *b, Expr *cond);
void lb_else(LB *b);
void lb_end(LB *b);
Expr *lb_let(LB *b, Expr *x, const char *name); /* binds and returns the variable (constants are returned as they are) */
void lb_store(LB *b, LBuf *buf, Expr *index, Expr *x);
void lb_prefetch(LB *b, LBuf *buf, Expr *index); /* index may lie beyond the buffer */

Expr *x_task(LB *b); /* the variable f->task */
Expr *x_f32(LB *b, double v);
Expr *x_f64(LB *b, double v);
Expr *x_i64(LB *b, int64_t v);
Expr *x_i32(LB *b, int64_t v);
Expr *x_load(LB *b, LBuf *buf, Expr *index);
Expr *x_bin(LB *b, BinOp op, Expr *x, Expr *y);
Expr *x_add(LB *b, Expr *x, Expr *y);
Expr *x_sub(LB *b, Expr *x, Expr *y);
Expr *x_mul(LB *b, Expr *x, Expr *y);
Expr *x_div(LB *b, Expr *x, Expr *y); /* integers: both non-negative */
Expr *x_mod(LB *b, Expr *x, Expr *y);
Expr *x_muli(LB *b, Expr *x, int64_t k);
Expr *x_addi(LB *b, Expr *x, int64_t k);
Expr *x_divi(LB *b, Expr *x, int64_t k);
Expr *x_modi(LB *b, Expr *x, int64_t k);
Expr *x_fma(LB *b, Expr *x, Expr *y, Expr *z);
Expr *x_cmp(LB *b, CmpOp op, Expr *x, Expr *y);
Expr *x_select(LB *b, Expr *c, Expr *x, Expr *y);
Expr *x_cast(LB *b, LType t, Expr *x); /* float -> integer truncates; out of range is unspecified */
Expr *x_call(LB *b, CallFn fn, Expr *x);

int ltype_size(LType t);
bool ltype_is_stored(LType t); /* F16, BF16, TF32: loaded, stored, converted; computed in f32 */
const char *ltype_name(LType t);

/* loop/affine.c: index = c0 + sum coef[k] * var[k] + rest, where rest holds non-linear parts (div, mod). */
bool expr_coef(const Expr *x, const LVar *v, int64_t *coef); /* false: v occurs non-linearly */
bool expr_const(const Expr *x, int64_t *c);

/* loop/text.c, verify.c, interp.c */
void func_print(Buf *out, const Func *f); /* canonical: ids renumbered, so that equal kernels print equally
                                             (name and comment are printed on the first line only) */
void func_verify(const Func *f, const char *after); /* bug_if()s: scopes, types, VECTOR and REGISTER rules, and
                                             static bounds by interval arithmetic where they can be decided */
/* Runs tasks [begin, end) on the caller's buffers, checking every access. args[i] points to count elements. */
void func_interp(const Func *f, void *const *args, int64_t begin, int64_t end);
#endif
