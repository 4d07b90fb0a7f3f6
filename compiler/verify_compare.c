/* Two arrays: how far apart, and is it more than rounding? */
#include "ops/op.h"
#include "verify.h"
#include <math.h>

static bool same(double x, double y)
{
    return x == y || (isnan(x) && isnan(y));
}

static double mean_square(const double *x, int64_t n)
{
    double s = 0;
    int64_t finite = 0;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(x[i])) s += x[i] * x[i], finite++;
    return finite ? s / (double)finite : 0;
}

/* The difference less what rounding explains; infinite where one side is not a number. */
static double excess(double got, double want, double noise)
{
    if (same(got, want)) return 0;
    double d = fabs(got - want);
    if (!isfinite(d)) return INFINITY;
    return d > noise ? d - noise : 0;
}

VerifyDiff verify_compare(const double *got, const double *want, const double *noise, int64_t n,
                          double tolerance)
{
    enum { TINY = -100 }; /* 2^TINY: all zeros are compared with this */
    VerifyDiff d = {0};
    double rms = fmax(sqrt(mean_square(want, n)), ldexp(1, TINY)), sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double e = excess(got[i], want[i], noise ? noise[i] : 0);
        double size = isfinite(want[i]) ? fmax(fabs(want[i]), rms) : rms;
        sum += e * e;
        d.differ += e > VERIFY_ELEMENT * tolerance * size;
        if (i && e / size <= d.worst) continue;
        d.worst = e / size;
        d.at = i;
        d.got = got[i], d.want = want[i];
    }
    d.l2 = n ? sqrt(sum / (double)n) / rms : 0;
    d.ok = !d.differ && d.l2 <= tolerance;
    return d;
}

/* The value of x that tap `tap` of the window of output element i reads; NAN: outside. */
static double tap_value(const Node *n, const double *x, int64_t i, int64_t tap)
{
    Window w = n->op->window(n);
    const int64_t *in = n->in[0]->shape.dim + 2, *out = n->shape.dim + 2;
    int64_t o[2] = {i / out[1] % out[0], i % out[1]}, t[2] = {tap / w.kernel[1], tap % w.kernel[1]},
            p[2];
    if (tap < 0 || tap >= w.kernel[0] * w.kernel[1]) return NAN;
    for (int d = 0; d < 2; d++) {
        p[d] = o[d] * w.stride[d] - w.pad[d] + t[d] * w.dilation[d];
        if (p[d] < 0 || p[d] >= in[d]) return NAN;
    }
    return x[i / (out[0] * out[1]) * in[0] * in[1] + p[0] * in[1] + p[1]];
}

VerifyDiff verify_compare_whole(const Node *n, const double *got, const double *want,
                                const double *x, double tolerance)
{
    VerifyDiff d = {0};
    int64_t count = shape_count(n->shape);
    bool window =
        x && n->op->nest == NEST_WINDOW && !n->op->window(n).adaptive && n->shape.rank == 4;
    double rms = window ? sqrt(mean_square(x, shape_count(n->in[0]->shape))) : 0;
    for (int64_t i = 0; i < count; i++) {
        if (same(got[i], want[i])) continue;
        double far =
            window
                ? fabs(tap_value(n, x, i, (int64_t)got[i]) - tap_value(n, x, i, (int64_t)want[i]))
                : NAN;
        if (far <= VERIFY_ELEMENT * tolerance * rms) continue;
        if (!d.differ++) d.at = i, d.got = got[i], d.want = want[i];
    }
    d.l2 = count ? sqrt((double)d.differ / (double)count) : 0;
    d.worst = d.differ > 0;
    d.ok = !d.differ;
    return d;
}
