/* Separable resampling of the plane: every output is a weighted sum over a small rectangle of the
 * input, with weights that are a product of a row part and a column part (Upsample, padding, and
 * their gradients). Vectors run along the channel block; the weights are scalars, computed once per
 * row and per column. */
#include "nests/nest.h"

enum { MOST_UNROLLED = 4 };

typedef struct Resample {
    Nest n;
    const Node *node;
    int64_t lanes;
    Coord at; /* of the output */
    LBuf *sum;
    Expr *lo[2], *count[2]; /* the rectangle */
} Resample;

static int64_t constant(const Expr *x)
{
    int64_t c;
    return expr_const(x, &c) ? c : -1;
}

/* Opens the loop over one dim of the rectangle; short constant ones are unrolled. */
static Expr *open_dim(Resample *r, int d)
{
    int64_t c = constant(r->count[d]);
    ForKind kind = c >= 0 && c <= MOST_UNROLLED ? FOR_UNROLL : FOR_SERIAL;
    return lb_for(r->n.b, kind, r->count[d], "k");
}

static void clear_sum(Resample *r)
{
    int opened;
    r->sum = lb_alloc(r->n.b, BUF_REGISTER, LT_F32, r->lanes);
    Expr *v = nest_lanes(&r->n, r->lanes, &opened);
    lb_store(r->n.b, r->sum, v, x_f32(r->n.b, 0));
    nest_close(&r->n, opened);
}

static void add_tap(Resample *r, Expr *h, Expr *w, Expr *weight)
{
    LB *b = r->n.b;
    int opened;
    Coord at = r->at;
    at.idx[2] = h;
    at.idx[3] = w;
    Expr *v = nest_lanes(&r->n, r->lanes, &opened);
    if (r->lanes > 1) at.lane[1] = v;
    Expr *x = nest_load(&r->n, r->node->in[0], &at);
    lb_store(b, r->sum, v, x_fma(b, weight, x, x_load(b, r->sum, v)));
    nest_close(&r->n, opened);
}

static void sum_rectangle(Resample *r)
{
    LB *b = r->n.b;
    Body body = nest_body(&r->n);
    Expr *i = r->at.idx[2], *j = r->at.idx[3];
    for (int d = 0; d < 2; d++) {
        r->node->op->range(&body, r->node, d, d ? j : i, &r->lo[d], &r->count[d]);
        r->lo[d] = lb_let(b, r->lo[d], "p");
        r->count[d] = lb_let(b, r->count[d], "q");
    }
    Expr *h = lb_let(b, x_add(b, r->lo[0], open_dim(r, 0)), "h");
    Expr *wh = lb_let(b, r->node->op->weight(&body, r->node, 0, i, h), "y");
    Expr *w = lb_let(b, x_add(b, r->lo[1], open_dim(r, 1)), "w");
    Expr *ww = lb_let(b, r->node->op->weight(&body, r->node, 1, j, w), "x");
    add_tap(r, h, w, lb_let(b, x_mul(b, wh, ww), "z"));
    nest_close(&r->n, 2);
}

static void store_sum(Resample *r)
{
    int opened;
    Expr *v = nest_lanes(&r->n, r->lanes, &opened);
    Coord at = r->at;
    if (r->lanes > 1) at.lane[1] = v;
    nest_point(&r->n, r->node->shape, &at);
    nest_set(&r->n, r->node, lb_let(r->n.b, x_load(r->n.b, r->sum, v), "s"));
    nest_store_outs(&r->n, STAGE_ANCHOR, STAGE_LAST);
    nest_close(&r->n, opened);
}

void nest_resample(Arena *a, Loops *out, const Group *g)
{
    Resample r = {.node = g->anchor};
    nest_begin(&r.n, a, out, g, "resample");
    const Layout *l = nest_layout(&r.n, r.node);
    r.lanes = l->block[1];
    NestLoop loop[4];
    for (int i = 0; i < 4; i++)
        loop[i] = (NestLoop){"i", (l->dim[i] + l->block[i] - 1) / l->block[i], false, NULL};
    int64_t tasks = nest_choose_tasks(&r.n, loop, 3, r.lanes * l->dim[3] * 4, 1024);
    int opened = nest_open(&r.n, loop, 4);
    r.at.rank = 4;
    for (int i = 0; i < 4; i++) {
        if (l->block[i] > 1)
            r.at.blk[i] = loop[i].var;
        else
            r.at.idx[i] = loop[i].var;
    }
    nest_point(&r.n, r.node->shape, &r.at);
    clear_sum(&r);
    sum_rectangle(&r);
    store_sum(&r);
    nest_close(&r.n, opened);
    nest_end(&r.n, tasks);
}
