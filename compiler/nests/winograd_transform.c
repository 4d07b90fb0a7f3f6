/* Transforms of wino.h as straight lines of code: columns first, then rows, in loops where these are long. Zeros of the matrix
 * cost nothing, ones no multiplication, and what rows have in common is summed once. Where a block of channels is several
 * vectors, they take turns, so that the code is there once; but results in registers, and inputs that someone else loads, have
 * no place that is known only at run time. */
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

/* Row i of column j, or of column number `column`. */
static Expr *input(Nest *n, const Transform *t, int i, int j, Expr *column, Expr *lane)
{
    LB *b = n->b;
    if (t->load) return lb_let(b, t->load(t->of, i, j, lane), "d");
    Expr *at = x_addi(b, x_add(b, t->x, x_muli(b, column, t->xs[1])), i * t->xs[0]);
    return lb_let(b, nest_load_at(n, t->from, x_add(b, at, lane)), "d");
}

typedef struct Passes {
    WinogradSums sums;
    LBuf *between; /* the columns' results, row by row */
    int64_t width; /* of its vectors */
    Expr *v, *lane;
    int first, end; /* rows that are wanted */
} Passes;

static void column_pass(Nest *n, const Transform *t, const Passes *p, int j, Expr *column)
{
    LB *b = n->b;
    Expr *x[WINOGRAD_MOST], *y[WINOGRAD_MOST];
    for (int i = 0; i < t->cols; i++) x[i] = input(n, t, i, j, column, p->lane);
    multiply(b, &p->sums, t->rows, t->cols, x, y);
    for (int i = p->first; i < p->end; i++) {
        Expr *at = x_muli(b, x_addi(b, column, (int64_t)i * t->cols), p->width);
        lb_store(b, p->between, x_add(b, at, p->v), y[i]);
    }
}

/* Row `row`, counted from the first that is wanted. */
static void row_pass(Nest *n, const Transform *t, const Passes *p, Expr *row)
{
    LB *b = n->b;
    Expr *x[WINOGRAD_MOST], *y[WINOGRAD_MOST];
    for (int j = 0; j < t->cols; j++) {
        Expr *at = x_addi(b, x_muli(b, x_addi(b, row, p->first), t->cols), j);
        x[j] = lb_let(b, x_load(b, p->between, x_add(b, x_muli(b, at, p->width), p->v)), "d");
    }
    multiply(b, &p->sums, t->rows, t->cols, x, y);
    Expr *to = x_add(b, t->y, x_muli(b, row, t->ys[0]));
    for (int j = 0; j < t->rows; j++) lb_store(b, t->to, x_add(b, x_addi(b, to, j * t->ys[1]), p->lane), y[j]);
}

/* Where registers do not hold what is between the passes, or rows are many, their code is there once. */
static bool in_loops(const Transform *t)
{
    enum { MANY = 7, MOST = 32 /* registers there are */ };
    bool many = t->rows >= MANY || t->cols >= MANY;
    return !t->load && (many || t->rows * t->cols > MOST);
}

void wino_transform(Nest *n, const Transform *t)
{
    LB *b = n->b;
    Passes p = {.sums = winograd_sums(t->matrix, t->rows, t->cols), .first = t->first};
    p.end = t->some ? t->first + t->some : t->rows;
    int64_t lanes = t->lanes ? t->lanes : BLOCK, most = n->sched->machine->lanes;
    bool loops = in_loops(t);
    bool registers = t->to->scope == BUF_REGISTER;
    p.width = most < lanes && !registers ? most : lanes;
    p.between = lb_alloc(b, loops ? BUF_LOCAL : BUF_REGISTER, LT_F32, (int64_t)t->rows * t->cols * p.width);
    Expr *turn = p.width < lanes ? lb_for_n(b, FOR_SERIAL, lanes / p.width, "h") : x_i64(b, 0);
    bool by_row = loops && !registers;
    Expr *j = loops ? lb_for_n(b, FOR_SERIAL, t->cols, "j") : NULL;
    p.v = lb_for_n(b, FOR_VECTOR, p.width, "l");
    p.lane = x_add(b, x_muli(b, turn, p.width), p.v);
    for (int k = 0; k < (loops ? 1 : t->cols); k++) column_pass(n, t, &p, k, loops ? j : x_i64(b, k));
    if (loops) { /* rows take what other columns left in memory */
        nest_close(n, 2);
        if (by_row) j = lb_for_n(b, FOR_SERIAL, p.end - p.first, "i");
        p.v = lb_for_n(b, FOR_VECTOR, p.width, "l");
        p.lane = x_add(b, x_muli(b, turn, p.width), p.v);
    }
    for (int k = 0; k < (by_row ? 1 : p.end - p.first); k++) row_pass(n, t, &p, by_row ? j : x_i64(b, k));
    nest_close(n, 1 + by_row + (p.width < lanes));
}
