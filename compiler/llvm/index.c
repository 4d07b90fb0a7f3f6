/* Addresses: index expressions as linear sums, loads and stores.
 * In: an index and the values of the variables here (unrolled ones are constants). Out: an address
 * whose constant part is added last, as a byte offset, so that all accesses of an unrolled tile
 * share one register and differ in the displacement; and one vector access, one broadcast, or one
 * scalar access per lane, by the lane's coefficient. Rule: an access is never wider than what the
 * lanes touch. */
#include "support/diag.h"
#include "llvm/emit.h"

void linear_atom(Linear *l, LLVMValueRef v, int order, int64_t max)
{
    *l = (Linear){0};
    if (LLVMIsAConstantInt(v)) {
        l->c = LLVMConstIntGetSExtValue(v);
        return;
    }
    l->n = 1;
    l->term[0] = (Term){1, v, order, max};
}

static void linear_const(Linear *l, int64_t c)
{
    *l = (Linear){.c = c};
}

static void linear_scale(Linear *l, int64_t k)
{
    l->c *= k;
    l->lane *= k;
    for (int i = 0; i < l->n; i++) l->term[i].coef *= k;
    if (k == 0) l->n = 0;
}

/* Too many terms: their sum becomes one atom. */
static void collapse(Emit *e, Linear *l)
{
    Linear sum = *l, one;
    sum.c = sum.lane = 0;
    linear_atom(&one, linear_value(e, &sum), e->natoms++, -1);
    one.c += l->c;
    one.lane = l->lane;
    *l = one;
}

static void add_term(Emit *e, Linear *l, Term t)
{
    int i = 0;
    while (i < l->n && l->term[i].order < t.order) i++;
    if (i < l->n && l->term[i].atom == t.atom) {
        l->term[i].coef += t.coef;
        if (l->term[i].coef) return;
        for (l->n--; i < l->n; i++) l->term[i] = l->term[i + 1];
        return;
    }
    if (l->n == MAX_TERMS) {
        collapse(e, l);
        add_term(e, l, t);
        return;
    }
    for (int k = l->n++; k > i; k--) l->term[k] = l->term[k - 1];
    l->term[i] = t;
}

static void linear_add(Emit *e, Linear *l, const Linear *r, int64_t k)
{
    l->c += r->c * k;
    l->lane += r->lane * k;
    for (int i = 0; i < r->n; i++) {
        Term t = r->term[i];
        t.coef *= k;
        if (t.coef) add_term(e, l, t);
    }
}

static bool is_const(const Linear *l)
{
    return l->n == 0 && l->lane == 0;
}

/* l / d or l % d, if what d does not divide of l stays in [0, d): then no division is needed. */
static bool divide_terms(const Emit *e, Linear *l, int64_t d, bool mod)
{
    Linear whole = {0}, rest = {.lane = l->lane};
    rest.c = (l->c % d + d) % d;
    whole.c = (l->c - rest.c) / d;
    int64_t lanes = l->lane * (e->width - 1), lo = rest.c, hi = rest.c;
    if (l->lane) *(lanes < 0 ? &lo : &hi) += lanes;
    for (int i = 0; i < l->n; i++) {
        Term t = l->term[i];
        if (t.coef % d == 0) {
            t.coef /= d;
            whole.term[whole.n++] = t;
            continue;
        }
        if (t.max < 0) return false;
        *(t.coef < 0 ? &lo : &hi) += t.coef * t.max;
        rest.term[rest.n++] = t;
    }
    if (lo < 0 || hi >= d) return false;
    *l = mod ? rest : whole;
    return true;
}

bool linear_bin(Emit *e, const Expr *x, Linear *l)
{
    Linear r;
    switch ((BinOp)x->op) {
    case B_ADD:
    case B_SUB:
        if (!linear_of(e, x->x[0], l) || !linear_of(e, x->x[1], &r)) return false;
        linear_add(e, l, &r, x->op == B_ADD ? 1 : -1);
        return true;
    case B_MUL:
        if (!linear_of(e, x->x[0], l) || !linear_of(e, x->x[1], &r)) return false;
        if (is_const(&r)) {
            linear_scale(l, r.c);
            return true;
        }
        if (!is_const(l)) return false;
        linear_scale(&r, l->c);
        *l = r;
        return true;
    case B_DIV:
    case B_MOD:
        if (!linear_of(e, x->x[0], l) || !linear_of(e, x->x[1], &r)) return false;
        return is_const(&r) && r.c > 0 && divide_terms(e, l, r.c, x->op == B_MOD);
    case B_SHL:
        if (!linear_of(e, x->x[0], l) || !linear_of(e, x->x[1], &r)) return false;
        if (!is_const(&r) || r.c < 0 || r.c > 62) return false;
        linear_scale(l, (int64_t)1 << r.c);
        return true;
    default:
        return false;
    }
}

