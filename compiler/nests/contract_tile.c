/* A contraction's skeleton: the template templates/kernels/contract.cu, specialised for the tile that the schedule chose.
 *
 * In: the finished kernel of loops and its ConTile. Out: the template's definitions, and `tail`, which turns the sums of
 * a tile into the group's results with the very code that ends the loops (contract_tail.c): rows are places that the
 * template has written down, columns are one block of 16 lanes. */
#include "nests/contract.h"

enum { PLACE = 4, FLOAT_BYTES = 4, TAIL_THREADS = 4 }; /* as the template lays them out */

typedef struct Step { /* a loop of the template */
    int64_t count, a, b;
} Step;

static void define(Arena *a, Skeleton *k, const char *name, int64_t value)
{
    vec_push(a, &k->define, ((Define){name, value}));
}

static void define3(Arena *a, Skeleton *k, const char *name, const int64_t v[3])
{
    for (int i = 0; i < 3; i++) define(a, k, arena_printf(a, "%s%d", name, i), v[i]);
}

/* ---- definitions ---- */

static int64_t unit_of(const ConTile *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->nrow; i++) n *= t->unit[i];
    return n;
}

static void define_rows(Arena *a, Skeleton *k, const ConSchedule *s)
{
    const ConTile *t = &s->tile;
    int64_t count[3] = {1, 1, 1}, stride[3] = {0}, unit[2] = {1, 1}, inner[2] = {0};
    int groups = 0, units = 0;
    for (int i = 0; i < t->nrow; i++) {
        const ConLoop *l = &s->loop[t->row[i]];
        if (l->extent > t->unit[i]) {
            count[groups] = l->extent / t->unit[i];
            stride[groups++] = l->sa * t->unit[i];
        }
        if (t->unit[i] > 1) {
            unit[units] = t->unit[i];
            inner[units++] = l->sa;
        }
    }
    define3(a, k, "GROUPS", count);
    define3(a, k, "GA", stride);
    define(a, k, "UNIT0", unit[0]);
    define(a, k, "UNIT1", unit[1]);
    define(a, k, "UA0", inner[0]);
    define(a, k, "UA1", inner[1]);
}

/* Loops that go on where the one inside of them ends are one loop. The first stays alone where it is cut in chunks. */
static int merge_steps(Step *v, const ConSchedule *s, bool split)
{
    int n = 0;
    for (int i = 0; i < s->tile.nred; i++) {
        const ConLoop *l = &s->loop[s->tile.red[i]];
        Step *o = n ? &v[n - 1] : NULL;
        if (o && !(split && n == 1) && o->a == l->extent * l->sa && o->b == l->extent * l->sb)
            *o = (Step){o->count * l->extent, l->sa, l->sb};
        else
            v[n++] = (Step){l->extent, l->sa, l->sb};
    }
    return n;
}

/* Right-aligned: the innermost is K2. What is cut in chunks is K0. */
static void define_reduction(Arena *a, Skeleton *k, const ConSchedule *s, const GroupSchedule *gs)
{
    Step v[TILE_LOOPS], at[3] = {{1, 0, 0}, {1, 0, 0}, {1, 0, 0}};
    bool split = gs->split > 1;
    int n = merge_steps(v, s, split);
    for (int i = 0; i < n; i++) at[split && i == 0 ? 0 : 3 - n + i] = v[i];
    define3(a, k, "K", (int64_t[]){at[0].count, at[1].count, at[2].count});
    define3(a, k, "KA", (int64_t[]){at[0].a, at[1].a, at[2].a});
    define3(a, k, "KB", (int64_t[]){at[0].b, at[1].b, at[2].b});
    define(a, k, "KB_LANE", s->tile.red_lane >= 0 ? s->loop[s->tile.red_lane].sb : 0);
    define(a, k, "SPLIT", gs->split);
    define(a, k, "CHUNK", split ? gs->chunk : at[0].count);
}

