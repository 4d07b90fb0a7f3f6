/* Winograd's matrices against the correlation that they stand for, and where the schedule chooses the algorithm. */
/* clang-format off: cmocka wants these before it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include "schedule.h"
#include "stages.h"
#include "unit/run_graph.h"
#include "winograd.h"
#include <math.h>

static double dot(const double *row, const double *x, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += row[i] * x[i];
    return sum;
}

static void check_filter(int m, int r)
{
    WinogradMatrices w = winograd_matrices(m, r);
    double d[WINOGRAD_MOST], g[WINOGRAD_MOST], p[WINOGRAD_MOST];
    for (int i = 0; i < w.n; i++) d[i] = sin(3 * i + 1);
    for (int i = 0; i < r; i++) g[i] = cos(2 * i + 1);
    for (int i = 0; i < w.n; i++) p[i] = dot(w.bt[i], d, w.n) * dot(w.g[i], g, r);
    for (int i = 0; i < m; i++) assert_true(fabs(dot(w.at[i], p, w.n) - dot(g, d + i, r)) < 1e-12);
}

static void filters(void **state)
{
    (void)state;
    assert_int_equal(winograd_matrices(4, 3).n, 6);
    check_filter(2, 3);
    check_filter(3, 3);
    check_filter(4, 3);
    check_filter(3, 4);
    for (int n = 7; n <= WINOGRAD_MOST; n++)
        for (int r = 3; r <= n - 2; r++) check_filter(n + 1 - r, r);
}

static void check_sums(const double (*m)[WINOGRAD_MOST], int rows, int cols, int steps)
{
    WinogradSums s = winograd_sums(m, rows, cols);
    double v[WINOGRAD_MOST + 64];
    for (int j = 0; j < cols; j++) v[j] = sin(3 * j + 1);
    for (int i = 0; i < s.nsteps; i++)
        v[cols + i] = s.step[i].b < 0 ? s.step[i].factor * v[s.step[i].a] : v[s.step[i].a] + s.step[i].factor * v[s.step[i].b];
    for (int i = 0; i < rows; i++) assert_true(fabs(v[s.row[i]] - dot(m[i], v, cols)) < 1e-12);
    assert_int_equal(s.nsteps, steps);
}

/* A transform's straight line gives the product; what rows share is summed once, and a point's row with that of the opposite one. */
static void sums(void **state)
{
    static const double alone[2][WINOGRAD_MOST] = {{1, 0, -1}, {2, 3, 0}}, pairs[3][WINOGRAD_MOST] = {{1, 1, 1}, {1, -1, 1}, {2, 5, 2}};
    WinogradMatrices w = winograd_matrices(4, 3);
    (void)state;
    check_sums(alone, 2, 3, 1 + 2);
    check_sums(pairs, 3, 3, 1 + 1 + 1 + 2);
    check_sums(w.g, w.n, w.r, 1 + 1 + 1 + 2 + 2);
    check_sums(w.at, w.m, w.n, 14);
    check_sums(w.bt, w.n, w.n, 14);
    WinogradSums s = winograd_sums(pairs, 3, 3);
    assert_int_equal(winograd_steps(&s, 3, 0, 3), s.nsteps);
    assert_int_equal(winograd_steps(&s, 3, 0, 1), 1 + 1); /* the outer terms, and the one between */
    assert_int_equal(winograd_steps(&s, 3, 0, 2), 1 + 1 + 1);
    assert_int_equal(winograd_steps(&s, 3, 2, 1), 1 + 2);
}

/* Conv2d of 32 channels in and out on four 14x16 planes (wide: 128, on one; many: 256, on one; tiny: 512, on one of 7x6;
 * broad: 512; row: 128, on one of 4x116; few: 3 into 32, by a window of 7x7 and step 2, on planes twice as large; colour: 3 into
 * 64, on such planes); the first letter of `layer` says what is special about it. */
