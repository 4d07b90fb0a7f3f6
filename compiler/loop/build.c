/* Building loop IR.
 * In: calls of a nest, in program order. Out: a Func whose statements and expressions live in the
 * arena. Rule: a builder never makes an ill-typed expression (bug_if) and folds what is constant on
 * the spot (fold.c). Not here: bounds and vector rules (verify.c), anything that needs more than
 * one expression. */
#include "loop/fold.h"
#include "loop/loop.h"
#include "support/diag.h"

int ltype_size(LType t)
{
    static const int size[] = {
        [LT_F32] = 4,  [LT_F64] = 8, [LT_I32] = 4,  [LT_I64] = 8, [LT_U8] = 1,
        [LT_BOOL] = 1, [LT_F16] = 2, [LT_BF16] = 2, [LT_TF32] = 4};
    return size[t];
}

bool ltype_is_stored(LType t)
{
    return t == LT_F16 || t == LT_BF16 || t == LT_TF32;
}

const char *ltype_name(LType t)
{
    static const char *const name[] = {[LT_F32] = "f32", [LT_F64] = "f64", [LT_I32] = "i32",
                                       [LT_I64] = "i64", [LT_U8] = "u8",   [LT_BOOL] = "bool",
                                       [LT_F16] = "f16", [LT_BF16] = "bf16", [LT_TF32] = "tf32"};
    return name[t];
}

static LVar *new_var(Arena *a, Func *f, const char *name)
{
    LVar *v = NEW(a, LVar);
    v->id = f->nvars++;
    v->name = name;
    return v;
}

Func *func_new(Arena *a, const char *name, const char *comment)
{
    Func *f = NEW(a, Func);
    f->name = name;
    f->comment = comment;
    f->ntasks = 1;
    f->task = new_var(a, f, "task");
    f->body = NEW(a, Stmt);
    f->body->kind = S_SEQ;
    return f;
}

LB lb_begin(Arena *a, Func *f)
{
    LB b = {.a = a, .f = f, .seq = f->body};
    return b;
}

static LBuf *new_buf(LB *b, BufScope scope, LType t, int64_t count, char letter, int number)
{
    bug_if(count <= 0, "%s: a buffer of %lld elements", b->f->name, (long long)count);
    LBuf *u = NEW(b->a, LBuf);
    u->id = b->f->buf.n;
    u->name = arena_printf(b->a, "%c%d", letter, number);
    u->type = t;
    u->count = count;
    u->scope = scope;
    u->align = 64;
    vec_push(b->a, &b->f->buf, u);
    return u;
}

/* Arguments stay in front: an argument that comes after allocations moves them up. */
LBuf *lb_arg(LB *b, LType t, int64_t count)
{
    Func *f = b->f;
    LBuf *u = new_buf(b, BUF_ARG, t, count, 'a', f->nargs);
    for (int i = u->id; i > f->nargs; i--) {
        f->buf.v[i] = f->buf.v[i - 1];
        f->buf.v[i]->id = i;
    }
    u->id = f->nargs++;
    f->buf.v[u->id] = u;
    return u;
}

static Stmt *add_stmt(LB *b, StmtKind kind)
{
    Stmt *s = NEW(b->a, Stmt);
    s->kind = kind;
    vec_push(b->a, &b->seq->seq, s);
    return s;
}

LBuf *lb_alloc(LB *b, BufScope scope, LType t, int64_t count)
{
    bug_if(scope == BUF_ARG, "%s: lb_alloc makes no arguments", b->f->name);
    char letter = scope == BUF_REGISTER ? 'r' : 'l';
    LBuf *u = new_buf(b, scope, t, count, letter, b->f->buf.n - b->f->nargs);
    add_stmt(b, S_ALLOC)->buf = u;
    return u;
}

static Stmt *new_seq(Arena *a)
{
    Stmt *s = NEW(a, Stmt);
    s->kind = S_SEQ;
    return s;
}

static void open_body(LB *b, Stmt *s)
{
    LOpen o = {s, b->seq};
    vec_push(b->a, &b->open, o);
    s->body = b->seq = new_seq(b->a);
}

static Expr *var_expr(LB *b, LVar *v, LType t)
{
    Expr *x = expr_new(b, E_VAR, t);
    x->var = v;
    return x;
}

Expr *x_task(LB *b)
{
    return var_expr(b, b->f->task, LT_I64);
}

Expr *lb_for(LB *b, ForKind k, Expr *extent, const char *name)
{
    bug_if(extent->type != LT_I64, "%s: extent of %s is %s", b->f->name, name,
           ltype_name(extent->type));
    bug_if(k != FOR_SERIAL && extent->kind != E_CONST, "%s: extent of %s must be constant",
           b->f->name, name);
    Stmt *s = add_stmt(b, S_FOR);
    s->fkind = k;
    s->extent = extent;
    s->var = new_var(b->a, b->f, name);
    open_body(b, s);
    return var_expr(b, s->var, LT_I64);
}

Expr *lb_for_n(LB *b, ForKind k, int64_t extent, const char *name)
{
    return lb_for(b, k, x_i64(b, extent), name);
}

void lb_if(LB *b, Expr *cond)
{
    bug_if(cond->type != LT_BOOL, "%s: condition is %s", b->f->name, ltype_name(cond->type));
    Stmt *s = add_stmt(b, S_IF);
    s->x = cond;
    open_body(b, s);
}

void lb_else(LB *b)
{
    bug_if(b->open.n == 0, "%s: lb_else outside of an IF", b->f->name);
    Stmt *s = b->open.v[b->open.n - 1].stmt;
    bug_if(s->kind != S_IF || s->other, "%s: lb_else outside of an IF", b->f->name);
    s->other = b->seq = new_seq(b->a);
}

void lb_end(LB *b)
{
    bug_if(b->open.n == 0, "%s: lb_end without lb_for or lb_if", b->f->name);
    b->seq = b->open.v[--b->open.n].outer;
}

Expr *lb_let(LB *b, Expr *x, const char *name)
{
    if (x->kind == E_CONST || x->kind == E_VAR) return x;
    Stmt *s = add_stmt(b, S_LET);
    s->var = new_var(b->a, b->f, name);
    s->x = x;
    return var_expr(b, s->var, x->type);
}

void lb_store(LB *b, LBuf *buf, Expr *index, Expr *x)
{
    bug_if(x->type != buf->type, "%s: storing %s to %s, which holds %s", b->f->name,
           ltype_name(x->type), buf->name, ltype_name(buf->type));
    bug_if(index->type != LT_I64, "%s: index of %s is %s", b->f->name, buf->name,
           ltype_name(index->type));
    Stmt *s = add_stmt(b, S_STORE);
    s->buf = buf;
    s->index = index;
    s->x = x;
    buf->written = true;
}

void lb_prefetch(LB *b, LBuf *buf, Expr *index)
{
    Stmt *s = add_stmt(b, S_PREFETCH);
    s->buf = buf;
    s->index = index;
}
