/* Planes of few channels, that lie one after the other: the copy that makes a vector of the channels of each place, zeros
 * behind them. A window of step 2: the plane is cut into its 2 x 2 phases, every second row and column, which become
 * channels, (c, row's phase, column's phase), and the window slides over them with step 1 (polyphase decomposition). */
#include "nests/wino.h"

static int64_t weights_bytes(const Winograd *q)
{
    return q->prepared ? 0 : q->weights * (int64_t)sizeof(float);
}

LBuf *wino_phases_buffer(Wino *w)
{
    return nest_workspace(&w->c.n, weights_bytes(w->w), LT_F32, winograd_phase_floats(w->w, &w->c.s->con));
}

int64_t wino_inputs_at(const Wino *w)
{
    return weights_bytes(w->w) + winograd_phase_floats(w->w, &w->c.s->con) * (int64_t)sizeof(float);
}

/* One channel of one place. */
static void copy(Wino *w, LBuf *to, Expr *image, Expr *const *at, Expr *place, int64_t channel)
{
    Nest *n = &w->c.n;
    LB *b = n->b;
    const ConSchedule *s = w->c.s;
    const Node *x = n->group->anchor->in[0];
    int64_t phase[] = {channel % winograd_phases(w->w) / w->w->step, channel % w->w->step};
    Coord from = {.rank = 4, .idx = {image, x_i64(b, channel / winograd_phases(w->w))}};
    for (int d = 0; d < 2; d++)
        from.idx[2 + d] = x_addi(b, x_muli(b, at[d], w->w->step), phase[d] + s->con.a.off[2 + d]);
    Expr *v = channel < w->channels ? nest_load_at(n, w->c.abuf, nest_address(n, nest_layout(n, x), x->shape, &from)) : x_f32(b, 0);
    lb_store(b, to, x_addi(b, place, channel), v);
}

void nest_winograd_phases(Arena *a, Loops *out, const Group *g)
{
    Wino w;
    wino_begin(&w, a, out, g, "winograd pack channels");
    Nest *n = &w.c.n;
    LB *b = n->b;
    w.c.abuf = nest_buf(n, g->anchor->in[0]);
    LBuf *to = wino_phases_buffer(&w);
    int64_t images = w.c.s->con.axis[w.w->batch].extent;
    NestLoop l[] = {{"n", images, images > 1, NULL}, {"y", winograd_phase_rows(w.w, 0), true, NULL}};
    int opened = nest_open(n, l, 2);
    Expr *x = lb_for_n(b, FOR_SERIAL, winograd_phase_rows(w.w, 1), "x"), *at[] = {l[1].var, x};
    Expr *place = x_add(b, x_muli(b, l[0].var, w.in.image), x_add(b, x_muli(b, l[1].var, w.in.at[0]), x_muli(b, x, w.in.at[1])));
    place = lb_let(b, place, "p");
    for (int64_t channel = 0; channel < w.w->vector; channel++) copy(&w, to, l[0].var, at, place, channel);
    lb_end(b);
    nest_close(n, opened);
    nest_end(n, images * winograd_phase_rows(w.w, 0));
}
