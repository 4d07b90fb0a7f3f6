/* The linear part of index expressions.
 * In: an integer expression and a variable. Out: the variable's coefficient, if the expression is
 * linear in it. Rule: variables bound by LET are opaque: their value is another expression, which
 * the caller knows. */
#include "loop/loop.h"

bool expr_const(const Expr *x, int64_t *c)
{
    if (x->kind != E_CONST || x->type == LT_F32 || x->type == LT_F64) return false;
    *c = x->c.i;
    return true;
}

static bool occurs(const Expr *x, const LVar *v)
{
    if (x->kind == E_VAR) return x->var == v;
    for (int i = 0; i < 3; i++)
        if (x->x[i] && occurs(x->x[i], v)) return true;
    return false;
}

static bool coef_bin(const Expr *x, const LVar *v, int64_t *coef)
{
    int64_t p, q, k;
    if (x->op == B_MUL && expr_const(x->x[1], &k)) {
        if (!expr_coef(x->x[0], v, &p)) return false;
        *coef = p * k;
        return true;
    }
    if (x->op == B_SHL && expr_const(x->x[1], &k) && k >= 0 && k < 32) {
        if (!expr_coef(x->x[0], v, &p)) return false;
        *coef = p * ((int64_t)1 << k);
        return true;
    }
    if (x->op == B_ADD || x->op == B_SUB) {
        if (!expr_coef(x->x[0], v, &p) || !expr_coef(x->x[1], v, &q)) return false;
        *coef = x->op == B_ADD ? p + q : p - q;
        return true;
    }
    *coef = 0;
    return !occurs(x, v);
}

bool expr_coef(const Expr *x, const LVar *v, int64_t *coef)
{
    *coef = 0;
    if (x->kind == E_VAR) *coef = x->var == v;
    if (x->kind == E_VAR || x->kind == E_CONST) return true;
    if (x->kind == E_BIN && x->type == LT_I64) return coef_bin(x, v, coef);
    return !occurs(x, v);
}