static void define_tile(Arena *a, Skeleton *k, const ConTile *t)
{
    const TileConfig *c = t->config;
    define(a, k, "MATH", t->math);
    define(a, k, "BM", c->bm);
    define(a, k, "BN", c->bn);
    define(a, k, "WM", c->wm);
    define(a, k, "WN", c->wn);
    define(a, k, "STAGES", c->stages);
    define(a, k, "STEP", c->step);
    k->threads = (unsigned)(c->bm / c->wm * (c->bn / c->wn) * 32);
}

static int argument_of(const Func *f, const LBuf *u)
{
    for (int i = 0; i < f->nargs; i++)
        if (f->buf.v[i] == u) return i;
    bug_if(true, "an operand that is no argument");
}

static void define_sums(Skeleton *k, Con *c)
{
    const Group *r = c->n.sums;
    Arena *a = c->n.a;
    k->sums = r ? argument_of(c->n.kernel.func, con_tile_sums(&c->n)) : -1;
    define(a, k, "SUMS", r ? schedule_anchors(c->n.sched, r) : 0);
    define(a, k, "SUM_TILES", r ? c->n.sched->group[r->id].red_tiles : 0);
    define(a, k, "FIRST_TILE", r ? con_first_tile(c) : 0);
}

static void define_all(Arena *a, Skeleton *k, const ConSchedule *s, const GroupSchedule *gs)
{
    const ConTile *t = &s->tile;
    const ConLoop *z = t->batch >= 0 ? &s->loop[t->batch] : NULL;
    define_tile(a, k, t);
    define(a, k, "A_COLUMNS", t->a_columns);
    define(a, k, "BASE_A", s->base_a);
    define(a, k, "BASE_B", s->base_b);
    define_rows(a, k, s);
    define(a, k, "BLOCKS", s->loop[t->blk].extent);
    define(a, k, "NB", s->loop[t->blk].sb);
    define_reduction(a, k, s, gs);
    define(a, k, "BATCH", z ? z->extent : 1);
    define(a, k, "BATCH_A", z ? z->sa : 0);
    define(a, k, "BATCH_B", z ? z->sb : 0);
}

/* Threads that work at the same time on 16 columns, each with its own sums. */
static int64_t slots_of(const ConTile *t)
{
    const TileConfig *c = t->config;
    return c->bm / c->wm * (c->bn / c->wn) * 32 / TAIL_THREADS;
}

/* Floats from a row of sums to the next, as the template has them: SUM_ROW. */
static int64_t sum_row(const ConTile *t)
{
    bool pairs = t->math == TILE_TF32 && t->a_columns;
    return t->config->bn + (pairs ? 4 : 8);
}

static int64_t shared_bytes(const ConTile *t, int nsums)
{
    const TileConfig *c = t->config;
    int64_t element = t->math == TILE_F16 || t->math == TILE_BF16 ? FLOAT_BYTES / 2 : FLOAT_BYTES;
    int64_t stages = (int64_t)c->stages * c->step * (c->bm + c->bn) * BLOCK * element;
    int64_t sums = c->wm * sum_row(t) * FLOAT_BYTES + nsums * slots_of(t) * BLOCK * FLOAT_BYTES;
    return (stages > sums ? stages : sums) + c->bm / unit_of(t) * PLACE * FLOAT_BYTES;
}

/* ---- the tail ---- */

static Expr *integer_at(Con *c, LBuf *u, Expr *index)
{
    return x_cast(c->n.b, LT_I64, x_load(c->n.b, u, index));
}