static Node *convolution(Graph *g, const char *layer, Node **weights)
{
    int64_t channels = layer[0] == 'w' || layer[0] == 'r' ? 128 : layer[0] == 'm' ? 256 : layer[0] == 'b' || layer[0] == 't' ? 512 : layer[0] == 'c' ? 64 : 32;
    int64_t images = layer[0] == 'w' || layer[0] == 'r' || layer[0] == 'm' || layer[0] == 't' ? 1 : 4;
    AttrVal attr[MAX_ATTR] = {{.i = {channels}}, {.i = {channels}}, {.i = {3, 3}}, {.i = {1, 1}}, {.i = {1, 1}}, {.i = {1, 1}}, {.i = {1}}};
    if (layer[0] == 's') attr[3] = (AttrVal){.i = {2, 2}}; /* stride */
    if (layer[0] == 'd') attr[4] = attr[5] = (AttrVal){.i = {2, 2}}; /* padding, dilation */
    if (layer[0] == '3') attr[4] = attr[5] = (AttrVal){.i = {3, 3}};
    if (layer[0] == 'g') attr[6] = (AttrVal){.i = {2}}; /* groups */
    int64_t per_group = channels / attr[6].i[0], kernel = 3, in = channels;
    bool large = layer[0] == 'f' || layer[0] == 'c';
    int64_t height = large ? 28 : layer[0] == 't' ? 7 : layer[0] == 'r' ? 4 : 14;
    int64_t width = large ? 32 : layer[0] == 't' ? 6 : layer[0] == 'r' ? 4 * 29 : 16;
    if (layer[0] == 'c') attr[0] = (AttrVal){.i = {in = per_group = 3}};
    if (layer[0] == 'f') {
        attr[0] = (AttrVal){.i = {in = per_group = 3}};
        attr[2] = (AttrVal){.i = {kernel = 7, 7}};
        attr[3] = (AttrVal){.i = {2, 2}};
        attr[4] = (AttrVal){.i = {3, 3}};
    }
    State *w = graph_state(g, "w", STATE_PARAM, shape_make(4, channels, per_group, kernel, kernel), (Init){0});
    *weights = graph_read(g, w);
    return g_op_attr(g, "Conv2d", attr, 2, graph_input(g, "input", DT_F32, shape_make(4, images, in, height, width)), *weights);
}

/* Whatever was tried before it, does all of a choice belong together? */
static void check_sizes(const Winograd *w, bool training)
{
    if (!w || w->gradient) return;
    assert_int_equal(w->prepared, !w->depth && !training);
    assert_int_equal(!w->weights, w->depth > 0);
    if (!w->depth) assert_false(w->in_registers);
    assert_int_equal(w->parts % w->copies, 0);
    if (!w->shared) assert_int_equal(w->copies, 1);
    if (w->in_registers) assert_true(w->rows == w->block && w->cols == w->n && w->rows_at_once == 1);
    if (!w->in_registers) assert_true(w->rows <= w->block && w->group % w->cols == 0);
}

/* What the schedule makes of it. */
static const Winograd *chosen(Arena *a, const char *machine, const char *layer, bool exact, bool training)
{
    Graph *g = graph_new(a);
    Node *w, *y = convolution(g, layer, &w);
    g->training = training;
    g->exact = exact;
    graph_output(g, "output", y);
    Groups *gs = fuse(a, g, true, NULL, NULL);
    const Schedule *s = schedule(a, gs, machine_find(a, machine));
    const GroupSchedule *of = &s->group[gs->of[y->id]->id];
    for (int k = 0; k < NALGORITHMS && of->winograd; k++) /* nothing is slower than direct, by the model */
        assert_true(!of->cycles[k] || of->cycles[schedule_algorithm(of)] <= of->cycles[k]);
    check_sizes(of->winograd, training);
    return of->winograd;
}

/* Many sizes, among which the last algorithm tried is not always the one that is taken. */
static void sizes(void **state)
{
    static const char *const machines[] = {"native", "x86-64-v3", "x86-64-v4", "aarch64"};
    static const int64_t channels[] = {32, 256, 512};
    (void)state;
    for (int i = 0; i < 4 * 3 * 12; i++) {
        Arena *a = arena_new();
        Graph *g = graph_new(a);
        int64_t c = channels[i / 4 % 3], plane = 3 + i / 12 % 6, images = 1 + i / 72;
        AttrVal attr[MAX_ATTR] = {{.i = {c}}, {.i = {c}}, {.i = {3, 3}}, {.i = {1, 1}}, {.i = {1, 1}}, {.i = {1, 1}}, {.i = {1}}};
        State *w = graph_state(g, "w", STATE_PARAM, shape_make(4, c, c, 3l, 3l), (Init){0});
        Node *x = graph_input(g, "input", DT_F32, shape_make(4, images, c, plane, plane + 2));
        Node *y = g_op_attr(g, "Conv2d", attr, 2, x, graph_read(g, w));
        graph_output(g, "output", y);
        Groups *gs = fuse(a, g, true, NULL, NULL);
        check_sizes(schedule(a, gs, machine_find(a, machines[i % 4]))->group[gs->of[y->id]->id].winograd, false);
        arena_free(a);
    }
}

