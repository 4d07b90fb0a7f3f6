/* Gradients against finite differences of the loss, with the compiled program itself.
 *
 * In: the program after one run, and the states before it. For up to 12 parameter tensors, chosen
 * by the seed: three elements, and one step along the tensor's whole gradient, which has the best
 * signal. Loss and weights are single precision, so
 *   - how far rounding moves the loss is measured first, by moving weights by their last bit;
 *   - a step is as long as the gradient needs to be seen above that, within bounds;
 *   - what is compared is L(w + d) - L(w - d) with the sum of gradient * (change that the weights
 * really took);
 *   - where half the step gives another slope (a kink: ReLU, maxima), smaller steps are tried; if
 * none of them agree the element is skipped and counted. Only the groups that the loss needs are
 * run. */
#include "ops/op.h"
#include "verify.h"
#include <math.h>
#include <string.h>

/* Of a device that is interpreted: floating-point operations that may be spent, how many a launch counts for, and
 * runs that a tensor takes. */
static const double most_work = 1.5e9, launch_work = 1e6;
enum { RUNS_OF_TENSOR = 20 };
enum { MOST_TENSORS = 12, ELEMENTS = 3, CANDIDATES = 20, HALVINGS = 4 };

typedef struct Probe {
    VerifyRun *r;
    Arena *a, *tmp;
    const char *saved; /* the states */
    bool *needed;      /* by launch */
    const Node *loss;
    double base, noise; /* of the loss */
} Probe;

/* The element or the direction that is moved. */
typedef struct Move {
    const State *s;
    const double *gradient; /* of the tensor */
    float **element;        /* where its elements lie */
    int64_t count, at;      /* at -1: all elements, along the gradient */
    double norm;            /* of the gradient */
} Move;

/* ---- the loss ---- */

static void mark_groups(const Groups *gs, const Node *n, bool *node, bool *group)
{
    if (node[n->id]) return;
    node[n->id] = true;
    const Group *g = gs->of[n->id];
    if (g && !group[g->id]) {
        group[g->id] = true;
        for (int i = 0; i < g->in.n; i++) mark_groups(gs, g->in.v[i], node, group);
    }
    for (int i = 0; !g && i < n->nin; i++) mark_groups(gs, n->in[i], node, group);
}

static void find_needed(Probe *p)
{
    const Loops *l = p->r->loops;
    const Groups *gs = p->r->plan->schedule->groups;
    bool *group = NEWN(p->a, bool, gs->group.n + 1);
    p->needed = NEWN(p->a, bool, l->kernel.n + 1);
    mark_groups(gs, p->loss, NEWN(p->a, bool, p->r->g->node.n + 1), group);
    for (int k = 0; k < l->kernel.n; k++)
        p->needed[k] = l->kernel.v[k].group && group[l->kernel.v[k].group->id];
}

static double run_loss(Probe *p)
{
    verify_push_states(p->r);
    for (int k = 0; k < p->r->loops->kernel.n; k++)
        if (p->needed[k]) verify_launch(p->r, k);
    double loss = *verify_read(p->r, p->tmp, p->loss);
    arena_reset(p->tmp);
    return loss;
}

/* The states before the run: `s`, NULL: all; what the loss overwrites in passing are statistics. */
static void restore(Probe *p, const State *s)
{
    const Plan *plan = p->r->plan;
    for (int i = 0; i < p->r->g->state.n; i++) {
        const State *t = p->r->g->state.v[i];
        const Place *at = &plan->state[t->id];
        if (t->part || (s && t != s && t->kind != STATE_BUFFER)) continue;
        memcpy(p->r->arena[PLAN_STATE] + at->offset, p->saved + at->offset, (size_t)at->bytes);
    }
}

/* -> the loss after a step of length h; *change: what the gradient says it changes by. */
static double loss_at(Probe *p, const Move *m, double h, double *change)
{
    restore(p, m->s);
    *change = 0;
    for (int64_t i = m->at < 0 ? 0 : m->at; i < (m->at < 0 ? m->count : m->at + 1); i++) {
        float *w = m->element[i], old = *w;
        *w = (float)((double)old + (m->at < 0 ? h * m->gradient[i] / m->norm : h));
        *change += m->gradient[i] * ((double)*w - (double)old);
    }
    return run_loss(p);
}

/* Every weight to one of its neighbours; zeros, padding among them, stay. */
static void move_last_bits(VerifyRun *r, const State *s, uint64_t seed)
{
    int64_t count;
    float *w = verify_state_storage(r, s, &count);
    for (int64_t i = 0; i < count; i++) {
        bool up = verify_random(seed, "bits", (uint64_t)i) < 0.5;
        if (w[i] != 0) w[i] = nextafterf(w[i], up ? INFINITY : -INFINITY);
    }
}

