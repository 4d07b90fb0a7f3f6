/* t-SNE, exactly: every pair counts in every iteration.
 *
 * L. van der Maaten, G. Hinton, "Visualizing data using t-SNE", JMLR 9 (2008): perplexities by bisection, momentum 0.5
 * then 0.8, gains that grow by 0.2 and shrink to 0.8 (Jacobs), early exaggeration. As is usual since A. Belkina et al.
 * (Nature Communications 10, 2019), exaggeration is 12 for 250 iterations and the rate n / 12 / 4, at least 50. Points
 * begin as small Gaussians, 1e-4 wide.
 * Rule: a row's sums are taken by one thread, eight lanes wide, in one order; sums over rows in the rows' order. */
#include "tsne.h"
#include "rng.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 8, MOST_DIMS = 3, EXAGGERATED = 250, BISECTIONS = 100, LARGEST = 20000 };
typedef float Lanes __attribute__((vector_size(4 * LANES)));

typedef struct Job {
    const float *x;
    int64_t n, d, stride; /* of a row of p: n, rounded up */
    double entropy;       /* that a row is to have */
    float *p;
    int dims;
    float *y[MOST_DIMS], *pull[MOST_DIMS], *push[MOST_DIMS]; /* [stride] */
    double *row; /* [n]: sum of the row's q, or its divergence */
    double z;
    bool wide; /* the CPU has eight lanes */
} Job;

static inline float lane_sum(const Lanes *v)
{
    float x[LANES];
    memcpy(x, v, sizeof x);
    return ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]));
}

/* Runs the kernel over rows 0..n-1. */
static bool run(RtPool *pool, RtKernel kernel, Job *job)
{
    void *args[1] = {job};
    if (!pool) {
        kernel(args, 0, job->n);
        return true;
    }
    RtTaskStep step = {kernel, args, job->n, false};
    RtWork *work = rt_work_new(pool, &step, 1);
    if (!work) return false;
    rt_work_run(work, NULL);
    rt_work_free(work);
    return true;
}

/* ---- neighbours ---- */

static double distance2(const float *a, const float *b, int64_t d)
{
    double sum = 0;
    for (int64_t k = 0; k < d; k++) sum += ((double)a[k] - b[k]) * ((double)a[k] - b[k]);
    return sum;
}

/* exp(-beta * (d - least)) of the others into p; -> their entropy. d[i] itself is left out. */
static double entropy_of(const double *d, int64_t n, int64_t i, double least, double beta,
                         double *p)
{
    double sum = 0, weighted = 0;
    for (int64_t k = 0; k < n; k++) {
        double far = d[k] - least;
        p[k] = k == i || beta * far > 80 ? 0 : exp(-beta * far);
        sum += p[k];
        weighted += p[k] * far;
    }
    for (int64_t k = 0; k < n; k++) p[k] /= sum;
    return log(sum) + beta * weighted / sum;
}

static void neighbours_of(const Job *j, int64_t i, double *d, double *p)
{
    double least = INFINITY, beta = 1, lo = 0, hi = INFINITY, mean = 0;
    for (int64_t k = 0; k < j->n; k++) {
        d[k] = distance2(j->x + i * j->d, j->x + k * j->d, j->d);
        if (k != i && d[k] < least) least = d[k];
        mean += d[k] / (double)j->n;
    }
    if (mean > least) beta = 1 / (mean - least);
    for (int t = 0; t < BISECTIONS; t++) {
        double more = entropy_of(d, j->n, i, least, beta, p) - j->entropy;
        if (fabs(more) < 1e-6) break;
        if (more > 0)
            lo = beta, beta = isinf(hi) ? beta * 2 : (beta + hi) / 2;
        else
            hi = beta, beta = (beta + lo) / 2;
    }
    for (int64_t k = 0; k < j->n; k++) j->p[i * j->stride + k] = (float)p[k];
}

static void neighbour_rows(void *const *args, int64_t begin, int64_t end)
{
    Job *j = args[0];
    double *d = malloc((size_t)j->n * sizeof *d), *p = malloc((size_t)j->n * sizeof *p);
    for (int64_t i = begin; i < end; i++) {
        j->row[i] = d && p; /* whether it was done */
        if (d && p) neighbours_of(j, i, d, p);
    }
    free(d);
    free(p);
}

static bool all_finite(const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(x[i])) return false;
    return true;
}

