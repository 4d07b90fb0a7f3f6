/* Checks a Func before a backend sees it.
 * In: any Func. Out: nothing, or a bug report with the kernel's text.
 * Rules checked: variables and allocations are used where they are visible; types; what a VECTOR
 * body may hold and that its lanes may run at once; REGISTER indexes; indexes within bounds, where
 * that can be decided:
 *   - an index that is linear in variables of known range, which no enclosing IF narrows further,
 * takes its extremes: both must lie in the buffer;
 *   - any other index is followed by interval arithmetic, and is an error only if it can never be
 * right. */
#include "loop/loop.h"
#include "support/diag.h"
#include <stdio.h>

enum { MAX_TERMS = 12, MAX_REGISTER = 1 << 16 /* bytes; far beyond any machine's registers */ };
#define FAR ((int64_t)1 << 56) /* further is unknown */

typedef struct Range {
    int64_t lo, hi;
} Range;

typedef struct Affine { /* c + sum coef * loop variable */
    bool ok;
    int64_t c;
    int n;
    struct {
        int64_t coef;
        int var;
    } t[MAX_TERMS];
} Affine;

typedef struct VarInfo {
    bool bound, let;
    ForKind kind;
    int narrowed; /* IFs around whose condition we cannot use: the range is too wide */
    Range range;  /* every value lies here; taken at both ends if exact */
    bool exact;
    Affine value; /* LET */
} VarInfo;

typedef struct Access {
    const LBuf *buf;
    Affine at;
    bool store;
} Access;

typedef struct Verify {
    const Func *f;
    const char *after;
    Arena *a;
    VarInfo *var;
    bool *alloced;
    int *stamp, now; /* by Expr.id: visited in this statement */
    int ifs;
    const LVar *lane;
    int64_t lanes;
    VEC(Access) access; /* of the VECTOR loop */
} Verify;

static _Noreturn void fail(const Verify *v, const char *what, const char *name, int64_t n)
{
    Buf b = {0};
    func_print(&b, v->f);
    fprintf(stderr, "%s\n", b.s);
    bug_if(true, "loops after %s: %s: %s %s (%lld)", v->after, v->f->name, what, name,
           (long long)n);
    __builtin_unreachable();
}

static void need(const Verify *v, bool ok, const char *what, const char *name)
{
    if (!ok) fail(v, what, name, 0);
}

/* ---- ranges ---- */

static int64_t near(int64_t x)
{
    return x > FAR ? FAR : x < -FAR ? -FAR : x;
}

static int64_t times(int64_t x, int64_t y)
{
    int64_t r;
    if (__builtin_mul_overflow(x, y, &r)) return (x < 0) == (y < 0) ? FAR : -FAR;
    return near(r);
}

static Range range_scale(Range r, int64_t k)
{
    int64_t x = times(r.lo, k), y = times(r.hi, k);
    return k >= 0 ? (Range){x, y} : (Range){y, x};
}

static Range range_add(Range x, Range y)
{
    return (Range){near(x.lo + y.lo), near(x.hi + y.hi)};
}

static int64_t min(int64_t x, int64_t y)
{
    return x < y ? x : y;
}

static int64_t max(int64_t x, int64_t y)
{
    return x > y ? x : y;
}

/* ---- linear forms ---- */

static void affine_add(Affine *x, const Affine *y, int64_t k)
{
    x->ok = x->ok && y->ok;
    x->c += y->c * k;
    for (int i = 0; i < y->n; i++) {
        int j = 0;
        while (j < x->n && x->t[j].var != y->t[i].var) j++;
        if (j == MAX_TERMS) {
            x->ok = false;
            return;
        }
        if (j == x->n) {
            x->t[x->n].var = y->t[i].var;
            x->t[x->n++].coef = 0;
        }
        x->t[j].coef += y->t[i].coef * k;
        if (!x->t[j].coef) x->t[j] = x->t[--x->n];
    }
}

static Range affine_range(const Verify *v, const Affine *x)
{
    Range r = {near(x->c), near(x->c)};
    for (int i = 0; i < x->n; i++)
        r = range_add(r, range_scale(v->var[x->t[i].var].range, x->t[i].coef));
    return r;
}

