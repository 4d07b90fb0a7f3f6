/* What a schedule promises: tiles that fit the vector registers, and do not spill there; every
 * result written once; halos as wide as the indexes reach; weights, gradients and moments laid out
 * alike. Convolutions and Linear with their gradients, for every machine. */
#include "loops.h"
#include "schedule.h"
#include "stages.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct Conv {
    const char *name;
    int n, c, h, w, k, r, s, stride, pad, dil, groups;
} Conv;

static const Conv convs[] = {
    {"cnn conv1", 64, 1, 28, 28, 32, 3, 3, 1, 1, 1, 1},
    {"cnn conv2", 64, 32, 14, 14, 64, 3, 3, 1, 1, 1, 1},
    {"resnet 3x3", 8, 64, 56, 56, 64, 3, 3, 1, 1, 1, 1},
    {"resnet 1x1 down", 8, 256, 56, 56, 64, 1, 1, 1, 0, 1, 1},
    {"resnet 1x1 up", 8, 64, 56, 56, 256, 1, 1, 1, 0, 1, 1},
    {"resnet stem", 8, 3, 224, 224, 64, 7, 7, 2, 3, 1, 1},
    {"resnet 3x3 stride 2", 8, 64, 56, 56, 128, 3, 3, 2, 1, 1, 1},
    {"resnet 1x1 stride 2", 8, 64, 56, 56, 128, 1, 1, 2, 0, 1, 1},
    {"resnet 7x7 plane", 8, 512, 7, 7, 512, 3, 3, 1, 1, 1, 1},
    {"depthwise", 8, 64, 28, 28, 64, 3, 3, 1, 1, 1, 64},
    {"four groups", 8, 64, 28, 28, 64, 3, 3, 1, 1, 1, 4},
    {"odd", 5, 17, 13, 11, 23, 3, 3, 1, 1, 1, 1},
    {"few channels", 4, 5, 9, 7, 6, 3, 3, 1, 1, 1, 1},
    {"5x5", 8, 16, 12, 12, 24, 5, 5, 1, 2, 1, 1},
    {"dilated", 2, 8, 15, 13, 20, 3, 2, 2, 3, 2, 1},
    {"stride beyond the kernel", 2, 16, 11, 10, 16, 2, 1, 3, 0, 1, 1},
    {"groups inside of a block", 3, 12, 8, 8, 9, 3, 3, 1, 1, 1, 3},
    {"one pixel", 3, 40, 1, 1, 33, 3, 3, 1, 1, 1, 1},
    {"transposed, into one channel", 8, 1, 28, 28, 16, 3, 3, 2, 1, 1, 1},
    {"transposed, stride 3", 8, 2, 20, 25, 40, 4, 3, 3, 0, 1, 1},
    {"into three channels", 8, 64, 14, 19, 3, 3, 3, 1, 1, 1, 1},
    {"into a block and a half", 8, 144, 28, 28, 24, 1, 1, 1, 0, 1, 1},
};
enum { NCONV = sizeof convs / sizeof convs[0], LARGE = 1 << 20 };

static const struct {
    int n, in, out;
} linears[] = {{64, 3136, 128}, {64, 128, 10}, {32, 2048, 1000}, {5, 17, 13}, {1, 3, 1}};

/* ---- graphs: outputs y, dx, dw ---- */

static void add_gradients(Graph *g, Node *x, Node *w, Node *y)
{
    Node *wrt[2] = {x, w}, *grad[2];
    g->training = true;
    Node *dy = graph_input(g, "dy", DT_F32, y->shape);
    assert_true(autodiff_of(g, y, dy, wrt, 2, grad));
    graph_output(g, "dx", grad[0]);
    graph_output(g, "dw", grad[1]);
    simplify(g, 1);
}

static Graph *parse(Arena *a, const char *text)
{
    Graph *g = graph_parse(a, "test", text);
    if (!g) diag_flush();
    assert_non_null(g);
    return g;
}