static void choice(void **state)
{
    (void)state;
    Arena *a = arena_new();
    const Winograd *w = chosen(a, "x86-64-v3", "plain", false, false);
    assert_non_null(w);
    assert_int_equal(w->m, 4);
    assert_true(w->prepared);
    assert_true(w->blocks * w->block >= 4 * 4 * 4);
    assert_int_equal(w->group * w->groups, 2);
    assert_false(chosen(a, "x86-64-v4", "plain", false, true)->prepared); /* the weights change at every step */
    assert_null(chosen(a, "x86-64-v3", "plain", true, false));            /* algorithm: exact */
    assert_null(chosen(a, "x86-64-v3", "strided", false, false));
    w = chosen(a, "x86-64-v3", "dilated", false, false);
    assert_non_null(w);
    assert_int_equal(w->tiles[0], 2 * 2); /* rows 0, 2, .. 12 and 1, 3, .. 13 */
    w = chosen(a, "x86-64-v3", "wide", false, false);
    assert_true(w->parts > 1 && w->shared && w->groups % w->parts == 0);
    assert_int_equal(winograd_inputs(w), w->blocks * w->copies * w->n * w->n * winograd_plane(w->block * w->stride));
    w = chosen(a, "x86-64-v3", "plain", false, false);
    assert_true(w->parts == 1 || !w->shared); /* too little to share */
    assert_int_equal(w->depth, 0);            /* these weights stay in a cache */
    w = chosen(a, "x86-64-v3", "many", false, false);
    assert_true(w->depth > 0 && 256 % w->depth == 0 && w->blocks == 1); /* 9 MB of transformed weights, for 14 tiles */
    assert_false(w->prepared || w->weights);
    assert_false(w->in_registers); /* sums of a row for that many tiles are no registers */
    w = chosen(a, "x86-64-v4", "tiny", false, false);
    assert_true(w->in_registers && w->rows * w->cols == w->block * w->n && w->rows_at_once == 1 && w->depth == BLOCK);
    w = chosen(a, "x86-64-v3", "tiny", false, false); /* nor are those of so many vectors in 16 of them */
    assert_false(w && w->in_registers);
    w = chosen(a, "x86-64-v4", "tiny", false, false);
    assert_true(w->shared && w->blocks == 1 && w->copies == 2); /* one for each half of the tasks */
    w = chosen(a, "x86-64-v3", "broad", false, true);
    assert_true(w->shared && w->blocks == 1); /* 5 MB of inputs, which lie in no thread's stack */
    assert_null(chosen(a, "x86-64-v3", "3 apart", false, false)); /* 14 rows are no three equal parts */
    assert_null(chosen(a, "x86-64-v3", "grouped", false, false));
    w = chosen(a, "x86-64-v3", "few", false, false);
    assert_non_null(w);
    assert_int_equal(w->step, 2);
    assert_int_equal(w->r, 4); /* 7 taps in two phases */
    assert_int_equal(winograd_phase_rows(w, 0), w->tiles[0] * w->m + 3);
    assert_int_equal(w->vector, BLOCK); /* 12 channels */
    w = chosen(a, "x86-64-v3", "colour", false, false);
    assert_true(w && w->few_channels && w->step == 1 && w->vector == 4 && w->stride == 4);
    assert_false(chosen(a, "x86-64-v3", "plain", false, false)->few_channels);
    assert_null(chosen(a, "sm_80", "plain", false, false));
    arena_free(a);
}

/* What is asked for is taken where it applies, and nowhere else. */
static void asked_for(void **state)
{
    (void)state;
    Arena *a = arena_new();
    static const struct {
        const char *layer;
        Algorithm by;
        int m;
    } want[] = {{"plain", BY_SUM, 0},         {"plain", BY_WINOGRAD2, 2},   {"plain", BY_WINOGRAD4, 4}, {"tiny", BY_WINOGRAD2, 2},
                {"strided", BY_WINOGRAD4, 0}, {"grouped", BY_WINOGRAD2, 0}, {"dilated", BY_WINOGRAD2, 2},
                {"plain", BY_WINOGRAD5, 5},   {"dilated", BY_WINOGRAD6, 6}, {"few", BY_WINOGRAD5, 4},   {"few", BY_WINOGRAD6, 5}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        Graph *g = graph_new(a);
        Node *w, *y = convolution(g, want[i].layer, &w);
        graph_output(g, "output", y);
        Groups *gs = fuse(a, g, true, NULL, NULL);
        Algorithm *by = NEWN(a, Algorithm, gs->group.n + 1);
        by[gs->of[y->id]->id] = want[i].by;
        const Schedule *s = schedule_by(a, gs, machine_find(a, "x86-64-v4"), by);
        const Winograd *q = s->group[gs->of[y->id]->id].winograd;
        assert_int_equal(q ? q->m : 0, want[i].m);
        check_sizes(q, false);
    }
    arena_free(a);
}

