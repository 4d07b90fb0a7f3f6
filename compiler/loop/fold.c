/* Expressions: each x_*() returns the simplest expression of the same value.
 * Rule: folding is exact, to the bit, in the type of the expression: i32 wraps, f32 rounds once.
 * Float identities that would change a signed zero (x + 0.0) or a NaN (x * 0.0) are left alone.
 * Integer index arithmetic keeps constants at the right end, so that (x+c)+d and (x*c)*d merge. */
#include "loop/fold.h"
#include "loop/stored.h"
#include "support/diag.h"
#include <math.h>

static bool is_float(LType t)
{
    return t == LT_F32 || t == LT_F64;
}

static bool is_int(LType t)
{
    return t == LT_I32 || t == LT_I64 || t == LT_U8;
}

Expr *expr_new(LB *b, ExprKind kind, LType type)
{
    Expr *x = NEW(b->a, Expr);
    x->kind = kind;
    x->type = type;
    x->id = b->f->nexprs++;
    return x;
}

static Expr *make_float(LB *b, LType t, double v)
{
    Expr *x = expr_new(b, E_CONST, t);
    x->c.f = t == LT_F32 ? (float)v : v;
    return x;
}

static int64_t wrap(LType t, int64_t v)
{
    if (t == LT_I32) return (int32_t)(uint32_t)(uint64_t)v;
    if (t == LT_U8) return (uint8_t)v;
    if (t == LT_BOOL) return v & 1;
    return v;
}

static Expr *make_int(LB *b, LType t, int64_t v)
{
    Expr *x = expr_new(b, E_CONST, t);
    x->c.i = wrap(t, v);
    return x;
}

Expr *x_f32(LB *b, double v)
{
    return make_float(b, LT_F32, v);
}

Expr *x_f64(LB *b, double v)
{
    return make_float(b, LT_F64, v);
}

Expr *x_i64(LB *b, int64_t v)
{
    return make_int(b, LT_I64, v);
}

Expr *x_i32(LB *b, int64_t v)
{
    return make_int(b, LT_I32, v);
}

Expr *x_load(LB *b, LBuf *buf, Expr *index)
{
    bug_if(index->type != LT_I64, "%s: index of %s is %s", b->f->name, buf->name,
           ltype_name(index->type));
    Expr *x = expr_new(b, E_LOAD, buf->type);
    x->buf = buf;
    x->x[0] = index;
    return x;
}

static bool is_iconst(const Expr *x, int64_t v)
{
    return x->kind == E_CONST && !is_float(x->type) && x->c.i == v;
}

static bool is_fconst(const Expr *x, double v)
{
    return x->kind == E_CONST && is_float(x->type) && x->c.f == v;
}

/* x is `y op constant`. */
static bool is_bin_const(const Expr *x, BinOp op)
{
    return x->kind == E_BIN && x->op == (int)op && x->x[1]->kind == E_CONST;
}

static Expr *make_bin(LB *b, BinOp op, Expr *x, Expr *y)
{
    Expr *e = expr_new(b, E_BIN, x->type);
    e->op = op;
    e->x[0] = x;
    e->x[1] = y;
    return e;
}

static bool fold_int(BinOp op, LType t, int64_t x, int64_t y, int64_t *r)
{
    uint64_t u = (uint64_t)x, v = (uint64_t)y;
    int bits = ltype_size(t) * 8;
    switch (op) {
    case B_ADD:
        *r = (int64_t)(u + v);
        return true;
    case B_SUB:
        *r = (int64_t)(u - v);
        return true;
    case B_MUL:
        *r = (int64_t)(u * v);
        return true;
    case B_DIV:
    case B_MOD:
        if (y <= 0 || x < 0) return false;
        *r = op == B_DIV ? x / y : x % y;
        return true;
    case B_MIN:
        *r = x < y ? x : y;
        return true;
    case B_MAX:
        *r = x > y ? x : y;
        return true;
    case B_AND:
        *r = x & y;
        return true;
    case B_OR:
        *r = x | y;
        return true;
    case B_XOR:
        *r = x ^ y;
        return true;
    case B_SHL:
    case B_SHR:
        if (y < 0 || y >= bits) return false;
        if (t == LT_I32) u = (uint32_t)u;
        *r = (int64_t)(op == B_SHL ? u << v : u >> v);
        return true;
    }
    return false;
}