/* x / d or x % d, if the part that d does not divide stays in [0, d). */
static Affine affine_divide(const Verify *v, const Affine *x, int64_t d, bool mod)
{
    Affine whole = {.ok = x->ok}, rest = {.ok = x->ok};
    for (int i = 0; i < x->n; i++) {
        Affine *to = x->t[i].coef % d ? &rest : &whole;
        to->t[to->n++] = x->t[i];
    }
    rest.c = (x->c % d + d) % d;
    whole.c = x->c - rest.c;
    Range r = affine_range(v, &rest);
    if (r.lo < 0 || r.hi >= d) return (Affine){.ok = false};
    if (mod) return rest;
    whole.c /= d;
    for (int i = 0; i < whole.n; i++) whole.t[i].coef /= d;
    return whole;
}

static Affine affine_of(const Verify *v, const Expr *x);

static Affine affine_bin(const Verify *v, const Expr *x)
{
    Affine p = affine_of(v, x->x[0]), q = affine_of(v, x->x[1]), r = {.ok = true};
    if (!p.ok || !q.ok) return (Affine){.ok = false};
    if (x->op == B_ADD || x->op == B_SUB) {
        affine_add(&p, &q, x->op == B_ADD ? 1 : -1);
        return p;
    }
    if (x->op == B_MUL && p.n == 0) {
        affine_add(&r, &q, p.c);
        return p.c ? r : (Affine){.ok = true};
    }
    if (q.n) return (Affine){.ok = false};
    if (x->op == B_MUL || (x->op == B_SHL && q.c >= 0 && q.c < 48)) {
        int64_t k = x->op == B_MUL ? q.c : (int64_t)1 << q.c;
        affine_add(&r, &p, k);
        return k ? r : (Affine){.ok = true};
    }
    if ((x->op == B_DIV || x->op == B_MOD) && q.c > 0)
        return affine_divide(v, &p, q.c, x->op == B_MOD);
    return (Affine){.ok = false};
}

static Affine affine_of(const Verify *v, const Expr *x)
{
    Affine r = {.ok = true};
    if (x->type != LT_I64) return (Affine){.ok = false};
    if (x->kind == E_CONST) {
        r.c = x->c.i;
        return r;
    }
    if (x->kind == E_VAR) {
        const VarInfo *i = &v->var[x->var->id];
        if (i->let) return i->value;
        r.n = 1;
        r.t[0].coef = 1;
        r.t[0].var = x->var->id;
        return r;
    }
    return x->kind == E_BIN ? affine_bin(v, x) : (Affine){.ok = false};
}

static bool is_float(LType t)
{
    return t == LT_F32 || t == LT_F64;
}

static Range range_of(const Verify *v, const Expr *x);

static Range range_bin(const Verify *v, const Expr *x)
{
    Range p = range_of(v, x->x[0]), q = range_of(v, x->x[1]), all = {-FAR, FAR};
    int64_t a, b, c, d;
    switch ((BinOp)x->op) {
    case B_ADD:
        return range_add(p, q);
    case B_SUB:
        return range_add(p, range_scale(q, -1));
    case B_MUL:
        a = times(p.lo, q.lo), b = times(p.lo, q.hi), c = times(p.hi, q.lo), d = times(p.hi, q.hi);
        return (Range){min(min(a, b), min(c, d)), max(max(a, b), max(c, d))};
    case B_DIV:
        return p.lo >= 0 && q.lo > 0 ? (Range){p.lo / q.hi, p.hi / q.lo} : all;
    case B_MOD:
        return p.lo >= 0 && q.lo > 0 ? (Range){0, min(p.hi, q.hi - 1)} : all;
    case B_MIN:
        return (Range){min(p.lo, q.lo), min(p.hi, q.hi)};
    case B_MAX:
        return (Range){max(p.lo, q.lo), max(p.hi, q.hi)};
    default:
        return all;
    }
}

static Range range_of(const Verify *v, const Expr *x)
{
    Range all = {-FAR, FAR};
    if (x->type == LT_U8) all = (Range){0, 255};
    if (is_float(x->type) || ltype_is_stored(x->type)) return all;
    switch (x->kind) {
    case E_CONST:
        return (Range){near(x->c.i), near(x->c.i)};
    case E_VAR:
        return v->var[x->var->id].range;
    case E_BIN:
        return x->type == LT_I64 ? range_bin(v, x) : all;
    case E_CAST:
        return x->type == LT_I64 ? range_of(v, x->x[0]) : all;
    case E_SELECT: {
        Range p = range_of(v, x->x[1]), q = range_of(v, x->x[2]);
        return (Range){min(p.lo, q.lo), max(p.hi, q.hi)};
    }
    default:
        return all;
    }
}

