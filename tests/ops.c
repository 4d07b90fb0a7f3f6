/* Every operator on every one of its samples (OP=name for one operator):
 *   shape      the shape rule accepts it
 *   describes  contract, body or window, run naively, give the reference's values
 *   LEG        a way to run a graph gives the reference's values, of output and gradients; "ptx" is what NVRTC made of
 *              the CUDA C, interpreted, with every access checked
 *   CUDA C     the same of the kernels' text, run on the host, every access checked as well
 *   gradient   the gradient rule agrees with central differences of the reference
 * A leg is one function in the table at the end; the kernels of many samples are compiled by one call, later. Prints a
 * line per check; the last: `N passed, N failed`. */
#include "ref.h"
#include "simt/simt.h"
#include "stages.h"
#include "unit/gpu_run.h"
#include "unit/naive.h"
#include "unit/run_graph.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_IN = 8, COORDINATES = 12 };

typedef struct Case {
    Arena *a;
    const OpDef *op;
    const Sample *sample;
    int nin;
    Shape shape[MAX_IN];
    DType dtype[MAX_IN];
    double *value[MAX_IN];
    double *dy; /* weights of the output's elements in the scalar that is differentiated */
    AttrVal attr[MAX_ATTR];
} Case;

static int passed, failed;

static void check(const Case *c, const char *what, bool ok, const char *detail)
{
    *(ok ? &passed : &failed) += 1;
    printf("%s %-20s %-10s {%s} {%s}%s%s\n", ok ? "PASS" : "FAIL", c->op->name, what, c->sample->in,
           c->sample->attrs, *detail ? ": " : "", detail);
}

/* ---- samples ---- */
static uint64_t random_state;

static double uniform(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (double)(random_state >> 11) / 9007199254740992.0;
}

static double normal(void)
{
    double u = uniform() + 1e-12, v = uniform();
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

/* Values 0.1 apart, none of them 0, in random order. */
static void fill_grid(double *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) x[i] = 0.1 * ((double)(i - n / 2) + 0.5);
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t k = (int64_t)(uniform() * (double)(i + 1));
        double t = x[i];
        x[i] = x[k];
        x[k] = t;
    }
}

static void fill(const char *kind, double *x, int64_t n)
{
    if (*kind == 'g') fill_grid(x, n);
    for (int64_t i = 0; i < n; i++) {
        if (*kind == 'f') x[i] = normal();
        if (*kind == 'u') x[i] = 0.05 + 0.9 * uniform();
        if (*kind == 'p') x[i] = 0.1 + 1.9 * uniform();
        if (*kind == 'i') x[i] = floor(uniform() * atof(kind + 1));
        x[i] = (double)(float)x[i];
    }
}

static void read_input(Case *c, const char *word)
{
    Shape s = {0};
    const char *p = strchr(word, '[') + 1;
    for (; *p && *p != ']'; p += *p == ',') s.dim[s.rank++] = strtoll(p, (char **)&p, 10);
    c->shape[c->nin] = s;
    c->dtype[c->nin] = *word == 'i' ? DT_I32 : DT_F32;
    c->value[c->nin] = NEWN(c->a, double, shape_count(s));
    fill(word, c->value[c->nin++], shape_count(s));
}

static bool read_attrs(Case *c)
{
    Node n = {.op = c->op};
    op_default_attrs(c->op, n.attr);
    char *save = NULL;
    for (char *w = strtok_r(arena_strdup(c->a, c->sample->attrs), " ", &save); w;
         w = strtok_r(NULL, " ", &save)) {
        char *eq = strchr(w, '=');
        *eq = '\0';
        if (!op_parse_attr(c->a, &n, w, eq + 1)) return false;
    }
    memcpy(c->attr, n.attr, sizeof c->attr);
    return true;
}

static bool read_case(Case *c)
{
    char *save = NULL;
    random_state = 1;
    for (const char *p = c->sample->in; *p; p++) random_state = random_state * 31 + (uint64_t)*p;
    for (char *w = strtok_r(arena_strdup(c->a, c->sample->in), " ", &save); w;
         w = strtok_r(NULL, " ", &save))
        read_input(c, w);
    return read_attrs(c);
}

/* ---- the graph of a case: outputs "y", and with gradients "d0", "d1" ... for the float inputs
 * ---- */
static const char *numbered(Arena *a, const char *prefix, int i)
{
    return arena_printf(a, "%s%d", prefix, i);
}

