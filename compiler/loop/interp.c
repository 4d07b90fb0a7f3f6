/* Runs loop IR, slowly and with every access checked.
 * In: a Func and buffers. Out: the buffers' new contents, equal to the bit to what a backend with
 * fused multiply-add computes, except for the calls (here: libm in double, rounded). Rule: anything
 * undefined (an index out of range, a shift past the width, a negative division) is a bug in the
 * kernel, reported with its text. Allocations hold NaN or -1 until stored to. */
#include "loop/stored.h"
#include "support/diag.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef union Value {
    float f;
    double d;
    int64_t i;
} Value;

typedef struct Run {
    const Func *f;
    void **mem;  /* by LBuf.id */
    Value *var;  /* by LVar.id */
    Value *memo; /* by Expr.id: shared parts are computed once per statement */
    int64_t *when, now;
} Run;

static _Noreturn void stop(const Run *r, const char *what, const LBuf *u, int64_t i)
{
    Buf b = {0};
    func_print(&b, r->f);
    fprintf(stderr, "%s\n", b.s);
    bug_if(true, "%s: %s %s (%lld)", r->f->name, what, u ? u->name : "", (long long)i);
    __builtin_unreachable();
}

static void *element(const Run *r, const LBuf *u, int64_t i)
{
    if (i < 0 || i >= u->count) stop(r, "index out of range of", u, i);
    return (char *)r->mem[u->id] + i * ltype_size(u->type);
}

static Value load(LType t, const void *p)
{
    Value v = {.i = 0};
    int32_t i;
    uint16_t h;
    switch (t) {
    case LT_F32:
        memcpy(&v.f, p, 4);
        break;
    case LT_F64:
        memcpy(&v.d, p, 8);
        break;
    case LT_I64:
        memcpy(&v.i, p, 8);
        break;
    case LT_I32:
        memcpy(&i, p, 4);
        v.i = i;
        break;
    case LT_U8:
    case LT_BOOL:
        v.i = *(const uint8_t *)p;
        break;
    case LT_F16:
    case LT_BF16:
        memcpy(&h, p, 2);
        v.i = h;
        break;
    case LT_TF32:
        memcpy(&i, p, 4);
        v.i = (uint32_t)i;
        break;
    }
    return v;
}

static void store(LType t, void *p, Value v)
{
    int32_t i = (int32_t)(uint32_t)(uint64_t)v.i;
    uint16_t h = (uint16_t)v.i;
    switch (t) {
    case LT_F32:
        memcpy(p, &v.f, 4);
        break;
    case LT_F64:
        memcpy(p, &v.d, 8);
        break;
    case LT_I64:
        memcpy(p, &v.i, 8);
        break;
    case LT_I32:
    case LT_TF32:
        memcpy(p, &i, 4);
        break;
    case LT_U8:
    case LT_BOOL:
        *(uint8_t *)p = (uint8_t)v.i;
        break;
    case LT_F16:
    case LT_BF16:
        memcpy(p, &h, 2);
        break;
    }
}

static int64_t wrap(LType t, uint64_t v)
{
    if (t == LT_I32) return (int32_t)(uint32_t)v;
    return t == LT_U8 ? (uint8_t)v : (int64_t)v;
}

static int64_t int_op(const Run *r, const Expr *e, int64_t x, int64_t y)
{
    uint64_t u = (uint64_t)x, v = (uint64_t)y;
    int bits = ltype_size(e->type) * 8;
    switch ((BinOp)e->op) {
    case B_ADD:
        return wrap(e->type, u + v);
    case B_SUB:
        return wrap(e->type, u - v);
    case B_MUL:
        return wrap(e->type, u * v);
    case B_DIV:
    case B_MOD:
        if (x < 0 || y <= 0) stop(r, "division of a negative number, or by", NULL, y);
        return e->op == B_DIV ? x / y : x % y;
    case B_MIN:
        return x < y ? x : y;
    case B_MAX:
        return x > y ? x : y;
    case B_AND:
        return x & y;
    case B_OR:
        return x | y;
    case B_XOR:
        return x ^ y;
    case B_SHL:
    case B_SHR:
        if (y < 0 || y >= bits) stop(r, "shift by", NULL, y);
        if (e->type == LT_I32) u = (uint32_t)u;
        return wrap(e->type, e->op == B_SHL ? u << y : u >> y);
    }
    return 0;
}

