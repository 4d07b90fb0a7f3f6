/* One group after the other: its kernels run, and what they stored is compared with the operators'
 * references in double, computed from the inputs that lay in memory. So each group is judged alone
 * and errors do not add up.
 *
 * Contractions are evaluated by verify_contract.c, small ones by op->ref as well; both must agree.
 * Where an output is off, rounding is asked: the reference is computed a few times more, with every
 * inner value moved by what single precision may move it (sums: by their absolute values' sum), and
 * what those differ by is allowed. That is slow, rare, and needs to know nothing of cancellation or
 * of jumps (a ReLU at 0). Every value carries a checksum from the kernel that stored it to those
 * that read it: a kernel that writes over a living value of others is found at its next reader. */
#include "ops/op.h"
#include "support/vec.h"
#include "verify.h"
#include <math.h>
#include <string.h>

typedef struct Check {
    VerifyRun *r;
    Arena *tmp;
    double **value; /* by node id: inputs, then what the reference computes */
    int variant;    /* 0: exact; others move inner values by rounding */
    const char *problem;
} Check;

/* ---- the reference of one node ---- */

static const double **inputs_of(Check *c, const Node *n);

static double *space(Check *c, const Node *n)
{
    return NEWN(c->tmp, double, shape_count(n->shape) + 1);
}

/* Both evaluators of a small contraction must agree. */
static void second_opinion(Check *c, const Node *n, const double *const *in, const double *x)
{
    static const double small = 1e7, agree = 1e-10;
    double size = verify_contract_size(n);
    if (c->variant || size > small || size > c->r->naive) return;
    c->r->naive -= size;
    double *y = space(c, n);
    n->op->ref(n, in, y);
    if (!verify_compare(x, y, NULL, shape_count(n->shape), agree).ok)
        c->problem = "the contraction's description and its reference differ";
}

static void apply(Check *c, const Node *n, const double *const *in, double *out)
{
    bug_if(!n->op->ref, "%s has no reference", op_name(n->op));
    if (n->op->nest == NEST_CONTRACT)
        verify_contract(n, in[0], in[1], out, c->r->threads);
    else
        n->op->ref(n, in, out);
}

/* How far single precision may be off, per element, in units of its last place: of an elementwise
 * value its own, of a sum that of the sum of absolute values. */
static const double *magnitude(Check *c, const Node *n, const double *const *in, const double *x)
{
    if (n->op->nest == NEST_POINTWISE) return x;
    const double **abs_in = NEWN(c->tmp, const double *, n->nin + 1);
    for (int i = 0; i < n->nin; i++) {
        int64_t count = shape_count(n->in[i]->shape);
        double *y = space(c, n->in[i]);
        for (int64_t k = 0; k < count; k++)
            y[k] = n->in[i]->dtype == DT_F32 ? fabs(in[i][k]) : in[i][k];
        abs_in[i] = y;
    }
    double *sum = space(c, n);
    apply(c, n, abs_in, sum);
    return sum;
}

/* Half a step of the type that a value is stored in, relative; 0: it is stored as it was computed. */
static double half_step(const VerifyRun *r, const Node *n)
{
    LType t = r->plan->schedule->type[n->id];
    return n->dtype != DT_F32 ? 0 : t == LT_F16 || t == LT_TF32 ? 0x1p-11 : t == LT_BF16 ? 0x1p-8 : 0;
}

/* Variants of odd number are the mirror of the one before. */
static bool is_up(const Check *c, const Node *n, int64_t i)
{
    double sign = verify_random((uint64_t)(c->variant - 1) / 2, "sign", (uint64_t)n->id << 40 | (uint64_t)i);
    return (sign < 0.5) == (c->variant % 2 == 0);
}

static void disturb(Check *c, const Node *n, const double *const *in, double *x)
{
    if (n->dtype != DT_F32) return;
    double unit = n->op->nest == NEST_POINTWISE ? 0x1p-22 : 0x1p-21;
    const double *size = magnitude(c, n, in, x);
    int64_t count = shape_count(n->shape);
    double step = c->r->plan->value[n->id].bytes ? half_step(c->r, n) : 0; /* was it read as it was stored, or before? */
    for (int64_t i = 0; i < count; i++)
        x[i] += (is_up(c, n, i) ? 1 : -1) * (unit * fabs(size[i]) + step * fabs(x[i]));
}

static void compute(Check *c, const Node *n)
{
    if (c->value[n->id]) return;
    const double **in = inputs_of(c, n);
    double *out = space(c, n);
    apply(c, n, in, out);
    if (n->op->nest == NEST_CONTRACT) second_opinion(c, n, in, out);
    if (c->variant) disturb(c, n, in, out);
    c->value[n->id] = out;
}

/* Constants and work on scalars belong to no group: they are computed where they are used. */
static const double **inputs_of(Check *c, const Node *n)
{
    const double **in = NEWN(c->tmp, const double *, n->nin + 1);
    for (int i = 0; i < n->nin; i++) {
        compute(c, n->in[i]);
        in[i] = c->value[n->in[i]->id];
    }
    return in;
}