static Graph *conv_graph(Arena *a, const Conv *c)
{
    Graph *g =
        parse(a, arena_printf(a,
                              "state w param f32 [%d,%d,%d,%d] const(0,0)\n"
                              "state b param f32 [%d] const(0,0)\n"
                              "%%0 = Input f32 [%d,%d,%d,%d] #x\n%%1 = State @w\n"
                              "%%2 = State @b\n%%3 = Conv2d %%0 %%1 stride=(%d,%d) "
                              "padding=(%d,%d) dilation=(%d,%d) groups=%d\n"
                              "%%4 = Add %%3 %%2\n%%5 = ReLU %%4\noutput y %%5\n",
                              c->k, c->c / c->groups, c->r, c->s, c->k, c->n, c->c, c->h, c->w,
                              c->stride, c->stride, c->pad, c->pad, c->dil, c->dil, c->groups));
    add_gradients(g, g->node.v[0], g->node.v[1], g->node.v[3]);
    return g;
}

static Graph *linear_graph(Arena *a, int n, int in, int out)
{
    Graph *g = parse(a, arena_printf(a,
                                     "state w param f32 [%d,%d] const(0,0)\n"
                                     "%%0 = Input f32 [%d,%d] #x\n%%1 = State @w\n"
                                     "%%2 = Linear %%0 %%1\noutput y %%2\n",
                                     out, in, n, in));
    add_gradients(g, g->node.v[0], g->node.v[1], g->node.v[2]);
    return g;
}

static Schedule *schedule_of(Arena *a, const Graph *g, const char *machine)
{
    return schedule(a, fuse(a, g, true, NULL, machine_find(a, machine)), machine_find(a, machine));
}

/* Calls check for the schedule of every graph of contractions, on every machine. */
static void each_schedule(void (*check)(const Schedule *s, const char *name))
{
    static const char *const machines[] = {"x86-64-v2", "x86-64-v3", "x86-64-v4", "aarch64"};
    for (int m = 0; m < 4; m++) {
        for (int i = 0; i < NCONV; i++) {
            Arena *a = arena_new();
            check(schedule_of(a, conv_graph(a, &convs[i]), machines[m]),
                  arena_printf(a, "%s, %s", convs[i].name, machines[m]));
            arena_free(a);
        }
        for (size_t i = 0; i < sizeof linears / sizeof linears[0]; i++) {
            Arena *a = arena_new();
            Graph *g = linear_graph(a, linears[i].n, linears[i].in, linears[i].out);
            check(schedule_of(a, g, machines[m]),
                  arena_printf(a, "linear %d %d, %s", linears[i].in, linears[i].out, machines[m]));
            arena_free(a);
        }
    }
}

static const Group *contraction(const Schedule *s, int i)
{
    const Group *g = s->groups->group.v[i];
    return g->nest == NEST_CONTRACT ? g : NULL;
}

/* ---- tiles ---- */

/* Accumulators, one row of shared vectors, one broadcast. */
static void check_tiles(const Schedule *s, const char *name)
{
    for (int i = 0; i < s->groups->group.n; i++)
        for (int p = 0; contraction(s, i) && p < s->group[i].nphase; p++) {
            const ConSchedule *c = &s->group[i].con[p];
            if (c->general) continue;
            int vectors = c->cols * ((c->lane_extent + s->machine->lanes - 1) / s->machine->lanes);
            int rows = 1, cols = 1;
            for (int k = 0; k < c->nloop; k++) {
                if (c->loop[k].role == ROLE_ROW) rows *= (int)c->loop[k].tile;
                if (c->loop[k].role == ROLE_BLK) cols *= (int)c->loop[k].tile;
            }
            if (rows != c->rows || cols != c->cols)
                fail_msg("%s: group %d: the loops' tiles are %dx%d", name, i, rows, cols);
            const Winograd *w = s->group[i].winograd; /* its results pass a tile at a time, its products in registers */
            if (w) rows = w->rows, vectors *= w->cols;
            if (rows * vectors + vectors + 1 > s->machine->vregs)
                fail_msg("%s: group %d: a tile of %dx%d vectors", name, i, rows, vectors);
            bool empty = false; /* a phase of a gradient that no tap reaches */
            for (int k = 0; k < c->con.naxes; k++) empty = empty || !c->con.axis[k].extent;
            if (!(c->efficiency > 0 || empty) || c->efficiency > 1)
                fail_msg("%s: group %d: efficiency %g", name, i, c->efficiency);
        }
}

static void tiles_fit(void **state)
{
    (void)state;
    each_schedule(check_tiles);
}

/* ---- coverage: walks the loops over outputs as data ---- */

