/* Draws a kernel: a task loop over a nest of serial, unrolled and vector loops, register and local
 * arrays, and random expressions with linear, strided, blocked and gathered indexes. */
#include "kernel_random.h"

typedef struct Draw {
    LB *b;
    unsigned seed;
    LBuf *arg[RANDOM_ARGS], *reg, *local;
    Expr
        *base; /* an index in [0, 1024) that every written argument is indexed with, and the lane */
    Expr *lane, *u; /* lane, unrolled variable; NULL: none */
    int64_t lanes;
    Expr *let[8]; /* f32 */
    int nlet;
} Draw;

static int draw(Draw *d, int n)
{
    d->seed = d->seed * 1664525u + 1013904223u;
    return (int)((d->seed >> 8) % (unsigned)n);
}

static Expr *plus(LB *b, Expr *x, Expr *y)
{
    return y ? x_add(b, x, y) : x;
}

static Expr *index_of(Draw *d);

/* A gather: an i32 element names the element. */
static Expr *index_loaded(Draw *d)
{
    return x_cast(d->b, LT_I64, x_load(d->b, d->arg[1], index_of(d)));
}

/* In [0, RANDOM_COUNT). */
static Expr *index_of(Draw *d)
{
    LB *b = d->b;
    Expr *x = d->base, *lane = d->lane ? d->lane : x_i64(b, 1);
    switch (draw(d, 8)) {
    case 0:
        return x; /* the same for all lanes */
    case 1:
        return x_add(b, x, x_muli(b, lane, 2 + draw(d, 3)));
    case 2:
        return x_sub(b, x_addi(b, x, 200), lane);
    case 3:
        return x_add(b, x_muli(b, x, 2), lane);
    case 4:
        return x_modi(b, x_muli(b, x_add(b, x, lane), 7), 1000);
    case 5:
        return index_loaded(d);
    default:
        return x_addi(b, x_add(b, x, lane), draw(d, 100));
    }
}

static Expr *f32_expr(Draw *d, int depth);
static Expr *i32_expr(Draw *d, int depth);

static Expr *condition(Draw *d, int depth)
{
    CmpOp op = (CmpOp)draw(d, 6);
    if (draw(d, 3) == 0) {
        Expr *c = x_cmp(d->b, op, i32_expr(d, depth), i32_expr(d, depth));
        return x_bin(d->b, (BinOp)(B_AND + draw(d, 3)), c,
                     x_cmp(d->b, C_GT, f32_expr(d, depth), x_f32(d->b, 0)));
    }
    if (d->lane && draw(d, 3) == 0) return x_cmp(d->b, op, d->lane, x_i64(d->b, 3));
    return x_cmp(d->b, op, f32_expr(d, depth), f32_expr(d, depth));
}

static Expr *i32_expr(Draw *d, int depth)
{
    LB *b = d->b;
    static const BinOp ops[] = {B_ADD, B_SUB, B_MUL, B_MIN, B_MAX, B_AND, B_OR, B_XOR};
    if (depth <= 0) {
        switch (draw(d, 4)) {
        case 0:
            return x_i32(b, draw(d, 1 << 18) * 7919);
        case 1:
            return x_cast(b, LT_I32, plus(b, d->base, d->lane));
        case 2:
            return x_cast(b, LT_I32, x_load(b, d->arg[2], index_of(d)));
        default:
            return x_load(b, d->arg[1], index_of(d));
        }
    }
    Expr *x = i32_expr(d, depth - 1), *bound;
    switch (draw(d, 6)) {
    case 0:
        return x_bin(b, draw(d, 2) ? B_SHL : B_SHR, x, x_i32(b, draw(d, 32)));
    case 1:
        bound = x_bin(b, B_MAX, f32_expr(d, depth - 1), x_f32(b, -1e6));
        return x_cast(b, LT_I32, x_bin(b, B_MIN, bound, x_f32(b, 1e6)));
    case 2:
        return x_bin(b, draw(d, 2) ? B_DIV : B_MOD, x_bin(b, B_AND, x, x_i32(b, 0x7fffffff)),
                     x_i32(b, 1 + draw(d, 50)));
    default:
        return x_bin(b, ops[draw(d, 8)], x, i32_expr(d, depth - 1));
    }
}

static Expr *f32_leaf(Draw *d)
{
    LB *b = d->b;
    switch (draw(d, 7)) {
    case 0:
        return x_f32(b, draw(d, 2000) / 256.0 - 3);
    case 1:
        return d->nlet ? d->let[draw(d, d->nlet)] : x_f32(b, 0);
    case 2:
        return x_cast(b, LT_F32, i32_expr(d, 0));
    case 3:
        return x_cast(b, LT_F32, x_load(b, d->arg[2], index_of(d)));
    case 4:
        return x_cast(b, LT_F32, x_load(b, d->arg[3], index_of(d)));
    default:
        return x_load(b, d->arg[0], index_of(d));
    }
}

