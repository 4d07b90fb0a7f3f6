/* Random networks on the ladder: reference, loops and compiled code must agree; of one in SIMT_EVERY also the kernels for
 * GPUs, as CUDA C on the host, every access checked.
 *   - random numbers, with gradients and an optimizer, or for inference: within 1e-5 (relative L2);
 *   - every third: whole numbers so small that every sum is exact: to the bit; and stored in fp16 or bf16 where all of
 *     them are numbers of those, too.
 * Machines, rules of fusion, levels of simplify and sharing of storage are drawn along; tasks in
 * reverse order must give the same bits. A network that fails is cut down and printed.
 *   FUZZ_SEED=1 FUZZ_COUNT=200 build/tests/fuzz       number i is made from seed FUZZ_SEED + i
 * A batch runs in a process of its own, so that a crash names its network, too. */
#include "pipeline.h"
#include "simt/simt.h"
#include "support/file.h"
#include "unit/random_data.h"
#include "unit/random_net.h"
#include "unit/run_graph.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    BATCH = 8,
    PROCESSES = 2,
    DRAWS = 6,
    NUDGES = 4,
    MOST_FAILURES = 3,
    MOST_KERNELS = 4096,
    SIMT_EVERY = 16,
    ILLEGAL = 99
};
static const double exact_sum = 1 << 24, tolerance = 1e-5, rounding = 1e-6;

#ifdef __SANITIZE_ADDRESS__
enum { USUAL_COUNT = 60 };
#else
enum { USUAL_COUNT = 200 };
#endif

static char *dir;

/* ---- graphs ---- */

