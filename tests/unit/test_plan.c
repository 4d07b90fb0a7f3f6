/* What a plan promises, held against rules of its own: live ranges are found again from the run
 * order, and every two things in memory are compared. On random graphs, on whole models, and on
 * graphs made for one rule. */
#include "ref.h"
#include "run_graph.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* ---- the checker ---- */

typedef struct Thing { /* something in memory, while positions first .. last of the order run */
    const char *name;
    PlanArena arena;
    int64_t from, to; /* bytes */
    int first, last;
    const Layout *halo;
    DType dtype;
    const Node *pack, *value; /* value: what lies there, NULL: a workspace */
} Thing;

typedef struct Check {
    Arena *a;
    const Plan *p;
    const Graph *g;
    const Groups *gs;
    const char *name;
    int *at; /* by group id: position in the order */
    VEC(Thing) thing;
} Check;

static const State *state_of(const Node *n)
{
    return op_is(n, "State") || op_is(n, "Assign") ? n->state : NULL;
}

static bool meets(const State *a, const State *b)
{
    bool same = a == b;
    for (int i = 0; i < a->npart; i++) same = same || a->part[i] == b;
    for (int i = 0; i < b->npart; i++) same = same || b->part[i] == a;
    return same;
}

/* Does a node of group g read n, directly or by way of arithmetic on scalars? */
static bool node_reads(const Check *c, const Node *u, const Node *n)
{
    for (int i = 0; i < u->nin; i++) {
        const Node *in = u->in[i];
        if (in == n) return true;
        if (op_is(in, "Pack") && node_reads(c, in, n)) return true;
        if (!c->gs->of[in->id] && in->op->nest == NEST_POINTWISE && node_reads(c, in, n))
            return true;
    }
    return false;
}

static bool group_reads(const Check *c, const Group *g, const Node *n)
{
    for (int i = 0; i < g->node.n; i++)
        if (node_reads(c, g->node.v[i], n)) return true;
    return false;
}

/* Does a run of g read n, or only what is made of it when the weights change? */
static bool run_reads(const Check *c, const Group *g, const Node *n)
{
    const Winograd *w = c->p->schedule->group[g->id].winograd;
    bool weights = w && w->prepared && c->p->made[g->id] >= 0;
    for (int i = 0; i < g->node.n; i++)
        if (node_reads(c, g->node.v[i], n) && !(weights && g->node.v[i] == g->anchor && g->anchor->in[0] != n)) return true;
    return false;
}

static const Node *pack_of(const Graph *g, const Node *n)
{
    for (int i = 0; i < g->node.n; i++)
        for (int k = 0; op_is(g->node.v[i], "Pack") && k < g->node.v[i]->nin; k++)
            if (g->node.v[i]->in[k] == n) return g->node.v[i];
    return op_is(n, "Pack") ? n : NULL;
}

static bool is_copied(const Plan *p, const Node *assign)
{
    for (int i = 0; i < p->copy.n; i++)
        if (p->copy.v[i] == assign) return true;
    return false;
}

static bool wanted_at_the_end(const Check *c, const Node *n)
{
    for (int i = 0; i < c->g->output.n; i++)
        if (c->g->output.v[i].node == n) return true;
    for (int i = 0; i < c->p->copy.n; i++)
        if (c->p->copy.v[i]->in[0] == n) return true;
    return false;
}

static void find_positions(Check *c)
{
    c->at = NEWN(c->a, int, c->gs->group.n + 1);
    assert_int_equal(c->p->order.n, c->gs->group.n);
    for (int i = 0; i < c->gs->group.n; i++) c->at[i] = -1;
    for (int i = 0; i < c->p->order.n; i++) {
        assert_int_equal(c->at[c->p->order.v[i]->id], -1);
        c->at[c->p->order.v[i]->id] = i;
        assert_int_equal(c->p->order.v[i]->prep, i < c->p->nprep);
    }
}