/* ---- values from memory ---- */

static uint64_t checksum(const double *x, int64_t n)
{
    uint64_t h = 1469598103934665603u, bits;
    for (int64_t i = 0; i < n; i++) {
        memcpy(&bits, &x[i], sizeof bits);
        h = (h ^ bits) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    return h | 1;
}

/* Is x what n's kernel stored? The first look at a value that no kernel stored (a state) is
 * remembered. */
static void check_mark(Check *c, const Node *n, const double *x)
{
    uint64_t h = checksum(x, shape_count(n->shape)), *mark = &c->r->mark[n->id];
    if (*mark && *mark != h) c->problem = "an input was overwritten after its kernel had stored it";
    *mark = h;
}

static void load_stored(Check *c, const Node *n, double *x)
{
    c->value[n->id] = x;
    if (!op_is(n, "Pack")) {
        check_mark(c, n, x);
        return;
    }
    for (int k = 0; k < n->nin; k++) {
        check_mark(c, n->in[k], x);
        x += shape_count(n->in[k]->shape);
    }
}

/* Are these the weights from which the group keeps something? Then they may be gone, see plan.c. */
static bool is_made_from(const VerifyRun *r, const Group *g, const Node *n)
{
    return r->plan->made[g->id] >= 0 && n == g->anchor->in[1];
}

static void load(Check *c, const Group *g, const Node *n)
{
    load_stored(c, n, is_made_from(c->r, g, n) ? c->r->made_from[n->id] : verify_read(c->r, c->tmp, n));
}

/* ---- rounding ---- */

/* Sums that a contraction makes on the way are of its values as they were before they were stored. */
static void unround(Check *c, const Group *g, const Node *in)
{
    double step = half_step(c->r, in), *x = c->value[in->id];
    if (!step || !c->r->plan->schedule->group[g->id].summed_by) return;
    int64_t count = shape_count(in->shape);
    double *y = space(c, in);
    for (int64_t i = 0; i < count; i++) y[i] = x[i] + (is_up(c, in, i) ? step : -step) * fabs(x[i]);
    c->value[in->id] = y;
}

/* Where values of 16 bits are moved by half a step, two of them that nearly cancel are off by more than all else, and some
 * variant must move them the same way. */
static int variants_of(const Check *c, const Group *g)
{
    enum { VARIANTS = 8, OF_NARROW = 32 };
    for (int i = 0; i < g->in.n; i++)
        if (half_step(c->r, g->in.v[i]) > 0) return OF_NARROW;
    return VARIANTS;
}

/* -> per element of `out`, how far the reference moves when inner values move by rounding. */
static double *rounding(Check *c, const Group *g, const Node *out)
{
    enum { MARGIN = 2 };
    int variants = variants_of(c, g);
    int64_t count = shape_count(out->shape);
    double *noise = NEWN(c->tmp, double, count + 1);
    for (int v = 1; v <= variants; v++) {
        Check k = {.r = c->r, .tmp = arena_new(), .variant = v};
        k.value = NEWN(k.tmp, double *, c->r->g->node.n + 1);
        for (int i = 0; i < g->in.n; i++) {
            k.value[g->in.v[i]->id] = c->value[g->in.v[i]->id];
            unround(&k, g, g->in.v[i]);
        }
        compute(&k, out);
        const double *x = k.value[out->id], *exact = c->value[out->id];
        for (int64_t i = 0; i < count; i++)
            noise[i] = fmax(noise[i], MARGIN * fabs(x[i] - exact[i]));
        arena_free(k.tmp);
    }
    return noise;
}

/* ---- one group ---- */

/* What rounding to the type that a value is stored in may add: half a step, and twice that for what lies below. */
static double allowed(const Check *c, const Node *out, double tolerance)
{
    return fmax(tolerance, 2 * half_step(c->r, out));
}

static VerifyDiff compare(Check *c, const Group *g, const Node *out, const double *got,
                          double tolerance, int64_t *noisy)
{
    const double *want = c->value[out->id];
    int64_t count = shape_count(out->shape);
    tolerance = allowed(c, out, tolerance);
    if (out->dtype != DT_F32)
        return verify_compare_whole(out, got, want, out->nin ? c->value[out->in[0]->id] : NULL,
                                    tolerance);
    VerifyDiff d = verify_compare(got, want, NULL, count, tolerance);
    if (d.ok) return d;
    VerifyDiff k = verify_compare(got, want, rounding(c, g, out), count, tolerance);
    if (!k.ok) return k;
    *noisy += d.differ ? d.differ : 1;
    return k;
}

static void take_worse(VerifyRow *row, const Node *out, const VerifyDiff *d)
{
    bool worse = !row->worst || (row->diff.ok && (!d->ok || d->l2 > row->diff.l2));
    if (!worse) return;
    row->diff = *d;
    row->worst = out;
}

/* Kernels that a group has among those that run once: they come before all others. */
static bool runs_once(const Kernel *k)
{
    return k->prep && k->group && !k->group->prep;
}

static int launches_of(const Loops *l, int first)
{
    int n = 1;
    const Group *g = l->kernel.v[first].group;
    bool once = runs_once(&l->kernel.v[first]);
    while (g && first + n < l->kernel.n && l->kernel.v[first + n].group == g && runs_once(&l->kernel.v[first + n]) == once) n++;
    return n;
}

static void launch_group(VerifyRun *r, int first)
{
    for (int i = 0; i < launches_of(r->loops, first); i++) verify_launch(r, first + i);
}

/* What the group keeps is made now; the weights that it is made from are remembered. */
static void make_kept(Arena *a, VerifyRun *r, int first)
{
    const Group *g = r->loops->kernel.v[first].group;
    for (int i = 0; i < g->in.n; i++)
        if (is_made_from(r, g, g->in.v[i])) r->made_from[g->in.v[i]->id] = verify_read(r, a, g->in.v[i]);
    launch_group(r, first);
}

static void check_group(VerifyRun *r, const Group *g, VerifyRow *row, double tolerance)
{
    if (r->plan->schedule->group[g->id].winograd) tolerance *= VERIFY_FAST;
    Check c = {.r = r, .tmp = arena_new()};
    c.value = NEWN(c.tmp, double *, r->g->node.n + 1);
    for (int i = 0; i < g->in.n; i++) load(&c, g, g->in.v[i]);
    launch_group(r, row->kernel);
    for (int i = 0; i < g->out.n; i++) compute(&c, g->out.v[i]);
    for (int i = 0; i < g->out.n; i++) {
        const Node *out = g->out.v[i];
        const double *got = verify_read(r, c.tmp, out);
        r->mark[out->id] = checksum(got, shape_count(out->shape));
        VerifyDiff d = compare(&c, g, out, got, tolerance, &row->noisy);
        take_worse(row, out, &d);
    }
    row->nout = g->out.n;
    row->problem = c.problem;
    arena_free(c.tmp);
}

/* The state must hold, bit by bit, the value that was there. */
static void check_copy(VerifyRun *r, const Node *assign, VerifyRow *row)
{
    Check c = {.r = r, .tmp = arena_new()};
    c.value = NEWN(c.tmp, double *, r->g->node.n + 1);
    if (r->plan->value[assign->in[0]->id].bytes)
        load_stored(&c, assign->in[0], verify_read(r, c.tmp, assign->in[0]));
    else
        compute(&c, assign->in[0]);
    verify_launch(r, row->kernel);
    const double *got = verify_read_state(r, c.tmp, assign->state);
    row->diff =
        verify_compare(got, c.value[assign->in[0]->id], NULL, shape_count(assign->shape), 0);
    row->worst = assign;
    row->nout = 1;
    row->problem = c.problem;
    arena_free(c.tmp);
}

/* What the program gives out must be there at its end. */
static void check_outputs(VerifyRun *r, VerifyProgram *p)
{
    const Groups *gs = r->plan->schedule->groups;
    Arena *tmp = arena_new();
    for (int i = 0; i < r->g->output.n; i++) {
        const Node *n = r->g->output.v[i].node;
        const Group *g = gs->of[n->id];
        if (!g || !r->mark[n->id]) continue;
        if (checksum(verify_read(r, tmp, n), shape_count(n->shape)) == r->mark[n->id]) continue;
        for (int k = 0; k < p->row.n; k++)
            if (p->row.v[k].group == g)
                p->row.v[k].problem = "its output was overwritten before the end";
    }
    arena_free(tmp);
}

void verify_kernels(Arena *a, VerifyRun *r, VerifyProgram *out, double tolerance)
{
    const Loops *l = r->loops;
    Arena *made = arena_new();
    r->made_from = NEWN(made, double *, r->g->node.n + 1);
    int copies = 0;
    for (int k = 0; k < l->kernel.n; k += launches_of(l, k)) {
        if (runs_once(&l->kernel.v[k])) {
            make_kept(made, r, k);
            continue;
        }
        VerifyRow row = {
            .kernel = k, .layers = l->kernel.v[k].layers, .group = l->kernel.v[k].group};
        verify_progress(row.layers, k, l->kernel.n);
        if (row.group)
            check_group(r, row.group, &row, tolerance);
        else
            check_copy(r, r->plan->copy.v[copies++], &row);
        vec_push(a, &out->row, row);
    }
    arena_free(made);
    r->made_from = NULL;
    check_outputs(r, out);
    for (int k = 0; k < out->row.n; k++) {
        VerifyRow *row = &out->row.v[k];
        row->ok = row->diff.ok && !row->problem;
        out->failed += !row->ok;
    }
    verify_progress(NULL, 0, 0);
}
