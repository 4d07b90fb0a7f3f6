/* Pooling whose windows overlap by one row and one column, on the accumulators of a contraction: a task follows a strip of
 * windows side by side down the plane. A tile is the rows by which one window's row is below the one before, all columns
 * of the strip, and the last column of the strip to the left, which is computed twice; what the windows need of the row
 * above is carried from tile to tile. So only 1/(columns) of the work is done again, and nothing before pooling is stored.
 *
 * In: a group whose loops schedule_contract.c has cut so: the loop along columns laps over, the one along rows is the
 * innermost of the outputs and runs in order. Padding is one row and one column that never win. Maxima only. */
#include "nests/contract.h"
#include <math.h>

typedef struct Strip {
    const Node *pool;
    Window w;
    int loop[2];     /* of rows and of columns */
    int64_t windows; /* side by side */
} Strip;

static Strip strip_of(const Con *c)
{
    const Node *pool = c->n.group->pool;
    Strip s = {.pool = pool, .w = pool->op->window(pool), .windows = group_strip(pool)};
    for (int k = 0; k < c->s->nloop; k++)
        for (int d = 0; d < 2; d++)
            if (c->s->loop[k].role == ROLE_ROW && c->s->con.out.coef[2 + d][c->s->loop[k].axis]) s.loop[d] = k;
    return s;
}

static Expr *carried(Con *c, const Strip *s, Expr *q, Expr *j, Expr *v)
{
    LB *b = c->n.b;
    return x_add(b, x_muli(b, x_add(b, x_muli(b, j, s->windows), q), BLOCK), v);
}

void con_begin_strip(Con *c)
{
    LB *b = c->n.b;
    Strip s = strip_of(c);
    int64_t columns = c->s->loop[schedule_columns(c->s)].tile;
    c->carry = lb_alloc(b, BUF_REGISTER, LT_F32, columns * s.windows * BLOCK);
    Expr *j = lb_for_n(b, FOR_UNROLL, columns, "j"), *q = lb_for_n(b, FOR_UNROLL, s.windows, "q");
    Expr *v = lb_for_n(b, FOR_VECTOR, BLOCK, "v");
    lb_store(b, c->carry, carried(c, &s, q, j, v), x_f32(b, -INFINITY));
    nest_close(&c->n, 3);
}

/* The pooled value's input at row y and column x of window q; the column left of the plane never wins. */
static Expr *value_at(Con *c, const Strip *s, Expr **r, Expr *q, Expr *j, Expr *v, int64_t y, int64_t x)
{
    LB *b = c->n.b;
    r[s->loop[0]] = x_i64(b, y);
    r[s->loop[1]] = x_addi(b, x_muli(b, q, s->w.stride[1]), x);
    con_set_anchor(c, r, j, v);
    Expr *value = nest_value(&c->n, s->pool->in[0]);
    if (x > 0) return value;
    Expr *inside = x_cmp(b, C_GE, c->n.at.idx[3], x_i64(b, 0));
    return x_select(b, inside, value, x_f32(b, -INFINITY));
}

/* Takes the window's values in row y of the tile. */
static void take_row(Con *c, const Strip *s, Expr **state, Expr **r, Expr *q, Expr *j, Expr *v, int64_t y)
{
    Body body = nest_body(&c->n);
    for (int64_t x = 0; x < s->w.kernel[1]; x++) {
        s->pool->op->wstep(&body, s->pool, state, value_at(c, s, r, q, j, v, y, x), x_i32(c->n.b, 0));
        state[0] = lb_let(c->n.b, state[0], "s");
    }
}

static void store_window(Con *c, const Strip *s, Expr *const *r, Expr *q, Expr *j, Expr *v, Expr *x)
{
    LB *b = c->n.b;
    con_set_anchor(c, r, j, v); /* for its images and channels */
    Coord at = c->n.at;
    at.idx[2] = c->tile[s->loop[0]];
    at.idx[3] = x_add(b, x_muli(b, c->tile[s->loop[1]], s->windows), q);
    nest_point(&c->n, s->pool->shape, &at);
    nest_set(&c->n, s->pool, x);
    nest_store_outs(&c->n, STAGE_POOL, STAGE_LAST);
}

void con_strip_epilogue(Con *c)
{
    LB *b = c->n.b;
    Strip s = strip_of(c);
    Expr *r[CON_MAX_LOOPS], *state[2], *row[2];
    for (int k = 0; k < c->s->nloop; k++) r[k] = x_i64(b, 0);
    Expr *j = lb_for_n(b, FOR_UNROLL, c->cols, "j"), *q = lb_for_n(b, FOR_UNROLL, s.windows, "q");
    Expr *v = lb_for_n(b, FOR_VECTOR, BLOCK, "v");
    Body body = nest_body(&c->n);
    s.pool->op->winit(&body, s.pool, state);
    s.pool->op->wstep(&body, s.pool, state, x_load(b, c->carry, carried(c, &s, q, j, v)), x_i32(b, 0));
    for (int64_t y = 0; y < s.w.stride[0]; y++) {
        s.pool->op->winit(&body, s.pool, row);
        take_row(c, &s, row, r, q, j, v, y);
        s.pool->op->wstep(&body, s.pool, state, row[0], x_i32(b, 0));
    }
    Expr *x = lb_let(b, s.pool->op->wdone(&body, s.pool, state, x_f32(b, 1)), "p");
    lb_store(b, c->carry, carried(c, &s, q, j, v), row[0]);
    store_window(c, &s, r, q, j, v, x);
    nest_close(&c->n, 3);
}
