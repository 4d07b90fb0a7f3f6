/* Random networks on the ladder: reference, loops and compiled code must agree.
 *   - random numbers, with gradients and an optimizer, or for inference: within 1e-5 (relative L2);
 *   - every third: whole numbers so small that every sum is exact: to the bit.
 * Machines, rules of fusion, levels of simplify and sharing of storage are drawn along; tasks in
 * reverse order must give the same bits. A network that fails is cut down and printed.
 *   FUZZ_SEED=1 FUZZ_COUNT=160 build/tests/fuzz       number i is made from seed FUZZ_SEED + i
 * A batch runs in a process of its own, so that a crash names its network, too. */
#include "pipeline.h"
#include "support/file.h"
#include "unit/random_net.h"
#include "unit/run_graph.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BATCH = 8, DRAWS = 6, MOST_FAILURES = 3, MOST_KERNELS = 4096, ILLEGAL = 99 };
static const double exact_sum = 1 << 24, tolerance = 1e-5, nudge = 1e-6, rounding = 1e-6;

static char *dir;

/* ---- random values ---- */

static double noise(uint64_t key, uint64_t i) /* -1 .. 1 */
{
    uint64_t x = (key * 0x9e3779b97f4a7c15u) ^ (i * 0xbf58476d1ce4e5b9u);
    x ^= x >> 31, x *= 0x94d049bb133111ebu, x ^= x >> 29, x *= 0xd6e8feb86659fd93u, x ^= x >> 32;
    return (double)(x >> 11) / 4503599627370496.0 - 1;
}

static uint64_t key_of(uint64_t seed, const char *s)
{
    uint64_t h = 1469598103934665603u + seed * 0x9e3779b97f4a7c15u;
    while (*s) h = (h ^ (unsigned char)*s++) * 1099511628211u;
    return h;
}

typedef enum Kind { TRAINING, INFERENCE, WHOLE } Kind;

typedef struct Data {
    Kind kind;
    uint64_t seed;
    bool nudged; /* every number a little beside itself */
    bool single; /* every result rounded */
} Data;

static double finish(const Data *d, uint64_t key, uint64_t i, double x)
{
    if (d->nudged) x *= 1 + nudge * noise(key + 1, i);
    return (double)(float)x;
}

static double state_value(const Data *d, const State *s, uint64_t key, uint64_t i)
{
    double x = noise(key, i);
    if (d->kind == WHOLE) return fabs(x) < 0.6 ? 0 : x < 0 ? -1 : x < 0.9 ? 1 : 2;
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
        uint64_t key = key_of(d->seed, s->name);
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
        uint64_t key = key_of(d->seed, in->name);
        for (int64_t k = 0; k < n; k++) {
            double r = noise(key, (uint64_t)k);
            x[k] = d->kind == WHOLE ? floor(3.5 * r + 0.5) : finish(d, key, (uint64_t)k, r);
            if (in->dtype == DT_I32) x[k] = floor((r + 1) / 2 * (double)classes);
        }
        ref_set_input(env, in->name, x);
    }
}

static RefEnv *run_ref(Arena *a, const Graph *g, const Data *d)
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

/* ---- results: outputs, then new states by name ---- */

typedef struct Result {
    const char *name;
    const double *x;
    int64_t n;
} Result;
typedef VEC(Result) Results;

/* run NULL: what the reference has computed. */
static Results results_of(Arena *a, const Graph *g, const RefEnv *env, double **run)
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

static double worst(const Results *x, const Results *want, bool exact, const char **where)
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

/* ---- graphs ---- */

static Spec *read_net(Arena *a, const Net *net)
{
    Buf b = {0};
    char *path = arena_printf(a, "%s/net.yaml", dir);
    net_yaml(&b, net);
    if (!file_write_atomic(path, b.s, b.n, 0600)) fatal(EXIT_WRITE, "%s", path);
    buf_free(&b);
    Spec *s = spec_read(a, path, NULL, 0);
    return s && !diag_errors() ? s : NULL;
}

/* Gradients by everything, of whole numbers from outside. */
static bool whole_gradients(Graph *g)
{
    enum { MOST = 128 };
    Node *wrt[MOST], *grad[MOST], *y = graph_find_output(g, "output");
    int n = 0;
    for (int i = 0; i < g->node.n && n < MOST; i++)
        if (op_is(g->node.v[i], "State") || op_is(g->node.v[i], "Input")) wrt[n++] = g->node.v[i];
    g->training = true;
    Node *dy = graph_input(g, "dy", DT_F32, y->shape);
    if (!autodiff_of(g, y, dy, wrt, n, grad)) return false;
    for (int i = 0; i < n; i++)
        if (grad[i]) graph_output(g, arena_printf(g->arena, "d%d", i), grad[i]);
    return true;
}