static bool find_neighbours(Job *j, double perplexity, RtPool *pool)
{
    double most = (double)(j->n - 1) / 3;
    j->entropy = log(perplexity < most ? perplexity : most);
    if (!all_finite(j->x, j->n * j->d) || !run(pool, neighbour_rows, j)) return false;
    bool ok = true;
    for (int64_t i = 0; i < j->n; i++) ok = ok && j->row[i] > 0;
    return ok;
}

bool rt_tsne_neighbours(const float *x, int64_t n, int64_t d, double perplexity, RtPool *pool,
                        float *p)
{
    Job j = {.x = x, .n = n, .d = d, .stride = n, .p = p, .row = calloc((size_t)n, sizeof(double))};
    bool ok = n >= 4 && j.row && find_neighbours(&j, perplexity, pool);
    free(j.row);
    return ok;
}

/* p becomes (p + p') / 2n. */
static void make_joint(Job *j)
{
    float scale = (float)(0.5 / (double)j->n);
    for (int64_t i = 0; i < j->n; i++)
        for (int64_t k = 0; k < i; k++) {
            float *a = &j->p[i * j->stride + k], *b = &j->p[k * j->stride + i],
                  both = (*a + *b) * scale;
            *a = *b = both > 1e-12f ? both : 1e-12f;
        }
}

/* ---- forces ---- */

/* Of every row: what pulls it (p q (y_i - y_k)), what pushes it (q^2 (y_i - y_k)), and the sum of its q. Places behind
 * the last point are far away, and p is 0 there. */
static inline __attribute__((always_inline)) void forces(Job *j, int64_t begin, int64_t end,
                                                         const int dims)
{
    for (int64_t i = begin; i < end; i++) {
        Lanes pull[MOST_DIMS] = {{0}}, push[MOST_DIMS] = {{0}}, sum = {0};
        const float *row = j->p + i * j->stride;
        for (int64_t k = 0; k < j->stride; k += LANES) {
            Lanes away[MOST_DIMS], p, q = (Lanes){0} + 1;
            for (int a = 0; a < dims; a++) {
                memcpy(&away[a], j->y[a] + k, sizeof away[a]);
                away[a] = j->y[a][i] - away[a];
                q += away[a] * away[a];
            }
            q = 1 / q;
            sum += q;
            memcpy(&p, row + k, sizeof p);
            p *= q;
            q *= q;
            for (int a = 0; a < dims; a++) pull[a] += p * away[a], push[a] += q * away[a];
        }
        for (int a = 0; a < dims; a++)
            j->pull[a][i] = lane_sum(&pull[a]), j->push[a][i] = lane_sum(&push[a]);
        j->row[i] = (double)lane_sum(&sum) - 1; /* itself */
    }
}

static void by_dims(Job *j, int64_t begin, int64_t end)
{
    if (j->dims == 2)
        forces(j, begin, end, 2);
    else
        forces(j, begin, end, 3);
}

#ifdef __x86_64__
/* The same operations on the same eight lanes, one instruction each: the same bits. */
__attribute__((target("avx2"))) static void by_dims_wide(Job *j, int64_t begin, int64_t end)
{
    if (j->dims == 2)
        forces(j, begin, end, 2);
    else
        forces(j, begin, end, 3);
}
#else
#define by_dims_wide by_dims
#endif

static void force_rows(void *const *args, int64_t begin, int64_t end)
{
    Job *j = args[0];
    if (j->wide)
        by_dims_wide(j, begin, end);
    else
        by_dims(j, begin, end);
}

static bool is_wide(void)
{
#ifdef __x86_64__
    return __builtin_cpu_supports("avx2");
#else
    return false;
#endif
}

static void divergence_rows(void *const *args, int64_t begin, int64_t end)
{
    Job *j = args[0];
    for (int64_t i = begin; i < end; i++) {
        double sum = 0;
        for (int64_t k = 0; k < j->n; k++) {
            double far = 1, p = j->p[i * j->stride + k];
            for (int a = 0; a < j->dims; a++) {
                double away = (double)j->y[a][i] - j->y[a][k];
                far += away * away;
            }
            if (k != i) sum += p * log(p * far * j->z);
        }
        j->row[i] = sum;
    }
}

static double row_sum(const Job *j)
{
    double sum = 0;
    for (int64_t i = 0; i < j->n; i++) sum += j->row[i];
    return sum;
}

/* ---- descent ---- */