typedef struct Walk {
    const ConSchedule *c;
    unsigned char *hit; /* by place in Out */
    int64_t block[CON_MAX_AXES];
    int64_t count;
    int twice;
} Walk;

static void walk(Walk *w, int k, int64_t at)
{
    while (k < w->c->nloop && w->c->loop[k].role == ROLE_RED) k++;
    if (k == w->c->nloop) {
        assert_true(at >= 0 && at < w->count);
        w->twice += w->hit[at]++ > 0;
        return;
    }
    const ConLoop *l = &w->c->loop[k];
    int64_t n = l->extent, rest = w->c->con.axis[l->axis].extent;
    if (l->part == PART_LANE) { /* a row of lanes ends with the axis; a vector fills its block */
        rest -= w->block[l->axis] * BLOCK;
        if (l->role != ROLE_LANE && rest < n) n = rest;
    }
    for (int64_t i = 0; i < n; i++) {
        if (l->part == PART_BLK) w->block[l->axis] = i;
        walk(w, k + 1, at + i * l->so);
    }
}

/* Blocks before their lanes, so that walk() knows the block. */
static void blocks_first(ConSchedule *c)
{
    for (int i = 0; i < c->nloop; i++)
        for (int k = i + 1; k < c->nloop; k++)
            if (c->loop[i].axis == c->loop[k].axis && c->loop[i].part == PART_LANE) {
                ConLoop l = c->loop[i];
                c->loop[i] = c->loop[k];
                c->loop[k] = l;
            }
}

static void walk_general(Walk *w, const Layout *l)
{
    const Contract *c = &w->c->con;
    int64_t i[CON_MAX_AXES] = {0};
    for (;;) {
        int64_t at = l->base;
        for (int d = 0; d < l->rank; d++) {
            int64_t x = c->out.off[d];
            for (int k = 0; k < c->naxes; k++) x += c->out.coef[d][k] * i[k];
            at += x / l->block[d] * l->outer[d] + x % l->block[d] * l->inner[d];
        }
        w->twice += w->hit[at]++ > 0;
        int k = c->naxes;
        for (; k > 0; i[--k] = 0) {
            bool used = false;
            for (int d = 0; d < l->rank; d++) used = used || c->out.coef[d][k - 1];
            if (used && ++i[k - 1] < c->axis[k - 1].extent) break;
        }
        if (!k) return;
    }
}

static void check_elements(const Layout *l, const unsigned char *hit, const char *name, int d,
                           int64_t at)
{
    if (d == l->rank) {
        if (!hit[at]) fail_msg("%s: an element is never written", name);
        return;
    }
    for (int64_t i = 0; i < l->dim[d]; i++)
        check_elements(l, hit, name, d + 1,
                       at + i / l->block[d] * l->outer[d] + i % l->block[d] * l->inner[d]);
}

static void check_coverage(const Schedule *s, const char *name)
{
    for (int i = 0; i < s->groups->group.n; i++) {
        const Group *g = contraction(s, i);
        if (!g) continue;
        const Layout *l = &s->value[g->anchor->id];
        if (l->count > LARGE) continue;
        Walk w = {.hit = calloc((size_t)l->count, 1), .count = l->count};
        for (int p = 0; p < s->group[i].nphase; p++) {
            ConSchedule c = s->group[i].con[p];
            w.c = &c;
            blocks_first(&c);
            if (c.general)
                walk_general(&w, l);
            else
                walk(&w, 0, c.base_o);
        }
        if (w.twice) fail_msg("%s: group %d: %d elements are written twice", name, i, w.twice);
        check_elements(l, w.hit, name, 0, l->base);
        free(w.hit);
    }
}

static void outputs_are_written_once(void **state)
{
    (void)state;
    each_schedule(check_coverage);
}

/* ---- halos ---- */

/* How far contractions read value n outside of dim d, by trying every combination of axes' ends
 * (an index is linear: its extremes lie there). */