/* Compiled for this computer's vectors; what else the choice depends on is x86-64-v3's, whatever its own are. */
static double **compiled(Arena *a, const Graph *g, const RefEnv *env, Algorithm by, const Winograd **w)
{
    const Machine *own = machine_find(a, "native");
    Machine m = *machine_find(a, "x86-64-v3");
    m.name = own->name;
    m.triple = own->triple;
    m.cpu = own->cpu;
    m.features = own->features;
    m.lanes = own->lanes;
    m.vregs = own->vregs;
    m.l1 = 48 << 10;
    m.l2_store = m.lanes == 16 ? 16 : 32;
    Run *r = run_plan_for(a, g, env, &(RunMode){.machine = "native", .fused = true, .compiled = true, .reuse = true, .by = by}, NULL, &m);
    const Loops *l = run_loops(r);
    Func **f = NEWN(a, Func *, l->kernel.n + 1);
    for (int i = 0; i < l->kernel.n; i++) f[i] = l->kernel.v[i].func;
    for (int i = 0; i < l->plan->order.n; i++) {
        const Winograd *of = l->plan->schedule->group[l->plan->order.v[i]->id].winograd;
        if (!of) continue;
        assert_true(!*w || !(*w)->depth == !of->depth); /* y and dx are computed in the same way */
        *w = of;
    }
    return run_execute(r, kernels_load(f, l->kernel.n, &m), false);
}

/* Of a training step that computes y, too: the gradient by its operand. Weights lie as y wants them, element by element for
 * dx. */
static Node *gradient_by(Graph *g, Node *y, int operand)
{
    Node *d, *dy = graph_input(g, "dy", DT_F32, y->shape);
    g->training = true;
    assert_true(autodiff_of(g, y, dy, &y->in[operand], 1, &d));
    return d;
}

/* Ways of coming by transformed weights, and what else a product may be; where each is best is the machine's. */
typedef struct Ways {
    int stored, own, own_rows, in_registers; /* own_rows: some of them at a time */
    int rests;                               /* tiles that are left for a product of fewer rows */
} Ways;

static void count_ways(Ways *ways, const Winograd *w)
{
    assert_int_equal(w->prepared, !w->depth);
    ways->stored += !w->depth;
    ways->own += w->depth && !w->in_registers;
    ways->own_rows += w->depth && !w->in_registers && w->rows_at_once < w->n;
    ways->in_registers += w->in_registers;
    ways->rests += w->block % w->rows != 0;
}

typedef enum Result { FORWARD, BY_DATA, BY_WEIGHTS } Result;

/* It computes the convolution of that layer, or its gradient by data or by weights. -> how, in a */
static const Winograd *computes(Arena *a, const char *layer, Result of, Algorithm by)
{
    Graph *g = graph_new(a);
    const Winograd *q = NULL;
    Node *w, *y = convolution(g, layer, &w), *forward = y;
    if (of == BY_DATA) y = gradient_by(g, y, 0);
    if (of == BY_WEIGHTS) y = g_op(g, "Pack", 1, gradient_by(g, y, 1)); /* it lies as weights do */
    graph_output(g, of == BY_WEIGHTS ? "grads" : "output", y);
    if (y != forward) graph_output(g, "forward", forward);
    RefEnv *env = ref_new(g);
    int64_t n = shape_count(y->shape), m = shape_count(forward->shape), nw = shape_count(w->shape);
    double *x = NEWN(a, double, 4 * m + nw), error = 0, size = 0;
    for (int64_t i = 0; i < 4 * m + nw; i++) x[i] = (double)(float)sin((double)(i * i % 1009));
    ref_set_input(env, "input", x);
    if (y != forward) ref_set_input(env, "dy", x);
    ref_set_state(env, g->state.v[0], x + m);
    ref_run(env);
    double **out = compiled(a, g, env, by, &q);
    if (!q) fail_msg("%s: by its sum", layer);
    for (int64_t i = 0; i < n; i++) {
        double want = ref_value(env, y)[i];
        error += (out[0][i] - want) * (out[0][i] - want);
        size += want * want;
    }
    double most = q->n > 6 ? 8e-6 : 3e-6; /* winograd.h */
    if (!(sqrt(error / size) < most)) fail_msg("%s, F(%d): off by %g", layer, q->m, sqrt(error / size));
    ref_free(env);
    return q;
}

