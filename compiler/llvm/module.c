/* One LLVM module, from kernels or data to an object in memory.
 * In: Funcs and a machine. Out: the object, and its IR and assembly as text if wanted.
 * Rule: a short, explicit list of passes. The kernels are already shaped (vectors, unrolling, fused
 * multiply-add), so that neither the vectorisers nor the unroller may touch them; what is left is
 * registers for the allocations, common addresses, and invariants out of loops. */
#include "llvm/module.h"
#include "support/diag.h"
#include "llvm/emit.h"
#include <llvm-c/Analysis.h>
#include <llvm-c/DebugInfo.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <stdlib.h>
#include <string.h>

static const char passes[] =
    "function(sroa,early-cse<memssa>,instcombine<no-verify-fixpoint>,simplifycfg,"
    "early-cse<memssa>)";

LLVMTargetMachineRef machine_target(const Machine *m)
{
    LLVMTargetRef t;
    char *why = NULL;
    if (LLVMGetTargetFromTriple(m->triple, &t, &why)) fatal(EXIT_TOOL, "LLVM: %s", why);
    LLVMTargetMachineRef tm =
        LLVMCreateTargetMachine(t, m->triple, m->cpu, m->features, LLVMCodeGenLevelDefault,
                                LLVMRelocPIC, LLVMCodeModelDefault);
    if (!tm) fatal(EXIT_TOOL, "LLVM cannot compile for %s", m->name);
    LLVMSetTargetMachineAsmVerbosity(tm, 1);
    return tm;
}

static LLVMModuleRef new_module(LLVMTargetMachineRef tm, const Machine *m, const char *name,
                                bool names)
{
    LLVMContextRef ctx = LLVMContextCreate();
    LLVMContextSetDiscardValueNames(ctx, !names);
    LLVMModuleRef mod = LLVMModuleCreateWithNameInContext(name, ctx);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(tm);
    LLVMSetModuleDataLayout(mod, layout);
    LLVMSetTarget(mod, m->triple);
    LLVMDisposeTargetData(layout);
    return mod;
}

static void check(LLVMModuleRef mod, const char *when)
{
    char *why = NULL;
    if (LLVMVerifyModule(mod, LLVMReturnStatusAction, &why)) {
        char *text = LLVMPrintModuleToString(mod);
        bug_if(true, "invalid LLVM IR %s: %s\n%s", when, why, text);
    }
    LLVMDisposeMessage(why);
}

static void optimize(LLVMModuleRef mod, LLVMTargetMachineRef tm)
{
    check(mod, "as emitted");
    LLVMPassBuilderOptionsRef o = LLVMCreatePassBuilderOptions();
    LLVMErrorRef err = LLVMRunPasses(mod, passes, tm, o);
    if (err) fatal(EXIT_TOOL, "LLVM passes: %s", LLVMGetErrorMessage(err));
    LLVMDisposePassBuilderOptions(o);
    check(mod, "after the passes");
}

static LLVMMemoryBufferRef generate(LLVMModuleRef mod, LLVMTargetMachineRef tm,
                                    LLVMCodeGenFileType kind)
{
    char *why = NULL;
    LLVMMemoryBufferRef b = NULL;
    if (LLVMTargetMachineEmitToMemoryBuffer(tm, mod, kind, &why, &b))
        fatal(EXIT_TOOL, "LLVM: %s", why);
    return b;
}

static void finish(Unit *u, LLVMModuleRef mod, LLVMTargetMachineRef tm, const CodegenOptions *o)
{
    if (o && o->want_ir) {
        char *text = LLVMPrintModuleToString(mod);
        buf_puts(&u->ir, text);
        LLVMDisposeMessage(text);
    }
    if (o && o->want_asm) { /* generating code changes the module */
        LLVMModuleRef copy = LLVMCloneModule(mod);
        LLVMMemoryBufferRef b = generate(copy, tm, LLVMAssemblyFile);
        buf_write(&u->as, LLVMGetBufferStart(b), LLVMGetBufferSize(b));
        LLVMDisposeMemoryBuffer(b);
        LLVMDisposeModule(copy);
    }
    LLVMMemoryBufferRef b = generate(mod, tm, LLVMObjectFile);
    u->object.size = LLVMGetBufferSize(b);
    u->object.data = malloc(u->object.size);
    if (!u->object.data) fatal(EXIT_MEMORY, "out of memory");
    memcpy(u->object.data, LLVMGetBufferStart(b), u->object.size);
    LLVMDisposeMemoryBuffer(b);
    LLVMContextRef ctx = LLVMGetModuleContext(mod);
    LLVMDisposeModule(mod);
    LLVMContextDispose(ctx);
    LLVMDisposeTargetMachine(tm);
}