static bool fold_float(BinOp op, LType t, double x, double y, double *r)
{
    float f = (float)x, g = (float)y;
    bool s = t == LT_F32;
    switch (op) {
    case B_ADD:
        *r = s ? f + g : x + y;
        return true;
    case B_SUB:
        *r = s ? f - g : x - y;
        return true;
    case B_MUL:
        *r = s ? f * g : x * y;
        return true;
    case B_DIV:
        *r = s ? f / g : x / y;
        return true;
    case B_MIN:
        *r = x < y ? x : y;
        return true;
    case B_MAX:
        *r = x > y ? x : y;
        return true;
    default:
        return false;
    }
}

static Expr *fold_consts(LB *b, BinOp op, const Expr *x, const Expr *y)
{
    int64_t i;
    double d;
    if (is_float(x->type))
        return fold_float(op, x->type, x->c.f, y->c.f, &d) ? make_float(b, x->type, d) : NULL;
    return fold_int(op, x->type, x->c.i, y->c.i, &i) ? make_int(b, x->type, i) : NULL;
}

/* Integer x op y where at least one is no constant, and a constant stands at the right. NULL:
 * nothing known. */
static Expr *simplify_int(LB *b, BinOp op, Expr *x, Expr *y)
{
    bool yc = y->kind == E_CONST;
    int64_t c = yc ? y->c.i : 0;
    LType t = x->type;
    switch (op) {
    case B_ADD:
        if (is_iconst(y, 0)) return x;
        if (yc && is_bin_const(x, B_ADD))
            return x_add(b, x->x[0],
                         make_int(b, t, (int64_t)((uint64_t)x->x[1]->c.i + (uint64_t)c)));
        if (is_bin_const(y, B_ADD)) /* x + (y + c) */
            return x_add(b, x_add(b, x, y->x[0]), y->x[1]);
        if (is_bin_const(x, B_ADD)) /* (x + c) + y */
            return x_add(b, x_add(b, x->x[0], y), x->x[1]);
        return NULL;
    case B_SUB:
        if (x == y) return make_int(b, t, 0);
        if (yc) return x_add(b, x, make_int(b, t, (int64_t)(0 - (uint64_t)c)));
        return NULL;
    case B_MUL:
        if (is_iconst(y, 0)) return y;
        if (is_iconst(y, 1)) return x;
        if (yc && is_bin_const(x, B_MUL))
            return x_mul(b, x->x[0],
                         make_int(b, t, (int64_t)((uint64_t)x->x[1]->c.i * (uint64_t)c)));
        if (yc && is_bin_const(x, B_ADD))
            return x_add(b, x_mul(b, x->x[0], y),
                         make_int(b, t, (int64_t)((uint64_t)x->x[1]->c.i * (uint64_t)c)));
        return NULL;
    case B_DIV:
        if (is_iconst(x, 0) || is_iconst(y, 1)) return x;
        if (yc && c > 0 && t == LT_I64 && is_bin_const(x, B_MUL) && x->x[1]->c.i % c == 0)
            return x_muli(b, x->x[0], x->x[1]->c.i / c);
        if (yc && c > 0 && t == LT_I64 && is_bin_const(x, B_DIV))
            return x_divi(b, x->x[0], x->x[1]->c.i * c);
        return NULL;
    case B_MOD:
        if (is_iconst(x, 0)) return x;
        if (is_iconst(y, 1)) return make_int(b, t, 0);
        if (yc && c > 0 && t == LT_I64 && is_bin_const(x, B_MUL) && x->x[1]->c.i % c == 0)
            return make_int(b, t, 0);
        return NULL;
    case B_MIN:
    case B_MAX:
        if (x == y) return x;
        if (yc && is_bin_const(x, op)) return x_bin(b, op, x->x[0], fold_consts(b, op, x->x[1], y));
        return NULL;
    case B_SHL:
    case B_SHR:
    case B_XOR:
    case B_OR:
        return is_iconst(y, 0) ? x : NULL;
    case B_AND:
        return x == y ? x : is_iconst(y, 0) ? y : NULL;
    }
    return NULL;
}

