/* Functions of one f32 variable, as straight-line code on scalars or vectors.
 * Rule: at most about 2 ulp, right at zeros, infinities, denormals and NaN; no branch and no call,
 * so that a loop stays vector code. Every bit trick works on integers (no conversion whose range
 * could be left).
 *
 * Sources. exp, log: argument reduction by n*ln2 in two parts, W. Cody and W. Waite, Software
 * Manual for the Elementary Functions, 1980. tanh: odd polynomial near 0, else 1 - 2/(exp(2x) + 1),
 * same book. erf: odd polynomial near 0, else 1 - exp(P(|x|)) where P approximates log(erfc). The
 * coefficients are minimax fits of relative error (Remez exchange, 40 digits), rounded to f32; the
 * intervals stand beside them. */
#include "support/diag.h"
#include "llvm/emit.h"
#include <string.h>

typedef LLVMValueRef V;

static LLVMTypeRef scalar_of(LLVMTypeRef t)
{
    return LLVMGetTypeKind(t) == LLVMVectorTypeKind ? LLVMGetElementType(t) : t;
}

static V splat_const(LLVMTypeRef t, V c)
{
    if (LLVMGetTypeKind(t) != LLVMVectorTypeKind) return c;
    V v[64];
    unsigned n = LLVMGetVectorSize(t);
    for (unsigned i = 0; i < n; i++) v[i] = c;
    return LLVMConstVector(v, n);
}

V math_const(LLVMTypeRef t, double v)
{
    return splat_const(t, LLVMConstReal(scalar_of(t), v));
}

V math_int(LLVMTypeRef t, int64_t v)
{
    return splat_const(t, LLVMConstInt(scalar_of(t), (uint64_t)v, 1));
}

V math_intrinsic(Emit *e, const char *name, V *x, unsigned n)
{
    LLVMTypeRef t = LLVMTypeOf(x[0]);
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    bug_if(id == 0, "no intrinsic %s", name);
    V fn = LLVMGetIntrinsicDeclaration(e->mod, id, &t, 1);
    return LLVMBuildCall2(e->b, LLVMIntrinsicGetType(e->ctx, id, &t, 1), fn, x, n, "");
}

V math_fma(Emit *e, V x, V y, V z)
{
    V v[3] = {x, y, z};
    return math_intrinsic(e, e->fma ? "llvm.fma" : "llvm.fmuladd", v, 3);
}

static V number(V like, double v)
{
    return math_const(LLVMTypeOf(like), v);
}

static V to_bits(Emit *e, V x)
{
    return LLVMBuildBitCast(e->b, x, emit_like(LLVMInt32TypeInContext(e->ctx), x), "");
}

static V from_bits(Emit *e, V x)
{
    return LLVMBuildBitCast(e->b, x, emit_like(LLVMFloatTypeInContext(e->ctx), x), "");
}

static V int_op(Emit *e, LLVMOpcode op, V x, int64_t k)
{
    return LLVMBuildBinOp(e->b, op, x, math_int(LLVMTypeOf(x), k), "");
}

/* Horner: c[0] + x*(c[1] + x*(...)). */
static V polynomial(Emit *e, V x, const float *c, int n)
{
    V p = number(x, c[n - 1]);
    for (int i = n - 2; i >= 0; i--) p = math_fma(e, p, x, number(x, c[i]));
    return p;
}

static V choose(Emit *e, LLVMRealPredicate p, V x, V y, V yes, V no)
{
    return LLVMBuildSelect(e->b, LLVMBuildFCmp(e->b, p, x, y, ""), yes, no, "");
}

/* NaN stays NaN. */
static V clamp(Emit *e, V x, double lo, double hi)
{
    x = choose(e, LLVMRealOGT, number(x, lo), x, number(x, lo), x);
    return choose(e, LLVMRealOLT, number(x, hi), x, number(x, hi), x);
}

static V absolute(Emit *e, V x)
{
    return math_intrinsic(e, "llvm.fabs", &x, 1);
}

static V copysign_of(Emit *e, V x, V sign)
{
    V v[2] = {x, sign};
    return math_intrinsic(e, "llvm.copysign", v, 2);
}

/* 2^n for integers n in -126 .. 127. */
static V power_of_two(Emit *e, V n)
{
    return from_bits(e, int_op(e, LLVMShl, int_op(e, LLVMAdd, n, 127), 23));
}

static const float ln2_high = 0x1.62e400p-1f,
                   ln2_low = 0x1.7f7d1cp-20f; /* high: 15 bits, so that n*high is exact */

/* exp(r + n*ln2) = 2^n * (1 + r + r^2 P(r)), |r| <= ln2/2. 1.5*2^23 + t rounds t to an integer in
 * the low bits; 2^n is applied in two halves, so that denormal and huge results come out right. */
