/* Groups that work on one row at a time: reductions over axis 1 (channels) and elementwise nodes
 * between them: softmax, losses and their gradients. Per row: every reduction is one pass over the
 * channels, in order; values of the row stay in registers; at the end one pass stores the outputs.
 * Channels beyond the last one are stored as zero, so that gradients keep zero padding. */
#include "nests/nest.h"
#include <math.h>

typedef struct Row {
    Nest *n;
    Coord at;  /* of the row: every axis but 1 */
    int64_t c; /* channels */
    Shape domain;
} Row;

static bool of_row(const Row *r, const Node *v)
{
    return v->shape.rank < 2 || (v->shape.dim[1] == 1 && r->c > 1) || v->op->nest == NEST_REDUCE;
}

static Expr *open_channels(Row *r)
{
    Expr *c = lb_for_n(r->n->b, FOR_SERIAL, r->c, "c");
    r->at.idx[1] = c;
    nest_point(r->n, r->domain, &r->at);
    return c;
}

/* Sums in float64: a row may be long, and its terms alike. */
static void reduce_row(Row *r, const Node *v)
{
    LB *b = r->n->b;
    bool max = v->op->reduce(v).kind == REDUCE_MAX;
    Expr *zero = x_i64(b, 0);
    LBuf *acc = lb_alloc(b, BUF_REGISTER, max ? LT_F32 : LT_F64, 1);
    lb_store(b, acc, zero, max ? x_f32(b, -INFINITY) : x_f64(b, 0));
    open_channels(r);
    Expr *x = nest_value(r->n, v->in[0]), *old = x_load(b, acc, zero);
    lb_store(b, acc, zero, max ? x_bin(b, B_MAX, old, x) : x_add(b, old, x_cast(b, LT_F64, x)));
    lb_end(b);
    Expr *sum = x_load(b, acc, zero);
    r->n->in_row = true;
    nest_set(r->n, v, lb_let(b, max ? sum : x_cast(b, LT_F32, sum), "s"));
    r->n->in_row = false;
}

static void row_values(Row *r)
{
    Nest *n = r->n;
    for (int i = 0; i < n->group->node.n; i++) {
        const Node *v = n->group->node.v[i];
        if (v->op->nest == NEST_REDUCE) {
            reduce_row(r, v);
        } else if (of_row(r, v)) {
            r->at.idx[1] = x_i64(n->b, 0);
            nest_point(n, r->domain, &r->at);
            n->in_row = true;
            nest_value(n, v);
            n->in_row = false;
        }
    }
}

static void pad_channels(Row *r, const Node *v)
{
    const Layout *l = nest_layout(r->n, v);
    int64_t end = (l->dim[1] + l->block[1] - 1) / l->block[1] * l->block[1];
    if (end == r->c || v->dtype != DT_F32) return;
    Expr *c = lb_for_n(r->n->b, FOR_SERIAL, end - r->c, "c");
    r->at.idx[1] = x_addi(r->n->b, c, r->c);
    nest_point(r->n, r->domain, &r->at);
    nest_store(r->n, v, x_f32(r->n->b, 0));
    lb_end(r->n->b);
}

static void store_row(Row *r)
{
    Nest *n = r->n;
    bool full = false;
    for (int i = 0; i < n->group->out.n; i++) {
        const Node *v = n->group->out.v[i];
        full = full || !of_row(r, v);
        if (!of_row(r, v)) continue;
        r->at.idx[1] = x_i64(n->b, 0);
        nest_point(n, r->domain, &r->at);
        nest_store(n, v, nest_value(n, v));
    }
    if (!full) return;
    open_channels(r);
    for (int i = 0; i < n->group->out.n; i++)
        if (!of_row(r, n->group->out.v[i]))
            nest_store(n, n->group->out.v[i], nest_value(n, n->group->out.v[i]));
    lb_end(n->b);
    for (int i = 0; i < n->group->out.n; i++)
        if (!of_row(r, n->group->out.v[i])) pad_channels(r, n->group->out.v[i]);
}

void nest_row(Arena *a, Loops *out, const Group *g)
{
    Nest n;
    nest_begin(&n, a, out, g, "row");
    Row r = {.n = &n, .c = g->domain.dim[1], .domain = g->domain, .at = {.rank = g->domain.rank}};
    NestLoop loop[MAX_RANK];
    int nloop = 0;
    for (int i = 0; i < g->domain.rank; i++)
        if (i != 1) loop[nloop++] = (NestLoop){"i", g->domain.dim[i], false, NULL};
    int64_t tasks = nest_choose_tasks(&n, loop, nloop, r.c, 32);
    int opened = nest_open(&n, loop, nloop);
    for (int i = 0, k = 0; i < g->domain.rank; i++)
        if (i != 1) r.at.idx[i] = loop[k++].var;
    nest_new_row(&n);
    row_values(&r);
    store_row(&r);
    nest_close(&n, opened);
    nest_end(&n, tasks);
}