/* The loss moves by this when weights move by their last bit. */
static void measure_noise(Probe *p)
{
    enum { RUNS = 3 };
    restore(p, NULL);
    p->base = run_loss(p);
    p->noise = fmax(fabs(p->base), 1e-6) * 0x1p-23;
    for (int k = 0; k < RUNS; k++) {
        restore(p, NULL);
        for (int i = 0; i < p->r->g->state.n; i++) {
            const State *s = p->r->g->state.v[i];
            if (!s->part && s->kind == STATE_PARAM)
                move_last_bits(p->r, s, p->r->seed + (uint64_t)k);
        }
        p->noise = fmax(p->noise, fabs(run_loss(p) - p->base));
    }
    restore(p, NULL);
}

/* ---- one slope ---- */

typedef struct Slope {
    double measured, predicted, noise;
    double bend; /* slope on one side less that on the other: a kink stays at every step */
} Slope;

static Slope slope(Probe *p, const Move *m, double h)
{
    double up, down, lu = loss_at(p, m, h, &up), ld = loss_at(p, m, -h, &down);
    return (Slope){.measured = (lu - ld) / (2 * h),
                   .predicted = (up - down) / (2 * h),
                   .noise = p->noise / h,
                   .bend = fabs(lu + ld - 2 * p->base) / h};
}

static double root_mean_square(const double *x, int64_t n)
{
    double s = 0;
    for (int64_t i = 0; i < n; i++) s += x[i] * x[i];
    return sqrt(s / (double)n);
}

/* As short as can be seen above rounding, so that few kinks lie within; not out of proportion to
 * the weights. */
static double first_step(Probe *p, const Move *m)
{
    double seen = m->at < 0 ? 1000 : 200; /* the loss changes by so many times its rounding */
    double *w = verify_read_state(p->r, p->tmp, m->s);
    double rms = fmax(root_mean_square(w, m->count), 1e-3);
    double longest = m->at < 0 ? 0.1 * rms * sqrt((double)m->count) : 0.3 * rms;
    double steep = fabs(m->at < 0 ? m->norm : m->gradient[m->at]);
    return steep * longest > seen * p->noise ? fmax(seen * p->noise / steep, 1e-4 * longest)
                                             : longest;
}

/* A gradient is wrong when it stays so at every step that rounding leaves room for: at a longer one two kinks may
 * hide from each other. */
static VerifyGradient check_move(Probe *p, const Move *m)
{
    /* relative; and: many kinks average out, their error shrinks with the root of the step, so it is up to
     * 1 / (sqrt 2 - 1) times what half the step changes */
    static const double exact = 0.02, many = 2.5;
    double blurred = m->at < 0 ? 0.02 : 0.15;
    double h = first_step(p, m);
    double usual = m->norm / sqrt((double)m->count); /* size of an element of this gradient */
    VerifyGradient row = {.param = m->s, .at = m->at, .verdict = GRADIENT_KINK};
    Slope a = slope(p, m, h), b;
    for (int k = 0; k < HALVINGS; k++, a = b, h /= 2) {
        b = slope(p, m, h / 2);
        double size = fmax(fmax(fabs(b.measured), fabs(b.predicted)), usual);
        double rough = fmax(fabs(a.measured - b.measured), b.bend / 2);
        bool smooth = rough <= exact * size + 2 * b.noise;
        if (k && b.noise > blurred * size) break;
        if (!smooth && row.verdict == GRADIENT_WRONG) continue;
        row.step = h / 2;
        row.gradient = b.predicted;
        row.difference = b.measured;
        row.allowed = exact * size + many * rough + 2 * b.noise;
        if (!smooth) continue;
        row.verdict = fabs(b.measured - b.predicted) <= row.allowed ? GRADIENT_OK : GRADIENT_WRONG;
        if (row.verdict == GRADIENT_OK) break;
    }
    return row;
}

/* ---- which ones ---- */

static uint64_t pick(const Probe *p, const State *s, int64_t k, int64_t n)
{
    return (uint64_t)(verify_random(p->r->seed, s->name, (uint64_t)k + (1ull << 40)) * (double)n);
}

static bool taken(const int64_t *at, int n, int64_t i)
{
    for (int k = 0; k < n; k++)
        if (at[k] == i) return true;
    return false;
}

