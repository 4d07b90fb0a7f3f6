/* Pooling: over the taps of a window (nest_window), and its transpose, over the windows that hold
 * an element (nest_window_t). Vectors run along the channel block. Windows that tile the plane are
 * unrolled without conditions; all others loop over taps with a condition per tap, never per lane.
 */
#include "nests/nest.h"

enum { MOST_STATE = 4, MOST_UNROLLED_TAPS = 16 };

typedef struct Win {
    Nest n;
    const Group *g;
    Window w;
    int64_t lanes;
    NestLoop loop[4];         /* n, channel block (or channel), and two of the plane */
    int64_t big[2], small[2]; /* plane that is pooled, plane of the windows */
    Coord at;
} Win;

static void win_begin(Win *w, Arena *a, Loops *out, const Group *g, const char *nest, Shape big,
                      Shape small)
{
    *w = (Win){.g = g};
    nest_begin(&w->n, a, out, g, nest);
    const Layout *l = nest_layout(&w->n, g->anchor);
    w->w = g->anchor->op->window(g->anchor);
    w->lanes = l->block[1];
    for (int i = 0; i < 2; i++) {
        w->big[i] = big.dim[2 + i];
        w->small[i] = small.dim[2 + i];
    }
    w->loop[0] = (NestLoop){"n", l->dim[0], false, NULL};
    w->loop[1] = (NestLoop){"c", (l->dim[1] + l->block[1] - 1) / l->block[1], false, NULL};
    w->at.rank = 4;
}

static int64_t win_open(Win *w, int64_t h, int64_t wd, int64_t inner, int *opened)
{
    int rows = w->n.gs->rows_first ? 1 : 2, channels = 3 - rows; /* which is outside */
    NestLoop l[4] = {w->loop[0]};
    l[channels] = w->loop[1];
    l[rows] = (NestLoop){"h", h, false, NULL};
    l[3] = (NestLoop){"w", wd, false, NULL};
    int64_t tasks = nest_choose_tasks(&w->n, l, 3, inner * wd, 1024);
    *opened = nest_open(&w->n, l, 4);
    w->loop[0] = l[0];
    w->loop[1] = l[channels];
    w->loop[2] = l[rows];
    w->loop[3] = l[3];
    w->at.idx[0] = w->loop[0].var;
    if (w->lanes > 1)
        w->at.blk[1] = w->loop[1].var;
    else
        w->at.idx[1] = w->loop[1].var;
    return tasks;
}

/* Opens the lanes at plane position (h, w). */
static int win_lanes(Win *w, Expr *h, Expr *wd, Coord *at, Expr **v)
{
    int opened;
    *at = w->at;
    at->idx[2] = h;
    at->idx[3] = wd;
    *v = nest_lanes(&w->n, w->lanes, &opened);
    if (w->lanes > 1) at->lane[1] = *v;
    return opened;
}

/* First big row (column) of window i, and how many taps it has. */
static void window_range(Win *w, int d, Expr *i, Expr **first, Expr **taps)
{
    LB *b = w->n.b;
    if (w->w.adaptive) {
        Expr *end = x_divi(b, x_addi(b, x_muli(b, x_addi(b, i, 1), w->big[d]), w->small[d] - 1),
                           w->small[d]);
        *first = lb_let(b, x_divi(b, x_muli(b, i, w->big[d]), w->small[d]), "p");
        *taps = lb_let(b, x_sub(b, end, *first), "q");
    } else {
        *first = x_addi(b, x_muli(b, i, w->w.stride[d]), -w->w.pad[d]);
        *taps = x_i64(b, w->w.kernel[d]);
    }
}

/* May a window reach over the plane's edge? */
static bool overhangs(const Win *w, int d)
{
    if (w->w.adaptive) return false;
    int64_t reach = (w->w.kernel[d] - 1) * w->w.dilation[d] + 1;
    return w->w.pad[d] > 0 || (w->small[d] - 1) * w->w.stride[d] - w->w.pad[d] + reach > w->big[d];
}

/* Taps of one dim that count: those inside of the plane, or of the padded plane. */
static Expr *counted(Win *w, int d, Expr *first, Expr *taps)
{
    LB *b = w->n.b;
    if (!overhangs(w, d)) return taps;
    int64_t far = w->big[d] + (w->w.count_pad ? w->w.pad[d] : 0);
    Expr *end = x_bin(b, B_MIN, x_add(b, first, taps), x_i64(b, far));
    return x_sub(b, end, w->w.count_pad ? first : x_bin(b, B_MAX, first, x_i64(b, 0)));
}