static void reach(const Schedule *s, const Node *n, int d, int64_t *lo, int64_t *hi)
{
    Contract c;
    *lo = *hi = 0;
    for (int i = 0; i < s->groups->group.n; i++) {
        const Group *g = contraction(s, i);
        if (!g || g->anchor->in[0] != n) continue;
        for (int p = 0; p < CON_MAX_PHASES && g->anchor->op->contract(g->anchor, p, &c); p++) {
            bool empty = false;
            if (s->group[i].winograd) winograd_widen(s->group[i].winograd, &c);
            for (int k = 0; k < c.naxes; k++) empty = empty || !c.axis[k].extent;
            for (int ends = 0; ends < 1 << c.naxes && !empty; ends++) {
                int64_t x = c.a.off[d];
                for (int k = 0; k < c.naxes; k++)
                    if (ends >> k & 1) x += c.a.coef[d][k] * (c.axis[k].extent - 1);
                if (-x > *lo) *lo = -x;
                if (x - (n->shape.dim[d] - 1) > *hi) *hi = x - (n->shape.dim[d] - 1);
            }
        }
    }
}

static void check_halos(const Schedule *s, const char *name)
{
    const Graph *g = s->groups->graph;
    for (int i = 0; i < g->node.n; i++)
        for (int d = 0; d < s->value[i].rank; d++) {
            int64_t lo, hi;
            const Layout *l = &s->value[i];
            reach(s, g->node.v[i], d, &lo, &hi);
            if (l->lo[d] != lo || l->hi[d] != hi)
                fail_msg("%s: %%%d dim %d: halo %lld and %lld, but %lld and %lld are read", name, i,
                         d, (long long)l->lo[d], (long long)l->hi[d], (long long)lo, (long long)hi);
        }
}

static void halos_are_exact(void **state)
{
    (void)state;
    each_schedule(check_halos);
}

/* ---- layouts ---- */

static const State *group_state(const Graph *g, const char *name)
{
    for (int i = 0; i < g->state.n; i++)
        if (g->state.v[i]->part && !strcmp(g->state.v[i]->name, name)) return g->state.v[i];
    return NULL;
}

static void weights_lie_alike(void **state)
{
    (void)state;
    static const char *const specs[] = {"models/cnn.yaml", "models/bn_cnn.yaml", "models/mlp.yaml"};
    for (int i = 0; i < 3; i++) {
        Arena *a = arena_new();
        Spec *spec = spec_read(a, specs[i], NULL, 0);
        assert_non_null(spec);
        Graph *g = spec_graph(a, spec, true, 4);
        Node *weights, *grads = autodiff(g, &weights);
        assert_true(grads && spec_optimizer(spec, g, weights, grads));
        simplify(g, 1);
        const Schedule *s = schedule_of(a, g, "x86-64-v3");
        const State *params = group_state(g, "weights");
        int groups = 0;
        for (int k = 0; k < g->node.n; k++) {
            const Node *pack = g->node.v[k];
            if (!op_is(pack, "Pack")) continue;
            assert_int_equal(pack->nin, params->npart);
            for (int j = 0; j < pack->nin; j++)
                assert_true(
                    layout_same(&s->value[pack->in[j]->id], &s->state[params->part[j]->id]));
        }
        for (int k = 0; k < g->state.n; k++) {
            const State *m = g->state.v[k];
            if (!m->part) continue;
            groups++;
            assert_int_equal(m->npart, params->npart);
            assert_true(layout_same(&s->state[m->id], &s->state[params->id]));
            for (int j = 0; j < m->npart; j++)
                assert_true(layout_same(&s->state[m->part[j]->id], &s->state[params->part[j]->id]));
        }
        assert_true(groups >= 2); /* parameters and at least one kind of moments */
        arena_free(a);
    }
}

/* ---- lanes that are summed ---- */

/* The operators of a layer, as gradients of each other, whose lanes are summed: "Conv2d ConvDgrad". */
static const char *summed_lanes(Arena *a, const char *layer, const char *machine)
{
    const char *found = "";
    for (int i = 0; i < NCONV; i++) {
        if (strcmp(convs[i].name, layer) != 0) continue;
        const Schedule *s = schedule_of(a, conv_graph(a, &convs[i]), machine);
        for (int k = 0; k < s->groups->group.n; k++) {
            const Group *g = contraction(s, k);
            if (g && s->group[k].dot) found = arena_printf(a, "%s%s ", found, op_name(g->anchor->op));
        }
    }
    return found;
}

