/* One program in memory, as a built program would hold it: the four arenas, filled with random
 * values.
 *
 * In: plan, loops, kernels, a seed. Rules: storage that nobody has written is NaN, so that a read
 * of it shows; zero halos, and zeros between gradients, are written once, here. Weights take their initialisation; what begins as
 * a constant (0, 1) is moved a little, so that a factor of 1 or a term of 0 that was forgotten
 * shows. Variances are positive. Flat values (all parameters end to end) lie part by part, each
 * part in its own layout. */
#include "loop/stored.h"
#include "ops/op.h"
#include "verify.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ARGS = 64, ALIGN = 64 };

/* ---- random numbers: a function of seed, name and index ---- */

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static uint64_t name_key(const char *s)
{
    uint64_t h = 1469598103934665603u;
    while (*s) h = (h ^ (unsigned char)*s++) * 1099511628211u;
    return h;
}

static double uniform(uint64_t key, uint64_t i)
{
    return (double)(mix(key + mix(i + 0x9e3779b97f4a7c15u)) >> 11) / 9007199254740992.0;
}

static double normal(uint64_t key, uint64_t i)
{
    double u = uniform(key, 2 * i) + 0x1p-54, v = uniform(key, 2 * i + 1);
    return sqrt(-2 * log(u)) * cos(2 * 3.14159265358979323846 * v);
}

double verify_random(uint64_t seed, const char *name, uint64_t i)
{
    return uniform(mix(seed) ^ name_key(name), i);
}

/* ---- where values lie ---- */

typedef struct Piece {
    char *at;
    const Layout *layout;
    LType type;
    int64_t count;
} Piece;
typedef VEC(Piece) Pieces;

static int64_t layout_elements(const Layout *l)
{
    int64_t n = 1;
    for (int a = 0; a < l->rank; a++) n *= l->dim[a];
    return n;
}

/* The State group or Pack whose parts' layouts a flat value has; NULL: the value is not flat. */
static const Node *flat_source(const Node *n, const Node *const *known)
{
    if (op_is(n, "Pack") || (op_is(n, "State") && n->state->part)) return n;
    if (n->op->nest != NEST_POINTWISE) return NULL;
    for (int i = 0; i < n->nin; i++)
        if (shape_eq(n->in[i]->shape, n->shape) && known[n->in[i]->id]) return known[n->in[i]->id];
    return NULL;
}

static void add_parts(const VerifyRun *r, Arena *a, Pieces *out, const Node *source, char *at)
{
    const Schedule *s = r->plan->schedule;
    bool pack = op_is(source, "Pack");
    for (int k = 0; k < (pack ? source->nin : source->state->npart); k++) {
        const Layout *l =
            pack ? &s->value[source->in[k]->id] : &s->state[source->state->part[k]->id];
        vec_push(a, out, ((Piece){at, l, LT_F32, layout_elements(l)}));
        at += (l->count * dtype_size(DT_F32) + ALIGN - 1) / ALIGN * ALIGN;
    }
}

static Pieces pieces_of(const VerifyRun *r, Arena *a, const Node *n)
{
    Pieces out = {0};
    const Place *at = &r->plan->value[n->id];
    const Layout *l = &r->plan->schedule->value[n->id];
    const Node *flat = r->flat[n->id];
    char *base = r->arena[at->arena] + at->offset;
    bug_if(!at->bytes, "%%%d is not stored", n->id);
    if (flat)
        add_parts(r, a, &out, flat, base);
    else
        vec_push(a, &out, ((Piece){base, l, r->plan->schedule->type[n->id], layout_elements(l)}));
    return out;
}

static Piece piece_of_state(const VerifyRun *r, const State *s)
{
    const Layout *l = &r->plan->schedule->state[s->id];
    return (Piece){r->arena[PLAN_STATE] + r->plan->state[s->id].offset, l, LT_F32,
                   layout_elements(l)};
}

/* ---- elements ---- */

static void put(char *base, LType t, int64_t i, double x)
{
    if (t == LT_F32) ((float *)base)[i] = (float)x;
    if (t == LT_I32) ((int32_t *)base)[i] = (int32_t)x;
    if (t == LT_U8) ((uint8_t *)base)[i] = (uint8_t)x;
    if (ltype_is_stored(t)) stored_put(t, base + i * ltype_size(t), (float)x);
}

static double get(const char *base, LType t, int64_t i)
{
    if (ltype_is_stored(t)) return (double)stored_get(t, base + i * ltype_size(t));
    return t == LT_F32   ? (double)((const float *)base)[i]
           : t == LT_I32 ? (double)((const int32_t *)base)[i]
                         : (double)((const uint8_t *)base)[i];
}

static int64_t place_of(const Layout *l, int64_t linear)
{
    int64_t at = l->base;
    for (int a = l->rank - 1; a >= 0; a--) {
        int64_t i = linear % l->dim[a];
        linear /= l->dim[a];
        at += i / l->block[a] * l->outer[a] + i % l->block[a] * l->inner[a];
    }
    return at;
}

