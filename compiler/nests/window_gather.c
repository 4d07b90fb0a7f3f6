/* The transpose of a window as an expression: what all windows that hold the current element give to it, without a loop
 * and without a branch, so that a nest of another kind can ask for it (fuse_rules.c, rule_gather).
 *
 * Along one dim, element i lies at place p = i + pad of the padded plane, q = p / stride is the last window that may hold
 * it, and tap p - q*stride its place there; each window before has it `stride` taps further on. Windows outside of the
 * plane are read at its edge and not counted. */
#include "nests/nest.h"

typedef struct Along { /* windows along one dim, the last first */
    Expr *last, *tap;  /* its number, and the tap of the element in it */
    int64_t candidates;
} Along;

static Expr *coordinate(Nest *n, int axis)
{
    Body body = nest_body(n);
    return body.coord(&body, axis);
}

static Along along(Nest *n, const Window *w, int d)
{
    LB *b = n->b;
    Expr *p = lb_let(b, x_addi(b, coordinate(n, 2 + d), w->pad[d]), "p");
    Expr *last = lb_let(b, x_divi(b, p, w->stride[d]), "o");
    return (Along){last, lb_let(b, x_modi(b, p, w->stride[d]), "k"), (w->kernel[d] + w->stride[d] - 1) / w->stride[d]};
}

/* Candidate c: its number, kept inside of the plane; its tap; whether it is a window that has this tap. */
static void candidate(Nest *n, const Window *w, const Along *x, int d, int64_t c, int64_t count, Expr **window, Expr **tap,
                      Expr **valid)
{
    LB *b = n->b;
    Expr *o = x_addi(b, x->last, -c), *end = x_i64(b, count - 1);
    *tap = x_addi(b, x->tap, c * w->stride[d]);
    *window = lb_let(b, x_bin(b, B_MAX, x_i64(b, 0), x_bin(b, B_MIN, o, end)), "o");
    Expr *there = x_cmp(b, C_EQ, *window, o), *held = x_cmp(b, C_LT, *tap, x_i64(b, w->kernel[d]));
    *valid = lb_let(b, x_bin(b, B_AND, there, held), "m");
}

Expr *nest_windows_of(Nest *n, const Node *v)
{
    enum { MOST_IN = 4 };
    LB *b = n->b;
    Window w = v->op->window(v);
    Along x[2] = {along(n, &w, 0), along(n, &w, 1)};
    Expr *sum = NULL, *count = x_f32(b, (double)(w.kernel[0] * w.kernel[1])), *in[MOST_IN];
    for (int64_t c = 0; c < x[0].candidates * x[1].candidates; c++) {
        Coord at = n->at;
        Expr *tap[2], *valid[2];
        for (int d = 0; d < 2; d++)
            candidate(n, &w, &x[d], d, d ? c % x[1].candidates : c / x[1].candidates, v->in[0]->shape.dim[2 + d],
                      &at.idx[2 + d], &tap[d], &valid[d]);
        for (int i = 0; i < v->nin; i++) in[i] = nest_load(n, v->in[i], &at);
        Expr *number = x_cast(b, LT_I32, x_add(b, x_muli(b, tap[0], w.kernel[1]), tap[1]));
        Body body = nest_body(n);
        Expr *term = v->op->wterm(&body, v, in, number, count);
        term = x_select(b, x_bin(b, B_AND, valid[0], valid[1]), term, x_f32(b, 0));
        sum = sum ? x_add(b, sum, term) : term;
    }
    return sum;
}
