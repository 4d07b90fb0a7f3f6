/* Contractions in double, from their description alone: Out[..] = sum over axes of A[..] * B[..].
 *
 * In: a node, its two inputs. Out: the output. A is copied into an array with zeros round it, so
 * that no index is out of bounds; then every index is a sum of stride * axis. One axis is innermost
 * and a second one is unrolled by four: sum over a vector   innermost a summed axis, four outputs
 * at once:     o[u] += sum a[u][v] * b[u][v] sum of vectors      innermost an output axis, four
 * terms at once:      o[v] += a[u][v] * b[u] The outermost loop runs over outputs and is shared by
 * threads. Nothing here is shared with the nests. */
#include "verify.h"
#include <pthread.h>
#include <stdlib.h>
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

typedef struct Loop {
    int64_t extent, a, b, o; /* strides */
} Loop;

typedef struct Sum {
    int n; /* loops outside of the two inner ones, outermost first */
    Loop loop[CON_MAX_AXES];
    Loop u, v; /* unrolled; innermost */
    const double *a, *b;
    double *o;
} Sum;

/* o[u] += sum over v; four u's at once share the loop. */
static void sum_over_vector(const Sum *s, const double *a, const double *b, double *o)
{
    int64_t n = s->v.extent, va = s->v.a, vb = s->v.b, u = 0;
    for (; u + 4 <= s->u.extent; u += 4) {
        const double *a0 = a, *a1 = a0 + s->u.a, *a2 = a1 + s->u.a, *a3 = a2 + s->u.a;
        const double *b0 = b, *b1 = b0 + s->u.b, *b2 = b1 + s->u.b, *b3 = b2 + s->u.b;
        double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        for (int64_t i = 0; i < n; i++) {
            s0 += a0[i * va] * b0[i * vb];
            s1 += a1[i * va] * b1[i * vb];
            s2 += a2[i * va] * b2[i * vb];
            s3 += a3[i * va] * b3[i * vb];
        }
        o[0] += s0, o[s->u.o] += s1, o[2 * s->u.o] += s2, o[3 * s->u.o] += s3;
        a += 4 * s->u.a, b += 4 * s->u.b, o += 4 * s->u.o;
    }
    for (; u < s->u.extent; u++) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++) sum += a[i * va] * b[i * vb];
        *o += sum;
        a += s->u.a, b += s->u.b, o += s->u.o;
    }
}

/* o[v] += a[u][v] * b[u], u summed over; b does not depend on v. */
static void sum_of_vectors(const Sum *s, const double *a, const double *b, double *o)
{
    int64_t n = s->v.extent, va = s->v.a, vo = s->v.o, u = 0;
    for (; u + 4 <= s->u.extent; u += 4) {
        const double *a0 = a, *a1 = a0 + s->u.a, *a2 = a1 + s->u.a, *a3 = a2 + s->u.a;
        double b0 = b[0], b1 = b[s->u.b], b2 = b[2 * s->u.b], b3 = b[3 * s->u.b];
        for (int64_t i = 0; i < n; i++)
            o[i * vo] += a0[i * va] * b0 + a1[i * va] * b1 + a2[i * va] * b2 + a3[i * va] * b3;
        a += 4 * s->u.a, b += 4 * s->u.b;
    }
    for (; u < s->u.extent; u++) {
        for (int64_t i = 0; i < n; i++) o[i * vo] += a[i * va] * *b;
        a += s->u.a, b += s->u.b;
    }
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
    } else if (!s->v.o && s->u.o) {
        sum_over_vector(s, a, b, o);
    } else if (s->v.o && !s->v.b && !s->u.o) {
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

static double step_cost(int64_t stride)
{
    return stride == 0 || stride == 1 || stride == -1 ? 0 : stride < 4 && stride > -4 ? 0.5 : 2;
}

/* How well an axis serves as the innermost one. */
static double merit(const Loop *l)
{
    double n = l->extent < 64 ? (double)l->extent : 64;
    bool three = l->a && l->b && l->o; /* no operand stays in a register */
    return n / (1 + step_cost(l->a) + step_cost(l->b) + step_cost(l->o) + (three ? 8 : 0));
}

static Loop take(Sum *s, int i)
{
    Loop l = s->loop[i];
    memmove(&s->loop[i], &s->loop[i + 1], sizeof l * (size_t)(s->n - i - 1));
    s->n--;
    return l;
}

static int outputs_first(const void *x, const void *y)
{
    const Loop *a = x, *b = y;
    if (!a->o != !b->o) return a->o ? -1 : 1;
    return a->extent < b->extent ? 1 : a->extent > b->extent ? -1 : 0;
}

/* From all loops in s->loop: takes out the innermost, the unrolled one, and orders the others. */
static void arrange(Sum *s)
{
    static const Loop once = {1, 0, 0, 0};
    int best = 0;
    s->u = s->v = once;
    for (int i = 1; i < s->n; i++)
        if (merit(&s->loop[i]) > merit(&s->loop[best])) best = i;
    if (s->n) s->v = take(s, best);
    if (s->v.o && s->v.b && !s->v.a) { /* the vector is in B */
        const double *t = s->a;
        s->a = s->b, s->b = t;
        for (int i = -1; i < s->n; i++) {
            Loop *l = i < 0 ? &s->v : &s->loop[i];
            int64_t k = l->a;
            l->a = l->b, l->b = k;
        }
    }
    int u = -1; /* a sum over a vector wants an output axis, a sum of vectors a summed one */
    for (int i = 0; i < s->n; i++)
        if (!s->loop[i].o != !s->v.o && (u < 0 || s->loop[i].extent > s->loop[u].extent)) u = i;
    if (u >= 0) s->u = take(s, u);
    qsort(s->loop, (size_t)s->n, sizeof s->loop[0], outputs_first);
    if (!s->n) s->loop[s->n++] = once;
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
    bool shared = s.loop[0].o && size_of(c) > WORTH_THREADS;
    verify_parallel(shared ? threads : 1, s.loop[0].extent, walk_part, &s);
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
