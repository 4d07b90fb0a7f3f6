/* What wino.h promises beside the transforms: loops found by axis, tiles, the register-blocked product. */
#include "nests/wino.h"
#include <string.h>

int wino_loop(const Wino *w, int axis, ConPart part)
{
    const ConSchedule *s = w->c.s;
    for (int i = 0; i < s->nloop; i++)
        if (s->loop[i].axis == axis && s->loop[i].part == part) return i;
    bug_if(true, "no loop over axis %d", axis);
}

/* Where the inputs lie: as the value does, or as phases of it. */
static void place_inputs(Wino *w)
{
    const ConSchedule *s = w->c.s;
    const Winograd *q = w->w;
    if (q->few_channels) {
        w->in.at[1] = q->vector;
        w->in.at[0] = winograd_phase_rows(q, 1) * q->vector;
        w->in.image = winograd_phase_plane(q);
        return;
    }
    w->in.image = s->loop[w->batch].sa;
    w->in.block = s->loop[wino_loop(w, q->c, PART_BLK)].sa;
    w->in.base = s->base_a;
    for (int d = 0; d < 2; d++) {
        w->in.at[d] = s->loop[w->row[d]].sa;
        if (q->backward[d]) w->in.base += (q->r - 1) * s->loop[w->tap[d]].sa;
    }
}

void wino_begin(Wino *w, Arena *a, Loops *out, const Group *g, const char *nest)
{
    memset(w, 0, sizeof *w);
    nest_begin(&w->c.n, a, out, g, nest);
    const ConSchedule *s = w->c.s = &w->c.n.gs->con[0];
    const Winograd *q = w->w = w->c.n.gs->winograd;
    w->x = q->gradient ? winograd_matrices(q->r, q->m) : winograd_matrices(q->m, q->r);
    w->tiles = s->con.axis[q->batch].extent * q->tiles[0] * q->tiles[1];
    w->channels = s->con.axis[q->c].extent * winograd_phases(q);
    w->kblocks = (s->con.axis[q->k].extent + BLOCK - 1) / BLOCK;
    w->batch = wino_loop(w, q->batch, PART_WHOLE);
    for (int d = 0; d < 2; d++) {
        w->row[d] = wino_loop(w, q->row[d], PART_WHOLE);
        w->tap[d] = wino_loop(w, q->tap[d], PART_WHOLE);
        w->part[d] = q->tiles[d] / q->dilation[d];
    }
    place_inputs(w);
    w->c.cols = 1;
    w->c.lanes = BLOCK;
    for (int i = 0; i < s->nloop; i++) w->c.size[i] = 1;
}

/* Tiles are numbered through the images, through the parts' rows, the parts' columns. */
TilePlace wino_place(Wino *w, Expr *number)
{
    LB *b = w->c.n.b;
    const Winograd *q = w->w;
    const int64_t *t = q->tiles;
    TilePlace p;
    p.image = lb_let(b, x_divi(b, number, t[0] * t[1]), "n");
    Expr *in = lb_let(b, x_modi(b, number, t[0] * t[1]), "i");
    for (int d = 0; d < 2; d++) {
        Expr *tile = d ? x_modi(b, in, t[1]) : x_divi(b, in, t[1]);
        p.at[d] = lb_let(b, q->dilation[d] > 1 ? x_modi(b, tile, w->part[d]) : tile, d ? "x" : "y");
        p.first[d] = x_muli(b, p.at[d], q->m * q->dilation[d]);
        if (q->dilation[d] > 1) p.first[d] = x_add(b, p.first[d], x_divi(b, tile, w->part[d]));
        p.first[d] = lb_let(b, p.first[d], "o");
    }
    return p;
}

static int64_t plane_stride(const Wino *w, int operand, int d)
{
    return operand ? w->c.s->loop[w->row[d]].sb : w->in.at[d];
}

void wino_strides(const Wino *w, int operand, int64_t stride[2])
{
    for (int d = 0; d < 2; d++) stride[d] = plane_stride(w, operand, d) * w->w->dilation[d];
}

/* Of a tile's first element. */
static Expr *tile_address(Wino *w, const TilePlace *p, int operand)
{
    LB *b = w->c.n.b;
    Expr *x = x_muli(b, p->image, operand ? w->c.s->loop[w->batch].sb : w->in.image);
    for (int d = 0; d < 2; d++) x = x_add(b, x, x_muli(b, p->first[d], plane_stride(w, operand, d)));
    return x_addi(b, x, operand ? w->c.s->base_b : w->in.base);
}

Expr *wino_address(Wino *w, const TilePlace *p, int operand, Expr *c)
{
    LB *b = w->c.n.b;
    int64_t block = operand ? w->c.s->loop[wino_loop(w, w->w->k, PART_BLK)].sb : w->in.block;
    return lb_let(b, x_add(b, lb_let(b, tile_address(w, p, operand), "a"), x_muli(b, c, block)), "a");
}

void wino_prefetch(Wino *w, Expr *number, Expr *end, Expr *c, int operand, LBuf *buf, int n)
{
    LB *b = w->c.n.b;
    int64_t stride[2];
    TilePlace p = wino_place(w, lb_let(b, x_bin(b, B_MIN, number, x_addi(b, end, -1)), "t"));
    Expr *at = wino_address(w, &p, operand, c);
    wino_strides(w, operand, stride);
    for (int i = 0; i < n * n; i++) lb_prefetch(b, buf, x_addi(b, at, i / n * stride[0] + i % n * stride[1]));
}

/* ---- products ---- */

typedef struct Accumulators {
    Nest *n;
    const Product *p;
    LBuf *acc, *vec;
} Accumulators;