static Expr *simplify_bool(BinOp op, Expr *x, Expr *y)
{
    if (y->kind != E_CONST) return NULL;
    if (op == B_AND) return y->c.i ? x : y;
    if (op == B_OR) return y->c.i ? y : x;
    return op == B_XOR && !y->c.i ? x : NULL;
}

static Expr *simplify_float(BinOp op, Expr *x, Expr *y)
{
    if ((op == B_MUL || op == B_DIV) && is_fconst(y, 1)) return x;
    if (op == B_SUB && is_fconst(y, 0) && !signbit(y->c.f)) return x;
    if (op == B_ADD && is_fconst(y, 0) && signbit(y->c.f)) return x;
    return NULL;
}

Expr *x_bin(LB *b, BinOp op, Expr *x, Expr *y)
{
    bug_if(x->type != y->type, "%s: %s op %s", b->f->name, ltype_name(x->type),
           ltype_name(y->type));
    bug_if(ltype_is_stored(x->type), "%s: arithmetic on %s", b->f->name, ltype_name(x->type));
    bug_if(x->type == LT_BOOL && op != B_AND && op != B_OR && op != B_XOR, "%s: arithmetic on bool",
           b->f->name);
    bug_if(is_float(x->type) && (op == B_MOD || op >= B_AND), "%s: integer operation on %s",
           b->f->name, ltype_name(x->type));
    if (x->kind == E_CONST && y->kind == E_CONST) {
        Expr *c = fold_consts(b, op, x, y);
        return c ? c : make_bin(b, op, x, y);
    }
    bool commutes = op == B_ADD || op == B_MUL || (op >= B_AND && op <= B_XOR) ||
                    ((op == B_MIN || op == B_MAX) && is_int(x->type));
    if (commutes && x->kind == E_CONST) {
        Expr *t = x;
        x = y;
        y = t;
    }
    Expr *s = is_float(x->type)    ? simplify_float(op, x, y)
              : x->type == LT_BOOL ? simplify_bool(op, x, y)
                                   : simplify_int(b, op, x, y);
    return s ? s : make_bin(b, op, x, y);
}

Expr *x_add(LB *b, Expr *x, Expr *y)
{
    return x_bin(b, B_ADD, x, y);
}

Expr *x_sub(LB *b, Expr *x, Expr *y)
{
    return x_bin(b, B_SUB, x, y);
}

Expr *x_mul(LB *b, Expr *x, Expr *y)
{
    return x_bin(b, B_MUL, x, y);
}

Expr *x_div(LB *b, Expr *x, Expr *y)
{
    return x_bin(b, B_DIV, x, y);
}

Expr *x_mod(LB *b, Expr *x, Expr *y)
{
    return x_bin(b, B_MOD, x, y);
}

Expr *x_muli(LB *b, Expr *x, int64_t k)
{
    return x_mul(b, x, make_int(b, x->type, k));
}

Expr *x_addi(LB *b, Expr *x, int64_t k)
{
    return x_add(b, x, make_int(b, x->type, k));
}

Expr *x_divi(LB *b, Expr *x, int64_t k)
{
    return x_div(b, x, make_int(b, x->type, k));
}

Expr *x_modi(LB *b, Expr *x, int64_t k)
{
    return x_mod(b, x, make_int(b, x->type, k));
}

Expr *x_fma(LB *b, Expr *x, Expr *y, Expr *z)
{
    bug_if(!is_float(x->type) || x->type != y->type || x->type != z->type, "%s: fma(%s, %s, %s)",
           b->f->name, ltype_name(x->type), ltype_name(y->type), ltype_name(z->type));
    if (is_fconst(x, 1)) return x_add(b, y, z);
    if (is_fconst(y, 1)) return x_add(b, x, z);
    if (x->kind == E_CONST && y->kind == E_CONST && z->kind == E_CONST)
        return make_float(b, x->type,
                          x->type == LT_F32 ? fmaf((float)x->c.f, (float)y->c.f, (float)z->c.f)
                                            : fma(x->c.f, y->c.f, z->c.f));
    Expr *e = expr_new(b, E_FMA, x->type);
    e->x[0] = x;
    e->x[1] = y;
    e->x[2] = z;
    return e;
}

