/* The reference interpreter; see ref.h. */
#include "ref.h"
#include "ops/op.h"
#include <string.h>

typedef struct Named {
    const char *name;
    double *x;
} Named;

struct RefEnv {
    Arena *keep, *run; /* run: values of the last run */
    const Graph *g;
    double **value; /* per node */
    double **state; /* per state id; NULL for groups */
    VEC(Named) input;
    VEC(Named) scalar;
    bool single;
};

RefEnv *ref_new(const Graph *g)
{
    Arena *keep = arena_new();
    RefEnv *env = NEW(keep, RefEnv);
    env->keep = keep;
    env->run = arena_new();
    env->g = g;
    env->state = NEWN(keep, double *, g->state.n + 1);
    for (int i = 0; i < g->state.n; i++) {
        const State *s = g->state.v[i];
        if (s->part) continue;
        int64_t count = shape_count(s->shape);
        env->state[i] = NEWN(keep, double, count);
        for (int64_t k = 0; s->init.kind == INIT_CONST && k < count; k++)
            env->state[i][k] = s->init.a;
    }
    return env;
}

void ref_free(RefEnv *env)
{
    arena_free(env->run);
    arena_free(env->keep);
}

static Named *find(Named *v, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(v[i].name, name)) return &v[i];
    return NULL;
}

void ref_set_input(RefEnv *env, const char *name, const double *x)
{
    for (int i = 0; i < env->g->node.n; i++) {
        const Node *n = env->g->node.v[i];
        if (!op_is(n, "Input") || strcmp(n->name, name) != 0) continue;
        size_t bytes = sizeof *x * (size_t)shape_count(n->shape);
        Named *old = find(env->input.v, env->input.n, name);
        if (!old) {
            vec_push(env->keep, &env->input, ((Named){n->name, arena_alloc(env->keep, bytes)}));
            old = &env->input.v[env->input.n - 1];
        }
        memcpy(old->x, x, bytes);
        return;
    }
}

void ref_set_scalar(RefEnv *env, const char *name, double x)
{
    Named *old = find(env->scalar.v, env->scalar.n, name);
    if (!old) {
        vec_push(env->keep, &env->scalar,
                 ((Named){arena_strdup(env->keep, name), NEW(env->keep, double)}));
        old = &env->scalar.v[env->scalar.n - 1];
    }
    *old->x = x;
}

/* ---- states; a group is its parts laid end to end ---- */
static double *own(const RefEnv *env, const State *s)
{
    bug_if(s->id >= env->g->state.n || env->g->state.v[s->id] != s || !env->state[s->id],
           "state '%s' is not of this graph", s->name);
    return env->state[s->id];
}

void ref_set_state(RefEnv *env, const State *s, const double *x)
{
    for (int i = 0; i < s->npart; i++) {
        ref_set_state(env, s->part[i], x);
        x += shape_count(s->part[i]->shape);
    }
    if (!s->part) memcpy(own(env, s), x, sizeof *x * (size_t)shape_count(s->shape));
}

void ref_get_state(const RefEnv *env, const State *s, double *out)
{
    for (int i = 0; i < s->npart; i++) {
        ref_get_state(env, s->part[i], out);
        out += shape_count(s->part[i]->shape);
    }
    if (!s->part) memcpy(out, own(env, s), sizeof *out * (size_t)shape_count(s->shape));
}

/* ---- running ---- */
static void run_node(RefEnv *env, const Node *n)
{
    double *out = env->value[n->id] = NEWN(env->run, double, shape_count(n->shape));
    if (op_is(n, "State")) {
        ref_get_state(env, n->state, out);
    } else if (op_is(n, "Input")) {
        const Named *x = find(env->input.v, env->input.n, n->name);
        if (x) memcpy(out, x->x, sizeof *out * (size_t)shape_count(n->shape));
    } else if (op_is(n, "Scalar")) {
        const Named *x = find(env->scalar.v, env->scalar.n, n->name);
        bug_if(!x, "scalar '%s' was not set", n->name);
        *out = *x->x;
    } else {
        const double **in = NEWN(env->run, const double *, n->nin + 1);
        for (int i = 0; i < n->nin; i++) in[i] = env->value[n->in[i]->id];
        bug_if(!n->op->ref, "%s has no reference", n->op->name);
        n->op->ref(n, in, out);
    }
    for (int64_t i = 0; env->single && i < shape_count(n->shape); i++)
        out[i] = (double)(float)out[i];
}

void ref_set_single(RefEnv *env)
{
    env->single = true;
}

void ref_run(RefEnv *env)
{
    const Graph *g = env->g;
    arena_reset(env->run);
    env->value = NEWN(env->run, double *, g->node.n + 1);
    for (int i = 0; i < g->node.n; i++) run_node(env, g->node.v[i]);
    for (int i = 0; i < g->node.n; i++) {
        const Node *n = g->node.v[i];
        if (op_is_root(n->op)) ref_set_state(env, n->state, env->value[i]);
    }
}

const double *ref_value(const RefEnv *env, const Node *n)
{
    return env->value[n->id];
}
