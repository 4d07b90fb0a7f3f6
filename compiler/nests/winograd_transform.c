/* Transforms of wino.h as straight-line code: columns first, then rows. Zeros of the matrix cost nothing, ones no
 * multiplication, and what rows have in common is summed once. */
#include "nests/wino.h"

/* y = matrix x */
static void multiply(LB *b, const WinogradSums *s, int rows, int cols, Expr *const *x, Expr **y)
{
    Expr *value[WINOGRAD_MOST + sizeof s->step / sizeof *s->step];
    for (int j = 0; j < cols; j++) value[j] = x[j];
    for (int i = 0; i < s->nsteps; i++) {
        double factor = s->step[i].factor;
        Expr *p = value[s->step[i].a], *q = s->step[i].b < 0 ? NULL : value[s->step[i].b], *sum;
        if (!q)
            sum = x_bin(b, B_MUL, p, x_f32(b, factor));
        else if (factor == 1 || factor == -1)
            sum = x_bin(b, factor == 1 ? B_ADD : B_SUB, p, q);
        else
            sum = x_fma(b, q, x_f32(b, factor), p);
        value[cols + i] = lb_let(b, sum, "w");
    }
    for (int i = 0; i < rows; i++) y[i] = value[s->row[i]];
}

static Expr *input(Nest *n, const Transform *t, int i, int j, Expr *lane)
{
    LB *b = n->b;
    Expr *at = t->load ? NULL : x_add(b, x_addi(b, t->x, i * t->xs[0] + j * t->xs[1]), lane);
    return lb_let(b, at ? nest_load_at(n, t->from, at) : t->load(t->of, i, j, lane), "d");
}

void wino_transform(Nest *n, const Transform *t)
{
    LB *b = n->b;
    Expr *x[WINOGRAD_MOST], *y[WINOGRAD_MOST];
    WinogradSums sums = winograd_sums(t->matrix, t->rows, t->cols);
    LBuf *between = lb_alloc(b, BUF_REGISTER, LT_F32, (int64_t)t->rows * t->cols * BLOCK);
    Expr *lane = lb_for_n(b, FOR_VECTOR, BLOCK, "l");
    for (int j = 0; j < t->cols; j++) {
        for (int i = 0; i < t->cols; i++) x[i] = input(n, t, i, j, lane);
        multiply(b, &sums, t->rows, t->cols, x, y);
        for (int i = 0; i < t->rows; i++)
            lb_store(b, between, x_addi(b, lane, (int64_t)(i * t->cols + j) * BLOCK), y[i]);
    }
    for (int i = 0; i < t->rows; i++) {
        for (int j = 0; j < t->cols; j++)
            x[j] = lb_let(b, x_load(b, between, x_addi(b, lane, (int64_t)(i * t->cols + j) * BLOCK)), "d");
        multiply(b, &sums, t->rows, t->cols, x, y);
        for (int j = 0; j < t->rows; j++)
            lb_store(b, t->to, x_add(b, x_addi(b, t->y, i * t->ys[0] + j * t->ys[1]), lane), y[j]);
    }
    lb_end(b);
}
