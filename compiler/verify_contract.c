/* Contractions in double, from their description alone: Out[..] = sum over axes of A[..] * B[..].
 *
 * In: a node, its two inputs. Out: the output. A is copied into an array with zeros round it, so that no index is
 * out of bounds; then every index is a sum of stride * axis. B and Out are copied so that the innermost axis, one of
 * the outputs on which A does not depend, lies dense; four terms of the sum are added at once:
 *     o[v] += a[u] * b[u][v]
 * The outermost loop runs over outputs and is shared by threads. Nothing here is shared with the nests. */
#include "verify.h"
#include <pthread.h>
#include <string.h>

/* ---- threads ---- */

typedef struct Part {
    pthread_t id;
    void (*fn)(void *, int64_t, int64_t);
    void *arg;
    int64_t begin, end;
    bool started;
} Part;

static void *run_part(void *x)
{
    Part *p = x;
    p->fn(p->arg, p->begin, p->end);
    return NULL;
}

void verify_parallel(int threads, int64_t n, void (*fn)(void *, int64_t begin, int64_t end),
                     void *arg)
{
    enum { MOST = 64 };
    Part part[MOST];
    if (threads > MOST) threads = MOST;
    if (threads > n) threads = (int)n;
    for (int i = 1; i < threads; i++) {
        part[i] =
            (Part){.fn = fn, .arg = arg, .begin = n * i / threads, .end = n * (i + 1) / threads};
        part[i].started = !pthread_create(&part[i].id, NULL, run_part, &part[i]);
    }
    fn(arg, 0, threads > 1 ? n / threads : n);
    for (int i = 1; i < threads; i++) {
        if (part[i].started)
            pthread_join(part[i].id, NULL);
        else
            run_part(&part[i]);
    }
}

/* ---- one phase: loops with strides ---- */

enum { FOUR = 4 };

typedef struct Loop {
    int64_t extent, a, b, o; /* strides */
} Loop;

typedef struct Sum {
    int n;    /* loops outside of the two inner ones, outermost first */
    int head; /* how many of them come before the rest of the unrolled one */
    Loop loop[CON_MAX_AXES + 2];
    Loop u, v; /* at most four terms at once; innermost */
    const double *a, *b;
    double *o;
} Sum;

/* o[v] += a[u] * b[u][v] for four u's; v lies dense in b and o. */
static void sum_of_vectors(const Sum *s, const double *a, const double *b, double *o)
{
    const double *b1 = b + s->u.b, *b2 = b1 + s->u.b, *b3 = b2 + s->u.b;
    double a0 = a[0], a1 = a[s->u.a], a2 = a[2 * s->u.a], a3 = a[3 * s->u.a];
    for (int64_t i = 0; i < s->v.extent; i++)
        o[i] += (a0 * b[i] + a1 * b1[i]) + (a2 * b2[i] + a3 * b3[i]);
}

/* Whatever the strides. */
static void plain(const Sum *s, const double *a, const double *b, double *o)
{
    for (int64_t u = 0; u < s->u.extent; u++)
        for (int64_t i = 0; i < s->v.extent; i++)
            o[u * s->u.o + i * s->v.o] += a[u * s->u.a + i * s->v.a] * b[u * s->u.b + i * s->v.b];
}

static void walk(const Sum *s, int level, const double *a, const double *b, double *o)
{
    if (level < s->n) {
        const Loop *l = &s->loop[level];
        for (int64_t i = 0; i < l->extent; i++)
            walk(s, level + 1, a + i * l->a, b + i * l->b, o + i * l->o);
    } else if (s->u.extent == FOUR && !s->u.o && !s->v.a && s->v.b == 1 && s->v.o == 1) {
        sum_of_vectors(s, a, b, o);
    } else {
        plain(s, a, b, o);
    }
}

static void walk_part(void *arg, int64_t begin, int64_t end)
{
    const Sum *s = arg;
    const Loop *l = &s->loop[0];
    for (int64_t i = begin; i < end; i++)
        walk(s, 1, s->a + i * l->a, s->b + i * l->b, s->o + i * l->o);
}

/* ---- choice of the loops ---- */

static Loop take(Sum *s, int i)
{
    Loop l = s->loop[i];
    memmove(&s->loop[i], &s->loop[i + 1], sizeof l * (size_t)(s->n - i - 1));
    s->n--;
    return l;
}

