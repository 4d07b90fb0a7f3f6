/* What all nests share: arguments, loops, addresses, and the evaluation of elementwise nodes. */
#include "nests/nest.h"
#include <string.h>

enum { CPU_TASKS = 32 }; /* what the least work of a task is written for */

LType nest_ltype(DType t)
{
    return t == DT_F32 ? LT_F32 : t == DT_I32 ? LT_I32 : LT_U8;
}

LType nest_type(const Nest *n, const Node *v)
{
    return n->sched->type[v->id];
}

void nest_begin(Nest *n, Arena *a, Loops *out, const Group *g, const char *nest)
{
    *n = (Nest){.a = a, .out = out, .plan = out->plan, .sched = out->plan->schedule, .group = g};
    const char *layers = g ? group_layers(a, g) : "state";
    Func *f = func_new(a, arena_printf(a, "k%02d", out->kernel.n), layers);
    f->line = g ? group_line(g) : 0;
    n->gs = g ? &n->sched->group[g->id] : NULL;
    n->sums = n->gs ? n->gs->sums : NULL;
    n->lb = lb_begin(a, f);
    n->b = &n->lb;
    n->kernel =
        (Kernel){.func = f, .group = g, .layers = layers, .nest = nest, .prep = g && g->prep};
    n->memo = arena_alloc(a, sizeof *n->memo * (size_t)(n->sched->groups->graph->node.n + 1));
    n->point = n->row = 1;
}

void nest_end(Nest *n, int64_t ntasks)
{
    n->kernel.func->ntasks = ntasks;
    vec_push(n->a, &n->out->kernel, n->kernel);
}

/* ---- arguments: one per place, so that equal addresses are one buffer ---- */

LBuf *nest_place(Nest *n, const Place *at, int64_t byte_offset, LType t, int64_t count)
{
    int64_t offset = at->offset + byte_offset;
    for (int i = 0; i < n->kernel.arg.n; i++)
        if (n->kernel.arg.v[i].arena == at->arena && n->kernel.arg.v[i].offset == offset)
            return n->kernel.func->buf.v[i]; /* of the same type: the verifier sees to that */
    vec_push(n->a, &n->kernel.arg, ((KernelArg){at->arena, offset}));
    return lb_arg(n->b, t, count);
}

LBuf *nest_buf(Nest *n, const Node *v)
{
    const Place *at = &n->plan->value[v->id];
    bug_if(!at->bytes, "%%%d is not stored", v->id);
    return nest_place(n, at, 0, nest_type(n, v), nest_layout(n, v)->count);
}

LBuf *nest_workspace(Nest *n, int64_t byte_offset, LType t, int64_t count)
{
    return nest_place(n, &n->plan->workspace[n->group->id], byte_offset, t, count);
}

const Layout *nest_layout(const Nest *n, const Node *v)
{
    return &n->sched->value[v->id];
}

Stage nest_stage(const Nest *n, const Node *v)
{
    return n->sched->groups->stage[v->id];
}

bool nest_inside(const Nest *n, const Node *v)
{
    const Group *g = n->sched->groups->of[v->id];
    return g && (g == n->group || g == n->sums);
}

/* ---- loops ---- */

int64_t nest_least(const Nest *n, int64_t least)
{
    int64_t scaled = least * CPU_TASKS / n->sched->machine->tasks;
    return scaled > 1 ? scaled : 1;
}

int64_t nest_choose_tasks(const Nest *nest, NestLoop *l, int n, int64_t inner, int64_t least)
{
    int64_t tasks = 1, rest = inner, wanted = nest->sched->machine->tasks;
    least = nest_least(nest, least);
    for (int i = 0; i < n; i++) rest *= l[i].extent;
    for (int i = 0; i < n && tasks < wanted; i++) {
        if (l[i].extent == 1) continue;
        if (rest / l[i].extent < least) break;
        l[i].parallel = true;
        tasks *= l[i].extent;
        rest /= l[i].extent;
    }
    return tasks;
}

/* task = mixed-radix number of the parallel loops, the innermost fastest */
static void decode_task(Nest *n, NestLoop *l, int count)
{
    int64_t below = 1;
    bool outermost = true;
    for (int i = 0; i < count; i++) below *= l[i].parallel ? l[i].extent : 1;
    for (int i = 0; i < count; i++) {
        if (!l[i].parallel) continue;
        below /= l[i].extent;
        Expr *q = x_divi(n->b, x_task(n->b), below);
        if (!outermost) q = x_modi(n->b, q, l[i].extent);
        l[i].var = lb_let(n->b, q, l[i].name);
        outermost = false;
    }
}