static Node *build_node(const Case *c, Graph *g, Node **in)
{
    for (int i = 0; i < c->nin; i++)
        in[i] = graph_input(g, numbered(g->arena, "in", i), c->dtype[i], c->shape[i]);
    return graph_add(g, c->op, in, c->nin, c->attr);
}

static Graph *build(const Case *c, bool gradients)
{
    Graph *g = graph_new(c->a);
    Node *in[MAX_IN], *wrt[MAX_IN], *grad[MAX_IN];
    int n = 0;
    g->training = true;
    Node *y = build_node(c, g, in);
    if (!y) return NULL;
    graph_output(g, "y", y);
    if (!gradients) return g;
    for (int i = 0; i < c->nin; i++)
        if (c->dtype[i] == DT_F32) wrt[n++] = in[i];
    Node *dy = graph_input(g, "dy", DT_F32, y->shape);
    if (!autodiff_of(g, y, dy, wrt, n, grad)) return NULL;
    for (int i = 0; i < n; i++)
        if (grad[i]) graph_output(g, numbered(g->arena, "d", wrt[i]->id), grad[i]);
    return g;
}

static void set_inputs(const Case *c, RefEnv *env)
{
    for (int i = 0; i < c->nin; i++) ref_set_input(env, numbered(c->a, "in", i), c->value[i]);
    if (c->dy) ref_set_input(env, "dy", c->dy);
}

/* Outputs of the graph, in their order; freed with the arena. */
static double **run_ref(const Case *c, const Graph *g)
{
    RefEnv *env = ref_new(g);
    double **out = NEWN(c->a, double *, g->output.n);
    set_inputs(c, env);
    ref_run(env);
    for (int i = 0; i < g->output.n; i++) {
        const Node *n = g->output.v[i].node;
        int64_t count = shape_count(n->shape);
        out[i] = NEWN(c->a, double, count);
        memcpy(out[i], ref_value(env, n), sizeof **out * (size_t)count);
    }
    ref_free(env);
    return out;
}

/* ---- comparing ---- */
static double distance(const double *x, const double *y, int64_t n)
{
    double worst = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = fabs(x[i] - y[i]) / fmax(1, fabs(y[i]));
        if (!(d <= worst)) worst = d;
    }
    return worst;
}

static void compare(const Case *c, const char *what, const double *x, const double *want, int64_t n,
                    double tol)
{
    double d = distance(x, want, n);
    check(c, what, d <= tol, d <= tol ? "" : arena_printf(c->a, "differs by %g (%g)", d, tol));
}

static void check_description(const Case *c, const Graph *g, const double *want)
{
    const char *why;
    const Node *n = g->output.v[0].node;
    const double *in[MAX_IN];
    double *out = NEWN(c->a, double, shape_count(n->shape));
    for (int i = 0; i < c->nin; i++) in[i] = c->value[i];
    if (naive_run(n, in, out, &why))
        compare(c, "describes", out, want, shape_count(n->shape), fmax(c->op->tol.fwd, 1e-7));
    else if (why)
        check(c, "describes", false, why);
}

static bool has_gradient(const OpDef *op)
{
    return op->grad || op->expand;
}

/* ---- legs: ways to run a graph, which they may change. A leg gives the outputs in their order.
 * ---- */
typedef struct Leg {
    const char *name;
    bool exact; /* computes in double */
    double **(*run)(const Case *c, Graph *g);
} Leg;

static double **leg_expand(const Case *c, Graph *g)
{
    simplify(g, 0);
    graph_verify(g, "expand");
    return run_ref(c, g);
}

static double **leg_simplify(const Case *c, Graph *g)
{
    simplify(g, 1);
    graph_verify(g, "simplify");
    return run_ref(c, g);
}

/* What graph_print writes, graph_parse reads. */
static double **leg_text(const Case *c, Graph *g)
{
    Buf text = {0};
    graph_print(&text, g);
    Graph *again = graph_parse(c->a, "text", text.s);
    buf_free(&text);
    return again ? run_ref(c, again) : NULL;
}

static RefEnv *simplified(const Case *c, Graph *g)
{
    simplify(g, 1);
    RefEnv *env = ref_new(g);
    set_inputs(c, env);
    ref_run(env);
    return env;
}

static double **run_kernels(const Case *c, Graph *g, const RunMode *mode)
{
    RefEnv *env = simplified(c, g);
    double **out = run_graph(c->a, g, env, mode);
    ref_free(env);
    return out;
}