/* In all these ways, and with inputs of each kind. */
static void numbers(void **state)
{
    static const struct {
        const char *layer;
        bool shared, strided;
        bool back; /* the gradient by data */
        bool few_channels;
        Algorithm by; /* where short vectors had better take the sum */
    } rows[] = {{.layer = "plain"},
                {.layer = "wide", .shared = true},
                {.layer = "many", .shared = true},
                {.layer = "many", .shared = true, .back = true},
                {.layer = "tiny", .shared = true, .by = BY_WINOGRAD4},
                {.layer = "dilated"},
                {.layer = "row", .shared = true},
                {.layer = "few", .strided = true, .few_channels = true, .by = BY_WINOGRAD4},
                {.layer = "colour", .few_channels = true, .by = BY_WINOGRAD4}};
    Ways ways = {0};
    (void)state;
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        Arena *a = arena_new();
        const Winograd *q = computes(a, rows[k].layer, rows[k].back ? BY_DATA : FORWARD, rows[k].by);
        count_ways(&ways, q);
        assert_int_equal(q->shared, rows[k].shared);
        assert_int_equal(q->step, rows[k].strided ? 2 : 1);
        assert_int_equal(q->few_channels, rows[k].few_channels);
        arena_free(a);
    }
    Arena *a = arena_new();
    int lanes = machine_find(a, "native")->lanes;
    arena_free(a);
    assert_true(ways.stored && ((ways.rests && ways.own) || lanes < 8) && ((ways.in_registers && ways.own_rows) || lanes < 16));
}

/* With tiles of every size. */
static void sizes_of_tiles(void **state)
{
    static const char *const layers[] = {"plain", "dilated", "few", "colour"};
    (void)state;
    for (size_t k = 0; k < sizeof layers / sizeof *layers; k++)
        for (int by = BY_WINOGRAD2; by < NALGORITHMS; by++)
            for (int of = FORWARD; of <= (k < 2 ? BY_WEIGHTS : FORWARD); of++) {
                if (of == BY_WEIGHTS && by == BY_WINOGRAD2) continue; /* has no such size */
                Arena *a = arena_new();
                const Winograd *q = computes(a, layers[k], (Result)of, (Algorithm)by);
                assert_int_equal(q->gradient, of == BY_WEIGHTS);
                assert_int_equal(q->m, winograd_rows(q, (Algorithm)by));
                arena_free(a);
            }
}

/* The same of its gradient by weights. */
static void gradient(void **state)
{
    (void)state;
    Arena *a = arena_new();
    Graph *g = graph_new(a);
    Node *w, *dw, *y = convolution(g, "plain", &w), *dy = graph_input(g, "dy", DT_F32, y->shape);
    g->training = true;
    assert_true(autodiff_of(g, y, dy, &w, 1, &dw));
    graph_output(g, "grads", g_op(g, "Pack", 1, dw));
    Groups *gs = fuse(a, g, true, NULL, NULL);
    const Schedule *s = schedule(a, gs, machine_find(a, "x86-64-v3"));
    const Winograd *q = s->group[gs->of[dw->id]->id].winograd;
    assert_non_null(q);
    assert_true(q->gradient);
    assert_int_equal(q->group * q->parts, 2); /* all channels */
    assert_true(q->chunks > 1);
    assert_true(q->chunk * (q->chunks - 1) < q->blocks && q->blocks <= q->chunk * q->chunks);
    assert_int_equal(s->value[dy->id].hi[2], 2); /* 14 rows in tiles of 4: zeros behind them */
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(filters), cmocka_unit_test(sums),
                                       cmocka_unit_test(choice), cmocka_unit_test(sizes), cmocka_unit_test(asked_for),
                                       cmocka_unit_test(numbers), cmocka_unit_test(sizes_of_tiles), cmocka_unit_test(gradient)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