static void add_value(Check *c, const Node *n)
{
    const Place *at = &c->p->value[n->id];
    const Group *own = c->gs->of[n->id];
    int end = c->p->order.n;
    bool always = op_is(n, "Input") || op_is(n, "Scalar");
    if (!at->bytes || at->arena == PLAN_STATE) return;
    Thing t = {arena_printf(c->a, "%%%d", n->id),
               at->arena,
               at->offset,
               at->offset + at->bytes,
               end,
               -1,
               NULL,
               n->dtype,
               pack_of(c->g, n),
               n};
    if (layout_has_halo(&c->p->schedule->value[n->id])) t.halo = &c->p->schedule->value[n->id];
    if (own) t.first = t.last = c->at[own->id];
    for (int i = 0; i < end; i++) {
        if (!group_reads(c, c->p->order.v[i], n)) continue;
        if (own && i < t.first) fail_msg("%s: %s is read before it is made", c->name, t.name);
        int at_run = i;
        if (at->arena == PLAN_PREP && i >= c->p->nprep) /* runs follow each other */
            at_run = run_reads(c, c->p->order.v[i], n) ? end : c->p->made[c->p->order.v[i]->id];
        if (own && at_run < t.first) fail_msg("%s: %s is wanted before it is made", c->name, t.name);
        if (at_run < t.first) t.first = at_run;
        if (at_run > t.last) t.last = at_run;
    }
    if (always) t.first = -1;
    if (always || wanted_at_the_end(c, n)) t.last = end;
    if (op_is(n, "Pack")) /* lives from its first part on */
        for (int k = 0; k < n->nin; k++)
            if (c->gs->of[n->in[k]->id] && c->at[c->gs->of[n->in[k]->id]->id] < t.first)
                t.first = c->at[c->gs->of[n->in[k]->id]->id];
    if (t.first <= t.last) vec_push(c->a, &c->thing, t);
}

static void add_workspaces(Check *c)
{
    for (int i = 0; i < c->p->order.n; i++) {
        const Place *w = &c->p->workspace[c->p->order.v[i]->id];
        int64_t need = c->p->schedule->group[c->p->order.v[i]->id].workspace;
        assert_true(w->bytes >= need);
        if (need)
            vec_push(c->a, &c->thing,
                     ((Thing){arena_printf(c->a, "workspace %d", i), w->arena, w->offset,
                              w->offset + w->bytes, i, i, NULL, DT_F32, NULL, NULL}));
    }
}

static void check_pair(const Check *c, const Thing *x, const Thing *y)
{
    if (x->arena != y->arena || x->to <= y->from || y->to <= x->from) return;
    bool packed = x->value && y->value && x->pack && x->pack == y->pack &&
                  (op_is(x->value, "Pack") || op_is(y->value, "Pack"));
    bool same_scalar = x->arena == PLAN_SCALAR && !strcmp(x->value->name, y->value->name);
    if (packed || same_scalar) return;
    if (x->first <= y->last && y->first <= x->last)
        fail_msg("%s: %s and %s share storage in %d..%d and %d..%d", c->name, x->name, y->name,
                 x->first, x->last, y->first, y->last);
    if (!x->halo && !y->halo) return;
    if (!x->halo || !y->halo || !layout_same(x->halo, y->halo) || x->from != y->from ||
        x->dtype != y->dtype)
        fail_msg("%s: %s lies in the halo of %s", c->name, x->name, y->name);
}

static void check_things(Check *c)
{
    for (int i = 0; i < c->g->node.n; i++) add_value(c, c->g->node.v[i]);
    add_workspaces(c);
    for (int i = 0; i < c->thing.n; i++) {
        const Thing *t = &c->thing.v[i];
        if (t->from % 64 || t->from < 0 || t->to > c->p->size[t->arena])
            fail_msg("%s: %s lies outside of its arena", c->name, t->name);
        for (int k = 0; k < i; k++) check_pair(c, t, &c->thing.v[k]);
    }
}

/* Parts in order, end to end, as the parameters are. */
static void check_packs(const Check *c)
{
    for (int i = 0; i < c->g->node.n; i++) {
        const Node *pack = c->g->node.v[i];
        if (!op_is(pack, "Pack")) continue;
        int64_t at = c->p->value[pack->id].offset;
        for (int k = 0; k < pack->nin; k++) {
            assert_int_equal(c->p->value[pack->in[k]->id].offset, at);
            at += c->p->value[pack->in[k]->id].bytes;
        }
        assert_int_equal(at, c->p->value[pack->id].offset + c->p->value[pack->id].bytes);
    }
}