/* Largest value of a non-negative expression, as far as its form tells; -1: unknown. */
static int64_t largest(const Expr *x)
{
    int64_t d;
    return x->kind == E_BIN && x->op == B_MOD && expr_const(x->x[1], &d) ? d - 1 : -1;
}

bool linear_of(Emit *e, const Expr *x, Linear *l)
{
    if (x->kind == E_CONST) {
        linear_const(l, x->c.i);
        return true;
    }
    if (x->kind == E_VAR && e->var[x->var->id].linear) {
        *l = e->var[x->var->id].lin;
        return true;
    }
    if (x->kind == E_BIN && linear_bin(e, x, l)) return true;
    int order;
    LLVMValueRef v = emit_plain(e, x, &order);
    if (emit_is_vector(v)) return false;
    linear_atom(l, v, order, largest(x));
    return true;
}

static LLVMValueRef lane_numbers(Emit *e, int64_t step)
{
    LLVMTypeRef i64 = LLVMInt64TypeInContext(e->ctx);
    LLVMValueRef v[64];
    for (int i = 0; i < e->width; i++) v[i] = LLVMConstInt(i64, (uint64_t)(i * step), 1);
    return LLVMConstVector(v, (unsigned)e->width);
}

static LLVMValueRef scaled_atom(Emit *e, LLVMBuilderRef b, const Term *t, int64_t k)
{
    LLVMTypeRef i64 = LLVMInt64TypeInContext(e->ctx);
    if (t->coef * k == 1) return t->atom;
    return LLVMBuildMul(b, t->atom, LLVMConstInt(i64, (uint64_t)(t->coef * k), 1), "");
}

LLVMValueRef linear_value(Emit *e, const Linear *l)
{
    LLVMTypeRef i64 = LLVMInt64TypeInContext(e->ctx);
    LLVMValueRef v = NULL;
    for (int i = 0; i < l->n; i++) {
        LLVMValueRef t = scaled_atom(e, e->b, &l->term[i], 1);
        v = v ? LLVMBuildAdd(e->b, v, t, "") : t;
    }
    LLVMValueRef c = LLVMConstInt(i64, (uint64_t)l->c, 1);
    v = !v ? c : l->c ? LLVMBuildAdd(e->b, v, c, "") : v;
    return l->lane ? LLVMBuildAdd(e->b, emit_splat(e, v), lane_numbers(e, l->lane), "") : v;
}

/* ---- addresses: each partial sum stands in front of the outermost loop in which it does not
 * change ---- */

void scope_open(Emit *e, LLVMValueRef before)
{
    bug_if(e->nscopes == MAX_SCOPES, "%s: loops too deep", e->f->name);
    e->scopes[e->nscopes++] = (Scope){before, e->natoms};
}

void scope_close(Emit *e)
{
    int n = 0;
    e->nscopes--;
    for (int i = 0; i < e->npointers; i++)
        if (e->pointer[i].depth <= e->nscopes) e->pointer[n++] = e->pointer[i];
    e->npointers = n;
}

static bool same_terms(const Linear *x, const Linear *y, int n)
{
    for (int i = n - 1; i >= 0; i--)
        if (x->term[i].atom != y->term[i].atom || x->term[i].coef != y->term[i].coef) return false;
    return true;
}

static LLVMValueRef add_bytes(Emit *e, LLVMBuilderRef b, LLVMValueRef p, LLVMValueRef bytes)
{
    return LLVMBuildGEP2(b, LLVMInt8TypeInContext(e->ctx), p, &bytes, 1, "");
}

static LLVMValueRef known_pointer(const Emit *e, const LBuf *u, const Linear *l, int n)
{
    for (int i = e->npointers - 1; i >= 0; i--) {
        const Pointer *p = &e->pointer[i];
        if (p->buf == u && p->n == n && same_terms(&p->lin, l, n)) return p->value;
    }
    return NULL;
}

/* Address of u[sum of l's first n terms]. */
static LLVMValueRef pointer_of(Emit *e, const LBuf *u, const Linear *l, int n)
{
    if (n == 0) return e->base[u->id];
    LLVMValueRef p = known_pointer(e, u, l, n);
    if (p) return p;
    p = pointer_of(e, u, l, n - 1);
    const Term *t = &l->term[n - 1];
    int depth = e->nscopes;
    while (depth > 0 && e->scopes[depth - 1].order > t->order) depth--;
    LLVMBuilderRef b = e->b;
    if (depth < e->nscopes) LLVMPositionBuilderBefore(b = e->hoist, e->scopes[depth].before);
    p = add_bytes(e, b, p, scaled_atom(e, b, t, ltype_size(u->type)));
    if (e->npointers < MAX_POINTERS) e->pointer[e->npointers++] = (Pointer){u, *l, n, depth, p};
    return p;
}

static LLVMValueRef address(Emit *e, const LBuf *u, const Linear *l, int lane)
{
    LLVMValueRef p = pointer_of(e, u, l, l->n);
    int64_t c = (l->c + l->lane * lane) * ltype_size(u->type);
    if (c == 0) return p;
    return add_bytes(e, e->b, p, LLVMConstInt(LLVMInt64TypeInContext(e->ctx), (uint64_t)c, 1));
}