static Expr *tap_count(Win *w, Expr *const *first, Expr *const *taps)
{
    LB *b = w->n.b;
    Expr *n = x_mul(b, counted(w, 0, first[0], taps[0]), counted(w, 1, first[1], taps[1]));
    return lb_let(b, x_cast(b, LT_F32, n), "n");
}

static Expr *inside(Win *w, int d, Expr *i)
{
    LB *b = w->n.b;
    return x_bin(b, B_AND, x_cmp(b, C_GE, i, x_i64(b, 0)), x_cmp(b, C_LT, i, x_i64(b, w->big[d])));
}

static Expr *tap_number(Win *w, Expr *kh, Expr *kw)
{
    return x_cast(w->n.b, LT_I32, x_add(w->n.b, x_muli(w->n.b, kh, w->w.kernel[1]), kw));
}

/* ---- forward ---- */

typedef struct Pooling {
    const Node *node[GROUP_MOST_ANCHORS];
    LBuf *state[GROUP_MOST_ANCHORS][MOST_STATE];
    int n;
} Pooling;

static void find_anchors(Win *w, Pooling *p)
{
    for (int i = 0; i < w->g->node.n; i++) {
        if (nest_stage(&w->n, w->g->node.v[i]) != STAGE_ANCHOR) continue;
        bug_if(p->n == GROUP_MOST_ANCHORS, "%d poolings in one kernel", p->n + 1);
        p->node[p->n++] = w->g->node.v[i];
    }
}

static void init_states(Win *w, Pooling *p)
{
    Expr *st[MOST_STATE];
    Body body = nest_body(&w->n);
    for (int i = 0; i < p->n; i++) {
        p->node[i]->op->winit(&body, p->node[i], st);
        for (int k = 0; k < p->node[i]->op->wstate; k++) {
            int opened;
            p->state[i][k] = lb_alloc(w->n.b, BUF_REGISTER, st[k]->type, w->lanes);
            Expr *v = nest_lanes(&w->n, w->lanes, &opened);
            lb_store(w->n.b, p->state[i][k], v, st[k]);
            nest_close(&w->n, opened);
        }
    }
}

/* One tap: every anchor takes the value at (h, wd). */
static void step_states(Win *w, Pooling *p, Expr *h, Expr *wd, Expr *tap)
{
    LB *b = w->n.b;
    Coord at;
    Expr *st[MOST_STATE], *v;
    int opened = win_lanes(w, h, wd, &at, &v);
    nest_point(&w->n, w->g->anchor->in[0]->shape, &at);
    Body body = nest_body(&w->n);
    Expr *value = nest_value(&w->n, w->g->anchor->in[0]);
    for (int i = 0; i < p->n; i++) {
        const OpDef *op = p->node[i]->op;
        for (int k = 0; k < op->wstate; k++) st[k] = lb_let(b, x_load(b, p->state[i][k], v), "s");
        op->wstep(&body, p->node[i], st, value, tap);
        for (int k = 0; k < op->wstate; k++) st[k] = lb_let(b, st[k], "s");
        for (int k = 0; k < op->wstate; k++) lb_store(b, p->state[i][k], v, st[k]);
    }
    nest_close(&w->n, opened);
}

static Expr *tap_place(Win *w, int d, Expr *first, Expr *k)
{
    return x_add(w->n.b, first, x_muli(w->n.b, k, w->w.dilation[d]));
}

static void unrolled_taps(Win *w, Pooling *p, Expr *const *first)
{
    LB *b = w->n.b;
    for (int64_t kh = 0; kh < w->w.kernel[0]; kh++)
        for (int64_t kw = 0; kw < w->w.kernel[1]; kw++) {
            Expr *y = x_i64(b, kh), *x = x_i64(b, kw);
            step_states(w, p, tap_place(w, 0, first[0], y), tap_place(w, 1, first[1], x),
                        tap_number(w, y, x));
        }
}