static float float_op(int op, float x, float y)
{
    switch (op) {
    case B_ADD:
        return x + y;
    case B_SUB:
        return x - y;
    case B_MUL:
        return x * y;
    case B_DIV:
        return x / y;
    case B_MIN:
        return x < y ? x : y;
    default:
        return x > y ? x : y;
    }
}

static double double_op(int op, double x, double y)
{
    switch (op) {
    case B_ADD:
        return x + y;
    case B_SUB:
        return x - y;
    case B_MUL:
        return x * y;
    case B_DIV:
        return x / y;
    case B_MIN:
        return x < y ? x : y;
    default:
        return x > y ? x : y;
    }
}

static bool order(int op, bool lt, bool eq, bool gt)
{
    switch ((CmpOp)op) {
    case C_EQ:
        return eq;
    case C_NE:
        return !eq;
    case C_LT:
        return lt;
    case C_LE:
        return lt || eq;
    case C_GT:
        return gt;
    case C_GE:
        return gt || eq;
    }
    return false;
}

static bool compare(const Expr *e, Value x, Value y)
{
    LType t = e->x[0]->type;
    if (t == LT_F32) return order(e->op, x.f<y.f, x.f == y.f, x.f> y.f);
    if (t == LT_F64) return order(e->op, x.d<y.d, x.d == y.d, x.d> y.d);
    return order(e->op, x.i<y.i, x.i == y.i, x.i> y.i);
}

static int64_t truncate_to(LType t, double d)
{
    if (t == LT_I64) return d >= -0x1p63 && d < 0x1p63 ? (int64_t)d : INT64_MIN;
    int64_t i = d > -0x1p31 - 1 && d < 0x1p31 ? (int32_t)d : INT32_MIN;
    return wrap(t, (uint64_t)i);
}

static Value cast(LType to, LType from, Value x)
{
    Value v = {.i = 0};
    bool fromf = from == LT_F32 || from == LT_F64;
    double d = from == LT_F32 ? (double)x.f : x.d;
    if (ltype_is_stored(to))
        v.i = stored_from_f32(to, x.f);
    else if (ltype_is_stored(from))
        v.f = stored_to_f32(from, (uint32_t)x.i);
    else if (to == LT_F32)
        v.f = fromf ? (float)d : (float)x.i;
    else if (to == LT_F64)
        v.d = fromf ? d : (double)x.i;
    else
        v.i = fromf ? truncate_to(to, d) : wrap(to, (uint64_t)x.i);
    return v;
}

static double call(int fn, double x)
{
    switch ((CallFn)fn) {
    case F_EXP:
        return exp(x);
    case F_LOG:
        return log(x);
    case F_SQRT:
        return sqrt(x);
    case F_TANH:
        return tanh(x);
    case F_ABS:
        return fabs(x);
    case F_FLOOR:
        return floor(x);
    case F_ERF:
        return erf(x);
    }
    return NAN;
}

static Value eval(Run *r, const Expr *e);

static Value eval_bin(Run *r, const Expr *e)
{
    Value v = {.i = 0}, x = eval(r, e->x[0]), y = eval(r, e->x[1]);
    if (e->type == LT_F32)
        v.f = float_op(e->op, x.f, y.f);
    else if (e->type == LT_F64)
        v.d = double_op(e->op, x.d, y.d);
    else
        v.i = int_op(r, e, x.i, y.i);
    return v;
}