static Graph *build(Arena *a, const Spec *s, const Net *net, Kind kind)
{
    Graph *g = spec_graph(a, s, kind == TRAINING, net->batch);
    if (!g || diag_errors()) return NULL;
    if (kind == WHOLE && !whole_gradients(g)) return NULL;
    if (kind != TRAINING) return g;
    Node *weights, *grads = autodiff(g, &weights);
    return !grads || spec_optimizer(s, g, weights, grads) ? g : NULL;
}

static double largest(const RefEnv *env, const Node *n)
{
    const double *x = ref_value(env, n);
    double m = 0;
    for (int64_t i = 0; i < shape_count(n->shape); i++) m = fmax(m, fabs(x[i]));
    return m;
}

/* Is every sum exact, in whatever order it is taken? */
static bool is_exact(const RefEnv *env, const Graph *g)
{
    for (int i = 0; i < g->node.n; i++) {
        const Node *n = g->node.v[i];
        double terms = 4, size = largest(env, n);
        for (int k = 0; k < n->nin && k < 2; k++) /* more terms than there are */
            terms = fmax(terms, (double)shape_count(n->in[k]->shape));
        if (n->op->nest == NEST_CONTRACT) {
            Contract c;
            terms = 0;
            for (int p = 0; p < CON_MAX_PHASES && n->op->contract(n, p, &c); p++) {
                double product = 1;
                for (int k = 0; k < c.naxes; k++) product *= (double)c.axis[k].extent;
                terms += product;
            }
            terms = terms / (double)shape_count(n->shape) + 1;
            terms *= largest(env, n->in[0]) * largest(env, n->in[1]);
        } else if (n->nin) {
            terms *= largest(env, n->in[0]);
        }
        if (size >= exact_sum || (n->op->nest != NEST_POINTWISE && terms >= exact_sum))
            return false;
    }
    return true;
}

/* ---- one network ---- */

typedef struct Case {
    Arena *a;
    uint64_t seed;
    Net net;
    Kind kind;
    Data data;
    Results want;
    bool failed, unfair;
} Case;

enum { LEGS = 2 };
typedef struct Leg { /* compiled */
    Case *c;
    const char *name;
    Graph *g;
    RefEnv *env;
    Run *run;
    int first; /* of its kernels */
} Leg;

static void expect(Case *c, const char *rung, const Results *x, double allowed)
{
    const char *where = "";
    double d = worst(x, &c->want, c->kind == WHOLE, &where);
    if (d <= allowed) return;
    c->failed = true;
    printf("seed %llu: %s: '%s' differs by %.2e, allowed %.0e\n", (unsigned long long)c->seed, rung,
           where, d, c->kind == WHOLE ? 0 : allowed);
}

static double change(Case *c, const Graph *g, bool nudged, bool single)
{
    const char *where;
    Data d = c->data;
    d.nudged = nudged;
    d.single = single;
    RefEnv *env = run_ref(c->a, g, &d);
    Results r = results_of(c->a, g, env, NULL);
    double far = worst(&r, &c->want, false, &where);
    ref_free(env);
    return far;
}

/* Numbers for which the results can be told in single precision: they change little when the
 * numbers do (no maximum or sign hangs by a thread) and when every step rounds. */
static bool draw_data(Case *c, const Graph *g, const Graph *steps)
{
    for (int k = 0; k < DRAWS; k++) {
        c->data = (Data){.kind = c->kind, .seed = c->seed * DRAWS + (uint64_t)k};
        RefEnv *env = run_ref(c->a, g, &c->data);
        c->want = results_of(c->a, g, env, NULL);
        if (c->kind == WHOLE && is_exact(env, g)) return true;
        if (c->kind != WHOLE && change(c, g, true, false) <= tolerance &&
            change(c, steps, false, true) <= rounding)
            return true;
    }
    return false;
}

static const char *const machines[] = {"x86-64-v2", "x86-64-v3", "x86-64-v4", "aarch64"};