/* Nodes that read elements of state s at other places than the one they compute. */
static bool reads_elsewhere(const Group *g, const State *s)
{
    for (int i = 0; i < g->node.n; i++) {
        const Node *n = g->node.v[i];
        for (int k = 0; k < n->nin && n->op->nest != NEST_POINTWISE; k++)
            if (op_is(n->in[k], "State") && meets(n->in[k]->state, s)) return true;
    }
    return false;
}

/* Readers of a state's old value run before the group that overwrites it. */
static void check_states(const Check *c)
{
    for (int i = 0; i < c->g->node.n; i++) {
        const Node *as = c->g->node.v[i];
        if (!op_is(as, "Assign")) continue;
        const Place *v = &c->p->value[as->in[0]->id], *s = &c->p->state[as->state->id];
        if (is_copied(c->p, as)) {
            assert_true(v->arena != PLAN_STATE || v->offset != s->offset);
            continue;
        }
        const Group *own = c->gs->of[as->in[0]->id];
        assert_true(v->arena == PLAN_STATE && v->offset == s->offset && v->bytes == s->bytes);
        if (reads_elsewhere(own, as->state))
            fail_msg("%s: %%%d overwrites what others still read", c->name, as->in[0]->id);
        for (int k = 0; k < c->g->node.n; k++) {
            const Node *old = c->g->node.v[k];
            if (!state_of(old) || !op_is(old, "State") || !meets(old->state, as->state)) continue;
            for (int j = c->at[own->id] + 1; j < c->p->order.n; j++)
                if (group_reads(c, c->p->order.v[j], old))
                    fail_msg("%s: %%%d is read after it was overwritten", c->name, k);
        }
    }
}

/* -> bytes of the slab */
static int64_t check_plan(Arena *a, const Graph *g, const char *name, bool fused, bool reuse)
{
    const Machine *m = machine_find(a, "x86-64-v3");
    const Groups *gs = fuse(a, g, fused, NULL, NULL);
    const Plan *p = plan(a, schedule(a, gs, m), reuse);
    Check c = {.a = a, .p = p, .g = g, .gs = gs, .name = name};
    plan_verify(p);
    find_positions(&c);
    check_things(&c);
    check_packs(&c);
    check_states(&c);
    return p->size[PLAN_SLAB];
}

static void check_all(Arena *a, const Graph *g, const char *name)
{
    int64_t fused = check_plan(a, g, name, true, true), plain = check_plan(a, g, name, false, true);
    assert_true(fused <= check_plan(a, g, name, true, false));
    assert_true(plain <= check_plan(a, g, name, false, false));
}

/* ---- models ---- */

static Graph *model(Arena *a, const char *path, bool training)
{
    Spec *spec = spec_read(a, path, NULL, 0);
    Graph *g = spec ? spec_graph(a, spec, training, 8) : NULL;
    if (!g) diag_flush();
    assert_non_null(g);
    Node *weights, *grads = training ? autodiff(g, &weights) : NULL;
    assert_true(!grads || spec_optimizer(spec, g, weights, grads));
    simplify(g, 1);
    return g;
}

static void models_are_planned(void **state)
{
    (void)state;
    static const char *const path[] = {"models/cnn.yaml", "models/bn_cnn.yaml", "models/mlp.yaml"};
    for (int i = 0; i < 6; i++) {
        Arena *a = arena_new();
        check_all(a, model(a, path[i / 2], i % 2), path[i / 2]);
        arena_free(a);
    }
}

/* Weights that only transformed ones are made of share their place, one layer after the other. */
static void folded_weights_are_let_go(void **state)
{
    (void)state;
    enum { LAYERS = 4, C = 32, PLANE = 24 };
    Arena *a = arena_new();
    int64_t bytes[2] = {0};
    for (int reuse = 0; reuse < 2; reuse++) {
        Graph *g = graph_new(a);
        Node *x = graph_input(g, "x", DT_F32, shape_make(4, (int64_t)1, C, PLANE, PLANE));
        for (int i = 0; i < LAYERS; i++) {
            AttrVal attr[MAX_ATTR] = {{.i = {C}}, {.i = {C}}, {.i = {3, 3}}, {.i = {1, 1}}, {.i = {1, 1}}, {.i = {1, 1}}, {.i = {1}}};
            State *w = graph_state(g, arena_printf(a, "w%d", i), STATE_PARAM, shape_make(4, (int64_t)C, C, 3, 3), (Init){0});
            x = g_op(g, "ReLU", 1, g_op_attr(g, "Conv2d", attr, 2, x, g_op(g, "Exp", 1, graph_read(g, w))));
        }
        graph_output(g, "y", x);
        const Machine *m = machine_find(a, "x86-64-v3");
        const Plan *p = plan(a, schedule(a, fuse(a, g, true, NULL, m), m), reuse);
        check_plan(a, g, "folded", true, reuse);
        bytes[reuse] = p->size[PLAN_PREP];
    }
    assert_int_equal(bytes[0] - bytes[1], (LAYERS - 1) * C * C * 9 * 4);
    arena_free(a);
}

