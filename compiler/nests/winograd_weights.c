/* U = G w G^T: the weights of Winograd's algorithm, [n*n][k block][c][16], in the group's workspace or, where weights
 * change less often than the program runs, among what it keeps. */
#include "nests/wino.h"

LBuf *wino_weights_buffer(Wino *w)
{
    const Plan *p = w->c.n.plan;
    int id = w->c.n.group->id;
    return nest_place(&w->c.n, w->w->prepared ? &p->kept[id] : &p->workspace[id], 0, LT_F32, w->w->weights);
}

typedef struct Weights {
    Wino *w;
    LBuf *from;
    Coord at;    /* in B; taps and lanes come with every load */
    int k;       /* the dim of B that runs along the lanes */
} Weights;

static Expr *load_weight(void *of, int i, int j, Expr *lane)
{
    Weights *x = of;
    Nest *n = &x->w->c.n;
    const Node *v = n->group->anchor->in[1];
    const bool *back = x->w->w->backward;
    int last = x->w->x.r - 1;
    x->at.lane[x->k] = lane;
    x->at.idx[2] = x_i64(n->b, back[0] ? last - i : i);
    x->at.idx[3] = x_i64(n->b, back[1] ? last - j : j);
    return nest_load_at(n, x->from, nest_address(n, nest_layout(n, v), v->shape, &x->at));
}

void nest_winograd_weights(Arena *a, Loops *out, const Group *g)
{
    Wino w;
    wino_begin(&w, a, out, g, "winograd pack");
    LB *b = w.c.n.b;
    Weights x = {.w = &w, .from = nest_buf(&w.c.n, g->anchor->in[1]), .at = {.rank = 4}};
    int64_t plane = w.kblocks * w.channels * BLOCK;
    w.c.n.kernel.prep = w.w->prepared;
    NestLoop l[] = {{"k", w.kblocks, false, NULL}, {"c", w.channels, false, NULL}};
    int64_t tasks = nest_choose_tasks(&w.c.n, l, 2, w.x.n * w.x.n * BLOCK, 4096);
    int opened = nest_open(&w.c.n, l, 2);
    x.k = w.c.s->con.b.coef[0][w.w->k] ? 0 : 1;
    x.at.blk[x.k] = l[0].var;
    x.at.idx[1 - x.k] = l[1].var;
    Transform t = {.matrix = w.x.g, .rows = w.x.n, .cols = w.x.r, .load = load_weight, .of = &x};
    t.to = wino_weights_buffer(&w);
    t.y = lb_let(b, x_muli(b, x_add(b, x_muli(b, l[0].var, w.channels), l[1].var), BLOCK), "u");
    t.ys[0] = w.x.n * plane;
    t.ys[1] = plane;
    wino_transform(&w.c.n, &t);
    nest_close(&w.c.n, opened);
    nest_end(&w.c.n, tasks);
}