static bool compare(CmpOp op, bool lt, bool eq, bool gt)
{
    switch (op) {
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

Expr *x_cmp(LB *b, CmpOp op, Expr *x, Expr *y)
{
    bug_if(x->type != y->type || x->type == LT_BOOL || ltype_is_stored(x->type),
           "%s: comparing %s with %s", b->f->name, ltype_name(x->type), ltype_name(y->type));
    if (x->kind == E_CONST && y->kind == E_CONST) {
        bool r = is_float(x->type) ? compare(op, x->c.f<y->c.f, x->c.f == y->c.f, x->c.f> y->c.f)
                                   : compare(op, x->c.i<y->c.i, x->c.i == y->c.i, x->c.i> y->c.i);
        return make_int(b, LT_BOOL, r);
    }
    Expr *e = expr_new(b, E_CMP, LT_BOOL);
    e->op = op;
    e->x[0] = x;
    e->x[1] = y;
    return e;
}

Expr *x_select(LB *b, Expr *c, Expr *x, Expr *y)
{
    bug_if(c->type != LT_BOOL || x->type != y->type || ltype_is_stored(x->type),
           "%s: select(%s, %s, %s)", b->f->name, ltype_name(c->type), ltype_name(x->type),
           ltype_name(y->type));
    if (c->kind == E_CONST) return c->c.i ? x : y;
    if (x == y) return x;
    Expr *e = expr_new(b, E_SELECT, x->type);
    e->x[0] = c;
    e->x[1] = x;
    e->x[2] = y;
    return e;
}

/* Only what is in the range of the target is folded. */
static Expr *fold_cast(LB *b, LType t, const Expr *x)
{
    if (!is_float(x->type))
        return is_float(t) ? make_float(b, t, t == LT_F32 ? (float)x->c.i : (double)x->c.i)
                           : make_int(b, t, x->c.i);
    if (is_float(t)) return make_float(b, t, x->c.f);
    if (!(fabs(x->c.f) < 9e15) || wrap(t, (int64_t)x->c.f) != (int64_t)x->c.f) return NULL;
    return make_int(b, t, (int64_t)x->c.f);
}

Expr *x_cast(LB *b, LType t, Expr *x)
{
    bug_if(t == LT_BOOL && x->type != LT_BOOL, "%s: cast to bool (use a comparison)", b->f->name);
    if (x->type == t) return x;
    bool stored = ltype_is_stored(t) || ltype_is_stored(x->type);
    bug_if(stored && t != LT_F32 && x->type != LT_F32, "%s: cast of %s to %s", b->f->name,
           ltype_name(x->type), ltype_name(t));
    if (stored && x->kind == E_CAST && x->x[0]->kind == E_CONST) /* f32(f16(constant)) */
        return x_f32(b, stored_to_f32(x->type, stored_from_f32(x->type, (float)x->x[0]->c.f)));
    if (x->kind == E_CONST && !stored) {
        Expr *c = fold_cast(b, t, x);
        if (c) return c;
    }
    Expr *e = expr_new(b, E_CAST, t);
    e->x[0] = x;
    return e;
}

Expr *x_call(LB *b, CallFn fn, Expr *x)
{
    bool both = fn == F_SQRT || fn == F_ABS;
    bug_if(!(x->type == LT_F32 || (x->type == LT_F64 && both)), "%s: call %d of %s", b->f->name,
           (int)fn, ltype_name(x->type));
    if (x->kind == E_CONST && fn == F_SQRT && x->c.f >= 0)
        return make_float(b, x->type, sqrt(x->c.f));
    if (x->kind == E_CONST && fn == F_ABS) return make_float(b, x->type, fabs(x->c.f));
    if (x->kind == E_CONST && fn == F_FLOOR) return make_float(b, x->type, floor(x->c.f));
    Expr *e = expr_new(b, E_CALL, x->type);
    e->op = fn;
    e->x[0] = x;
    return e;
}
