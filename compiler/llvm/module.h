/* What object.c needs of one module: a set of kernels, or the data. */
#ifndef LLVM_MODULE_H
#define LLVM_MODULE_H
#include "backend.h"
#include <llvm-c/TargetMachine.h>

typedef struct Unit { /* of compilation: one module, one object */
    VEC(const Func *) f;
    int64_t weight;
    Object object;
    Buf ir, as;
} Unit;

LLVMTargetMachineRef machine_target(const Machine *m); /* fatal() if LLVM cannot */
void pin_addresses(LLVMModuleRef mod);                 /* pin.c */
void module_kernels(Unit *u, const Machine *m, const CodegenOptions *o);
/* rt_kernels and rt_model. */
void module_data(Unit *u, Func *const *f, int nfunc, const void *blob, size_t blob_size,
                 const Machine *m);
#endif
