/* Keeps one register per tile of memory.
 * In: optimized kernels, where the accesses of an unrolled tile are constant offsets from one
 * address. Out: the same, with that address frozen. Rule: LLVM's loop strength reduction rewrites
 * addresses by what it knows of them as functions of the loop variables; with dozens of offsets in
 * a deep nest it makes a pointer of each offset, in every loop, and spills them all. It does not
 * look through `freeze`, so that address + displacement survives. An address with few accesses is
 * left to it: there a pointer that steps is better than one that is computed. */
#include "llvm/module.h"
#include <llvm-c/Core.h>

enum { FEW = 4 };

static bool is_access(LLVMValueRef user, LLVMValueRef p)
{
    if (LLVMIsALoadInst(user)) return true;
    return LLVMIsAStoreInst(user) && LLVMGetOperand(user, 1) == p;
}

static bool is_offset(LLVMValueRef user, LLVMValueRef p)
{
    return LLVMIsAGetElementPtrInst(user) && LLVMGetOperand(user, 0) == p &&
           LLVMGetNumIndices(user) == 1 && LLVMIsAConstantInt(LLVMGetOperand(user, 1));
}

static int accesses(LLVMValueRef p)
{
    int n = 0;
    for (LLVMUseRef u = LLVMGetFirstUse(p); u; u = LLVMGetNextUse(u))
        n += is_access(LLVMGetUser(u), p);
    return n;
}

static int tile_accesses(LLVMValueRef p)
{
    int n = accesses(p);
    for (LLVMUseRef u = LLVMGetFirstUse(p); u; u = LLVMGetNextUse(u))
        if (is_offset(LLVMGetUser(u), p)) n += accesses(LLVMGetUser(u));
    return n;
}

/* Points the accesses of p, and its offsets, to the frozen address. */
static void pin(LLVMBuilderRef b, LLVMValueRef p)
{
    LLVMPositionBuilderBefore(b, LLVMGetNextInstruction(p));
    LLVMValueRef frozen = LLVMBuildFreeze(b, p, "");
    LLVMUseRef next;
    for (LLVMUseRef u = LLVMGetFirstUse(p); u; u = next) {
        LLVMValueRef user = LLVMGetUser(u);
        next = LLVMGetNextUse(u);
        if (is_access(user, p) || is_offset(user, p))
            LLVMSetOperand(user, LLVMIsAStoreInst(user) ? 1 : 0, frozen);
    }
}

static void pin_block(LLVMBuilderRef b, LLVMBasicBlockRef block)
{
    for (LLVMValueRef i = LLVMGetFirstInstruction(block); i; i = LLVMGetNextInstruction(i))
        if (LLVMIsAGetElementPtrInst(i) && !LLVMIsAConstantInt(LLVMGetOperand(i, 1)) &&
            tile_accesses(i) > FEW)
            pin(b, i);
}

void pin_addresses(LLVMModuleRef mod)
{
    LLVMBuilderRef b = LLVMCreateBuilderInContext(LLVMGetModuleContext(mod));
    for (LLVMValueRef f = LLVMGetFirstFunction(mod); f; f = LLVMGetNextFunction(f))
        for (LLVMBasicBlockRef k = LLVMGetFirstBasicBlock(f); k; k = LLVMGetNextBasicBlock(k))
            pin_block(b, k);
    LLVMDisposeBuilder(b);
}
