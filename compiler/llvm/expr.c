/* Expressions.
 * In: a pure expression and the values of its variables. Out: an LLVM value: a scalar if every lane
 * has the same value, otherwise a vector of the part of the VECTOR loop that is being written.
 * Rule: no flags that allow inexact results; fused multiply-add is written as such. i64 arithmetic
 * goes through the linear form (index.c), so that it stays scalar plus a constant vector. */
#include "support/diag.h"
#include "llvm/emit.h"

LLVMTypeRef emit_type(Emit *e, LType t)
{
    switch (t) {
    case LT_F32:
        return LLVMFloatTypeInContext(e->ctx);
    case LT_F64:
        return LLVMDoubleTypeInContext(e->ctx);
    case LT_I32:
    case LT_TF32:
        return LLVMInt32TypeInContext(e->ctx);
    case LT_I64:
        return LLVMInt64TypeInContext(e->ctx);
    case LT_U8:
        return LLVMInt8TypeInContext(e->ctx);
    case LT_BOOL:
        return LLVMInt1TypeInContext(e->ctx);
    case LT_F16:
    case LT_BF16:
        return LLVMInt16TypeInContext(e->ctx);
    }
    return NULL;
}

LLVMTypeRef emit_mem_type(Emit *e, LType t)
{
    return t == LT_BOOL ? LLVMInt8TypeInContext(e->ctx) : emit_type(e, t);
}

bool emit_is_vector(LLVMValueRef v)
{
    return LLVMGetTypeKind(LLVMTypeOf(v)) == LLVMVectorTypeKind;
}

LLVMTypeRef emit_like(LLVMTypeRef scalar, LLVMValueRef shape)
{
    return emit_is_vector(shape) ? LLVMVectorType(scalar, LLVMGetVectorSize(LLVMTypeOf(shape)))
                                 : scalar;
}

LLVMValueRef emit_splat(Emit *e, LLVMValueRef v)
{
    if (emit_is_vector(v)) return v;
    LLVMTypeRef i32 = LLVMInt32TypeInContext(e->ctx);
    unsigned n = (unsigned)e->width;
    LLVMValueRef undef = LLVMGetPoison(LLVMVectorType(LLVMTypeOf(v), n));
    v = LLVMBuildInsertElement(e->b, undef, v, LLVMConstInt(i32, 0, 0), "");
    return LLVMBuildShuffleVector(e->b, v, undef, LLVMConstNull(LLVMVectorType(i32, n)), "");
}

/* Makes both scalars or both vectors. */
static void unify(Emit *e, LLVMValueRef *x, LLVMValueRef *y)
{
    if (emit_is_vector(*x)) *y = emit_splat(e, *y);
    if (emit_is_vector(*y)) *x = emit_splat(e, *x);
}

static bool is_float(LType t)
{
    return t == LT_F32 || t == LT_F64;
}

static LLVMValueRef emit_const(Emit *e, const Expr *x)
{
    LLVMTypeRef t = emit_type(e, x->type);
    return is_float(x->type) ? LLVMConstReal(t, x->c.f) : LLVMConstInt(t, (uint64_t)x->c.i, 1);
}

/* x < y ? x : y is MINPS: the second operand if either is NaN. */
static LLVMValueRef float_minmax(Emit *e, int op, LLVMValueRef x, LLVMValueRef y)
{
    LLVMValueRef c = LLVMBuildFCmp(e->b, op == B_MIN ? LLVMRealOLT : LLVMRealOGT, x, y, "");
    return LLVMBuildSelect(e->b, c, x, y, "");
}

static LLVMValueRef float_bin(Emit *e, int op, LLVMValueRef x, LLVMValueRef y)
{
    switch (op) {
    case B_ADD:
        return LLVMBuildFAdd(e->b, x, y, "");
    case B_SUB:
        return LLVMBuildFSub(e->b, x, y, "");
    case B_MUL:
        return LLVMBuildFMul(e->b, x, y, "");
    case B_DIV:
        return LLVMBuildFDiv(e->b, x, y, "");
    default:
        return float_minmax(e, op, x, y);
    }
}