/* ---- line table: every instruction of a kernel stands on the line of its first layer ---- */

typedef struct Lines {
    LLVMDIBuilderRef b;
    LLVMMetadataRef file, type;
} Lines;

static void module_flag(LLVMModuleRef mod, const char *key, unsigned value)
{
    LLVMTypeRef i32 = LLVMInt32TypeInContext(LLVMGetModuleContext(mod));
    LLVMAddModuleFlag(mod, LLVMModuleFlagBehaviorWarning, key, strlen(key),
                      LLVMValueAsMetadata(LLVMConstInt(i32, value, 0)));
}

static Lines lines_begin(LLVMModuleRef mod, const char *source)
{
    Lines l = {.b = LLVMCreateDIBuilder(mod)};
    l.file = LLVMDIBuilderCreateFile(l.b, source, strlen(source), ".", 1);
    LLVMDIBuilderCreateCompileUnit(l.b, LLVMDWARFSourceLanguageC, l.file, "sinter", 6, 1, "", 0, 0,
                                   "", 0, LLVMDWARFEmissionLineTablesOnly, 0, 0, 0, "", 0, "", 0);
    l.type = LLVMDIBuilderCreateSubroutineType(l.b, l.file, NULL, 0, LLVMDIFlagZero);
    module_flag(mod, "Debug Info Version", LLVMDebugMetadataVersion());
    module_flag(mod, "Dwarf Version", 4);
    return l;
}

static LLVMMetadataRef lines_of(const Lines *l, const Func *f)
{
    if (!l->b || !f->line) return NULL;
    unsigned line = (unsigned)f->line;
    return LLVMDIBuilderCreateFunction(l->b, l->file, f->name, strlen(f->name), "", 0, l->file,
                                       line, l->type, 0, 1, line, LLVMDIFlagZero, 1);
}

void module_kernels(Unit *u, const Machine *m, const CodegenOptions *o)
{
    LLVMTargetMachineRef tm = machine_target(m);
    LLVMModuleRef mod = new_module(tm, m, u->f.v[0]->name, o->want_ir);
    Lines l = {0};
    if (o->source) l = lines_begin(mod, o->source);
    for (int i = 0; i < u->f.n; i++) emit_func(mod, lines_of(&l, u->f.v[i]), u->f.v[i], m);
    if (l.b) {
        LLVMDIBuilderFinalize(l.b);
        LLVMDisposeDIBuilder(l.b);
    }
    optimize(mod, tm);
    pin_addresses(mod);
    finish(u, mod, tm, o);
}

static void add_constant(LLVMModuleRef mod, const char *name, LLVMValueRef init)
{
    LLVMValueRef g = LLVMAddGlobal(mod, LLVMTypeOf(init), name);
    LLVMSetInitializer(g, init);
    LLVMSetGlobalConstant(g, 1);
    LLVMSetAlignment(g, 64);
}

void module_data(Unit *u, Func *const *f, int nfunc, const void *blob, size_t blob_size,
                 const Machine *m)
{
    LLVMTargetMachineRef tm = machine_target(m);
    LLVMModuleRef mod = new_module(tm, m, "data", true);
    LLVMContextRef ctx = LLVMGetModuleContext(mod);
    LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(ctx), NULL, 0, 0);
    LLVMValueRef *k = calloc((size_t)nfunc + 1, sizeof *k);
    if (!k) fatal(EXIT_MEMORY, "out of memory");
    for (int i = 0; i < nfunc; i++) {
        k[i] = LLVMGetNamedFunction(mod, f[i]->name);
        if (!k[i]) k[i] = LLVMAddFunction(mod, f[i]->name, type);
        LLVMSetVisibility(k[i], LLVMHiddenVisibility);
    }
    add_constant(mod, "rt_kernels",
                 LLVMConstArray2(LLVMPointerTypeInContext(ctx, 0), k, (uint64_t)nfunc));
    if (blob) add_constant(mod, "rt_model", LLVMConstStringInContext2(ctx, blob, blob_size, 1));
    free(k);
    check(mod, "of the data");
    finish(u, mod, tm, NULL);
}