/* In a long chain only two values live at a time. */
static void storage_is_shared(void **state)
{
    (void)state;
    enum { LENGTH = 40, BYTES = 2 * 16 * 8 * 8 * 4 };
    Arena *a = arena_new();
    Graph *g = graph_new(a);
    Node *x = graph_input(g, "x", DT_F32, shape_make(4, (int64_t)2, 16, 8, 8));
    for (int i = 0; i < LENGTH; i++) x = g_op(g, "Exp", 1, x);
    graph_output(g, "y", x);
    assert_int_equal(check_plan(a, g, "chain", false, false), (LENGTH + 1) * BYTES);
    assert_int_equal(check_plan(a, g, "chain", false, true), 4 * BYTES); /* input, output, two */
    arena_free(a);
}

/* ---- random lifetimes ---- */

static int64_t draw(uint64_t *s, int64_t n)
{
    *s = *s * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)(*s >> 33) % n;
}

/* Elementwise work between random earlier values, convolutions from one width to another (halos,
 * workspaces), sums. */
static Graph *random_graph(Arena *a, uint64_t seed, int nodes)
{
    static const int64_t width[] = {3, 8, 16, 40};
    VEC(Node *) pool[4] = {{0}};
    State *w[4][4];
    Graph *g = graph_new(a);
    g->training = true;
    for (int i = 0; i < 4; i++) {
        Node *x = graph_input(g, arena_printf(a, "x%d", i), DT_F32,
                              shape_make(4, (int64_t)2, width[i], 6, 5));
        vec_push(a, &pool[i], x);
        for (int k = 0; k < 4; k++)
            w[i][k] = graph_state(g, arena_printf(a, "w%d%d", i, k), STATE_PARAM,
                                  shape_make(4, width[k], width[i], 3, 3), (Init){0});
    }
    for (int i = 0; i < nodes; i++) {
        int k = (int)draw(&seed, 4), to = (int)draw(&seed, 4);
        Node *x = pool[k].v[draw(&seed, pool[k].n)], *y = pool[k].v[draw(&seed, pool[k].n)];
        int64_t what = draw(&seed, 10);
        if (what < 6) {
            vec_push(a, &pool[k], g_op(g, what < 4 ? "Add" : "Mul", 2, x, y));
        } else if (what < 8) {
            AttrVal attr[MAX_ATTR] = {{.i = {0}}};
            op_default_attrs(op_find("Conv2d"), attr);
            attr[attr_index(op_find("Conv2d"), "padding")].i[0] = 1;
            attr[attr_index(op_find("Conv2d"), "padding")].i[1] = 1;
            vec_push(a, &pool[to], g_op_attr(g, "Conv2d", attr, 2, x, graph_read(g, w[k][to])));
        } else {
            vec_push(a, &pool[k], g_op(g, "Sub", 2, x, g_sum(g, y, 13)));
        }
    }
    for (int k = 0; k < 4; k++)
        graph_output(g, arena_printf(a, "y%d", k), pool[k].v[pool[k].n - 1]);
    graph_sweep(g);
    return g;
}

static void random_lifetimes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        Arena *a = arena_new();
        Graph *g = random_graph(a, seed, seed <= 2 ? 500 : 60);
        const char *name = arena_printf(a, "random graph %d", (int)seed);
        check_all(a, g, name);
        int64_t with = check_plan(a, g, name, false, true);
        assert_true(with < check_plan(a, g, name, false, false));
        arena_free(a);
    }
}

/* ---- states ---- */