static LLVMValueRef int_minmax(Emit *e, LType t, int op, LLVMValueRef x, LLVMValueRef y)
{
    LLVMValueRef v[2] = {x, y};
    const char *sign = op == B_MIN ? "llvm.smin" : "llvm.smax",
               *none = op == B_MIN ? "llvm.umin" : "llvm.umax";
    return math_intrinsic(e, t == LT_U8 ? none : sign, v, 2);
}

static LLVMValueRef int_bin(Emit *e, LType t, int op, LLVMValueRef x, LLVMValueRef y)
{
    static const LLVMOpcode code[] = {
        [B_ADD] = LLVMAdd,  [B_SUB] = LLVMSub, [B_MUL] = LLVMMul, [B_DIV] = LLVMUDiv,
        [B_MOD] = LLVMURem, [B_AND] = LLVMAnd, [B_OR] = LLVMOr,   [B_XOR] = LLVMXor,
        [B_SHL] = LLVMShl,  [B_SHR] = LLVMLShr};
    if (op == B_MIN || op == B_MAX) return int_minmax(e, t, op, x, y);
    return LLVMBuildBinOp(e->b, code[op], x, y, "");
}

static LLVMValueRef emit_bin(Emit *e, const Expr *x)
{
    LLVMValueRef p = emit_expr(e, x->x[0]), q = emit_expr(e, x->x[1]);
    unify(e, &p, &q);
    return is_float(x->type) ? float_bin(e, x->op, p, q) : int_bin(e, x->type, x->op, p, q);
}

static LLVMValueRef emit_fma(Emit *e, const Expr *x)
{
    LLVMValueRef v[3];
    bool vector = false;
    for (int i = 0; i < 3; i++) vector |= emit_is_vector(v[i] = emit_expr(e, x->x[i]));
    for (int i = 0; vector && i < 3; i++) v[i] = emit_splat(e, v[i]);
    return math_fma(e, v[0], v[1], v[2]);
}

static LLVMValueRef emit_cmp(Emit *e, const Expr *x)
{
    static const LLVMRealPredicate real[] = {LLVMRealOEQ, LLVMRealUNE, LLVMRealOLT,
                                             LLVMRealOLE, LLVMRealOGT, LLVMRealOGE};
    static const LLVMIntPredicate sign[] = {LLVMIntEQ,  LLVMIntNE,  LLVMIntSLT,
                                            LLVMIntSLE, LLVMIntSGT, LLVMIntSGE};
    static const LLVMIntPredicate none[] = {LLVMIntEQ,  LLVMIntNE,  LLVMIntULT,
                                            LLVMIntULE, LLVMIntUGT, LLVMIntUGE};
    LType t = x->x[0]->type;
    LLVMValueRef p = emit_expr(e, x->x[0]), q = emit_expr(e, x->x[1]);
    unify(e, &p, &q);
    if (is_float(t)) return LLVMBuildFCmp(e->b, real[x->op], p, q, "");
    return LLVMBuildICmp(e->b, t == LT_U8 ? none[x->op] : sign[x->op], p, q, "");
}

static LLVMValueRef emit_select(Emit *e, const Expr *x)
{
    LLVMValueRef c = emit_expr(e, x->x[0]), p = emit_expr(e, x->x[1]), q = emit_expr(e, x->x[2]);
    unify(e, &p, &q);
    if (emit_is_vector(c)) {
        p = emit_splat(e, p);
        q = emit_splat(e, q);
    }
    return LLVMBuildSelect(e->b, c, p, q, "");
}

