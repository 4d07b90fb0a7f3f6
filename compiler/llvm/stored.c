/* Conversions between f32 and what is only stored, on scalars or vectors. In the code, a value of LT_F16 or LT_BF16 is an
 * i16, of LT_TF32 an i32.
 * Rule: the same bits as loop/stored.h, subnormals and ties included; no branch, no call.
 * F16 is one instruction where the machine has it (F16C, AVX-512F, Arm) and integer operations elsewhere. BF16 is
 * always integer operations: AVX512-BF16's VCVTNEPS2BF16 flushes subnormals to zero (Intel SDM, volume 2). */
#include "support/diag.h"
#include "llvm/emit.h"
#include <string.h>

typedef LLVMValueRef V;

static LLVMTypeRef bits16(Emit *e, V like)
{
    return emit_like(LLVMInt16TypeInContext(e->ctx), like);
}

static LLVMTypeRef bits32(Emit *e, V like)
{
    return emit_like(LLVMInt32TypeInContext(e->ctx), like);
}

static LLVMTypeRef floats(Emit *e, V like)
{
    return emit_like(LLVMFloatTypeInContext(e->ctx), like);
}

static V as_bits(Emit *e, V x)
{
    return LLVMBuildBitCast(e->b, x, bits32(e, x), "");
}

static V op(Emit *e, LLVMOpcode code, V x, int64_t k)
{
    return LLVMBuildBinOp(e->b, code, x, math_int(LLVMTypeOf(x), k), "");
}

static V choose(Emit *e, LLVMIntPredicate p, V x, int64_t k, V yes, V no)
{
    V c = LLVMBuildICmp(e->b, p, x, math_int(LLVMTypeOf(x), k), "");
    return LLVMBuildSelect(e->b, c, yes, no, "");
}

bool half_in_hardware(const Machine *m)
{
    if (!strncmp(m->triple, "aarch64", 7)) return true;
    return m->lanes >= 8 && (!m->features[0] || strstr(m->features, "+f16c"));
}

/* Exponent and fraction moved to their places are the number times 2^-112, subnormals included: a multiplication, which
 * is exact, puts that right. (F. Giesen, "half to float done quick", 2010.) */
static V widen_f16(Emit *e, V h)
{
    V u = LLVMBuildZExt(e->b, h, bits32(e, h), "");
    V sign = op(e, LLVMShl, op(e, LLVMAnd, u, 0x8000), 16), rest = op(e, LLVMAnd, u, 0x7fff);
    V x = LLVMBuildBitCast(e->b, op(e, LLVMShl, rest, 13), floats(e, h), "");
    V y = as_bits(e, LLVMBuildFMul(e->b, x, math_const(LLVMTypeOf(x), 0x1p112), ""));
    y = choose(e, LLVMIntUGE, rest, 0x7c00, op(e, LLVMOr, y, 0x7f800000), y); /* infinity, NaN */
    return LLVMBuildBitCast(e->b, LLVMBuildOr(e->b, y, sign, ""), floats(e, h), "");
}

/* Below 2^-14, adding 0.5 rounds at the subnormals' step, 2^-24; above, half a step less one, and one more if the
 * result is odd, carries where it must. (F. Giesen, "float->half variants", 2012.) */
static V narrow_f16(Emit *e, V x)
{
    V u = as_bits(e, x), a = op(e, LLVMAnd, u, 0x7fffffff), sign = op(e, LLVMLShr, u, 16);
    V small = LLVMBuildFAdd(e->b, LLVMBuildBitCast(e->b, a, LLVMTypeOf(x), ""), math_const(LLVMTypeOf(x), 0.5), "");
    small = op(e, LLVMSub, as_bits(e, small), 0x3f000000);
    V odd = op(e, LLVMAnd, op(e, LLVMLShr, a, 13), 1);
    V y = LLVMBuildAdd(e->b, op(e, LLVMAdd, a, 0xfff - (112 << 23)), odd, "");
    y = choose(e, LLVMIntULT, a, 0x38800000, small, op(e, LLVMLShr, y, 13));
    V top = choose(e, LLVMIntUGT, a, 0x7f800000, math_int(LLVMTypeOf(a), 0x7e00), math_int(LLVMTypeOf(a), 0x7c00));
    y = choose(e, LLVMIntUGE, a, 0x47800000, top, y);
    y = LLVMBuildOr(e->b, y, op(e, LLVMAnd, sign, 0x8000), "");
    return LLVMBuildTrunc(e->b, y, bits16(e, x), "");
}

static V widen_bf16(Emit *e, V h)
{
    V u = op(e, LLVMShl, LLVMBuildZExt(e->b, h, bits32(e, h), ""), 16);
    return LLVMBuildBitCast(e->b, u, floats(e, h), "");
}

static V narrow_bf16(Emit *e, V x)
{
    V u = as_bits(e, x), odd = op(e, LLVMAnd, op(e, LLVMLShr, u, 16), 1);
    V y = op(e, LLVMLShr, LLVMBuildAdd(e->b, op(e, LLVMAdd, u, 0x7fff), odd, ""), 16);
    V nan = op(e, LLVMOr, op(e, LLVMLShr, u, 16), 0x40);
    y = choose(e, LLVMIntUGT, op(e, LLVMAnd, u, 0x7fffffff), 0x7f800000, nan, y);
    return LLVMBuildTrunc(e->b, y, bits16(e, x), "");
}

static V narrow_tf32(Emit *e, V x)
{
    V u = as_bits(e, x), nan = op(e, LLVMOr, u, 0x400000);
    u = choose(e, LLVMIntUGT, op(e, LLVMAnd, u, 0x7fffffff), 0x7f800000, nan,
               op(e, LLVMAdd, u, 0x1000));
    return op(e, LLVMAnd, u, 0xffffe000);
}

V stored_to_float(Emit *e, LType from, V h)
{
    if (from == LT_TF32) return LLVMBuildBitCast(e->b, h, floats(e, h), "");
    if (from == LT_BF16) return widen_bf16(e, h);
    if (!half_in_hardware(e->m)) return widen_f16(e, h);
    LLVMTypeRef half = emit_like(LLVMHalfTypeInContext(e->ctx), h);
    return LLVMBuildFPExt(e->b, LLVMBuildBitCast(e->b, h, half, ""), floats(e, h), "");
}

V stored_from_float(Emit *e, LType to, V x)
{
    if (to == LT_TF32) return narrow_tf32(e, x);
    if (to == LT_BF16) return narrow_bf16(e, x);
    if (!half_in_hardware(e->m)) return narrow_f16(e, x);
    LLVMTypeRef half = emit_like(LLVMHalfTypeInContext(e->ctx), x);
    return LLVMBuildBitCast(e->b, LLVMBuildFPTrunc(e->b, x, half, ""), bits16(e, x), "");
}