static int open_vectors(const Accumulators *q, Expr **j, Expr **lane)
{
    LB *b = q->n->b;
    *j = q->p->cols > 1 ? lb_for_n(b, FOR_UNROLL, q->p->cols, "j") : x_i64(b, 0);
    *lane = lb_for_n(b, FOR_VECTOR, BLOCK, "l");
    return 1 + (q->p->cols > 1);
}

static Expr *acc_index(const Accumulators *q, Expr *r, Expr *j, Expr *lane)
{
    LB *b = q->n->b;
    Expr *x = x_add(b, x_muli(b, r, q->p->cols), j);
    return x_add(b, x_muli(b, x, BLOCK), lane);
}

/* Vectors of u at step s. */
static void load_u(const Accumulators *q, Expr *s)
{
    LB *b = q->n->b;
    const Product *p = q->p;
    Expr *j, *lane;
    if (p->make) {
        p->make(p->of, s, q->vec);
        return;
    }
    int opened = open_vectors(q, &j, &lane);
    Expr *u = x_add(b, x_add(b, p->u, x_muli(b, s, p->u_step)), x_muli(b, j, p->u_col));
    lb_store(b, q->vec, x_add(b, x_muli(b, j, BLOCK), lane), x_load(b, p->ubuf, x_add(b, u, lane)));
    nest_close(q->n, opened);
}

/* One step: cols vectors of u, a scalar of v for every row, or for every sum. */
static void step(const Accumulators *q, Expr *s)
{
    LB *b = q->n->b;
    const Product *p = q->p;
    load_u(q, s);
    Expr *r = lb_for_n(b, FOR_UNROLL, p->rows, "r");
    Expr *v = x_add(b, x_add(b, p->v, x_muli(b, s, p->v_step)), x_muli(b, r, p->v_row)), *x = NULL;
    if (!p->v_col) x = lb_let(b, x_load(b, p->vbuf, v), "x");
    Expr *j = lb_for_n(b, FOR_UNROLL, p->cols, "j");
    if (p->v_col) x = lb_let(b, x_load(b, p->vbuf, x_add(b, v, x_muli(b, j, p->v_col))), "x");
    Expr *lane = lb_for_n(b, FOR_VECTOR, BLOCK, "l");
    Expr *y = x_load(b, q->vec, x_add(b, x_muli(b, j, BLOCK), lane)), *i = acc_index(q, r, j, lane);
    lb_store(b, q->acc, i, x_fma(b, x, y, x_load(b, q->acc, i)));
    nest_close(q->n, 3);
}

/* What is prefetched with steps number s * unroll and the following. */
static void prefetch(const Accumulators *q, Expr *s, int64_t unroll)
{
    const Product *p = q->p;
    LB *b = q->n->b;
    int64_t turns = p->steps / unroll, lines = p->nextbuf ? (p->lines + turns - 1) / turns : 0;
    Expr *at = lines ? x_add(b, p->next, x_muli(b, s, lines * BLOCK)) : NULL;
    for (int64_t i = 0; i < lines; i++) lb_prefetch(b, p->nextbuf, x_addi(b, at, i * BLOCK));
}

static void all_steps(const Accumulators *q)
{
    enum { UNROLL = 4 };
    LB *b = q->n->b;
    Expr *count = q->p->count, *whole = count ? x_divi(b, count, UNROLL) : x_i64(b, q->p->steps / UNROLL);
    if (count || q->p->steps >= UNROLL) {
        Expr *s = lb_for(b, FOR_SERIAL, whole, "s");
        prefetch(q, s, UNROLL);
        Expr *k = lb_for_n(b, FOR_UNROLL, UNROLL, "q");
        step(q, x_add(b, x_muli(b, s, UNROLL), k));
        nest_close(q->n, 2);
    }
    if (count) {
        Expr *s = lb_for(b, FOR_SERIAL, x_modi(b, count, UNROLL), "s");
        step(q, x_add(b, x_muli(b, whole, UNROLL), s));
        lb_end(b);
    }
    for (int64_t s = q->p->steps / UNROLL * UNROLL; !count && s < q->p->steps; s++) step(q, x_i64(b, s));
}

/* Fills the accumulators, or empties them into m. */
static void move(const Accumulators *q, bool out)
{
    LB *b = q->n->b;
    const Product *p = q->p;
    Expr *j, *lane, *r = lb_for_n(b, FOR_UNROLL, p->rows, "r");
    int opened = open_vectors(q, &j, &lane);
    Expr *at = x_add(b, p->m, x_add(b, x_muli(b, r, p->m_row), x_muli(b, j, p->m_col)));
    Expr *i = acc_index(q, r, j, lane);
    at = x_add(b, at, lane);
    if (out)
        lb_store(b, p->mbuf, at, x_load(b, q->acc, i));
    else
        lb_store(b, q->acc, i, p->add ? x_load(b, p->mbuf, at) : x_f32(b, 0));
    nest_close(q->n, opened + 1);
}

void wino_product(Nest *n, const Product *p)
{
    Accumulators q = {.n = n, .p = p};
    q.acc = lb_alloc(n->b, BUF_REGISTER, LT_F32, (int64_t)p->rows * p->cols * BLOCK);
    q.vec = lb_alloc(n->b, BUF_REGISTER, LT_F32, (int64_t)p->cols * BLOCK);
    move(&q, false);
    all_steps(&q);
    move(&q, true);
}

void wino_clear(Nest *n, LBuf *m, int64_t floats)
{
    LB *b = n->b;
    Expr *i = lb_for_n(b, FOR_SERIAL, floats / BLOCK, "i");
    Expr *lane = lb_for_n(b, FOR_VECTOR, BLOCK, "l");
    lb_store(b, m, x_add(b, x_muli(b, i, BLOCK), lane), x_f32(b, 0));
    nest_close(n, 2);
}