/* i64 -> i32 of c + lane*k + sum: the sum is cut as a scalar, the lanes are added in 32 bits. */
static LLVMValueRef narrow_linear(Emit *e, const Expr *x)
{
    Linear l;
    if (!linear_of(e, x, &l)) return NULL;
    int64_t step = l.lane;
    l.lane = 0;
    LLVMTypeRef i32 = LLVMInt32TypeInContext(e->ctx);
    LLVMValueRef v = LLVMBuildTrunc(e->b, linear_value(e, &l), i32, ""), lanes[64];
    if (!step) return v;
    for (int i = 0; i < e->width; i++) lanes[i] = LLVMConstInt(i32, (uint64_t)(i * step), 1);
    return LLVMBuildAdd(e->b, emit_splat(e, v), LLVMConstVector(lanes, (unsigned)e->width), "");
}

/* Floats become small integers by way of i32, which is what the hardware converts to. */
static LLVMValueRef float_to_int(Emit *e, LType to, LLVMValueRef v)
{
    LLVMTypeRef t = emit_like(emit_type(e, to), v);
    if (to != LT_U8) return LLVMBuildFPToSI(e->b, v, t, "");
    v = LLVMBuildFPToSI(e->b, v, emit_like(emit_type(e, LT_I32), v), "");
    return LLVMBuildTrunc(e->b, v, t, "");
}

static LLVMValueRef emit_cast(Emit *e, const Expr *x)
{
    LType from = x->x[0]->type, to = x->type;
    LLVMValueRef v = from == LT_I64 && to == LT_I32 ? narrow_linear(e, x->x[0]) : NULL;
    if (v) return v;
    v = emit_expr(e, x->x[0]);
    if (ltype_is_stored(to)) return stored_from_float(e, to, v);
    if (ltype_is_stored(from)) return stored_to_float(e, from, v);
    LLVMTypeRef t = emit_like(emit_type(e, to), v);
    bool is_unsigned = from == LT_U8 || from == LT_BOOL;
    if (is_float(from) && is_float(to)) return LLVMBuildFPCast(e->b, v, t, "");
    if (is_float(from)) return float_to_int(e, to, v);
    if (is_float(to))
        return is_unsigned ? LLVMBuildUIToFP(e->b, v, t, "") : LLVMBuildSIToFP(e->b, v, t, "");
    if (from == LT_BOOL || ltype_size(to) > ltype_size(from))
        return is_unsigned ? LLVMBuildZExt(e->b, v, t, "") : LLVMBuildSExt(e->b, v, t, "");
    return LLVMBuildTrunc(e->b, v, t, "");
}

static LLVMValueRef emit_var(Emit *e, const Expr *x)
{
    const Binding *v = &e->var[x->var->id];
    bug_if(!v->linear && !v->value, "%s: %s has no value here", e->f->name, x->var->name);
    return v->linear ? linear_value(e, &v->lin) : v->value;
}

static LLVMValueRef emit_new(Emit *e, const Expr *x)
{
    switch (x->kind) {
    case E_CONST:
        return emit_const(e, x);
    case E_VAR:
        return emit_var(e, x);
    case E_LOAD:
        return emit_load(e, x->buf, x->x[0]);
    case E_BIN:
        return emit_bin(e, x);
    case E_FMA:
        return emit_fma(e, x);
    case E_CMP:
        return emit_cmp(e, x);
    case E_SELECT:
        return emit_select(e, x);
    case E_CAST:
        return emit_cast(e, x);
    case E_CALL:
        return math_call(e, (CallFn)x->op, emit_expr(e, x->x[0]));
    }
    return NULL;
}

static LLVMValueRef remember(Emit *e, const Expr *x, LLVMValueRef v)
{
    e->memo[x->id] = (Memo){v, e->now, e->natoms++};
    return v;
}

LLVMValueRef emit_plain(Emit *e, const Expr *x, int *order)
{
    const Memo *m = &e->memo[x->id];
    if (m->when != e->now) remember(e, x, emit_new(e, x));
    *order = m->order;
    return m->value;
}

LLVMValueRef emit_expr(Emit *e, const Expr *x)
{
    Linear l;
    int order;
    if (e->memo[x->id].when == e->now) return e->memo[x->id].value;
    if (x->kind == E_BIN && x->type == LT_I64 && linear_bin(e, x, &l))
        return remember(e, x, linear_value(e, &l));
    return emit_plain(e, x, &order);
}