/* The longest loop of a kind; -1: none. */
static int longest(const Sum *s, bool (*is)(const Loop *))
{
    int best = -1;
    for (int i = 0; i < s->n; i++)
        if (is(&s->loop[i]) && (best < 0 || s->loop[i].extent > s->loop[best].extent)) best = i;
    return best;
}

static bool only_in_b(const Loop *l)
{
    return l->o && l->b && !l->a;
}

static bool is_output(const Loop *l)
{
    return l->o != 0;
}

static bool is_summed(const Loop *l)
{
    return !l->o;
}

static bool is_any(const Loop *l)
{
    (void)l;
    return true;
}

static Loop take_longest(Sum *s, bool (*is)(const Loop *))
{
    static const Loop once = {1, 0, 0, 0};
    int i = longest(s, is);
    return i < 0 ? once : take(s, i);
}

/* From all loops in s->loop: the innermost, the unrolled one; the others in order: one over outputs, which threads
 * share, those summed over, the other outputs: so a few rows of B serve many outputs while they are near. */
static void arrange(Sum *s)
{
    Sum rest = *s;
    rest.v = take_longest(&rest, longest(s, only_in_b) < 0 ? is_any : only_in_b);
    rest.u = take_longest(&rest, is_summed);
    *s = rest;
    s->n = 0;
    s->loop[s->n++] = take_longest(&rest, is_output);
    for (int i = 0; i < rest.n; i++)
        if (!rest.loop[i].o) s->loop[s->n++] = rest.loop[i];
    s->head = s->n;
    for (int i = 0; i < rest.n; i++)
        if (rest.loop[i].o) s->loop[s->n++] = rest.loop[i];
}

/* ---- B and Out as dense arrays of the loops that they depend on, v innermost ---- */

typedef struct Dense {
    int64_t count;
    int n;
    Loop loop[CON_MAX_AXES + 2]; /* a: stride in the tensor; b: in the dense array */
} Dense;

static void add_dense(Dense *d, int64_t extent, int64_t *stride)
{
    if (!*stride) return;
    d->loop[d->n++] = (Loop){extent, *stride, d->count, 0};
    *stride = d->count;
    d->count *= extent;
}

/* Moves all elements: from the tensor (in), or adds them to it. */
static void move_dense(const Dense *d, int level, double *dense, double *tensor, bool in)
{
    if (level < 0) {
        if (in)
            *dense = *tensor;
        else
            *tensor += *dense;
        return;
    }
    const Loop *l = &d->loop[level];
    for (int64_t i = 0; i < l->extent; i++)
        move_dense(d, level - 1, dense + i * l->b, tensor + i * l->a, in);
}

static void make_dense(Sum *s, bool out, Dense *d)
{
    *d = (Dense){.count = 1};
    add_dense(d, s->v.extent, out ? &s->v.o : &s->v.b);
    add_dense(d, s->u.extent, out ? &s->u.o : &s->u.b);
    for (int i = s->n - 1; i >= 0; i--)
        add_dense(d, s->loop[i].extent, out ? &s->loop[i].o : &s->loop[i].b);
}

/* ---- operands ---- */

/* How far the index of dim d leaves [0, dim): before, behind. */
static void overhang(const Contract *c, int d, int64_t *lo, int64_t *hi)
{
    *lo = *hi = c->a.off[d];
    for (int k = 0; k < c->naxes; k++) {
        int64_t far = c->a.coef[d][k] * (c->axis[k].extent - 1);
        *(far < 0 ? lo : hi) += far;
    }
    *lo = *lo < 0 ? -*lo : 0;
    *hi = *hi >= c->a.view.dim[d] ? *hi - c->a.view.dim[d] + 1 : 0;
}

/* A with zeros round it; *padded: its new shape, lo: where the old (0, 0, ..) is. Not padded: A
 * itself. */
static const double *pad(Arena *a, const Contract *c, const double *x, Shape *padded, int64_t *lo)
{
    Shape s = c->a.view, p = s;
    bool any = false;
    for (int d = 0; d < s.rank; d++) {
        int64_t hi;
        overhang(c, d, &lo[d], &hi);
        p.dim[d] += lo[d] + hi;
        any = any || lo[d] || hi;
    }
    *padded = p;
    if (!any || s.rank == 0) return x;
    double *out = NEWN(a, double, shape_count(p));
    int64_t width = s.dim[s.rank - 1], rows = shape_count(s) / width;
    for (int64_t r = 0; r < rows; r++) {
        int64_t rest = r, at = lo[s.rank - 1], stride = p.dim[s.rank - 1];
        for (int d = s.rank - 2; d >= 0; d--) {
            at += (rest % s.dim[d] + lo[d]) * stride;
            rest /= s.dim[d];
            stride *= p.dim[d];
        }
        memcpy(out + at, x + r * width, sizeof *x * (size_t)width);
    }
    return out;
}