static const char *compiled_machine(uint64_t seed)
{
    static const char *const can_run[] = {"native", "x86-64-v3", "x86-64-v2"};
    Arena *a = arena_new();
    const Machine *m = machine_find(a, "native");
    bool x86 = !strncmp(m->triple, "x86_64", 6), avx2 = m->lanes >= 8;
    arena_free(a);
    const char *want = can_run[seed / BATCH % 3];
    return x86 && (avx2 || strcmp(want, "x86-64-v3")) ? want : "native";
}

static Leg leg_of(Case *c, const Spec *s, const char *name, int level, const RunMode *m,
                  const char *no_rule)
{
    Leg l = {.c = c, .name = name, .g = build(c->a, s, &c->net, c->kind)};
    simplify(l.g, level);
    graph_verify(l.g, "simplify");
    l.env = run_ref(c->a, l.g, &c->data);
    l.run = run_plan(c->a, l.g, l.env, m, no_rule);
    return l;
}

static void run_leg(Leg *l, const KernelFn *fn)
{
    Case *c = l->c;
    Results ref = results_of(c->a, l->g, l->env, NULL);
    expect(c, arena_printf(c->a, "%s, reference", l->name), &ref, 1e-9);
    Results x = results_of(c->a, l->g, l->env, run_execute(l->run, fn, false));
    expect(c, l->name, &x, tolerance);
    if (!fn || c->failed) return;
    Results back = results_of(c->a, l->g, l->env, run_execute(l->run, fn, true));
    const char *where = "";
    if (worst(&back, &x, true, &where) == 0) return;
    c->failed = true;
    printf("seed %llu: %s: '%s' depends on the order of tasks\n", (unsigned long long)c->seed,
           l->name, where);
}

/* Reference and interpreted loops; the compiled legs are left to the caller. -> their number */
static int begin_case(Case *c, Leg *leg)
{
    Spec *s = read_net(c->a, &c->net);
    Graph *plain = s ? build(c->a, s, &c->net, c->kind) : NULL;
    if (!plain) exit(ILLEGAL);
    Graph *steps = build(c->a, s, &c->net, c->kind);
    simplify(steps, 0);
    c->unfair = !draw_data(c, plain, steps);
    if (c->unfair) return 0;
    uint64_t r = key_of(c->seed, "modes");
    int nrules = 0;
    while (fuse_rule_names[nrules]) nrules++;
    const char *rule = fuse_rule_names[(r >> 8) % (uint64_t)nrules];
    RunMode unfused = {.machine = machines[r & 3]};
    RunMode fused = {.machine = machines[r >> 2 & 3], .fused = true, .reuse = true};
    RunMode fast = {.machine = compiled_machine(c->seed), .fused = true, .reuse = true};
    RunMode other = {.machine = fast.machine, .fused = r >> 4 & 1, .reuse = r >> 5 & 1};
    Leg l = leg_of(c, s, "loops, unfused", 1, &unfused, NULL);
    run_leg(&l, NULL);
    l = leg_of(c, s, "loops, fused", 1, &fused, NULL);
    run_leg(&l, NULL);
    leg[0] = leg_of(c, s, "compiled, fused", 1, &fast, NULL);
    leg[1] =
        leg_of(c, s,
               arena_printf(c->a, "compiled, %s, simplify %d",
                            other.fused ? arena_printf(c->a, "fused without %s", rule) : "unfused",
                            (int)(r >> 6 & 1)),
               (int)(r >> 6 & 1), &other, rule);
    return LEGS;
}

static void init_case(Case *c, uint64_t seed)
{
    *c = (Case){.a = arena_new(), .seed = seed};
    c->kind = seed % 3 == 0 ? WHOLE : seed % 4 == 1 ? INFERENCE : TRAINING;
    net_random(&c->net, seed, c->kind == WHOLE);
}

/* All of them, with one link. -> number that failed */
static int run_cases(Case *c, int n, int *unfair)
{
    Arena *a = arena_new();
    Leg leg[BATCH * LEGS];
    int legs = 0, nf = 0, failed = 0;
    Func **f = NEWN(a, Func *, MOST_KERNELS);
    for (int i = 0; i < n; i++) legs += begin_case(&c[i], leg + legs);
    for (int i = 0; i < legs; i++) {
        const Loops *l = run_loops(leg[i].run);
        leg[i].first = nf;
        bug_if(nf + l->kernel.n > MOST_KERNELS, "too many kernels");
        for (int k = 0; k < l->kernel.n; k++) {
            f[nf] = l->kernel.v[k].func;
            f[nf]->name = arena_printf(a, "k%d", nf);
            nf++;
        }
    }
    KernelFn *fn = nf ? kernels_load(f, nf, machine_find(a, compiled_machine(c->seed))) : NULL;
    for (int i = 0; i < legs; i++) run_leg(&leg[i], fn + leg[i].first);
    for (int i = 0; i < n; i++) failed += c[i].failed;
    for (int i = 0; i < n; i++) *unfair += c[i].unfair;
    return failed;
}