static double **leg_loops(const Case *c, Graph *g)
{
    return run_kernels(c, g, &(RunMode){.machine = "x86-64-v4", .fused = false});
}

static double **leg_fused_loops(const Case *c, Graph *g)
{
    return run_kernels(c, g, &(RunMode){.machine = "x86-64-v3", .fused = true, .reuse = true});
}

static double **leg_llvm(const Case *c, Graph *g)
{
    return run_kernels(
        c, g, &(RunMode){.machine = "native", .fused = true, .compiled = true, .reuse = true});
}

/* All samples of the operator at hand as PTX, by one call of NVRTC. NULL: it is missing. */
static PtxModule *ptx;
static const RunMode ptx_mode = {.machine = "sm_80", .fused = true, .reuse = true};

static void compile_ptx(const OpDef *op)
{
    Buf source = {0};
    for (int i = 0; op->samples && op->samples[i].in; i++) {
        Case c = {.a = arena_new(), .op = op, .sample = &op->samples[i]};
        Graph *g = read_case(&c) ? build(&c, has_gradient(op)) : NULL;
        if (g) {
            simplify(g, 1);
            ptx_emit(&source, run_loops(run_plan(c.a, g, NULL, &ptx_mode, NULL)), numbered(c.a, "s", i));
        }
        arena_free(c.a);
    }
    if (source.n) ptx = ptx_compile(source.s);
    buf_free(&source);
}

static double **leg_ptx(const Case *c, Graph *g)
{
    char *fault;
    simplify(g, 1);
    RefEnv *env = ref_new(g);
    set_inputs(c, env);
    ref_run(env);
    Run *r = run_plan(c->a, g, env, &ptx_mode, NULL);
    double **out = run_ptx(r, ptx, numbered(c->a, "s", (int)(c->sample - c->op->samples)), &fault);
    ref_free(env);
    if (fault) printf("%s\n", fault);
    free(fault);
    return out;
}

static double **leg_device(const Case *c, Graph *g)
{
    return run_kernels(c, g, &(RunMode){.machine = "sm_80", .fused = true, .reuse = true, .device = true});
}

static const Leg on_device[] = {{"device", false, leg_device}, {NULL, false, NULL}}; /* GPU_CHECK: alone */
static const Leg legs[] = {{"expand", true, leg_expand},
                           {"simplify", true, leg_simplify},
                           {"text", true, leg_text},
                           {"loops", false, leg_loops},
                           {"fused loops", false, leg_fused_loops},
                           {"llvm", false, leg_llvm},
                           {"ptx", false, leg_ptx},
                           {NULL, false, NULL}};

static void check_outputs(const Case *c, const char *leg, const Graph *plain, double **out, bool exact)
{
    double **want = run_ref(c, plain);
    for (int i = 0; i < plain->output.n; i++) {
        double tol = exact ? 1e-9 : i ? c->op->tol.grad : c->op->tol.fwd;
        const char *what = i ? arena_printf(c->a, "%s %s", leg, plain->output.v[i].name) : leg;
        compare(c, what, out[i], want[i], shape_count(plain->output.v[i].node->shape), tol);
    }
}

static void check_leg(const Case *c, const Leg *leg, bool gradients)
{
    Graph *g = build(c, gradients), *plain = build(c, gradients);
    double **out = leg->run(c, g);
    if (out)
        check_outputs(c, leg->name, plain, out, leg->exact);
    else
        check(c, leg->name, false, "did not run");
}

/* ---- kernels as CUDA C: many samples by one call of the compiler ---- */
enum { BATCH = 64, MOST_KERNELS = 4096 };

typedef struct Later {
    Case c;
    Graph *plain;
    RefEnv *env;
    Run *run;
    int first; /* of its kernels */
} Later;
static Later later[BATCH];
static int nlater;

/* The case's arena is ours from now on. */
static void run_later(const Case *c, bool gradients)
{
    static const RunMode mode = {.machine = "sm_80", .fused = true, .reuse = true};
    Later *l = &later[nlater++];
    Graph *g = build(c, gradients);
    *l = (Later){.c = *c, .plain = build(c, gradients), .env = simplified(c, g)};
    l->run = run_plan(c->a, g, l->env, &mode, NULL);
}