/* Moves all elements between storage and a row-major array, row by row. */
static void move(const Piece *p, double *x, bool in)
{
    const Layout *l = p->layout;
    int last = l->rank - 1;
    int64_t width = l->rank ? l->dim[last] : 1, rows = p->count / width;
    for (int64_t r = 0; r < rows; r++) {
        int64_t at = place_of(l, r * width);
        for (int64_t i = 0; i < width; i++, x++) {
            int64_t k = at;
            if (last >= 0)
                k += i / l->block[last] * l->outer[last] + i % l->block[last] * l->inner[last];
            if (in)
                put(p->at, p->type, k, *x);
            else
                *x = get(p->at, p->type, k);
        }
    }
}

double *verify_read(const VerifyRun *r, Arena *a, const Node *n)
{
    Pieces p = pieces_of(r, a, n);
    const Place *at = &r->plan->value[n->id];
    double *x = NEWN(a, double, shape_count(n->shape) + 1), *to = x;
    if (r->device) verify_device_fetch(r, at->arena, at->offset, at->bytes);
    for (int i = 0; i < p.n; i++) {
        move(&p.v[i], to, false);
        to += p.v[i].count;
    }
    return x;
}

double *verify_read_state(const VerifyRun *r, Arena *a, const State *s)
{
    double *x = NEWN(a, double, shape_count(s->shape) + 1), *to = x;
    for (int k = 0; k < (s->part ? s->npart : 1); k++) {
        Piece p = piece_of_state(r, s->part ? s->part[k] : s);
        const Place *at = &r->plan->state[(s->part ? s->part[k] : s)->id];
        if (r->device) verify_device_fetch(r, PLAN_STATE, at->offset, at->bytes);
        move(&p, to, false);
        to += p.count;
    }
    return x;
}

float *verify_state_element(const VerifyRun *r, const State *s, int64_t i)
{
    Piece p = piece_of_state(r, s);
    return (float *)p.at + place_of(p.layout, i);
}

float *verify_state_storage(const VerifyRun *r, const State *s, int64_t *count)
{
    Piece p = piece_of_state(r, s);
    *count = p.layout->count;
    return (float *)p.at;
}

/* ---- first values ---- */

static double first_value(const State *s, uint64_t key, uint64_t i)
{
    if (s->dtype != DT_F32 || !strncmp(s->name, "loss_scale", 10)) return s->init.a;
    if (s->kind == STATE_MOMENT)
        return 0.01 * (0.5 + uniform(key, i) / 2); /* squares are among them */
    if (s->init.kind == INIT_UNIFORM) return s->init.a + (s->init.b - s->init.a) * uniform(key, i);
    if (s->init.kind == INIT_NORMAL) return s->init.a + s->init.b * normal(key, i);
    if (s->kind == STATE_BUFFER && s->init.a > 0) return s->init.a * (0.5 + uniform(key, i));
    return s->init.a + 0.1 * (2 * uniform(key, i) - 1);
}

static void fill_state(VerifyRun *r, Arena *tmp, const State *s)
{
    Piece p = piece_of_state(r, s);
    uint64_t key = mix(r->seed) ^ name_key(s->name);
    double *x = NEWN(tmp, double, p.count + 1);
    bool counter = s->shape.rank == 0 && s->kind == STATE_BUFFER; /* num_batches_tracked */
    for (int64_t i = 0; i < p.count; i++) x[i] = counter ? 3 : first_value(s, key, (uint64_t)i);
    move(&p, x, true);
}

/* How many classes an integer input counts: what its OneHot says, else the width of the output. */
static int64_t classes_of(const Graph *g, const Node *input)
{
    const Node *out = graph_find_output(g, "output");
    for (int i = 0; i < g->node.n; i++) {
        const Node *n = g->node.v[i];
        if (op_is(n, "OneHot") && n->in[0] == input) return attr_int(n, "classes");
    }
    return out && out->shape.rank > 1 ? out->shape.dim[1] : 2;
}

static void fill_input(VerifyRun *r, Arena *tmp, const Node *n)
{
    enum { UNLABELLED = 61 }; /* one of so many targets has no class */
    uint64_t key = mix(r->seed) ^ name_key(n->name);
    double most = n->dtype == DT_U8 ? 256 : (double)classes_of(r->g, n);
    bool target = !strncmp(n->name, "target", 6);
    int64_t count = shape_count(n->shape);
    double *x = NEWN(tmp, double, count + 1);
    for (int64_t i = 0; i < count; i++) {
        double u = uniform(key, (uint64_t)i);
        x[i] = n->dtype != DT_F32 ? floor(u * most) : target ? u : normal(key, (uint64_t)i);
        if (n->dtype == DT_I32 && i % UNLABELLED == UNLABELLED - 1) x[i] = -1;
    }
    Pieces p = pieces_of(r, tmp, n);
    memset(p.v[0].at, 0, (size_t)r->plan->value[n->id].bytes);
    move(&p.v[0], x, true);
}