/* ---- accesses ---- */

static bool affine_exact(const Verify *v, const Affine *x)
{
    for (int i = 0; i < x->n; i++) {
        const VarInfo *k = &v->var[x->t[i].var];
        if (!k->exact || k->narrowed) return false;
    }
    return x->ok;
}

static void check_bounds(const Verify *v, const LBuf *u, const Expr *index, const Affine *at)
{
    if (affine_exact(v, at)) {
        Range r = affine_range(v, at);
        if (r.lo < 0) fail(v, "index below 0 of", u->name, r.lo);
        if (r.hi >= u->count) fail(v, "index too large of", u->name, r.hi);
        return;
    }
    Range r = range_of(v, index);
    if (!v->ifs && r.hi < 0) fail(v, "index below 0 of", u->name, r.hi);
    if (!v->ifs && r.lo >= u->count) fail(v, "index too large of", u->name, r.lo);
}

static void check_register(const Verify *v, const LBuf *u, const Affine *at)
{
    need(v, at->ok, "an index that is not constant after unrolling, of register", u->name);
    for (int i = 0; i < at->n; i++) {
        const VarInfo *k = &v->var[at->t[i].var];
        bool loop = k->kind == FOR_SERIAL && !(k->exact && k->range.hi == 0);
        need(v, !loop, "an index that is not constant after unrolling, of register", u->name);
    }
}

static int64_t lane_coef(const Verify *v, const Affine *x)
{
    for (int i = 0; i < x->n; i++)
        if (x->t[i].var == v->lane->id) return x->t[i].coef;
    return 0;
}

/* Two accesses of one vector loop, at least one a store: may different lanes meet on one element?
 */
static bool lanes_meet(const Verify *v, const Access *x, const Access *y)
{
    if (x->buf != y->buf || (!x->store && !y->store) || !x->at.ok || !y->at.ok) return false;
    Affine d = x->at;
    affine_add(&d, &y->at, -1);
    int64_t p = lane_coef(v, &x->at), q = lane_coef(v, &y->at);
    if (p == q) return d.ok && d.n == 0 && p == 1 && d.c != 0 && d.c < v->lanes && d.c > -v->lanes;
    if (p > q) { /* y reads one element that the lanes of x write */
        int64_t c = -d.c;
        return q == 0 && d.ok && d.n == 1 && c >= 0 && c < v->lanes;
    }
    return p == 0 && d.ok && d.n == 1 && d.c >= 0 && d.c < v->lanes;
}

static void check_access(Verify *v, const LBuf *u, const Expr *index, bool store)
{
    need(v, u->id < v->f->buf.n && v->f->buf.v[u->id] == u, "a buffer of another kernel:", u->name);
    need(v, v->alloced[u->id], "not allocated here:", u->name);
    need(v, !store || u->written, "a store to a buffer that is not marked as written:", u->name);
    need(v, index->type == LT_I64, "an index that is not i64, of", u->name);
    Affine at = affine_of(v, index);
    check_bounds(v, u, index, &at);
    if (u->scope == BUF_REGISTER) check_register(v, u, &at);
    if (!v->lane) return;
    if (store && at.ok && lane_coef(v, &at) != 1)
        fail(v, "lanes do not store side by side to", u->name, lane_coef(v, &at));
    Access x = {u, at, store};
    for (int i = 0; i < v->access.n; i++)
        if (lanes_meet(v, &x, &v->access.v[i])) fail(v, "lanes meet in", u->name, v->lanes);
    vec_push(v->a, &v->access, x);
}

/* ---- expressions ---- */

/* What is only stored is loaded and cast, no more. */
static bool is_storage(const Expr *x)
{
    bool cast = x->kind == E_CAST;
    if (ltype_is_stored(x->type) && !(cast ? x->x[0]->type == LT_F32 : x->kind == E_LOAD)) return false;
    for (int i = 0; i < 3; i++)
        if (x->x[i] && ltype_is_stored(x->x[i]->type) && !(cast && x->type == LT_F32)) return false;
    return true;
}