static Value eval_fma(Run *r, const Expr *e)
{
    Value v = {.i = 0}, x = eval(r, e->x[0]), y = eval(r, e->x[1]), z = eval(r, e->x[2]);
    if (e->type == LT_F32)
        v.f = fmaf(x.f, y.f, z.f);
    else
        v.d = fma(x.d, y.d, z.d);
    return v;
}

static Value eval_const(const Expr *e)
{
    Value v = {.i = 0};
    if (e->type == LT_F32)
        v.f = (float)e->c.f;
    else if (e->type == LT_F64)
        v.d = e->c.f;
    else
        v.i = e->c.i;
    return v;
}

static Value eval_new(Run *r, const Expr *e)
{
    Value v = {.i = 0}, x, y;
    switch (e->kind) {
    case E_CONST:
        return eval_const(e);
    case E_VAR:
        return r->var[e->var->id];
    case E_LOAD:
        return load(e->type, element(r, e->buf, eval(r, e->x[0]).i));
    case E_BIN:
        return eval_bin(r, e);
    case E_FMA:
        return eval_fma(r, e);
    case E_CMP:
        x = eval(r, e->x[0]);
        v.i = compare(e, x, eval(r, e->x[1]));
        return v;
    case E_SELECT: /* both sides are computed, as a backend does */
        x = eval(r, e->x[1]);
        y = eval(r, e->x[2]);
        return eval(r, e->x[0]).i ? x : y;
    case E_CAST:
        return cast(e->type, e->x[0]->type, eval(r, e->x[0]));
    case E_CALL:
        x = eval(r, e->x[0]);
        if (e->type == LT_F32)
            v.f = (float)call(e->op, x.f);
        else
            v.d = call(e->op, x.d);
        return v;
    }
    return v;
}

static Value eval(Run *r, const Expr *e)
{
    if (r->when[e->id] == r->now) return r->memo[e->id];
    Value v = eval_new(r, e);
    r->when[e->id] = r->now;
    r->memo[e->id] = v;
    return v;
}

static void run(Run *r, const Stmt *s)
{
    r->now++;
    switch (s->kind) {
    case S_SEQ:
        for (int i = 0; i < s->seq.n; i++) run(r, s->seq.v[i]);
        break;
    case S_FOR: {
        int64_t n = eval(r, s->extent).i;
        for (int64_t i = 0; i < n; i++) {
            r->var[s->var->id].i = i;
            run(r, s->body);
        }
        break;
    }
    case S_IF:
        if (eval(r, s->x).i)
            run(r, s->body);
        else if (s->other)
            run(r, s->other);
        break;
    case S_LET:
        r->var[s->var->id] = eval(r, s->x);
        break;
    case S_STORE: {
        Value v = eval(r, s->x);
        store(s->buf->type, element(r, s->buf, eval(r, s->index).i), v);
        break;
    }
    case S_PREFETCH:
        break;
    case S_ALLOC:
        memset(r->mem[s->buf->id], 0xff, (size_t)(s->buf->count * ltype_size(s->buf->type)));
        break;
    }
}

void func_interp(const Func *f, void *const *args, int64_t begin, int64_t end)
{
    Arena *a = arena_new();
    size_t nx = (size_t)f->nexprs + 1;
    Run r = {.f = f,
             .mem = NEWN(a, void *, f->buf.n + 1),
             .var = NEWN(a, Value, f->nvars),
             .memo = NEWN(a, Value, nx),
             .when = NEWN(a, int64_t, nx)};
    for (int i = 0; i < f->buf.n; i++) {
        const LBuf *u = f->buf.v[i];
        r.mem[i] =
            i < f->nargs ? args[i] : arena_alloc(a, (size_t)(u->count * ltype_size(u->type)));
    }
    for (int64_t t = begin; t < end; t++) {
        r.var[f->task->id].i = t;
        run(&r, f->body);
    }
    arena_free(a);
}
