/* What the files of this folder share while they turn one Func into one LLVM function. */
#ifndef LLVM_EMIT_H
#define LLVM_EMIT_H
#include "backend.h"
#include <llvm-c/Core.h>

enum { MAX_TERMS = 8, MAX_POINTERS = 128, MAX_SCOPES = 64 };

/* An i64 value: c + lane * (lane number within the part) + sum coef[i] * atom[i]. Atoms are scalar
 * LLVM values, ordered as they were defined (outer loops first), so that partial sums are invariant
 * in inner loops. */
typedef struct Term {
    int64_t coef;
    LLVMValueRef atom;
    int order;
    int64_t max; /* 0 <= atom <= max; -1: unknown */
} Term;
typedef struct Linear {
    int64_t c, lane;
    int n;
    Term term[MAX_TERMS];
} Linear;

typedef struct Binding { /* of an LVar */
    bool linear;
    Linear lin;
    LLVMValueRef value; /* if not linear: a scalar or a vector of the current part */
} Binding;

typedef struct Pointer { /* address of buf[sum of the first n terms], without constant and lane */
    const LBuf *buf;
    Linear lin;
    int n, depth; /* depth: open scopes where it stands */
    LLVMValueRef value;
} Pointer;

typedef struct Scope {   /* an open loop or branch */
    LLVMValueRef before; /* the jump into it: what is invariant in it goes before that */
    int order;           /* atoms from here on are defined in it */
} Scope;

typedef struct Memo {
    LLVMValueRef value;
    int when, order; /* order: as an atom */
} Memo;

typedef struct Emit {
    LLVMContextRef ctx;
    LLVMModuleRef mod;
    LLVMBuilderRef b, entry,
        hoist; /* entry: before the terminator of the entry block; hoist: anywhere */
    const Machine *m;
    bool fma; /* the machine has fused multiply-add */
    const Func *f;
    LLVMValueRef fn;
    LLVMValueRef *base;            /* by LBuf.id */
    LLVMValueRef *scope, *noalias; /* metadata by argument, or NULL */
    unsigned md_scope, md_noalias;
    Binding *var;     /* by LVar.id */
    int width, lane0; /* the part of a VECTOR loop that is being written; 0: none */
    Memo *memo;       /* by Expr.id, valid where when == now: one statement of one part */
    int now, natoms;
    Pointer pointer[MAX_POINTERS]; /* known at this place of the code */
    int npointers;
    Scope scopes[MAX_SCOPES];
    int nscopes;
} Emit;

/* emit.c */
void emit_func(LLVMModuleRef mod, LLVMMetadataRef subprogram, const Func *f, const Machine *m);

/* index.c */
void linear_atom(Linear *l, LLVMValueRef v, int order, int64_t max); /* l = v, a scalar */
bool linear_bin(Emit *e, const Expr *x,
                Linear *l); /* the same for an E_BIN, looking no further than its operands */
bool linear_of(Emit *e, const Expr *x, Linear *l);   /* false: differs by lane, not linearly */
LLVMValueRef linear_value(Emit *e, const Linear *l); /* i64, or <width x i64> if l->lane */
void scope_open(Emit *e, LLVMValueRef before);
void scope_close(Emit *e);
LLVMValueRef emit_load(Emit *e, const LBuf *u, const Expr *index);
void emit_store(Emit *e, const LBuf *u, const Expr *index, LLVMValueRef v);
void emit_prefetch(Emit *e, const LBuf *u, const Expr *index); /* into L2 */

/* expr.c */
LLVMValueRef emit_expr(Emit *e,
                       const Expr *x); /* a scalar, or a vector of the part if lanes differ */
LLVMValueRef emit_plain(Emit *e, const Expr *x,
                        int *order);              /* the same, not by way of the linear form */
LLVMValueRef emit_splat(Emit *e, LLVMValueRef v); /* to the part's width, unless it is a vector */
LLVMTypeRef emit_type(Emit *e, LType t);
LLVMTypeRef emit_mem_type(Emit *e, LType t); /* bool is a byte in memory */
LLVMTypeRef emit_like(LLVMTypeRef scalar,
                      LLVMValueRef shape); /* scalar, or a vector as wide as shape */
bool emit_is_vector(LLVMValueRef v);

/* stored.c: an integer that holds a F16, BF16 or TF32 <-> f32, scalars or vectors */
bool half_in_hardware(const Machine *m);
LLVMValueRef stored_to_float(Emit *e, LType from, LLVMValueRef h);
LLVMValueRef stored_from_float(Emit *e, LType to, LLVMValueRef x);

/* math.c: f32 scalars or vectors */
LLVMValueRef math_call(Emit *e, CallFn fn, LLVMValueRef x);
LLVMValueRef math_intrinsic(Emit *e, const char *name, LLVMValueRef *x, unsigned n);
LLVMValueRef math_fma(Emit *e, LLVMValueRef x, LLVMValueRef y, LLVMValueRef z);
LLVMValueRef math_const(LLVMTypeRef t, double v); /* of a float type or vector of floats */
LLVMValueRef math_int(LLVMTypeRef t, int64_t v);
#endif