static void lanes_are_summed_where_results_lie_across(void **state)
{
    (void)state;
    Arena *a = arena_new();
    assert_string_equal(summed_lanes(a, "transposed, into one channel", "x86-64-v4"), "ConvDgrad ");
    assert_string_equal(summed_lanes(a, "transposed, stride 3", "x86-64-v3"), "ConvDgrad ");
    assert_string_equal(summed_lanes(a, "into three channels", "x86-64-v3"), "Conv2d ");
    assert_string_equal(summed_lanes(a, "cnn conv2", "x86-64-v3"), "");
    assert_string_equal(summed_lanes(a, "few channels", "x86-64-v3"), "");
    assert_string_equal(summed_lanes(a, "into three channels", "sm_80"), "");
    arena_free(a);
}

/* ---- spills ---- */

static bool moves_vector(const char *line)
{
    bool memory = strstr(line, " Spill") || strstr(line, " Reload");
    return memory &&
           (strstr(line, "16-byte") || strstr(line, "32-byte") || strstr(line, "64-byte"));
}

/* Vector registers moved to and from the stack in loops of one block that multiply and add. */
static int loop_spills(char *text, int *loops)
{
    char *save = NULL, label[64] = "";
    int moves = 0, fmas = 0, total = 0;
    for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
        if (*l == '.' && strchr(l, ':')) {
            size_t n = strcspn(l, ":");
            moves = fmas = 0;
            memcpy(label, l, n < sizeof label ? n : 0);
            label[n < sizeof label ? n : 0] = '\0';
            continue;
        }
        if (!strncmp(l, "# %bb", 5)) *label = '\0';
        fmas += strstr(l, "\tvfmadd") != NULL;
        moves += moves_vector(l);
        const char *to = *label && !strncmp(l, "\tj", 2) ? strstr(l, label) : NULL;
        if (!to || to[strlen(label)] > ' ' || !fmas) continue;
        ++*loops;
        total += moves;
    }
    return total;
}

static void check_spills(const Schedule *s, const char *name)
{
    Arena *a = arena_new();
    const Loops *l = lower(a, plan(a, s, true), s->machine);
    for (int i = 0; i < l->kernel.n; i++) {
        const Kernel *k = &l->kernel.v[i];
        bool dot = !strcmp(k->nest, "contract dot");
        if (strcmp(k->nest, "contract") != 0 && !dot) continue;
        const GroupSchedule *gs = &s->group[k->group->id];
        CodegenOptions o = {.threads = 1, .want_asm = true};
        Object *obj;
        Buf as = {0};
        Func *f = k->func;
        int loops = 0, n = backend_llvm.compile(&f, 1, NULL, 0, s->machine, &o, &obj, NULL, &as);
        int spills = loop_spills(as.s, &loops);
        if (spills || (gs->nphase == 1 && !loops && !dot)) /* a dot's loops may all be unrolled */
            fail_msg("%s: %s: %d spills in %d loops, tile %dx%dx%d, unroll %d", name,
                     op_name(k->group->anchor->op), spills, loops, gs->con->rows, gs->con->cols,
                     gs->con->lane_extent, gs->con->unroll);
        while (n > 0) free(obj[--n].data);
        free(obj);
        buf_free(&as);
    }
    arena_free(a);
}

static void loops_do_not_spill(void **state)
{
    (void)state;
    static const char *const machines[] = {"x86-64-v3", "x86-64-v4"};
    for (int m = 0; m < 2; m++) {
        for (int i = 0; i < NCONV; i++) {
            Arena *a = arena_new();
            if (convs[i].n >= 8)
                check_spills(schedule_of(a, conv_graph(a, &convs[i]), machines[m]),
                             arena_printf(a, "%s, %s", convs[i].name, machines[m]));
            arena_free(a);
        }
        for (int i = 0; i < 3; i++) {
            Arena *a = arena_new();
            Graph *g = linear_graph(a, linears[i].n, linears[i].in, linears[i].out);
            check_spills(schedule_of(a, g, machines[m]),
                         arena_printf(a, "linear %d, %s", i, machines[m]));
            arena_free(a);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles_fit), cmocka_unit_test(outputs_are_written_once),
        cmocka_unit_test(halos_are_exact), cmocka_unit_test(weights_lie_alike),
        cmocka_unit_test(lanes_are_summed_where_results_lie_across),
        cmocka_unit_test(loops_do_not_spill)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
