/* Channel by channel behind a contraction: max pooling, or a depthwise convolution, of which each window reads few rows.
 * A task then goes down the plane: it computes the rows that the next windows need, keeps as many as a window has, and
 * stores only what the windows make of them (nests/contract_band.c). For tensors that caches do not hold, or whose rows fill
 * tiles, on CPUs.
 *
 * In: a node and the group of its producer. Out: Group.band. Not here: windows that fit a tile of accumulators (rule_pool
 * of fuse_rules.c), the rows of a task (schedule_band.c). */
#include "fuse.h"
#include "graph/layout.h"
#include "winograd.h"

bool fuse_is_depthwise(const Node *n)
{
    if (n->op->nest != NEST_CONTRACT || !n->op->window) return false;
    const Shape *x = &n->in[0]->shape, *w = &n->in[1]->shape;
    return w->dim[1] == 1 && w->dim[0] == x->dim[1] && x->dim[1] > 1;
}

static bool is_max(const Node *n)
{
    return op_is(n, "MaxPool2d") && n->op->wstate == 1;
}

/* Rows of windows follow each other without gaps, and begin where those of the plane do. */
static bool goes_down(const Node *n)
{
    enum { MOST_ROWS = 7 };
    Window w = n->op->window(n);
    if (w.adaptive || w.kernel[0] > MOST_ROWS || w.kernel[1] > MOST_ROWS) return false;
    for (int d = 0; d < 2; d++) {
        int64_t rows = n->in[0]->shape.dim[2 + d];
        if (w.dilation[d] != 1 || w.kernel[d] < w.stride[d] || w.pad[d] >= w.kernel[d]) return false;
        if ((n->shape.dim[2 + d] - 1) * w.stride[d] >= rows) return false;
    }
    return true;
}

/* The rows that a task keeps lie on its thread's stack. */
static bool fits_stack(const Node *n)
{
    enum { MOST_BYTES = 2 << 20 };
    Window w = n->op->window(n);
    return w.kernel[0] * (n->in[0]->shape.dim[3] + 2 * w.kernel[1]) * BAND_BLOCKS * BLOCK * (int64_t)sizeof(float) <= MOST_BYTES;
}

bool fuse_alone_reads(const Fuse *f, const Node *n, const Group *g)
{
    for (int i = 0; i < g->node.n; i++) {
        const Node *v = g->node.v[i];
        if (fuse_wanted(f, v)) return false;
        for (int k = v->id + 1; k < f->g->node.n; k++) {
            const Node *u = f->g->node.v[k];
            for (int j = 0; j < u->nin && u != n; j++)
                if (u->in[j] == v && f->out->of[u->id] != g) return false;
        }
    }
    return true;
}

/* A window and channels that Winograd's algorithm takes (schedule_winograd.c); of one or two the sum is cheaper. */
static bool may_transform(const Window *w, int64_t channels)
{
    enum { PHASES = 4, LEAST = 3 };
    int64_t step = w->stride[0], side = w->kernel[0];
    if (w->stride[1] != step || w->kernel[1] != side) return false;
    if (step == 1) return side == WINOGRAD_TAPS && channels >= LEAST;
    return step == 2 && side >= WINOGRAD_LEAST_STRIDED && side <= WINOGRAD_MOST_STRIDED && channels * PHASES <= BLOCK;
}

/* A convolution of all channels, in one phase. */
static bool is_whole(const Node *anchor)
{
    Contract c;
    return anchor->op->window && !anchor->op->contract(anchor, 1, &c) && anchor->in[0]->shape.dim[1] == anchor->in[1]->shape.dim[1];
}

static bool on_cpu(const Fuse *f)
{
    return f->m && !f->m->processors && f->g->precision == PRECISION_FP32;
}

bool fuse_may_transform(const Fuse *f, const Node *anchor)
{
    if (!on_cpu(f) || f->g->exact || !is_whole(anchor)) return false;
    Window w = anchor->op->window(anchor);
    return may_transform(&w, anchor->in[1]->shape.dim[1]);
}

/* A tile takes places of one row: with few, it loads as much as it multiplies. */
static bool short_rows(const Node *x)
{
    enum { LEAST = 14 };
    return x->shape.dim[3] < LEAST;
}

const char *rule_band(Fuse *f, Node *n, Group *g)
{
    bool depthwise = fuse_is_depthwise(n);
    if (!depthwise && !is_max(n)) return "";
    if (g->nest != NEST_CONTRACT || f->out->of[n->in[0]->id] != g || g->pool || !on_cpu(f))
        return depthwise ? fuse_reads_many : "";
    const Node *x = n->in[0];
    if (!is_whole(g->anchor) || fuse_may_transform(f, g->anchor)) return "its producer does not compute row by row";
    if (!goes_down(n)) return "its windows are no few rows that follow each other";
    if (!fits_stack(n)) return "its rows are too long for a thread's stack";
    if (x->shape.dim[1] < BLOCK_MIN_CHANNELS) return "there are too few channels for a vector";
    if (short_rows(x) && shape_count(x->shape) / x->shape.dim[0] * (int64_t)sizeof(float) * 2 < f->m->l2)
        return "caches hold an image of its input, whose rows are too short for tiles";
    if (!fuse_alone_reads(f, n, g)) return "others read its input, which is stored anyway";
    g->pool = n;
    g->band = true;
    g->tail = n->shape;
    fuse_put(f, g, n, STAGE_POOL);
    return NULL;
}