/* Each is the steepest of some, where rounding and kinks hide less. -> how many */
static int choose_elements(const Probe *p, const Move *m, int64_t *at)
{
    int n = 0;
    for (int e = 0; e < ELEMENTS && n < m->count; e++) {
        int64_t best = -1;
        for (int k = 0; k < CANDIDATES; k++) {
            int64_t i = (int64_t)pick(p, m->s, e * CANDIDATES + k, m->count);
            if (taken(at, n, i)) continue;
            if (best < 0 || fabs(m->gradient[i]) > fabs(m->gradient[best])) best = i;
        }
        if (best >= 0) at[n++] = best;
    }
    return n;
}

static void add(Probe *p, const Move *m, VerifyGradients *out)
{
    VerifyGradient row = check_move(p, m);
    vec_push(p->a, &out->row, row);
    out->failed += row.verdict == GRADIENT_WRONG;
    out->skipped += row.verdict == GRADIENT_KINK;
}

static void check_tensor(Probe *p, const State *s, const double *gradient, VerifyGradients *out)
{
    Arena *own = arena_new();
    Move m = {.s = s, .gradient = gradient, .count = shape_count(s->shape), .at = -1};
    int64_t at[ELEMENTS];
    m.element = NEWN(own, float *, m.count);
    for (int64_t i = 0; i < m.count; i++) m.element[i] = verify_state_element(p->r, s, i);
    m.norm = root_mean_square(gradient, m.count) * sqrt((double)m.count);
    if (m.norm > 0 && isfinite(m.norm)) add(p, &m, out);
    for (int k = 0, n = choose_elements(p, &m, at); k < n; k++) {
        m.at = at[k];
        add(p, &m, out);
    }
    restore(p, s);
    arena_free(own);
}

static const State *trained(const Graph *g)
{
    for (int i = 0; i < g->state.n; i++)
        if (g->state.v[i]->part && g->state.v[i]->kind == STATE_PARAM) return g->state.v[i];
    return NULL;
}

/* How many tensors there is time for. */
static int most_tensors(const Probe *p)
{
    double work = 0;
    for (int k = 0; k < p->r->loops->kernel.n; k++)
        if (p->needed[k]) work += p->r->loops->kernel.v[k].flops + launch_work;
    double most = p->r->device && verify_device_interprets(p->r->device) ? most_work / (RUNS_OF_TENSOR * work) : MOST_TENSORS;
    return most < MOST_TENSORS ? (int)most : MOST_TENSORS;
}

/* Tensor k of n is chosen: the first and the last always, the others by the seed. */
static void choose_tensors(const Probe *p, int n, int most, bool *chosen)
{
    int left = n < most ? n : most;
    chosen[0] = chosen[n - 1] = true;
    left -= n > 1 ? 2 : 1;
    for (int k = 0; left > 0; k++) {
        int i = (int)(verify_random(p->r->seed, "tensors", (uint64_t)k) * n);
        if (chosen[i]) continue;
        chosen[i] = true;
        left--;
    }
}

void verify_gradients(Arena *a, VerifyRun *r, const char *saved, VerifyGradients *out)
{
    const Node *pack = graph_find_output(r->g, "grads");
    const State *params = trained(r->g);
    Probe p = {.r = r,
               .a = a,
               .tmp = arena_new(),
               .saved = saved,
               .loss = graph_find_output(r->g, "loss")};
    if (precision_narrows(r->g, r->plan->schedule->machine))
        out->unchecked = "the loss moves by more than its differences where activations have fewer bits; "
                         "--precision fp32 checks them";
    if (pack && params && p.loss) find_needed(&p);
    int most = p.needed ? most_tensors(&p) : 0;
    if (p.needed && most < 2 && !out->unchecked)
        out->unchecked = "the model is too large for a device that is interpreted; without --target they are checked";
    if (p.needed && !out->unchecked) {
        double **gradient = NEWN(a, double *, pack->nin);
        bool *chosen = NEWN(a, bool, pack->nin);
        out->trained = pack->nin;
        choose_tensors(&p, pack->nin, most, chosen);
        for (int k = 0; k < pack->nin; k++)
            if (chosen[k]) gradient[k] = verify_read(r, a, pack->in[k]);
        measure_noise(&p);
        for (int k = 0; k < pack->nin; k++) {
            if (!chosen[k]) continue;
            verify_progress(params->part[k]->name, k, pack->nin);
            check_tensor(&p, params->part[k], gradient[k], out);
        }
    }
    out->loss = p.base;
    out->noise = p.noise;
    verify_progress(NULL, 0, 0);
    arena_free(p.tmp);
}