/* -> address of the index at axes 0; stride[] by axis. */
static int64_t flatten(const ConIndex *ix, Shape s, const int64_t *lo, int naxes, int64_t *stride)
{
    int64_t at = 0, step = 1;
    for (int k = 0; k < naxes; k++) stride[k] = 0;
    for (int d = s.rank - 1; d >= 0; d--) {
        at += (ix->off[d] + (lo ? lo[d] : 0)) * step;
        for (int k = 0; k < naxes; k++) stride[k] += ix->coef[d][k] * step;
        step *= s.dim[d];
    }
    return at;
}

static double size_of(const Contract *c)
{
    double n = 1;
    for (int k = 0; k < c->naxes; k++) n *= (double)c->axis[k].extent;
    return n;
}

/* The loops on dense copies of B and Out. */
static void run_dense(Arena *tmp, Sum *s, int threads)
{
    Dense db, dout;
    make_dense(s, false, &db);
    make_dense(s, true, &dout);
    double *b = NEWN(tmp, double, db.count), *o = NEWN(tmp, double, dout.count), *out = s->o;
    move_dense(&db, db.n - 1, b, (double *)s->b, true);
    s->b = b;
    s->o = o;
    verify_parallel(s->loop[0].o ? threads : 1, s->loop[0].extent, walk_part, s);
    move_dense(&dout, dout.n - 1, o, out, false);
}

/* The unrolled loop in fours, and what is left of it as a sum of its own. */
static void run_fours(Arena *tmp, Sum *s, int threads)
{
    int64_t rest = s->u.extent % FOUR, whole = s->u.extent - rest;
    if (rest) {
        Sum tail = *s;
        tail.u.extent = rest;
        tail.a += whole * s->u.a;
        tail.b += whole * s->u.b;
        run_dense(tmp, &tail, threads);
    }
    if (!whole) return;
    memmove(&s->loop[s->head + 1], &s->loop[s->head], sizeof s->loop[0] * (size_t)(s->n - s->head));
    s->loop[s->head] = (Loop){whole / FOUR, FOUR * s->u.a, FOUR * s->u.b, 0};
    s->n++;
    s->u.extent = FOUR;
    run_dense(tmp, s, threads);
}

static void run_phase(const Contract *c, const double *a, const double *b, double *out, int threads)
{
    enum { WORTH_THREADS = 200000 };
    if (size_of(c) == 0) return;
    Arena *tmp = arena_new();
    Shape padded;
    int64_t lo[MAX_RANK] = {0}, sa[CON_MAX_AXES], sb[CON_MAX_AXES], so[CON_MAX_AXES];
    const double *pa = pad(tmp, c, a, &padded, lo);
    Sum s = {.n = 0};
    s.a = pa + flatten(&c->a, padded, lo, c->naxes, sa);
    s.b = b + flatten(&c->b, c->b.view, NULL, c->naxes, sb);
    s.o = out + flatten(&c->out, c->out.view, NULL, c->naxes, so);
    for (int k = 0; k < c->naxes; k++)
        if (c->axis[k].extent > 1) s.loop[s.n++] = (Loop){c->axis[k].extent, sa[k], sb[k], so[k]};
    arrange(&s);
    run_fours(tmp, &s, size_of(c) > WORTH_THREADS ? threads : 1);
    arena_free(tmp);
}

void verify_contract(const Node *n, const double *a, const double *b, double *out, int threads)
{
    Contract c;
    memset(out, 0, sizeof *out * (size_t)shape_count(n->shape));
    for (int p = 0; p < CON_MAX_PHASES && n->op->contract(n, p, &c); p++)
        run_phase(&c, a, b, out, threads);
}

double verify_contract_size(const Node *n)
{
    double sum = 0;
    Contract c;
    for (int p = 0; p < CON_MAX_PHASES && n->op->contract(n, p, &c); p++) sum += size_of(&c);
    return sum;
}