int nest_open(Nest *n, NestLoop *l, int count)
{
    int opened = 0;
    decode_task(n, l, count);
    for (int i = 0; i < count; i++) {
        if (l[i].parallel) continue;
        if (l[i].extent == 1) {
            l[i].var = x_i64(n->b, 0);
            continue;
        }
        l[i].var = lb_for_n(n->b, FOR_SERIAL, l[i].extent, l[i].name);
        opened++;
    }
    return opened;
}

void nest_close(Nest *n, int opened)
{
    while (opened-- > 0) lb_end(n->b);
}

Expr *nest_lanes(Nest *n, int64_t extent, int *opened)
{
    *opened = extent > 1;
    return extent > 1 ? lb_for_n(n->b, FOR_VECTOR, extent, "v") : x_i64(n->b, 0);
}

/* ---- addresses ---- */

static Expr *whole_index(Nest *n, const Coord *at, int axis)
{
    if (at->idx[axis]) return at->idx[axis];
    return x_add(n->b, x_muli(n->b, at->blk[axis], BLOCK), at->lane[axis]);
}

/* Address part of axis `axis` of the value at domain axis `d`. */
static Expr *axis_address(Nest *n, const Layout *l, int axis, const Coord *at, int d)
{
    LB *b = n->b;
    if (l->block[axis] == 1) return x_muli(b, whole_index(n, at, d), l->outer[axis]);
    Expr *blk = at->idx[d] ? x_divi(b, at->idx[d], l->block[axis]) : at->blk[d];
    Expr *lane = at->idx[d] ? x_modi(b, at->idx[d], l->block[axis]) : at->lane[d];
    return x_add(b, x_muli(b, blk, l->outer[axis]), x_muli(b, lane, l->inner[axis]));
}

Expr *nest_address(Nest *n, const Layout *l, Shape shape, const Coord *at)
{
    LB *b = n->b;
    Expr *x = x_i64(b, 0);
    bool channels = shape.rank == 1 && at->rank >= 2; /* [C] against [N,C,..] */
    for (int a = 0; a < l->rank; a++) {
        int d = channels ? 1 : a;
        if (l->dim[a] == 1) continue; /* one element, or broadcast */
        x = x_add(b, x, axis_address(n, l, a, at, d));
    }
    return x_addi(b, x, l->base);
}

/* ---- values ---- */

void nest_point(Nest *n, Shape domain, const Coord *at)
{
    n->point++;
    n->domain = domain;
    n->at = *at;
}

void nest_new_row(Nest *n)
{
    n->row = ++n->point;
}

static void remember(Nest *n, const Node *v, Expr *x)
{
    n->memo[v->id].x = x;
    n->memo[v->id].scope = n->in_row ? -n->row : n->point;
}

void nest_set(Nest *n, const Node *v, Expr *x)
{
    remember(n, v, x);
}

static Expr *recall(const Nest *n, const Node *v)
{
    int s = n->memo[v->id].scope;
    return s && (s == n->point || s == -n->row) ? n->memo[v->id].x : NULL;
}

Expr *nest_load_at(Nest *n, LBuf *u, Expr *index)
{
    Expr *x = x_load(n->b, u, index);
    return ltype_is_stored(u->type) ? x_cast(n->b, LT_F32, x) : x;
}

void nest_store_at(Nest *n, LBuf *u, Expr *index, Expr *x)
{
    lb_store(n->b, u, index, ltype_is_stored(u->type) ? x_cast(n->b, u->type, x) : x);
}

Expr *nest_load(Nest *n, const Node *v, const Coord *at)
{
    Expr *x = nest_load_at(n, nest_buf(n, v), nest_address(n, nest_layout(n, v), v->shape, at));
    return v->dtype == DT_U8 ? x_cast(n->b, LT_I32, x) : x; /* bodies see small integers as i32 */
}

Expr *nest_value(Nest *n, const Node *v)
{
    enum { MOST_IN = 8 };
    Expr *in[MOST_IN], *x = recall(n, v);
    if (x) return x;
    if (op_is(v, "Const")) return x_f32(n->b, attr_float(v, "value"));
    /* work on scalars belongs to no group: it is done here */
    bool stored = v->op->nest != NEST_POINTWISE || n->sched->groups->of[v->id];
    if (stored && !nest_inside(n, v)) {
        x = op_is(v, "Scalar")
                ? x_load(n->b, nest_place(n, &n->plan->value[v->id], 0, nest_ltype(v->dtype), 16),
                         x_i64(n->b, 0))
                : nest_load(n, v, &n->at);
    } else if (v->op->nest == NEST_WINDOW_T) {
        x = nest_windows_of(n, v);
    } else {
        bug_if(v->op->nest != NEST_POINTWISE, "%%%d (%s) is not elementwise", v->id,
               op_name(v->op));
        bug_if(v->nin > MOST_IN, "%%%d has %d inputs", v->id, v->nin);
        for (int i = 0; i < v->nin; i++) in[i] = nest_value(n, v->in[i]);
        Body body = nest_body(n);
        x = v->op->body(&body, v, in);
    }
    x = lb_let(n->b, x, "t");
    remember(n, v, x);
    return x;
}