static V math_exp(Emit *e, V x)
{
    static const float p[] = {0.49999994f, 0.166665152f, 0.041668456f, 0.00836941879f,
                              0.00138131483f};
    x = clamp(e, x, -104, 89);
    V big = number(x, 12582912);
    V t = math_fma(e, x, number(x, 1.44269504), big);
    V n = LLVMBuildFSub(e->b, t, big, "");
    V r = math_fma(e, n, number(x, -ln2_high), x);
    r = math_fma(e, n, number(x, -ln2_low), r);
    V r2 = LLVMBuildFMul(e->b, r, r, "");
    V y = math_fma(e, polynomial(e, r, p, 5), r2, r);
    y = LLVMBuildFAdd(e->b, y, number(x, 1), "");
    V i = int_op(e, LLVMSub, to_bits(e, t), 0x4b400000), half = int_op(e, LLVMAShr, i, 1);
    V rest = LLVMBuildSub(e->b, i, half, "");
    y = LLVMBuildFMul(e->b, y, power_of_two(e, half), "");
    return LLVMBuildFMul(e->b, y, power_of_two(e, rest), "");
}

/* log(2^k * (1 + f)) = k*ln2 + f - f^2/2 + f^3 P(f), sqrt(1/2) <= 1 + f < sqrt(2). */
static V math_log(Emit *e, V x)
{
    static const float p[] = {0.333333105f,  -0.250000089f, 0.200022161f,
                              -0.166681871f, 0.142175451f,  -0.124005407f,
                              0.118988737f,  -0.117131159f, 0.0676855892f};
    V tiny = LLVMBuildFCmp(e->b, LLVMRealOLT, x, number(x, 0x1p-126), "");
    V y = LLVMBuildSelect(e->b, tiny, LLVMBuildFMul(e->b, x, number(x, 0x1p23), ""), x, "");
    V bits = int_op(e, LLVMSub, to_bits(e, y), 0x3f3504f3); /* sqrt(1/2) */
    V k = LLVMBuildSIToFP(e->b, int_op(e, LLVMAShr, bits, 23), LLVMTypeOf(x), "");
    k = LLVMBuildFSub(e->b, k, LLVMBuildSelect(e->b, tiny, number(x, 23), number(x, 0), ""), "");
    V m = from_bits(e, int_op(e, LLVMAdd, int_op(e, LLVMAnd, bits, 0x7fffff), 0x3f3504f3));
    V f = LLVMBuildFSub(e->b, m, number(x, 1), ""), f2 = LLVMBuildFMul(e->b, f, f, "");
    V f3 = LLVMBuildFMul(e->b, f2, f, "");
    V low = math_fma(e, polynomial(e, f, p, 9), f3, LLVMBuildFMul(e->b, k, number(x, ln2_low), ""));
    V r = math_fma(e, f2, number(x, -0.5), low);
    r = LLVMBuildFAdd(e->b, r, f, "");
    r = math_fma(e, k, number(x, ln2_high), r);
    V zero = number(x, 0), inf = number(x, __builtin_inf());
    r = choose(e, LLVMRealOLT, x, inf, r, x); /* +inf and NaN */
    r = choose(e, LLVMRealOEQ, x, zero, number(x, -__builtin_inf()), r);
    return choose(e, LLVMRealOLT, x, zero, number(x, __builtin_nan("")), r);
}

/* x + x^3 P(x^2) for |x| < 0.625. */
static V math_tanh(Emit *e, V x)
{
    static const float p[] = {-0.333332807f, 0.133314416f, -0.0537397154f, 0.0206390843f,
                              -0.00570498453f};
    V x2 = LLVMBuildFMul(e->b, x, x, ""), x3 = LLVMBuildFMul(e->b, x2, x, "");
    V small = math_fma(e, polynomial(e, x2, p, 5), x3, x);
    V a = absolute(e, x), ex = math_exp(e, LLVMBuildFAdd(e->b, a, a, ""));
    V q = LLVMBuildFDiv(e->b, number(x, 2), LLVMBuildFAdd(e->b, ex, number(x, 1), ""), "");
    V large = LLVMBuildFSub(e->b, number(x, 1), q, "");
    return copysign_of(e, choose(e, LLVMRealOLT, a, number(x, 0.625), small, large), x);
}

/* x + x P(x^2) for |x| < 0.9; log(erfc(x)) = Q(x) on 0.9 .. 4; beyond 4 the result is 1. */
static V math_erf(Emit *e, V x)
{
    static const float p[] = {0.128379166f,   -0.376126349f,    0.112837151f,   -0.0268605091f,
                              0.00520385895f, -0.000817563676f, 8.51309378e-05f};
    static const float q[] = {-0.000166459824f, -1.12779725f,    -0.636976182f,  -0.104113579f,
                              0.0223151613f,    -0.00306547666f, 0.000198218157f};
    V x2 = LLVMBuildFMul(e->b, x, x, "");
    V small = math_fma(e, polynomial(e, x2, p, 7), x, x);
    V a = absolute(e, x), c = clamp(e, a, 0, 4);
    V rest = math_exp(e, polynomial(e, c, q, 7));
    V large = copysign_of(e, LLVMBuildFSub(e->b, number(x, 1), rest, ""), x);
    return choose(e, LLVMRealOLT, a, number(x, 0.9), small, large);
}

V math_call(Emit *e, CallFn fn, V x)
{
    switch (fn) {
    case F_EXP:
        return math_exp(e, x);
    case F_LOG:
        return math_log(e, x);
    case F_TANH:
        return math_tanh(e, x);
    case F_ERF:
        return math_erf(e, x);
    case F_SQRT:
        return math_intrinsic(e, "llvm.sqrt", &x, 1);
    case F_ABS:
        return absolute(e, x);
    case F_FLOOR:
        return math_intrinsic(e, "llvm.floor", &x, 1);
    }
    return NULL;
}