static Expr *f32_expr(Draw *d, int depth)
{
    LB *b = d->b;
    static const BinOp ops[] = {B_ADD, B_SUB, B_MUL, B_DIV, B_MIN, B_MAX};
    static const CallFn calls[] = {F_SQRT, F_ABS, F_FLOOR};
    if (depth <= 0) return f32_leaf(d);
    Expr *x = f32_expr(d, depth - 1);
    switch (draw(d, 6)) {
    case 0:
        return x_fma(b, x, f32_expr(d, depth - 1), f32_expr(d, depth - 1));
    case 1:
        return x_select(b, condition(d, depth - 1), x, f32_expr(d, depth - 1));
    case 2:
        return x_call(b, calls[draw(d, 3)], x);
    case 3:
        return x_mul(b, x, x);
    default:
        return x_bin(b, ops[draw(d, 6)], x, f32_expr(d, depth - 1));
    }
}

/* One store to each kind of buffer, at base + lane. */
static void stores(Draw *d)
{
    LB *b = d->b;
    Expr *at = plus(b, d->base, d->lane), *slot = d->lane ? d->lane : x_i64(b, 0);
    if (d->u) slot = x_add(b, slot, x_muli(b, d->u, 32));
    d->nlet = 0;
    for (int n = draw(d, 4); n > 0; n--) {
        Expr *x = lb_let(b, f32_expr(d, 1 + draw(d, 2)), "x");
        if (x->kind == E_VAR) d->let[d->nlet++] = x;
    }
    lb_store(b, d->reg, slot, x_fma(b, f32_expr(d, 1), f32_expr(d, 1), x_load(b, d->reg, slot)));
    lb_store(b, d->local, slot, x_add(b, x_load(b, d->reg, slot), f32_expr(d, 1)));
    lb_store(b, d->arg[4], at, x_add(b, f32_expr(d, 2), x_load(b, d->local, slot)));
    lb_store(b, d->arg[5], at, i32_expr(d, 2));
    Expr *byte = x_bin(b, B_MIN, x_bin(b, B_MAX, f32_expr(d, 1), x_f32(b, 0)), x_f32(b, 255));
    lb_store(b, d->arg[6], at, x_cast(b, LT_U8, byte));
    Expr *wide = x_cast(b, LT_F64, f32_expr(d, 1)), *y = x_load(b, d->arg[3], index_of(d));
    lb_store(b, d->arg[7], at, x_fma(b, wide, y, x_call(b, F_SQRT, x_call(b, F_ABS, y))));
}

static void clear_slots(Draw *d)
{
    LB *b = d->b;
    Expr *u = lb_for_n(b, FOR_UNROLL, 3, "u"), *v = lb_for_n(b, FOR_VECTOR, 32, "v");
    Expr *at = x_add(b, v, x_muli(b, u, 32));
    lb_store(b, d->reg, at, x_f32(b, 1));
    lb_store(b, d->local, at, x_f32(b, 0));
    lb_end(b);
    lb_end(b);
}

static void body(Draw *d)
{
    LB *b = d->b;
    static const int64_t extents[] = {1, 2, 3, 4, 8, 10, 16, 16, 16, 24, 32};
    bool unroll = draw(d, 2);
    if (unroll) {
        d->u = lb_for_n(b, FOR_UNROLL, 1 + draw(d, 3), "u");
        d->base = x_add(b, d->base, x_muli(b, d->u, 32));
    }
    if (draw(d, 4)) {
        d->lanes = extents[draw(d, 11)];
        d->lane = lb_for_n(b, FOR_VECTOR, d->lanes, "v");
    }
    stores(d);
    if (d->lane) lb_end(b);
    if (unroll) lb_end(b);
}

Func *kernel_random(Arena *a, const char *name, unsigned seed)
{
    static const LType type[] = {LT_F32, LT_I32, LT_U8, LT_F64, LT_F32, LT_I32, LT_U8, LT_F64};
    Func *f = func_new(a, name, "random");
    f->ntasks = 4;
    LB b = lb_begin(a, f);
    Draw d = {.b = &b, .seed = seed};
    for (int i = 0; i < 4; i++) draw(&d, 2);
    for (int i = 0; i < RANDOM_ARGS; i++) d.arg[i] = lb_arg(&b, type[i], RANDOM_COUNT);
    d.reg = lb_alloc(&b, BUF_REGISTER, LT_F32, 96);
    d.local = lb_alloc(&b, BUF_LOCAL, LT_F32, 96);
    clear_slots(&d);
    /* i runs to 1, to 2, or to task % 3: a loop that may not be entered. */
    Expr *extent = draw(&d, 2) ? x_i64(&b, 1 + draw(&d, 2)) : x_modi(&b, x_task(&b), 3);
    Expr *i = lb_for(&b, FOR_SERIAL, extent, "i");
    lb_prefetch(&b, d.arg[0], x_muli(&b, x_task(&b), draw(&d, 2) ? RANDOM_COUNT : 16)); /* of elements or beyond: no effect */
    d.base = x_add(&b, x_muli(&b, x_task(&b), 192), x_muli(&b, i, 96));
    bool guarded = draw(&d, 3) == 0;
    if (guarded) lb_if(&b, x_cmp(&b, C_NE, i, x_i64(&b, 1)));
    body(&d);
    if (guarded) lb_end(&b);
    lb_end(&b);
    return f;
}
