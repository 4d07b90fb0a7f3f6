/* Copies that move elements: another shape (Flatten, Reshape), and B of a contraction into a layout
 * whose vectors lie along the lanes, with its first two axes exchanged where the schedule says so.
 */
#include "nests/nest.h"

/* Coordinates of element `linear` of a row-major tensor. */
static Coord coord_of_linear(Nest *n, Shape s, Expr *linear)
{
    Coord at = {.rank = s.rank};
    for (int a = s.rank - 1; a >= 0; a--) {
        at.idx[a] = a ? x_modi(n->b, linear, s.dim[a]) : linear;
        linear = x_divi(n->b, linear, s.dim[a]);
    }
    return at;
}

void nest_copy(Arena *a, Loops *out, const Group *g)
{
    Nest n;
    const Node *v = g->anchor;
    nest_begin(&n, a, out, g, "copy");
    NestLoop loop[MAX_RANK];
    for (int i = 0; i < v->shape.rank; i++) loop[i] = (NestLoop){"i", v->shape.dim[i], false, NULL};
    int64_t tasks = nest_choose_tasks(&n, loop, v->shape.rank, 1, 256);
    int opened = nest_open(&n, loop, v->shape.rank);
    Coord at = {.rank = v->shape.rank};
    Expr *linear = x_i64(n.b, 0);
    for (int i = 0; i < v->shape.rank; i++) {
        at.idx[i] = loop[i].var;
        linear = x_add(n.b, x_muli(n.b, linear, v->shape.dim[i]), loop[i].var);
    }
    nest_point(&n, v->shape, &at);
    Coord from = coord_of_linear(&n, v->in[0]->shape, lb_let(n.b, linear, "e"));
    nest_set(&n, v, nest_load(&n, v->in[0], &from));
    nest_store_outs(&n, STAGE_ANCHOR, STAGE_ANCHOR);
    nest_close(&n, opened);
    nest_end(&n, tasks);
}

/* ---- packing ---- */

typedef struct Pack {
    const Node *b; /* value to pack */
    const Layout *from, *to;
    LBuf *src, *dst;
    Coord at; /* in the packed tensor */
} Pack;

static Expr *source_address(Nest *n, const Pack *p, Expr *lane)
{
    Coord at = p->at;
    if (at.blk[0]) at.lane[0] = lane;
    if (n->gs->pack_swap) {
        Coord to = at;
        at.idx[0] = to.idx[1], at.blk[0] = to.blk[1], at.lane[0] = to.lane[1];
        at.idx[1] = to.idx[0], at.blk[1] = to.blk[0], at.lane[1] = to.lane[0];
    }
    return nest_address(n, p->from, p->b->shape, &at);
}

/* One vector of lanes, of which `valid` exist; the rest is zero. */
static void pack_lanes(Nest *n, Pack *p, int64_t valid)
{
    int64_t lanes = p->to->block[0];
    Expr *zero = x_i64(n->b, 0);
    int opened;
    p->at.lane[0] = zero;
    Expr *base = nest_address(n, p->to, (Shape){.rank = p->to->rank}, &p->at);
    Expr *v = nest_lanes(n, valid, &opened);
    lb_store(n->b, p->dst, x_add(n->b, base, v), x_load(n->b, p->src, source_address(n, p, v)));
    nest_close(n, opened);
    for (int64_t i = valid; i < lanes; i++)
        nest_store_at(n, p->dst, x_addi(n->b, base, i), x_f32(n->b, 0));
}

void nest_pack(Arena *a, Loops *out, const Group *g)
{
    Nest n;
    nest_begin(&n, a, out, g, "contract pack");
    const Layout *to = &n.gs->packed;
    Pack p = {.b = g->anchor->in[1], .to = to, .from = nest_layout(&n, g->anchor->in[1])};
    p.src = nest_buf(&n, p.b);
    p.dst = nest_workspace(&n, 0, n.gs->packed_type, to->count);
    NestLoop loop[MAX_RANK + 1];
    int nloop = 0;
    for (int i = 0; i < to->rank; i++)
        loop[nloop++] =
            (NestLoop){"i", (to->dim[i] + to->block[i] - 1) / to->block[i], false, NULL};
    int64_t lanes1 = to->block[1];
    loop[nloop++] = (NestLoop){"l", lanes1, false, NULL};
    int64_t tasks = nest_choose_tasks(&n, loop, to->rank, lanes1 * to->block[0], 1024);
    int opened = nest_open(&n, loop, nloop);
    p.at.rank = to->rank;
    for (int i = 0; i < to->rank; i++) {
        if (to->block[i] > 1)
            p.at.blk[i] = loop[i].var;
        else
            p.at.idx[i] = loop[i].var;
    }
    if (lanes1 > 1) p.at.lane[1] = loop[nloop - 1].var;
    int64_t tail = to->block[0] > 1 ? to->dim[0] % to->block[0] : 0;
    bool both = tail && loop[0].extent > 1; /* full blocks, and a last one that is not */
    if (both) lb_if(n.b, x_cmp(n.b, C_LT, loop[0].var, x_i64(n.b, loop[0].extent - 1)));
    if (both || !tail) pack_lanes(&n, &p, to->block[0]);
    if (both) lb_else(n.b);
    if (tail) pack_lanes(&n, &p, tail);
    if (both) lb_end(n.b);
    nest_close(&n, opened);
    nest_end(&n, tasks);
}