static void looped_taps(Win *w, Pooling *p, Expr *const *first, Expr *const *taps)
{
    LB *b = w->n.b;
    Expr *kh = lb_for(b, FOR_SERIAL, taps[0], "kh");
    Expr *h = lb_let(b, tap_place(w, 0, first[0], kh), "h");
    if (overhangs(w, 0)) lb_if(b, inside(w, 0, h));
    Expr *kw = lb_for(b, FOR_SERIAL, taps[1], "kw");
    Expr *x = lb_let(b, tap_place(w, 1, first[1], kw), "w");
    if (overhangs(w, 1)) lb_if(b, inside(w, 1, x));
    step_states(w, p, h, x, tap_number(w, kh, kw));
    nest_close(&w->n, 2 + overhangs(w, 0) + overhangs(w, 1));
}

static void finish_window(Win *w, Pooling *p, Expr *count)
{
    Coord at;
    Expr *st[MOST_STATE], *v;
    int opened = win_lanes(w, w->loop[2].var, w->loop[3].var, &at, &v);
    nest_point(&w->n, w->g->anchor->shape, &at);
    Body body = nest_body(&w->n);
    for (int i = 0; i < p->n; i++) {
        for (int k = 0; k < p->node[i]->op->wstate; k++) st[k] = x_load(w->n.b, p->state[i][k], v);
        Expr *x = p->node[i]->op->wdone(&body, p->node[i], st, count);
        nest_set(&w->n, p->node[i], lb_let(w->n.b, x, "p"));
    }
    nest_store_outs(&w->n, STAGE_ANCHOR, STAGE_LAST);
    nest_close(&w->n, opened);
}

void nest_window(Arena *a, Loops *out, const Group *g)
{
    Win w;
    Pooling p = {.n = 0};
    Expr *first[2], *taps[2];
    int opened;
    win_begin(&w, a, out, g, "window", g->anchor->in[0]->shape, g->anchor->shape);
    find_anchors(&w, &p);
    int64_t area = w.w.kernel[0] * w.w.kernel[1];
    int64_t tasks =
        win_open(&w, w.small[0], w.small[1], w.lanes * (w.w.adaptive ? 9 : area), &opened);
    for (int d = 0; d < 2; d++) window_range(&w, d, w.loop[2 + d].var, &first[d], &taps[d]);
    init_states(&w, &p);
    bool plain = !w.w.adaptive && !overhangs(&w, 0) && !overhangs(&w, 1);
    if (plain && area <= MOST_UNROLLED_TAPS)
        unrolled_taps(&w, &p, first);
    else
        looped_taps(&w, &p, first, taps);
    finish_window(&w, &p, tap_count(&w, first, taps));
    nest_close(&w.n, opened);
    nest_end(&w.n, tasks);
}

/* ---- transpose ---- */

/* What the window at (oh, ow) gives to one of its taps. */
static Expr *window_term(Win *w, Expr *oh, Expr *ow, const Coord *here, Expr *tap, Expr *count)
{
    const Node *n = w->g->anchor;
    Expr *in[4];
    Coord at = *here;
    at.idx[2] = oh;
    at.idx[3] = ow;
    for (int i = 0; i < n->nin; i++) in[i] = nest_load(&w->n, n->in[i], &at);
    Body body = nest_body(&w->n);
    return n->op->wterm(&body, n, in, tap, count);
}

static void store_element(Win *w, const Coord *at, Expr *x)
{
    nest_point(&w->n, w->g->anchor->shape, at);
    nest_set(&w->n, w->g->anchor, lb_let(w->n.b, x, "g"));
    nest_store_outs(&w->n, STAGE_ANCHOR, STAGE_LAST);
}

static bool tiles_plane(const Win *w)
{
    for (int d = 0; d < 2; d++)
        if (w->w.adaptive || w->w.kernel[d] != w->w.stride[d] || w->w.pad[d] ||
            w->w.dilation[d] != 1 || w->small[d] * w->w.kernel[d] != w->big[d])
            return false;
    return w->w.kernel[0] * w->w.kernel[1] <= MOST_UNROLLED_TAPS;
}

