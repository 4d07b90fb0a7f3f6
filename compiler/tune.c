/* Tiles of contractions, tried one after the other: kernels are compiled and counted, not run.
 *
 * In: a schedule, and for each round the loops that it gives. Out: the schedule with the tiles whose kernels are predicted
 * to take least time (gpu/time.c), spill nothing and can start on every architecture. Rule: the standard tile stays
 * unless another one is faster. What was counted is in the cache (nvrtc/probe.c), so that the next build tries nothing anew. */
#include "tune.h"
#include "gpu/gpu.h"
#include "manifest.h"
#include <math.h>
#include <string.h>

typedef struct Choice { /* of a group */
    int best, tried, dropped;
    double standard, seconds; /* predicted, of the standard tile and of the best */
    double now;               /* of this round */
    const char *layers;
} Choice;

struct Tuning {
    Arena *a;
    const Schedule *s;
    const char *const *arch;
    int narch, round;
    bool use_cache;
    Choice *group; /* by group id */
    bool *tries;   /* by group id: in this round */
};

Tuning *tune_begin(Arena *a, const Schedule *s, const char *const *arch, int narch, bool use_cache)
{
    Tuning *t = NEW(a, Tuning);
    int n = s->groups->group.n;
    *t = (Tuning){.a = a, .s = s, .arch = arch, .narch = narch, .use_cache = use_cache, .round = -1};
    t->group = NEWN(a, Choice, n + 1);
    t->tries = NEWN(a, bool, n + 1);
    return t;
}

bool tune_next(Tuning *t)
{
    bool any = false;
    t->round++;
    for (int i = 0; i < t->s->groups->group.n; i++) {
        t->tries[i] = schedule_take_tile(&t->s->group[i], t->round);
        t->group[i].now = 0;
        any |= t->tries[i];
    }
    return any;
}

/* Seconds; infinite: it must not be taken. */
static double predict(Arena *a, const char *arch, Func *f, const CudaStats *s)
{
    const Gpu *board = gpu_board(arch);
    LaunchFacts l = {.func = f};
    launch_facts(a, gpu_arch_find(arch), s, &l);
    if (s->spill_st || s->spill_ld || !l.occupancy.blocks) return INFINITY;
    return board ? gpu_time(board, &l.model).seconds : 0;
}

static void settle(Choice *c, int round)
{
    c->tried++;
    c->dropped += isinf(c->now);
    if (round == 0) c->standard = c->seconds = c->now;
    if (c->now < c->seconds) c->seconds = c->now, c->best = round;
}

void tune_count(Tuning *t, const Loops *l)
{
    Arena *a = arena_new();
    VEC(Func *) f = {0};
    VEC(Choice *) of = {0};
    for (int i = 0; i < l->kernel.n; i++) {
        const Kernel *k = &l->kernel.v[i];
        if (!k->func || !k->func->skeleton || !t->tries[k->group->id]) continue;
        vec_push(a, &f, k->func);
        vec_push(a, &of, &t->group[k->group->id]);
        of.v[of.n - 1]->layers = arena_strdup(t->a, k->layers);
    }
    for (int m = 0; m < t->narch; m++) {
        const CudaStats *s = cuda_probe(a, f.v, f.n, t->arch[m], t->use_cache);
        for (int i = 0; i < f.n; i++) of.v[i]->now += predict(a, t->arch[m], f.v[i], &s[i]);
    }
    for (int i = 0; i < t->s->groups->group.n; i++)
        if (t->tries[i]) settle(&t->group[i], t->round);
    arena_free(a);
}

/* ---- text ---- */

static void print_config(Buf *out, const TileConfig *c)
{
    buf_printf(out, "%dx%d, warps %dx%d, %d stages of %d", c->bm, c->bn, c->wm, c->wn, c->stages, c->step);
}

static const ConTile *tile_of(const GroupSchedule *gs)
{
    int p = 0;
    while (!gs->con[p].tile.config) p++;
    return &gs->con[p].tile;
}

static void print_group(Buf *out, const GroupSchedule *gs, const Choice *c)
{
    const ConTile *t = tile_of(gs);
    buf_printf(out, "  %-32s %8.2f us %8.2f us  ", c->layers, 1e6 * c->standard, 1e6 * c->seconds);
    print_config(out, t->config);
    buf_printf(out, c->best ? "; was " : " as it was");
    if (c->best) print_config(out, t->standard);
    buf_printf(out, "; of %d tiles, %d of which spill or cannot start\n", c->tried, c->dropped);
}

void tune_end(Tuning *t, Buf *out)
{
    double standard = 0, seconds = 0;
    int n = 0, changed = 0;
    for (int i = 0; i < t->s->groups->group.n; i++) {
        const Choice *c = &t->group[i];
        if (!c->tried) continue;
        schedule_take_tile(&t->s->group[i], c->best);
        standard += c->standard, seconds += c->seconds;
        n++, changed += c->best > 0;
    }
    buf_printf(out, "%d of %d contractions on other tiles than the standard ones: predicted %.2f us instead of %.2f us\n", changed, n,
               1e6 * seconds, 1e6 * standard);
    if (n) buf_printf(out, "  %-32s %11s %11s  tile\n", "layers", "predicted", "tuned");
    for (int i = 0; i < t->s->groups->group.n; i++)
        if (t->group[i].tried) print_group(out, &t->s->group[i], &t->group[i]);
}
