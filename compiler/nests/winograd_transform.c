/* Transforms of wino.h as straight-line code: columns first, then rows. Zeros of the matrix cost nothing, ones no
 * multiplication. */
#include "nests/wino.h"

/* sum of row[j] * x[j] */
static Expr *dot(LB *b, const double *row, int n, Expr *const *x)
{
    Expr *sum = NULL;
    int first = 0;
    while (first < n && row[first] != 1) first++; /* begins with a term that needs no multiplication */
    if (first < n) sum = x[first];
    for (int j = 0; j < n; j++) {
        if (j == first || row[j] == 0) continue;
        if (!sum)
            sum = x_bin(b, B_MUL, x[j], x_f32(b, row[j]));
        else if (row[j] == 1 || row[j] == -1)
            sum = x_bin(b, row[j] == 1 ? B_ADD : B_SUB, sum, x[j]);
        else
            sum = x_fma(b, x[j], x_f32(b, row[j]), sum);
    }
    return lb_let(b, sum, "w");
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
    Expr *x[WINOGRAD_MOST];
    LBuf *between = lb_alloc(b, BUF_REGISTER, LT_F32, (int64_t)t->rows * t->cols * BLOCK);
    Expr *lane = lb_for_n(b, FOR_VECTOR, BLOCK, "l");
    for (int j = 0; j < t->cols; j++) {
        for (int i = 0; i < t->cols; i++) x[i] = input(n, t, i, j, lane);
        for (int i = 0; i < t->rows; i++)
            lb_store(b, between, x_addi(b, lane, (int64_t)(i * t->cols + j) * BLOCK), dot(b, t->matrix[i], t->cols, x));
    }
    for (int i = 0; i < t->rows; i++) {
        for (int j = 0; j < t->cols; j++)
            x[j] = lb_let(b, x_load(b, between, x_addi(b, lane, (int64_t)(i * t->cols + j) * BLOCK)), "d");
        for (int j = 0; j < t->rows; j++) {
            Expr *at = x_add(b, x_addi(b, t->y, i * t->ys[0] + j * t->ys[1]), lane);
            lb_store(b, t->to, at, dot(b, t->matrix[j], t->cols, x));
        }
    }
    lb_end(b);
}