/* Where the task's rows and columns are, along every loop of the kernel. */
static void place_loops(Con *c, ConSchedule *s, LBuf *places, LBuf *tile, Expr *group, Expr *block)
{
    LB *b = c->n.b;
    const ConTile *t = &s->tile;
    int groups = 0;
    for (int i = 0; i < t->nrow; i++) {
        int k = t->row[i];
        bool counted = s->loop[k].extent > t->unit[i];
        Expr *at = x_addi(b, x_muli(b, group, PLACE), groups);
        groups += counted;
        c->tile[k] = counted ? lb_let(b, integer_at(c, places, at), "p") : x_i64(b, 0);
        c->start[k] = x_muli(b, c->tile[k], t->unit[i]);
        c->size[k] = s->loop[k].tile = t->unit[i];
    }
    c->start[t->blk] = lb_let(b, x_add(b, integer_at(c, tile, x_i64(b, 0)), block), "p");
    c->size[t->blk] = 1;
    if (t->batch >= 0) c->start[t->batch] = lb_let(b, integer_at(c, tile, x_i64(b, 1)), "p");
    if (c->n.gs->split > 1) c->chunk = lb_let(b, integer_at(c, tile, x_i64(b, 2)), "s");
}

static void take_arguments(Nest *n, const Nest *kernel)
{
    for (int i = 0; i < kernel->kernel.arg.n; i++) {
        const LBuf *u = kernel->kernel.func->buf.v[i];
        vec_push(n->a, &n->kernel.arg, kernel->kernel.arg.v[i]);
        lb_arg(n->b, u->type, u->count);
    }
}

static Func *build_tail(const Con *kernel)
{
    Con c = {.cols = 1, .lanes = BLOCK};
    ConSchedule s = *kernel->s;
    const TileConfig *config = s.tile.config;
    int64_t unit = unit_of(&s.tile), groups = config->wm / unit, blocks = config->bn / BLOCK, row = sum_row(&s.tile);
    nest_begin(&c.n, kernel->n.a, kernel->n.out, kernel->n.group, "contract tail");
    c.n.kernel.func->name = "tail";
    c.s = &s;
    LB *b = c.n.b;
    take_arguments(&c.n, &kernel->n);
    int given = c.n.kernel.arg.n;
    c.acc = lb_arg(b, LT_F32, config->wm * row);
    LBuf *places = lb_arg(b, LT_I32, groups * PLACE), *tile = lb_arg(b, LT_I32, 3);
    c.sums_row = slots_of(&s.tile) * BLOCK;
    if (c.n.sums) c.sums = lb_arg(b, LT_F32, schedule_anchors(c.n.sched, c.n.sums) * c.sums_row);
    Expr *group = lb_let(b, x_divi(b, x_task(b), blocks), "g"), *block = lb_let(b, x_modi(b, x_task(b), blocks), "j");
    place_loops(&c, &s, places, tile, group, block);
    c.acc_base = x_add(b, x_muli(b, group, unit * row), x_muli(b, block, BLOCK)); /* seen to be a multiple of 8 */
    c.acc_row = row;
    if (c.chunk)
        con_store_partial(&c, con_address(&c, 2));
    else
        con_epilogue(&c);
    bug_if(c.n.kernel.arg.n != given, "the tail of %s needs what its loops do not", kernel->n.kernel.func->name);
    c.n.kernel.func->ntasks = groups * blocks;
    return c.n.kernel.func;
}

void con_skeleton(Con *c)
{
    const ConTile *t = &c->s->tile;
    Arena *a = c->n.a;
    Func *f = c->n.kernel.func;
    if (!t->config) return;
    Skeleton *k = NEW(a, Skeleton);
    k->name = "contract";
    k->a = argument_of(f, c->abuf);
    k->b = argument_of(f, c->bbuf);
    define_all(a, k, c->s, c->n.gs);
    define_sums(k, c);
    k->tail = build_tail(c);
    k->grid[0] = (unsigned)(t->tiles_m * t->tiles_n);
    k->grid[1] = (unsigned)t->nz;
    k->grid[2] = 1;
    k->shared = shared_bytes(t, c->n.sums ? schedule_anchors(c->n.sched, c->n.sums) : 0);
    f->skeleton = k;
}
