/* Statements: one Func becomes one LLVM function
 *     void NAME(ptr args, i64 begin, i64 end)
 * In: verified loop IR. Out: a loop over the tasks around the body.
 * Rules: loops with a known extent are entered without a test; unrolled variables are constants; a
 * VECTOR loop is written once per part of at most the machine's lanes, its whole body for part 0,
 * then for part 1, ...; every argument has an alias scope of its own, since arguments do not
 * overlap; allocations are slots in the entry block, which SROA turns into registers. Not here:
 * expressions (expr.c), addresses (index.c), functions like exp (math.c). */
#include "llvm/emit.h"
#include "support/diag.h"
#include <llvm-c/DebugInfo.h>
#include <stdio.h>
#include <string.h>

static LLVMTypeRef i64_type(Emit *e)
{
    return LLVMInt64TypeInContext(e->ctx);
}

static LLVMValueRef i64_const(Emit *e, int64_t v)
{
    return LLVMConstInt(i64_type(e), (uint64_t)v, 1);
}

static void emit_stmt(Emit *e, const Stmt *s);

static void bind_const(Emit *e, const LVar *v, int64_t c)
{
    e->var[v->id] = (Binding){.linear = true, .lin = {.c = c}};
}

static LLVMBasicBlockRef new_block(Emit *e)
{
    return LLVMAppendBasicBlockInContext(e->ctx, e->fn, "");
}

typedef struct Trip { /* first .. last-1, at most max */
    LLVMValueRef first, last;
    int64_t max;
} Trip;

/* The caller knows that first < last. */
static void rotated_loop(Emit *e, const LVar *v, Trip t, const Stmt *body)
{
    LLVMBasicBlockRef before = LLVMGetInsertBlock(e->b), head = new_block(e);
    scope_open(e, LLVMBuildBr(e->b, head));
    LLVMPositionBuilderAtEnd(e->b, head);
    LLVMValueRef phi = LLVMBuildPhi(e->b, i64_type(e), v->name);
    e->var[v->id].linear = true;
    linear_atom(&e->var[v->id].lin, phi, e->natoms++, t.max);
    emit_stmt(e, body);
    LLVMValueRef next = LLVMBuildNSWAdd(e->b, phi, i64_const(e, 1), "");
    LLVMValueRef done = LLVMBuildICmp(e->b, LLVMIntEQ, next, t.last, "");
    LLVMBasicBlockRef latch = LLVMGetInsertBlock(e->b), after = new_block(e);
    LLVMBuildCondBr(e->b, done, after, head);
    LLVMAddIncoming(phi, (LLVMValueRef[]){t.first, next}, (LLVMBasicBlockRef[]){before, latch}, 2);
    LLVMPositionBuilderAtEnd(e->b, after);
    scope_close(e);
}

static void guarded_loop(Emit *e, const LVar *v, Trip t, const Stmt *body)
{
    LLVMBasicBlockRef enter = new_block(e), after = new_block(e);
    LLVMValueRef any = LLVMBuildICmp(e->b, LLVMIntSLT, t.first, t.last, "");
    scope_open(e, LLVMBuildCondBr(e->b, any, enter, after));
    LLVMPositionBuilderAtEnd(e->b, enter);
    rotated_loop(e, v, t, body);
    LLVMBuildBr(e->b, after);
    LLVMPositionBuilderAtEnd(e->b, after);
    scope_close(e);
}

static void serial(Emit *e, const Stmt *s)
{
    Linear n;
    linear_of(e, s->extent, &n);
    LLVMValueRef zero = i64_const(e, 0);
    if (n.n) {
        guarded_loop(e, s->var, (Trip){zero, linear_value(e, &n), -1}, s->body);
    } else if (n.c == 1) {
        bind_const(e, s->var, 0);
        emit_stmt(e, s->body);
    } else if (n.c > 1) {
        rotated_loop(e, s->var, (Trip){zero, i64_const(e, n.c), n.c - 1}, s->body);
    }
}

/* Stores to registers only, and is itself unrolled: one step of a tile's sum. */
static bool is_step(const Stmt *s, bool inner)
{
    if (!s) return true;
    if (s->kind == S_STORE) return inner && s->buf->scope == BUF_REGISTER;
    if (s->kind == S_FOR && s->fkind == FOR_SERIAL) return false;
    inner |= s->kind == S_FOR;
    for (int i = 0; i < s->seq.n; i++)
        if (!is_step(s->seq.v[i], inner)) return false;
    return is_step(s->body, inner) && is_step(s->other, inner);
}

/* Loads of one step of a sum do not move into another, and are not shared between steps: they would
 * hold registers that the accumulators need. The fence is for the compiler alone, it is no
 * instruction. */
static void unrolled(Emit *e, const Stmt *s)
{
    bool steps = is_step(s->body, false);
    for (int64_t i = 0; i < s->extent->c.i; i++) {
        if (steps && i) LLVMBuildFence(e->b, LLVMAtomicOrderingAcquireRelease, 1, "");
        bind_const(e, s->var, i);
        emit_stmt(e, s->body);
    }
}