static bool types_agree(const Expr *x)
{
    LType t = x->type;
    if (!is_storage(x)) return false;
    switch (x->kind) {
    case E_CONST:
        return true;
    case E_VAR:
        return x->var != NULL;
    case E_LOAD:
        return x->buf->type == t;
    case E_BIN:
        return x->x[0]->type == t && x->x[1]->type == t && !(is_float(t) && x->op >= B_AND);
    case E_FMA:
        return is_float(t) && x->x[0]->type == t && x->x[1]->type == t && x->x[2]->type == t;
    case E_CMP:
        return t == LT_BOOL && x->x[0]->type == x->x[1]->type;
    case E_SELECT:
        return x->x[0]->type == LT_BOOL && x->x[1]->type == t && x->x[2]->type == t;
    case E_CAST:
        return t != LT_BOOL;
    case E_CALL:
        return x->x[0]->type == t &&
               (t == LT_F32 || (t == LT_F64 && (x->op == F_SQRT || x->op == F_ABS)));
    }
    return false;
}

static void check_expr(Verify *v, const Expr *x)
{
    need(v, x->id >= 0 && x->id < v->f->nexprs, "an expression of another kernel", "");
    if (v->stamp[x->id] == v->now) return;
    v->stamp[x->id] = v->now;
    for (int i = 0; i < 3; i++)
        if (x->x[i]) check_expr(v, x->x[i]);
    need(v, types_agree(x), "operands do not fit an expression of type", ltype_name(x->type));
    if (x->kind == E_VAR)
        need(v, x->var->id < v->f->nvars && v->var[x->var->id].bound,
             "not visible here:", x->var->name);
    if (x->kind == E_LOAD) check_access(v, x->buf, x->x[0], false);
}

/* ---- conditions ---- */

static void narrow_all(Verify *v, const Expr *x, int by)
{
    if (x->kind == E_VAR) {
        v->var[x->var->id].narrowed += by;
        const Affine *a = &v->var[x->var->id].value;
        for (int i = 0; v->var[x->var->id].let && i < a->n; i++) v->var[a->t[i].var].narrowed += by;
    }
    for (int i = 0; i < 3; i++)
        if (x->x[i]) narrow_all(v, x->x[i], by);
}

/* x op y with one variable of coefficient +-1 between them: narrows its range exactly. */
static bool narrow_one(Verify *v, const Expr *x, int op)
{
    if (x->kind != E_CMP || x->x[0]->type != LT_I64 || op == C_EQ || op == C_NE) return false;
    Affine d = affine_of(v, x->x[0]), r = affine_of(v, x->x[1]);
    affine_add(&d, &r, -1);
    if (!d.ok || d.n != 1 || (d.t[0].coef != 1 && d.t[0].coef != -1)) return false;
    Range *k = &v->var[d.t[0].var].range;
    if (d.t[0].coef < 0) { /* c - var op 0: var turned op c */
        static const int turned[] = {[C_LT] = C_GT, [C_LE] = C_GE, [C_GT] = C_LT, [C_GE] = C_LE};
        op = turned[op];
    } else {
        d.c = -d.c;
    }
    if (op == C_LT) k->hi = min(k->hi, d.c - 1);
    if (op == C_LE) k->hi = min(k->hi, d.c);
    if (op == C_GT) k->lo = max(k->lo, d.c + 1);
    if (op == C_GE) k->lo = max(k->lo, d.c);
    return true;
}

static void narrow(Verify *v, const Expr *x, bool holds)
{
    static const int not [] = {
        [C_LT] = C_GE, [C_LE] = C_GT, [C_GT] = C_LE, [C_GE] = C_LT, [C_EQ] = C_NE, [C_NE] = C_EQ};
    if (holds && x->kind == E_BIN && x->op == B_AND) {
        narrow(v, x->x[0], true);
        narrow(v, x->x[1], true);
    } else if (x->kind != E_CMP || !narrow_one(v, x, holds ? x->op : not [x->op])) {
        narrow_all(v, x, 1);
    }
}

/* ---- statements ---- */

static void check_stmt(Verify *v, const Stmt *s);

static void check_branch(Verify *v, const Stmt *s, const Expr *cond, bool holds)
{
    VarInfo *saved = NEWN(v->a, VarInfo, v->f->nvars);
    for (int i = 0; i < v->f->nvars; i++) saved[i] = v->var[i];
    v->ifs++;
    narrow(v, cond, holds);
    bool empty = false;
    for (int i = 0; i < v->f->nvars; i++)
        empty |= v->var[i].bound && v->var[i].range.lo > v->var[i].range.hi;
    if (!empty) check_stmt(v, s);
    v->ifs--;
    for (int i = 0; i < v->f->nvars; i++) v->var[i] = saved[i];
}

