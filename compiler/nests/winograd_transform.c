/* Transforms of wino.h as straight-line code: columns first, then rows. Zeros of the matrix cost nothing, ones no
 * multiplication, and what rows have in common is summed once. Where a block of channels is several vectors, they take
 * turns, so that the code is there once; but results in registers have no place that is known only at run time. */
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
    int end = t->some ? t->first + t->some : t->rows;
    int64_t lanes = t->lanes ? t->lanes : BLOCK, most = n->sched->machine->lanes;
    int64_t width = most < lanes && t->to->scope != BUF_REGISTER ? most : lanes;
    LBuf *between = lb_alloc(b, BUF_REGISTER, LT_F32, (int64_t)t->rows * t->cols * width);
    Expr *turn = width < lanes ? lb_for_n(b, FOR_SERIAL, lanes / width, "h") : x_i64(b, 0);
    Expr *v = lb_for_n(b, FOR_VECTOR, width, "l"), *lane = x_add(b, x_muli(b, turn, width), v);
    for (int j = 0; j < t->cols; j++) {
        for (int i = 0; i < t->cols; i++) x[i] = input(n, t, i, j, lane);
        multiply(b, &sums, t->rows, t->cols, x, y);
        for (int i = t->first; i < end; i++)
            lb_store(b, between, x_addi(b, v, (int64_t)(i * t->cols + j) * width), y[i]);
    }
    for (int i = t->first; i < end; i++) {
        for (int j = 0; j < t->cols; j++)
            x[j] = lb_let(b, x_load(b, between, x_addi(b, v, (int64_t)(i * t->cols + j) * width)), "d");
        multiply(b, &sums, t->rows, t->cols, x, y);
        for (int j = 0; j < t->rows; j++)
            lb_store(b, t->to, x_add(b, x_addi(b, t->y, (i - t->first) * t->ys[0] + j * t->ys[1]), lane), y[j]);
    }
    nest_close(n, 1 + (width < lanes));
}