static void begin_small(Job *j, uint64_t seed)
{
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    for (int64_t i = 0; i < j->n; i++) {
        RtRandom4 r = rt_philox((const uint32_t[4]){(uint32_t)i, 0x74736e65, 0, 0}, key);
        double far[2], turn[2]; /* Box and Muller's; the fourth number stays unused */
        for (int k = 0; k < 2; k++) {
            far[k] = sqrt(-2 * log((r.v[2 * k] + 1.0) / 4294967296.0));
            turn[k] = 2 * M_PI * (r.v[2 * k + 1] / 4294967296.0);
        }
        const double g[3] = {far[0] * cos(turn[0]), far[0] * sin(turn[0]), far[1] * cos(turn[1])};
        for (int a = 0; a < j->dims; a++) j->y[a][i] = (float)(1e-4 * g[a]);
    }
    for (int a = 0; a < j->dims; a++)
        for (int64_t i = j->n; i < j->stride; i++) j->y[a][i] = 1e10f;
}

static void centre(Job *j)
{
    for (int a = 0; a < j->dims; a++) {
        double sum = 0;
        for (int64_t i = 0; i < j->n; i++) sum += j->y[a][i];
        float mean = (float)(sum / (double)j->n);
        for (int64_t i = 0; i < j->n; i++) j->y[a][i] -= mean;
    }
}

/* step [dims][stride], gain likewise. */
static void descend(Job *j, double exaggeration, float momentum, float rate, float *step,
                    float *gain)
{
    double z = row_sum(j);
    for (int a = 0; a < j->dims; a++)
        for (int64_t i = 0; i < j->n; i++) {
            float slope = (float)(4 * (exaggeration * j->pull[a][i] - j->push[a][i] / z));
            float *s = &step[a * j->stride + i], *g = &gain[a * j->stride + i];
            *g = (slope > 0) != (*s > 0) ? *g + 0.2f : *g * 0.8f;
            if (*g < 0.01f) *g = 0.01f;
            *s = momentum * *s - rate * *g * slope;
            j->y[a][i] += *s;
        }
    centre(j);
}

static bool iterate(Job *j, RtTsne *t, float *step, float *gain)
{
    float rate = (float)((double)j->n / 48 > 50 ? (double)j->n / 48 : 50);
    for (int64_t i = 0; i < j->dims * j->stride; i++) gain[i] = 1;
    for (int it = 0; it < t->iterations; it++) {
        bool early = it < EXAGGERATED;
        if (!run(t->pool, force_rows, j)) return false;
        descend(j, early ? 12 : 1, early ? 0.5f : 0.8f, rate, step, gain);
    }
    if (!run(t->pool, force_rows, j)) return false;
    j->z = row_sum(j);
    if (!run(t->pool, divergence_rows, j)) return false;
    t->divergence = row_sum(j);
    return true;
}

bool rt_tsne_run(RtTsne *t, const float *x, int64_t n, int64_t d, float *out)
{
    if (n < 4 || n > LARGEST || d < 1 || t->dims < 2 || t->dims > MOST_DIMS) return false;
    Job j = {.x = x,
             .n = n,
             .d = d,
             .stride = (n + LANES - 1) / LANES * LANES,
             .dims = t->dims,
             .wide = is_wide()};
    size_t line = (size_t)j.stride;
    float *work = calloc(line, (3 * MOST_DIMS + 2 * (size_t)t->dims) * sizeof *work);
    j.p = calloc(line * line, sizeof *j.p);
    j.row = calloc(line, sizeof *j.row);
    bool ok = work && j.p && j.row;
    for (int a = 0; ok && a < MOST_DIMS; a++) {
        j.y[a] = work + (3 * a) * line;
        j.pull[a] = j.y[a] + line;
        j.push[a] = j.pull[a] + line;
    }
    ok = ok && find_neighbours(&j, t->perplexity, t->pool);
    if (ok) {
        make_joint(&j);
        begin_small(&j, t->seed);
        float *step = work + 3 * MOST_DIMS * line;
        ok = iterate(&j, t, step, step + (size_t)t->dims * line);
    }
    for (int64_t i = 0; ok && i < n; i++)
        for (int a = 0; a < t->dims; a++) out[i * t->dims + a] = j.y[a][i];
    free(work);
    free(j.p);
    free(j.row);
    return ok;
}

bool rt_tsne(const float *x, int64_t n, int64_t d, int dims, double perplexity, int iterations,
             uint64_t seed, float *out)
{
    RtTsne t = {.dims = dims, .perplexity = perplexity, .iterations = iterations, .seed = seed};
    return rt_tsne_run(&t, x, n, d, out);
}