/* Every element lies in exactly one window: walk over windows, write their taps. */
static int64_t scatter_tiles(Win *w)
{
    LB *b = w->n.b;
    int opened;
    int64_t tasks =
        win_open(w, w->small[0], w->small[1], w->lanes * w->w.kernel[0] * w->w.kernel[1], &opened);
    Expr *count = x_f32(b, (double)(w->w.kernel[0] * w->w.kernel[1])), *v;
    for (int64_t kh = 0; kh < w->w.kernel[0]; kh++)
        for (int64_t kw = 0; kw < w->w.kernel[1]; kw++) {
            Coord at;
            Expr *h = x_addi(b, x_muli(b, w->loop[2].var, w->w.kernel[0]), kh);
            Expr *x = x_addi(b, x_muli(b, w->loop[3].var, w->w.kernel[1]), kw);
            int lanes = win_lanes(w, h, x, &at, &v);
            Expr *tap = tap_number(w, x_i64(b, kh), x_i64(b, kw));
            store_element(w, &at, window_term(w, w->loop[2].var, w->loop[3].var, &at, tap, count));
            nest_close(&w->n, lanes);
        }
    nest_close(&w->n, opened);
    return tasks;
}

/* Opens the loop over the windows of one dim that may hold element i: the loop variable is a tap
 * number, or for adaptive windows the window itself. Gives the window and the tap; *ifs counts what
 * must be closed. */
static void open_windows(Win *w, int d, Expr *i, Expr **window, Expr **tap, int *opened)
{
    LB *b = w->n.b;
    if (w->w.adaptive) { /* window o holds i  <=>  i*n/H <= o < ceil((i+1)*n/H) */
        Expr *lo = lb_let(b, x_divi(b, x_muli(b, i, w->small[d]), w->big[d]), "o");
        Expr *hi =
            x_divi(b, x_addi(b, x_muli(b, x_addi(b, i, 1), w->small[d]), w->big[d] - 1), w->big[d]);
        *window = lb_let(b, x_add(b, lo, lb_for(b, FOR_SERIAL, x_sub(b, hi, lo), "o")), "o");
        *tap = x_i64(b, 0);
        *opened = 1;
        return;
    }
    int64_t s = w->w.stride[d];
    *tap = lb_for_n(b, FOR_SERIAL, w->w.kernel[d], "k");
    Expr *from =
        lb_let(b, x_sub(b, x_addi(b, i, w->w.pad[d]), x_muli(b, *tap, w->w.dilation[d])), "f");
    lb_if(b, x_cmp(b, C_GE, from, x_i64(b, 0)));
    *window = lb_let(b, x_divi(b, from, s), "o");
    Expr *whole = x_cmp(b, C_EQ, x_muli(b, *window, s), from);
    lb_if(b, x_bin(b, B_AND, whole, x_cmp(b, C_LT, *window, x_i64(b, w->small[d]))));
    *opened = 3;
}

static void gather_element(Win *w)
{
    LB *b = w->n.b;
    Expr *window[2], *tap[2], *first[2], *taps[2], *v;
    int opened[2], lanes;
    Coord at;
    LBuf *sum = lb_alloc(b, BUF_REGISTER, LT_F32, w->lanes);
    v = nest_lanes(&w->n, w->lanes, &lanes);
    lb_store(b, sum, v, x_f32(b, 0));
    nest_close(&w->n, lanes);
    for (int d = 0; d < 2; d++)
        open_windows(w, d, w->loop[2 + d].var, &window[d], &tap[d], &opened[d]);
    for (int d = 0; d < 2; d++) window_range(w, d, window[d], &first[d], &taps[d]);
    Expr *count = tap_count(w, first, taps);
    lanes = win_lanes(w, w->loop[2].var, w->loop[3].var, &at, &v);
    Expr *term = window_term(w, window[0], window[1], &at, tap_number(w, tap[0], tap[1]), count);
    lb_store(b, sum, v, x_add(b, x_load(b, sum, v), term));
    nest_close(&w->n, lanes + opened[0] + opened[1]);
    lanes = win_lanes(w, w->loop[2].var, w->loop[3].var, &at, &v);
    store_element(w, &at, x_load(b, sum, v));
    nest_close(&w->n, lanes);
}

void nest_window_t(Arena *a, Loops *out, const Group *g)
{
    Win w;
    win_begin(&w, a, out, g, "window_t", g->anchor->shape, g->anchor->in[0]->shape);
    int64_t tasks;
    if (tiles_plane(&w)) {
        tasks = scatter_tiles(&w);
    } else {
        int opened;
        int64_t area = w.w.kernel[0] * w.w.kernel[1];
        tasks = win_open(&w, w.big[0], w.big[1], w.lanes * (w.w.adaptive ? 4 : area), &opened);
        gather_element(&w);
        nest_close(&w.n, opened);
    }
    nest_end(&w.n, tasks);
}