static Spec *read_net(Arena *a, const Net *net)
{
    Buf b = {0};
    char *path = arena_printf(a, "%s/net%d.yaml", dir, (int)getpid());
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

static Graph *build(Arena *a, const Spec *s, const Net *net, DataKind kind)
{
    Graph *g = spec_graph(a, s, kind == DATA_TRAINING, net->batch);
    if (!g || diag_errors()) return NULL;
    if (kind == DATA_WHOLE && !whole_gradients(g)) return NULL;
    if (kind != DATA_TRAINING) return g;
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

/* Ends this process, whatever memory it still has. */
static _Noreturn void leave(int status)
{
    fflush(stdout);
    _exit(status);
}

typedef struct Case {
    Arena *a;
    uint64_t seed;
    Net net;
    DataKind kind;
    Data data;
    Results want;
    bool failed, unfair;
} Case;

enum { LEGS = 3 };
typedef struct Leg { /* compiled */
    Case *c;
    const char *name;
    bool simt; /* as CUDA C: a grid runs all tasks, in an order of its own */
    Graph *g;
    RefEnv *env;
    Run *run;
    int first; /* of its kernels */
} Leg;

static void expect(Case *c, const char *rung, const Results *x, double allowed)
{
    const char *where = "";
    double d = results_distance(x, &c->want, c->kind == DATA_WHOLE, &where);
    if (d <= allowed) return;
    c->failed = true;
    printf("seed %llu: %s: '%s' differs by %.2e, allowed %.0e\n", (unsigned long long)c->seed, rung,
           where, d, c->kind == DATA_WHOLE ? 0 : allowed);
}

static RefEnv *run_near(Case *c, const Graph *g, int nudge, bool single, Results *r)
{
    Data d = c->data;
    d.nudge = nudge;
    d.single = single;
    RefEnv *env = data_run(c->a, g, &d);
    *r = results_of(c->a, g, env, NULL);
    return env;
}

/* Beside the numbers drawn, do the results change little (no maximum or sign hangs by a thread),
 * and little when every step rounds? */
static bool is_fair(Case *c, const Graph *g, const Graph *steps, int nudge)
{
    Results exact, rounded;
    const char *where;
    RefEnv *env[2] = {run_near(c, g, nudge, false, &exact),
                      run_near(c, steps, nudge, true, &rounded)};
    bool fair = results_distance(&exact, &c->want, false, &where) <= tolerance &&
                results_distance(&rounded, &exact, false, &where) <= rounding;
    for (int i = 0; i < 2; i++) ref_free(env[i]);
    return fair;
}

/* Numbers for which single precision can tell the results. */
static bool draw_data(Case *c, const Graph *g, const Graph *steps)
{
    for (int k = 0; k < DRAWS; k++) {
        c->data = (Data){.kind = c->kind, .seed = c->seed * DRAWS + (uint64_t)k};
        RefEnv *env = data_run(c->a, g, &c->data);
        c->want = results_of(c->a, g, env, NULL);
        bool fair = c->kind != DATA_WHOLE || is_exact(env, g);
        for (int n = 0; n < NUDGES && fair && c->kind != DATA_WHOLE; n++)
            fair = is_fair(c, g, steps, n);
        if (fair) return true;
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

/* fp16 holds all whole numbers up to 2^11, bf16 up to 2^8. */
static Precision exact_precision(const RefEnv *env, const Graph *g)
{
    double most = 0;
    for (int i = 0; i < g->node.n; i++) most = fmax(most, largest(env, g->node.v[i]));
    return most <= 256 ? PRECISION_BF16 : most <= 2048 ? PRECISION_FP16 : PRECISION_FP32;
}

static Leg leg_of(Case *c, const Spec *s, const char *name, int level, const RunMode *m,
                  const char *no_rule)
{
    Leg l = {.c = c, .name = name, .g = build(c->a, s, &c->net, c->kind)};
    simplify(l.g, level);
    graph_verify(l.g, "simplify");
    l.env = data_run(c->a, l.g, &c->data);
    if (c->kind == DATA_WHOLE) {
        l.g->precision = exact_precision(l.env, l.g);
        ref_free(l.env);
        lower_precision(l.g, machine_find(c->a, m->machine));
        l.env = data_run(c->a, l.g, &c->data);
    }
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
    if (!fn || l->simt || c->failed) return;
    Results back = results_of(c->a, l->g, l->env, run_execute(l->run, fn, true));
    const char *where = "";
    if (results_distance(&back, &x, true, &where) == 0) return;
    c->failed = true;
    printf("seed %llu: %s: '%s' depends on the order of tasks\n", (unsigned long long)c->seed,
           l->name, where);
}

/* Reference and interpreted loops; the compiled legs are left to the caller. -> their number */
static int begin_case(Case *c, Leg *leg)
{
    Spec *s = read_net(c->a, &c->net);
    Graph *plain = s ? build(c->a, s, &c->net, c->kind) : NULL;
    if (!plain) leave(ILLEGAL);
    Graph *steps = build(c->a, s, &c->net, c->kind);
    simplify(steps, 0);
    c->unfair = !draw_data(c, plain, steps);
    if (c->unfair) return 0;
    uint64_t r = data_key(c->seed, "modes");
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
    if (c->seed % SIMT_EVERY || simt_missing(false)) return LEGS - 1;
    leg[2] = leg_of(c, s, "CUDA C", 2, &(RunMode){.machine = "sm_80", .fused = true, .reuse = true}, NULL);
    leg[2].simt = true;
    return LEGS;
}

static void init_case(Case *c, uint64_t seed)
{
    *c = (Case){.a = arena_new(), .seed = seed};
    c->kind = seed % 3 == 0 ? DATA_WHOLE : seed % 4 == 1 ? DATA_INFERENCE : DATA_TRAINING;
    net_random(&c->net, seed, c->kind == DATA_WHOLE);
}

/* The kernels of all legs of a kind, under names of their own. -> their number */
static int collect_kernels(Arena *a, Leg *leg, int legs, bool simt, Func **f)
{
    int n = 0;
    for (int i = 0; i < legs; i++) {
        const Loops *l = run_loops(leg[i].run);
        if (leg[i].simt != simt) continue;
        leg[i].first = n;
        bug_if(n + l->kernel.n > MOST_KERNELS, "too many kernels");
        for (int k = 0; k < l->kernel.n; k++, n++) {
            f[n] = l->kernel.v[k].func;
            f[n]->name = arena_printf(a, "k%d", n);
        }
    }
    return n;
}

/* All of them, with one call of each compiler. -> number that failed */
static int run_cases(Case *c, int n, int *unfair)
{
    Arena *a = arena_new();
    Leg leg[BATCH * LEGS];
    int legs = 0, failed = 0;
    Func **f = NEWN(a, Func *, MOST_KERNELS), **g = NEWN(a, Func *, MOST_KERNELS);
    for (int i = 0; i < n; i++) legs += begin_case(&c[i], leg + legs);
    int nf = collect_kernels(a, leg, legs, false, f), ng = collect_kernels(a, leg, legs, true, g);
    const KernelFn *fn = nf ? kernels_load(f, nf, machine_find(a, compiled_machine(c->seed))) : NULL;
    KernelFn *grid = ng ? simt_load(g, ng, !simt_missing(true)) : NULL;
    for (int i = 0; i < legs; i++) run_leg(&leg[i], (leg[i].simt ? grid : fn) + leg[i].first);
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
        leave(ILLEGAL);
    leave(run_cases(&own, 1, &unfair) ? EXIT_CHECK : unfair ? ILLEGAL : 0);
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
           c->kind == DATA_WHOLE      ? "whole numbers"
           : c->kind == DATA_TRAINING ? "training"
                                      : "inference",
           (long long)c->net.batch, (unsigned long long)c->seed);
    printf("%s", b.s);
    buf_free(&b);
    end = try_net(c, false);
    printf("(exit status %d)\n", end);
    return true;
}

typedef struct Batch { /* networks [from, to), in a process of its own */
    uint64_t from, to;
    pid_t pid;
    int pipe; /* the process says how many had no fair numbers */
} Batch;

static Batch start_batch(uint64_t from, uint64_t end)
{
    Batch b = {.from = from, .to = (from / BATCH + 1) * BATCH};
    Case c[BATCH];
    int n = 0, pipes[2], skipped = 0;
    if (b.to > end) b.to = end;
    if (pipe(pipes)) fatal(EXIT_CHECK, "pipe:");
    fflush(stdout);
    b.pid = fork();
    if (b.pid < 0) fatal(EXIT_CHECK, "fork:");
    if (!b.pid) {
        for (uint64_t s = from; s < b.to; s++) init_case(&c[n++], s);
        int bad = run_cases(c, n, &skipped);
        if (write(pipes[1], &skipped, sizeof skipped) != sizeof skipped) bad++;
        leave(bad ? EXIT_CHECK : 0);
    }
    close(pipes[1]);
    b.pipe = pipes[0];
    return b;
}

/* -> number that failed; adds to *unfair those without fair numbers */
static int finish_batch(const Batch *b, int *unfair)
{
    int failed = 0, skipped, end = end_of(b->pid);
    if (read(b->pipe, &skipped, sizeof skipped) == sizeof skipped) *unfair += skipped;
    close(b->pipe);
    for (uint64_t s = b->from; s < b->to && end; s++) {
        Case c;
        init_case(&c, s);
        failed += report(&c);
        arena_free(c.a);
    }
    if (!end || failed) return failed;
    printf("FAIL fuzz: seeds %llu to %llu end with status %d, but not one by one\n",
           (unsigned long long)b->from, (unsigned long long)b->to - 1, end);
    return 1;
}

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *s = getenv(name);
    return s && *s ? strtoull(s, NULL, 10) : otherwise;
}

int main(void)
{
    uint64_t seed = number("FUZZ_SEED", 1), count = number("FUZZ_COUNT", USUAL_COUNT),
             end = seed + count;
    int failed = 0, unfair = 0, done = 0;
    Arena *a = arena_new();
    dir = file_temp_dir(a);
    printf("FUZZ_SEED=%llu FUZZ_COUNT=%llu\n", (unsigned long long)seed, (unsigned long long)count);
    while (seed < end && failed < MOST_FAILURES) {
        Batch b[PROCESSES];
        int n = 0;
        for (; n < PROCESSES && seed < end; seed = b[n++].to) b[n] = start_batch(seed, end);
        for (int i = 0; i < n; i++) {
            failed += finish_batch(&b[i], &unfair);
            done += (int)(b[i].to - b[i].from);
        }
    }
    file_remove_tree(dir);
    arena_free(a);
    if (simt_missing(true)) printf("SKIP fuzz: CUDA C, checked: %s\n", simt_missing(true));
    if (unfair)
        printf("SKIP fuzz: %d of %d: single precision cannot tell their results\n", unfair, done);
    for (int i = 0; i < done - failed - unfair; i++) printf("PASS fuzz\n");
    printf("%d passed, %d failed, %d skipped\n", done - failed - unfair, failed, unfair);
    return failed || !done;
}