/* ---- processes ---- */

static int end_of(pid_t pid)
{
    int status = 0;
    if (waitpid(pid, &status, 0) != pid) fatal(EXIT_CHECK, "waitpid:");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* -> 0, or how it ended; quiet: without a word */
static int try_net(const Case *c, bool quiet)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid) return end_of(pid);
    Case own = *c;
    int unfair = 0;
    own.a = arena_new();
    if (quiet && (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr)))
        exit(ILLEGAL);
    exit(run_cases(&own, 1, &unfair) ? EXIT_CHECK : unfair ? ILLEGAL : 0);
}

static void minimise(Case *c)
{
    for (int i = c->net.n - 1; i >= 0 && c->net.n > 1; i--) {
        Case less = *c;
        net_drop(&less.net, i);
        int end = try_net(&less, true);
        if (end && end != ILLEGAL) *c = less;
    }
}

static bool report(Case *c)
{
    int end = try_net(c, true);
    if (!end || end == ILLEGAL) return false;
    minimise(c);
    Buf b = {0};
    net_yaml(&b, &c->net);
    printf("FAIL fuzz: seed %llu, %s, batch %lld. Again: FUZZ_SEED=%llu FUZZ_COUNT=1. Cut down:\n",
           (unsigned long long)c->seed,
           c->kind == WHOLE      ? "whole numbers"
           : c->kind == TRAINING ? "training"
                                 : "inference",
           (long long)c->net.batch, (unsigned long long)c->seed);
    printf("%s", b.s);
    buf_free(&b);
    end = try_net(c, false);
    printf("(exit status %d)\n", end);
    return true;
}

/* Networks [from, to). -> number that failed; *unfair: number without fair numbers */
static int run_batch(uint64_t from, uint64_t to, int *unfair)
{
    Case c[BATCH];
    int n = 0, failed = 0, pipes[2], skipped = 0;
    if (pipe(pipes)) fatal(EXIT_CHECK, "pipe:");
    for (uint64_t s = from; s < to; s++) init_case(&c[n++], s);
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        int bad = run_cases(c, n, &skipped);
        if (write(pipes[1], &skipped, sizeof skipped) != sizeof skipped) bad++;
        exit(bad ? EXIT_CHECK : 0);
    }
    int end = end_of(pid);
    close(pipes[1]);
    if (read(pipes[0], &skipped, sizeof skipped) == sizeof skipped) *unfair += skipped;
    close(pipes[0]);
    for (int i = 0; i < n && end; i++) failed += report(&c[i]);
    if (end && !failed) {
        printf("FAIL fuzz: seeds %llu to %llu end with status %d, but not one by one\n",
               (unsigned long long)from, (unsigned long long)to - 1, end);
        failed = 1;
    }
    for (int i = 0; i < n; i++) arena_free(c[i].a);
    return failed;
}

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *s = getenv(name);
    return s && *s ? strtoull(s, NULL, 10) : otherwise;
}

int main(void)
{
    uint64_t seed = number("FUZZ_SEED", 1), count = number("FUZZ_COUNT", 160), end = seed + count;
    int failed = 0, unfair = 0, done = 0;
    Arena *a = arena_new();
    dir = file_temp_dir(a);
    printf("FUZZ_SEED=%llu FUZZ_COUNT=%llu\n", (unsigned long long)seed, (unsigned long long)count);
    while (seed < end && failed < MOST_FAILURES) {
        uint64_t to = (seed / BATCH + 1) * BATCH;
        if (to > end) to = end;
        failed += run_batch(seed, to, &unfair);
        done += (int)(to - seed);
        seed = to;
    }
    file_remove_tree(dir);
    if (unfair)
        printf("SKIP fuzz: %d of %d: single precision cannot tell their results\n", unfair, done);
    for (int i = 0; i < done - failed - unfair; i++) printf("PASS fuzz\n");
    printf("%d passed, %d failed, %d skipped\n", done - failed - unfair, failed, unfair);
    return failed || !done;
}