static double option_value(const Setting *option, int n, const char *name, double otherwise)
{
    for (int i = 0; i < n; i++)
        if (!strncmp(option[i].key, "train.", 6) && !strcmp(option[i].key + 6, name)) {
            char *end;
            double x = strtod(option[i].value, &end);
            return *end ? otherwise : x;
        }
    return otherwise;
}

/* As in the third step of a training run. */
static double scalar_value(const VerifyRun *r, const char *name, const Setting *option, int n)
{
    enum { STEP = 3 };
    if (!strcmp(name, "step")) return STEP;
    if (!strcmp(name, "seed")) return (double)r->seed;
    if (!strcmp(name, "bias_correction1"))
        return 1 - pow(option_value(option, n, "beta1", 0.9), STEP);
    if (!strcmp(name, "bias_correction2"))
        return 1 - pow(option_value(option, n, "beta2", 0.999), STEP);
    return option_value(option, n, name, 0.01);
}

static void fill_scalars(VerifyRun *r, const Setting *option, int n)
{
    for (int i = 0; i < r->g->node.n; i++) {
        const Node *s = r->g->node.v[i];
        if (!op_is(s, "Scalar")) continue;
        put(r->arena[PLAN_SCALAR] + r->plan->value[i].offset, s->dtype == DT_I32 ? LT_I32 : LT_F32, 0,
            scalar_value(r, s->name, option, n));
    }
}

/* ---- the arenas ---- */

static void allocate(VerifyRun *r)
{
    for (int i = 0; i < PLAN_NARENAS; i++) {
        size_t n = (size_t)(r->plan->size[i] + ALIGN) / ALIGN * ALIGN + ALIGN;
        r->arena[i] = aligned_alloc(ALIGN, n);
        if (!r->arena[i]) fatal(EXIT_MEMORY, "cannot allocate %zu bytes", n);
        memset(r->arena[i], i == PLAN_SLAB ? 0xff : 0, n);
    }
    for (int i = 0; i < r->g->node.n; i++) {
        const Place *at = &r->plan->value[i];
        bool zeros = layout_has_halo(&r->plan->schedule->value[i]) || op_is(r->g->node.v[i], "Pack");
        if (at->bytes && at->arena == PLAN_SLAB && zeros)
            memset(r->arena[PLAN_SLAB] + at->offset, 0, (size_t)at->bytes);
    }
}

void verify_open(Arena *a, VerifyRun *r, const Setting *option, int noption)
{
    Arena *tmp = arena_new();
    r->plan = r->loops->plan;
    r->g = r->plan->schedule->groups->graph;
    r->mark = NEWN(a, uint64_t, r->g->node.n + 1);
    r->flat = NEWN(a, const Node *, r->g->node.n + 1);
    for (int i = 0; i < r->g->node.n; i++) r->flat[i] = flat_source(r->g->node.v[i], r->flat);
    allocate(r);
    for (int i = 0; i < r->g->state.n; i++)
        if (!r->g->state.v[i]->part) fill_state(r, tmp, r->g->state.v[i]);
    for (int i = 0; i < r->g->node.n; i++)
        if (op_is(r->g->node.v[i], "Input")) fill_input(r, tmp, r->g->node.v[i]);
    fill_scalars(r, option, noption);
    if (r->device) verify_device_allocate(r);
    arena_free(tmp);
}

void verify_close(VerifyRun *r)
{
    if (r->device) verify_device_release(r);
    for (int i = 0; i < PLAN_NARENAS; i++) free(r->arena[i]);
}

void verify_push_states(const VerifyRun *r)
{
    if (r->device) verify_device_push(r, PLAN_STATE, 0, r->plan->size[PLAN_STATE]);
}

/* ---- launches ---- */

typedef struct Launch {
    LoadedKernel fn;
    void *arg[MOST_ARGS];
} Launch;

static void run_tasks(void *x, int64_t begin, int64_t end)
{
    const Launch *l = x;
    l->fn(l->arg, begin, end);
}

void verify_launch(const VerifyRun *r, int kernel)
{
    enum { SMALL = 100000 }; /* operations that are not worth a thread */
    const Kernel *k = &r->loops->kernel.v[kernel];
    if (r->device) {
        verify_device_launch(r, kernel);
        return;
    }
    Launch l = {.fn = r->fn[r->kernel[kernel]]};
    bug_if(k->arg.n > MOST_ARGS, "%d arguments", k->arg.n);
    for (int i = 0; i < k->arg.n; i++) l.arg[i] = r->arena[k->arg.v[i].arena] + k->arg.v[i].offset;
    verify_parallel(k->flops < SMALL && k->bytes < SMALL ? 1 : r->threads, k->func->ntasks,
                    run_tasks, &l);
}