static void bind(Verify *v, const LVar *var, ForKind kind, Range r, bool exact)
{
    need(v, var->id < v->f->nvars && !v->var[var->id].bound, "bound twice:", var->name);
    v->var[var->id] = (VarInfo){.bound = true, .kind = kind, .range = r, .exact = exact};
}

static void check_for(Verify *v, const Stmt *s)
{
    check_expr(v, s->extent);
    need(v, s->extent->type == LT_I64, "an extent that is not i64, of", s->var->name);
    need(v, s->fkind == FOR_SERIAL || s->extent->kind == E_CONST,
         "an extent that is not constant, of", s->var->name);
    need(v, !v->lane || s->fkind == FOR_UNROLL, "in a vector loop there is a loop", s->var->name);
    Affine n = affine_of(v, s->extent);
    Range r = n.ok ? affine_range(v, &n) : range_of(v, s->extent);
    if (r.hi <= 0) return; /* never entered */
    bind(v, s->var, s->fkind, (Range){0, near(r.hi - 1)}, n.ok && n.n == 0);
    if (s->fkind == FOR_VECTOR) {
        v->lane = s->var;
        v->lanes = s->extent->c.i;
        v->access.n = 0;
    }
    check_stmt(v, s->body);
    if (s->fkind == FOR_VECTOR) v->lane = NULL;
    v->var[s->var->id].bound = false;
}

static void check_let(Verify *v, const Stmt *s)
{
    check_expr(v, s->x);
    need(v, !ltype_is_stored(s->x->type), "a variable of a storage type:", s->var->name);
    Affine value = affine_of(v, s->x);
    Range r = value.ok ? affine_range(v, &value) : range_of(v, s->x);
    bind(v, s->var, FOR_SERIAL, r, false);
    v->var[s->var->id].let = true;
    v->var[s->var->id].value = value;
}

static void check_seq(Verify *v, const Stmt *s)
{
    for (int i = 0; i < s->seq.n; i++) check_stmt(v, s->seq.v[i]);
    for (int i = 0; i < s->seq.n; i++) {
        const Stmt *k = s->seq.v[i];
        if (k->kind == S_LET) v->var[k->var->id].bound = false;
        if (k->kind == S_ALLOC) v->alloced[k->buf->id] = false;
    }
}

static void check_stmt(Verify *v, const Stmt *s)
{
    v->now++;
    switch (s->kind) {
    case S_SEQ:
        check_seq(v, s);
        break;
    case S_FOR:
        check_for(v, s);
        break;
    case S_IF:
        need(v, !v->lane, "in a vector loop there is an IF", "");
        need(v, s->x->type == LT_BOOL, "a condition is no bool", "");
        check_expr(v, s->x);
        check_branch(v, s->body, s->x, true);
        if (s->other) check_branch(v, s->other, s->x, false);
        break;
    case S_LET:
        check_let(v, s);
        break;
    case S_STORE:
        need(v, s->x->type == s->buf->type, "another type is stored to", s->buf->name);
        check_expr(v, s->x);
        check_expr(v, s->index);
        check_access(v, s->buf, s->index, true);
        break;
    case S_PREFETCH:
        need(v, !v->lane, "in a vector loop there is a prefetch of", s->buf->name);
        need(v, s->buf->scope == BUF_ARG && s->index->type == LT_I64, "no argument to prefetch:", s->buf->name);
        break;
    case S_ALLOC:
        need(v, !v->lane, "in a vector loop there is the allocation", s->buf->name);
        need(v, !v->alloced[s->buf->id] && s->buf->scope != BUF_ARG,
             "allocated twice:", s->buf->name);
        if (s->buf->scope == BUF_REGISTER &&
            s->buf->count * ltype_size(s->buf->type) > MAX_REGISTER)
            fail(v, "too large for registers:", s->buf->name, s->buf->count);
        v->alloced[s->buf->id] = true;
        break;
    }
}

void func_verify(const Func *f, const char *after)
{
    Arena *a = arena_new();
    Verify v = {.f = f,
                .after = after,
                .a = a,
                .var = NEWN(a, VarInfo, f->nvars),
                .alloced = NEWN(a, bool, f->buf.n + 1),
                .stamp = NEWN(a, int, f->nexprs + 1)};
    need(&v, f->ntasks > 0, "no tasks", "");
    for (int i = 0; i < f->nargs; i++) v.alloced[i] = true;
    bind(&v, f->task, FOR_SERIAL, (Range){0, f->ntasks - 1}, true);
    check_stmt(&v, f->body);
    arena_free(a);
}
