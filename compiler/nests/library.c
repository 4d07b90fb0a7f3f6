/* A contraction that cuDNN computes: copies of what does not lie as it wants it, the operation, and what is left of
 * the group, done where the copy of the result is read. */
#include "nests/nest.h"

typedef struct Copy {
    const Library *lib;
    int t; /* which tensor */
    LBuf *buf;
} Copy;

static LBuf *copy_buffer(Nest *n, const Library *lib, int t)
{
    const LibraryTensor *x = &lib->tensor[t];
    const Place *at = x->kept ? &n->plan->kept[n->group->id] : &n->plan->workspace[n->group->id];
    return nest_place(n, at, x->offset, schedule_library_type(lib, t), x->count);
}

static Expr *whole_index(Nest *n, const Coord *at, int d)
{
    return at->idx[d] ? at->idx[d] : x_add(n->b, x_muli(n->b, at->blk[d], BLOCK), at->lane[d]);
}

static Expr *copy_address(Nest *n, const Copy *c, const Coord *at)
{
    const int64_t *stride = c->lib->conv.stride[c->t];
    Expr *x = x_i64(n->b, 0);
    for (int d = 0; d < 4; d++) x = x_add(n->b, x, x_muli(n->b, whole_index(n, at, d), stride[d]));
    return x;
}

/* ---- into a copy ---- */

/* One vector of channels, of which `lanes` exist. */
static void copy_channels(Nest *n, const Copy *c, Coord at, Expr *block, int64_t lanes)
{
    const LibraryTensor *x = &c->lib->tensor[c->t];
    int opened;
    Expr *v = nest_lanes(n, lanes, &opened);
    at.idx[1] = x_add(n->b, x_muli(n->b, block, BLOCK), v);
    Expr *to = copy_address(n, c, &at);
    if (nest_layout(n, x->value)->block[1] > 1) {
        at.idx[1] = NULL;
        at.blk[1] = block;
        at.lane[1] = v;
    }
    nest_point(n, x->value->shape, &at);
    nest_store_at(n, c->buf, to, nest_load(n, x->value, &n->at));
    nest_close(n, opened);
}

static void copy_in(Arena *a, Loops *out, const Group *g, const Library *lib, int t)
{
    enum { LEAST_PER_TASK = 1024 };
    Nest n;
    nest_begin(&n, a, out, g, lib->tensor[t].kept ? "cudnn weights" : "cudnn copy");
    n.kernel.prep = lib->tensor[t].kept;
    Copy c = {lib, t, copy_buffer(&n, lib, t)};
    const int64_t *dim = lib->tensor[t].value->shape.dim;
    int64_t full = dim[1] / BLOCK, rest = dim[1] % BLOCK, blocks = full + (rest > 0);
    NestLoop loop[] = {{"i", dim[0], false, NULL},
                       {"h", dim[2], false, NULL},
                       {"w", dim[3], false, NULL},
                       {"c", blocks, false, NULL}};
    int64_t tasks = nest_choose_tasks(&n, loop, 4, BLOCK, LEAST_PER_TASK);
    int opened = nest_open(&n, loop, 4);
    Coord at = {.rank = 4, .idx = {loop[0].var, NULL, loop[1].var, loop[2].var}};
    bool both = full && rest;
    if (both) lb_if(n.b, x_cmp(n.b, C_LT, loop[3].var, x_i64(n.b, full)));
    if (full) copy_channels(&n, &c, at, loop[3].var, BLOCK);
    if (both) lb_else(n.b);
    if (rest) copy_channels(&n, &c, at, loop[3].var, rest);
    if (both) lb_end(n.b);
    nest_close(&n, opened);
    nest_end(&n, tasks);
}

static void copies_in(Arena *a, Loops *out, const Group *g, const Library *lib, bool kept)
{
    for (int t = 0; t < CUDNN_MOST_TENSORS; t++) {
        const LibraryTensor *x = &lib->tensor[t];
        bool in = x->value && x->copied && t != (int)cudnn_conv_result(&lib->conv);
        if (in && x->kept == kept) copy_in(a, out, g, lib, t);
    }
}