/* Largest power of two that is known to divide the address of u[l]. */
static unsigned alignment(const LBuf *u, const Linear *l)
{
    int64_t size = ltype_size(u->type);
    uint64_t bits = (uint64_t)u->align | (uint64_t)(l->c * size);
    for (int i = 0; i < l->n; i++) bits |= (uint64_t)(l->term[i].coef * size);
    return (unsigned)(bits & -bits);
}

static void mark(Emit *e, const LBuf *u, LLVMValueRef access)
{
    if (u->scope != BUF_ARG || !e->scope) return;
    LLVMSetMetadata(access, e->md_scope, e->scope[u->id]);
    if (e->noalias[u->id]) LLVMSetMetadata(access, e->md_noalias, e->noalias[u->id]);
}

static LLVMValueRef from_memory(Emit *e, const LBuf *u, LLVMValueRef v)
{
    if (u->type != LT_BOOL) return v;
    return LLVMBuildICmp(e->b, LLVMIntNE, v, LLVMConstNull(LLVMTypeOf(v)), "");
}

static LLVMValueRef load_one(Emit *e, const LBuf *u, LLVMTypeRef t, LLVMValueRef p, unsigned align)
{
    LLVMValueRef v = LLVMBuildLoad2(e->b, t, p, "");
    LLVMSetAlignment(v, align);
    mark(e, u, v);
    return v;
}

/* One scalar load per lane, at p[i]. */
static LLVMValueRef gather(Emit *e, const LBuf *u, LLVMValueRef *p)
{
    LLVMTypeRef t = emit_mem_type(e, u->type), i32 = LLVMInt32TypeInContext(e->ctx);
    LLVMValueRef v = LLVMGetPoison(LLVMVectorType(t, (unsigned)e->width));
    for (int i = 0; i < e->width; i++) {
        LLVMValueRef x = load_one(e, u, t, p[i], (unsigned)ltype_size(u->type));
        v = LLVMBuildInsertElement(e->b, v, x, LLVMConstInt(i32, (uint64_t)i, 0), "");
    }
    return from_memory(e, u, v);
}

static LLVMValueRef load_linear(Emit *e, const LBuf *u, const Linear *l)
{
    LLVMTypeRef t = emit_mem_type(e, u->type);
    LLVMValueRef p[64];
    if (l->lane == 1) t = LLVMVectorType(t, (unsigned)e->width);
    if (l->lane == 0 || l->lane == 1)
        return from_memory(e, u, load_one(e, u, t, address(e, u, l, 0), alignment(u, l)));
    for (int i = 0; i < e->width; i++) p[i] = address(e, u, l, i);
    return gather(e, u, p);
}

LLVMValueRef emit_load(Emit *e, const LBuf *u, const Expr *index)
{
    Linear l;
    if (linear_of(e, index, &l)) return load_linear(e, u, &l);
    LLVMTypeRef i32 = LLVMInt32TypeInContext(e->ctx), t = emit_mem_type(e, u->type);
    LLVMValueRef x = emit_expr(e, index), p[64];
    for (int i = 0; i < e->width; i++) {
        LLVMValueRef k = LLVMBuildExtractElement(e->b, x, LLVMConstInt(i32, (uint64_t)i, 0), "");
        p[i] = LLVMBuildGEP2(e->b, t, e->base[u->id], &k, 1, "");
    }
    return gather(e, u, p);
}

void emit_store(Emit *e, const LBuf *u, const Expr *index, LLVMValueRef v)
{
    Linear l;
    bool ok = linear_of(e, index, &l);
    bug_if(!ok || l.lane != (e->width ? 1 : 0), "%s: a store to %s is not one element per lane",
           e->f->name, u->name);
    if (l.lane) v = emit_splat(e, v);
    if (u->type == LT_BOOL) v = LLVMBuildZExt(e->b, v, emit_like(emit_mem_type(e, LT_BOOL), v), "");
    LLVMValueRef s = LLVMBuildStore(e->b, v, address(e, u, &l, 0));
    LLVMSetAlignment(s, alignment(u, &l));
    mark(e, u, s);
}

void emit_prefetch(Emit *e, const LBuf *u, const Expr *index)
{
    enum { READ = 0, L2 = 2, DATA = 1 };
    Linear l;
    bug_if(!linear_of(e, index, &l) || l.lane, "%s: a prefetch of %s differs by lane", e->f->name, u->name);
    LLVMTypeRef i32 = LLVMInt32TypeInContext(e->ctx);
    LLVMValueRef x[] = {address(e, u, &l, 0), LLVMConstInt(i32, READ, 0), LLVMConstInt(i32, L2, 0),
                        LLVMConstInt(i32, DATA, 0)};
    math_intrinsic(e, "llvm.prefetch", x, 4);
}
