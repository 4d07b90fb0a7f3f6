/* Layout arithmetic. In: dims, blocks, halo. Out: strides. Who chooses them is schedule.c. */
#include "graph/layout.h"

static Layout layout_of(Shape s)
{
    Layout l = {.rank = s.rank};
    for (int a = 0; a < s.rank; a++) {
        l.dim[a] = s.dim[a];
        l.block[a] = 1;
    }
    return l;
}

static int block_for(int64_t n, int64_t least)
{
    return n >= least ? BLOCK : 1;
}

Layout layout_value(Shape s)
{
    Layout l = layout_of(s);
    if (s.rank == 1) l.block[0] = block_for(s.dim[0], BLOCK_MIN_CHANNELS);
    if (s.rank >= 2) l.block[1] = block_for(s.dim[1], BLOCK_MIN_CHANNELS);
    layout_finish(&l);
    return l;
}

Layout layout_channels_last(Shape s)
{
    Layout l = layout_value(s);
    l.last = s.rank == 4 && l.block[1] > 1;
    layout_finish(&l);
    return l;
}

Layout layout_weight(Shape view)
{
    Layout l = layout_of(view);
    if (view.rank >= 1) l.block[0] = block_for(view.dim[0], BLOCK_MIN_CHANNELS);
    if (view.rank >= 2) l.block[1] = block_for(view.dim[1], BLOCK);
    layout_finish(&l);
    return l;
}

Layout layout_flat(int64_t count)
{
    Layout l = {.rank = 1, .dim = {count}, .block = {1}};
    layout_finish(&l);
    return l;
}

static void place_blocks(Layout *l, int a, int64_t *stride)
{
    l->outer[a] = *stride;
    l->base += l->lo[a] * *stride;
    *stride *= (l->dim[a] + l->block[a] - 1) / l->block[a] + l->lo[a] + l->hi[a];
}

void layout_finish(Layout *l)
{
    int64_t stride = 1;
    for (int a = 0; a < l->rank; a++) {
        l->inner[a] = 0;
        if (l->block[a] > 1) {
            l->inner[a] = stride;
            stride *= l->block[a];
        }
    }
    l->base = 0;
    if (l->last) place_blocks(l, 1, &stride);
    for (int a = l->rank - 1; a >= 0; a--)
        if (!(l->last && a == 1)) place_blocks(l, a, &stride);
    l->count = stride;
}

bool layout_is_flat(const Layout *l)
{
    return l->rank == 1 && l->block[0] == 1 && l->count % BLOCK == 0;
}

bool layout_has_halo(const Layout *l)
{
    for (int a = 0; a < l->rank; a++)
        if (l->lo[a] || l->hi[a]) return true;
    return false;
}

bool layout_same(const Layout *a, const Layout *b)
{
    if (a->rank != b->rank || a->last != b->last) return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i] || a->block[i] != b->block[i] || a->lo[i] != b->lo[i] ||
            a->hi[i] != b->hi[i])
            return false;
    return true;
}

void layout_print(Buf *b, const Layout *l)
{
    buf_putc(b, '[');
    for (int a = 0; a < l->rank; a++) {
        buf_printf(b, "%s%lld", a ? "," : "", (long long)l->dim[a]);
        if (l->block[a] > 1) buf_printf(b, "/%d", l->block[a]);
        if (l->lo[a] || l->hi[a])
            buf_printf(b, "+%lld+%lld", (long long)l->lo[a], (long long)l->hi[a]);
    }
    buf_puts(b, l->last ? "] last" : "]");
}
