#include "random_data.h"
#include "ops/op.h"
#include <math.h>
#include <string.h>

static const double nudge = 1e-6;

static double noise(uint64_t key, uint64_t i) /* -1 .. 1 */
{
    uint64_t x = (key * 0x9e3779b97f4a7c15u) ^ (i * 0xbf58476d1ce4e5b9u);
    x ^= x >> 31, x *= 0x94d049bb133111ebu, x ^= x >> 29, x *= 0xd6e8feb86659fd93u, x ^= x >> 32;
    return (double)(x >> 11) / 4503599627370496.0 - 1;
}

uint64_t data_key(uint64_t seed, const char *s)
{
    uint64_t h = 1469598103934665603u + seed * 0x9e3779b97f4a7c15u;
    while (*s) h = (h ^ (unsigned char)*s++) * 1099511628211u;
    return h;
}

static double finish(const Data *d, uint64_t key, uint64_t i, double x)
{
    if (d->nudge) x *= 1 + nudge * noise(key + (uint64_t)d->nudge, i);
    return (double)(float)x;
}

static double state_value(const Data *d, const State *s, uint64_t key, uint64_t i)
{
    double x = noise(key, i);
    if (d->kind == DATA_WHOLE) return fabs(x) < 0.6 ? 0 : x < 0 ? -1 : x < 0.9 ? 1 : 2;
    if (s->kind == STATE_MOMENT) x *= 0.01;
    if (s->init.kind == INIT_UNIFORM) x = s->init.a + (x + 1) / 2 * (s->init.b - s->init.a);
    if (s->init.kind == INIT_CONST && s->kind != STATE_MOMENT) x = s->init.a + 0.3 * x;
    static const char *const squares[] = {"_var", "_sq", "square_avg", ".sum"};
    for (size_t k = 0; k < sizeof squares / sizeof squares[0]; k++)
        if (strstr(s->name, squares[k])) x = fabs(x) + 0.1;
    return finish(d, key, i, x);
}

static void set_states(RefEnv *env, Arena *a, const Graph *g, const Data *d)
{
    for (int i = 0; i < g->state.n; i++) {
        const State *s = g->state.v[i];
        int64_t n = shape_count(s->shape);
        if (s->part) continue;
        double *x = NEWN(a, double, n + 1);
        uint64_t key = data_key(d->seed, s->name);
        for (int64_t k = 0; k < n; k++) x[k] = state_value(d, s, key, (uint64_t)k);
        ref_set_state(env, s, x);
    }
}

static void set_inputs(RefEnv *env, Arena *a, const Graph *g, const Data *d)
{
    const Node *out = graph_find_output(g, "output");
    int64_t classes = out->shape.rank > 1 ? out->shape.dim[1] : 1;
    for (int i = 0; i < g->node.n; i++) {
        const Node *in = g->node.v[i];
        int64_t n = shape_count(in->shape);
        if (!op_is(in, "Input")) continue;
        double *x = NEWN(a, double, n + 1);
        uint64_t key = data_key(d->seed, in->name);
        for (int64_t k = 0; k < n; k++) {
            double r = noise(key, (uint64_t)k);
            x[k] = d->kind == DATA_WHOLE ? floor(3.5 * r + 0.5) : finish(d, key, (uint64_t)k, r);
            if (in->dtype == DT_I32) x[k] = floor((r + 1) / 2 * (double)classes);
        }
        ref_set_input(env, in->name, x);
    }
}

RefEnv *data_run(Arena *a, const Graph *g, const Data *d)
{
    RefEnv *env = ref_new(g);
    if (d->single) ref_set_single(env);
    set_states(env, a, g, d);
    set_inputs(env, a, g, d);
    ref_set_scalar(env, "lr", 0.01);
    ref_set_scalar(env, "step", 3);
    ref_set_scalar(env, "seed", 42);
    ref_set_scalar(env, "bias_correction1", 1 - pow(0.9, 3));
    ref_set_scalar(env, "bias_correction2", 1 - pow(0.999, 3));
    ref_run(env);
    return env;
}

/* ---- results ---- */

Results results_of(Arena *a, const Graph *g, const RefEnv *env, double **run)
{
    Results r = {0};
    for (int i = 0; i < g->output.n; i++) {
        const Node *n = g->output.v[i].node;
        const double *x = run ? *run++ : ref_value(env, n);
        vec_push(a, &r, ((Result){g->output.v[i].name, x, shape_count(n->shape)}));
    }
    for (int i = 0; i < g->node.n; i++) {
        const Node *n = g->node.v[i];
        if (!op_is(n, "Assign")) continue;
        const double *x = run ? *run++ : ref_value(env, n->in[0]);
        vec_push(a, &r, ((Result){n->state->name, x, shape_count(n->shape)}));
    }
    return r;
}

static double distance(const Result *x, const Result *want, bool exact)
{
    double d = 0, s = 0;
    for (int64_t i = 0; i < want->n; i++) {
        if (exact && x->x[i] != want->x[i]) return INFINITY;
        d += (x->x[i] - want->x[i]) * (x->x[i] - want->x[i]);
        s += want->x[i] * want->x[i];
    }
    return sqrt(d / (s > 1e-30 ? s : 1));
}

double results_distance(const Results *x, const Results *want, bool exact, const char **where)
{
    double most = 0;
    for (int i = 0; i < want->n; i++) {
        int k = 0;
        while (k < x->n && strcmp(x->v[k].name, want->v[i].name) != 0) k++;
        double d = k < x->n ? distance(&x->v[k], &want->v[i], exact) : INFINITY;
        if (!(d <= most)) {
            most = d;
            *where = want->v[i].name;
        }
    }
    return most;
}