/* Parts of `lanes`, then of smaller powers of two; a part of one lane is scalar code. */
static void vector(Emit *e, const Stmt *s)
{
    bug_if(e->width, "%s: nested vector loops", e->f->name);
    int64_t extent = s->extent->c.i;
    int width = e->m->lanes;
    for (int64_t at = 0; at < extent; at += width) {
        while (width > extent - at) width /= 2;
        bind_const(e, s->var, at);
        e->var[s->var->id].lin.lane = width > 1;
        e->width = width > 1 ? width : 0;
        emit_stmt(e, s->body);
    }
    e->width = 0;
}

static void arm(Emit *e, LLVMValueRef jump, LLVMBasicBlockRef at, LLVMBasicBlockRef after,
                const Stmt *s)
{
    scope_open(e, jump);
    LLVMPositionBuilderAtEnd(e->b, at);
    emit_stmt(e, s);
    LLVMBuildBr(e->b, after);
    scope_close(e);
}

static void branch(Emit *e, const Stmt *s)
{
    LLVMValueRef c = emit_expr(e, s->x);
    if (LLVMIsAConstantInt(c)) { /* in unrolled code */
        const Stmt *taken = LLVMConstIntGetZExtValue(c) ? s->body : s->other;
        if (taken) emit_stmt(e, taken);
        return;
    }
    LLVMBasicBlockRef yes = new_block(e), no = s->other ? new_block(e) : NULL, after = new_block(e);
    LLVMValueRef jump = LLVMBuildCondBr(e->b, c, yes, no ? no : after);
    arm(e, jump, yes, after, s->body);
    if (no) arm(e, jump, no, after, s->other);
    LLVMPositionBuilderAtEnd(e->b, after);
}

static void let(Emit *e, const Stmt *s)
{
    Binding *v = &e->var[s->var->id];
    v->linear = s->x->type == LT_I64 && linear_of(e, s->x, &v->lin);
    v->value = v->linear ? NULL : emit_expr(e, s->x);
}

static void alloc(Emit *e, const LBuf *u)
{
    if (e->base[u->id]) return; /* the same slot in every copy of an unrolled body */
    LLVMTypeRef t = LLVMArrayType2(emit_mem_type(e, u->type), (uint64_t)u->count);
    e->base[u->id] = LLVMBuildAlloca(e->entry, t, u->name);
    LLVMSetAlignment(e->base[u->id], (unsigned)u->align);
}

static void emit_stmt(Emit *e, const Stmt *s)
{
    e->now++;
    switch (s->kind) {
    case S_SEQ:
        for (int i = 0; i < s->seq.n; i++) emit_stmt(e, s->seq.v[i]);
        break;
    case S_FOR:
        if (s->fkind == FOR_SERIAL)
            serial(e, s);
        else if (s->fkind == FOR_UNROLL)
            unrolled(e, s);
        else
            vector(e, s);
        break;
    case S_IF:
        branch(e, s);
        break;
    case S_LET:
        let(e, s);
        break;
    case S_STORE:
        emit_store(e, s->buf, s->index, emit_expr(e, s->x));
        break;
    case S_PREFETCH:
        emit_prefetch(e, s->buf, s->index);
        break;
    case S_ALLOC:
        alloc(e, s->buf);
        break;
    }
}

/* ---- the function around the statements ---- */

static void attribute(Emit *e, const char *key, const char *value)
{
    LLVMAttributeRef a = LLVMCreateStringAttribute(e->ctx, key, (unsigned)strlen(key), value,
                                                   (unsigned)strlen(value));
    LLVMAddAttributeAtIndex(e->fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, a);
}

static void enum_attribute(Emit *e, LLVMAttributeIndex at, const char *name)
{
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
    LLVMAddAttributeAtIndex(e->fn, at, LLVMCreateEnumAttribute(e->ctx, kind, 0));
}

static void declare(Emit *e)
{
    LLVMTypeRef ptr = LLVMPointerTypeInContext(e->ctx, 0);
    LLVMTypeRef param[3] = {ptr, i64_type(e), i64_type(e)};
    LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(e->ctx), param, 3, 0);
    e->fn = LLVMAddFunction(e->mod, e->f->name, type);
    LLVMSetVisibility(e->fn, LLVMHiddenVisibility);
    LLVMAttributeIndex function = (LLVMAttributeIndex)LLVMAttributeFunctionIndex;
    enum_attribute(e, function, "nounwind");
    enum_attribute(e, 1, "noalias");
    enum_attribute(e, 1, "readonly");
    enum_attribute(e, 1, "nocapture");
    attribute(e, "target-cpu", e->m->cpu);
    if (e->m->features[0]) attribute(e, "target-features", e->m->features);
    char bits[8];
    snprintf(bits, sizeof bits, "%d", e->m->lanes * 32);
    attribute(e, "prefer-vector-width", bits); /* without it LLVM may cut 512-bit vectors in two */
    attribute(e, "min-legal-vector-width", bits);
}

static LLVMMetadataRef string_node(Emit *e, const char *s)
{
    return LLVMMDStringInContext2(e->ctx, s, strlen(s));
}

