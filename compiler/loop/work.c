/* In: a verified Func. Out: Work. Rule: one walk over the statements, which carries how often each runs; an expression
 * is counted once in a statement, as it is computed once. Bytes are those of elements, so that what is stored in 16
 * bits counts so; an argument cannot have more of them than it has elements. Not here: caches, and the time it takes. */
#include "loop/work.h"
#include <string.h>

typedef struct Count {
    const Func *f;
    Work *w;
    double *loads, *stores; /* by argument: elements */
    int *seen, now;         /* by Expr.id: the statement that has counted it */
    const LVar *lane;       /* of the open VECTOR loop */
    double times, lanes;    /* how often the statement at work runs, and in how many lanes at once */
} Count;

/* The most that an extent can be. */
static double most(const Expr *x)
{
    int64_t c;
    if (expr_const(x, &c)) return (double)c;
    if (x->kind != E_BIN) return 1e18;
    double p = most(x->x[0]), q = most(x->x[1]);
    if (x->op == B_MIN) return p < q ? p : q;
    if (x->op == B_MAX) return p > q ? p : q;
    if (x->op == B_SUB) return p;
    return 1e18;
}

static double extent(const Expr *x)
{
    double n = most(x);
    return n < 1e18 ? n : 1;
}

static void count_access(Count *c, const LBuf *u, const Expr *index, double *elements)
{
    int64_t coef = 0;
    if (u->scope != BUF_ARG) return;
    bool alike = !c->lane || (expr_coef(index, c->lane, &coef) && coef == 0);
    c->w->accesses += c->times;
    elements[u->id] += c->times * (alike ? 1 : c->lanes);
}

static void count_expr(Count *c, const Expr *x)
{
    bool real = x->type == LT_F32 || x->type == LT_F64;
    if (c->seen[x->id] == c->now) return;
    c->seen[x->id] = c->now;
    for (int i = 0; i < 3; i++)
        if (x->x[i]) count_expr(c, x->x[i]);
    if (x->kind == E_LOAD) count_access(c, x->buf, x->x[0], c->loads);
    if (x->kind == E_FMA && x->type == LT_F32) c->w->fmas += c->times;
    if (real && (x->kind == E_BIN || x->kind == E_CALL)) c->w->flops += c->times * c->lanes;
    if (real && x->kind == E_FMA) c->w->flops += 2 * c->times * c->lanes;
}

static void count_stmt(Count *c, const Stmt *s);

static void count_for(Count *c, const Stmt *s)
{
    double times = c->times, lanes = c->lanes;
    if (s->fkind == FOR_VECTOR) {
        c->lane = s->var;
        c->lanes = extent(s->extent);
    } else {
        c->times *= extent(s->extent);
    }
    count_stmt(c, s->body);
    if (s->fkind == FOR_VECTOR) c->lane = NULL;
    c->times = times;
    c->lanes = lanes;
}

/* The side with more accesses counts. */
static void count_if(Count *c, const Stmt *s)
{
    size_t bytes = sizeof(double) * (size_t)(c->f->nargs + 1);
    double *loads = c->loads, *stores = c->stores;
    Arena *a = arena_new();
    Work before = *c->w, then;
    c->loads = memcpy(arena_alloc(a, bytes), loads, bytes);
    c->stores = memcpy(arena_alloc(a, bytes), stores, bytes);
    count_stmt(c, s->body);
    then = *c->w;
    double *then_loads = c->loads, *then_stores = c->stores;
    *c->w = before;
    c->loads = memcpy(arena_alloc(a, bytes), loads, bytes);
    c->stores = memcpy(arena_alloc(a, bytes), stores, bytes);
    count_stmt(c, s->other);
    bool first = then.accesses + then.fmas >= c->w->accesses + c->w->fmas;
    if (first) *c->w = then;
    memcpy(loads, first ? then_loads : c->loads, bytes);
    memcpy(stores, first ? then_stores : c->stores, bytes);
    c->loads = loads;
    c->stores = stores;
    arena_free(a);
}

static void count_stmt(Count *c, const Stmt *s)
{
    if (!s) return;
    c->now++;
    if (s->x) count_expr(c, s->x);
    if (s->index) count_expr(c, s->index);
    if (s->kind == S_STORE) count_access(c, s->buf, s->index, c->stores);
    for (int i = 0; i < s->seq.n; i++) count_stmt(c, s->seq.v[i]);
    if (s->kind == S_FOR) count_for(c, s);
    if (s->kind == S_IF) count_if(c, s);
}

Work func_work(Arena *a, const Func *f)
{
    Work w = {.bytes = NEWN(a, double, f->nargs + 1)};
    Count c = {.f = f, .w = &w, .times = (double)f->ntasks, .lanes = 1};
    c.loads = NEWN(a, double, f->nargs + 1);
    c.stores = NEWN(a, double, f->nargs + 1);
    c.seen = NEWN(a, int, f->nexprs + 1);
    count_stmt(&c, f->body);
    for (int i = 0; i < f->nargs; i++) {
        const LBuf *u = f->buf.v[i];
        double n = (double)u->count, most = u->touched ? (double)u->touched : n;
        double touched = (c.loads[i] < most ? c.loads[i] : most) + (c.stores[i] < n ? c.stores[i] : n);
        w.bytes[i] = touched * ltype_size(f->buf.v[i]->type);
        w.moved += w.bytes[i];
    }
    return w;
}
