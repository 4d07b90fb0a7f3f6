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
    int phase;
} Weights;

static Expr *load_weight(void *of, int i, int j, Expr *lane)
{
    Weights *x = of;
    Nest *n = &x->w->c.n;
    const Node *v = n->group->anchor->in[1];
    const bool *back = x->w->w->backward;
    int64_t last = x->w->x.r - 1, step = x->w->w->step;
    int64_t tap[] = {step * (back[0] ? last - i : i) + x->phase / step, step * (back[1] ? last - j : j) + x->phase % step};
    x->at.lane[x->k] = lane;
    for (int d = 0; d < 2; d++) {
        if (tap[d] >= v->shape.dim[2 + d]) return x_f32(n->b, 0); /* a phase may have a tap less */
        x->at.idx[2 + d] = x_i64(n->b, tap[d]);
    }
    return nest_load_at(n, x->from, nest_address(n, nest_layout(n, v), v->shape, &x->at));
}

Expr *wino_weights_at(Wino *w, Expr *kb, Expr *c)
{
    Nest *n = &w->c.n;
    const Node *v = n->group->anchor->in[1];
    int k = w->c.s->con.b.coef[0][w->w->k] ? 0 : 1;
    Coord at = {.rank = 4};
    at.blk[k] = kb;
    at.lane[k] = at.idx[2] = at.idx[3] = x_i64(n->b, 0);
    at.idx[1 - k] = c;
    return nest_address(n, nest_layout(n, v), v->shape, &at);
}

void wino_weights(Wino *w, const WinoWeights *which, LBuf *to, Expr *y, const int64_t ys[2])
{
    Weights x = {.w = w, .from = nest_buf(&w->c.n, w->c.n.group->anchor->in[1]), .at = {.rank = 4}, .phase = which->phase};
    x.k = w->c.s->con.b.coef[0][w->w->k] ? 0 : 1;
    x.at.blk[x.k] = which->kb;
    x.at.idx[1 - x.k] = which->c;
    Transform t = {.matrix = w->x.g, .rows = w->x.n, .cols = w->x.r, .load = load_weight, .of = &x, .to = to, .y = y};
    t.first = which->first;
    t.some = which->some;
    for (int d = 0; d < 2; d++) t.ys[d] = ys[d];
    wino_transform(&w->c.n, &t);
}

void nest_winograd_weights(Arena *a, Loops *out, const Group *g)
{
    Wino w;
    wino_begin(&w, a, out, g, "winograd pack");
    LB *b = w.c.n.b;
    int64_t plane = w.kblocks * w.channels * BLOCK, ys[] = {w.x.n * plane, plane};
    w.c.n.kernel.prep = w.w->prepared;
    int phases = (int)winograd_phases(w.w);
    NestLoop l[] = {{"k", w.kblocks, false, NULL}, {"c", w.channels / phases, false, NULL}};
    int64_t tasks = nest_choose_tasks(&w.c.n, l, 2, w.x.n * w.x.n * BLOCK, 4096);
    int opened = nest_open(&w.c.n, l, 2);
    Expr *first = x_add(b, x_muli(b, l[0].var, w.channels), x_muli(b, l[1].var, phases));
    LBuf *to = wino_weights_buffer(&w);
    for (int phase = 0; phase < phases; phase++) {
        WinoWeights which = {.kb = l[0].var, .c = l[1].var, .phase = phase};
        wino_weights(&w, &which, to, lb_let(b, x_muli(b, x_addi(b, first, phase), BLOCK), "u"), ys);
    }
    nest_close(&w.c.n, opened);
    nest_end(&w.c.n, tasks);
}