/* !alias.scope and !noalias of each argument: it overlaps none of the others. */
static void alias_scopes(Emit *e, Arena *a)
{
    int n = e->f->nargs;
    if (n < 2) return;
    LLVMMetadataRef *one = NEWN(a, LLVMMetadataRef, n), *rest = NEWN(a, LLVMMetadataRef, n);
    LLVMMetadataRef name = string_node(e, e->f->name);
    LLVMMetadataRef domain = LLVMMDNodeInContext2(e->ctx, &name, 1);
    e->scope = NEWN(a, LLVMValueRef, n);
    e->noalias = NEWN(a, LLVMValueRef, n);
    for (int i = 0; i < n; i++) {
        LLVMMetadataRef pair[2] = {string_node(e, arena_printf(a, "%s.a%d", e->f->name, i)),
                                   domain};
        one[i] = LLVMMDNodeInContext2(e->ctx, pair, 2);
        e->scope[i] = LLVMMetadataAsValue(e->ctx, LLVMMDNodeInContext2(e->ctx, &one[i], 1));
    }
    for (int i = 0; i < n; i++) {
        size_t k = 0;
        for (int j = 0; j < n; j++)
            if (j != i) rest[k++] = one[j];
        e->noalias[i] = LLVMMetadataAsValue(e->ctx, LLVMMDNodeInContext2(e->ctx, rest, k));
    }
    e->md_scope = LLVMGetMDKindIDInContext(e->ctx, "alias.scope", 11);
    e->md_noalias = LLVMGetMDKindIDInContext(e->ctx, "noalias", 7);
}

static void annotate(Emit *e, LLVMValueRef load, const char *kind, int64_t value)
{
    LLVMMetadataRef v = LLVMValueAsMetadata(i64_const(e, value));
    LLVMMetadataRef node = LLVMMDNodeInContext2(e->ctx, &v, value ? 1 : 0);
    LLVMSetMetadata(load, LLVMGetMDKindIDInContext(e->ctx, kind, (unsigned)strlen(kind)),
                    LLVMMetadataAsValue(e->ctx, node));
}

static void load_arguments(Emit *e)
{
    LLVMTypeRef ptr = LLVMPointerTypeInContext(e->ctx, 0);
    LLVMValueRef args = LLVMGetParam(e->fn, 0);
    for (int i = 0; i < e->f->nargs; i++) {
        const LBuf *u = e->f->buf.v[i];
        LLVMValueRef k = i64_const(e, i);
        LLVMValueRef p =
            LLVMBuildLoad2(e->b, ptr, LLVMBuildGEP2(e->b, ptr, args, &k, 1, ""), u->name);
        annotate(e, p, "invariant.load", 0);
        annotate(e, p, "noundef", 0);
        annotate(e, p, "nonnull", 0);
        annotate(e, p, "align", u->align);
        annotate(e, p, "dereferenceable", u->count * ltype_size(u->type));
        e->base[i] = p;
    }
}

/* Line of the description, for gdb and perf. */
static void set_line(Emit *e, LLVMMetadataRef subprogram)
{
    if (!subprogram) return;
    LLVMSetSubprogram(e->fn, subprogram);
    LLVMSetCurrentDebugLocation2(
        e->b, LLVMDIBuilderCreateDebugLocation(e->ctx, (unsigned)e->f->line, 0, subprogram, NULL));
}

static void emit_body(Emit *e, LLVMMetadataRef subprogram)
{
    LLVMBasicBlockRef entry = new_block(e), start = new_block(e);
    LLVMPositionBuilderAtEnd(e->b, entry);
    LLVMPositionBuilderBefore(e->entry, LLVMBuildBr(e->b, start));
    LLVMPositionBuilderAtEnd(e->b, start);
    set_line(e, subprogram);
    load_arguments(e);
    Trip tasks = {LLVMGetParam(e->fn, 1), LLVMGetParam(e->fn, 2), e->f->ntasks - 1};
    guarded_loop(e, e->f->task, tasks, e->f->body);
    LLVMBuildRetVoid(e->b);
}

void emit_func(LLVMModuleRef mod, LLVMMetadataRef subprogram, const Func *f, const Machine *m)
{
    Arena *a = arena_new();
    LLVMContextRef ctx = LLVMGetModuleContext(mod);
    Emit e = {.ctx = ctx,
              .mod = mod,
              .m = m,
              .f = f,
              .fma = m->lanes >= 8 || !strncmp(m->triple, "aarch64", 7),
              .b = LLVMCreateBuilderInContext(ctx),
              .entry = LLVMCreateBuilderInContext(ctx),
              .hoist = LLVMCreateBuilderInContext(ctx),
              .base = NEWN(a, LLVMValueRef, f->buf.n + 1),
              .var = NEWN(a, Binding, f->nvars),
              .memo = NEWN(a, Memo, f->nexprs + 1)};
    declare(&e);
    alias_scopes(&e, a);
    emit_body(&e, subprogram);
    LLVMDisposeBuilder(e.b);
    LLVMDisposeBuilder(e.entry);
    LLVMDisposeBuilder(e.hoist);
    arena_free(a);
}