/* Plans, runs, and compares the new states with the reference. */
static void expect_states(const char *text, int copies)
{
    Arena *a = arena_new();
    Graph *g = graph_parse(a, "test", text);
    if (!g) diag_flush();
    assert_non_null(g);
    RefEnv *env = ref_new(g);
    uint64_t seed = 5;
    for (int i = 0; i < g->state.n; i++) {
        int64_t n = shape_count(g->state.v[i]->shape);
        double *x = NEWN(a, double, n);
        for (int64_t k = 0; k < n; k++) x[k] = (double)draw(&seed, 64) / 64;
        if (!g->state.v[i]->part) ref_set_state(env, g->state.v[i], x);
    }
    ref_run(env);
    for (int mode = 0; mode < 4; mode++) {
        const Groups *gs = fuse(a, g, mode & 1, NULL, NULL);
        const Plan *p = plan(a, schedule(a, gs, machine_find(a, "x86-64-v3")), mode & 2);
        check_plan(a, g, text, mode & 1, mode & 2);
        if (copies >= 0) assert_int_equal(p->copy.n, copies);
        double **out = run_graph(
            a, g, env, &(RunMode){.machine = "x86-64-v3", .fused = mode & 1, .reuse = mode & 2});
        out += g->output.n;
        for (int i = 0; i < g->node.n; i++) {
            const Node *n = g->node.v[i];
            if (!op_is(n, "Assign")) continue;
            const double *want = ref_value(env, n->in[0]), *got = *out++;
            for (int64_t k = 0; k < shape_count(n->shape); k++)
                assert_true(got[k] >= want[k] - 1e-5 && got[k] <= want[k] + 1e-5);
        }
    }
    ref_free(env);
    arena_free(a);
}

static void states_are_read_first(void **state)
{
    (void)state;
    /* the reader of the old value comes later in the graph: it must run earlier */
    expect_states("graph training\nstate s buffer f32 [5] const(0,0)\nstate t buffer f32 [5] "
                  "const(0,0)\n%0 = State @s\n%1 = Neg %0\n%2 = Assign %1 @s\n%3 = Exp %0\n"
                  "%4 = Assign %3 @t\n",
                  0);
    /* through a group, and through its part */
    expect_states("graph training\nstate a param f32 [5] const(0,0)\n"
                  "state b param f32 [3] const(0,0)\nstate t buffer f32 [3] const(0,0)\n"
                  "group w param a b\n%0 = State @w\n%1 = Neg %0\n%2 = Assign %1 @w\n"
                  "%3 = State @b\n%4 = Exp %3\n%5 = Assign %4 @t\n",
                  0);
}

static void cycles_are_copied(void **state)
{
    (void)state;
    /* two states change places: one of them is copied at the end */
    expect_states("graph training\nstate s buffer f32 [5] const(0,0)\nstate t buffer f32 [5] "
                  "const(0,0)\n%0 = State @s\n%1 = State @t\n%2 = Neg %0\n%3 = Exp %1\n"
                  "%4 = Assign %3 @s\n%5 = Assign %2 @t\n",
                  1);
    /* what is not computed cannot be computed in place */
    expect_states("graph training\nstate s buffer f32 [5] const(0,0)\nstate t buffer f32 [5] "
                  "const(0,0)\n%0 = State @s\n%1 = Assign %0 @t\n",
                  1);
    /* one value for two states */
    expect_states("graph training\nstate s buffer f32 [5] const(0,0)\nstate t buffer f32 [5] "
                  "const(0,0)\n%0 = State @s\n%1 = Neg %0\n%2 = Assign %1 @s\n%3 = Assign %1 @t\n",
                  1);
}

static void contractions_do_not_overwrite_what_they_read(void **state)
{
    (void)state;
    expect_states("graph training\nstate w param f32 [5,5] const(0,0)\n"
                  "state v param f32 [5,5] const(0,0)\n%0 = State @w\n%1 = State @v\n"
                  "%2 = Linear %1 %0\n%3 = Assign %2 @w\n",
                  1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_are_planned),
        cmocka_unit_test(storage_is_shared),
        cmocka_unit_test(folded_weights_are_let_go),
        cmocka_unit_test(random_lifetimes),
        cmocka_unit_test(states_are_read_first),
        cmocka_unit_test(cycles_are_copied),
        cmocka_unit_test(contractions_do_not_overwrite_what_they_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