static int collect_kernels(Arena *a, Func **f)
{
    int n = 0;
    for (int i = 0; i < nlater; i++) {
        const Loops *loops = run_loops(later[i].run);
        later[i].first = n;
        for (int k = 0; k < loops->kernel.n; k++, n++) {
            bug_if(n == MOST_KERNELS, "too many kernels");
            f[n] = loops->kernel.v[k].func;
            f[n]->name = arena_printf(a, "k%d", n);
        }
    }
    return n;
}

static void flush_later(void)
{
    Arena *a = arena_new();
    Func **f = NEWN(a, Func *, MOST_KERNELS);
    KernelFn *fn = nlater ? simt_load(f, collect_kernels(a, f), !simt_missing(true)) : NULL;
    for (Later *l = later; l < later + nlater; l++) {
        check_outputs(&l->c, "CUDA C", l->plain, run_execute(l->run, fn + l->first, false), false);
        ref_free(l->env);
        arena_free(l->c.a);
    }
    nlater = 0;
    arena_free(a);
}

/* ---- gradients ---- */
static double weighted(const Case *c)
{
    Graph *g = build(c, false);
    double *y = run_ref(c, g)[0], sum = 0;
    for (int64_t i = 0; i < shape_count(g->output.v[0].node->shape); i++) sum += y[i] * c->dy[i];
    return sum;
}

static double slope(Case *c, int input, int64_t at)
{
    const double eps = 1e-5;
    double *x = &c->value[input][at], old = *x;
    *x = old + eps;
    double high = weighted(c);
    *x = old - eps;
    double low = weighted(c);
    *x = old;
    return (high - low) / (2 * eps);
}

static void check_gradient(Case *c)
{
    Graph *g = build(c, true);
    double **out = run_ref(c, g);
    for (int i = 0; i < c->nin; i++) {
        if (c->dtype[i] != DT_F32) continue;
        const char *name = numbered(c->a, "d", i);
        int k = 0;
        while (k < g->output.n && strcmp(g->output.v[k].name, name) != 0) k++;
        int64_t count = shape_count(c->shape[i]), n = count < COORDINATES ? count : COORDINATES;
        double got[COORDINATES], want[COORDINATES];
        for (int64_t j = 0; j < n; j++) {
            int64_t at = n == count ? j : (int64_t)(uniform() * (double)count);
            got[j] = k < g->output.n ? out[k][at] : 0;
            want[j] = slope(c, i, at);
        }
        compare(c, arena_printf(c->a, "gradient %s", name), got, want, n, 1e-6);
    }
}

static void run_case(const OpDef *op, const Sample *s)
{
    Case c = {.a = arena_new(), .op = op, .sample = s};
    Graph *g = read_case(&c) ? build(&c, false) : NULL;
    check(&c, "shape", g != NULL, "");
    if (g) {
        int64_t count = shape_count(g->output.v[0].node->shape);
        if (!gpu_wanted()) check_description(&c, g, run_ref(&c, g)[0]);
        if (has_gradient(op)) {
            c.dy = NEWN(c.a, double, count);
            fill("f", c.dy, count);
        }
        for (const Leg *leg = gpu_wanted() ? on_device : legs; leg->name; leg++)
            if (leg->run != leg_ptx || ptx) check_leg(&c, leg, has_gradient(op));
        if (has_gradient(op) && !gpu_wanted()) check_gradient(&c);
    }
    if (g && !gpu_wanted())
        run_later(&c, has_gradient(op));
    else
        arena_free(c.a);
    if (nlater == BATCH) flush_later();
}

int main(int argc, char **argv)
{
    const char *only = getenv("OP");
    if (argc > 1) only = !strncmp(argv[1], "OP=", 3) ? argv[1] + 3 : argv[1];
    for (int i = 0; op_table[i]; i++) {
        const OpDef *op = op_table[i];
        if (only && strcmp(only, op->name) != 0) continue;
        if (!cuda_missing() && !gpu_wanted()) compile_ptx(op);
        for (const Sample *s = op->samples; s && s->in; s++) run_case(op, s);
        ptx_unload(ptx);
        ptx = NULL;
    }
    flush_later();
    if (cuda_missing()) printf("SKIP ops: ptx: %s\n", cuda_missing());
    diag_flush();
    if (simt_missing(true)) printf("SKIP ops: CUDA C, checked: %s\n", simt_missing(true));
    printf("%d passed, %d failed\n", passed, failed);
    return failed || !passed;
}