/* x, or 0 at coordinates beyond v's last: in the padding of blocks. */
static Expr *without_padding(Nest *n, const Node *v, Expr *x)
{
    const Layout *l = nest_layout(n, v);
    bool channels = v->shape.rank == 1 && n->at.rank >= 2;
    for (int a = 0; a < l->rank; a++) {
        if (l->dim[a] % l->block[a] == 0) continue;
        Expr *i = whole_index(n, &n->at, channels ? 1 : a);
        Expr *real = x_cmp(n->b, C_LT, i, x_i64(n->b, l->dim[a]));
        x = x_select(n->b, real, x, x_f32(n->b, 0));
    }
    return x;
}

void nest_store(Nest *n, const Node *v, Expr *x)
{
    if (v->dtype == DT_U8) x = x_cast(n->b, LT_U8, x);
    if (n->sched->clean[v->id]) x = without_padding(n, v, x);
    nest_store_at(n, nest_buf(n, v), nest_address(n, nest_layout(n, v), v->shape, &n->at), x);
}

void nest_store_outs(Nest *n, Stage from, Stage to)
{
    for (int i = 0; i < n->group->out.n; i++) {
        const Node *v = n->group->out.v[i];
        Stage s = nest_stage(n, v);
        if (s >= from && s <= to) nest_store(n, v, nest_value(n, v));
    }
}

/* ---- what bodies may ask for ---- */

static Expr *body_coord(Body *c, int axis)
{
    Nest *n = c->owner;
    return axis < n->at.rank ? whole_index(n, &n->at, axis) : x_i64(n->b, 0);
}

static Expr *body_linear(Body *c)
{
    Nest *n = c->owner;
    Expr *x = x_i64(n->b, 0);
    for (int a = 0; a < n->at.rank; a++)
        x = x_add(n->b, x_muli(n->b, x, n->domain.dim[a]), whole_index(n, &n->at, a));
    return x;
}

/* What a gathering operator reads. */
static const Node *gathered(const Nest *n, int k)
{
    for (int i = 0; i < n->group->node.n; i++)
        if (nest_stage(n, n->group->node.v[i]) == STAGE_ANCHOR) return n->group->node.v[i]->in[k];
    bug_if(true, "a group without an anchor");
}

/* Lane-wise index of a blocked axis that was given whole, or the point's own. */
static Expr *body_load(Body *c, int k, Expr *const *index)
{
    Nest *n = c->owner;
    Coord at = n->at;
    for (int a = 0; a < at.rank; a++)
        if (index[a]) {
            at.idx[a] = index[a];
            at.blk[a] = at.lane[a] = NULL;
        }
    return lb_let(n->b, nest_load(n, gathered(n, k), &at), "x");
}

static Expr *clamp(LB *b, Expr *x, int64_t count)
{
    return x_bin(b, B_MIN, x_bin(b, B_MAX, x, x_i64(b, 0)), x_i64(b, count - 1));
}

static Expr *body_shifted(Body *c, int k, int axis, int64_t by)
{
    Nest *n = c->owner;
    const Node *v = gathered(n, k);
    Expr *index[MAX_RANK] = {NULL};
    Coord at = n->at;
    int64_t count = v->shape.dim[axis];
    if (at.blk[axis] && nest_layout(n, v)->block[axis] == BLOCK && by % BLOCK == 0) {
        Expr *blk = x_addi(n->b, at.blk[axis], by / BLOCK);
        at.blk[axis] = clamp(n->b, blk, (count + BLOCK - 1) / BLOCK);
        return lb_let(n->b, nest_load(n, v, &at), "x");
    }
    index[axis] = clamp(n->b, x_addi(n->b, whole_index(n, &at, axis), by), count);
    return body_load(c, k, index);
}

Body nest_body(Nest *n)
{
    return (Body){.b = n->b,
                  .coord = body_coord,
                  .linear = body_linear,
                  .load = body_load,
                  .shifted = body_shifted,
                  .owner = n};
}