/* ---- out of a copy ---- */

/* Blocks are computed along with their padding, of which a copy has none: there the last element stands for it. */
static Coord inside(Nest *n, const Shape *s)
{
    Coord at = n->at;
    for (int d = 0; d < 2; d++) {
        if (at.idx[d] || s->dim[d] % BLOCK == 0) continue;
        at.idx[d] = x_bin(n->b, B_MIN, whole_index(n, &at, d), x_i64(n->b, s->dim[d] - 1));
    }
    return at;
}

/* For us the padding is zero. */
static Expr *padded(Nest *n, const Shape *s, Expr *x)
{
    for (int d = 0; d < 2; d++) {
        if (n->at.idx[d] || s->dim[d] % BLOCK == 0) continue;
        Expr *exists = x_cmp(n->b, C_LT, whole_index(n, &n->at, d), x_i64(n->b, s->dim[d]));
        x = x_select(n->b, exists, x, x_f32(n->b, 0));
    }
    return x;
}

static void tail_element(Nest *n, void *arg)
{
    const Copy *c = arg;
    const Shape *s = &c->lib->result->shape;
    Coord at = inside(n, s);
    Expr *x = nest_load_at(n, c->buf, copy_address(n, c, &at));
    nest_set(n, c->lib->result, lb_let(n->b, padded(n, s, x), "y"));
    nest_store_outs(n, STAGE_ANCHOR, STAGE_LAST);
}

/* What the library did not compute of the group, from its result. */
static void tail(Arena *a, Loops *out, const Group *g, const Library *lib)
{
    Nest n;
    nest_begin(&n, a, out, g, "cudnn result");
    int t = (int)cudnn_conv_result(&lib->conv);
    Copy c = {lib, t, copy_buffer(&n, lib, t)};
    int64_t tasks =
        nest_each(&n, lib->result->shape, nest_layout(&n, g->out.v[0]), tail_element, &c);
    nest_end(&n, tasks);
}

/* ---- the operation ---- */

static KernelArg argument(const Loops *out, const Group *g, const Library *lib, int t)
{
    const LibraryTensor *x = &lib->tensor[t];
    const Layout *l = &out->plan->schedule->value[x->value->id];
    const Place *at = x->kept     ? &out->plan->kept[g->id]
                      : x->copied ? &out->plan->workspace[g->id]
                                  : &out->plan->value[x->value->id];
    bug_if(!at->bytes, "%%%d is not stored", x->value->id);
    int64_t size = ltype_size(out->plan->schedule->type[x->value->id]);
    return (KernelArg){at->arena, at->offset + (x->copied ? x->offset : l->base * size)};
}

static void operation(Arena *a, Loops *out, const Group *g, const Library *lib)
{
    char name[160];
    const Place *work = &out->plan->workspace[g->id];
    cudnn_conv_name(&lib->conv, name, sizeof name);
    Kernel k = {.library = lib, .group = g, .layers = group_layers(a, g), .prep = g->prep};
    k.nest = arena_printf(a, "cudnn %s", name);
    for (int t = 0; t < CUDNN_MOST_TENSORS; t++)
        if (lib->tensor[t].value) vec_push(a, &k.arg, argument(out, g, lib, t));
    vec_push(a, &k.arg, ((KernelArg){work->arena, work->offset + lib->scratch_offset}));
    vec_push(a, &out->kernel, k);
}

void nest_library_prepare(Arena *a, Loops *out, const Group *g)
{
    copies_in(a, out, g, out->plan->schedule->group[g->id].library, true);
}

void nest_library(Arena *a, Loops *out, const Group *g)
{
    const Library *lib = out->plan->schedule->group[g->id].library;
    copies_in(a, out, g, lib, false);
    operation(a, out, g, lib);
    if (lib->tensor[cudnn_conv_result(&lib->conv)].copied) tail(a, out, g, lib);
}
